"""MONAI's networks behind the same interface, so that each choice can be measured.

Their GroupNorm averages over space, so they are not local: staining blends overlapping windows.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .autoencoders.networks import OfMonai
from .blocks import level_strides
from .config import NetworkConfig
from .networks import Encoder


class MonaiAutoencoder(OfMonai):
    """`monai.networks.nets.AutoencoderKL`, attention off (its memory grows with size²)."""

    def __init__(self, config: NetworkConfig) -> None:
        from monai.networks.nets import AutoencoderKL

        halvings = len(level_strides(config.factor))
        if len(set(config.factor)) != 1 or len(config.encoder_widths) != halvings + 1:
            raise ValueError(
                "MONAI's AutoencoderKL halves all axes alike: factor must be equal along z, y "
                f"and x, and encoder_widths needs {halvings + 1} entries"
            )
        levels = len(config.encoder_widths)
        net = AutoencoderKL(
            spatial_dims=3,
            in_channels=1,
            out_channels=1,
            channels=config.encoder_widths,
            latent_channels=config.latent_channels,
            num_res_blocks=1,
            norm_num_groups=8,
            attention_levels=(False,) * levels,
            with_encoder_nonlocal_attn=False,
            with_decoder_nonlocal_attn=False,
        )
        super().__init__(config.autoencoder, net)


class MonaiUNet(nn.Module):
    """`monai.networks.nets.DiffusionModelUNet` with the condition concatenated."""

    def __init__(self, config: NetworkConfig, condition: int) -> None:
        from monai.networks.nets import DiffusionModelUNet

        super().__init__()
        self.net = DiffusionModelUNet(
            spatial_dims=3,
            in_channels=config.latent_channels + condition,
            out_channels=config.latent_channels,
            channels=config.unet_widths,
            num_res_blocks=config.unet_blocks,
            attention_levels=(False,) * len(config.unet_widths),
            norm_num_groups=16,
        )

    def forward(self, x: Tensor, sigma: Tensor, condition: Tensor) -> Tensor:
        """Return F for latent x, sigma (B,) and condition on the latent grid."""
        time = sigma.float().log() / 4 * 1000  # the embedding is made for steps 0 to 1000
        return self.net(torch.cat([x, condition], 1), time)


class VectorCondition(nn.Module):
    """The design's ablation: the inputs pooled to one vector, the same at every latent site."""

    def __init__(self, config: NetworkConfig, outputs: int) -> None:
        super().__init__()
        self.encoder = Encoder(config.condition_widths, config.factor, outputs, config.inputs)

    def forward(self, inputs: Tensor) -> Tensor:
        """Return (B, outputs, z, y, x), constant over space."""
        features = self.encoder(inputs)
        return features.mean((2, 3, 4), keepdim=True).expand_as(features)
