"""The verbs take a truth that is one plane, and say what they compare with it."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np

from flat_fields import flat_folder, plane_of
from napari_llcm.events import result_of
from napari_llcm.nuclei import compare_nuclei
from napari_llcm.specimen import make_specimen
from napari_llcm.volumes import Pair, Volume, write

Run = Callable[..., tuple[int, str, str]]


def test_nuclei_of_a_plane(cli: Run, tmp_path: Path) -> None:
    field = make_specimen(size=(20, 128, 128), seed=4, difficulty="easy")
    write(tmp_path / "virtual.ome.tif", field.dapi)
    write(tmp_path / "plane.ome.tif", plane_of(field.dapi, "mean"))
    write(tmp_path / "qpi.ome.tif", field.qpi)
    files = {"stain": "virtual", "truth": "plane", "qpi": "qpi"}
    told = [word for k, v in files.items() for word in (f"--{k}", str(tmp_path / f"{v}.ome.tif"))]
    settings = ["--segmenter", "classical", "--projection", "mean", "--out", str(tmp_path / "out")]
    code, said, error = cli("nuclei", *told, *settings)
    assert code == 0, error
    assert "mean projection" in " ".join(said.split())
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["f1"] == 1.0
    assert report["projection"] == "mean"
    assert "area" in report["strata"]
    assert "depth" not in report["strata"]
    assert any("one plane" in text for text in report["notices"])
    with (tmp_path / "out" / "nuclei.csv").open(encoding="utf-8-sig") as table:
        rows = list(csv.DictReader(table))
    assert "area (µm²)" in rows[0]
    assert "mean projection" in rows[0]["check"]
    assert (tmp_path / "out" / "nuclei.png").stat().st_size > 10_000
    wrong = [*told[:2], "--truth", str(tmp_path / "small.ome.tif")]
    write(tmp_path / "small.ome.tif", Volume(np.ones((9, 9), np.uint16), axes="yx"))
    code, _, error = cli("nuclei", *wrong, *settings)
    assert code == 2
    assert "9 × 9" in " ".join(error.split())


def test_pairs_checks_a_flat_pair_in_its_plane(cli: Run, tmp_path: Path) -> None:
    large = make_specimen(size=(16, 192, 192), seed=5, difficulty="easy")
    folder = flat_folder(tmp_path / "pairs", large, by=(6, -4))
    results = ("--out", tmp_path / "figures", "--apply", tmp_path / "mended")
    code, said, error = cli("pairs", folder, *results)
    assert code == 0, error
    assert "shifted" in said
    mended = Pair(
        "field0",
        (tmp_path / "mended/qpi/field0.ome.tif",),
        (tmp_path / "mended/dapi/field0.ome.tif",),
    )
    _, dapi, _ = mended.read(flat=True)
    assert dapi.shape == (1, 192, 192)
    job = compare_nuclei(dapi, large.dapi, segmenter="classical")
    assert result_of(job).counts.f1 > 0.8


def test_evaluate_judges_flat_pairs_in_2d(cli: Run, tmp_path: Path) -> None:
    made = make_specimen(size=(16, 96, 96), seed=4, difficulty="easy")
    folder = flat_folder(tmp_path / "pairs", made)
    settings = ("--segmenter", "classical", "--device", "cpu", "--projection", "max")
    code, _, error = cli("evaluate", "--pairs", folder, "--out", tmp_path / "out", *settings)
    assert code == 0, error
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    (one,) = report["pairs"]
    assert one["projection"] == "max"
    assert one["f1"] > 0.5  # the shipped model on its own kind of specimen
    assert one["pearson"] > 0.5
    assert report["flat"] == 1
    assert (tmp_path / "out" / "field0" / "virtual.ome.tif").exists()  # the whole stack
