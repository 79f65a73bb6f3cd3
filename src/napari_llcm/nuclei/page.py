"""The one-page report of a comparison: figures, picture, which nuclei are missed, settings."""

from __future__ import annotations

import textwrap
from collections.abc import Collection, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..models.familiarity import Verdict
from ..volumes import Volume
from ..volumes.atomic import save_figure
from .comparing import Comparison
from .counts import Counts
from .figures import COLOURS, draw_comparison
from .provenance import caption
from .table import STRATA, Row, named_strata, strata
from .thresholding import counts_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_A4 = (8.27, 11.69)  # inches


def write_page(
    path: Path | str,
    comparison: Comparison,
    qpi: Volume | None = None,
    truth: Volume | None = None,
    stain: Volume | None = None,
    rows: Sequence[Row] | None = None,
    verdicts: Collection[str] | None = None,
    notes: str = "",
) -> Path:
    """Write a one-page report as PDF, PNG or SVG.

    Parameters
    ----------
    path : Path or str
        Where to; an older one is replaced.
    comparison : Comparison
        What to report.
    qpi, truth, stain, rows, verdicts
        As `draw_comparison` takes them.
    notes : str
        A sentence to stand below the figures, such as what that confidence is.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    UserError
        If it cannot be written.
    """
    path = Path(path).expanduser()
    figure = draw_page(comparison, qpi, truth, stain, rows, verdicts, notes)
    save_figure(path, figure, format=path.suffix[1:].lower() or "pdf", facecolor="white")
    return path


def draw_page(
    comparison: Comparison,
    qpi: Volume | None = None,
    truth: Volume | None = None,
    stain: Volume | None = None,
    rows: Sequence[Row] | None = None,
    verdicts: Collection[str] | None = None,
    notes: str = "",
) -> Figure:
    """Return the report as a figure of the size of an A4 page; parameters as in `write_page`."""
    from matplotlib.figure import Figure

    rows = comparison.table if rows is None else rows
    counts = comparison.counts if rows is comparison.table else counts_of(rows)
    page = Figure(figsize=_A4, dpi=200)
    page.text(0.07, 0.955, "Nuclei of a virtual stain", fontsize=18, fontweight="bold")
    page.text(0.07, 0.935, caption(comparison.settings), fontsize=10)
    for i, (name, value) in enumerate(
        (("recall", counts.recall), ("precision", counts.precision), ("F1", counts.f1))
    ):
        shown = "–" if np.isnan(value) else f"{value:.2f}"
        page.text(0.2 + 0.3 * i, 0.875, shown, fontsize=30, fontweight="bold", ha="center")
        page.text(0.2 + 0.3 * i, 0.855, name, fontsize=11, ha="center")
    _counts(page, counts)
    if notes:
        page.text(0.07, 0.795, notes, fontsize=9, style="italic")
    bottom = _picture(page, draw_comparison(comparison, qpi, truth, stain, rows, verdicts))
    _strata(page, comparison, rows, bottom)
    _settings(page, comparison)
    return page


def _counts(page: Figure, counts: Counts) -> None:
    wrong = counts.misshapen + counts.merged + counts.split
    for i, (name, text) in enumerate(
        (
            ("found", f"{counts.found} of {counts.truth} found"),
            ("missed", f"{counts.missed} missed"),
            ("wrong shape", f"{wrong} wrong shape, merged or split"),
            ("hallucinated", f"{counts.hallucinated} hallucinated"),
        )
    ):
        x = (0.07, 0.29, 0.45, 0.77)[i]
        page.text(x, 0.82, "■", color=COLOURS[name], fontsize=12)
        page.text(x + 0.025, 0.821, text, fontsize=10)


def _picture(page: Figure, picture: Figure) -> float:
    """Put a figure of its own layout onto the page, as large as it may be; return where it ends."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    picture.set_dpi(200)
    picture.suptitle("")  # said above, in large type
    canvas = FigureCanvasAgg(picture)
    canvas.draw()
    pixels = np.asarray(canvas.buffer_rgba())
    # as wide as the page, right below the counts
    height = min(0.9 * _A4[0] / _A4[1] * pixels.shape[0] / pixels.shape[1], 0.365)
    axes = page.add_axes((0.05, 0.785 - height, 0.9, height))
    axes.imshow(pixels)
    axes.set_axis_off()
    return 0.785 - height


def _strata(page: Figure, comparison: Comparison, rows: Sequence[Row], top: float) -> None:
    """Draw the recall of each third by brightness, volume and depth."""
    found = strata(rows)
    unit = comparison.settings["unit"]
    units = {"brightness": "", "volume": f" ({unit}³)", "depth": f" ({unit})"}
    if comparison.settings.get("projection"):
        units["volume"] = f" ({unit}²)"
    known = [name for name in STRATA if name in found]
    for i, name in enumerate(known):
        axes = page.add_axes((0.09 + 0.3 * i, top - 0.24, 0.24, 0.15))
        thirds = found[name]
        axes.bar(range(3), [t["recall"] for t in thirds], color=COLOURS["found"], width=0.7)
        axes.set_xticks(
            range(3), [f"{t['from']:.3g} to\n{t['to']:.3g}" for t in thirds], fontsize=7
        )
        (said,) = named_strata({name: None}, flat=bool(comparison.settings.get("projection")))
        axes.set(ylim=(0, 1), title=f"by {said}{units[name]}")
        axes.title.set_fontsize(9)
        axes.tick_params(axis="y", labelsize=7)
        axes.spines[["top", "right"]].set_visible(False)
    if known:
        page.text(0.07, top - 0.045, "Recall in thirds of the real nuclei", fontsize=11)


def _settings(page: Figure, comparison: Comparison) -> None:
    said: dict[str, Any] = comparison.settings
    diameter = said["diameter_pixels"]
    made = [
        f"Segmented by: {said['segmenter']}"
        + ("" if diameter is None else f", nuclei {diameter:.1f} pixels wide"),
        f"Found means: overlap (IoU) of at least {said['iou']:g}",
        f"AP {comparison.counts.ap:.3f}, AP at IoU 0.5 {comparison.counts.ap_50:.3f}, "
        f"detection recall {comparison.counts.detection_recall:.3f}",
    ]
    warned = said.get("notices", ())
    verdict = Verdict.kept(said)
    if verdict is not None and not any(verdict.sentence in warning for warning in warned):
        made += textwrap.wrap(f"The stack: {verdict.sentence}", 120)
    for warning in warned:
        made += textwrap.wrap(f"Warning: {warning}", 120)
    made.append(f"napari-llcm {version('napari-llcm')}")
    page.text(0.07, 0.05, "\n".join(made), fontsize=8, va="bottom", linespacing=1.5)
