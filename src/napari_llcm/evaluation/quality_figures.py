"""The benchmark's figures: recall by kind of nucleus, curves over confidence, images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..volumes import Pair, Volume, read
from ..volumes.atomic import save_figure
from .judging import CEILING, Judged, stain_path

_HALF = (24.0, 24.0)  # µm (y, x) around the nucleus that is shown
_THIRDS = ("least", "middle", "most")


def draw_strata(path: Path, strata: Mapping[str, Mapping[str, Sequence[Mapping[str, Any]]]]) -> str:
    """Draw recall for thirds of the nuclei by brightness, volume and depth; return the name."""
    from matplotlib.figure import Figure

    names = [n for n in strata if strata[n] and "steps" not in n]
    properties = list(dict.fromkeys(p for n in names for p in strata[n]))
    if not properties:
        return ""
    figure = Figure(figsize=(4.2 * len(properties), 3.6), layout="constrained")
    axes = figure.subplots(1, len(properties), sharey=True, squeeze=False)[0]
    for axis, name in zip(axes, properties, strict=True):
        for variant in names:
            recalls = [part["recall"] for part in strata[variant].get(name, [])]
            axis.plot(_THIRDS[: len(recalls)], recalls, marker="o", label=variant)
        axis.set(title=f"by {name}", ylim=(0, 1.03))
    axes[0].set_ylabel("recall")
    axes[-1].legend(fontsize=8, frameon=False)
    save_figure(path, figure, dpi=110)
    return path.name


def draw_precision_recall(
    path: Path, curves: Mapping[str, tuple[np.ndarray, np.ndarray, float]]
) -> str:
    """Draw precision against recall as the threshold on confidence falls; return the name."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.4, 4.4), layout="constrained")
    axis = figure.subplots()
    for name, (recall, precision, area) in curves.items():
        axis.plot(recall, precision, label=f"{name} ({area:.3f})")
    axis.set(xlabel="recall", ylabel="precision", xlim=(0, 1.02), ylim=(0, 1.02))
    axis.legend(fontsize=8, frameon=False, title="area")
    save_figure(path, figure, dpi=110)
    return path.name


def draw_side_by_side(
    path: Path,
    out: Path,
    group: str,
    pairs: Sequence[Pair],
    judged: Mapping[str, Sequence[Judged]],
    rows: int = 3,
) -> str:
    """Draw the places where the methods differ most: phase, real, and each stain.

    Return the name.
    """
    from matplotlib.figure import Figure

    names = [n for n in judged if n != CEILING]
    places = _disagreements(judged)[:rows]
    if not places or len(names) < 2:
        return ""
    columns = ["phase", "real DAPI", *names]
    figure = Figure(figsize=(2.1 * len(columns), 2.25 * len(places)), layout="constrained")
    axes = figure.subplots(len(places), len(columns), squeeze=False)
    by_name = {p.name: p for p in pairs}
    for line, (field, point) in zip(axes, places, strict=True):
        qpi, dapi, _ = by_name[field].read()
        real = _cut(dapi, point)
        low, high = np.percentile(real, (5, 99.8))
        stains = [read(stain_path(out, n, group, field)).select() for n in names]
        for axis, volume in zip(line, [qpi, dapi, *stains], strict=True):
            image = _cut(volume, point)
            limits = tuple(np.percentile(image, (1, 99))) if volume is qpi else (low, high)
            axis.imshow(image, cmap="gray", vmin=limits[0], vmax=limits[1])
            axis.set(xticks=[], yticks=[])
    for axis, title in zip(axes[0], columns, strict=True):
        axis.set_title(title, fontsize=9)
    save_figure(path, figure, dpi=110)
    return path.name


def _disagreements(
    judged: Mapping[str, Sequence[Judged]],
) -> list[tuple[str, tuple[float, float, float]]]:
    """Return field and place (µm) of real nuclei, those first on which methods differ most."""
    verdicts: dict[tuple[str, int], list[bool]] = {}
    where: dict[tuple[str, int], tuple[float, float, float]] = {}
    for name, fields in judged.items():
        if "steps" in name:
            continue
        for field in fields:
            for row in field.rows:
                if row["image"] == "truth":
                    key = (field.name, row["id"])
                    verdicts.setdefault(key, []).append(row["verdict"] == "found")
                    where[key] = (row["z"], row["y"], row["x"])
    # a share near one half is the largest disagreement
    ranked = sorted(verdicts, key=lambda k: abs(np.mean(verdicts[k]) - 0.5))
    chosen: list[tuple[str, int]] = []
    for key in ranked:
        if all(key[0] != other[0] or _far(where[key], where[other]) for other in chosen):
            chosen.append(key)
    return [(k[0], where[k]) for k in chosen]


def _far(a: Sequence[float], b: Sequence[float]) -> bool:
    return max(abs(a[1] - b[1]), abs(a[2] - b[2])) > _HALF[0]


def _cut(volume: Volume, point: Sequence[float]) -> np.ndarray:
    """Return the plane through a point (µm) around it."""
    spacing, shape = volume.spacing or (1.0, 1.0, 1.0), volume.shape
    at = volume.voxel(point).tolist()
    plane = int(np.clip(round(at[0]), 0, shape[0] - 1))
    index = []
    for c, half, s, n in zip(at[1:], _HALF, spacing[1:], shape[1:], strict=True):
        width = min(round(2 * half / s), n)
        start = int(np.clip(round(c - width / 2), 0, n - width))
        index.append(slice(start, start + width))
    return np.asarray(volume.data[(plane, *index)], np.float32)
