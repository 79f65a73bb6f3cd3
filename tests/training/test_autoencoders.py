"""Training on top of an autoencoder that was taken in: frozen, thawed later, or trained first."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from napari_llcm.events import UserError, result_of
from napari_llcm.models import load_bundle
from napari_llcm.models.autoencoders.config import KIND
from napari_llcm.models.autoencoders.networks import make_published
from napari_llcm.models.autoencoders.saved import (
    AutoencoderInfo,
    load_autoencoder,
    save_autoencoder,
)
from napari_llcm.specimen import write_specimens
from napari_llcm.staining import Stainer
from napari_llcm.training import TrainJob, train
from napari_llcm.volumes import find_pairs
from tiny import AUTOENCODERS
from tiny import job as tiny_job

Weights = dict[str, torch.Tensor]


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pairs")
    result_of(write_specimens(folder, 2, (16, 48, 48), 500, "easy"))
    return folder


@pytest.fixture(scope="module")
def autoencoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    kind = KIND.validate_python(AUTOENCODERS["maisi"])
    torch.manual_seed(1)
    info = AutoencoderInfo(
        name="maisi", autoencoder=kind, latent_mean=[0.5] * 4, latent_std=[2.0] * 4
    )
    folder = tmp_path_factory.mktemp("autoencoders") / "maisi"
    return save_autoencoder(folder, info, make_published(kind))


def job(pairs: Path, out: Path, autoencoder: Path | None, **changes: Any) -> TrainJob:
    fields: dict[str, Any] = {
        "network": {"unet_widths": (8, 16)},
        "patch": (8, 16, 16),
        "crops": 1,
        "validations": 0,
        "autoencoder": autoencoder and str(autoencoder),
    }
    return tiny_job(pairs, out, **(fields | changes))


def weights(folder: Path) -> Weights:
    return load_bundle(folder / "model").networks.state_dict()


def changed(folder: Path, autoencoder: Path) -> set[str]:
    """Return which parts of an autoencoder differ in the model of a run."""
    start = load_autoencoder(autoencoder).network.state_dict()
    trained = weights(folder)
    return {
        name.split(".")[1]
        for name, value in start.items()
        if not torch.equal(value.half().float(), trained[f"autoencoder.{name}"])
    }


def test_an_autoencoder_that_was_taken_in_stays_as_it_is(
    pairs: Path, autoencoder: Path, tmp_path: Path
) -> None:
    settings = job(pairs, tmp_path / "run", autoencoder)
    assert settings.phases() == ("consistency",)
    result_of(train(settings))
    bundle = load_bundle(tmp_path / "run" / "model")
    assert bundle.info.network.autoencoder == load_autoencoder(autoencoder).info.autoencoder
    assert bundle.info.network.unet_widths == (8, 16)
    assert changed(tmp_path / "run", autoencoder) == set()
    qpi = find_pairs(pairs)[0].read()[0]
    assert np.isfinite(Stainer(bundle, "cpu").stain(qpi).numpy()).all()


@pytest.mark.parametrize(("epochs", "parts"), [(2, {"decoder"}), (4, set())])
def test_its_decoder_learns_after_so_many_epochs(
    pairs: Path, autoencoder: Path, tmp_path: Path, epochs: int, parts: set[str]
) -> None:
    """Of two pairs an epoch is two steps, of six."""
    result_of(train(job(pairs, tmp_path / "run", autoencoder, thaw_after=epochs)))
    assert changed(tmp_path / "run", autoencoder) - {"post_quant_conv"} == parts


@pytest.mark.slow
def test_a_thawed_run_resumes_to_the_same_weights(
    pairs: Path, autoencoder: Path, tmp_path: Path
) -> None:
    settings = {"thaw_after": 1, "checkpoint_seconds": 0}
    result_of(train(job(pairs, tmp_path / "whole", autoencoder, **settings)))
    steps = iter([False] * 3)
    broken = job(pairs, tmp_path / "broken", autoencoder, **settings)
    list(train(broken, should_stop=lambda: next(steps, True)))
    result_of(train(broken, resume=True))
    whole, resumed = weights(tmp_path / "whole"), weights(tmp_path / "broken")
    assert all(torch.equal(value, resumed[name]) for name, value in whole.items())


def test_it_is_trained_first_where_all_phases_are_asked_for(
    pairs: Path, autoencoder: Path, tmp_path: Path
) -> None:
    result_of(train(job(pairs, tmp_path / "run", autoencoder, phase="all")))
    assert {"encoder", "decoder"} <= changed(tmp_path / "run", autoencoder)


@pytest.mark.parametrize("how", ["measured", "kept"])
def test_statistics_of_latents_are_measured_or_kept(
    pairs: Path, autoencoder: Path, tmp_path: Path, how: str
) -> None:
    result_of(train(job(pairs, tmp_path / "run", autoencoder, latent_statistics=how)))
    kept = bool((weights(tmp_path / "run")["latent_std"] == 2.0).all())
    assert kept == (how == "kept")


def test_what_does_not_go_together_is_refused(
    pairs: Path, autoencoder: Path, tmp_path: Path
) -> None:
    for changes, said in (
        ({"init": "specimen-v6"}, "leave one of them out"),
        ({"method": "pix2pix", "patch": (16, 32, 32)}, "no autoencoder"),
        ({"latent_statistics": "kept", "phase": "all"}, "not trained"),
        ({"network": {"latent_channels": 5}}, "leave both out"),
        ({"method": "diffusion", "thaw_after": 1}, "no decoder learns"),
    ):
        with pytest.raises(UserError, match=said):
            result_of(train(job(pairs, tmp_path / "run", autoencoder, **changes)))
    with pytest.raises(UserError, match="There is no autoencoder 'nowhere'"):
        result_of(train(job(pairs, tmp_path / "run", Path("nowhere"))))
