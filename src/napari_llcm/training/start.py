"""What a training starts from: fresh networks, or those of a model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError

from ..events import UserError
from ..models.autoencoders.saved import load_autoencoder
from ..models.bundle import ModelBundle, load_bundle, read_info, save_bundle
from ..models.config import NetworkConfig
from ..models.control import with_branch
from ..models.info import ModelInfo
from ..models.library import find_model
from ..models.methods import METHODS
from ..models.stainer import StainerNetworks
from ..models.widening import can_widen, widened
from ..tasks import Task
from .config import TrainJob


def with_task(job: TrainJob) -> TrainJob:
    """Return a job with the task of the model that it starts from, if of one."""
    if job.init is None:
        return job
    return job.model_copy(update={"task": read_info(find_model(job.init)).task})


def settled(job: TrainJob, networks: StainerNetworks, info: ModelInfo | None) -> TrainJob:
    """Return a job with what the model it starts from decides.

    The weights decide the sizes; what was trained to undo a scale of noise or of brightness goes on
    with that.
    """
    update: dict[str, Any] = {"network": networks.network}
    if info is not None and "vae" not in job.phases():
        update["root"] = all(scaling.root for scaling in info.scalings.values())
    if job.control:  # what is frozen knows latents as they were scaled
        update["latent_statistics"] = "kept"
    return job.model_copy(update=update)


def initial_networks(job: TrainJob) -> tuple[StainerNetworks, ModelInfo | None]:
    """Return the networks that a job starts from, and the model they are of, if of one."""
    if job.autoencoder is not None:
        return _on_autoencoder(job, job.autoencoder), None
    if job.init is None:
        return StainerNetworks(for_task(job.network, job.task), job.consistency, job.method), None
    bundle = load_bundle(find_model(job.init))
    start = _as_wide_as(job, bundle)
    if job.control:
        if bundle.info.method != job.method:
            raise UserError(
                f"A control branch learns as its model did: {bundle.info.name} is a "
                f"{bundle.info.method} model, choose that method."
            )
        return with_branch(start), bundle.info
    networks = StainerNetworks(start.network, job.consistency, job.method)
    known = start.state_dict()
    same = bundle.info.method == job.method
    if not same:
        if not METHODS[job.method].can_start_from(METHODS[bundle.info.method]):
            raise UserError(
                f"A {job.method} model cannot start from {bundle.info.name}, "
                f"a {bundle.info.method} model."
            )
        # only the latent space is common: what maps to it is learned anew
        known = {k: v for k, v in known.items() if k.startswith("autoencoder.")}
    networks.load_state_dict(known, strict=same)
    return networks, bundle.info


def for_task(network: NetworkConfig, task: Task) -> NetworkConfig:
    """Return a network with as many channels as a task has.

    Raises
    ------
    UserError
        If the network cannot have them.
    """
    # what has an output's unit is coded as its difference to the input
    residual = all(channel.scaled_as is not None for channel in task.outputs)
    own = {"inputs": task.seen, "outputs": len(task.outputs), "residual": residual}
    asked = network.model_dump(include=network.model_fields_set)
    try:
        return NetworkConfig(**asked | own)
    except ValidationError as error:
        raise UserError(
            f"The network that the job asks for does not fit the task {task.name}: "
            f"{error.errors()[0]['msg']}."
        ) from error


def _on_autoencoder(job: TrainJob, name: str) -> StainerNetworks:
    """Return fresh networks around an autoencoder that was taken in."""
    saved = load_autoencoder(name)
    asked = job.network.model_dump(include=job.network.model_fields_set)
    try:
        network = NetworkConfig(**asked | {"autoencoder": saved.info.autoencoder})
        network = for_task(network, job.task)
    except ValidationError as error:
        raise UserError(
            f"The network that the job asks for does not fit the autoencoder {saved.info.name}: "
            f"{error.errors()[0]['msg']}."
        ) from error
    networks = StainerNetworks(network, job.consistency, job.method)
    networks.autoencoder.load_state_dict(saved.network.state_dict())
    mean, std = saved.info.latent_mean, saved.info.latent_std
    if mean is not None and std is not None:
        networks.latent_mean.copy_(torch.tensor(mean).view_as(networks.latent_mean))
        networks.latent_std.copy_(torch.tensor(std).view_as(networks.latent_std))
    elif job.latent_statistics == "kept":
        raise UserError(
            f"The autoencoder {saved.info.name} has no statistics of its latents: import it again "
            "with --volumes or --scale-factor, or leave latent_statistics out."
        )
    return networks


def _as_wide_as(job: TrainJob, bundle: ModelBundle) -> StainerNetworks:
    """Return the networks of a model, widened where the job asks for wider ones.

    A job that asks for no sizes gets the model's.
    """
    there = bundle.info.network
    asked = job.network.model_copy(update={"control": there.control})  # `with_branch` adds one
    if "network" not in job.model_fields_set or asked == there:
        return bundle.networks
    if METHODS[bundle.info.method].latent and can_widen(there, asked):
        return widened(bundle.networks, asked, job.seed)
    raise UserError(
        f"{bundle.info.name} cannot be widened to the network that the job asks for, which has to "
        "have at least its widths and else be alike: leave network out to keep its own."
    )


def keep_start(job: TrainJob, folder: Path) -> None:
    """Write the model that a job starts from where the trained one would be, under its name."""
    assert job.init is not None
    start = load_bundle(find_model(job.init))
    update = {
        "name": job.name or job.out.absolute().name,
        "provenance": start.info.provenance | {"kept": job.init},
    }
    save_bundle(folder, start.info.model_copy(update=update), start.networks)
