"""The confidence of each nucleus of a stain, and of places where one was probably missed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

from ..models.confidence_model import ConfidenceModel
from ..volumes import Spacing, Volume
from .comparing import Comparison
from .features import SPREAD, faint_places, measure, of_stack, width_of
from .finding import Findings

if TYPE_CHECKING:
    import numpy as np

Table = TypeVar("Table", Comparison, Findings)


@dataclass(frozen=True)
class Assessed:
    """How far to trust the nuclei of one stain.

    Parameters
    ----------
    confidence : dict of int to float
        Probability that the nucleus of this label is real.
    faint : list of dict
        Places without a nucleus, most likely missed ones first: "confidence" and z, y, x in µm
        (voxels where the spacing is unknown).
    """

    confidence: dict[int, float]
    faint: list[dict[str, float]]


def assess(
    model: ConfidenceModel,
    labels: Volume,
    stain: Volume,
    qpi: Volume,
    spread: np.ndarray | None = None,
    seen_spacing: Spacing | None = None,
    expected: float | None = None,
) -> Assessed:
    """Return the confidence of each nucleus of a stain.

    Parameters
    ----------
    model : ConfidenceModel
        Of the bundle that stained.
    labels : Volume
        Nuclei of the stain.
    stain, qpi : Volume
        The stain and the image that it was made from.
    spread : ndarray, optional
        Standard deviation over views or seeds, where `model.views` asks for more than one.
    seen_spacing : tuple of float, optional
        Voxel size (z, y, x) in µm by which nuclei are as large as those that the model knows,
        where the stack was resampled by their width; its own by default.
    expected : float, optional
        Nuclei F1 to be expected of the stack, where the model tells.
    """
    data, image, phase = labels.numpy(), stain.numpy(), qpi.numpy()
    spacing = seen_spacing or qpi.spacing
    ids, features = measure(data, image, phase, spacing, spread)
    for kind in ("seed", "view"):
        features |= {f"{kind} {k}": features[k] for k in SPREAD if k in features}
    features |= of_stack(expected, len(ids))
    probability = model.nuclei.probability(features)
    confidence = {int(i): float(p) for i, p in zip(ids, probability, strict=True)}
    return Assessed(confidence, _faint(model, data, image, phase, qpi, spacing))


def with_confidence(comparison: Table, confidence: dict[int, float]) -> Table:
    """Return a comparison whose table tells the confidence of each virtual nucleus."""
    table: list[dict[str, Any]] = []
    for row in comparison.table:
        label = row["id"] if row["image"] == "stain" else row["partner"]
        table.append({**row, "confidence": confidence.get(label) if label else None})
    return replace(comparison, table=table)


def _faint(
    model: ConfidenceModel,
    labels: np.ndarray,
    stain: np.ndarray,
    phase: np.ndarray,
    qpi: Volume,
    spacing: Spacing | None,
) -> list[dict[str, float]]:
    from scipy.ndimage import center_of_mass

    if model.faint is None:
        return []
    places = faint_places(labels, stain, spacing, width_of(labels, spacing))
    ids, features = measure(places, stain, phase, spacing)
    probability = model.faint.probability(features)
    rows = []
    for place, p in zip(ids, probability, strict=True):
        z, y, x = qpi.place(center_of_mass(places == place)).tolist()
        rows.append({"confidence": float(p), "z": z, "y": y, "x": x})
    return sorted(rows, key=lambda r: -r["confidence"])
