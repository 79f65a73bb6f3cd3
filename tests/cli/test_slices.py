"""Thick slices, planes between them, and how good these are, on the command line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np

from napari_llcm.phantom import make_phantom
from napari_llcm.volumes import Volume, read, write

Run = Callable[..., tuple[int, str, str]]
THIN = Volume(
    np.random.default_rng(0).normal(0, 100, (50, 5, 6)).astype("f4"),
    (1000.0, 700.0, 700.0),
    name="thin",
    origin=(7.0, 8.0, 9.0),
)


def test_thick_slices_and_planes_between_them(cli: Run, tmp_path: Path) -> None:
    path = write(tmp_path / "thin.nii.gz", THIN)
    out, truth = tmp_path / "thick.nii.gz", tmp_path / "truth.ome.zarr"
    options = ("--ratio", 4, "--thickness", 1.5, "--truth", truth)
    code, said, err = cli("slices", "thicken", path, out, *options)
    assert code == 0, err
    assert "12 planes, 4000 apart" in said
    assert (read(out).shape[0], read(truth).shape[0]) == (12, 48)
    code, _, err = cli(
        "slices", "interpolate", out, tmp_path / "b.nii.gz", "--planes", 48, "--cubic"
    )
    assert code == 0, err
    again = read(tmp_path / "b.nii.gz")
    assert again.shape == (48, 5, 6)
    np.testing.assert_allclose(again.place((47, 0, 0)), read(truth).place((47, 0, 0)), rtol=1e-5)
    code, _, err = cli("slices", "interpolate", out, out, "--overwrite")
    assert code == 2
    assert "is the input" in err
    code, _, err = cli("slices", "thicken", path, tmp_path / "c.nii.gz", "--profile", "box")
    assert code == 2
    assert "choose slab" in err


def test_restored_stacks_are_compared(cli: Run, tmp_path: Path) -> None:
    phantom = make_phantom((24, 48, 48), 2, spacing=(2000, 7000, 7000))
    path = write(tmp_path / "thin.nii.gz", phantom.thin)
    thick, truth, both = (tmp_path / f"{name}.nii.gz" for name in ("thick", "truth", "cubic"))
    assert cli("slices", "thicken", path, thick, "--ratio", 4, "--truth", truth)[0] == 0
    assert cli("slices", "interpolate", thick, both, "--ratio", 4, "--cubic")[0] == 0
    out = tmp_path / "figures.json"
    code, said, err = cli("slices", "compare", truth, both, truth, "--out", out)
    assert code == 0, err
    assert "mean error (HU)" in said
    figures = json.loads(out.read_text())["stacks"]
    assert figures[str(truth)]["psnr"] == 100
    assert 10 < figures[str(both)]["psnr"] < 40
    # what a mask leaves out counts for nothing
    wrong, mask = read(both), np.ones((24, 48, 48), np.uint8)
    changed = wrong.numpy().copy()
    changed[:, :, :24] += 300
    mask[:, :, :24] = 0
    spoilt = write(tmp_path / "spoilt.nii.gz", wrong.replace(data=changed))
    where = write(tmp_path / "mask.nii.gz", wrong.replace(data=mask, metadata={}))
    code, _, err = cli("slices", "compare", truth, both, spoilt, "--mask", where, "--out", out)
    assert code == 0, err
    one, other = json.loads(out.read_text())["stacks"].values()
    assert one["mae"] == other["mae"]
    wide = ("--centre", -600, "--width", 1500)
    code, _, err = cli("slices", "compare", truth, both, *wide, "--out", out)
    assert code == 0, err
    assert json.loads(out.read_text())["stacks"][str(both)]["data_range"] == 1500
    code, _, err = cli("slices", "compare", truth, thick)
    assert code == 2
    assert "one grid" in err
