"""The methods: what a model can be trained to do, one value for each, found by its name.

The losses of their phases stand in `training.objectives`, one floor up.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, get_args

from .config import MethodName, NetworkConfig

if TYPE_CHECKING:
    from torch import nn

    from .info import ModelInfo
    from .samplers import Sampler
    from .stainer import StainerNetworks

PhaseName = Literal["vae", "consistency", "regression", "diffusion", "resshift", "pix2pix"]
MakeSampler = Callable[["ModelInfo", "StainerNetworks", int], "Sampler"]


@dataclass(frozen=True)
class Phase:
    """A part of a training.

    Parameters
    ----------
    name : str
        In files and events.
    goal : str
        For people: what it is doing.
    short : str
        For people: its number and a word for it.
    colour : str
        Of its curve; from Okabe & Ito (2008), those seen on light and on dark.
    step_weight : float
        Seconds of a step in proportion, until they are known: measured on processors and GPUs.
    """

    name: PhaseName
    goal: str = "learning to stain"
    short: str = "phase 2: staining"
    colour: str = "#E69F00"
    step_weight: float = 2.2


AUTOENCODER = Phase("vae", "learning what DAPI looks like", "phase 1: DAPI", "#56B4E9", 1.0)


@dataclass(frozen=True)
class Method:
    """What a model can be trained to do.

    Parameters
    ----------
    name : str
        In files, on the command line and in the Python API.
    title : str
        For people.
    phase : Phase
        The one that makes a model of this method what it is.
    sampler : callable, optional
        Makes the sampler in the latent space from model, networks and steps. A method without
        one has no autoencoder and works on voxels.
    own_networks : mapping of str to callable
        What makes the networks, by name, that no other method has.
    default_steps : callable
        Returns the sampler's steps where none are wanted.
    any_steps : bool
        Whether other numbers of steps can be wanted.
    decodes : bool
        Whether its loss is on decoded volumes too, from which a decoder can learn.
    least_patch : int
        Voxels along each axis of the smallest patch that it can be trained on.
    variants : mapping of str to int
        What the benchmark measures: the name in its report, and the sampler's steps.
    """

    name: MethodName
    title: str
    phase: Phase
    sampler: MakeSampler | None
    own_networks: Mapping[str, Callable[[NetworkConfig], nn.Module]] = field(default_factory=dict)
    default_steps: Callable[[ModelInfo], int] = lambda _: 1
    any_steps: bool = False
    decodes: bool = False
    least_patch: int = 1
    variants: Mapping[str, int | None] = field(default_factory=dict)

    @property
    def latent(self) -> bool:
        """Whether it works in the latent space of an autoencoder."""
        return self.sampler is not None

    @property
    def phases(self) -> tuple[Phase, ...]:
        """The phases of its training, in order."""
        return (AUTOENCODER, self.phase) if self.latent else (self.phase,)

    def can_start_from(self, other: Method) -> bool:
        """Return whether its training can start from a model of another method."""
        return self is other or (self.latent and other.latent)


def _consistency(_: ModelInfo, networks: StainerNetworks, steps: int) -> Sampler:
    from .samplers import ConsistencySampler

    return ConsistencySampler(networks.denoiser, steps)


def _regression(_: ModelInfo, networks: StainerNetworks, _steps: int) -> Sampler:
    from .samplers import RegressionSampler

    return RegressionSampler(networks.denoiser)


def _diffusion(info: ModelInfo, networks: StainerNetworks, steps: int) -> Sampler:
    from .diffusion import DiffusionSampler, predictor

    return DiffusionSampler(predictor(networks.denoiser, info.diffusion), info.diffusion, steps)


def _resshift(info: ModelInfo, networks: StainerNetworks, _: int) -> Sampler:
    from .resshift import ResShiftSampler

    return ResShiftSampler(networks.denoiser.network, networks.guess, info.resshift)


def _guess(network: NetworkConfig) -> nn.Module:
    from torch import nn

    return nn.Conv3d(network.condition_widths[-1], network.latent_channels, 1)


def _generator(network: NetworkConfig) -> nn.Module:
    from .pix2pix import Generator

    return Generator(network.generator_widths, network.inputs, network.outputs)


LLCM = Method(
    "llcm",
    "llcm (latent consistency model)",
    Phase("consistency"),
    _consistency,
    any_steps=True,
    decodes=True,
    variants={"llcm": 1, "llcm 2 steps": 2, "llcm 4 steps": 4},
)
REGRESSION = Method(
    "regression",
    "regression (one step, no noise)",
    Phase("regression", colour="#CC79A7"),
    _regression,
    decodes=True,
    variants={"regression": None},
)
DIFFUSION = Method(
    "diffusion",
    "diffusion (20 steps)",
    Phase("diffusion", colour="#CC79A7"),
    _diffusion,
    default_steps=lambda _: 20,
    any_steps=True,
    variants={"diffusion 20 steps": 20, "diffusion 50 steps": 50},
)
RESSHIFT = Method(
    "resshift",
    "ResShift (15 steps)",
    Phase("resshift", colour="#CC79A7"),
    _resshift,
    {"guess": _guess},
    default_steps=lambda info: info.resshift.steps,
    variants={"resshift": None},
)
PIX2PIX = Method(
    "pix2pix",
    "Pix2Pix (cGAN)",
    Phase("pix2pix", short="staining", colour="#CC79A7"),
    None,
    {"generator": _generator},
    least_patch=16,  # its PatchGAN's
    variants={"pix2pix": None},
)
METHODS: dict[MethodName, Method] = {
    m.name: m for m in (LLCM, REGRESSION, DIFFUSION, RESSHIFT, PIX2PIX)
}
PHASES: dict[str, Phase] = {p.name: p for m in METHODS.values() for p in m.phases}
assert set(METHODS) == set(get_args(MethodName))
assert set(PHASES) == set(get_args(PhaseName))
