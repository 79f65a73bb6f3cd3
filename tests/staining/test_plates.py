"""A plate is stained into a plate beside it, field by field; what is killed is gone on with."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr

from napari_llcm.events import Finished, Notice, Tile, UserError
from napari_llcm.models import ModelBundle
from napari_llcm.staining import PlateOptions, StainOptions, Tiling, stain_plate
from napari_llcm.volumes import ChoiceNeeded, ReadOptions, channel_writing, read, write
from napari_llcm.volumes.plates import open_plate
from plates import contents, make_plate, validate
from stains import make_volume, stained

TILES = Tiling(tile=(8, 16, 16), block=(16, 32, 32))
OPTIONS = StainOptions(device="cpu", tiling=TILES)
NAMES = ["A/1/0", "A/1/1", "B/2/0", "B/2/1"]

# stains a plate in a process of its own, and waits after so many tiles
_OTHER = """
import importlib
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[3])
import torch
from stains import make_model
from napari_llcm.events import Tile
from napari_llcm.staining import PlateOptions, StainOptions, Tiling, stain_plate
for name in ("models.device", "staining.pipeline", "staining.tiled", "staining.stainer"):
    importlib.import_module(f"napari_llcm.{name}").precision = lambda device: torch.float32
tiles = 0
options = StainOptions(device="cpu", tiling=Tiling(tile=(8, 16, 16), block=(16, 32, 32)))
plates = PlateOptions(plate_channels=sys.argv[5])
source, out = Path(sys.argv[1]), Path(sys.argv[2])
for event in stain_plate(source, out, make_model(), options, plates=plates):
    tiles += isinstance(event, Tile)
    if tiles == int(sys.argv[4]):
        print("there", flush=True)
        sys.stdin.readline()
"""


def staining(source: Path, out: Path | None, model: ModelBundle, **more: Any) -> list[Any]:
    options = more.pop("options", OPTIONS)
    return list(stain_plate(source, out, model, options, **more))


def result_of(events: list[Any]) -> dict[str, Any]:
    assert isinstance(events[-1], Finished)
    return events[-1].result


@pytest.mark.versions
@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_a_plate_goes_in_and_out(model: ModelBundle, tmp_path: Path, version: str) -> None:
    source = make_plate(tmp_path / "p.zarr", version)
    before = contents(source)
    result = result_of(events := staining(source, None, model))
    out = tmp_path / "p virtual DAPI.zarr"
    assert result["out"] == str(out)
    assert result["written"] == NAMES
    assert contents(source) == before
    assert sorted(p.name for p in tmp_path.iterdir()) == [out.name, source.name]
    validate(out)
    plate, given = open_plate(out), open_plate(source)
    assert (plate.version, plate.rows, plate.columns) == (version, given.rows, given.columns)
    assert plate.attributes["acquisitions"] == given.attributes["acquisitions"]
    assert [f.acquisition for f in plate.all_fields()] == [0] * 4
    for field in plate.all_fields():
        assert field.is_there
        group: Any = zarr.open_group(field.path, mode="r")
        assert group["0"].shape == (2, 1, 8, 32, 32)
        told = group.attrs.asdict()
        (channel,) = told.get("ome", told)["omero"]["channels"]
        assert channel["label"] == "dapi_prediction"
        assert channel["window"]["min"] == pytest.approx(group["0"][1].min())
        phase = read(source, image=field.name)
        for time in (0, 1):
            alone = stained(phase.select("Phase3D", time), model, tiling=TILES)
            np.testing.assert_allclose(group["0"][time, 0], alone, rtol=1e-5)
        assert read(field.path).spacing == (0.5, 0.25, 0.25)
        assert read(field.path).metadata["model"] == "test"
    said = [e.text for e in events if isinstance(e, Notice)]
    assert sum("Phase3D, GFP: Phase3D is taken" in text for text in said) == 1  # not for each


@pytest.mark.parametrize(
    ("tiles", "channels"), [(1, "predictions"), (6, "predictions"), (19, "all"), (32, "all")]
)
def test_a_killed_job_is_gone_on_with_to_the_same_bytes(
    model: ModelBundle, tmp_path: Path, tiles: int, channels: Any
) -> None:
    source = make_plate(tmp_path / "p.zarr", "0.5")
    out, whole = tmp_path / "a" / "out.zarr", tmp_path / "b" / "out.zarr"
    options = PlateOptions(plate_channels=channels)
    arguments = [str(source), str(out), str(Path(__file__).parents[1]), str(tiles), channels]
    with subprocess.Popen(
        [sys.executable, "-c", _OTHER, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "there\n"
        child.send_signal(signal.SIGKILL if sys.platform != "win32" else signal.SIGTERM)
    events = staining(source, out, model, plates=options)
    fresh = sum(isinstance(e, Tile) for e in events)
    assert fresh <= 33 - tiles  # 2 x 2 x 2 stacks of 4 tiles; the last may not be noted
    result = result_of(events)
    assert result["there"] + len(result["written"]) == 4
    staining(source, whole, model, plates=options)
    assert contents(out) == contents(whole)
    validate(out)


@pytest.mark.parametrize("version", ["0.4", "0.5"])
@pytest.mark.parametrize("step", ["write_plate_metadata", "write_well_metadata"])
def test_a_frame_that_was_not_finished_is_known_again(
    model: ModelBundle,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    version: str,
    step: str,
) -> None:
    source, out, whole = make_plate(tmp_path / "p.zarr", version), tmp_path / "o", tmp_path / "w"

    class Killed(BaseException):
        pass

    def die(*_: Any, **__: Any) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(f"ome_zarr.writer.{step}", die)
        with pytest.raises(Killed):
            staining(source, out / "p.zarr", model)
    if step == "write_plate_metadata":  # and before anything was written into the group
        (out / "p.zarr" / ("zarr.json" if version == "0.5" else ".zattrs")).write_text(
            '{"zarr_format": 3, "node_type": "group", "attributes": {}}'
            if version == "0.5"
            else "{}"
        )
    staining(source, out / "p.zarr", model)
    staining(source, whole / "p.zarr", model)
    left = out / "p.zarr" / "A" / "1"
    (left / ".0.t1.staining.jsonl").write_text("{}\n")  # killed right after a rename
    (left / ".0.running.json").write_text("{}")
    staining(source, out / "p.zarr", model)
    assert contents(out) == contents(whole)


def test_channels_of_the_input_go_along(model: ModelBundle, tmp_path: Path) -> None:
    source = make_plate(tmp_path / "p.zarr", "0.4", fields=("0",), dtype="uint16")
    staining(source, tmp_path, model, plates=PlateOptions(plate_channels="all", ome_zarr="0.5"))
    out = tmp_path / "p virtual DAPI.zarr"
    validate(out)
    assert open_plate(out).version == "0.5"
    volume = read(out, image="A/1/0")
    assert volume.channels == ("Phase3D", "GFP", "dapi_prediction")
    given = read(source, image="A/1/0").numpy()
    np.testing.assert_array_equal(volume.numpy()[:, :2], given)
    again = staining(out, tmp_path / "b.zarr", model, plates=PlateOptions(plate_channels="all"))
    assert "has a channel dapi_prediction already" in result_of(again)["reasons"][0]


def test_a_choice_of_channel_is_asked_for_once(model: ModelBundle, tmp_path: Path) -> None:
    source = make_plate(tmp_path / "p.zarr", channels=("BF", "GFP"))
    with pytest.raises(ChoiceNeeded, match=r"has 2 channels \(BF, GFP\), of which one is needed"):
        staining(source, None, model)
    assert [p.name for p in tmp_path.iterdir()] == ["p.zarr"]
    reading = ReadOptions(channel="BF", time=1, image="B/2")
    result = result_of(staining(source, tmp_path / "o.zarr", model, reading=reading))
    assert result["written"] == ["B/2/0", "B/2/1"]
    assert open_plate(tmp_path / "o.zarr").wells == ("B/2",)
    assert read(tmp_path / "o.zarr" / "B" / "2" / "0").shape == (8, 32, 32)


def test_a_field_that_cannot_be_stained_is_named(model: ModelBundle, tmp_path: Path) -> None:
    source = make_plate(tmp_path / "p.zarr", "0.5")
    group: Any = zarr.open_group(source / "A" / "1" / "1", mode="r+")
    group["0"][:] = 1
    out = tmp_path / "o.zarr"
    result = result_of(staining(source, out, model))
    assert result["failed"] == ["A/1/1"]
    assert "same value" in result["reasons"][0]
    assert result["written"] == ["A/1/0", "B/2/0", "B/2/1"]
    validate(out)  # it names the fields that it has
    assert [f.name for f in open_plate(out).all_fields()] == ["A/1/0", "B/2/0", "B/2/1"]
    rng = np.random.default_rng(0)
    group["0"][:] = rng.normal(size=group["0"].shape)
    again = result_of(staining(source, out, model))
    assert (again["there"], again["written"], again["failed"]) == (3, ["A/1/1"], [])
    assert [f.name for f in open_plate(out).all_fields()] == NAMES


def test_results_of_two_ways_are_never_mixed(model: ModelBundle, tmp_path: Path) -> None:
    source, out = make_plate(tmp_path / "p.zarr", fields=("0",)), tmp_path / "o.zarr"
    staining(source, out, model)
    other = OPTIONS.changed(seed=5)
    with pytest.raises(UserError, match=r"made in another way \(seed\)"):
        staining(source, out, model, options=other)
    before = contents(out)
    staining(source, out, model, options=other.changed(overwrite=True))
    assert contents(out).keys() == before.keys()
    assert contents(out) != before
    strange = make_plate(tmp_path / "strange.zarr")
    kept = contents(strange)
    for overwrite in (False, True):
        with pytest.raises(UserError, match="is no plate of results"):
            staining(source, strange, model, options=OPTIONS.changed(overwrite=overwrite))
    assert contents(strange) == kept
    for inside in (source, source / "x.zarr"):
        with pytest.raises(UserError, match="input"):
            staining(source, inside, model)


def test_parts_of_a_plate_fill_one_result(model: ModelBundle, tmp_path: Path) -> None:
    source, out, whole = make_plate(tmp_path / "p.zarr"), tmp_path / "o.zarr", tmp_path / "w.zarr"
    first = result_of(staining(source, out, model, part=(0, 3)))
    assert first["written"] == ["A/1/0", "B/2/1"]
    for number in (2, 1):
        staining(source, out, model, part=(number, 3))
    staining(source, whole, model)
    assert contents(out) == contents(whole)
    with pytest.raises(UserError, match="cannot overwrite"):
        staining(source, out, model, part=(0, 3), options=OPTIONS.changed(overwrite=True))


def test_a_stop_keeps_what_is_done(model: ModelBundle, tmp_path: Path) -> None:
    source, out = make_plate(tmp_path / "p.zarr"), tmp_path / "o.zarr"
    events: list[Any] = []

    def enough() -> bool:
        return sum(isinstance(e, Tile) for e in events) > 9

    for event in stain_plate(source, out, model, OPTIONS, should_stop=enough):
        events.append(event)
    assert result_of(events)["stopped"]
    assert result_of(events)["written"] == ["A/1/0"]
    again = result_of(staining(source, out, model))
    assert (again["there"], again["written"]) == (1, NAMES[1:])
    validate(out)


def test_a_stack_is_no_plate(model: ModelBundle, tmp_path: Path) -> None:
    path = write(tmp_path / "a.ome.zarr", make_volume((8, 16, 16)))
    with pytest.raises(UserError, match="is no plate"):
        staining(path, None, model)


INTO = PlateOptions(plate_channels="input")


def pyramid(path: Path) -> None:
    """Give each field a second level, of every other voxel."""
    for field in open_plate(path).all_fields():
        group: Any = zarr.open_group(field.path, mode="r+")
        level = group["0"][:, :, ::2, ::2, ::2]
        old = group.metadata.zarr_format == 2
        keys: dict[str, Any] = {"dimension_names": list("tczyx")}
        if old:
            keys = {"chunk_key_encoding": {"name": "v2", "separator": "/"}}
        group.create_array("1", data=level, chunks=(1, 1, 4, 16, 16), **keys)
        attributes = group.attrs.asdict()
        told = attributes if old else attributes["ome"]
        scale = [{"type": "scale", "scale": [1.0, 1.0, 1.0, 0.5, 0.5]}]
        told["multiscales"][0]["datasets"].append({"path": "1", "coordinateTransformations": scale})
        group.attrs.update(attributes)


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_only_if_it_is_asked_for_the_input_gets_the_channel(
    model: ModelBundle, tmp_path: Path, version: str
) -> None:
    path = make_plate(tmp_path / "p.zarr", version)
    pyramid(path)
    validate(path)
    given = {f.name: read(f.path).numpy() for f in open_plate(path).all_fields()}
    before = contents(path)
    staining(path, tmp_path / "o.zarr", model)
    result = result_of(staining(path, None, model, plates=INTO))
    assert (result["out"], result["written"]) == (str(path), NAMES)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["o.zarr", "p.zarr"]
    validate(path)
    after = contents(path)
    voxels = {k for k in before if not Path(k).name.startswith((".z", "zarr.json"))}
    assert {k: after[k] for k in voxels} == {k: before[k] for k in voxels}
    for field in open_plate(path).all_fields():
        volume = read(field.path)
        assert volume.channels == ("Phase3D", "GFP", "dapi_prediction")
        np.testing.assert_array_equal(volume.numpy()[:, :2], given[field.name])
        predicted = read(tmp_path / "o.zarr", image=field.name).numpy()
        np.testing.assert_array_equal(volume.numpy()[:, 2], predicted)
        half: Any = zarr.open_group(field.path, mode="r")["1"]
        blocks = predicted.reshape(2, 4, 2, 16, 2, 16, 2).mean((2, 4, 6))
        np.testing.assert_allclose(half[:, 2], blocks, rtol=1e-5)
    again = result_of(staining(path, None, model, plates=INTO))
    assert (again["there"], again["written"]) == (4, [])
    assert contents(path) == after


@pytest.mark.parametrize("moment", ["_fill", "_name"])
def test_a_channel_that_was_not_finished_is_written_anew(
    model: ModelBundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    """Ended while a channel is added: the same call finishes it."""
    path = make_plate(tmp_path / "p.zarr", "0.5", fields=("0",))
    whole = make_plate(tmp_path / "w" / "p.zarr", "0.5", fields=("0",))
    staining(whole, None, model, plates=INTO)

    class Killed(BaseException):
        pass

    def die(*_: Any) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(channel_writing, moment, die)
        with pytest.raises(Killed):
            staining(path, None, model, plates=INTO)
    assert read(path, image="A/1/0").channels[:2] == ("Phase3D", "GFP")
    result = result_of(staining(path, None, model, plates=INTO))
    assert result["written"] == ["A/1/0", "B/2/0"]

    def same(store: Path) -> dict[str, bytes]:  # but for where it lies
        return {k: v.replace(str(store).encode(), b"") for k, v in contents(store).items()}

    assert same(path) == same(whole)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["p.zarr", "w"]


def test_an_input_that_cannot_take_a_channel_is_left_alone(
    model: ModelBundle, tmp_path: Path
) -> None:
    counts = make_plate(tmp_path / "counts.zarr", "0.5", fields=("0",), dtype="uint16")
    packed = make_plate(tmp_path / "packed.zarr", "0.5", fields=("0",))
    group: Any = zarr.open_group(packed / "B" / "2" / "0", mode="r+")
    group.create_array("0", data=group["0"][:], chunks=(1, 2, 8, 32, 32), overwrite=True)
    told = make_plate(tmp_path / "told.zarr", "0.4", fields=("0",))
    zarr.consolidate_metadata(told)
    for path, words in (
        (counts, "holds uint16"),
        (packed, "2 channels in one chunk"),
        (told, "are consolidated"),
    ):
        before = contents(path)
        with pytest.raises(UserError, match=words):
            staining(path, None, model, plates=INTO)
        assert contents(path) == before
    good = make_plate(tmp_path / "good.zarr", fields=("0",))
    with pytest.raises(UserError, match="give no output"):
        staining(good, tmp_path / "o.zarr", model, plates=INTO)
    with pytest.raises(UserError, match="choose no time point"):
        staining(good, None, model, plates=INTO, reading=ReadOptions(time=0))
    with pytest.raises(UserError, match="are not replaced"):
        staining(good, None, model, plates=INTO, options=OPTIONS.changed(overwrite=True))
