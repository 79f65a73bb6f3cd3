"""Phantoms: the same by their seed, true in HU, place and findings, noisy as a scanner."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from napari_llcm.cli import main
from napari_llcm.events import Finished, UserError
from napari_llcm.phantom import TISSUES, Phantom, make_phantom, write_phantoms
from napari_llcm.volumes import read, write
from napari_llcm.volumes.thick_slices import ThickOptions

SIZE = (40, 96, 96)
SPACING = (2400.0, 3700.0, 3700.0)


@pytest.fixture(scope="module")
def phantom() -> Phantom:
    return make_phantom(SIZE, 4, spacing=SPACING)


def _of(phantom: Phantom, tissue: str) -> np.ndarray:
    """Return the HU of the inner voxels of a tissue."""
    from scipy.ndimage import binary_erosion

    mask = phantom.tissue.numpy() == TISSUES.index(tissue)
    inner = binary_erosion(mask, iterations=1 if tissue in ("airway", "blood") else 2)
    return np.asarray(phantom.clean.numpy()[inner if inner.any() else mask])


def test_a_phantom_is_the_same_by_its_seed(phantom: Phantom) -> None:
    again = make_phantom(SIZE, 4, spacing=SPACING)
    np.testing.assert_array_equal(again.thin.numpy(), phantom.thin.numpy())
    assert again.findings == phantom.findings
    other = make_phantom(SIZE, 5, spacing=SPACING)
    assert (other.tissue.numpy() != phantom.tissue.numpy()).mean() > 0.05


def test_tissues_have_the_density_that_they_have_in_patients(phantom: Phantom) -> None:
    usual = {
        "outside": (-1001, -990), "fat": (-120, -85), "muscle": (30, 65), "lung": (-900, -780),
        "blood": (160, 430), "airway": (-1000, -900), "heart": (80, 120),
    }  # fmt: skip
    for tissue, (low, high) in usual.items():
        assert low < np.median(_of(phantom, tissue)) < high, tissue
    bone = phantom.clean.numpy()[phantom.tissue.numpy() == TISSUES.index("bone")]
    assert np.percentile(bone, 95) > 400
    thin = phantom.thin
    assert (thin.dtype, thin.metadata["unit"], thin.spacing) == (np.int16, "HU", SPACING)
    assert set(np.unique(phantom.tissue.numpy())) >= set(range(8)) - {TISSUES.index("liver")}


def test_findings_lie_where_they_are_said_to(phantom: Phantom) -> None:
    kinds = {f.kind for f in phantom.findings}
    assert kinds & {"solid", "ground glass", "calcified"}
    emboli = nodules = 0
    for found in phantom.findings:
        z, y, x = (round(v) for v in found.voxel)
        around = (slice(max(z - 1, 0), z + 2), slice(max(y - 1, 0), y + 2), slice(x - 1, x + 2))
        name = "embolus" if found.kind == "embolus" else "nodule"
        if found.diameter < 7:
            continue  # partial volume
        assert TISSUES.index(name) in phantom.tissue.numpy()[around]
        emboli, nodules = emboli + (name == "embolus"), nodules + (name == "nodule")
        if found.kind == "solid" and found.diameter > 8:
            assert abs(phantom.clean.numpy()[z, y, x] - found.hu) < 150
    assert nodules


def test_an_embolus_is_darker_than_the_blood_around_it() -> None:
    fine = make_phantom((72, 80, 160), 12, spacing=(900, 900, 900), noise=0)
    at = [tuple(round(v) for v in f.voxel) for f in fine.findings if f.kind == "embolus"]
    assert at
    blood = np.median(fine.clean.numpy()[fine.tissue.numpy() == TISSUES.index("blood")])
    assert min(fine.clean.numpy()[p] for p in at) < 0.5 * blood


def test_noise_is_as_strong_as_asked_and_coloured_by_the_kernel(phantom: Phantom) -> None:
    def spectrum(one: Phantom) -> np.ndarray:
        """Return the power of the noise at low, middle and high frequency."""
        noise = one.thin.numpy().astype(float) - one.clean.numpy()
        power = (np.abs(np.fft.fft2(noise)) ** 2).mean(0)
        f = np.hypot(*np.meshgrid(*[np.fft.fftfreq(96)] * 2, indexing="ij"))
        bands = ((0.004, 0.03), (0.08, 0.25), (0.4, 0.5))
        return np.array([power[(f > a) & (f < b)].mean() for a, b in bands])

    inside = np.isin(phantom.tissue.numpy(), [TISSUES.index("heart"), TISSUES.index("muscle")])
    noise = (phantom.thin.numpy() - phantom.clean.numpy())[inside]
    assert noise.std() == pytest.approx(13, abs=3)
    assert abs(noise.mean()) < 0.5
    soft, sharp = (
        spectrum(phantom),
        spectrum(make_phantom(SIZE, 4, spacing=SPACING, kernel="sharp")),
    )
    assert soft[0] < 0.5 * soft[1]  # the ramp: little at low frequency
    assert sharp[2] / sharp[1] > soft[2] / soft[1]


def test_kernels_differ_in_sharpness_and_nothing_else() -> None:
    made = [
        make_phantom((12, 80, 80), 4, spacing=(1000, 900, 900), kernel=kernel)  # type: ignore[arg-type]
        for kernel in ("soft", "medium", "sharp")
    ]
    for one in made[1:]:
        np.testing.assert_array_equal(one.tissue.numpy(), made[0].tissue.numpy())
        assert abs(one.clean.numpy().mean() - made[0].clean.numpy().mean()) < 1
    steepest = [np.abs(np.diff(one.clean.numpy(), axis=2)).max() for one in made]
    assert steepest[2] > 1.1 * steepest[1] > 1.2 * steepest[0]


def test_a_smaller_field_shows_the_middle_of_the_same_patient(phantom: Phantom) -> None:
    small = make_phantom((20, 48, 48), 4, spacing=SPACING).tissue.numpy()
    part = phantom.tissue.numpy()[10:30, 24:72, 24:72]
    bone = TISSUES.index("bone")
    np.testing.assert_array_equal(small == bone, part == bone)


def test_surfaces_lie_between_planes(phantom: Phantom) -> None:
    """The lungs' border with the diaphragm or heart moves on from plane to plane, not in steps."""
    clean = phantom.clean.numpy()
    lung = phantom.tissue.numpy() == TISSUES.index("lung")
    below = lung[1:] & ~lung[:-1]
    assert len(np.unique(np.round(clean[1:][below], -1))) > 20


@pytest.mark.versions
def test_a_phantom_goes_to_dicom_and_back_in_its_place(phantom: Phantom, tmp_path: Path) -> None:
    again = read(write(tmp_path / "a.dicom", phantom.thin))
    np.testing.assert_array_equal(again.numpy(), phantom.thin.numpy())
    np.testing.assert_allclose(again.place((3, 4, 5)), phantom.thin.place((3, 4, 5)))
    np.testing.assert_allclose(again.orientation, phantom.thin.orientation)


def test_pairs_are_written_with_their_truth(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--n", "2", "--size", "26,48,48", "--spacing", "3000,7000,7000", "--thick"]
    options += ["--ratio", "4", "--profile", "gaussian"]
    monkeypatch.setattr(sys, "argv", ["napari-llcm", "phantom", str(tmp_path / "ct"), *options])
    with pytest.raises(SystemExit) as end:
        main()
    assert not end.value.code
    assert "Made 2 phantoms" in capsys.readouterr().out
    table = json.loads((tmp_path / "ct" / "phantoms.json").read_text())
    assert sorted(table) == ["phantom-0000", "phantom-0001"]
    shapes = {
        kind: read(tmp_path / "ct" / kind / "phantom-0001.nii.gz").shape
        for kind in ("thin", "thick", "tissue")
    }
    assert shapes == {"thin": (24, 48, 48), "thick": (6, 48, 48), "tissue": (24, 48, 48)}
    thick = read(tmp_path / "ct" / "thick" / "phantom-0000.nii.gz")
    assert thick.spacing == pytest.approx((12000, 7000, 7000))
    assert thick.metadata["unit"] == "HU"
    monkeypatch.setattr(sys, "argv", ["napari-llcm", "phantom", str(tmp_path), "--ratio", "4"])
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == 2
    assert "go with --thick" in capsys.readouterr().err


def test_a_stopped_job_keeps_what_is_whole(tmp_path: Path) -> None:
    asked = iter([False, True])
    job = write_phantoms(
        tmp_path, 3, (12, 32, 32), spacing=(3000, 9000, 9000), thick=ThickOptions(ratio=3),
        should_stop=lambda: next(asked),
    )  # fmt: skip
    end = list(job)[-1]
    assert isinstance(end, Finished)
    assert end.value == ["phantom-0000"]


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"size": (4, 64, 64)}, "8 to 1024"),
        ({"kernel": "bone"}, "soft, medium, sharp"),
        ({"noise": -1}, "noise"),
        ({"spacing": (0, 1, 1)}, "voxel size"),
    ],
)
def test_settings_that_make_no_phantom(settings: dict[str, object], words: str) -> None:
    with pytest.raises(UserError, match=words):
        make_phantom(**settings)  # type: ignore[arg-type]
