"""The networks of each kind of autoencoder behind one interface, found by the kind's name.

The norms of all but ours average over space, so they are not local: staining blends overlapping
windows.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from .config import CogVideoXKind, MaisiKind, MedVaeKind, MriKind, PlanesKind

if TYPE_CHECKING:
    from ..config import NetworkConfig

Moments = tuple[Tensor, Tensor]


class Autoencoder(nn.Module, ABC):
    """DAPI (variance-stabilised, about 0 to 1) to a small spatial latent and back."""

    @abstractmethod
    def encode(self, x: Tensor) -> Moments:
        """Return mean and log variance (B, C, z, y, x) of the latent of x (B, 1, Z, Y, X)."""

    @abstractmethod
    def decode(self, z: Tensor, skip: Tensor | None = None) -> Tensor:
        """Return the volume (B, 1, Z, Y, X) of a latent (B, C, z, y, x); `skip` as in `Decoder`."""

    def decoding(self) -> nn.Module:
        """Return what has a part in decoding; the encoder and what follows it have none."""
        return self.get_submodule("decoder")


class Published(Autoencoder):
    """An autoencoder whose network, `net`, has the names of published weights.

    Parameters
    ----------
    kind : AutoencoderKind
        Its `intensities` are what `net` takes for 0 and 1.
    net : Module
        The network as it was published.
    """

    net: Any  # a module, with whatever methods its library gives it

    def __init__(self, kind: Any, net: nn.Module) -> None:
        super().__init__()
        self.kind, self.net = kind, net

    def encode(self, x: Tensor) -> Moments:
        """Return mean and log variance (B, C, z, y, x) of the latent of x (B, 1, Z, Y, X)."""
        low, high = self.kind.intensities
        return self.moments(x * (high - low) + low)

    def decode(self, z: Tensor, skip: Tensor | None = None) -> Tensor:
        """Return the volume (B, 1, Z, Y, X) of a latent; it takes no skip."""
        low, high = self.kind.intensities
        return (self.image(z) - low) / (high - low)

    @abstractmethod
    def moments(self, x: Tensor) -> Moments:
        """Return mean and log variance of the latent of x, in the intensities of `net`."""

    @abstractmethod
    def image(self, z: Tensor) -> Tensor:
        """Return the volume of a latent, in the intensities of `net`."""

    def decoding(self) -> nn.Module:
        """Return what has a part in decoding; the encoder and what follows it have none."""
        parts = self.net.named_children()
        return nn.ModuleList(m for n, m in parts if n in ("decoder", "post_quant_conv"))


class OfMonai(Published):
    """MONAI's `AutoencoderKL` and what is made of it."""

    def moments(self, x: Tensor) -> Moments:
        """Return mean and log variance of the latent of x."""
        mean, std = self.net.encode(x)
        return mean, 2 * std.clamp_min(1e-6).log()

    def image(self, z: Tensor) -> Tensor:
        """Return the volume of a latent."""
        return self.net.decode(z)


class OfLatentDiffusion(Published):
    """`LatentDiffusionAutoencoder`."""

    def moments(self, x: Tensor) -> Moments:
        """Return mean and log variance of the latent of x."""
        return self.net.encode(x)

    def image(self, z: Tensor) -> Tensor:
        """Return the volume of a latent."""
        return self.net.decode(z)


class OfFilm(Published):
    """Diffusers' autoencoder of films: planes are frames, three channels are alike."""

    def moments(self, x: Tensor) -> Moments:
        """Return mean and log variance of the latent of x."""
        found = self.net.encode(x.expand(-1, 3, -1, -1, -1)).latent_dist
        return found.mean, found.logvar

    def image(self, z: Tensor) -> Tensor:
        """Return the volume of a latent: the mean of the three channels."""
        return self.net.decode(z).sample.mean(1, keepdim=True)


class OfPlanes(Published):
    """Diffusers' autoencoder of images, plane by plane."""

    def moments(self, x: Tensor) -> Moments:
        """Return mean and log variance of the latent of x."""
        fill = torch.ones if self.kind.fill == "repeat" else torch.zeros
        gain = fill(self.kind.image_channels, device=x.device, dtype=x.dtype)
        gain[0] = 1
        found = self.net.encode(_planes(x) * gain[:, None, None]).latent_dist
        return _volumes(found.mean, len(x)), _volumes(found.logvar, len(x))

    def image(self, z: Tensor) -> Tensor:
        """Return the volume of a latent: the first channel, or the mean of those that are alike."""
        y = self.net.decode(_planes(z)).sample
        one = y.mean(1, keepdim=True) if self.kind.fill == "repeat" else y[:, :1]
        return _volumes(one, len(z))


def _planes(x: Tensor) -> Tensor:
    """Return the planes (B·Z, C, Y, X) of x (B, C, Z, Y, X)."""
    return x.transpose(1, 2).flatten(0, 1)


def _volumes(x: Tensor, count: int) -> Tensor:
    """Return the volumes (B, C, Z, Y, X) that planes (B·Z, C, Y, X) are of."""
    return x.unflatten(0, (count, -1)).transpose(1, 2)


def _in_common(kind: MriKind | MaisiKind) -> dict[str, Any]:
    """Return the settings that MONAI's autoencoders of volumes share."""
    return {
        "spatial_dims": 3,
        "in_channels": 1,
        "out_channels": 1,
        "latent_channels": kind.latent_channels,
        "num_res_blocks": kind.res_blocks,
        "norm_num_groups": kind.norm_groups,
        "attention_levels": kind.attention_levels,
    }


def _mri(kind: MriKind) -> Published:
    from monai.networks.nets import AutoencoderKL

    net = AutoencoderKL(
        channels=kind.channels,
        with_encoder_nonlocal_attn=kind.middle_attention,
        with_decoder_nonlocal_attn=kind.middle_attention,
        **_in_common(kind),
    )
    return OfMonai(kind, net)


def _maisi(kind: MaisiKind) -> Published:
    from monai.apps.generation.maisi.networks.autoencoderkl_maisi import AutoencoderKlMaisi

    net = AutoencoderKlMaisi(
        num_channels=kind.channels,
        num_splits=kind.num_splits,
        dim_split=kind.dim_split,
        norm_float16=kind.norm_float16,
        save_mem=False,  # would empty the cache of the graphics card after every layer
        **_in_common(kind),
    )
    return OfMonai(kind, net)


def _medvae(kind: MedVaeKind) -> Published:
    from .latent_diffusion import LatentDiffusionAutoencoder

    return OfLatentDiffusion(kind, LatentDiffusionAutoencoder(kind))


def _diffusers(name: str, kind: Any, **sizes: Any) -> nn.Module:
    from ..torchvision import check_torchvision

    check_torchvision()  # diffusers imports it, and fails in a traceback where it does not fit
    import diffusers

    return getattr(diffusers, name)(
        block_out_channels=kind.channels,
        latent_channels=kind.latent_channels,
        layers_per_block=kind.res_blocks,
        norm_num_groups=kind.norm_groups,
        **sizes,
    )


def _planewise(kind: PlanesKind) -> Published:
    count = kind.image_channels
    blocks = {f"{way.lower()}_block_types": (f"{way}{part}Block2D",) * kind.levels
              for way, part in (("Down", "Encoder"), ("Up", "Decoder"))}  # fmt: skip
    net = _diffusers("AutoencoderKL", kind, in_channels=count, out_channels=count, **blocks)
    return OfPlanes(kind, net)


def _cogvideox(kind: CogVideoXKind) -> Published:
    blocks = {f"{way.lower()}_block_types": (f"CogVideoX{way}Block3D",) * kind.levels
              for way in ("Down", "Up")}  # fmt: skip
    ratio = {"temporal_compression_ratio": kind.frames}
    return OfFilm(kind, _diffusers("AutoencoderKLCogVideoX", kind, **ratio, **blocks))


_PUBLISHED: dict[str, Callable[[Any], Published]] = {
    "mri": _mri,
    "maisi": _maisi,
    "medvae": _medvae,
    "planes": _planewise,
    "cogvideox": _cogvideox,
}


def make_published(kind: Any) -> Published:
    """Return the network of a kind that has sizes of its own."""
    return _PUBLISHED[kind.kind](kind)


def _local(config: NetworkConfig) -> Autoencoder:
    from ..networks import LocalAutoencoder

    return LocalAutoencoder(config)


def _wavelet(config: NetworkConfig) -> Autoencoder:
    from .wavelet import WaveletAutoencoder

    return WaveletAutoencoder(config.factor, config.outputs)


def _monai(config: NetworkConfig) -> Autoencoder:
    from ..monai_networks import MonaiAutoencoder

    return MonaiAutoencoder(config)


_SIZED_BY_NETWORK: dict[str, Callable[[NetworkConfig], Autoencoder]] = {
    "local": _local,
    "wavelet": _wavelet,
    "monai": _monai,
}


def make_autoencoder(config: NetworkConfig) -> Autoencoder:
    """Return the autoencoder that a configuration describes."""
    kind = config.autoencoder
    if make := _SIZED_BY_NETWORK.get(kind.kind):
        return make(config)
    return make_published(kind)
