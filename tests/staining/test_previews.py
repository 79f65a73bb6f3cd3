"""What is on screen is shown at once, and replaced by what is exact: nothing else is kept."""

from __future__ import annotations

from typing import Any

import dask.array as da
import numpy as np
import pytest

from napari_llcm.events import Finished, Tile, UserError
from napari_llcm.models import ModelBundle, find_model, load_bundle
from napari_llcm.specimen import make_specimen
from napari_llcm.staining import Canvas, Focus, StainOptions, Tiling, previews, stain_times
from napari_llcm.staining.tiled import LocalPipeline
from napari_llcm.volumes import Volume
from stains import SMALL, difference, make_model, make_volume, run, stained, staining

SHAPE = (16, 64, 96)
TILING = Tiling((8, 16, 16), (8, 32, 32))
VIEW = ((9, 10), (0, 64), (0, 96))


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(previews, "_IN_A_ROW", 8)
    monkeypatch.setitem(previews._SIDE, "cpu", 8)  # latent sites: 32 pixels


def new_canvas(shape: Any = SHAPE) -> Canvas:
    return Canvas(np.zeros(shape, np.float32))


def paint(model: ModelBundle, canvas: Canvas, view: Any = VIEW, **options: Any) -> list[Any]:
    given: dict[str, Any] = {"tiling": TILING, "check": False, **options}
    region = given.pop("region", None)
    focus = Focus(lambda: (9.0, 32.0, 80.0), region, view=lambda: view)
    volume = make_volume(canvas.array.shape[-3:])  # type: ignore[arg-type]
    return run(staining(volume, model, out=canvas, focus=focus, **given))[1]


def tiles(events: list[Any], preview: bool) -> list[Tile]:
    return [e for e in events if isinstance(e, Tile) and e.preview == preview]


def test_previews_come_first_from_the_middle_and_the_stain_takes_their_place(
    model: ModelBundle,
) -> None:
    canvas = new_canvas()
    events = paint(model, canvas)
    first = [e for e in events if isinstance(e, Tile)][:8]
    assert [e.preview for e in first] == [True] * 6 + [False] * 2
    boxes = [e.slices[1:] for e in first[:6]]
    assert {b[0] for b in boxes} == {(8, 10)}  # the planes of the latent sites on screen
    assert [b[2] for b in boxes[:2]] == [(32, 64)] * 2  # the middle of the screen
    assert len(set(boxes)) == 6
    assert len(tiles(events, preview=False)) == 2 * 4 * 6
    assert not canvas.previewing
    assert canvas.complete
    assert difference(canvas.array, stained(make_volume(SHAPE), model, check=False)) < 1e-4


def test_a_preview_is_like_the_stain_where_nuclei_are() -> None:
    model = load_bundle(find_model("specimen-v6"))
    qpi = make_specimen((16, 96, 96), 6, "easy").qpi
    canvas, view = new_canvas(qpi.shape), ((7, 8), (0, 64), (0, 96))
    job = staining(qpi, model, out=canvas, focus=Focus(view=lambda: view))
    shown = np.zeros(qpi.shape, np.float32)
    for event in job:
        if not isinstance(event, Tile) or not event.preview:
            break
        shown[tuple(slice(*s) for s in event.slices[1:])] = event.data[0]
    job.close()
    there = shown[6:8, :64]
    assert np.count_nonzero(there) > 0.9 * there.size
    exact = stained(qpi, model, check=False)[6:8, :64]
    assert np.corrcoef(there.ravel(), exact.ravel())[0, 1] > 0.97
    assert not canvas.array.any()  # the job was closed before there was anything to keep


def test_stopping_keeps_no_preview(model: ModelBundle) -> None:
    canvas, seen = new_canvas(), list[Tile]()
    focus = Focus(lambda: (9.0, 0.0, 0.0), view=lambda: VIEW)
    job = staining(
        make_volume(SHAPE),
        model,
        out=canvas,
        focus=focus,
        tiling=TILING,
        should_stop=lambda: len(seen) > 6,
    )
    for event in job:
        if isinstance(event, Tile):
            seen.append(event)
            if event.preview:
                assert canvas.previewing
    assert isinstance(event, Finished)
    assert event.result["stopped"]
    kept = np.zeros(SHAPE, bool)
    for tile in seen:
        if not tile.preview:
            kept[tuple(slice(*s) for s in tile.slices)] = True
    assert 0 < kept.sum() < kept.size
    assert not canvas.array[~kept].any()
    assert canvas.array[kept].any()
    assert not canvas.previewing


def test_what_is_stained_is_never_covered_by_a_preview(model: ModelBundle) -> None:
    canvas, volume = new_canvas(), make_volume(SHAPE)
    box = ((8, 16), (0, 64), (0, 50))  # 50 is no multiple of a tile, nor of a latent site
    run(staining(volume, model, out=canvas, focus=Focus(region=lambda: box), tiling=TILING))
    kept = canvas.array.copy()
    changed = []
    focus = Focus(lambda: (9.0, 32.0, 80.0), view=lambda: VIEW)
    for event in staining(volume, model, out=canvas, focus=focus, tiling=TILING, check=False):
        if isinstance(event, Tile) and event.preview:
            changed.append(not np.array_equal(canvas.array[:, :, :50], kept[:, :, :50]))
            assert canvas.array[8:10, :, 50:].any()
    assert changed
    assert not any(changed)
    events = paint(model, canvas)
    assert tiles(events, preview=True) == []  # nothing on screen is missing


def test_the_preview_follows_the_screen(model: ModelBundle) -> None:
    canvas, view, order = new_canvas(), VIEW, list[tuple[bool, tuple[int, int]]]()
    focus = Focus(lambda: (9.0, 0.0, 0.0), view=lambda: view)
    for event in staining(make_volume(SHAPE), model, out=canvas, focus=focus, tiling=TILING):
        if isinstance(event, Tile):
            order.append((event.preview, event.slices[-3]))
            if len(order) == 8:
                view = ((2, 3), (0, 64), (0, 96))
    assert order[:7] == [(True, (8, 10))] * 6 + [(False, (8, 16))]
    moved = order[8:]
    assert moved[:6] == [(True, (2, 4))] * 6
    assert difference(canvas.array, stained(make_volume(SHAPE), model)) < 1e-4


def test_only_what_is_wanted_is_previewed(model: ModelBundle) -> None:
    box = ((8, 16), (0, 30), (0, 30))
    canvas = new_canvas()
    for tile in tiles(paint(model, canvas, region=lambda: box), preview=True):
        assert [b for _, b in tile.slices[-2:]] == [32, 32]
    assert not canvas.array[:, 32:].any()
    above = ((0, 4), (0, 64), (0, 96))
    assert tiles(paint(model, new_canvas(), region=lambda: above), preview=True) == []


def test_there_is_no_preview_of_a_whole_stack_nor_of_many_steps(model: ModelBundle) -> None:
    whole = tuple((0, n) for n in SHAPE)
    for view, options in ((whole, {}), (None, {}), (VIEW, {"steps": 2})):
        assert tiles(paint(model, new_canvas(), view, **options), preview=True) == []
    vector = make_model(SMALL.model_copy(update={"condition": "vector"}))
    canvas = new_canvas((8, 32, 32))
    assert tiles(paint(vector, canvas, ((3, 4), (0, 32), (0, 32)), tiling=None), True) == []


def test_a_stack_that_cannot_be_stained_leaves_nothing(model: ModelBundle) -> None:
    canvas = new_canvas()
    empty = Volume(np.zeros(SHAPE, np.float32), name="empty")
    with pytest.raises(UserError, match="same value"):
        run(staining(empty, model, out=canvas, focus=Focus(view=lambda: VIEW)))
    assert not canvas.previewing
    broken = make_volume(SHAPE).numpy().copy()
    broken[:, :, 50:] = np.nan
    with pytest.raises(UserError):
        run(staining(Volume(broken, axes="zyx"), model, out=canvas, samples=2))
    assert not canvas.array.any()


def test_samples_and_time_points_are_previewed_by_one(model: ModelBundle) -> None:
    canvas = new_canvas((2, *SHAPE))
    events = paint(model, canvas, samples=2)
    assert len(tiles(events, preview=True)) == 6
    assert difference(canvas.array, stained(make_volume(SHAPE), model, samples=2)) < 1e-4
    stack = make_volume(SHAPE)
    series = stack.replace(data=np.stack([stack.numpy()] * 2), axes="tzyx")
    canvases = {t: new_canvas() for t in range(2)}
    focus = Focus(view=lambda: VIEW)
    options = StainOptions(device="cpu", tiling=TILING, check=False)
    shown = []
    for event in stain_times(series, model, canvases, options, focus=focus, now=lambda: 1):
        if isinstance(event, Tile) and event.preview:
            shown.append([c.previewing for c in canvases.values()])
    assert shown == [[False, True]] * 6  # of the time point on screen alone


def test_a_few_planes_are_read_before_the_first_preview(model: ModelBundle) -> None:
    volume = make_volume((200, 32, 32))
    read = set[int]()

    def watch(block: np.ndarray, block_info: Any = None) -> np.ndarray:
        if block_info is not None and None in block_info:
            read.add(block_info[None]["chunk-location"][0])
        return block

    lazy = da.from_array(volume.numpy(), chunks=(1, 32, 32)).map_blocks(watch, dtype=np.float32)
    view = ((100, 101), (0, 32), (0, 32))
    job = staining(
        volume.replace(data=lazy),
        model,
        out=new_canvas(volume.shape),
        focus=Focus(view=lambda: view),
    )
    event = next(e for e in job if isinstance(e, Tile))
    job.close()
    assert event.preview
    assert len(read) < 60


def test_a_region_costs_no_more_than_the_region(
    model: ModelBundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    costs: dict[str, int] = {"encode": 0, "denoise": 0}
    for stage, method in [(s, getattr(LocalPipeline, s)) for s in costs]:

        def counted(self: Any, box: Any, *, _: Any = (stage, method), **more: Any) -> Any:
            costs[_[0]] += int(np.prod([b - a for a, b in box]))
            return _[1](self, box, **more)

        monkeypatch.setattr(LocalPipeline, stage, counted)
    shape = (8, 64, 480)
    large = Tiling((8, 16, 16), (8, 64, 256), (8, 64, 256))
    box = ((0, 8), (0, 64), (200, 280))
    paint(model, new_canvas(shape), None, region=lambda: box, tiling=large)
    part = dict(costs)
    costs.update(encode=0, denoise=0)
    paint(model, new_canvas(shape), None, tiling=large)
    assert part["denoise"] < 0.45 * costs["denoise"]  # 80 of 480, and the halo of the decoder
    assert part["encode"] < 0.75 * costs["encode"]  # and that of the U-Net


def test_no_more_than_the_screen_is_previewed(model: ModelBundle) -> None:
    view = ((9, 10), (20, 30), (50, 60))
    events = paint(model, new_canvas(), view)
    (tile,) = tiles(events, preview=True)
    assert tile.slices[1:] == ((8, 10), (0, 32), (32, 64))
    wide = ((9, 10), (20, 30), (50, 90))
    assert len(tiles(paint(model, new_canvas(), wide), preview=True)) == 2
