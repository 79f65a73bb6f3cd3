"""Fit which stacks a model can read, and how far to trust its nuclei, on specimens of all families.

    python benchmarks/calibrate_input.py draw FOLDER --n 120
    python benchmarks/calibrate_input.py judge FOLDER --model specimen-v6
    python benchmarks/calibrate_input.py fit FOLDER --model specimen-v6 --write

Specimens are drawn and judged one by one, and may be by several processes and in stretches: what is
there is not done again. Most are stained with about the width of their nuclei, as a user knows it,
the others by their voxel size alone; every seventh is spoiled, so that what no model reads is known
too. The figures are of families that were left out of the fit, each modality, sort of cells and way
of spoiling at a time.
"""

from __future__ import annotations

import argparse
import pickle
from collections.abc import Generator
from dataclasses import replace
from pathlib import Path

import numpy as np
from scipy import ndimage

from napari_llcm.evaluation.familiarity_fit import Known
from napari_llcm.events import UserError
from napari_llcm.specimen import draw_specimen
from napari_llcm.volumes import Volume

SIZE = (24, 112, 112)


def spoil(phase: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, str]:
    """Return a stack that hardly any model can read, and the name of what was done to it."""
    sd = float(phase.std())
    kind = str(rng.choice(["noise", "nothing", "gradient", "blur", "stripes", "inverted"]))
    white = rng.standard_normal(phase.shape).astype(np.float32)
    if kind == "noise":
        return phase + sd * float(rng.uniform(1, 4)) * white, kind
    if kind == "nothing":
        width = float(rng.uniform(0, 3))
        return ndimage.gaussian_filter(white, (width / 2, width, width)), kind
    if kind == "gradient":
        axes = np.meshgrid(*(np.linspace(-1, 1, n) for n in phase.shape), indexing="ij")
        slope = sum(a * float(rng.normal()) for a in axes)
        return np.asarray(slope + float(rng.uniform(0, 0.1)) * white, np.float32), kind
    if kind == "blur":
        return ndimage.gaussian_filter(phase, float(rng.uniform(2, 6))), kind
    if kind == "stripes":
        rows = rng.standard_normal((1, phase.shape[1], 1)).astype(np.float32)
        return phase + sd * float(rng.uniform(0.5, 3)) * rows, kind
    return -phase, kind


def draw(folder: Path, first: int, count: int) -> None:
    """Draw specimens into a folder, one file each."""
    folder.mkdir(parents=True, exist_ok=True)
    for seed in range(first, first + count):
        path = folder / f"{seed}.npz"
        if path.exists():
            continue
        specimen = draw_specimen(seed, size=SIZE)
        rng = np.random.default_rng([seed, 0xCA11])
        phase, tags = specimen.qpi.numpy(), list(specimen.qpi.metadata["tags"])
        if seed % 7 == 0:
            phase, kind = spoil(phase, rng)
            tags.append(f"spoiled:{kind}")
        width = float(specimen.qpi.metadata["nucleus_um"]) * float(np.exp(rng.normal(0, 0.2)))
        np.savez_compressed(
            path,
            phase=phase.astype(np.float32),
            dapi=specimen.dapi.numpy(),
            labels=specimen.labels.numpy(),
            spacing=specimen.qpi.spacing,
            tags=tags,
            width=width if rng.random() < 0.7 else np.nan,
        )
        print(path.name, *tags, flush=True)


def result_of_generator(job: Generator[object, None, Known | None]) -> Known:
    """Return what a generator of events returns at its end."""
    while True:
        try:
            next(job)
        except StopIteration as end:
            return end.value


def judge(folder: Path, model: str) -> None:
    """Stain and judge every specimen of a folder by a model."""
    from napari_llcm.evaluation.input_calibration import judge as judge_stack
    from napari_llcm.models import load_model
    from napari_llcm.nuclei import make_segmenter

    bundle = load_model(model, "cpu")
    segmenter = make_segmenter("cellpose", None, "cpu")
    judged = folder / bundle.info.name
    judged.mkdir(exist_ok=True)
    for path in sorted(folder.glob("*.npz")):
        target = judged / f"{path.stem}.pickle"
        if target.exists():
            continue
        with np.load(path) as file:
            spacing = tuple(float(s) for s in file["spacing"])
            qpi = Volume(file["phase"], spacing, name=path.stem)
            truth = Volume(file["labels"].astype(np.uint32), spacing, name="truth")
            tags, width = file["tags"].tolist(), float(file["width"])
        try:
            known = result_of_generator(
                judge_stack(
                    qpi, truth, bundle, segmenter, "", "cpu",
                    nucleus_um=None if np.isnan(width) else width,
                )
            )  # fmt: skip
        except UserError as error:
            print(path.name, error)
            continue
        target.write_bytes(pickle.dumps((tags, known)))
        print(path.name, *tags, f"F1 {known.f1:.2f}", flush=True)


def fit(folder: Path, model: str, write: bool) -> None:
    """Fit on what was judged, print the figures, and keep the fit in the model."""
    from napari_llcm.evaluation import confidence_fit, familiarity_fit
    from napari_llcm.models import find_model, read_info
    from napari_llcm.models.bundle import write_info
    from napari_llcm.models.familiarity import READABLE
    from napari_llcm.nuclei.features import of_stack

    path = find_model(model)
    info = read_info(path)
    judged = [pickle.loads(p.read_bytes()) for p in sorted((folder / info.name).glob("*.pickle"))]
    for sort in ("cells", "modality"):
        stacks = [replace(known, family=family_of(tags, sort)) for tags, known in judged]
        familiarity = familiarity_fit.fit(stacks)
        print(f"{len(stacks)} stacks, each sort of {sort} left out:", familiarity.figures)
        expected = familiarity_fit.left_out(stacks)
        for family in sorted({s.family for s in stacks}):
            of = np.array([s.family == family for s in stacks])
            f1 = np.array([s.f1 for s in stacks])
            print(f"  {family}: {of.sum()}, F1 {f1[of].mean():.2f}, said {expected[of].mean():.2f}")
        readable = [(s, e) for s, e in zip(stacks, expected, strict=True) if e >= READABLE]
        for stack, f1 in readable:  # as it is said of a stack of a family that is not known
            stack.nuclei.features.update(of_stack(f1, len(stack.nuclei.real)))
        confidence = confidence_fit.fit(
            [s.nuclei for s, _ in readable],
            [s.faint for s, _ in readable],
            [s.family for s, _ in readable],
        )
        for name, figures in confidence.compared.items():
            print(f"  {name}:", {k: round(v, 3) for k, v in figures.items()})
        print(f"  chosen: {confidence.estimator}, {confidence.fields} stacks")
    if write:
        update = {"familiarity": familiarity, "confidence": confidence}
        write_info(path, info.model_copy(update=update))


def family_of(tags: list[str], sort: str) -> str:
    """Return by what a stack is left out: how it was spoiled, or its tag of one sort."""
    return next(t for t in [*reversed(tags)] if t.startswith(("spoiled:", f"{sort}:")))


def main() -> None:
    """Run the part that is asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("part", choices=["draw", "judge", "fit"])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--n", type=int, default=120)
    parser.add_argument("--model", default="specimen-v6")
    parser.add_argument("--write", action="store_true")
    given = parser.parse_args()
    if given.part == "draw":
        draw(given.folder, given.first, given.n)
    elif given.part == "judge":
        judge(given.folder, given.model)
    else:
        fit(given.folder, given.model, given.write)


if __name__ == "__main__":
    main()
