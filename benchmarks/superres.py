"""How well finer slices are restored from thick ones: methods against interpolation.

    python benchmarks/superres.py --out superres
    python benchmarks/superres.py --out superres --kinds microscopy --stack dapi.ome.tif

Of CT: phantoms, 6 thin planes in a slice; others are held out. Of microscopy: the left half of a
real stack and simulated DAPI, 4 planes in a slice; blocks of the right half are held out. A model
is what `napari-llcm train --task superres-ct` (or `superres`) makes, in so many steps in place of
minutes, since a minute of a busy computer is none; the seconds of the processor stand beside. All
methods have the same latents, which are not learned, and build on the same slice kernel, whose
figures alone are those of "kernel". Seconds of restoring are the processor's too,
of one thread, one volume after the other by each method in turn. The same command goes on after an
interruption. Writes OUT/superres.json and superres.md.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from napari_llcm.evaluation.judging import Remembering
from napari_llcm.evaluation.restoration import restoration_metrics
from napari_llcm.evaluation.statistics import interval
from napari_llcm.events import Finished, result_of
from napari_llcm.models import load_bundle
from napari_llcm.nuclei import compare_nuclei, make_segmenter
from napari_llcm.phantom import write_phantoms
from napari_llcm.specimen import write_specimens
from napari_llcm.staining import StainOptions, stain
from napari_llcm.tasks import Task, find_task
from napari_llcm.training import make_job, train
from napari_llcm.training.runs import run_state
from napari_llcm.volumes import Volume, read, write
from napari_llcm.volumes.atomic import write_json
from napari_llcm.volumes.thick_slices import interpolated, thicken, with_planes

TASKS = {"ct": "superres-ct", "microscopy": "superres"}
METHODS = ("llcm", "regression", "diffusion", "resshift")
INTERPOLATION = ("linear", "cubic", "kernel")
CT_SIZE, CT_SPACING = (96, 112, 112), (1000.0, 2800.0, 2800.0)
GAP = 16  # voxels along x between what is trained on and what is held out
_HELD_OUT_SEED = 100_000


def main() -> None:
    """Make data, train, restore, judge, write tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kinds", nargs="+", default=["ct"], choices=list(TASKS))
    parser.add_argument("--methods", nargs="*", default=list(METHODS))
    parser.add_argument("--rows", type=Path, help="figures, where not in OUT/superres.json")
    parser.add_argument("--steps", type=int, default=1000, help="of each training")
    parser.add_argument("--train", type=int, default=10, help="phantoms, or simulated stacks")
    parser.add_argument("--held-out", type=int, default=6, help="phantoms")
    parser.add_argument("--device", default="cpu", help="to train on; restoring is timed on a CPU")
    parser.add_argument("--stack", type=Path, help="a real DAPI stack, for microscopy")
    parser.add_argument("--nuclei", action="store_true", help="of microscopy, count nuclei too")
    parser.add_argument("--out", type=Path, default=Path("superres"))
    options = parser.parse_args()
    torch.set_num_threads(1)
    path = options.rows or options.out / "superres.json"
    rows: list[dict[str, Any]] = json.loads(path.read_text()) if path.exists() else []
    for kind in options.kinds:
        folder = options.out / kind
        _data(kind, folder, options)
        models = {m: _trained(kind, m, folder, options) for m in options.methods}
        for file in sorted((folder / "test").glob("*.ome.zarr")):
            _restored(kind, file, models, rows, path)
            if options.nuclei and kind == "microscopy":
                _counted(file, rows, path)
    path.with_suffix(".md").write_text(table(rows), encoding="utf-8")


def _data(kind: str, folder: Path, options: argparse.Namespace) -> None:
    """Write thin volumes to train on and to hold out, where they are not there yet."""
    if (folder / "test").exists():
        return
    if kind == "ct":
        sizes = {"size": CT_SIZE, "spacing": CT_SPACING, "overwrite": True}
        result_of(write_phantoms(folder / "train", options.train, seed=0, **sizes))
        made = folder / "made"
        result_of(write_phantoms(made, options.held_out, seed=_HELD_OUT_SEED, **sizes))
        thin = [read(file) for file in sorted((made / "thin").iterdir())]
    else:
        if options.stack is None:
            raise SystemExit("microscopy needs --stack: a real DAPI stack.")
        made = folder / "made"
        if options.train:
            result_of(write_specimens(made, options.train, (48, 128, 128), 0, overwrite=True))
            for file in sorted((made / "dapi").iterdir()):
                write(folder / "train" / "thin" / f"{file.name[:-8]}.ome.tif", read(file))
        left, thin = _halves(read(options.stack).select(None, None))
        write(folder / "train" / "thin" / "real.ome.tif", left, overwrite=True)
    for number, one in enumerate(thin):
        write(folder / "partly" / f"{number}.ome.zarr", one, overwrite=True)
    (folder / "partly").rename(folder / "test")


def _halves(volume: Volume) -> tuple[Volume, list[Volume]]:
    """Return the left half of a stack, and blocks of its right half."""
    data = volume.numpy()
    z, y, x = data.shape
    right = x // 2 + GAP // 2
    blocks = [
        np.ascontiguousarray(data[a : a + z // 2, b : b + y // 2, right:])
        for a in (0, z // 2)
        for b in (0, y // 2)
    ]
    left = volume.replace(data=np.ascontiguousarray(data[..., : x // 2 - GAP // 2]))
    return left, [volume.replace(data=b, origin=(0.0, 0.0, 0.0)) for b in blocks]


def _trained(kind: str, method: str, folder: Path, options: argparse.Namespace) -> Path:
    """Train as the command does, for so many steps; return the model's folder."""
    steps = options.steps
    out = folder / "runs" / f"{method}-{steps}"
    usual = make_job(pairs=[folder / "train"], out=out, task=TASKS[kind], method=method)
    job = make_job(
        pairs=[folder / "train"],
        out=out,
        task=TASKS[kind],
        method=method,
        method_phase=usual.method_phase.model_copy(update={"steps": steps}),
        validations=3,
        device=options.device,
        tensorboard=False,
    )
    if run_state(out) != "finished":
        began = time.process_time()
        result_of(train(job, resume=(out / "job.yaml").exists()))
        write_json(out / "processor_seconds.json", time.process_time() - began)
    return out / "model"


def _restored(
    kind: str, file: Path, models: dict[str, Path], rows: list[dict[str, Any]], path: Path
) -> None:
    """Restore one volume by every method and keep the figures."""
    task = find_task(TASKS[kind])
    assert task.thick is not None
    thick, thin = thicken(read(file), task.thick)
    for method in (*INTERPOLATION, *models):
        if method == "kernel" and "llcm" not in models:
            continue
        row = {"kind": kind, "volume": file.name, "method": method}
        if any(row.items() <= done.items() for done in rows):
            continue
        began = time.process_time()
        if method in models:
            bundle = load_bundle(models[method])
            *_, last = stain(thick, bundle, StainOptions(device="cpu"))
            assert isinstance(last, Finished)
            made = last.value
        elif method == "kernel":
            made = _by_kernel(thick, load_bundle(models["llcm"]).info.task)
        else:
            made = interpolated(thick, len(thin.data), method)  # type: ignore[arg-type]
        seconds = time.process_time() - began
        write(file.parent / f"{file.name}.{method}.nii.gz", made, overwrite=True)
        row |= restoration_metrics(thin, made) | {"seconds": seconds}
        rows.append(row)
        print(json.dumps(row), flush=True)
        write_json(path, rows)


def _by_kernel(thick: Volume, task: Task) -> Volume:
    """Return what the networks of a model build on: the slice kernel that was fitted with it."""
    intensity, count = task.inputs[0].intensity, thick.shape[0]
    scaling = intensity.measure(thick.data)
    planes = np.arange(task.planes * count)
    slices = intensity.mixable(intensity.apply(thick.numpy(), scaling))
    made = intensity.mixed(task.between.between(slices, planes, 0, count))
    return with_planes(thick, task.planes).replace(data=intensity.undo(made, scaling))


def _counted(file: Path, rows: list[dict[str, Any]], path: Path) -> None:
    """Add to each row of a volume what Cellpose finds of the nuclei that it finds in the truth."""
    segmenter = Remembering(make_segmenter())
    mine = [r for r in rows if r["volume"] == file.name and r["kind"] == "microscopy"]
    for row in mine:
        if "nuclei" in row:
            continue
        made = read(file.parent / f"{file.name}.{row['method']}.nii.gz")
        truth = read(file)
        truth = truth.replace(data=truth.data[: made.shape[0]])
        found = result_of(
            compare_nuclei(
                truth, made, segmenter=segmenter, truth_is_labels=False, stain_is_labels=False
            )
        )
        row["nuclei"] = {
            n: found.figures[n] for n in ("truth_nuclei", "stain_nuclei", "found", "ap")
        }
        print(row["method"], row["nuclei"], flush=True)
        write_json(path, rows)


def table(rows: list[dict[str, Any]]) -> str:
    """Return the figures as Markdown: means over volumes, and their gain over cubic with intervals.

    Parameters
    ----------
    rows : list of dict
        Rows of the JSON.
    """
    text = ""
    for kind in dict.fromkeys(row["kind"] for row in rows):
        text += f"\n### {kind}\n\n| method | PSNR (dB) | gain over cubic | SSIM | gain over cubic "
        text += "| mean error | gain over cubic | nuclei F1, AP | seconds |\n" + "|---" * 9 + "|\n"
        of = {
            m: {r["volume"]: r for r in rows if (r["kind"], r["method"]) == (kind, m)}
            for m in dict.fromkeys(r["method"] for r in rows if r["kind"] == kind)
        }
        for method, mine in of.items():
            cells = [method]
            for name, digits in (("psnr", 2), ("ssim", 4), ("mae", 2)):
                cells.append(f"{np.mean([r[name] for r in mine.values()]):.{digits}f}")
                gains = [r[name] - of["cubic"][v][name] for v, r in mine.items()]
                cells.append(_with_interval(gains, digits))
            cells.append(_nuclei([r["nuclei"] for r in mine.values() if "nuclei" in r]))
            cells.append(f"{np.mean([r['seconds'] for r in mine.values()]):.1f}")
            text += f"| {' | '.join(cells)} |\n"
    return text


def _nuclei(counts: list[dict[str, float]]) -> str:
    """Return F1 of all blocks together, its 95 % interval, and the mean average precision."""
    if not counts:
        return ""

    def f1(drawn: list[int]) -> float:
        """Return F1 of the blocks drawn."""
        names = ("found", "truth_nuclei", "stain_nuclei")
        hits, real, made = (sum(counts[i][n] for i in drawn) for n in names)
        return 2 * hits / (real + made) if real + made else float("nan")

    ends = interval(f1, len(counts))
    told = f"{f1(list(range(len(counts)))):.2f}"
    told += "" if ends is None else f" ({ends[0]:.2f} to {ends[1]:.2f})"
    return f"{told}, {np.mean([c['ap'] for c in counts]):.2f}"


def _with_interval(values: list[float], digits: int) -> str:
    """Return a mean and its 95 % interval, by bootstrap over volumes."""
    told = f"{np.mean(values):+.{digits}f}"
    ends = interval(lambda drawn: float(np.mean([values[i] for i in drawn])), len(values))
    return told if ends is None else f"{told} ({ends[0]:+.{digits}f} to {ends[1]:+.{digits}f})"


if __name__ == "__main__":
    main()
