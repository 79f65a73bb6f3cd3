"""Train a stainer: the autoencoder first, then the consistency model on its latents."""

from __future__ import annotations

import time
import traceback
from contextlib import nullcontext
from functools import partial
from importlib.metadata import version
from statistics import fmean
from typing import Any

import numpy as np
import torch

from ..events import (
    Checkpoint,
    Failed,
    Finished,
    Job,
    Meter,
    Notice,
    ShouldStop,
    Started,
    Step,
)
from ..models.blocks import ResBlock
from ..models.bundle import ModelInfo, save_bundle
from ..models.device import autocast, memory_in_use, pick_device, precision_notices
from ..models.methods import PhaseName
from ..models.stainer import StainerNetworks
from ..volumes import Found, Pair, find_pairs, notices, resampled_shape
from ..volumes.apart import check_apart
from ..volumes.pairs import inputs_of
from ..volumes.sole_writer import sole_writer
from .config import TrainJob
from .data import Batches, Latents, load_pairs, median_noise, median_scalings
from .grid import model_grid
from .instances import with_labels
from .losses import LossInputs
from .objectives import make_objective
from .pairs import few, registration_notices, spacing_notices
from .run_folder import RunFolder, check_run_folder
from .start import initial_networks
from .state import PhaseState
from .validation import Judge, Validator

_LOG_SECONDS = 5.0


def train(
    job: TrainJob,
    *,
    resume: bool = False,
    judge: Judge | None = None,
    should_stop: ShouldStop | None = None,
) -> Job:
    """Train a stainer and write it as a bundle.

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
    found = [find_pairs(source, job.reading) for source in job.pairs]
    check_run_folder(job.out, resume)
    for source, some in zip(job.pairs, found, strict=True):
        check_apart(job.out, inputs_of(source, some), replaced=False)
    device = pick_device(job.device)
    torch.manual_seed(job.seed)
    with sole_writer(job.out, folder=True) as notice:
        networks, info = initial_networks(job)
        job = job.model_copy(update={"network": networks.network})
        folder = RunFolder(job)
        try:
            networks.to(device)
            if notice:
                yield Notice(text=notice, warning=False)
            for text in precision_notices(device) if job.mixed_precision else ():
                yield Notice(text=text, warning=False)
            for event in _run(job, found, networks, info, folder, device, judge, should_stop):
                folder.keep(event)
                yield event
        except Exception as error:
            folder.keep(Failed(sentence=str(error), detail=traceback.format_exc()))
            raise
        finally:
            folder.close()


def _run(
    job: TrainJob,
    found: list[Found[Pair]],
    networks: StainerNetworks,
    info: ModelInfo | None,
    folder: RunFolder,
    device: torch.device,
    judge: Judge | None,
    should_stop: ShouldStop | None,
) -> Job:
    yield Started(job="train", settings=job.model_dump(mode="json"))
    yield from notices(*found)
    pairs = [pair for some in found for pair in some]
    # a mismatched pair ends the job here
    pairs, spacing, nucleus_um = model_grid(pairs, info, job.nucleus_um)
    opened = [(p.name, *p.read()[:2]) for p in pairs]
    phase_stacks = [qpi for _, qpi, _ in opened]
    yield from spacing_notices(opened, spacing, info.spacing if info else None)
    voxels = sum(int(np.prod(resampled_shape(qpi, spacing))) for qpi in phase_stacks)
    amp = partial(autocast, device) if job.mixed_precision else nullcontext
    yield from registration_notices(pairs, should_stop)
    training, validation = job.split(pairs)
    job, of_labels = with_labels(job, training)
    yield from of_labels
    yield Notice(
        text=f"Reading {len(training)} pairs to train on, {len(validation)} to validate.",
        warning=False,
    )
    if not validation:
        yield Notice(text=_ALL_SEEN)
    data = load_pairs(training, job, spacing, voxels, folder.cache)
    held_out = load_pairs(validation, job, spacing, voxels, folder.cache) if validation else []
    qpi, dapi = median_scalings(data)
    told = (text for part in (data, held_out) for item in part for text in item["told"])
    yield from few(Notice(text=text) for text in told)
    # described anew, also when it starts from a model: that one's figures are not this one's
    info = ModelInfo(
        name=job.name or job.out.absolute().name,
        method=job.method,
        network=networks.network,
        consistency=job.consistency,
        diffusion=job.diffusion,
        resshift=job.resshift,
        dapi=dapi.model_copy(update={"root": job.root}),
        qpi=qpi,
        qpi_noise=median_noise(phase_stacks),
        spacing=spacing,
        nucleus_um=nucleus_um,
    )
    validator = Validator(networks, held_out, info, amp, device, shown=data, judge=judge)
    networks.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
    ResBlock.recompute = job.recompute
    started, stopped = time.monotonic(), False
    for phase in job.phases():
        if phase != "vae":
            yield from validator.compare(phase)
        trainer = _Trainer(job, phase, networks, data, device, amp)
        if folder.checkpoint(phase).exists():
            trainer.state.load(folder.checkpoint(phase))
        for event in trainer.run(folder, validator, should_stop):
            yield event
            if isinstance(event, Step):
                info.metrics.update({k: v for k, v in event.values.items() if k in _KEPT})
        stopped = should_stop is not None and should_stop()
        with trainer.state.averaged():
            _describe(info, job, pairs, trainer)
            save_bundle(folder.model, info, networks)
        if stopped:
            break
        trainer.state.ema.copy_to(trainer.state.parameters)
    yield Finished(
        result={
            "model": str(folder.model),
            "seconds": time.monotonic() - started,
            "stopped": stopped,
            "metrics": info.metrics,
            "nuclei": validator.nuclei(),
        },
        value=folder.model,
    )


_ALL_SEEN = (
    "With fewer than 4 pairs none is held out: the preview shows a volume that is trained on, and "
    "no figure tells how well new ones will be stained."
)
_KEPT = ("val_vae_psnr", "val_psnr", "val_spread", "val_pearson", "val_recall", "val_f1")


class _Trainer:
    """One phase."""

    def __init__(
        self,
        job: TrainJob,
        phase: PhaseName,
        networks: StainerNetworks,
        data: Any,
        device: torch.device,
        amp: Any,
    ) -> None:
        self.job, self.phase, self.networks = job, phase, networks
        self.device, self.amp = device, amp
        self.objective = make_objective(phase, networks, job)
        for module in self.objective.modules.values():
            module.to(device)
        # DAPI is encoded as it is needed, each view once: training runs on cached latents
        latents = Latents(data, networks, device, amp) if self.objective.latents else None
        self.batches = Batches(data, job, latents)
        self.state = PhaseState(
            self.objective.modules, job, job.settings(phase), self.objective.rates
        )
        self.state.ema.to(device)
        self.allowed = job.seconds_allowed(phase)

    def run(self, folder: RunFolder, validator: Validator, should_stop: ShouldStop | None) -> Job:
        state, objective = self.state, self.objective
        offset = int(self.phase != "vae")
        meter = Meter(1.0, state.progress(self.allowed))
        logged = saved = time.monotonic()
        validated = int(state.progress(self.allowed) * self.job.validations)
        since: dict[str, list[float]] = {}  # what has been measured since the last log, by name
        while (progress := state.progress(self.allowed)) < 1:
            if should_stop is not None and should_stop():
                break
            began = time.monotonic()
            generator = torch.Generator().manual_seed(
                int(
                    np.random.SeedSequence([self.job.seed, offset, state.step]).generate_state(1)[0]
                )
            )
            batch = {k: v.to(self.device) for k, v in self.batches.at(state.step).items()}
            with self.amp():
                loss, parts = objective.loss(
                    LossInputs(
                        objective.modules, self.networks, batch, self.job, progress, generator
                    )
                )
            norm = state.update(loss, progress)
            values = {"loss": loss, **parts}
            figures = {"gradient": norm} | {k: float(v.detach()) for k, v in values.items()}
            for name, value in figures.items():
                since.setdefault(name, []).append(value)
            now = time.monotonic()
            state.seconds += now - began
            done = state.progress(self.allowed)
            if now - logged > _LOG_SECONDS or done >= 1:
                means = {name: fmean(measured) for name, measured in since.items()}
                means |= {"skipped": float(state.skipped)}
                means["memory_gb"] = memory_in_use(self.device) / 1e9
                yield Step(phase=self.phase, step=state.step, values=means)
                yield meter.at(done, f"{self.phase} step {state.step}")
                since, logged = {}, now
            if int(done * self.job.validations) > validated:
                validated = int(done * self.job.validations)
                with state.averaged():
                    yield from validator.run(self.phase, state.step, folder.path)
            if now - saved > self.job.checkpoint_seconds:
                state.save(folder.checkpoint(self.phase))
                yield Checkpoint(path=str(folder.checkpoint(self.phase)))
                saved = now
        state.save(folder.checkpoint(self.phase))
        yield Checkpoint(path=str(folder.checkpoint(self.phase)))


def _describe(info: ModelInfo, job: TrainJob, pairs: list[Pair], trainer: _Trainer) -> None:
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
