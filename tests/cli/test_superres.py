"""Finer slices from the command line: train on thin volumes, restore thick ones, compare."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from napari_llcm.events import UserError, result_of
from napari_llcm.models import ConsistencyConfig, NetworkConfig, load_bundle
from napari_llcm.models.bundle import read_info
from napari_llcm.models.consistency import pure_noise
from napari_llcm.models.stainer import StainerNetworks
from napari_llcm.phantom import make_phantom
from napari_llcm.staining.inputs import StackInputs, filled_stack
from napari_llcm.staining.tiling import slices
from napari_llcm.tasks import TASKS
from napari_llcm.tasks.slice_kernel import SliceKernel
from napari_llcm.training import make_job, train
from napari_llcm.training.start import for_task
from napari_llcm.volumes import NoData, Volume, read, write
from napari_llcm.volumes.thick_slices import ThickOptions, interpolated, thicken
from stains import make_model, run, stained, staining
from tiny import job

Run = Callable[..., tuple[int, str, str]]
pytestmark = pytest.mark.slow  # many small trainings
TINY = {"autoencoder": "wavelet", "condition_widths": (8,), "unet_widths": (8, 16)}


@pytest.fixture(scope="module")
def scans(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Thin volumes, a thick one with its truth, and a model, in folders of one folder."""
    folder = tmp_path_factory.mktemp("scans")
    for seed in range(4):  # of four, one is held out
        thin = make_phantom((24, 40, 48), seed, spacing=(1500, 8000, 7000)).thin
        write(folder / "thin" / f"{seed}.nii.gz", thin)
    thick, truth = thicken(thin, ThickOptions(ratio=6))
    write(folder / "thick.nii.gz", thick)
    write(folder / "truth.nii.gz", truth)
    settings = {"network": TINY, "patch": (24, 32, 32), "task": "superres-ct"}
    result_of(train(job(folder, folder / "run", **settings)))
    return folder


def test_thick_slices_become_thin_ones(cli: Run, scans: Path, tmp_path: Path) -> None:
    thick, model = scans / "thick.nii.gz", scans / "run" / "model"
    finer, series = tmp_path / "finer.nii.gz", tmp_path / "finer.dicom"
    code, _, err = cli("stain", thick, finer, "--model", model)
    assert code == 0, err
    assert "nuclei" not in err
    assert "PSNR" in err  # what it reached on what was held out, beside interpolation
    truth, made = read(scans / "truth.nii.gz"), read(finer)
    assert (made.shape, made.metadata["unit"]) == (truth.shape, "HU")
    assert made.metadata["slice_thickness"] == pytest.approx(1500)
    np.testing.assert_allclose(made.place((23, 39, 47)), truth.place((23, 39, 47)), rtol=1e-5)
    # lungs, far below the window, are as dark as they were
    assert np.percentile(made.numpy(), 1) < -700
    code, _, err = cli("stain", thick, series, "--model", model)
    assert code == 0, err
    assert "rounded" in err
    again = read(series)
    assert (again.shape, again.metadata["unit"]) == (truth.shape, "HU")
    np.testing.assert_allclose(again.numpy(), made.numpy(), atol=0.51)
    np.testing.assert_allclose(again.place((23, 39, 47)), truth.place((23, 39, 47)), rtol=1e-5)
    # and from such a series
    thick_series = tmp_path / "thick.dicom"
    write(thick_series, read(thick).replace(data=np.rint(read(thick).numpy())))
    code, _, err = cli("stain", thick_series, tmp_path / "b.ome.zarr", "--model", model)
    assert code == 0, err
    assert read(tmp_path / "b.ome.zarr").shape == truth.shape
    figures = tmp_path / "figures.json"
    truth_file = scans / "truth.nii.gz"
    code, said, err = cli("slices", "compare", truth_file, finer, series, "--out", figures)
    assert code == 0, err
    assert "mean error (HU)" in said
    assert json.loads(figures.read_text())["stacks"][str(finer)]["psnr"] > 10


def test_what_cannot_be_made_is_refused_before_the_work(
    cli: Run, scans: Path, tmp_path: Path
) -> None:
    thick, model = scans / "thick.nii.gz", scans / "run" / "model"
    out = tmp_path / "out.dicom"
    for options, said in (
        (("--samples", 2), "one stack of planes"),
        (("--nucleus-um", 9), "no nucleus width is needed"),
    ):
        code, _, err = cli("stain", thick, out, "--model", model, *options)
        assert code == 2
        assert said in err
    counts = read(thick).replace(metadata={"unit": "counts"})
    with pytest.raises(UserError, match="is in counts, but this task takes HU"):
        stained(counts, load_bundle(model))
    # nothing says that these are HU, and nothing is as dark as air
    unknown = read(thick).replace(data=np.abs(read(thick).numpy()), metadata={})
    last, _ = run(staining(unknown, load_bundle(model)))
    assert any("may not be in HU" in text for text in last.result["notices"])


def test_going_on_from_a_model_keeps_its_task(cli: Run, scans: Path, tmp_path: Path) -> None:
    out = tmp_path / "more"
    options = ("--max-minutes", 0.02, "--device", "cpu")
    code, _, err = cli(
        "train", "--pairs", scans, "--out", out, "--init", scans / "run" / "model", *options
    )
    assert code == 0, err
    told, start = read_info(out / "model"), read_info(scans / "run" / "model")
    assert (told.task, told.network) == (start.task, start.network)
    assert "3 volumes" in err
    assert "nuclei" not in err
    assert "val_interpolated_psnr" in told.metrics
    assert 1 < told.metrics["val_mae_HU"] < 500
    assert 1 < told.metrics["val_interpolated_mae_HU"] < 500


def test_a_task_says_how_it_is_trained(tmp_path: Path) -> None:
    given = {"pairs": [tmp_path], "out": tmp_path / "run"}
    usual, finer = make_job(**given), make_job(**given, task="superres-ct")
    assert usual.network.autoencoder.kind == "local"
    assert usual.phases() == ("vae", "consistency")
    assert finer.network.autoencoder.kind == "wavelet"
    assert finer.phases() == ("consistency",)  # nothing of wavelets is learned
    assert finer.method_phase.steps == usual.method_phase.steps
    own = make_job(**given, task="superres-ct", network="default", crops=7)
    assert own.phases() == ("vae", "consistency")
    assert (own.crops, own.patch) == (7, finer.patch)
    path = tmp_path / "task.yaml"
    task = finer.task.model_dump(mode="json")
    path.write_text(yaml.safe_dump(task | {"name": "mine", "recipe": {"crops": 3}}))
    assert make_job(**given, task=str(path)).crops == 3


def test_a_model_begins_as_what_it_builds_on() -> None:
    config = for_task(NetworkConfig(**TINY), TASKS["superres-ct"])
    networks = StainerNetworks(config, ConsistencyConfig())
    inputs = torch.randn(1, 2, 8, 16, 16)
    start = pure_noise(networks.denoiser, torch.zeros(1, 8, 4, 8, 8))
    added = networks.denoiser(*start, networks.condition(inputs))
    assert float(added.detach().abs().max()) < 0.2  # of standardised latents


def test_detail_in_the_plane_stays_where_the_pixels_are_others() -> None:
    # pixels of 0.6 of the model's: what is added is resampled, what is there is not
    model = make_model(
        spacing=(1000.0, 1000.0, 1000.0), task=TASKS["superres-ct"], config=NetworkConfig(**TINY)
    )
    for weights in model.networks.denoiser.parameters():
        weights.data.zero_()  # nothing is added
    data = np.random.default_rng(0).normal(40, 60, (4, 40, 36)).astype(np.float32)
    volume = Volume(data, (6000.0, 600.0, 600.0), name="ct")
    made = run(staining(volume, model))[0].value
    difference = np.abs(made.numpy() - interpolated(volume, 24).numpy())
    assert difference.mean() < 0.15 * data.std()


@pytest.mark.parametrize("ratio", [(1 / 6, 1.0, 1.0), (1 / 6, 1.7, 1.7)])
def test_a_part_of_thick_slices_is_all_that_a_box_needs(ratio: tuple[float, ...]) -> None:
    rng = np.random.default_rng(0)
    pairs = [(rng.normal(size=(9, 8, 8)), rng.normal(size=(54, 8, 8)))]
    task = TASKS["superres-ct"].model_copy(update={"kernel": SliceKernel.fitted(6, pairs)})
    info = make_model(NetworkConfig(**TINY), (1000.0, 1000.0, 1000.0), task).info
    data, scaling = rng.normal(40, 100, (11, 30, 34)), task.inputs[0].intensity.measure(None)
    volume = Volume(data, (6000.0, 1000.0, 1000.0), name="ct")
    stack = filled_stack(volume, task.inputs[0], scaling, NoData())
    inputs = StackInputs.at(info, [stack], [scaling], ratio)
    z, y, x = inputs.grid.padded
    for box in (
        ((18, 36), (4, 16), (0, 8)),
        ((0, 8), (0, y), (8, x)),
        ((z - 8, z), (0, 8), (0, 8)),
    ):
        (source,) = inputs.sources(box)
        known = np.full_like(data, np.nan)
        known[slices(source)] = data[slices(source)]
        filled = filled_stack(volume.replace(data=known), task.inputs[0], scaling, NoData())
        part = StackInputs.at(info, [filled], [scaling], ratio)
        np.testing.assert_allclose(part.read(box), inputs.read(box), atol=1e-5)
