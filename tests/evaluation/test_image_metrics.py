"""Image metrics agree with their definitions, and say what they cannot tell."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from napari_llcm.evaluation.image_metrics import image_metrics
from napari_llcm.events import UserError
from napari_llcm.specimen import Specimen, second_exposure
from napari_llcm.volumes import Volume

pytestmark = pytest.mark.versions


@pytest.fixture(scope="module")
def noise() -> np.random.Generator:
    return np.random.default_rng(1)


def test_an_image_is_like_itself(specimen: Specimen) -> None:
    found = image_metrics(specimen.dapi, specimen.dapi)
    assert found["psnr"] == np.inf
    assert found["ssim"] == pytest.approx(1)
    assert found["pearson"] == pytest.approx(1)
    assert found["nrmse"] == 0


def test_figures_follow_their_definitions(specimen: Specimen) -> None:
    truth, stain = specimen.dapi.numpy().astype(float), second_exposure(specimen).numpy()
    found = image_metrics(specimen.dapi, second_exposure(specimen))
    span = np.percentile(truth, 99.9) - np.percentile(truth, 0.1)
    error = np.sqrt(np.mean((truth - stain) ** 2))
    assert found["data_range"] == pytest.approx(span)
    assert found["nrmse"] == pytest.approx(error / span)
    assert found["psnr"] == pytest.approx(20 * np.log10(span / error))
    assert found["pearson"] == pytest.approx(np.corrcoef(truth.ravel(), stain.ravel())[0, 1])
    assert image_metrics(truth, stain, data_range=2 * span)["nrmse"] == pytest.approx(
        found["nrmse"] / 2  # type: ignore[operator]
    )


def test_ssim_agrees_with_torchmetrics_away_from_the_faces(noise: np.random.Generator) -> None:
    import torch
    from torchmetrics.functional.image import structural_similarity_index_measure

    # torchmetrics leaves out the faces, where windows see mirrored voxels; in noise all is alike
    truth = noise.normal(size=(24, 24, 24)).astype(np.float32)
    stain = truth + noise.normal(size=truth.shape).astype(np.float32)
    expected = structural_similarity_index_measure(
        torch.tensor(stain)[None, None], torch.tensor(truth)[None, None], data_range=6.0
    )
    assert image_metrics(truth, stain, data_range=6.0)["ssim"] == pytest.approx(
        float(expected), abs=0.01
    )


@pytest.mark.parametrize("planes", [2, 5, 11])
def test_thin_stacks_have_an_ssim(planes: int, noise: np.random.Generator) -> None:
    truth = noise.random((planes, 40, 30))
    near = image_metrics(truth, truth + 0.05 * noise.random(truth.shape))["ssim"]
    far = image_metrics(truth, noise.random(truth.shape))["ssim"]
    assert far < 0.2 < 0.9 < near < 1  # type: ignore[operator]


def test_lpips_is_empty_with_its_reason(specimen: Specimen) -> None:
    found = image_metrics(specimen.dapi, second_exposure(specimen))
    assert found["lpips"] is None
    assert "LPIPS" in str(found["lpips_reason"])


def test_lpips_sees_every_large_plane_in_grey(
    monkeypatch: pytest.MonkeyPatch, noise: np.random.Generator
) -> None:
    from napari_llcm.evaluation import image_metrics as module

    seen = []

    class Counting:
        def __init__(self, net_type: str, normalize: bool) -> None:
            assert (net_type, normalize) == ("alex", True)

        def update(self, a: object, b: object) -> None:
            seen.append((tuple(a.shape), float(a.min()), float(a.max())))  # type: ignore[attr-defined]

        def compute(self) -> float:
            return 0.25

    monkeypatch.setattr("torchmetrics.image.lpip.LearnedPerceptualImagePatchSimilarity", Counting)
    monkeypatch.setattr(sys.modules[module.__module__], "_no_lpips", lambda shape: None)
    truth = noise.normal(size=(8, 32, 40)) * 100
    assert image_metrics(truth, truth * 2)["lpips"] == 0.25
    assert {shape for shape, *_ in seen} == {(1, 3, 32, 40)}
    assert len(seen) == 8
    assert min(low for _, low, _ in seen) == 0
    assert max(high for *_, high in seen) == 1


def test_a_constant_stain_correlates_with_nothing(specimen: Specimen) -> None:
    found = image_metrics(specimen.dapi.numpy(), np.zeros(specimen.dapi.shape))
    assert found["pearson"] is None
    assert found["ssim"] < 0.9  # type: ignore[operator]


@pytest.mark.parametrize(
    ("truth", "stain", "says"),
    [
        (np.zeros((4, 8, 8)), np.ones((4, 8, 8)), "no contrast"),
        (np.arange(256.0).reshape(4, 8, 8), np.ones((4, 8, 9)), "4 × 8 × 9"),
        (np.arange(256.0).reshape(4, 8, 8), np.full((4, 8, 8), np.nan), "not numbers"),
    ],
)
def test_what_cannot_be_compared_is_said(truth: np.ndarray, stain: np.ndarray, says: str) -> None:
    with pytest.raises(UserError, match=says):
        image_metrics(Volume(truth), stain)


def test_a_torchvision_of_another_torch_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    package = tmp_path / "torchvision"
    package.mkdir()
    (package / "__init__.py").write_text(
        "raise RuntimeError('operator torchvision::nms does not exist')"
    )
    (tmp_path / "torchvision-0.1.dist-info").mkdir()
    (tmp_path / "torchvision-0.1.dist-info" / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: torchvision\nVersion: 0.1\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "torchvision", raising=False)
    with pytest.raises(UserError, match=r"torchvision 0\.1 was not built for"):
        image_metrics(np.zeros((4, 8, 8)), np.zeros((4, 8, 8)))
