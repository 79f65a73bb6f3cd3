"""The three networks of a stainer as one module."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .autoencoders.networks import make_autoencoder
from .condition import Condition, unpacked
from .config import ConsistencyConfig, Factor, MethodName, NetworkConfig
from .consistency import Denoiser
from .methods import METHODS
from .networks import Encoder, LatentUNet, make_skip


class StainerNetworks(nn.Module):
    """Autoencoder of the outputs, encoder of the inputs and denoiser in the latent space.

    Parameters
    ----------
    network : NetworkConfig
        Sizes and kinds of the networks.
    consistency : ConsistencyConfig
        Noise scale.
    method : str
        Adds networks of its own; one without an autoencoder has these alone.
    """

    latent_mean: Tensor
    latent_std: Tensor
    guess: nn.Module
    control: nn.Module
    generator: nn.Module

    def __init__(
        self, network: NetworkConfig, consistency: ConsistencyConfig, method: MethodName = "llcm"
    ) -> None:
        super().__init__()
        self.network, self.method = network, method
        if METHODS[method].latent:
            self._add_latent_networks(network, consistency)
        for name, make in METHODS[method].own_networks.items():
            self.add_module(name, make(network))

    def _add_latent_networks(self, network: NetworkConfig, consistency: ConsistencyConfig) -> None:
        features = network.condition_widths[-1]
        self.autoencoder = make_autoencoder(network)
        self.condition = _condition(network, features)
        self.denoiser = Denoiser(_unet(network, features), consistency)
        if network.control:
            from .control import Cleaner, ControlEncoder

            cleaner = Cleaner(network.factor, network.inputs)
            self.control = ControlEncoder(_condition(network, features), cleaner)
        if network.decoder_skip:
            self.skip = make_skip(network)
        # per-channel statistics of the latents: sigma_data = 1 holds after scaling
        shape = (1, network.latent_channels, 1, 1, 1)
        self.register_buffer("latent_mean", torch.zeros(shape))
        self.register_buffer("latent_std", torch.ones(shape))

    def conditioned(self, inputs: Tensor) -> Tensor | Condition:
        """Return what steers the denoiser, of normalised inputs (B, I, Z, Y, X)."""
        features: Tensor = self.condition(inputs)
        return Condition(features, self.control(inputs)) if self.network.control else features

    def unpacked(self, packed: Tensor) -> Tensor | Condition:
        """Return the condition of features for all ways in, one behind the other."""
        return unpacked(packed, self.network.condition_widths[-1])

    @property
    def condition_halo(self) -> Factor | None:
        """Voxels (z, y, x) beyond its own that a latent site's condition sees; None for all."""
        halo: Factor | None = getattr(self.condition, "halo", None)
        if halo is None or not self.network.control:
            return halo
        z, y, x = (max(pair) for pair in zip(halo, self.control.halo, strict=True))  # type: ignore[arg-type]
        return (z, y, x)

    def coded(self, outputs: Tensor, inputs: Tensor) -> Tensor:
        """Return what the autoencoder is given of normalised outputs (B, K, Z, Y, X).

        Themselves or, where `network.residual`, what they have beside the inputs.
        """
        return outputs - inputs[:, : outputs.shape[1]] if self.network.residual else outputs

    def encode(self, outputs: Tensor, inputs: Tensor) -> Tensor:
        """Return the standardised latent (B, C, z, y, x) of normalised outputs (B, K, Z, Y, X)."""
        mean, _ = self.autoencoder.encode(self.coded(outputs, inputs))
        return (mean.float() - self.latent_mean) / self.latent_std

    def decode(
        self, latent: Tensor, inputs: Tensor | None = None, skip: Tensor | None = None
    ) -> Tensor:
        """Return normalised outputs (B, K, Z, Y, X) of a standardised latent.

        Where the decoder has a skip, `inputs` (B, I, Z, Y, X), normalised, is what it is made of,
        or `skip` is the skip itself, as in `Decoder`. Where a residual is coded, `inputs` is what
        it is added to; without them, the residual is returned.
        """
        z = latent.float() * self.latent_std + self.latent_mean
        if skip is None and self.network.decoder_skip and inputs is not None:
            skip = self.skip(inputs)
        decoded = self.autoencoder.decode(z, skip)
        if self.network.residual and inputs is not None:
            decoded = decoded.float() + inputs[:, : decoded.shape[1]].float()
        return decoded


def _condition(network: NetworkConfig, features: int) -> nn.Module:
    if network.condition == "vector":
        from .monai_networks import VectorCondition

        return VectorCondition(network, features)
    return Encoder(network.condition_widths, network.factor, features, network.inputs)


def _unet(network: NetworkConfig, features: int) -> nn.Module:
    channels, widths = network.latent_channels, network.unet_widths
    if network.unet == "local":
        from .control import ControlledUNet

        local = ControlledUNet if network.control else LatentUNet
        made = local(channels, features, widths, network.unet_blocks)
        if network.residual:  # at first, nothing is added to the inputs
            made.silence()
        return made
    from .monai_networks import ControlledMonaiUNet, MonaiUNet

    return (ControlledMonaiUNet if network.control else MonaiUNet)(network, features)
