"""What a training starts from: fresh networks, or those of a model."""

from __future__ import annotations

from ..events import UserError
from ..models.bundle import ModelInfo, load_bundle
from ..models.library import find_model
from ..models.methods import METHODS
from ..models.stainer import StainerNetworks
from .config import TrainJob


def initial_networks(job: TrainJob) -> tuple[StainerNetworks, ModelInfo | None]:
    """Return the networks that a job starts from, and the model they are of, if of one."""
    if job.init is None:
        return StainerNetworks(job.network, job.consistency, job.method), None
    bundle = load_bundle(find_model(job.init))
    # the weights decide the sizes, not the job
    networks = StainerNetworks(bundle.info.network, job.consistency, job.method)
    known = bundle.networks.state_dict()
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
