"""One row for each nucleus, and recall by brightness, size and depth."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..volumes import Volume
from ..volumes.flat import is_flat, plane_of
from .matching import Matches

Row = dict[str, Any]
COLUMNS = (
    "image", "id", "verdict", "detected", "partner", "iou",
    "z", "y", "x", "depth", "volume", "brightness", "confidence",
)  # fmt: skip
STRATA = ("brightness", "volume", "depth")


def make_table(
    matches: Matches, labels: Sequence[Volume], images: Sequence[Volume | None]
) -> list[Row]:
    """Return a row for each real nucleus, then for each virtual one without a partner of its own.

    Parameters
    ----------
    matches : Matches
        Verdicts.
    labels : sequence of Volume
        Labels of the real and of the virtual image.
    images : sequence of Volume or None
        The two images, None where only labels are known.

    Returns
    -------
    list of dict
        `COLUMNS`: centroid and depth (from the first plane) in µm, volume in µm³, both in voxels
        where the spacing is unknown; mean brightness in the image's own unit, None without one.
        Of flat labels the volume is an area, and depth and z are None, but for the z of a plane of
        best focus.
        `partner` is a label of the other image, None where there is none.
    """
    rows = []
    for image, ids, verdicts, detected, partners, ious, measured in (
        (
            "truth", matches.truth_ids, matches.truth_verdicts, matches.truth_detected,
            matches.truth_partner, matches.truth_iou, measured_nuclei(labels[0], images[0]),
        ),
        (
            "stain", matches.found_ids, matches.found_verdicts, matches.found_detected,
            matches.found_partner, matches.found_iou, measured_nuclei(labels[1], images[1]),
        ),
    ):  # fmt: skip
        for i, label in enumerate(ids.tolist()):
            if image == "stain" and verdicts[i] in ("found", "misshapen"):
                continue  # stands in its partner's row
            rows.append(
                {
                    "image": image,
                    "id": label,
                    "verdict": verdicts[i],
                    "detected": bool(detected[i]),
                    "partner": int(partners[i]) or None,
                    "iou": round(float(ious[i]), 4),
                    **measured[label],
                    "confidence": None,  # of a calibrated model: see `with_confidence`
                }
            )
    return rows


def list_nuclei(labels: Volume, image: Volume | None) -> list[Row]:
    """Return a row for each nucleus of an image that is compared with none.

    Parameters
    ----------
    labels : Volume
        Its nuclei.
    image : Volume or None
        The image, None where only labels are known.

    Returns
    -------
    list of dict
        `COLUMNS`, as in `make_table`; the verdict is "nucleus", as nobody knows whether it is real.
    """
    return [
        {
            "image": "stain",
            "id": label,
            "verdict": "nucleus",
            "detected": False,
            "partner": None,
            "iou": 0.0,
            **measured,
            "confidence": None,
        }
        for label, measured in sorted(measured_nuclei(labels, image).items())
    ]


def strata(rows: Sequence[Row]) -> dict[str, list[dict[str, float]]]:
    """Return recall and detection recall of the real nuclei in thirds by each of `STRATA`.

    Parameters
    ----------
    rows : sequence of dict
        Rows of one or more tables.

    Returns
    -------
    dict of str to list of dict
        For each property the thirds from least to most, each with "from", "to", "nuclei",
        "recall" and "detection_recall"; a property that was not measured, and any with fewer than
        three nuclei, is left out.
    """
    real = [row for row in rows if row["image"] == "truth"]
    result = {}
    for name in STRATA:
        ranked = sorted((r for r in real if r[name] is not None), key=lambda r: r[name])
        if len(ranked) >= 3:
            parts = np.array_split(np.arange(len(ranked)), 3)
            result[name] = [_stratum([ranked[i] for i in part], name) for part in parts]
    return result


def named_strata(found: dict[str, Any], *, flat: bool) -> dict[str, Any]:
    """Return strata by their names in reports: the volume of flat nuclei is an area."""
    return {("area" if flat and name == "volume" else name): value for name, value in found.items()}


def _stratum(rows: list[Row], name: str) -> dict[str, float]:
    return {
        "from": rows[0][name],
        "to": rows[-1][name],
        "nuclei": len(rows),
        "recall": sum(r["verdict"] == "found" for r in rows) / len(rows),
        "detection_recall": sum(r["detected"] for r in rows) / len(rows),
    }


def measured_nuclei(labels: Volume, image: Volume | None) -> dict[int, Row]:
    """Return place, size and brightness of each label.

    Parameters
    ----------
    labels : Volume
        The nuclei.
    image : Volume, optional
        On their grid.

    Returns
    -------
    dict of int to dict
        By label: z, y, x, depth, volume and brightness, as in `make_table`.
    """
    from skimage.measure import regionprops_table

    spacing = labels.spacing or (1.0, 1.0, 1.0)
    flat, plane = is_flat(labels), plane_of(labels)
    wanted = ["label", "centroid", "area"]
    data = labels.numpy().astype(np.int64)
    if image is None:
        found = regionprops_table(data, properties=wanted)
    else:
        found = regionprops_table(data, image.numpy(), properties=[*wanted, "intensity_mean"])
    rows = {}
    for i, label in enumerate(found["label"].tolist()):
        middle = [float(found[f"centroid-{a}"][i]) for a in range(3)]
        if flat:
            middle[0] = float(plane or 0)
        z, y, x = labels.place(middle).tolist()
        rows[label] = {
            "z": None if flat and plane is None else round(z, 4),
            "y": round(y, 4),
            "x": round(x, 4),
            "depth": None if flat else round(middle[0] * spacing[0], 4),
            "volume": round(float(found["area"][i] * np.prod(spacing[1:] if flat else spacing)), 4),
            "brightness": None if image is None else float(found["intensity_mean"][i]),
        }
    return rows
