"""Plates on the command line: staining, and what is said of wrong options."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from napari_llcm.models import read_info
from napari_llcm.specimen import Specimen, make_specimen
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


def test_a_plate_makes_no_folder_of_a_files_name(cli: Run, tmp_path: Path) -> None:
    source = make_plate(tmp_path / "p.zarr", wells=("A/1",), fields=("0",))
    code, _, err = cli("stain", source, tmp_path / "o.ome.tif", *QUICK)
    assert code == 2
    assert "name a plate (.zarr) or a folder for its results" in " ".join(err.split())
    assert "A/1/0" in err
    assert not (tmp_path / "o.ome.tif").exists()


def test_stain_names_the_option_of_a_choice(cli: Run, tmp_path: Path) -> None:
    source = make_plate(tmp_path / "p.zarr", wells=("A/1",), fields=("0",), channels=("BF", "GFP"))
    code, _, err = cli("stain", source, *QUICK)
    assert code == 2
    assert "2 channels (BF, GFP), of which one is needed: add --channel BF" in " ".join(err.split())
    more = ("--plate-channels", "all", "--ome-zarr", "0.5", "--prediction", "Nuclei")
    out = tmp_path / "o.zarr"
    code, _, err = cli("stain", source, out, "--channel", "BF", *more, *QUICK)
    assert code == 0, err
    assert open_plate(out).version == "0.5"
    assert read(out, image="A/1/0").channels == ("BF", "GFP", "Nuclei_prediction")
    code, _, err = cli("stain", source, out, "--ome-zarr", "0.6")
    assert code == 2
    assert "--ome-zarr does not fit" in err
    code, _, err = cli("stain", out / "A" / "1" / "0")
    assert code == 2
    assert "Name the result too" in err


@pytest.fixture(scope="module")
def specimens() -> list[Specimen]:
    return [make_specimen(size=(16, 64, 64), seed=20 + i, difficulty="easy") for i in range(2)]


@pytest.fixture
def dynacell(specimens: list[Specimen], tmp_path: Path) -> Path:
    """A store of the layout of DynaCell's: pooled fields "0/0/fovNNNN", phase first, H2B last."""
    shape = specimens[0].qpi.shape

    def voxels(well: str, field: str, time: int, channel: str) -> np.ndarray:
        one = specimens[(int(field[3:]) + time) % 2]
        return {
            "Phase3D": one.qpi.numpy(),
            "Brightfield": np.full(shape, 7.0),
            "Nuclei": one.dapi.numpy(),
        }[channel]

    return make_plate(
        tmp_path / "H2B_mock.zarr",
        "0.5",
        wells=("0/0",),
        fields=("fov0000", "fov0001"),
        channels=("Phase3D", "Brightfield", "Nuclei"),
        shape=(2, *shape),
        voxels=voxels,
    )


def table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_nuclei_writes_a_table_for_each_well(
    cli: Run, specimens: list[Specimen], tmp_path: Path
) -> None:
    def voxels(well: str, field: str, time: int, channel: str) -> np.ndarray:
        one = specimens[time]
        return one.dapi.numpy() if channel == "dapi_prediction" else one.qpi.numpy()

    shape = (2, *specimens[0].qpi.shape)
    channels = ("Phase3D", "dapi_prediction")
    plate = make_plate(tmp_path / "p.zarr", channels=channels, shape=shape, voxels=voxels)
    before, out = contents(plate), tmp_path / "nuclei"
    call = ("nuclei", "--stain", plate, "--out", out, "--segmenter", "classical")
    code, said, err = cli(*call)
    assert code == 0, err
    assert contents(plate) == before
    assert sorted(p.name for p in out.iterdir()) == [
        "A_1.csv",
        "B_2.csv",
        "plate.json",
        "wells.csv",
    ]
    rows = table(out / "A_1.csv")
    assert {(r["field"], r["time"]) for r in rows} == {(f, t) for f in "01" for t in "01"}
    wells = table(out / "wells.csv")
    assert [w["well"] for w in wells] == ["A/1", "B/2"]
    assert [int(w["nuclei"]) for w in wells] == [len(rows)] * 2
    assert float(wells[0]["nuclei_per_stack"]) == len(rows) / 4
    assert f"{2 * len(rows)} nuclei in 2 wells" in " ".join(said.split())

    state = json.loads((out / "plate.json").read_text())  # as a job killed in the second well
    del state["wells"]["B/2"]
    (out / "plate.json").write_text(json.dumps(state))
    kept = (out / "B_2.csv").read_bytes()
    (out / "B_2.csv").unlink()
    (out / "A_1.csv").touch()
    code, said, err = cli(*call)
    assert code == 0, err
    assert "1 of 2 wells were checked already" in " ".join(err.split())
    assert (out / "B_2.csv").read_bytes() == kept
    assert f"{2 * len(rows)} nuclei in 2 wells" in " ".join(said.split())
    code, _, err = cli(*call, "--diameter", 9)
    assert code == 2
    assert "of other settings" in err


def test_nuclei_of_a_plate_are_compared_with_a_channel_of_it(cli: Run, dynacell: Path) -> None:
    out = dynacell.parent / "nuclei"
    call = ("nuclei", "--stain", dynacell, "--truth", dynacell, "--out", out)
    call = (*call, "--segmenter", "classical", "--image", "0/0/fov0001")
    code, _, err = cli(*call, "--stain-channel", "Nuclei")
    assert code == 2
    assert "of which one is needed: add --truth-channel Phase3D" in " ".join(err.split())
    code, _, err = cli(*call, "--stain-channel", "Nuclei", "--truth-channel", "Nuclei")
    assert code == 0, err
    (well,) = table(out / "wells.csv")
    assert well["f1"] == "1.0"
    assert well["found"] == well["nuclei"] == well["truth_nuclei"]
    assert {r["field"] for r in table(out / "0_0.csv")} == {"fov0001"}


def test_a_model_is_trained_on_channels_of_a_plate(cli: Run, dynacell: Path) -> None:
    """The recipe of docs/plates.md, on a store of the same layout; the network is small."""
    out, job = dynacell.parent / "run", dynacell.parent / "job.yaml"
    before = contents(dynacell)
    code, _, err = cli("train", "--pairs", dynacell, "--out", out)
    assert code == 2
    words = "has the channels Phase3D, Brightfield, Nuclei, of which one is the dapi: add"
    assert words in " ".join(err.split())
    assert "--dapi-channel Brightfield" in " ".join(err.split())
    small = {f"{n}_widths": [4, 4] for n in ("encoder", "decoder", "condition", "unet")}
    told = {
        "pairs": str(dynacell),
        "out": str(out),
        "reading": {"qpi": {"channel": "Phase3D"}, "dapi": {"channel": "Nuclei"}},
        "network": {"latent_channels": 2, **small},
        "patch": [8, 32, 32],
        "vae_phase": {"steps": 2},
        "method_phase": {"steps": 2},
        "tensorboard": False,
        "device": "cpu",
    }
    job.write_text(json.dumps(told))
    code, said, err = cli("train", job, "--events", "-")
    assert code == 0, err + said
    info = read_info(out / "model")
    assert info.spacing == (0.5, 0.25, 0.25)
    assert contents(dynacell) == before
    job.write_text(json.dumps(told | {"out": str(dynacell / "run")}))
    code, _, err = cli("train", job)
    assert code == 2
    assert "input" in err
