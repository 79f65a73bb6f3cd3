"""What every process of a training makes ready before its first step, all alike."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..events import Event, Notice, ShouldStop
from ..models.blocks import ResBlock
from ..models.device import autocast, channels_last
from .fields import Fields, Source
from .flat import of_planes
from .held_out import fitting_patch, split
from .instances import with_labels
from .pairs import few
from .trainer import Trainer

if TYPE_CHECKING:
    import torch

    from ..models.info import ModelInfo
    from ..models.stainer import StainerNetworks
    from .config import TrainJob
    from .ranks import Ranks


@dataclass(frozen=True)
class Prepared:
    """A training, ready to begin.

    Parameters
    ----------
    job : TrainJob
        With all that follows from the pairs.
    fields : Fields
        All pairs.
    training, validation : list
        What is trained on, and what is held out.
    where : str
        What is held out, in words.
    data, held_out : sequence
        Both, loaded; nothing held out by a process that does not lead.
    """

    job: TrainJob
    fields: Fields
    training: list[Any]
    validation: list[Any]
    where: str
    data: Any
    held_out: Any


def prepare(
    job: TrainJob,
    source: Source,
    networks: StainerNetworks,
    info: ModelInfo | None,
    cache: Path,
    ranks: Ranks,
    should_stop: ShouldStop | None = None,
) -> Generator[Event, None, Prepared]:
    """Read the pairs of a job; yield what is to be told of them.

    Raises
    ------
    UserError
        If they cannot be trained on.
    """
    # a mismatched pair ends the job here
    fields = yield from source.look(job, info, should_stop)
    training, validation, where = split(job, fields.pairs, fields.shapes, networks)
    job, of_labels = with_labels(job, training)
    yield from of_labels
    thick = job.task.thick is not None
    counts = (_count(len(some), thick) for some in (training, validation))
    seen = "Reading {} to train on, {} to validate {}.".format(*counts, where)
    yield Notice(text=seen if validation else _ALL_SEEN, warning=not validation)
    patch = fitting_patch(job, training, fields.pairs, fields.shapes)
    job = job.model_copy(update={"patch": patch})
    job = source.with_kernel(job, training, fields)
    data = source.load(training, job, fields, cache)
    # stained as they are: what is padded would be judged
    as_is = job.model_copy(update={"patch": job.network.multiple})
    held_out: Any = []
    if validation and ranks.leads:
        held_out = source.load(validation, as_is, fields, cache, held_out=True)
    job, of_flat = of_planes(job, data)
    yield from of_flat
    told = (text for part in (data, held_out) for item in part for text in item["told"])
    yield from few(Notice(text=text) for text in told)
    channels_last(networks)
    ResBlock.recompute = job.recompute
    return Prepared(job, fields, training, validation, where, data, held_out)


def precision_of(job: TrainJob, device: torch.device) -> Any:
    """Return what gives the autocast context of a job."""
    return partial(autocast, device) if job.mixed_precision else nullcontext


def follow(
    job: TrainJob,
    source: Source,
    networks: StainerNetworks,
    info: ModelInfo | None,
    device: torch.device,
    ranks: Ranks,
) -> None:
    """Take part in the steps of a training that rank 0 leads."""
    steps = prepare(job, source, networks, info, job.out / "cache" / str(ranks.rank), ranks)
    while True:
        try:
            next(steps)
        except StopIteration as end:
            ready: Prepared = end.value
            break
    for phase in ready.job.phases():
        amp = precision_of(ready.job, device)
        trainer = Trainer(ready.job, phase, networks, ready.data, device, amp, ranks)
        trainer.resume(job.out / "checkpoints" / f"{phase}.pt")
        trainer.follow()
        if ranks.told(0.0)[0]:  # it was stopped
            break
        trainer.state.ema.copy_to(trainer.state.parameters)


_ALL_SEEN = (
    "Nothing is held out: the preview shows a volume that is trained on, and no figure tells how "
    "good the model is for new ones."
)


def _count(number: int, thick: bool) -> str:
    return f"{number} {'volume' if thick else 'pair'}{'s' if number != 1 else ''}"
