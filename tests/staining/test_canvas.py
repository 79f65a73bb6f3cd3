"""Staining for somebody who watches: a canvas, a region, the place that is looked at."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import pytest

from napari_llcm.events import Notice, Progress, Tile, UserError
from napari_llcm.models import ModelBundle
from napari_llcm.specimen import Specimen
from napari_llcm.staining import (
    Canvas,
    Focus,
    StainOptions,
    Tiling,
    stain_files,
    stain_times,
)
from napari_llcm.staining import memory as memory_module
from napari_llcm.tasks import Channel
from napari_llcm.tasks.normalise import Scaling, qpi_scaling
from napari_llcm.tasks.registry import STAIN, SUPERRES, SUPERRES_CT
from napari_llcm.volumes import Volume, read, write
from stains import SMALL, difference, make_model, make_volume, run, stained, staining

CPU = StainOptions(device="cpu")
TILING = Tiling((8, 16, 16), (8, 32, 32))


def paint(volume: Volume, model: ModelBundle, canvas: Canvas, **options: Any) -> list[Any]:
    options = {"tiling": TILING, **options}
    return run(staining(volume, model, out=canvas, **options))[1]


def tiles(events: list[Any]) -> list[Any]:
    return [e for e in events if isinstance(e, Tile)]


def test_a_region_is_stained_as_in_the_whole_and_nothing_else_is(model: ModelBundle) -> None:
    volume = make_volume((16, 64, 80))
    whole, canvas = stained(volume, model), Canvas(np.zeros(volume.shape, np.float32))
    box = ((9, 10), (20, 40), (50, 60))
    events = paint(volume, model, canvas, focus=Focus(region=lambda: box))
    assert len(tiles(events)) == 2
    done = canvas.array[8:10, 20:40, 48:60]  # as far as whole latent sites reach
    assert difference(done, whole[8:10, 20:40, 48:60]) < 1e-4
    assert np.count_nonzero(canvas.array) <= done.size
    assert not canvas.complete
    assert len(tiles(paint(volume, model, canvas))) == 40  # parts of tiles are done again
    assert canvas.complete
    progress = [e for e in events if isinstance(e, Progress)]
    assert progress[-1].done == pytest.approx(100)


def test_a_canvas_is_gone_on_with_until_it_is_complete(model: ModelBundle) -> None:
    volume = make_volume((16, 64, 80))
    canvas = Canvas(np.zeros(volume.shape, np.float32))
    begun = staining(volume, model, out=canvas, tiling=TILING)
    for _ in range(7):
        while not isinstance(next(begun), Tile):
            pass
    begun.close()
    assert len(tiles(paint(volume, model, canvas))) == 2 * 4 * 5 - 7
    assert canvas.complete
    assert difference(canvas.array, stained(volume, model)) < 1e-4
    assert tiles(paint(volume, model, canvas)) == []
    assert len(tiles(paint(volume, model, canvas, seed=4))) == 40
    assert difference(canvas.array, stained(volume, model, seed=4)) < 1e-4


def test_stopping_leaves_the_canvas_as_it_is(model: ModelBundle) -> None:
    volume = make_volume((16, 64, 80))
    canvas, seen = Canvas(np.zeros(volume.shape, np.float32)), list[Any]()
    job = staining(volume, model, out=canvas, tiling=TILING, should_stop=lambda: len(seen) > 2)
    for event in job:
        seen += [event] if isinstance(event, Tile) else []
    assert event.result["stopped"]
    assert event.value.data is canvas.array
    assert len(seen) == 3


def test_following_stains_what_is_looked_at_and_then_waits(model: ModelBundle) -> None:
    volume = make_volume((16, 64, 80))
    canvas = Canvas(np.zeros(volume.shape, np.float32))
    views = [((4, 5), (0, 16), (0, 16)), ((12, 13), (48, 64), (64, 80))]
    view, asked, seen = views[0], 0, list[Any]()

    def stop() -> bool:
        nonlocal asked
        asked += 1
        return len(seen) == 2 and asked > 5000

    def follow() -> Any:
        return view

    job = staining(
        volume,
        model,
        out=canvas,
        focus=Focus(region=follow, follow=True),
        scaling=qpi_scaling(volume.data),
        tiling=TILING,
        should_stop=stop,
    )
    for event in job:
        assert not isinstance(event, Progress)
        if isinstance(event, Tile):
            seen.append(event.slices)
            asked, view = 0, views[1]
            if len(seen) == 2:
                asked = 5000
    assert seen == [((0, 8), (0, 16), (0, 16)), ((8, 16), (48, 64), (64, 80))]
    whole = stained(volume, model)
    assert difference(canvas.array[8:16, 48:64, 64:], whole[8:16, 48:64, 64:]) < 1e-4


def test_samples_have_a_canvas_with_two_channels(model: ModelBundle) -> None:
    volume = make_volume((8, 32, 32))
    canvas = Canvas(np.zeros((2, *volume.shape), np.float32))
    paint(volume, model, canvas, samples=2)
    assert difference(canvas.array, stained(volume, model, samples=2)) < 1e-4
    with pytest.raises(UserError, match="anew"):
        paint(volume, model, canvas)


def test_no_more_is_read_than_the_region_needs(model: ModelBundle) -> None:
    volume = make_volume((16, 64, 240))
    read = set[tuple[int, int]]()

    def watch(block: np.ndarray, block_info: Any = None) -> np.ndarray:
        if block_info is not None and None in block_info:
            z, _, x = block_info[None]["chunk-location"]
            read.add((z, x))
        return block

    lazy = da.from_array(volume.numpy(), chunks=(2, 64, 10)).map_blocks(watch, dtype=np.float32)
    canvas = Canvas(np.zeros(volume.shape, np.float32))
    scaling = qpi_scaling(volume.data)
    paint(
        volume.replace(data=lazy),
        model,
        canvas,
        focus=Focus(region=lambda: ((0, 2), (0, 8), (0, 8))),
        scaling=scaling,
        tiling=Tiling((8, 8, 8), (8, 8, 8)),
    )
    assert {z for z, x in read if x == 23} == {4}  # the middle plane, for the fingerprint


def test_tiles_are_smaller_where_somebody_watches(
    model: ModelBundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(memory_module._WATCHED_TILE, "cpu", 4096)
    volume = make_volume((16, 64, 80))
    canvas = Canvas(np.zeros(volume.shape, np.float32))
    events = paint(volume, model, canvas, tiling=None)
    assert len(tiles(events)) >= 20
    assert difference(canvas.array, stained(volume, model)) < 1e-4


def test_networks_that_are_not_local_stain_the_whole_and_cannot_follow() -> None:
    model = make_model(SMALL.model_copy(update={"condition": "vector"}))
    volume = make_volume((8, 32, 32))
    canvas = Canvas(np.zeros(volume.shape, np.float32))
    region = lambda: ((0, 2), (0, 8), (0, 8))  # noqa: E731
    events = paint(volume, model, canvas, focus=Focus(region=region))
    assert any("whole volume at once" in e.text for e in events if isinstance(e, Notice))
    assert canvas.complete
    with pytest.raises(UserError, match="cannot follow"):
        paint(volume, model, canvas, focus=Focus(region=region, follow=True))


def test_time_points_are_stained_nearest_to_the_one_looked_at_first(model: ModelBundle) -> None:
    stack = make_volume((8, 32, 32))
    series = stack.replace(data=np.stack([stack.numpy() * k for k in (1, -1, 2)]), axes="tzyx")
    shown = np.zeros(series.shape, np.float32)
    order = list[str]()
    canvases = {t: Canvas(shown[t]) for t in range(3)}
    for event in stain_times(series, model, canvases, CPU, now=lambda: 2):
        if isinstance(event, Progress):
            order += [event.text] if event.text not in order else []
            last = event
    assert order == ["time point 2 (1 of 3)", "time point 1 (2 of 3)", "time point 0 (3 of 3)"]
    assert (last.done, last.total) == (pytest.approx(3), 3)
    assert event.result["tiles"] == 3
    for t in range(3):
        assert difference(shown[t], stained(series.select(time=t), model)) < 1e-4


def test_a_folder_is_stained_file_by_file(model: ModelBundle, tmp_path: Path) -> None:
    source, out = tmp_path / "in", tmp_path / "out"
    source.mkdir()
    stack = make_volume((8, 32, 32))
    write(source / "a.ome.tif", stack)
    write(source / "b.ome.tif", stack.replace(data=np.zeros((8, 32, 32), np.float32)))
    series = stack.replace(data=np.stack([stack.numpy()] * 2), axes="tzyx")
    write(source / "c.ome.tif", series)
    first = list(stain_files([source], out, model, CPU))
    assert [Path(p).name for p in first[-1].result["written"]] == [
        "a virtual DAPI.ome.zarr",
        "c t0 virtual DAPI.ome.zarr",
        "c t1 virtual DAPI.ome.zarr",
    ]
    assert any(isinstance(e, Notice) and e.text.startswith("b.ome.tif was left") for e in first)
    np.testing.assert_allclose(
        read(out / "a virtual DAPI.ome.zarr").numpy(), stained(stack, model), atol=0.1
    )
    again = list(stain_files([source], out, model, CPU))
    assert again[-1].result["written"] == []
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(UserError, match="no stacks"):
        list(stain_files([empty], out, model))


def test_jobs_side_by_side_each_stain_a_part(model: ModelBundle, tmp_path: Path) -> None:
    source, stack = tmp_path / "in", make_volume((4, 16, 16))
    source.mkdir()
    for name in "abcde":
        write(source / f"{name}.ome.tif", stack)
    series = write(
        tmp_path / "t.ome.tif", stack.replace(data=np.stack([stack.numpy()] * 3), axes="tzyx")
    )
    for given, parts in ((source, ["ace", "bd"]), (series, ["02", "1"])):
        names = []
        for number in range(2):
            job = stain_files([given], tmp_path / "out", model, CPU, part=(number, 2))
            written = list(job)[-1].result["written"]
            names.append([Path(p).name.removesuffix(" virtual DAPI.ome.zarr")[-1] for p in written])
        assert names == [[*part] for part in parts]
    events = list(stain_files([source], tmp_path / "out", model, CPU, part=(6, 7)))
    assert events[-1].result["written"] == []
    assert any("holds no stack" in e.text for e in events if isinstance(e, Notice))
    with pytest.raises(UserError, match="counted from 0"):
        list(stain_files([source], tmp_path / "out", model, CPU, part=(2, 2)))


@pytest.mark.parametrize(
    ("channel", "span", "told"),
    [  # from the dark to the bright end: phase is scaled to the quarter of it
        (STAIN.inputs[0], 30, True),
        (STAIN.inputs[0], 100, False),
        (SUPERRES.inputs[0], 30, True),
        (SUPERRES.inputs[0], 100, False),
        (SUPERRES_CT.inputs[0], 400, False),
    ],
)
def test_grey_levels_are_counted_as_the_channel_is_scaled(
    channel: Channel, span: int, told: bool
) -> None:
    from napari_llcm.staining.fit import contrast_notices

    info = make_model().info
    values = np.linspace(0, span, 16 * 64 * 64).reshape(16, 64, 64).astype(np.uint16)
    said = contrast_notices(
        Volume(values, name="cells"), channel.intensity.measure(values), info, None, channel
    )
    assert any("grey levels" in text for text in said) == told


def test_a_noisy_stack_is_noticed(specimen: Specimen) -> None:
    from napari_llcm.staining.fit import contrast_notices
    from napari_llcm.tasks.normalise import noise_level

    rng = np.random.default_rng(0)
    scaling = qpi_scaling(specimen.qpi.data)
    level = noise_level(specimen.qpi.data, scaling)
    wide = scaling.high - scaling.low
    white = rng.normal(scale=3 * level * wide, size=specimen.qpi.shape)
    noisy = specimen.qpi.replace(data=specimen.qpi.numpy() + white)
    info = make_model().info.model_copy(
        update={"scalings": {"qpi": scaling, "dapi": scaling}, "input_noise": level}
    )
    assert contrast_notices(specimen.qpi, scaling, info) == []
    (said,) = contrast_notices(noisy, scaling, info)
    assert "3." in said
    assert "as noisy" in said
    assert "made-up nuclei" in said
    finer = info.model_copy(update={"task": SUPERRES})
    (said,) = contrast_notices(noisy, scaling, finer)
    assert "as noisy" in said
    assert "taken for detail" in said
    assert "nuclei" not in said
    assert noise_level(white, Scaling(low=0, high=wide)) == pytest.approx(3 * level, rel=0.05)
