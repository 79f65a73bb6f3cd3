"""The Cellpose adapter and the network that ships, in whichever version is installed."""

from __future__ import annotations

import json
from collections.abc import Generator
from importlib import metadata, resources
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_llcm.events import Finished, Progress, UserError, result_of
from napari_llcm.nuclei import compare_nuclei, make_segmenter, match_nuclei, segment
from napari_llcm.nuclei.cellpose_adapter import Cellpose
from napari_llcm.specimen import Specimen, make_specimen, second_exposure

pytestmark = pytest.mark.versions


@pytest.fixture(scope="module")
def specimen() -> Specimen:
    return make_specimen((32, 112, 112), seed=3, difficulty="medium")


@pytest.fixture(scope="module")
def cellpose() -> Cellpose:
    """Return the shipped network; where torchvision cannot be imported, check what is said."""
    try:
        import torchvision  # noqa: F401
    except ModuleNotFoundError:
        pass
    except RuntimeError:
        if metadata.version("cellpose").startswith("4"):
            with pytest.raises(UserError, match="torchvision that matches torch"):
                make_segmenter("cellpose")
            pytest.skip("Cellpose 4 cannot run here: torchvision is built for another torch.")
    segmenter = make_segmenter("cellpose", device="cpu")
    assert isinstance(segmenter, Cellpose)
    return segmenter


def test_the_shipped_network_finds_the_nuclei(specimen: Specimen, cellpose: Cellpose) -> None:
    found = segment(specimen.dapi, cellpose)
    counts = match_nuclei(specimen.labels.numpy(), found.numpy()).counts
    assert counts.truth > 15
    assert counts.f1 >= 0.85
    assert found.spacing == specimen.dapi.spacing
    assert found.metadata["segmenter"].startswith("cellpose")


def test_a_second_exposure_has_the_same_nuclei(specimen: Specimen, cellpose: Cellpose) -> None:
    job = compare_nuclei(specimen.dapi, second_exposure(specimen), segmenter=cellpose)
    assert result_of(job).counts.f1 >= 0.9


def _run(steps: Generator[float, None, Any], shares: list[float]) -> Any:
    while True:
        try:
            shares.append(next(steps))
        except StopIteration as end:
            return end.value


def test_it_tells_how_far_it_is_and_stops_at_any_time(
    specimen: Specimen, cellpose: Cellpose
) -> None:
    image = specimen.dapi.select().numpy().astype(np.float32)[:12, :64, :64]
    shares: list[float] = []
    asked = 0

    def count() -> bool:
        nonlocal asked
        asked += 1
        return False

    found = _run(cellpose.steps(image, 12.0, 1.6, count), shares)
    np.testing.assert_array_equal(found, cellpose(image, 12.0, 1.6))
    assert shares == sorted(shares)
    assert len(shares) > 10  # planes of three orientations, a few at a time
    for share in (0.1, 0.6, 0.97):  # in the network, and where flows are followed
        left = int(share * asked)

        def stop() -> bool:
            nonlocal left
            left -= 1
            return left < 0

        assert _run(cellpose.steps(image, 12.0, 1.6, stop), []) is None
        assert left > -5  # it ended at once


def test_a_check_that_is_stopped_ends_without_a_result(
    specimen: Specimen, cellpose: Cellpose
) -> None:
    seen = []
    for event in compare_nuclei(
        specimen.dapi,
        second_exposure(specimen),
        segmenter=cellpose,
        should_stop=lambda: sum(isinstance(e, Progress) for e in seen) > 5,
    ):
        seen.append(event)
    shown = [e for e in seen if isinstance(e, Progress)]
    assert len(shown) == 6
    assert not any(isinstance(e, Finished) for e in seen)
    assert all(e.eta is not None for e in shown[2:])  # the first are at 0
    assert shown[-1].done < 0.5


def test_noise_alone_has_next_to_no_nuclei(cellpose: Cellpose) -> None:
    noise = np.random.default_rng(0).poisson(20, (16, 64, 64)).astype(np.float32)
    assert cellpose(noise, 14.0, 1.6).max() <= 2


def test_the_weights_that_ship_say_how_they_were_made() -> None:
    folder = resources.files("napari_llcm.nuclei") / "weights"
    about = json.loads((folder / "nuclei.json").read_text())
    assert about["made_by"].startswith("python benchmarks/train_segmenter.py")
    assert "real: 1135_nuclei.ome.tif (kreshuklab/go-nuclear, MIT)" in about["trained_on"]
    assert len((folder / "nuclei.safetensors").read_bytes()) < 3e6


def test_unknown_weights_are_never_downloaded(
    cellpose: Cellpose, monkeypatch: pytest.MonkeyPatch
) -> None:
    from cellpose import utils

    def no_network(*args: object, **kwargs: object) -> None:
        raise AssertionError("a download was tried")

    monkeypatch.setattr(utils, "download_url_to_file", no_network)
    for name in ("no-such-model", "/nowhere/weights.pth"):
        with pytest.raises(UserError, match="no Cellpose weights at"):
            make_segmenter("cellpose", weights=name)


def test_a_file_that_holds_no_weights_is_refused(cellpose: Cellpose, tmp_path: Path) -> None:
    (tmp_path / "weights").write_text("hello")
    with pytest.raises(UserError, match="holds no weights for Cellpose"):
        make_segmenter("cellpose", weights=str(tmp_path / "weights"))


def test_a_missing_cellpose_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> str:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "version", missing)
    with pytest.raises(UserError, match="not installed"):
        make_segmenter("cellpose")


def test_cellpose_3_weights_of_ones_own_run(tmp_path: Path, cellpose: Cellpose) -> None:
    if not cellpose.version.startswith("3"):
        pytest.skip("The smallest network of Cellpose 4 has 300 million weights.")
    import torch
    from cellpose.resnet_torch import CPnet

    torch.manual_seed(0)
    CPnet([2, 32, 64, 128, 256], 3, 3, diam_mean=17.0).save_model(str(tmp_path / "mine"))
    mine = make_segmenter("cellpose", weights=str(tmp_path / "mine"), device="cpu")
    image = np.random.default_rng(0).random((6, 32, 32), np.float32)
    assert mine(image, 17.0, 1.0).shape == image.shape
