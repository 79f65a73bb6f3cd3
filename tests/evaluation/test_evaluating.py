"""Evaluation goes on after a bad field, counts empty ones, and reports what failed."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from napari_llcm.cli.app import app
from napari_llcm.evaluation import evaluate
from napari_llcm.events import Notice, UserError, result_of
from napari_llcm.nuclei import make_segmenter
from napari_llcm.specimen import Specimen
from napari_llcm.volumes import Volume, write

VERDICTS = ("found", "misshapen", "merged", "split", "missed")


def save(folder: Path, name: str, qpi: Volume, dapi: Volume) -> None:
    for kind, volume in (("qpi", qpi), ("dapi", dapi)):
        write(folder / kind / f"{name}.ome.tif", volume)


def test_bad_and_empty_fields_end_nothing_and_are_told(specimen: Specimen, tmp_path: Path) -> None:
    qpi, dapi = specimen.qpi, specimen.dapi
    rng = np.random.default_rng(0)
    pairs = tmp_path / "pairs"
    save(pairs, "a good", qpi, dapi)
    save(pairs, "b noise", qpi, dapi.replace(data=rng.poisson(100, dapi.shape).astype("u2")))
    save(pairs, "c zeros", qpi, dapi.replace(data=np.zeros(dapi.shape, np.uint16)))
    save(pairs, "d blank", qpi.replace(data=np.ones(qpi.shape, np.float32)), dapi)
    save(pairs, "e shape", qpi, dapi.replace(data=dapi.numpy()[:-1]))
    damaged = pairs / "dapi" / "f damaged.ome.tif"
    save(pairs, "f damaged", qpi, dapi)
    damaged.write_bytes(damaged.read_bytes()[:5000])
    (pairs / "dapi" / "notes.docx").write_text("x")
    out = tmp_path / "out"
    arguments = ["evaluate", "--pairs", str(pairs), "--out", str(out), "--device", "cpu"]
    done = CliRunner().invoke(app, [*arguments, "--segmenter", "classical"])
    assert isinstance(done.exception, UserError)  # exit code 2
    assert "3 of 6 pairs are not in these figures" in str(done.exception)
    assert "notes.docx" in done.output
    report = json.loads((out / "report.json").read_text())
    assert [p["name"] for p in report["pairs"]] == ["a good", "b noise", "c zeros"]
    assert [f["name"] for f in report["failed"]] == ["e shape", "f damaged", "d blank"]
    assert "one shape" in report["failed"][0]["error"]
    good, noise, zeros = report["pairs"]
    assert report["truth_nuclei"] == good["truth_nuclei"] > 0
    for empty in (noise, zeros):
        assert (empty["truth_nuclei"], empty["recall"]) == (0, None)
        assert empty["hallucinated"] == empty["stain_nuclei"] > 0
        assert any("counts as having no" in text for text in empty["notices"])
    assert zeros["psnr"] is None
    assert report["hallucinated"] == sum(p["hallucinated"] for p in report["pairs"])
    with (out / "pairs.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [r["error"] != "" for r in rows] == [False] * 3 + [True] * 3
    shown = {line.split("│")[1].strip(): line.split("│")[2] for line in done.output.splitlines()
             if line.count("│") == 3}  # fmt: skip
    assert sum(int(shown[v]) for v in VERDICTS) == int(shown["truth_nuclei"])


def test_pairs_of_which_none_can_be_evaluated_leave_a_report(
    specimen: Specimen, tmp_path: Path
) -> None:
    blank = specimen.qpi.replace(data=np.ones(specimen.qpi.shape, np.float32))
    save(tmp_path / "pairs", "blank", blank, specimen.dapi)
    job = evaluate(
        tmp_path / "pairs", tmp_path / "out", segmenter=make_segmenter("classical"), device="cpu"
    )
    with pytest.raises(UserError, match=r"No pair could be evaluated\. blank: .*same value"):
        result_of(job)
    assert json.loads((tmp_path / "out" / "report.json").read_text())["failed"][0]["error"]


def test_what_was_said_of_a_stain_is_said_once(specimen: Specimen, tmp_path: Path) -> None:
    save(tmp_path / "pairs", "coarse", specimen.qpi.replace(spacing=(0.8, 0.7, 0.7)), specimen.dapi
         .replace(spacing=None))  # fmt: skip
    job = evaluate(
        tmp_path / "pairs", tmp_path / "out", segmenter=make_segmenter("classical"), device="cpu"
    )
    told = [e.text for e in job if isinstance(e, Notice)]
    assert sum("resampled to the model" in text for text in told) == 1
    assert any("does not tell its voxel size" in text for text in told)


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs a system that takes no folders")
@pytest.mark.parametrize("verb", ["nuclei", "evaluate", "pairs"])
def test_a_folder_that_cannot_be_made_is_told_before_the_work(
    specimen: Specimen, tmp_path: Path, verb: str
) -> None:
    save(tmp_path / "pairs", "a", specimen.qpi, specimen.dapi)
    dapi = str(tmp_path / "pairs" / "dapi" / "a.ome.tif")
    inputs = {
        "nuclei": ["--truth", dapi, "--stain", dapi],
        "evaluate": ["--pairs", str(tmp_path / "pairs")],
        "pairs": [str(tmp_path / "pairs")],
    }[verb]
    done = CliRunner().invoke(app, [verb, *inputs, "--out", "/proc/nothing/here"])
    assert isinstance(done.exception, UserError)
    assert "/proc/nothing" in str(done.exception)
    assert "wide" not in done.output
