"""The demo: a specimen that no model has seen, stained and judged."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ..events import Finished, Job, Notice, ShouldStop, Started, UserError
from ..volumes import write
from ..volumes.atomic import write_json
from ..volumes.sole_writer import sole_writer
from .evaluating import evaluate_pair

if TYPE_CHECKING:
    from ..nuclei import Segmenter

DEMO_SEED = 20_000_001  # training, validation and tests use seeds below 10 million
MODEL = "specimen-v6"  # knows the kind of specimen that is made; others know it less well
_SIZE = (48, 192, 192)


def demo(
    out: Path,
    *,
    model: str | None = None,
    segmenter: Segmenter,
    device: str = "auto",
    should_stop: ShouldStop | None = None,
) -> Job:
    """Make a specimen, stain it with a model, compare its nuclei, and write it all down.

    Parameters
    ----------
    out : Path
        Folder for qpi, dapi, labels and virtual DAPI (OME-TIFF), report.json, the table of
        nuclei and the figure.
    model : str, optional
        Name, folder or .zip; by default `MODEL`.
    segmenter : Segmenter
        Finds the nuclei of both, by the same settings.
    device : str
        Where to stain.
    should_stop : callable, optional
        Asked between tiles.

    Yields
    ------
    Event
        At the end `Finished` with the report; `value` is the `Evaluation`.

    Raises
    ------
    UserError
        If the model cannot be read, or there is no room.
    """
    yield Started(job="demo")
    with sole_writer(out, folder=True) as notice:
        yield from [Notice(text=notice, warning=False)] if notice else []
        yield from _demo(out, model, segmenter, device, should_stop)


def _demo(
    out: Path,
    model: str | None,
    segmenter: Segmenter,
    device: str,
    should_stop: ShouldStop | None,
) -> Job:
    from ..models import load_model
    from ..models.device import pick_device
    from ..nuclei import write_report
    from ..specimen import make_specimen

    place = str(pick_device(device))
    bundle = load_model(model or MODEL, place)
    yield Notice(text="Making a specimen that no model was trained on.", warning=False)
    specimen = make_specimen(_SIZE, DEMO_SEED, "medium")
    done = yield from evaluate_pair(
        "demo",
        specimen.qpi,
        specimen.dapi,
        bundle,
        segmenter=segmenter,
        device=place,
        should_stop=should_stop,
    )
    if done is None:
        raise UserError("The demo was stopped before its end: there is nothing to report.")
    volumes = {
        "qpi": specimen.qpi,
        "dapi": specimen.dapi,
        "labels": specimen.labels,
        "virtual": done.stain,
    }
    for name, volume in volumes.items():
        write(out / f"{name}.ome.tif", volume, overwrite=True)
    write_report(out, done.comparison, qpi=specimen.qpi, truth=specimen.dapi, stain=done.stain)
    write_json(out / "report.json", done.report)
    yield Finished(result=done.report, value=done)
