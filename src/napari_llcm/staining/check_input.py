"""Before a stack is stained: can the model read it? From a few parts of it, in seconds."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path

from ..events import Event, Finished, Job, Meter, Progress, ShouldStop, Started
from ..models.bundle import ModelBundle
from ..models.device import pick_device
from ..models.familiarity import LIKE, Verdict, value_of
from ..models.info import ModelInfo
from ..models.library import load_model
from ..tasks.normalise import Scaling
from ..volumes import NoData, ReadOptions, Volume
from ..volumes.reading import read_role
from . import input_features
from .canvas import Canvas
from .estimate_width import telling_width
from .looking import LookedAt
from .options import StainOptions
from .output import Output
from .unlike import reasons

_PROBES = 3  # by which `LookedAt.probe` looks for the reason


def check_input(
    qpi: Volume,
    model: ModelBundle,
    options: StainOptions = StainOptions(),
    *,
    scaling: Scaling | None = None,
    no_data: NoData | None = None,
    should_stop: ShouldStop | None = None,
) -> Job:
    """Tell whether a model can read a stack, from a few parts of it.

    Parameters
    ----------
    qpi : Volume
        Axes "zyx"; lazily read.
    model : ModelBundle
        The stainer; its networks are moved to the device.
    options : StainOptions
        Device and nucleus width.
    scaling, no_data : Scaling and NoData, optional
        Of the whole stack, where they are known.
    should_stop : callable, optional
        Asked between the parts.

    Yields
    ------
    Event
        At the end `Finished`; its value is the `Verdict`, None where the job was stopped.

    Raises
    ------
    UserError
        If it is no stack, or its voxel size cannot be that of what the model was trained on.
    """
    yield Started(job="check_input")
    familiarity = model.info.familiarity
    if familiarity is None:
        yield _finished(without_looking(model.info))
        return
    stack = LookedAt.at(qpi, model, options, scaling, no_data)
    meter = Meter(float(input_features.PARTS + _PROBES))
    measured = yield from stack.measure(meter, should_stop)
    if measured is None:
        yield Finished(result={"stopped": True})
        return
    features = measured.known_by(familiarity)
    f1 = familiarity.expected(features)
    said: list[str] = []
    if f1 < LIKE:
        changed = yield from stack.probe(familiarity, f1, meter, should_stop)
        said = [*changed, *reasons(familiarity, features)]
    yield _finished(
        Verdict(
            value=value_of(f1),
            model=model.info.name,
            f1=round(f1, 3),
            reasons=tuple(dict.fromkeys(said))[:4],
        )
    )


def without_looking(info: ModelInfo) -> Verdict:
    """Return what a model that is not calibrated says of any stack: what it was taught on.

    Parameters
    ----------
    info : ModelInfo
        The model.
    """
    if info.taught is None:
        return Verdict(value="unknown", model=info.name)
    return Verdict(value="taught", model=info.name, knows=info.taught.words)


def verdict_on(
    qpi: Volume,
    model: ModelBundle,
    options: StainOptions,
    output: Output,
    scaling: Scaling,
    no_data: NoData,
    *,
    quiet: bool = False,
    should_stop: ShouldStop | None = None,
) -> Generator[Event, None, Verdict | None]:
    """Return the verdict on a stack that is about to be stained; None where it is not asked for.

    Parameters
    ----------
    qpi, model, options : Volume, ModelBundle, StainOptions
        As for `check_input`.
    output : Output
        Where the stain goes; a `Canvas` keeps the verdict for a job that goes on with it.
    scaling, no_data : Scaling and NoData
        Of the whole stack.
    quiet : bool
        Whether progress is not told.
    should_stop : callable, optional
        As for `check_input`.

    Yields
    ------
    Event
        Progress.
    """
    if not options.check:
        return None
    canvas = output if isinstance(output, Canvas) else None
    if canvas is not None and canvas.verdict is not None:
        return canvas.verdict
    job = check_input(
        qpi, model, options, scaling=scaling, no_data=no_data, should_stop=should_stop
    )
    verdict: Verdict | None = None
    for event in job:
        if isinstance(event, Finished):
            verdict = event.value
        elif isinstance(event, Progress) and not quiet:
            yield event.model_copy(update={"done": 0.0})
    if canvas is not None:
        canvas.verdict = verdict
    return verdict


def check_input_file(
    source: Path,
    model: str | Path | None = None,
    options: StainOptions = StainOptions(),
    *,
    reading: ReadOptions | None = None,
    should_stop: ShouldStop | None = None,
) -> Job:
    """Read a stack and a model, and do as `check_input`.

    Parameters
    ----------
    source : Path
        The label-free stack.
    model : str or Path, optional
        A name, a folder or a .zip; the shipped model by default.
    options : StainOptions
        Device and nucleus width.
    reading : ReadOptions, optional
        How the file is read.
    should_stop : callable, optional
        As for `check_input`.

    Yields
    ------
    Event
        As `check_input`.

    Raises
    ------
    UserError
        As `check_input`, or if the file or the model cannot be read.
    """
    yield Meter(1).at(0, f"reading {source.name}")
    volume = read_role(source, reading or ReadOptions(), None, "qpi")
    bundle = load_model(model, str(pick_device(options.device_here)))
    job = check_input(volume, bundle, options, should_stop=should_stop)
    yield from telling_width(job, volume, bundle, options, should_stop)


def _finished(verdict: Verdict) -> Finished:
    result = {**verdict.model_dump(), "verdict": verdict.value, "sentence": verdict.sentence}
    return Finished(result={k: v for k, v in result.items() if k != "value"}, value=verdict)
