"""Train a stainer: the autoencoder first, then the consistency model on its latents."""

from __future__ import annotations

import time
import traceback
from importlib.metadata import version

import torch

from ..events import (
    Failed,
    Finished,
    Job,
    Notice,
    ShouldStop,
    Started,
    Step,
    UserError,
)
from ..models.bundle import save_bundle
from ..models.device import pick_device, precision_notices
from ..models.halo_errors import measure_reach
from ..models.info import ModelInfo
from ..models.nucleus_width import in_plane
from ..models.stainer import StainerNetworks
from ..models.taught import Taught
from ..volumes import Pair
from ..volumes.apart import check_apart
from ..volumes.sole_writer import sole_writer
from .config import TrainJob
from .data import median_scalings
from .fields import Source
from .history import ERROR
from .latent_dataset import find_source
from .prepared import follow, precision_of, prepare
from .ranks import Ranks, own_device
from .run_folder import RunFolder, check_run_folder
from .start import initial_networks, keep_start, settled, with_task
from .trainer import Trainer
from .validation import BETWEEN, INTERPOLATED, Judge, Validator


def train(
    job: TrainJob,
    *,
    resume: bool = False,
    judge: Judge | None = None,
    should_stop: ShouldStop | None = None,
) -> Job:
    """Train a stainer and write it as a bundle.

    Several processes that `torchrun` started train together; see `ranks`.

    Parameters
    ----------
    job : TrainJob
        What to train on what, and where to.
    resume : bool
        Go on with the run in `job.out`.
    judge : Judge, optional
        Counts the nuclei of held-out volumes at each validation; see `evaluation.NucleiJudge`.
    should_stop : callable, optional
        Asked after every step; on True the run is saved, its model written, and the job ends.

    Yields
    ------
    Event
        `Step`, `Progress`, `Preview`, `Checkpoint`; at the end `Finished` with the bundle's path.

    Raises
    ------
    UserError
        If pairs are missing or do not match, or the folder is taken, holds the pairs, cannot be
        written, or is written by another process.
    """
    job = with_task(job)
    source = find_source(job)
    device = own_device(pick_device(job.device))
    ranks = Ranks.of_environment(device)
    torch.manual_seed(job.seed)
    if not ranks.leads:
        networks, info = initial_networks(job)
        follow(settled(job, networks, info), source, networks.to(device), info, device, ranks)
        yield Finished(result={}, value=job.out / "model")
        return
    check_run_folder(job.out, resume)
    check_apart(job.out, source.read(), replaced=False)
    with sole_writer(job.out, folder=True) as notice:
        networks, info = initial_networks(job)
        job = settled(job, networks, info)
        source.check(job, networks, info)
        folder = RunFolder(job)
        try:
            networks.to(device)
            if notice:
                yield Notice(text=notice, warning=False)
            for text in precision_notices(device) if job.mixed_precision else ():
                yield Notice(text=text, warning=False)
            for event in _run(
                job, source, networks, info, folder, device, ranks, judge, should_stop
            ):
                folder.keep(event)
                yield event
        except Exception as error:
            folder.keep(Failed(sentence=str(error), detail=traceback.format_exc()))
            if isinstance(error, UserError):  # refused before it began, it leaves nothing behind
                folder.forget()
            raise
        finally:
            folder.close()


def _run(
    job: TrainJob,
    source: Source,
    networks: StainerNetworks,
    info: ModelInfo | None,
    folder: RunFolder,
    device: torch.device,
    ranks: Ranks,
    judge: Judge | None,
    should_stop: ShouldStop | None,
) -> Job:
    yield Started(job="train", settings=job.model_dump(mode="json"))
    amp = precision_of(job, device)
    same = info is not None and info.method == job.method
    ready = yield from prepare(job, source, networks, info, folder.cache, ranks, should_stop)
    job, fields, data, where = ready.job, ready.fields, ready.data, ready.where
    validation = ready.validation
    # described anew, also when it starts from a model: that one's figures are not this one's
    info = ModelInfo(
        name=job.name or job.out.absolute().name,
        method=job.method,
        network=networks.network,
        consistency=job.consistency,
        diffusion=job.diffusion,
        resshift=job.resshift,
        task=job.task,
        scalings=median_scalings(data, job.root),
        input_noise=fields.noise,
        spacing=fields.spacing,
        nucleus_um=fields.nucleus_um,
    )
    fitting = judge if judge is not None and judge.judges == job.task.judge else None
    validator = Validator(
        networks, ready.held_out, info, amp, device, where, shown=data, judge=fitting
    )
    started, stopped, kept_start = time.monotonic(), False, False
    for phase in job.phases():
        to_beat = None
        if not job.validations:
            pass  # nothing will be told to compare with
        elif same and job.never_worse:
            if validation:
                text = f"Counting first what {job.init} finds {where}, to tell if it gets better."
                yield Notice(text=text, warning=False)
            yield from validator.start(phase, folder.path)
            to_beat = validator.figures
        elif phase != "vae":
            yield from validator.compare(phase)
        trainer = Trainer(job, phase, networks, data, device, amp, ranks)
        trainer.state.propose(to_beat)
        trainer.resume(folder.checkpoint(phase))
        for event in trainer.run(folder, validator, should_stop):
            yield event
            if isinstance(event, Step):
                info.metrics.update(_kept(event.values))
        stopped = should_stop is not None and should_stop()
        ranks.told(float(stopped))
        if best := trainer.state.best:
            validator.figures, kept_start = best.figures, best.step == 0
            info.metrics.update(_kept(best.figures.means))
        if kept_start:
            yield Notice(text=f"No training step was better than {job.init}, {where}: it is kept.")
            keep_start(job, folder.model)
        else:
            with trainer.state.chosen():
                _describe(info, job, fields.pairs, trainer)
                of_these = best is not None or trainer.state.validated == trainer.state.step
                counted = validator.nuclei() | validator.gain() if of_these else {}
                names = [pair.name for pair in ready.training]
                info.taught = Taught.on(names, where if validation else "", counted)
                if fields.nucleus_um is None and fields.spacing is not None and "width" in counted:
                    info.nucleus_um = round(counted["width"] * in_plane(fields.spacing), 2)
                if phase == job.phases()[-1]:  # before, no U-Net has learned anything
                    stacks = [inputs for inputs, *_ in validator.shown[:_HEARD]]
                    info.reach = measure_reach(info, networks, stacks)
                save_bundle(folder.model, info, networks)
        if stopped:
            break
        trainer.state.ema.copy_to(trainer.state.parameters)
    yield Finished(
        result={
            "model": str(folder.model),
            "seconds": time.monotonic() - started,
            "stopped": stopped,
            "kept_start": kept_start,
            "metrics": info.metrics,
            "nuclei": validator.nuclei(),
        },
        value=folder.model,
    )


_HEARD = 2  # stacks on which it is measured how far the networks see: some 10 s for each
_KEPT = (
    "val_vae_psnr", "val_psnr", INTERPOLATED, "val_spread", "val_pearson", "val_recall", "val_f1"
)  # fmt: skip


def _kept(values: dict[str, float]) -> dict[str, float]:
    """Return what of a validation the bundle tells."""
    errors = (f"val_{ERROR}", BETWEEN + ERROR)
    return {k: v for k, v in values.items() if k in _KEPT or k.startswith(errors)}


def _describe(info: ModelInfo, job: TrainJob, pairs: list[Pair], trainer: Trainer) -> None:
    info.provenance |= {
        "napari_llcm": version("napari-llcm"),
        "torch": torch.__version__,
        "pairs": len(pairs),
        "init": job.init,
        "job": job.model_dump(mode="json", exclude={"pairs", "out"}),
        f"{trainer.phase}_steps": trainer.state.step,
        f"{trainer.phase}_seconds": round(trainer.state.seconds),
        f"{trainer.phase}_skipped_steps": trainer.state.skipped,
    }
