"""The figure for a biologist: phase, real stain, virtual stain, and what became of each nucleus."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

import numpy as np

from ..volumes import Volume, looks_like_labels
from ..volumes.flat import as_flat, holds_one_plane, is_flat, plane_of, project
from .comparing import Comparison
from .counts import Counts
from .provenance import caption
from .scale import normalise
from .table import Row
from .thresholding import counts_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.gridspec import SubplotSpec

# Okabe & Ito (2008): colours that all kinds of colour vision tell apart.
COLOURS = {
    "found": "#009E73",
    "missed": "#D55E00",
    "hallucinated": "#CC79A7",
    "wrong shape": "#F0E442",
}
_GROUP = {
    "found": "found",
    "missed": "missed",
    "hallucinated": "hallucinated",
    "misshapen": "wrong shape",
    "merged": "wrong shape",
    "split": "wrong shape",
}
_FILL = 0.35  # opacity of a nucleus in the overlay


def draw_comparison(
    comparison: Comparison,
    qpi: Volume | None = None,
    truth: Volume | None = None,
    stain: Volume | None = None,
    rows: Sequence[Row] | None = None,
    verdicts: Collection[str] | None = None,
) -> Figure:
    """Return the figure: a column for each image, three orthogonal sections in each.

    Parameters
    ----------
    comparison : Comparison
        What to show.
    qpi : Volume, optional
        The label-free image of the same field.
    truth, stain : Volume, optional
        Images to show where labels were compared; those that were compared if None.
    rows : sequence of dict, optional
        The nuclei that are counted, with their verdicts, such as those above a confidence; the
        comparison's own if None.
    verdicts : collection of str, optional
        Which of them are coloured; all if None.

    Returns
    -------
    Figure
        Sections through the plane, row and column with the most nuclei, at true proportions; of
        flat nuclei their plane.
    """
    from matplotlib.figure import Figure

    columns: list[tuple[str, np.ndarray]] = []
    if qpi is not None:
        columns.append(_input(qpi.select(), comparison))
    real = _shown(comparison.truth or truth, comparison.truth_labels)
    virtual = _shown(comparison.stain or stain, comparison.stain_labels)
    columns += [
        ("real stain", real),
        ("virtual stain", virtual),
        ("nuclei on the real stain", real),
    ]
    rows = comparison.table if rows is None else rows
    counts = comparison.counts if rows is comparison.table else counts_of(rows)
    paint = _Paint(comparison, [r for r in rows if verdicts is None or r["verdict"] in verdicts])
    depth, height, width = _extent(comparison)
    inches = 3.6 / (width + depth)
    figure = Figure(
        figsize=(3.75 * len(columns), (height + depth) * inches + 1.2),
        layout="constrained",
        dpi=130,
    )
    panels = figure.add_gridspec(1, len(columns), wspace=0.03)
    for number, (title, image) in enumerate(columns):
        overlay = paint if number == len(columns) - 1 else None
        _sections(figure, panels[number], title, image, comparison, overlay)
    figure.suptitle(_headline(counts), fontsize=13, fontweight="bold")
    left_out = set() if verdicts is None else set(_GROUP) - set(verdicts)
    hidden = f"\nnot coloured: {', '.join(sorted(left_out))}" if left_out else ""
    _legend(figure, counts, caption(comparison.settings) + hidden)
    return figure


def _sections(
    figure: Figure,
    place: SubplotSpec,
    title: str,
    image: np.ndarray,
    comparison: Comparison,
    paint: _Paint | None,
) -> None:
    """Draw XY, with YZ to its right and XZ below it."""
    depth, height, width = _extent(comparison)
    cut = _busiest(comparison)
    views: list[tuple[str, int, SubplotSpec, float, float]] = [("XY", 0, place, width, height)]
    if depth:
        grid = place.subgridspec(
            2, 2, width_ratios=[width, depth], height_ratios=[height, depth],
            wspace=0.02, hspace=0.02,
        )  # fmt: skip
        views = [
            ("XY", 0, grid[0, 0], width, height),
            ("YZ", 2, grid[0, 1], depth, height),
            ("XZ", 1, grid[1, 0], width, depth),
        ]
    for name, axis, where, w, h in views:
        axes = figure.add_subplot(where)
        turn = (1, 0) if name == "YZ" else (0, 1)  # z to the right, y down as in XY
        extent = (0.0, w, h, 0.0)
        plane = np.take(image, cut[axis], axis).transpose(turn)
        axes.imshow(plane, cmap="gray", vmin=0, vmax=1, extent=extent)
        if paint is not None:
            painted = paint.plane(axis, cut[axis]).transpose(*turn, 2)
            axes.imshow(painted, extent=extent, interpolation="nearest")
        axes.set(xticks=[], yticks=[])
        axes.text(0.03 * w, 0.03 * w, name, color="white", fontsize=8, va="top")
        if name == "XY":
            axes.set_title(title, fontsize=10)
            _scale_bar(axes, w, h, comparison.settings["unit"])
            size = comparison.truth_labels.shape
            for line, at in (
                ()
                if not depth
                else (
                    (axes.axhline, (cut[1] + 0.5) / size[1] * h),
                    (axes.axvline, (cut[2] + 0.5) / size[2] * w),
                )
            ):
                line(at, color="white", linewidth=0.5, alpha=0.5, linestyle=":")


class _Paint:
    """Colours the nuclei of a plane by their verdict, their borders opaque."""

    def __init__(self, comparison: Comparison, rows: Sequence[Row]) -> None:
        from matplotlib.colors import to_rgba

        self._layers: list[tuple[np.ndarray, np.ndarray]] = []
        for image, volume, shown in (
            ("stain", comparison.stain_labels, {"hallucinated"}),
            ("truth", comparison.truth_labels, set(_GROUP)),
        ):
            labels = volume.numpy()
            colours = np.zeros((int(labels.max(initial=0)) + 1, 4), np.float32)
            for row in rows:
                if row["image"] == image and row["verdict"] in shown:
                    colours[row["id"]] = to_rgba(COLOURS[_GROUP[row["verdict"]]], _FILL)
            self._layers.append((labels, colours))

    def plane(self, axis: int, at: int) -> np.ndarray:
        """Return the RGBA of the plane `at` along `axis`, real nuclei above hallucinated ones."""
        from skimage.segmentation import find_boundaries

        result = np.zeros(0)
        for labels, colours in self._layers:
            plane = np.take(labels, at, axis)
            painted = colours[plane]
            border = find_boundaries(plane, mode="inner")
            painted[border, 3] = np.where(painted[border, 3] > 0, 1, 0)
            there = painted[..., 3:] > 0
            result = np.where(there, painted, result if result.size else 0)
        return result


def _scale_bar(axes: Axes, width: float, height: float, unit: str) -> None:
    """Draw a bar of a round length, about a fifth of the field."""
    power = 10.0 ** np.floor(np.log10(width / 5))
    length = power * max(m for m in (1, 2, 5) if m * power <= width / 5)
    left, bottom = 0.95 * width - length, 0.95 * height
    axes.plot([left, left + length], [bottom, bottom], color="white", linewidth=2.5)
    axes.text(
        left + length / 2, bottom - 0.015 * height, f"{length:g} {unit}", color="white",
        fontsize=8, ha="center", va="bottom",
    )  # fmt: skip


def _headline(counts: Counts) -> str:
    named = {"recall": counts.recall, "precision": counts.precision, "F1": counts.f1}
    shown = (f"{k} {'not defined' if np.isnan(v) else f'{v:.2f}'}" for k, v in named.items())
    return f"{'   '.join(shown)}\n{counts.found} of {counts.truth} nuclei found"


def _legend(figure: Figure, counts: Counts, title: str) -> None:
    from matplotlib.patches import Patch

    wrong = counts.misshapen + counts.merged + counts.split
    texts = {
        "found": f"found {counts.found}",
        "missed": f"missed {counts.missed}",
        "wrong shape": f"wrong shape, merged or split {wrong}",
        "hallucinated": f"hallucinated {counts.hallucinated}",
    }
    patches = [Patch(facecolor=COLOURS[name], label=text) for name, text in texts.items()]
    figure.legend(
        handles=patches, loc="outside lower center", ncols=4, frameon=False, fontsize=10,
        title=title, title_fontsize=9,
    )  # fmt: skip


def _extent(comparison: Comparison) -> tuple[float, float, float]:
    """Return the size (z, y, x) of the field in its unit; flat nuclei have no depth."""
    labels = comparison.truth_labels
    z, y, x = (n * s for n, s in zip(labels.shape, labels.spacing or (1, 1, 1), strict=True))
    return 0.0 if is_flat(labels) else z, y, x


def _busiest(comparison: Comparison) -> tuple[int, int, int]:
    """Return the plane, row and column with the most voxels of real nuclei."""
    inside = comparison.truth_labels.numpy() > 0
    z, y, x = (int(inside.sum(tuple({0, 1, 2} - {a})).argmax()) for a in range(3))
    return z, y, x


def _input(qpi: Volume, comparison: Comparison) -> tuple[str, np.ndarray]:
    """Return title and voxels of the label-free stack; beside flat nuclei one plane of it."""
    labels = comparison.stain_labels
    if not is_flat(labels):
        return "phase (input)", _stretched(qpi.numpy())
    chosen = plane_of(labels)
    at = len(qpi.data) // 2 if chosen is None else chosen
    return f"phase (input), plane {at}", _stretched(np.asarray(qpi.data[at : at + 1]))


def _shown(image: Volume | None, labels: Volume) -> np.ndarray:
    """Return a stain on the scale on which it is segmented; without one, its labels, one grey."""
    if image is not None and is_flat(labels) and not is_flat(image):
        stack = image.select()
        how = labels.metadata.get("projection", "max")
        image = as_flat(stack) if holds_one_plane(stack) else project(stack, how)
    if image is None or image.data is labels.data or looks_like_labels(image):
        return np.where(labels.numpy() > 0, np.float32(0.5), np.float32(0))
    return normalise(image.numpy().astype(np.float32))


def _stretched(image: np.ndarray) -> np.ndarray:
    low, high = np.percentile(image, [0.5, 99.5])
    return np.clip((image - low) / max(high - low, 1e-12), 0, 1).astype(np.float32)
