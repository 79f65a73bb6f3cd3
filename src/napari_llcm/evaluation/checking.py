"""The check of a stain's nuclei from file to report: reading and writing are part of the job."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from ..events import Finished, Job, Notice, ShouldStop, Started, UserError, relay
from ..volumes import CheckReadOptions, Volume, on_one_grid
from ..volumes.apart import check_apart, same_place
from ..volumes.flat import Projection, holds_one_plane
from ..volumes.reading import read_role
from ..volumes.sole_writer import sole_writer

if TYPE_CHECKING:
    from ..nuclei import Segmenter

_WRITTEN = ("nuclei.csv", "report.json", "nuclei.png", "probably_missed.csv")


@dataclass(frozen=True)
class Check:
    """What is checked, and how.

    Parameters
    ----------
    stain : Path
        Virtual DAPI, or labels.
    out : Path
        Folder for table, figures and picture.
    truth : Path, optional
        Real DAPI, or labels of its nuclei; without it the nuclei of the stain are found, and
        how far to trust each is told.
    qpi : Path, optional
        The label-free stack: for the picture, and for that trust.
    reading : CheckReadOptions
        How the files are read.
    model : str, optional
        Where there is no truth: the calibrated model that stained.
    device : str
        Where that model runs.
    iou : float
        Overlap that counts as found.
    diameter : float, optional
        Typical nucleus in µm; estimated if None.
    projection : {"max", "mean", "focus"}
        What of the stain is compared with a truth of one plane.
    truth_is_labels, stain_is_labels : bool, optional
        Whether the files hold labels; looked at if None.
    """

    stain: Path
    out: Path
    truth: Path | None = None
    qpi: Path | None = None
    reading: CheckReadOptions = field(default_factory=CheckReadOptions)
    model: str | None = None
    device: str = "auto"
    iou: float = 0.5
    diameter: float | None = None
    projection: Projection = "max"
    truth_is_labels: bool | None = None
    stain_is_labels: bool | None = None


def check_nuclei(
    check: Check, segmenter: Segmenter, *, should_stop: ShouldStop | None = None
) -> Job:
    """Read the files, compare (or find) their nuclei, and write what was found.

    Parameters
    ----------
    check : Check
        What is checked, and how.
    segmenter : Segmenter
        Finds the nuclei.
    should_stop : callable, optional
        Asked between the steps.

    Yields
    ------
    Event
        At the end `Finished` with the figures.

    Raises
    ------
    UserError
        If a file cannot be read, the files do not fit each other, the folder cannot be written,
        or the job was stopped before there was anything to report.
    """
    yield Started(job="nuclei")
    if check.truth is None and check.qpi is None:
        raise UserError("Give --truth to compare with, or --qpi to learn which nuclei to trust.")
    for name in _WRITTEN:
        check_apart(check.out / name, (check.stain, check.truth, check.qpi))
    with sole_writer(check.out, folder=True) as notice:
        yield from [Notice(text=notice, warning=False)] if notice else []
        virtual = read_role(check.stain, check.reading, "stain")
        phase = None if check.qpi is None else read_role(check.qpi, check.reading, "qpi")
        if check.truth is not None:
            real = read_role(check.truth, check.reading, "truth")
            one_choice = check.reading.of("truth") == check.reading.of("stain")
            if one_choice and same_place(check.truth, check.stain):
                yield Notice(
                    text=f"{check.stain} is compared with itself: choose the virtual stain and the "
                    "real one."
                )
            if phase is not None and holds_one_plane(real):
                virtual, phase = on_one_grid(virtual, phase)
            elif phase is not None:
                real, virtual, phase = on_one_grid(real, virtual, phase)
            yield from _compare(check, real, virtual, phase, segmenter, should_stop)
        elif phase is not None:
            yield from _trust(check, virtual, phase, segmenter, should_stop)


def _compare(
    check: Check,
    real: Volume,
    virtual: Volume,
    phase: Volume | None,
    segmenter: Segmenter,
    should_stop: ShouldStop | None,
) -> Job:
    from ..nuclei import compare_nuclei, write_report

    comparison = yield from relay(
        compare_nuclei(
            real,
            virtual,
            segmenter=segmenter,
            iou=check.iou,
            diameter=check.diameter,
            projection=check.projection,
            truth_is_labels=check.truth_is_labels,
            stain_is_labels=check.stain_is_labels,
            should_stop=should_stop,
        )
    )
    if comparison is None:
        raise UserError("Stopped before the nuclei were compared: there is nothing to report.")
    write_report(check.out, comparison, qpi=phase, truth=real, stain=virtual)
    yield Finished(result=comparison.figures, value=comparison)


def _trust(
    check: Check,
    virtual: Volume,
    phase: Volume,
    segmenter: Segmenter,
    should_stop: ShouldStop | None,
) -> Job:
    from ..models import load_model
    from ..nuclei.report import write_nuclei
    from .assessment import assess_stain

    job = assess_stain(
        phase,
        virtual,
        load_model(check.model),
        segmenter=segmenter,
        diameter=check.diameter,
        device=check.device,
        should_stop=should_stop,
    )
    for event in job:
        if isinstance(event, Finished):
            findings, assessed = event.value
            write_nuclei(check.out, findings, assessed.faint)
            yield event
            return
        if not isinstance(event, Started):
            yield event
    raise UserError("Stopped before the nuclei were found: there is nothing to report.")
