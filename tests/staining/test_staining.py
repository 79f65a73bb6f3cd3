"""Staining: the result depends on the input, the model and the seed, and on nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from napari_llcm.events import Notice, Progress, Started, Tile, UserError, result_of
from napari_llcm.models import ModelBundle
from napari_llcm.models.consistency import sample, step_sigmas
from napari_llcm.models.networks import Decoder, Encoder, LatentUNet
from napari_llcm.models.noise import noise_field
from napari_llcm.staining import Focus, Stainer, Tiling
from napari_llcm.staining import tiled as tiled_module
from napari_llcm.tasks.normalise import qpi_scaling, unstabilise
from napari_llcm.volumes import Volume, read
from stains import SMALL, difference, make_model, make_volume, run, stained, staining


def direct(volume: Volume, model: ModelBundle) -> np.ndarray:
    """Run the networks on the whole padded volume, as plainly as can be."""
    multiple = model.info.network.multiple
    pads = [(0, -n % m) for n, m in zip(volume.shape, multiple, strict=True)]
    scaled = qpi_scaling(volume.data).apply(np.pad(volume.numpy(), pads, "reflect"))
    networks = model.networks
    with torch.no_grad():
        qpi = torch.from_numpy(scaled.astype(np.float32))[None, None]
        condition = networks.condition(qpi)
        field = noise_field(0, model.info.network.latent_channels, (0,) * 3, condition.shape[2:])
        noise = [torch.from_numpy(field)[None]]
        sigmas = step_sigmas(model.info.consistency, 1)
        decoded = networks.decode(sample(networks.denoiser, noise, condition, sigmas), qpi)
    z, y, x = volume.shape
    return unstabilise(decoded[0, 0, :z, :y, :x].numpy(), model.info.scalings["dapi"])


@pytest.mark.parametrize("factor", [(2, 4, 4), (1, 8, 8), (2, 2, 2)])
def test_nothing_beyond_the_halo_matters_and_something_within_does(factor: Any) -> None:
    levels = max(factor).bit_length() - 1
    torch.manual_seed(0)
    encoder, decoder = Encoder([3] * levels, factor, 3), Decoder([3] * levels, factor, 3)
    for axis in range(3):
        sites = encoder.halo[axis] // factor[axis] + 3
        check_halo(encoder, 1, sites * factor[axis], encoder.halo, axis, factor, 1)
        sites = 2 * decoder.halo[axis] + 4
        check_halo(decoder, 3, sites, decoder.halo, axis, (1, 1, 1), factor[axis])


@pytest.mark.parametrize(("levels", "blocks"), [(1, 1), (2, 1), (2, 2)])
def test_the_unets_halo(levels: int, blocks: int) -> None:
    torch.manual_seed(0)
    unet = LatentUNet(1, 1, [4] * levels, blocks)
    stride = 2 ** (levels - 1)

    class OneInput(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.unet = unet

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.unet(x, torch.ones(1), x)

    length = -(-(unet.halo[0] + 4) // 4) * 4
    check_halo(OneInput(), 1, length, unet.halo, 0, (stride,) * 3, 1)


def check_halo(
    network: torch.nn.Module,
    channels: int,
    length: int,
    halo: Any,
    axis: int,
    unit: Any,
    growth: int,
) -> None:
    """Perturb a line of voxels behind an aligned start, just beyond the halo and just within."""
    for weights in network.parameters():
        if weights.ndim == 5:  # positive, so that no path cancels another
            torch.nn.init.uniform_(weights, 0.0, 2.0 / weights[0].numel() ** 0.5)
    network = network.double().eval()
    embed = getattr(getattr(network, "unet", None), "embed", None)
    if embed is not None:
        embed.float()
    size = list(unit)
    start = length // unit[axis] * unit[axis]
    size[axis] = start + unit[axis]
    x = torch.randn(1, channels, *size, dtype=torch.float64)

    def change(position: int) -> float:
        moved = x.clone()
        moved.select(2 + axis, position).add_(1.0)
        with torch.no_grad():
            after = (network(moved) - network(x)).abs()
        scale = 1 if growth > 1 or after.shape[2 + axis] == size[axis] else unit[axis]
        return float(after.narrow(2 + axis, start * growth // scale, 1).max())

    assert change(start - halo[axis] - 1) == 0
    assert change(start - halo[axis]) > 0


TILINGS = [
    Tiling(tile=(6, 16, 20), block=(8, 32, 48)),
    Tiling(tile=(8, 24, 40), block=(8, 32, 24)),
    Tiling(tile=(32, 16, 128), block=(16, 64, 64)),
]


@pytest.mark.parametrize("tiling", TILINGS)
def test_the_result_does_not_depend_on_the_tiling(model: ModelBundle, tiling: Tiling) -> None:
    volume = make_volume((20, 75, 90))
    assert difference(stained(volume, model, tiling=tiling), direct(volume, model)) < 1e-4


@pytest.mark.slow
@pytest.mark.parametrize("factor", [(2, 4, 4), (1, 4, 4)])
def test_a_decoder_that_sees_the_phase_makes_no_seam_either(factor: Any) -> None:
    skipping = make_model(SMALL.model_copy(update={"decoder_skip": True, "factor": factor}))
    volume = make_volume((20, 75, 90))
    whole = direct(volume, skipping)
    skipless = stained(volume, make_model(SMALL.model_copy(update={"factor": factor})))
    assert difference(skipless, whole) > 0.01
    for tiling in TILINGS:
        assert difference(stained(volume, skipping, tiling=tiling), whole) < 1e-4
    other = make_volume((14, 60, 50), spacing=(0.7, 0.2, 0.31))
    parts = [
        stained(other, skipping, tiling=Tiling(*sizes))
        for sizes in ([(1000,) * 3] * 2, [(8, 16, 24), (8, 16, 32)])
    ]
    assert difference(parts[1], parts[0]) < 1e-4


def test_resampled_in_tiles_with_several_steps_and_samples_has_no_seam(model: ModelBundle) -> None:
    volume = make_volume((14, 60, 50), spacing=(0.7, 0.2, 0.31))
    options: dict[str, Any] = {"samples": 2, "steps": 2}
    whole = stained(volume, model, tiling=Tiling((1000,) * 3, (1000,) * 3), **options)
    parts = stained(volume, model, tiling=Tiling((8, 16, 24), (8, 16, 32)), **options)
    assert parts.shape == (2, 14, 60, 50)
    assert difference(parts, whole) < 1e-4


@pytest.mark.parametrize("shape", [(5, 70, 333), (2, 17, 1), (3, 64, 65)])
def test_any_size_comes_back_on_its_own_grid(model: ModelBundle, shape: Any) -> None:
    volume = make_volume(shape, spacing=(0.5, 0.25, 0.25)).replace(origin=(1.0, 2.0, 3.0))
    result = run(staining(volume, model))[0].value
    assert result.shape == shape
    assert result.dtype == np.float32
    assert (result.spacing, result.origin) == (volume.spacing, volume.origin)
    assert np.isfinite(result.numpy()).all()
    assert result.numpy().std() > 0


def test_the_seed_alone_changes_the_result(model: ModelBundle) -> None:
    volume = make_volume((8, 32, 32))
    first = stained(volume, model, seed=1)
    assert np.array_equal(first, stained(volume, model, seed=1))
    assert difference(stained(volume, model, seed=2), first) > 1e-3


def test_samples_are_the_mean_and_the_spread_of_their_seeds(model: ModelBundle) -> None:
    volume = make_volume((8, 32, 32))
    result = run(staining(volume, model, seed=5, samples=3))[0].value
    each = np.stack([stained(volume, model, seed=s) for s in (5, 6, 7)])
    assert result.channels == ("dapi", "spread")
    np.testing.assert_allclose(result.select("dapi").numpy(), each.mean(0), rtol=1e-4)
    np.testing.assert_allclose(
        result.select("spread").numpy(), each.std(0, ddof=1), rtol=1e-3, atol=0.05
    )


def test_events_tell_where_and_how_far(model: ModelBundle) -> None:
    volume = make_volume((8, 64, 64))
    asked = lambda: (0.0, 0.0, 63.0)  # noqa: E731
    finished, events = run(
        staining(volume, model, tiling=Tiling((8, 16, 16), (8, 16, 16)), focus=Focus(asked))
    )
    assert isinstance(events[0], Started)
    tiles = [e for e in events if isinstance(e, Tile)]
    assert tiles[0].slices == ((0, 8), (0, 16), (48, 64))
    assert tiles[-1].slices[1] == (48, 64)
    buffer = np.zeros(volume.shape, np.float32)
    for tile in tiles:
        buffer[tuple(slice(*s) for s in tile.slices)] = tile.data
    np.testing.assert_array_equal(buffer, finished.value.numpy())
    progress = [e for e in events if isinstance(e, Progress)]
    assert [p.done for p in progress] == sorted(p.done for p in progress)
    assert progress[-1].done == pytest.approx(progress[-1].total)
    assert progress[0].eta is not None
    assert {"seconds", "voxels_per_second", "device", "tiles"} <= finished.result.keys()
    assert finished.result["tiles"] == len(tiles) == 16


def test_a_smooth_stack_on_another_grid_looks_the_same_after_its_way_back(
    model: ModelBundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    from napari_llcm.staining.grid import NetworkGrid

    z, y, x = np.meshgrid(*(np.linspace(0, 3, n) for n in (20, 40, 50)), indexing="ij")
    wave = (np.sin(z) + np.cos(y) * np.sin(x)).astype(np.float32)
    for ratio in ((0.5, 0.7, 0.4), (1.0, 1.3, 1.2)):
        grid = NetworkGrid(wave, ratio, (4, 8, 8))
        box = tuple((0, n) for n in grid.shape)
        back = grid.back(box, grid.read(box), box)
        assert back.shape == wave.shape
        assert np.abs(back - wave).max() < 0.03


def test_spacing_is_minded(model: ModelBundle) -> None:
    def notices(spacing: Any) -> list[str]:
        job = staining(make_volume((6, 20, 20), spacing), model)
        return [e.text for e in run(job)[1] if isinstance(e, Notice)]

    assert not notices((0.51, 0.25, 0.25))
    assert "is assumed" in notices(None)[0]
    assert "resampled" in notices((0.8, 0.25, 0.25))[0]
    assert len(notices((0.5, 0.75, 0.75))) == 2
    with pytest.raises(UserError, match="voxel size"):
        notices((500.0, 250.0, 250.0))


def test_a_stack_with_nothing_in_it_is_refused(model: ModelBundle) -> None:
    volume = make_volume((6, 20, 20))
    speck = np.zeros(volume.shape, np.uint8)
    speck[3, 3, 3] = 200
    with pytest.raises(UserError, match="same value"):
        run(staining(volume.replace(data=speck), model))
    with pytest.raises(UserError, match="2D"):
        run(staining(volume.replace(data=speck[0], axes="yx"), model))


def test_other_contrast_is_noticed_where_it_can_be_compared(model: ModelBundle) -> None:
    volume = make_volume((6, 20, 20))

    def said(factor: float, kind: Any = np.float32) -> list[str]:
        data = volume.numpy()
        data = ((data - data.min()) * factor).astype(kind)
        events = run(staining(volume.replace(data=data), model))[1]
        return [e.text for e in events if isinstance(e, Notice)]

    assert any("contrast" in text for text in said(1000))
    assert not said(9000, np.uint16)  # counts: their unit is not that of the training stacks
    assert any("grey levels" in text for text in said(2, np.uint8))


@pytest.mark.versions
@pytest.mark.parametrize("name", ["out.ome.zarr", "out.ome.tif"])
def test_what_was_said_stands_in_the_result_and_in_its_file(
    model: ModelBundle, tmp_path: Path, name: str
) -> None:
    volume = make_volume((6, 20, 20), None).noted("Plane 3 was missing.")
    finished, events = run(staining(volume, model, out=tmp_path / name))
    said = [e.text for e in events if isinstance(e, Notice)]
    assert said[0] == "Plane 3 was missing."
    assert "is assumed" in said[1]
    assert finished.result["notices"] == said
    assert read(tmp_path / name).metadata["notices"] == said
    assert stain_in_memory(volume, model).metadata["notices"] == said


def stain_in_memory(volume: Volume, model: ModelBundle) -> Volume:
    result: Volume = result_of(staining(volume, model))
    return result


@pytest.mark.parametrize("name", ["out.ome.zarr", "out.ome.tif"])
def test_a_killed_job_goes_on_where_it_was(model: ModelBundle, tmp_path: Path, name: str) -> None:
    volume = make_volume((8, 64, 80))
    tiling = Tiling((8, 16, 16), (8, 32, 32))
    whole = stained(volume, model)
    out = tmp_path / name
    job = staining(volume, model, out=out, tiling=tiling)
    for _ in range(7):
        while not isinstance(next(job), Tile):
            pass
    job.close()  # as good as killed: nothing after this line has run
    assert not out.exists()

    finished, events = run(staining(volume, model, out=out))
    assert any("Going on" in e.text for e in events if isinstance(e, Notice))
    assert finished.result["tiles"] == 20 - 8  # one more was being written meanwhile
    assert difference(read(out).numpy(), whole) < 1e-4
    assert read(out).spacing == pytest.approx(volume.spacing)
    assert [p.name for p in tmp_path.iterdir()] == [name]


def test_a_job_with_other_settings_starts_anew(model: ModelBundle, tmp_path: Path) -> None:
    volume, out = make_volume((8, 32, 32)), tmp_path / "out.zarr"
    tiling = Tiling((8, 16, 16), (8, 32, 32))
    job = staining(volume, model, out=out, tiling=tiling)
    while not isinstance(next(job), Tile):
        pass
    job.close()
    finished, events = run(staining(volume, model, out=out, tiling=tiling, seed=3))
    assert any("anew" in e.text for e in events if isinstance(e, Notice))
    assert finished.result["tiles"] == 4
    assert difference(finished.value.numpy(), stained(volume, model, seed=3)) < 1e-4


def test_stopping_takes_effect_at_once_and_keeps_what_is_done(
    model: ModelBundle, tmp_path: Path
) -> None:
    volume, out = make_volume((8, 64, 64)), tmp_path / "out.zarr"
    tiling, calls = Tiling((8, 16, 16), (8, 16, 16)), 0

    def stop() -> bool:
        nonlocal calls
        calls += 1
        return calls > 400

    finished, events = run(staining(volume, model, out=out, tiling=tiling, should_stop=stop))
    assert calls == 401  # the first True was the last question
    assert finished.result["stopped"]
    assert finished.value is None
    assert not out.exists()
    done = sum(isinstance(e, Tile) for e in events)
    assert 0 < done < 16
    finished, _ = run(staining(volume, model, out=out))
    assert finished.result["tiles"] == 16 - done


@pytest.mark.slow
def test_out_of_memory_makes_tiles_smaller(
    model: ModelBundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    volume = make_volume((8, 64, 64))
    whole = stained(volume, model)

    def starved(limit: int, method: str) -> Any:
        original = getattr(tiled_module.LocalPipeline, method)

        def work(self: Any, box: Any, **options: Any) -> Any:
            if np.prod([b - a for a, b in box]) > limit:
                raise torch.OutOfMemoryError("CUDA out of memory")
            return original(self, box, **options)

        return work

    for method in ("encode", "denoise", "decode"):
        monkeypatch.setattr(tiled_module.LocalPipeline, method, starved(300, method))
    finished, events = run(staining(volume, model))
    assert sum("Memory ran out" in e.text for e in events if isinstance(e, Notice)) == 1
    assert difference(finished.value.numpy(), whole) < 1e-4
    monkeypatch.setattr(tiled_module.LocalPipeline, "decode", starved(0, "decode"))
    with pytest.raises(UserError, match="not enough memory"):
        run(staining(volume, model))


def test_little_memory_means_scratch_files_and_small_tiles(
    model: ModelBundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    volume = make_volume((12, 120, 120))
    whole = stained(volume, model)
    monkeypatch.setattr(tiled_module, "working_memory", lambda *_: 1_500_000)
    finished, _ = run(staining(volume, model))
    assert finished.result["tiles"] > 10
    assert difference(finished.value.numpy(), whole) < 1e-4


def test_networks_that_are_not_local_are_blended(monkeypatch: pytest.MonkeyPatch) -> None:
    from napari_llcm.staining import blended

    config = SMALL.model_copy(update={"condition": "vector"})
    model = make_model(config)
    volume = make_volume((10, 40, 50))
    whole = stained(volume, model)
    assert difference(whole, direct(volume, model)) < 1e-4
    monkeypatch.setattr(blended, "blended_window", lambda *_: (12, 32, 32))
    finished, events = run(staining(volume, model))
    assert any("blended" in e.text for e in events if isinstance(e, Notice))
    assert np.corrcoef(finished.value.numpy().ravel(), whole.ravel())[0, 1] > 0.3


def test_the_plain_api(model: ModelBundle, tmp_path: Path) -> None:
    volume = make_volume((8, 32, 32))
    stainer = Stainer(model, device="cpu")
    result = stainer.stain(volume, out=tmp_path / "out.ome.zarr")
    np.testing.assert_array_equal(result.numpy(), stained(volume, model))
    with pytest.raises(UserError, match="exists"):
        stainer.stain(volume, out=tmp_path / "out.ome.zarr")
    with pytest.raises(UserError, match="must end with"):
        stainer.stain(volume, out=tmp_path / "out.png")
    with pytest.raises(UserError, match="not a device"):
        Stainer(model, device="tpu")
    assert result_of(staining(volume, model)).name == "cells virtual DAPI"


@pytest.mark.versions
def test_many_workers_give_what_one_gives(tmp_path: Path) -> None:
    from distributed import LocalCluster

    # a decoder that sees the phase needs the most of a stack
    model = make_model(SMALL.model_copy(update={"decoder_skip": True}))
    volume, out = make_volume((8, 64, 80)), tmp_path / "out.ome.zarr"
    tiling = Tiling((8, 16, 16), (8, 32, 32))
    with LocalCluster(
        n_workers=2, threads_per_worker=1, processes=False, dashboard_address=None, protocol="tcp"
    ) as cluster:
        options: dict[str, Any] = {"out": out, "cluster": cluster.scheduler_address}
        job = staining(volume, model, tiling=tiling, **options)
        while not isinstance(next(job), Tile):
            pass
        job.close()
        finished, _ = run(staining(volume, model, **options))
        with pytest.raises(UserError, match="one step"):
            run(staining(volume, model, steps=2, cluster=cluster.scheduler_address))
    assert finished.result["tiles"] == 20 - 1
    assert difference(read(out).numpy(), stained(volume, model)) < 1e-4
