"""Plates on the command line: staining, and what is said of wrong options."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from napari_llcm.volumes import read
from napari_llcm.volumes.plates import open_plate
from plates import contents, make_plate, validate

Run = Callable[..., tuple[int, str, str]]
QUICK = ("--device", "cpu", "--no-check")


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_stain_takes_a_plate(cli: Run, tmp_path: Path, version: str) -> None:
    source = make_plate(tmp_path / "p.zarr", version)
    before = contents(source)
    code, out, err = cli("stain", source, *QUICK)
    assert code == 0, err
    made = tmp_path / "p virtual DAPI.zarr"
    assert f"Stained 4 fields into {made}; 0 failed." in " ".join(out.split())
    validate(made)
    assert contents(source) == before
    code, out, err = cli("stain", source, *QUICK)
    assert code == 0, err
    assert "4 of 4 fields of" in " ".join(err.split())
    assert "4 were there already" in " ".join(out.split())


def test_stain_names_the_option_of_a_choice(cli: Run, tmp_path: Path) -> None:
    source = make_plate(tmp_path / "p.zarr", wells=("A/1",), fields=("0",), channels=("BF", "GFP"))
    code, _, err = cli("stain", source, *QUICK)
    assert code == 2
    assert "2 channels (BF, GFP), of which one is needed: add --channel BF" in " ".join(err.split())
    out, more = tmp_path / "o.zarr", ("--plate-channels", "all", "--ome-zarr", "0.5")
    code, _, err = cli("stain", source, out, "--channel", "BF", *more, *QUICK)
    assert code == 0, err
    assert open_plate(out).version == "0.5"
    assert read(out, image="A/1/0").channels == ("BF", "GFP", "dapi_prediction")
    code, _, err = cli("stain", source, out, "--ome-zarr", "0.6")
    assert code == 2
    assert "--ome-zarr does not fit" in err
    code, _, err = cli("stain", out / "A" / "1" / "0")
    assert code == 2
    assert "Name the result too" in err
