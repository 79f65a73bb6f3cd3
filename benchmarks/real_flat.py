"""Real label-free stacks with one nuclear plane: what is learned from one half of the field.

    python benchmarks/real_flat.py DATA --out real-flat --model specimen-v6 --minutes 5

DATA holds SET/phase.ome.tif or SET/SET_….ome.tif beside the nuclear plane, for each SET of `SETS`.
The left half of a field is trained on, the right half is judged; a tenth of the width of the right
half lies between them. None of these stacks tells its voxel size, so the width of their nuclei is
measured in the plane by a ruler, and all are brought to pixels in which nuclei are as wide as the
model's. The planes along z stay as they are.

Each method is trained for so many minutes of one processor core: of its own time, not of the
clock's, so that what else runs on the computer changes nothing. Figures are of the maximum
projection of the stain against the plane, in 2D, by two segmenters; intervals are bootstraps over
blocks of the field. Rows of the method "judge" are the plane against itself, segmented with a
diameter a fifth larger, or by the other segmenter: what they miss of 1 is the judge's own noise.
The same command goes on after an interruption. Writes OUT/figures.json and a table.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from napari_llcm.evaluation import nuclear_auc
from napari_llcm.evaluation.statistics import interval
from napari_llcm.events import result_of
from napari_llcm.models import load_model
from napari_llcm.models.info import ModelInfo
from napari_llcm.nuclei import Comparison, compare_nuclei, make_segmenter
from napari_llcm.nuclei.counts import Counts
from napari_llcm.nuclei.thresholding import counts_of
from napari_llcm.staining import Stainer
from napari_llcm.training import make_job, train, trainer
from napari_llcm.volumes import Volume, read, resample, write
from napari_llcm.volumes.atomic import write_json
from napari_llcm.volumes.flat import as_flat, project

SETS = {  # stack, plane, and how wide a nucleus is: pixels, by a ruler
    "isl": ("phase", "dapi_max_projection", 27.0),
    "sephace": ("sephace_set1_brightfield", "sephace_set1_dapi_2d", 110.0),
    "deepcellintro": ("deepcellintro_phase", "deepcellintro_nuclear_2d", 25.0),
}
RUNS = (
    "none",
    "llcm start",
    "pix2pix nothing",
    "regression start",
    "llcm nothing",
    "regression nothing",
)
FIGURES = ("f1", "f1_30", "detection_f1")
_BLOCKS = 4  # of the judged half along y and along x
_WIDER = 1.2  # diameter of the judge's second opinion


def main() -> None:
    """Train, stain, judge, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--out", type=Path, default=Path("real-flat"))
    parser.add_argument("--model", default="specimen-v6")
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--sets", nargs="+", default=list(SETS), choices=list(SETS))
    parser.add_argument("--runs", nargs="*", default=list(RUNS), choices=list(RUNS))
    options = parser.parse_args()
    trainer.time = SimpleNamespace(monotonic=time.process_time)  # type: ignore[attr-defined]
    torch.set_num_threads(1)
    out, info = options.out / Path(options.model).name, load_model(options.model).info
    rows: list[dict[str, Any]] = []
    for name in options.sets:
        test = prepare(options.data / name, SETS[name], out / name, info)
        rows += judge_itself(name, out / name / "judge.json", info.nucleus_um or 0.0, test[1])
        for run in options.runs:
            path = out / name / f"{run.replace(' ', '-')}.json"
            if not path.exists():
                model = options.model if run == "none" else fitted(out / name, run, options)
                write_json(path, {"rows": judged(name, run, model, info.nucleus_um or 0.0, *test)})
            rows += json.loads(path.read_text())["rows"]
            write_json(out / "figures.json", {"minutes": options.minutes, "rows": rows})
    show(rows)


def prepare(
    folder: Path, known: tuple[str, str, float], out: Path, info: ModelInfo
) -> tuple[Volume, Volume]:
    """Write the left half as a pair to train on; return the right half, stack and plane."""
    *files, width = known
    stack, plane = (read(folder / f"{file}.ome.tif") for file in files)
    assert info.spacing is not None
    assert info.nucleus_um is not None
    own = info.nucleus_um / width  # µm for each pixel, by which nuclei are as wide as the model's
    z, y, x = info.spacing
    both = [
        resample(v.replace(spacing=(z, own, own), data=v.numpy().astype(np.float32)), (z, y, x))
        for v in (stack, as_flat(plane))
    ]
    print(f"{folder.name}: {both[0].shape} on the model's grid")
    middle, gap = both[0].shape[2] // 2, both[0].shape[2] // 20
    for kind, volume in zip(("qpi", "dapi"), both, strict=True):
        half = volume.replace(data=volume.data[..., :middle], metadata={})
        write(out / "train" / kind / "left.ome.tif", half, overwrite=True)
    right = [v.replace(data=np.ascontiguousarray(v.data[..., middle + gap :])) for v in both]
    return right[0], right[1]


def fitted(out: Path, run: str, options: argparse.Namespace) -> str:
    """Train a method for so many minutes of processor time, and return its run folder."""
    method, start = run.split()
    fields: dict[str, Any] = {
        "pairs": [out / "train"],
        "method": method,
        "init": options.model if start == "start" else None,
        "device": "cpu",
        "validation_share": 0.0,
        "validations": 0,
        "never_worse": False,
        "max_minutes": options.minutes,
    }
    folder = out / run.replace(" ", "-")
    settings = {"steps": 10**6, "warmup_steps": 10 if start == "start" else 50}
    result_of(train(make_job("quick", **fields, out=folder / "run", method_phase=settings)))
    return str(folder / "run")


def judged(
    name: str, run: str, model: str, diameter: float, qpi: Volume, plane: Volume
) -> list[dict[str, Any]]:
    """Stain the right half and compare its maximum projection with the plane."""
    virtual = Stainer(load_model(model), device="cpu").stain(qpi)
    rows = []
    for segmenter in (make_segmenter(), make_segmenter("classical")):
        found = result_of(compare_nuclei(plane, virtual, segmenter=segmenter, diameter=diameter))
        image = project(virtual).numpy()[0]
        auc = nuclear_auc(image, found.truth_labels.numpy()[0] > 0)
        rows.append(
            {"set": name, "run": run, "judge": segmenter.name, "auc": auc, **figures(found)}
        )
    return rows


def judge_itself(name: str, path: Path, width: float, plane: Volume) -> list[dict[str, Any]]:
    """Compare the plane with itself, segmented otherwise."""
    if path.exists():
        return list(json.loads(path.read_text())["rows"])
    segmenters = (make_segmenter(), make_segmenter("classical"))
    labels = {
        (s.name, factor): result_of(
            compare_nuclei(plane, _deep(plane), segmenter=s, diameter=factor * width)
        ).truth_labels
        for s in segmenters
        for factor in (1.0, _WIDER)
    }
    rows = []
    first, second = (s.name for s in segmenters)
    for truth, other, how in (
        ((first, 1.0), (first, _WIDER), f"diameter x {_WIDER}"),
        ((second, 1.0), (second, _WIDER), f"diameter x {_WIDER}"),
        ((first, 1.0), (second, 1.0), "by the classical one"),
    ):
        one, two = (v.replace(metadata={"labels": True}) for v in (labels[truth], labels[other]))
        found = result_of(compare_nuclei(one, two, truth_is_labels=True, stain_is_labels=True))
        row = {"set": name, "run": f"the plane itself, {how}", "judge": truth[0], "auc": None}
        rows.append({**row, **figures(found)})
    write_json(path, {"rows": rows})
    return rows


def figures(found: Comparison) -> dict[str, Any]:
    """Return F1 at two overlaps and of detection, with intervals over blocks of the field."""
    _, height, width = found.truth_labels.shape
    _, sy, sx = found.truth_labels.spacing or (1.0, 1.0, 1.0)
    origin = np.array(found.truth_labels.origin)
    blocks: dict[tuple[int, int], list[Any]] = {
        (i, j): [] for i in range(_BLOCKS) for j in range(_BLOCKS)
    }
    for row in found.table:
        i = int((row["y"] - origin[1]) / sy / height * _BLOCKS)
        j = int((row["x"] - origin[2]) / sx / width * _BLOCKS)
        blocks[min(max(i, 0), _BLOCKS - 1), min(max(j, 0), _BLOCKS - 1)].append(row)
    counts = [counts_of(rows) for rows in blocks.values()]
    made: dict[str, Any] = {"real": found.counts.truth, "virtual": found.counts.stain}
    for name in FIGURES:

        def of(drawn: list[int], name: str = name) -> float:
            """Return the figure of some blocks."""
            return float(getattr(sum((counts[k] for k in drawn), Counts()), name))

        made |= {name: getattr(found.counts, name), f"{name}_interval": interval(of, len(counts))}
    return made


def show(rows: Sequence[dict[str, Any]]) -> None:
    """Print a table in Markdown's form."""
    table = Table("set", "judge", "run", "F1 (IoU .5)", "F1 (IoU .3)", "detection", "AUC", "nuclei")
    for row in rows:
        shown = [_with_interval(row, name) for name in FIGURES]
        auc = "" if row["auc"] is None else f"{row['auc']:.2f}"
        nuclei = f"{row['virtual']} of {row['real']}"
        judge = "classical" if row["judge"] == "classical" else "Cellpose"
        table.add_row(row["set"], judge, row["run"], *shown, auc, nuclei)
    Console(width=160).print(table)


def _with_interval(row: dict[str, Any], name: str) -> str:
    low, high = row[f"{name}_interval"] or (np.nan, np.nan)
    return f"{row[name]:.2f} ({low:.2f}-{high:.2f})"


def _deep(plane: Volume) -> Volume:
    """Return a plane as a stack of two, whose projection it is."""
    return plane.replace(data=np.repeat(plane.numpy(), 2, 0), metadata={})


if __name__ == "__main__":
    main()
