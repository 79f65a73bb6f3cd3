"""Sizes of tiles for networks of every reach."""

from __future__ import annotations

from napari_llcm.staining.memory import _shrink


def test_a_decoder_without_halo_gets_tiles_too() -> None:
    shape, align = (60, 64, 64), (1, 1, 1)
    tile = _shrink(shape, (0, 0, 0), align, lambda box, _: _size(box) <= 30 * 32 * 32)
    assert tile == [30, 32, 32]


def _size(box: tuple[tuple[int, int], ...]) -> int:
    z, y, x = (b - a for a, b in box)
    return z * y * x
