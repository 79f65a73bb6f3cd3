"""Latents prepared beforehand: the very batches of a training without them, and nothing else."""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import torch
import zarr
from typer.testing import CliRunner

from napari_llcm.cli.app import app
from napari_llcm.cli.console import explain
from napari_llcm.events import Finished, Notice, UserError, result_of
from napari_llcm.models import load_bundle
from napari_llcm.models.autoencoders.config import KIND
from napari_llcm.models.autoencoders.networks import make_published
from napari_llcm.models.autoencoders.saved import AutoencoderInfo, save_autoencoder
from napari_llcm.specimen import write_specimens
from napari_llcm.training import TrainJob, latent_store, latents, train
from napari_llcm.training.estimate import estimate
from napari_llcm.training.jobs import load_job, save_job
from napari_llcm.training.latents import seen_in, variant
from napari_llcm.training.prepare_latents import prepare_latents
from napari_llcm.volumes import Volume, read, write
from tiny import AUTOENCODERS
from tiny import job as tiny_job

Folders = Callable[[int], Path]
pytestmark = pytest.mark.slow  # many small trainings
KINDS = ("qpi", "dapi", "labels")


@pytest.fixture(scope="module")
def specimens(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return five pairs with labels, y and x of unlike length, the first a little larger."""
    folder = tmp_path_factory.mktemp("pairs")
    result_of(write_specimens(folder, 5, (8, 32, 64), 300, "easy"))
    return folder


@pytest.fixture
def some(specimens: Path, tmp_path: Path) -> Folders:
    def take(count: int) -> Path:
        for kind in KINDS:
            (tmp_path / "pairs" / kind).mkdir(parents=True)
            for file in sorted((specimens / kind).iterdir())[:count]:
                shutil.copy(file, tmp_path / "pairs" / kind)
        return tmp_path / "pairs"

    return take


def saved(folder: Path, kind: str = "maisi", seed: int = 1) -> Path:
    torch.manual_seed(seed)
    made = KIND.validate_python(AUTOENCODERS[kind])
    info = AutoencoderInfo(name=folder.name, autoencoder=made)
    return save_autoencoder(folder, info, make_published(made))


@pytest.fixture(scope="module")
def autoencoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return saved(tmp_path_factory.mktemp("autoencoders") / "maisi")


@pytest.fixture(scope="module")
def model(specimens: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("model") / "run"
    result_of(train(tiny_job(specimens, out, validations=0, crops=1, instance_weight=0.0)))
    return out


def job(pairs: Path, out: Path, **changes: Any) -> TrainJob:
    """Return a job on top of an autoencoder, or of a model; all other fields as in a training."""
    fields: dict[str, Any] = {"patch": (8, 16, 16), "crops": 1, "validations": 1}
    fields["method_phase"] = {"steps": 4, "warmup_steps": 2}
    if "autoencoder" in changes:
        fields["network"] = {"unet_widths": (8, 16)}
    elif "init" in changes:
        fields |= {"network": None, "max_minutes": 60}
    made = tiny_job(pairs, out, **{k: v for k, v in (fields | changes).items() if v is not None})
    return made


def weights(out: Path) -> dict[str, torch.Tensor]:
    return load_bundle(out / "model").networks.state_dict()


def same(one: Path, other: Path) -> None:
    a, b = weights(one), weights(other)
    assert a.keys() == b.keys()
    assert [key for key in a if not torch.equal(a[key], b[key])] == []


@pytest.fixture
def no_encoding(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    def forbid() -> None:
        def never(*_: Any) -> None:
            raise AssertionError("a view was encoded")

        monkeypatch.setattr(latents, "encoded", never)

    return forbid


# of one and two, a part is held out
@pytest.mark.parametrize(("count", "fits"), [(1, True), (2, False), (5, True)])
def test_training_on_prepared_latents_gives_the_same_weights_to_the_bit(
    some: Folders, autoencoder: Path, tmp_path: Path, no_encoding: Any, count: int, fits: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    pairs, on_top = some(count), {"autoencoder": str(autoencoder)}
    figures = result_of(train(job(pairs, tmp_path / "encoded", **on_top)))
    assert figures is not None
    result_of(prepare_latents(job(pairs, tmp_path / "latents", **on_top)))
    shutil.rmtree(pairs)  # the files are not needed any more
    no_encoding()
    if not fits:
        free = psutil.virtual_memory()._replace(available=1000)
        monkeypatch.setattr(psutil, "virtual_memory", lambda: free)
        monkeypatch.setattr(latent_store.Stored, "_whole", None)  # what would be kept
    result_of(train(job(tmp_path / "latents", tmp_path / "prepared", **on_top)))
    same(tmp_path / "encoded", tmp_path / "prepared")
    infos = [load_bundle(tmp_path / name / "model").info for name in ("encoded", "prepared")]
    for name in ("scalings", "input_noise", "spacing", "nucleus_um", "task", "metrics"):
        assert getattr(infos[0], name) == getattr(infos[1], name), name
    assert infos[0].metrics["val_psnr"] > 0


def test_so_does_a_training_that_starts_from_a_model(
    some: Folders, model: Path, tmp_path: Path, no_encoding: Any
) -> None:
    pairs, start = some(2), {"init": str(model)}
    result_of(train(job(pairs, tmp_path / "encoded", **start)))
    result_of(prepare_latents(job(pairs, tmp_path / "latents", **start)))
    # an estimate times its steps on made-up volumes, and takes the sizes from the dataset
    assert result_of(estimate(job(tmp_path / "latents", tmp_path / "e", **start)))["seconds"]
    no_encoding()
    told = [e.text for e in train(job(tmp_path / "latents", tmp_path / "prepared", **start))
            if isinstance(e, Notice)]  # fmt: skip
    same(tmp_path / "encoded", tmp_path / "prepared")
    assert any("whose latents were prepared" in text for text in told)


def test_pairs_whose_dapi_is_one_plane_are_taken_along_without_latents(
    some: Folders, autoencoder: Path, tmp_path: Path, no_encoding: Any
) -> None:
    pairs, on_top = some(3), {"autoencoder": str(autoencoder), "validation_share": 0}
    shutil.rmtree(pairs / "labels")
    flat = sorted((pairs / "dapi").iterdir())[0]
    stack = read(flat)
    write(flat, stack.replace(data=stack.numpy().max(0, keepdims=True)), overwrite=True)
    result_of(train(job(pairs, tmp_path / "encoded", **on_top)))
    result_of(prepare_latents(job(pairs, tmp_path / "latents", **on_top)))
    whole = zarr.open_group(tmp_path / "latents" / "pairs", mode="r")
    assert sorted("latents" in dict(entry.members()) for _, entry in whole.groups()) == [
        False, True, True,
    ]  # fmt: skip
    no_encoding()
    result_of(train(job(tmp_path / "latents", tmp_path / "prepared", **on_top)))
    same(tmp_path / "encoded", tmp_path / "prepared")


@pytest.mark.parametrize("kind", ["maisi", "wavelet"])  # the latter has no weights to be named
def test_thin_volumes_are_prepared_for_their_task(
    autoencoder: Path, tmp_path: Path, no_encoding: Any, kind: str
) -> None:
    rng = np.random.default_rng(0)
    for name in "ab":
        data = rng.normal(40, 100, (24, 40, 32)).astype(np.float32)
        write(tmp_path / "thin" / f"{name}.nii.gz", Volume(data, spacing=(1000.0, 800.0, 800.0)))
    settings: dict[str, Any] = {
        "autoencoder": str(autoencoder),
    }
    if kind == "wavelet":
        settings = {"network": {"autoencoder": "wavelet", "unet_widths": (8, 16)}}
    settings |= {
        "task": "superres-ct",
        "patch": (24, 32, 32),
        "validation_share": 0,
    }
    result_of(train(job(tmp_path / "thin", tmp_path / "encoded", **settings)))
    result_of(prepare_latents(job(tmp_path / "thin", tmp_path / "latents", **settings)))
    no_encoding()
    result_of(train(job(tmp_path / "latents", tmp_path / "prepared", **settings)))
    same(tmp_path / "encoded", tmp_path / "prepared")
    with pytest.raises(UserError, match="for the task superres-ct, and this training is for stain"):
        result_of(train(job(tmp_path / "latents", tmp_path / "r", **settings | {"task": None})))


def test_a_killed_preparation_goes_on_and_keeps_finished_pairs(
    some: Folders, autoencoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from napari_llcm.training import prepare_latents as module

    wanted = job(some(3), tmp_path / "latents", autoencoder=str(autoencoder))
    views: list[int] = []
    encode = module.encoded

    def counting(item: Any, view: int, *given: Any) -> torch.Tensor:
        views.append(view)
        return encode(item, view, *given)

    monkeypatch.setattr(module, "encoded", counting)
    killed = prepare_latents(wanted)
    while len(views) < 11:
        next(killed)
    killed.close()  # as a killed process: nothing more is written
    there = tmp_path / "latents" / "pairs"
    done = [p for p in there.iterdir() if p.is_dir()]
    assert len(done) == 1
    before = {p: p.stat().st_mtime_ns for p in done[0].rglob("*")}
    with pytest.raises(UserError, match="is not finished: run the same"):
        result_of(train(job(tmp_path / "latents", tmp_path / "r", autoencoder=str(autoencoder))))
    views.clear()
    (told,) = [e.result for e in prepare_latents(wanted) if isinstance(e, Finished)]
    # and of three, a part of one is held out: what is left of that is encoded too
    assert (told["pairs"], told["encoded"], len(views)) == (3, 2, 3 * 8)
    assert {p: p.stat().st_mtime_ns for p in before} == before
    # again: nothing is left to do; a file that was changed is encoded anew
    (told,) = [e.result for e in prepare_latents(wanted) if isinstance(e, Finished)]
    assert told["encoded"] == 0
    file = next((tmp_path / "pairs" / "dapi").iterdir())
    os.utime(file, ns=(1, 1))
    reason = [e.text for e in train(job(tmp_path / "latents", tmp_path / "r",
              autoencoder=str(autoencoder))) if isinstance(e, Notice)]  # fmt: skip
    assert any(f"{file} was changed after" in text for text in reason)
    (told,) = [e.result for e in prepare_latents(wanted) if isinstance(e, Finished)]
    assert told["encoded"] == 1


def test_a_stopped_preparation_leaves_whole_pairs(
    some: Folders, autoencoder: Path, tmp_path: Path
) -> None:
    wanted = job(some(2), tmp_path / "latents", autoencoder=str(autoencoder))
    asked = iter([False] * 10)
    events = list(prepare_latents(wanted, should_stop=lambda: next(asked, True)))
    assert not isinstance(events[-1], Finished)
    left = [p.name for p in (tmp_path / "latents" / "pairs").iterdir() if p.is_dir()]
    assert len(left) == 1
    assert not left[0].startswith(".")


def test_what_it_says_of_itself(some: Folders, autoencoder: Path, tmp_path: Path) -> None:
    pairs = some(2)
    result_of(prepare_latents(job(pairs, tmp_path / "latents", autoencoder=str(autoencoder))))
    group = zarr.open_group(tmp_path / "latents", mode="r", zarr_format=3)
    said: Any = group.attrs["napari_llcm_latents"]
    assert said["task"]["name"] == "stain"
    assert said["given"] == {"autoencoder": str(autoencoder)}
    assert said["kind"]["kind"] == "maisi"
    assert len(said["fingerprint"]) == 64
    assert said["spacing"] == list(read(next((pairs / "qpi").iterdir())).step)
    whole = [entry for _, entry in group["pairs"].groups()]  # type: ignore[union-attr]
    first = np.concatenate([np.asarray(e["latents/0"]).reshape(4, -1) for e in whole], 1)
    np.testing.assert_allclose(said["latent_mean"], first.mean(1), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(said["latent_std"], first.std(1), rtol=1e-3)
    for entry in whole:
        about: Any = entry.attrs["napari_llcm_latents"]
        for file in about["files"]:
            now = Path(file["path"]).stat()
            assert (file["bytes"], file["mtime_ns"]) == (now.st_size, now.st_mtime_ns)
        assert len(about["files"]) == 3
        assert entry["instances"].shape[0] == 3
        shapes = {entry[f"latents/{view}"].shape for view in range(8)}
        assert len(shapes) == 2  # views that are transposed, and those that are not


def refused(job: TrainJob, by: Any = train) -> str:
    with pytest.raises(UserError) as error:
        result_of(by(job))
    return str(error.value)


def test_what_does_not_go_together_is_refused_in_words(
    some: Folders, autoencoder: Path, model: Path, tmp_path: Path
) -> None:
    pairs, ready, own = some(2), tmp_path / "latents", {"autoencoder": str(autoencoder)}
    result_of(prepare_latents(job(pairs, ready, **own)))
    other = {"autoencoder": str(saved(tmp_path / "other", seed=2))}
    run = tmp_path / "run"
    assert "with another autoencoder (--autoencoder" in refused(job(ready, run, **other))
    assert "with another autoencoder" in refused(job(ready, run, init=str(model)))
    assert "begins with the autoencoder" in refused(job(ready, run))
    assert "has no autoencoder" in refused(
        tiny_job(ready, run, method="pix2pix", patch=(16, 32, 32))
    )
    assert "another start" in refused(job(ready, run, **own, nucleus_um=9.0))
    assert "other intensities" in refused(job(ready, run, **own, root=False))
    big = tmp_path / "big"
    assert "for patches of (" in refused(
        job(ready, big, **own, validation_share=0, network={"unet_widths": (8, 16, 16, 16)})
    )
    assert "only --pairs" in refused(
        job(ready, run, **own).model_copy(update={"pairs": [ready, pairs]})
    )
    assert "options of reading" in refused(job(ready, run, **own, reading={"channel": "0"}))
    assert "lies inside the input" in refused(job(ready, ready / "run", **own))
    assert "not trained any more" in refused(job(pairs, tmp_path / "l"), prepare_latents)
    assert "holds latents already" in refused(job(ready, tmp_path / "l", **own), prepare_latents)
    assert "with another autoencoder" in refused(job(pairs, ready, **other), prepare_latents)
    assert "other files" in refused(job(pairs, pairs, **own), prepare_latents)
    (tmp_path / "file").write_text("")
    assert "is a file" in refused(job(pairs, tmp_path / "file", **own), prepare_latents)
    assert not run.exists()
    for chunks in (ready / "pairs").glob("*/latents/*/c"):
        shutil.rmtree(chunks)
    assert "is damaged: remove that folder" in refused(
        job(ready, tmp_path / "run1", **own, validation_share=0)
    )
    metadata = json.loads((ready / "zarr.json").read_text())
    metadata["attributes"]["napari_llcm_latents"] = {}
    (ready / "zarr.json").write_text(json.dumps(metadata))
    assert "is damaged" in refused(job(ready, tmp_path / "run2", **own))


def test_a_full_disk_is_told_and_what_is_done_stays(
    some: Folders, autoencoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pairs = some(2)
    put, count = latent_store.EntryWriter.put, iter(range(1000))

    def full(self: Any, name: str, values: Any, **how: Any) -> None:
        if next(count) > 15:
            raise OSError(errno.ENOSPC, "No space left on device")
        put(self, name, values, **how)

    monkeypatch.setattr(latent_store.EntryWriter, "put", full)
    wanted = job(pairs, tmp_path / "latents", autoencoder=str(autoencoder))
    with pytest.raises(UserError, match="There is no space left to write") as error:
        result_of(prepare_latents(wanted))
    assert explain(error.value)[1] == 2
    assert len([p for p in (tmp_path / "latents" / "pairs").iterdir() if p.is_dir()]) == 1


def test_from_the_command_line(some: Folders, autoencoder: Path, tmp_path: Path) -> None:
    settings = job(some(2), tmp_path / "run", autoencoder=str(autoencoder), validations=0)
    save_job(settings, tmp_path / "job.yaml")
    given = [str(tmp_path / "job.yaml"), "--out", str(tmp_path / "latents")]
    done = CliRunner().invoke(app, ["prepare-latents", *given])
    assert done.exit_code == 0, done.output
    assert "of them encoded now" in done.output
    again = load_job(tmp_path / "job.yaml").model_copy(update={"pairs": [tmp_path / "latents"]})
    save_job(again, tmp_path / "job.yaml")
    done = CliRunner().invoke(app, ["train", str(tmp_path / "job.yaml")])
    assert done.exit_code == 0, done.output
    refused = CliRunner().invoke(app, ["pairs", str(tmp_path / "latents")])
    assert isinstance(refused.exception, UserError)
    assert "holds prepared latents" in str(refused.exception)
    assert str(tmp_path / "pairs" / "qpi") in str(refused.exception)  # what to check in their place


@pytest.mark.parametrize("view", range(8))
def test_a_box_of_a_view_is_the_view_of_a_box(view: int) -> None:
    volume = torch.arange(2 * 3 * 5 * 7).reshape(2, 3, 5, 7)
    box = (slice(None), slice(1, 3), slice(0, 4), slice(2, 5))
    part = variant(volume[seen_in(box, view, volume.shape)], view)
    assert torch.equal(part, variant(volume, view)[box])
