"""How far the networks really see: beyond it, what they are given changes less than bfloat16 does.

An output of the default U-Net sees 38 latent sites, by its 3-wide convolutions. Most of that is
hardly heard: the error of a window that ends h sites further falls by a factor of 2 to 20 for
every 4 sites. Where networks run in bfloat16, a halo whose error is far below the rounding of
bfloat16 is as good as the whole one. It differs from model to model (12 sites and 20 of the shipped
ones), so it is measured of each, when it is saved, on stacks that it was trained for.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple, cast

from pydantic import BaseModel, ConfigDict, NonNegativeInt

if TYPE_CHECKING:
    import torch

    from .info import ModelInfo
    from .networks import Decoder, LatentUNet
    from .stainer import StainerNetworks

Sites = tuple[int, int, int]


class Reach(BaseModel):
    """The halo (z, y, x), in latent sites, that is enough where networks run in bfloat16."""

    model_config = ConfigDict(frozen=True)

    unet: tuple[NonNegativeInt, NonNegativeInt, NonNegativeInt]
    decoder: tuple[NonNegativeInt, NonNegativeInt, NonNegativeInt]


class Halos(NamedTuple):
    """What is computed beyond a block by the U-Net, and beyond a tile by the decoder (sites)."""

    unet: Sites
    decoder: Sites


def whole_halos(networks: StainerNetworks) -> Halos:
    """Return how far each network sees by the sizes of its convolutions."""
    unet = cast("LatentUNet", networks.denoiser.network)
    return Halos(unet.halo, cast("Decoder", networks.autoencoder.decoder).halo)


def near_halos(info: ModelInfo, networks: StainerNetworks, dtype: torch.dtype) -> Halos:
    """Return the halos beyond which nothing is heard.

    The whole ones in float32, or where a model's reach is not known. In bfloat16 those of its
    reach: windows give then what the whole volume would to well below the rounding.

    Parameters
    ----------
    info : ModelInfo
        The model.
    networks : StainerNetworks
        Local ones.
    dtype : torch.dtype
        In which they run.
    """
    import torch

    unet, decoder = whole_halos(networks)
    if info.reach is None or dtype is not torch.bfloat16:
        return Halos(unet, decoder)
    return Halos(_smallest([unet, info.reach.unet]), _smallest([decoder, info.reach.decoder]))


class LittleContext(NamedTuple):
    """Halos for a preview; that of the encoder is in voxels."""

    encoder: Sites
    halos: Halos


def little_context(networks: StainerNetworks) -> LittleContext:
    """Return halos with which a preview comes at once and shows the nuclei where they are.

    A sixteenth of the U-Net's, an eighth of the decoder's and a quarter of the encoder's, but one
    site at least.
    """
    unet, decoder = whole_halos(networks)
    assert networks.condition_halo is not None
    return LittleContext(
        _part(networks.condition_halo, 4), Halos(_part(unet, 16), _part(decoder, 8))
    )


def _smallest(given: Sequence[Sites]) -> Sites:
    z, y, x = (min(along) for along in zip(*given, strict=True))
    return (z, y, x)


def _part(halo: Sites, share: int) -> Sites:
    z, y, x = (max(h // share, min(h, 1)) for h in halo)
    return (z, y, x)
