"""`pairs --apply` moves what is surely shifted and writes nothing that is unrelated."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from napari_llcm.specimen import make_specimen
from napari_llcm.volumes import Volume, read, write

Run = Callable[..., tuple[int, str, str]]


def _pair(folder: Path, name: str, qpi: Volume, dapi: Volume) -> None:
    for kind, volume in (("qpi", qpi), ("dapi", dapi)):
        write(folder / kind / f"{name}.ome.tif", volume)


def test_nan_around_the_phase_moves_no_dapi(cli: Run, tmp_path: Path) -> None:
    made = make_specimen((24, 112, 112), seed=3, difficulty="easy")
    framed = np.full_like(made.qpi.numpy(), np.nan)
    inside = (slice(None), slice(12, -12), slice(12, -12))
    framed[inside] = made.qpi.numpy()[inside]
    _pair(tmp_path / "p", "a", made.qpi.replace(data=framed), made.dapi)
    code, out, err = cli("pairs", tmp_path / "p", "--apply", tmp_path / "q")
    assert code == 0, err
    assert "registered" in out or "unclear" in out
    told = " ".join((out + err).split())
    assert "hold no data (NaN or infinite values in a frame around the field)" in told
    mended = read(tmp_path / "q" / "dapi" / "a.ome.tif").numpy()
    np.testing.assert_array_equal(mended, made.dapi.numpy())


@pytest.mark.parametrize("model", [(), ("--model", "specimen-v6", "--device", "cpu")])
def test_unrelated_pairs_are_not_written(cli: Run, tmp_path: Path, model: tuple[str, ...]) -> None:
    made = make_specimen((32, 144, 144), seed=5, difficulty="easy")
    other = make_specimen((32, 144, 144), seed=6, difficulty="easy")
    _pair(tmp_path / "p", "good", made.qpi, made.dapi)
    _pair(tmp_path / "p", "wrong", made.qpi, other.dapi)
    code, out, err = cli("pairs", tmp_path / "p", "--apply", tmp_path / "q", *model)
    assert code == 2
    assert "unrelated" in out
    assert "wrong" in err.strip().splitlines()[-1]
    assert sorted(f.name for f in (tmp_path / "q" / "dapi").iterdir()) == ["good.ome.tif"]
    assert cli("pairs", tmp_path / "p")[0] == 0
