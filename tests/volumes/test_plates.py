"""Plates (OME-Zarr HCS) are looked into well by well; what they name is never taken on trust."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_llcm.events import UserError
from napari_llcm.tasks import Task
from napari_llcm.volumes import ChoiceNeeded, PairReadOptions, StackChoice, find_pairs, read
from napari_llcm.volumes.plates import is_plate, open_plate
from plates import make_plate, validate
from tiny import TWO

VERSIONS = ("0.4", "0.5")


@pytest.mark.versions
@pytest.mark.parametrize("version", VERSIONS)
def test_a_plate_names_its_wells_and_a_well_its_fields(tmp_path: Path, version: str) -> None:
    path = make_plate(tmp_path / "p.zarr", version, wells=("A/1", "B/02"), fields=("0", "fov7"))
    validate(path)  # so the tests are of true plates
    assert is_plate(path)
    assert not is_plate(path / "A" / "1")
    assert not is_plate(tmp_path / "nothing.zarr")
    plate = open_plate(path)
    assert (plate.version, plate.name) == (version, "p")
    assert (plate.rows, plate.columns) == (("A", "B"), ("02", "1"))
    assert plate.wells == ("A/1", "B/02")
    assert [f.name for f in plate.fields("B/02")] == ["B/02/0", "B/02/fov7"]
    assert [f.name for f in plate.all_fields("A/1")] == ["A/1/0", "A/1/fov7"]
    assert [f.name for f in plate.all_fields("B/02/0")] == ["B/02/0"]
    assert len(list(plate.all_fields())) == 4
    volume = read(path, image="B/02/fov7")
    assert volume.axes == "tczyx"
    assert volume.channels == ("Phase3D", "GFP")
    assert volume.spacing == (0.5, 0.25, 0.25)


@pytest.mark.parametrize("version", VERSIONS)
def test_no_well_is_looked_into_to_show_a_plate(tmp_path: Path, version: str) -> None:
    """A plate is shown by its own file: the wells need not even be there."""
    path = make_plate(tmp_path / "p.zarr", version)
    (path / "A" / "1" / ("zarr.json" if version == "0.5" else ".zattrs")).write_text("{")
    plate = open_plate(path)
    assert plate.wells == ("A/1", "B/2")
    assert [f.name for f in plate.fields("B/2")] == ["B/2/0", "B/2/1"]
    with pytest.raises(UserError, match="damaged"):
        plate.fields("A/1")
    (path / "A" / "1").rename(tmp_path / "away")
    with pytest.raises(UserError, match="names a well A/1, but"):
        plate.fields("A/1")


def test_what_is_not_there_is_said(tmp_path: Path) -> None:
    plate = open_plate(make_plate(tmp_path / "p.zarr"))
    for missing in ("C/9", "A/1/7", "A"):
        with pytest.raises(UserError, match=r"no well or field .*its wells are A/1, B/2"):
            list(plate.all_fields(missing))
    with pytest.raises(UserError, match="is no plate"):
        open_plate(tmp_path / "p.zarr" / "A" / "1")


@pytest.mark.parametrize(
    ("told", "words"),
    [
        ([{"path": "../../x"}], "is no row and column|holds /|nothing but dots"),
        ([{"path": "../x"}], "nothing but dots"),
        ([{"path": "A"}], "no row and column"),
        ([{"name": "A/1"}], "list of wells cannot be read"),
        ([3], "list of wells cannot be read"),
    ],
)
def test_a_plate_names_no_place_outside_itself(tmp_path: Path, told: Any, words: str) -> None:
    path = make_plate(tmp_path / "p.zarr", "0.5")
    file = path / "zarr.json"
    known = json.loads(file.read_text())
    known["attributes"]["ome"]["plate"]["wells"] = told
    file.write_text(json.dumps(known))
    with pytest.raises(UserError, match=words):
        open_plate(path)


def test_a_field_names_no_place_outside_its_well(tmp_path: Path) -> None:
    path = make_plate(tmp_path / "p.zarr", "0.5")
    file = path / "A" / "1" / "zarr.json"
    known = json.loads(file.read_text())
    known["attributes"]["ome"]["well"]["images"] = [{"path": "../../../x"}]
    file.write_text(json.dumps(known))
    with pytest.raises(UserError, match=r"field of well A/1 .*holds /"):
        open_plate(path).fields("A/1")


def test_each_field_and_time_point_of_a_plate_is_a_pair(tmp_path: Path) -> None:
    names = ("Phase3D", "Brightfield", "Nuclei")
    path = make_plate(tmp_path / "p.zarr", "0.5", channels=names)
    reading = PairReadOptions(dapi=StackChoice(channel="Nuclei"))
    pairs = find_pairs(path, reading)
    assert [p.name for p in pairs[:3]] == ["A_1_0_t0", "A_1_0_t1", "A_1_1_t0"]
    assert len(pairs) == 8
    assert pairs.notes == (f"{path} has the channels {', '.join(names)}: Phase3D as qpi is taken.",)
    qpi, dapi, labels = pairs[3].read()
    whole = read(path, image="A/1/1").numpy()
    np.testing.assert_array_equal(qpi.numpy(), whole[1, 0])
    np.testing.assert_array_equal(dapi.numpy(), whole[1, 2])
    assert labels is None
    assert qpi.notes == dapi.notes == ()  # it was said once, of the plate
    one = find_pairs(path, reading.model_copy(update={"image": "B/2", "time": 1}))
    assert [p.name for p in one] == ["B_2_0", "B_2_1"]
    np.testing.assert_array_equal(one[0].read()[0].numpy(), read(path, image="B/2/0").numpy()[1, 0])
    with pytest.raises(ChoiceNeeded, match="of which one is the dapi") as asked:
        find_pairs(path)
    assert (asked.value.role, asked.value.option) == ("dapi", "channel")


def test_channels_of_another_task_go_by_their_names(tmp_path: Path) -> None:
    task = Task.model_validate(TWO)
    path = make_plate(tmp_path / "p.zarr", channels=("Nuclei", "membrane", "phase", "Bright"))
    pairs = task.find_pairs(path)
    inputs, outputs, _ = pairs[0].stacks()
    whole = read(path, image="A/1/0").numpy()
    np.testing.assert_array_equal([v.numpy() for v in inputs], whole[0, [2, 3]])
    np.testing.assert_array_equal([v.numpy() for v in outputs], whole[0, [0, 1]])
    other = make_plate(tmp_path / "q.zarr", channels=("Nuclei", "phase", "Bright"))
    with pytest.raises(UserError, match="one of them has to be called membrane"):
        task.find_pairs(other)
