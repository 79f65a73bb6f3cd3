"""Stain held-out pairs with every variant of every model, and keep what was found of each."""

from __future__ import annotations

import json
import time
from collections import OrderedDict
from collections.abc import Generator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..events import Event, Meter, ShouldStop, relay
from ..models.methods import AUTOENCODER
from ..nuclei.counts import Counts
from ..nuclei.features import width_of
from ..volumes import Pair, Volume, labels_of, notices, write
from ..volumes.atomic import write_json
from .assessment import confident
from .image_metrics import image_metrics
from .round_trip import round_trip
from .sharpness import spectral_correlation, spectral_distance
from .ways import variants

if TYPE_CHECKING:
    from ..models import ModelBundle
    from ..nuclei import Segmenter

CEILING, ROUND_TRIP = "second exposure", "VAE round trip"
_KEPT = (
    "image", "id", "verdict", "detected", "iou", "z", "y", "x",
    "brightness", "volume", "depth", "confidence",
)  # fmt: skip


class Remembering:
    """A segmenter that finds the nuclei of an image it has seen lately at once.

    The real DAPI of a field is compared with the stain of every method.

    Parameters
    ----------
    segmenter : Segmenter
        Finds the nuclei.
    most : int
        How many images' labels are kept; those not asked for longest go first.
    """

    def __init__(self, segmenter: Segmenter, most: int = 8) -> None:
        self.name = segmenter.name
        self._segmenter, self._most = segmenter, most
        self._known: OrderedDict[int, np.ndarray] = OrderedDict()

    def __call__(self, image: np.ndarray, diameter: float, anisotropy: float) -> np.ndarray:
        """Return the labels of the nuclei."""
        key = hash((image.tobytes(), diameter, anisotropy))
        if key not in self._known:
            self._known[key] = self._segmenter(image, diameter, anisotropy)
        self._known.move_to_end(key)
        while len(self._known) > self._most:
            self._known.popitem(last=False)
        return self._known[key].copy()


@dataclass(frozen=True)
class Judged:
    """What was found of one stain of one field.

    Parameters
    ----------
    name : str
        Of the field.
    counts : Counts
        Nuclei found, missed, hallucinated …
    rows : list of dict
        The nuclei, one row each.
    figures : dict
        Image metrics and time.
    """

    name: str
    counts: Counts
    rows: list[dict[str, Any]]
    figures: dict[str, Any]


def stain_path(out: Path, variant: str, group: str, pair: str) -> Path:
    """Return where the stain of a field by a variant lies."""
    return out / "stains" / variant.replace(" ", "-") / group / f"{pair}.ome.tif"


def judged_path(out: Path, variant: str, group: str, pair: str) -> Path:
    """Return where what was found of it lies."""
    return out / "judged" / variant.replace(" ", "-") / group / f"{pair}.json"


def load_judged(out: Path, variant: str, group: str, pairs: list[Pair]) -> list[Judged]:
    """Return what was found of a variant's stains of a group; fields not judged are left out."""
    found = []
    for pair in pairs:
        path = judged_path(out, variant, group, pair.name)
        if _is_judged(path):
            content = json.loads(path.read_text(encoding="utf-8"))
            counts = content.pop("counts")
            counts["true_positives"] = tuple(counts["true_positives"])
            found.append(Judged(**content, counts=Counts(**counts)))
    return found


def _is_judged(path: Path) -> bool:
    """Tell whether a field is judged, by everything that is counted today."""
    return path.exists() and "loose" in json.loads(path.read_text(encoding="utf-8"))["counts"]


def judge_all(
    out: Path,
    models: Mapping[str, ModelBundle],
    test: Mapping[str, list[Pair]],
    segmenter: Segmenter,
    device: str,
    should_stop: ShouldStop | None,
) -> Generator[Event, None, bool]:
    """Stain and compare what is not judged yet; return False where that was stopped.

    Parameters
    ----------
    out : Path
        The benchmark's folder.
    models : mapping of str to ModelBundle
        By method; "vae" is used for the round trip.
    test : mapping of str to list of Pair
        Held-out pairs by group.
    segmenter : Segmenter
        Finds the nuclei of both.
    device : str
        Where to stain.
    should_stop : callable, optional
        Asked between tiles.
    """
    work = [
        (pair, group, variant, method, steps)
        for group, pairs in test.items()
        for pair in pairs  # all variants of one field together: its real nuclei are found once
        for variant, method, steps in _variants(models)
        if not _is_judged(judged_path(out, variant, group, pair.name))
    ]
    meter = Meter(float(max(len(work), 1)))
    for number, (pair, group, variant, method, steps) in enumerate(work):
        qpi, dapi, labels = pair.read()
        yield from notices(qpi, dapi, labels)
        diameter = None if labels is None else width_of(labels_of(labels).numpy(), labels.spacing)
        text = f"{variant}, {pair.name}:"
        if variant == CEILING:
            stained: Volume | None = _second_exposure(pair, dapi)
            seconds: float | None = None
            if stained is None:
                continue
        elif variant == ROUND_TRIP:
            stained, seconds = round_trip(models[method], dapi), None
        else:
            from ..staining import StainOptions, stain

            began = time.perf_counter()
            stained = yield from relay(
                stain(
                    qpi,
                    models[method],
                    StainOptions(device=device, steps=steps, check=False),
                    should_stop=should_stop,
                ),
                text,
            )
            if stained is None:
                return False
            seconds = time.perf_counter() - began
        done = yield from _judge(
            pair.name,
            qpi,
            dapi,
            stained,
            models.get(method),
            segmenter,
            diameter,
            seconds,
            text,
            should_stop,
        )
        if done is None:
            return False
        target = stain_path(out, variant, group, pair.name)
        write(target, stained, overwrite=True)
        path = judged_path(out, variant, group, pair.name)
        write_json(path, asdict(done))
        f1 = "not defined" if np.isnan(done.counts.f1) else f"{done.counts.f1:.3f}"
        yield meter.at(number + 1.0, f"{variant}, {pair.name}: F1 {f1}")
    return True


def _variants(models: Mapping[str, ModelBundle]) -> list[tuple[str, str, int | None]]:
    """Return name, model and steps of everything that is judged."""
    chosen: list[tuple[str, str, int | None]] = [(CEILING, "", None)]
    if AUTOENCODER.name in models:
        chosen.append((ROUND_TRIP, AUTOENCODER.name, None))
    chosen += [(name, *model) for name, model in variants(models).items()]
    return chosen


def _judge(
    name: str,
    qpi: Volume,
    dapi: Volume,
    stained: Volume,
    model: ModelBundle | None,
    segmenter: Segmenter,
    diameter: float | None,
    seconds: float | None,
    text: str,
    should_stop: ShouldStop | None,
) -> Generator[Event, None, Judged | None]:
    from ..nuclei import compare_nuclei

    comparison = yield from relay(
        compare_nuclei(
            dapi,
            stained,
            segmenter=segmenter,
            diameter=diameter,
            truth_is_labels=False,
            stain_is_labels=False,
            should_stop=should_stop,
        ),
        text,
    )
    if comparison is None:
        return None
    if model is not None:
        device = str(next(model.networks.parameters()).device)
        comparison = yield from confident(
            comparison, qpi, stained, model, device, text, should_stop=should_stop
        )
        if comparison is None:
            return None
    both = [np.asarray(v.numpy(), np.float32) for v in (dapi, stained)]
    figures = image_metrics(dapi, stained) | {
        "spectral_distance": spectral_distance(*both),
        "spectral_correlation": spectral_correlation(*both),
        "seconds": seconds,
        "megavoxels": float(np.prod(dapi.shape)) / 1e6,
    }
    rows = [{k: row[k] for k in _KEPT if k in row} for row in comparison.table]
    return Judged(name, comparison.counts, rows, figures)


def _second_exposure(pair: Pair, dapi: Volume) -> Volume | None:
    """Return another exposure of a simulated field; None for a real one, which has no second."""
    from ..specimen import make_specimen, second_exposure

    table = pair.dapi.parent.parent / "specimens.json"
    if not table.exists():
        return None
    made = json.loads(table.read_text(encoding="utf-8")).get(pair.name)
    if made is None or not made.get("simulated") or dapi.spacing is None:
        return None
    z, y, x = dapi.shape
    specimen = make_specimen((z, y, x), made["seed"], made["difficulty"], dapi.spacing)
    return second_exposure(specimen)
