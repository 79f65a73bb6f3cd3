"""How soon a fine-tuned model is good on a kind of stack that it has never seen.

    python benchmarks/fine_tuning.py --models specimen-v6 --out fine-tuning
    python benchmarks/fine_tuning.py --models specimen-v6 --kinds held-out/* --out fine-tuning
    python benchmarks/fine_tuning.py --kinds dic brightfield --volumes 2 --known specimens --control

With --control a frozen model with a branch that alone is trained stands beside each fine-tuned one.
With --known every model is judged on a folder of pairs, too, of a kind that the start knows well:
so what fine-tuning has forgotten is seen.

A kind is a few tags of `napari_llcm.specimen.draw_specimen`: one specimen of it is drawn, wide
enough for all volumes, which are cut from it with a gap: one sample and one microscope, as a
laboratory has it. Or it is a folder of pairs. The last volumes are held out and judged; a quarter
of a volume is a corner of the first. Every run is what `napari-llcm train --init` does.

A minute is a number of steps, by default those that one thread of an idle computer does in it
(bfloat16, two patches of the default size), since a minute of a busy computer is none; the seconds
that it really took stand beside. The same command goes on after an interruption. Writes
OUT/fine_tuning.json and fine_tuning.png.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
from held_out import width_in_plane

from napari_llcm.evaluation import evaluate
from napari_llcm.evaluation.judging import Remembering
from napari_llcm.evaluation.while_training import NucleiJudge
from napari_llcm.events import Finished, UserError, result_of
from napari_llcm.models.library import DEFAULT_MODEL
from napari_llcm.nuclei import make_segmenter, segment
from napari_llcm.specimen import draw_specimen
from napari_llcm.specimen.families import TAGS
from napari_llcm.training import make_job, train
from napari_llcm.training.runs import run_state
from napari_llcm.volumes import Volume, find_pairs, labels_of, write
from napari_llcm.volumes.atomic import write_json

KINDS = {
    "dic": ("modality:dic", "noise:weak", "planes:many"),
    "brightfield": ("modality:brightfield", "noise:weak", "planes:many"),
    "monolayer": ("cells:monolayer", "modality:qobm", "planes:many"),
    "large": ("size:large", "modality:transmission", "planes:many"),
}
SIZE, GAP = (32, 160, 160), 16  # voxels of a volume; along x, between two
_SEED, _HELD_OUT = 71_000, 2
_FEW = 20  # nuclei of a drawn volume


def main() -> None:
    """Train, judge, draw."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", nargs="+", default=[DEFAULT_MODEL])
    parser.add_argument("--kinds", nargs="+", default=list(KINDS), help="names, or folders")
    parser.add_argument("--volumes", type=float, nargs="+", default=[1, 0.25, 2, 4])
    parser.add_argument("--minutes", type=float, nargs="+", default=[1, 2, 5])
    parser.add_argument("--steps-per-minute", type=float, default=73.0)
    parser.add_argument("--held-out", type=int, default=_HELD_OUT, help="volumes of each kind")
    parser.add_argument("--control", action="store_true", help="a branch, too, beside the model")
    parser.add_argument("--known", type=Path, help="pairs of a kind that the start knows")
    parser.add_argument("--out", type=Path, default=Path("fine-tuning"))
    options = parser.parse_args()
    path = options.out / "fine_tuning.json"
    figures: list[dict[str, Any]] = json.loads(path.read_text()) if path.exists() else []
    segmenter = Remembering(make_segmenter())
    plan = [(n, m, how) for n in options.volumes for m in options.minutes for how in hows(options)]
    known = options.known and (options.known, _width_of(options.known))
    for kind in options.kinds:
        folder = options.out / "data" / Path(kind).name
        width = _volumes(kind, folder, int(max(options.volumes)), options.held_out)
        for model in options.models:
            for volumes, minutes, how in [(0.0, 0.0, "all"), *plan]:
                row = {"kind": folder.name, "start": model, "volumes": volumes, "minutes": minutes}
                row["trained"] = how
                if any(row.items() <= ({"trained": "all"} | done).items() for done in figures):
                    continue
                name = f"{folder.name}-{Path(model).name}-{volumes:g}-{minutes:g}"
                name += "" if how == "all" else f"-{how}"
                out, steps = options.out / "runs" / name, round(minutes * options.steps_per_minute)
                new: dict[str, Any] = {"steps": steps}
                if steps:
                    pairs, control = folder / f"train-{volumes:g}", how == "control"
                    new |= _tuned(model, pairs, out / "run", steps, width, control)
                made = str(out / "run") if steps else model
                new |= _judged(folder / "test", out / "evaluation", made, width, segmenter)
                if known:
                    of = _judged(known[0], out / "known", made, known[1], segmenter)
                    new |= {f"known_{key}": value for key, value in of.items()}
                figures.append(row | new)
                print(json.dumps(figures[-1]), flush=True)
                write_json(path, figures)
    draw(options.out / "fine_tuning.png", figures)


def hows(options: argparse.Namespace) -> tuple[str, ...]:
    """Return what is trained, one after the other."""
    return ("all", "control") if options.control else ("all",)


def _width_of(pairs: Path) -> float:
    """Return the width of the nuclei of the first pair of a folder, in µm."""
    qpi, dapi, truth = find_pairs(pairs)[0].read()
    nuclei = segment(dapi, make_segmenter()) if truth is None else labels_of(truth)
    return width_in_plane(nuclei.numpy(), qpi.spacing)


def _volumes(kind: str, folder: Path, most: int, held_out: int) -> float:
    """Write the volumes of a kind where they are not there yet; return the width of its nuclei."""
    known = folder / "nucleus_um.json"
    if known.exists():
        return float(json.loads(known.read_text()))
    if kind in KINDS:
        volumes, width = _drawn(KINDS[kind], most + held_out)
    else:
        pairs = find_pairs(Path(kind))
        volumes = [pair.read()[:2] for pair in pairs]
        truth = pairs[0].read()[2]
        nuclei = segment(volumes[0][1], make_segmenter()) if truth is None else labels_of(truth)
        width = width_in_plane(nuclei.numpy(), volumes[0][0].spacing)
    train, test = volumes[:-held_out], volumes[-held_out:]
    if not train:
        raise SystemExit(f"{kind} has {len(volumes)} volumes: none is left to train on.")
    for count in range(1, len(train) + 1):
        _write(train[:count], folder / f"train-{count}")
    _write([tuple(_corner(v) for v in train[0])], folder / "train-0.25")
    _write(test, folder / "test")
    write_json(known, width)
    return width


def _drawn(tags: tuple[str, ...], count: int) -> tuple[list[Any], float]:
    sorts = {tag.partition(":")[0] for tag in tags}
    others = {f"{sort}:{value}" for sort in sorts for value in TAGS[sort]} - set(tags)
    z, y, x = SIZE
    step = x + GAP
    for seed in range(_SEED, _SEED + 100):
        try:
            made = draw_specimen(seed, size=(z, y, step * count - GAP), leave_out=others)
        except UserError:
            continue
        boxes = [slice(step * i, step * i + x) for i in range(count)]
        if min(len(np.unique(made.labels.numpy()[..., box])) for box in boxes) <= _FEW:
            continue  # between two spheroids nothing is to be learned or judged
        cut = [
            [v.replace(data=np.ascontiguousarray(v.numpy()[..., box])) for box in boxes]
            for v in (made.qpi, made.dapi)
        ]
        return list(zip(*cut, strict=True)), float(made.qpi.metadata["nucleus_um"])
    raise SystemExit(f"Nothing is drawn that is {', '.join(tags)}.")


def _corner(volume: Volume) -> Volume:
    *_, y, x = volume.shape
    return volume.replace(data=np.ascontiguousarray(volume.numpy()[..., : y // 2, : x // 2]))


def _write(volumes: list[Any], folder: Path) -> None:
    for number, pair in enumerate(volumes):
        for name, volume in zip(("qpi", "dapi"), pair, strict=True):
            write(folder / name / f"{number}.ome.tif", volume, overwrite=True)


def _tuned(
    model: str, pairs: Path, out: Path, steps: int, width: float, control: bool
) -> dict[str, Any]:
    """Fine-tune as the command does, for so many steps; return how it ended."""
    usual = make_job(pairs=[pairs], out=out, init=model)
    job = make_job(
        pairs=[pairs],
        out=out,
        init=model,
        control=control,
        nucleus_um=width,
        max_minutes=10_000,
        method_phase=usual.method_phase.model_copy(update={"steps": steps}),
        tensorboard=False,
    )
    if run_state(out) == "finished":
        return {}
    *_, last = train(job, resume=(out / "job.yaml").exists(), judge=NucleiJudge(reference=model))
    assert isinstance(last, Finished)
    return {key: last.result[key] for key in ("seconds", "kept_start")}


def _judged(
    test: Path, out: Path, model: str, width: float, segmenter: Remembering
) -> dict[str, Any]:
    report = out / "report.json"
    if not report.exists():
        result_of(
            evaluate(find_pairs(test), out, model=model, segmenter=segmenter, nucleus_um=width)
        )
    found = json.loads(report.read_text())
    return {key: found[key] for key in ("recall", "precision", "f1", "detection_recall")}


def draw(path: Path, figures: list[dict[str, Any]]) -> None:
    """Draw F1 against minutes, a panel for each kind.

    Parameters
    ----------
    path : Path
        The picture.
    figures : list of dict
        Rows of the JSON.
    """
    from matplotlib.figure import Figure

    kinds = list(dict.fromkeys(f["kind"] for f in figures))
    figure = Figure(figsize=(3.2 * len(kinds), 3.2), layout="constrained")
    axes = figure.subplots(1, len(kinds), sharey=True, squeeze=False)[0]
    for axis, kind in zip(axes, kinds, strict=True):
        rows = [f for f in figures if f["kind"] == kind]
        for chosen in dict.fromkeys((f["start"], f["volumes"], _how(f)) for f in rows):
            start, count, how = chosen
            if not count:
                continue
            same = [f for f in rows if f["start"] == start]
            line = [f for f in same if not f["volumes"] or (f["volumes"], _how(f)) == chosen[1:]]
            line.sort(key=lambda f: f["minutes"])
            name = f"{start}, {count:g} volume{'s' * (count > 1)}"
            name += "" if how == "all" else f", {how} branch"
            axis.plot([f["minutes"] for f in line], [f["f1"] or 0 for f in line], "o-", label=name)
        axis.set(title=kind, xlabel="minutes of one thread", ylim=(0, 1))
    axes[0].set_ylabel("nuclei F1 on held-out volumes")
    axes[-1].legend(frameon=False, fontsize=8)
    figure.savefig(path, dpi=110)


def _how(row: dict[str, Any]) -> str:
    return str(row.get("trained", "all"))


if __name__ == "__main__":
    main()
