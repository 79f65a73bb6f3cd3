"""MONAI's networks behind the same interface, so that each choice can be measured.

Their GroupNorm averages over space, so they are not local: staining blends overlapping windows.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .autoencoders.networks import OfMonai
from .blocks import level_strides
from .condition import Condition, features_of
from .config import NetworkConfig
from .control import split, steering
from .networks import Encoder

_GROUPS = 16  # of the norms: widths are multiples of it
_TOKEN = 2  # latent sites of a token along each axis
_WAVES = (4.0, 8.0, 16.0, 32.0)  # latent sites, of the code of places


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
    """`monai.networks.nets.DiffusionModelUNet`, steered by concatenation or by attention.

    With `condition: attention` features are not concatenated: those of 2 x 2 x 2 latent sites are a
    token, with a code of its place, which all levels but the finest attend to. The latent is given
    the same code, without which a place of pure noise could not know which tokens are its own.
    """

    def __init__(self, config: NetworkConfig, condition: int) -> None:
        from monai.networks.nets import DiffusionModelUNet

        super().__init__()
        self.attends = config.condition == "attention"
        self.net = DiffusionModelUNet(
            out_channels=config.latent_channels, **_sizes(config, condition)
        )

    def forward(self, x: Tensor, sigma: Tensor, condition: Tensor | Condition) -> Tensor:
        """Return F for latent x, sigma (B,) and condition on the latent grid."""
        given, context = self._given(x, features_of(condition))
        return self.net(given, _time(sigma), context)

    def _given(self, x: Tensor, features: Tensor) -> tuple[Tensor, Tensor | None]:
        """Return what the first convolution is given, and the tokens (B, N, K)."""
        if not self.attends:
            return torch.cat([x, features], 1), None
        places = place_code(x)
        sides = tuple(min(_TOKEN, n) for n in x.shape[2:])
        tokens = F.avg_pool3d(torch.cat([features.to(x), places], 1), sides)
        return torch.cat([x, places], 1), tokens.flatten(2).transpose(1, 2)


class ControlledMonaiUNet(MonaiUNet):
    """A `MonaiUNet` with MONAI's `ControlNet` as its branch."""

    def __init__(self, config: NetworkConfig, condition: int) -> None:
        super().__init__(config, condition)
        self.branch = MonaiBranch(config, condition)

    def forward(self, x: Tensor, sigma: Tensor, condition: Tensor | Condition) -> Tensor:
        """Return F, with what the branch adds."""
        steered = steering(condition)
        given, context = self._given(x, steered.features)
        time = _time(sigma)
        skips, middle = self.branch.net(given, time, steered.control, context=context)
        return self.net(
            given,
            time,
            context,
            down_block_additional_residuals=tuple(skips),
            mid_block_additional_residual=middle,
        )


class MonaiBranch(nn.Module):
    """`monai.networks.nets.ControlNet`; its embedding of the features is 0 at first."""

    def __init__(self, config: NetworkConfig, condition: int) -> None:
        from monai.networks.nets import ControlNet

        super().__init__()
        self.net = ControlNet(
            conditioning_embedding_in_channels=condition,
            conditioning_embedding_num_channels=(condition,),
            **_sizes(config, condition),
        )

    def parts(self) -> tuple[nn.Module, nn.Module]:
        """Return what is zero at first, with what feeds it, and what is copied."""
        zero = ("controlnet_down_blocks", "controlnet_mid_block", "controlnet_cond_embedding")
        return split(self.net, zero)

    def start_from(self, unet: MonaiUNet) -> None:
        """Copy the encoder of a U-Net; what is zero at first stays so."""
        own, theirs = self.net.state_dict(), unet.net.state_dict()
        self.net.load_state_dict({k: theirs.get(k, v) for k, v in own.items()})


def place_code(x: Tensor) -> Tensor:
    """Return sines and cosines of each site's place, (B, 24, z, y, x), for x (B, C, z, y, x)."""
    waves = torch.tensor(_WAVES).to(x)
    codes = []
    for axis, n in enumerate(x.shape[2:]):
        angle = 2 * math.pi * torch.arange(n).to(x) / waves[:, None]
        code = torch.cat([angle.sin(), angle.cos()])
        shape = [1, len(code), 1, 1, 1]
        shape[2 + axis] = n
        codes.append(code.view(shape).expand(len(x), -1, *x.shape[2:]))
    return torch.cat(codes, 1)


def _sizes(config: NetworkConfig, condition: int) -> dict[str, Any]:
    """Return what MONAI's U-Net and ControlNet are both made with."""
    levels = len(config.unet_widths)
    sizes: dict[str, Any] = {
        "spatial_dims": 3,
        "in_channels": config.latent_channels + condition,
        "channels": config.unet_widths,
        "num_res_blocks": config.unet_blocks,
        "attention_levels": (False,) * levels,
        "norm_num_groups": _GROUPS,
    }
    if config.condition != "attention":
        return sizes
    places = 2 * len(_WAVES) * 3
    return sizes | {
        "in_channels": config.latent_channels + places,
        "attention_levels": (levels == 1, *[True] * (levels - 1)),
        "with_conditioning": True,
        "cross_attention_dim": condition + places,
        "num_head_channels": _GROUPS,
        "use_flash_attention": True,  # its memory does not grow with the square of the tokens
    }


def _time(sigma: Tensor) -> Tensor:
    return sigma.float().log() / 4 * 1000  # the embedding is made for steps 0 to 1000


class VectorCondition(nn.Module):
    """The design's ablation: the inputs pooled to one vector, the same at every latent site."""

    def __init__(self, config: NetworkConfig, outputs: int) -> None:
        super().__init__()
        self.encoder = Encoder(config.condition_widths, config.factor, outputs, config.inputs)

    def forward(self, inputs: Tensor) -> Tensor:
        """Return (B, outputs, z, y, x), constant over space."""
        features = self.encoder(inputs)
        return features.mean((2, 3, 4), keepdim=True).expand_as(features)
