"""What a model is made of: the configuration that is saved in every bundle."""

from __future__ import annotations

from math import prod
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from .autoencoders.config import KIND, AutoencoderKind, LocalKind, MonaiKind
from .autoencoders.config import Factor as Factor

# bounds far beyond what is of use: a stranger's model.json must not take all memory
Widths = Annotated[tuple[Annotated[int, Field(ge=1, le=4096)], ...], Field(max_length=8)]
_ATTENDED = 16  # latent sites along each axis: the default patch
_STRICT = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
# what a model is trained to do; see `methods`
MethodName = Literal["llcm", "regression", "diffusion", "resshift", "pix2pix"]


class NetworkConfig(BaseModel):
    """Sizes of the networks of one stainer.

    The default compresses 2 x 4 x 4 voxels into 4 numbers (8 times fewer), behind a
    space-to-depth stem, so that no convolution runs at full resolution.
    """

    model_config = _STRICT

    autoencoder: AutoencoderKind = LocalKind()  # or the name of a kind, or its settings
    unet: Literal["local", "monai"] = "local"  # monai: DiffusionModelUNet
    # spatial: concatenated to the latent; attention: tokens on the latent grid that MONAI's U-Net
    # attends to; vector: the design's ablation
    condition: Literal["spatial", "attention", "vector"] = "spatial"
    control: bool = False  # a branch beside the U-Net that can be trained alone
    inputs: int = Field(default=1, ge=1, le=16)  # channels that the phase encoder sees
    outputs: int = Field(default=1, ge=1, le=8)  # channels of the volumes that are encoded
    factor: Factor = (2, 4, 4)  # voxels (z, y, x) for each latent site
    latent_channels: int = Field(default=4, ge=1, le=1024)
    encoder_widths: Widths = (32, 64)  # of the encoder of outputs, fine to coarse
    decoder_widths: Widths = (32, 80)  # of their decoder, fine to coarse
    condition_widths: Widths = (32, 64)  # of the encoder of inputs, fine to coarse
    unet_widths: Widths = (64, 96, 128)  # of the latent U-Net, fine to coarse
    unet_blocks: int = Field(default=1, ge=1, le=64)  # residual blocks for each level and direction
    # what is encoded: outputs less the inputs that they are like, channel by channel
    residual: bool = False
    decoder_skip: bool = False  # input features at half the resolution into the decoder
    generator_widths: Widths = (48, 96, 160)  # of Pix2Pix's U-Net, fine to coarse

    @model_validator(mode="before")
    @classmethod
    def _sizes_of_the_autoencoder(cls, data: Any) -> Any:
        """Fill in what follows from the autoencoder, where it is not said."""
        if not isinstance(data, dict) or "autoencoder" not in data:
            return data
        kind = KIND.validate_python(data["autoencoder"])
        if not kind.learned:
            factor, outputs = data.get("factor", (2, 2, 2)), data.get("outputs", 1)
            sizes = (*factor, outputs) if isinstance(factor, tuple | list) else (factor,)
            if not all(isinstance(size, int) for size in sizes):
                return data  # refused field by field
            levels = max(*factor, 2).bit_length() - 1
            known = {"factor": factor, "condition_widths": (32, 64, 128, 128)[:levels]}
            return known | data | {"latent_channels": prod(factor) * outputs}
        if kind.sized is None:
            return data
        widths = [min(32 * 2**level, 128) for level in range(max(*kind.sized, 2).bit_length() - 1)]
        known = {
            "factor": kind.sized,
            "latent_channels": kind.latent_channels,
            "condition_widths": tuple(widths),
        }
        return known | data | {"autoencoder": kind}

    @model_validator(mode="after")
    def _consistent(self) -> NetworkConfig:
        kind = self.autoencoder
        own = (kind.sized, kind.latents)
        if kind.sized is not None and (self.factor, self.latent_channels) != own:
            raise ValueError(
                f"this autoencoder has factor {kind.sized} and {kind.latents} "
                "latent_channels: leave both out"
            )
        if any(f & (f - 1) or not 1 <= f <= 64 for f in self.factor):
            raise ValueError("factor must be powers of two, 64 at most")
        levels = max(*self.factor, 2).bit_length() - 1
        names = ["condition_widths"]
        if kind.local and kind.learned:
            names += ["encoder_widths", "decoder_widths"]
        for name in names:
            if len(getattr(self, name)) != levels:
                raise ValueError(f"{name} needs {levels} entries for factor {self.factor}")
        if self.residual and self.inputs < self.outputs:
            raise ValueError("a residual needs an input for each output")
        if self.outputs > 1 and not kind.local:
            raise ValueError("several outputs need the local autoencoder")
        if self.condition == "attention" and self.unet != "monai":
            raise ValueError("condition attention needs unet monai: the local U-Net has none")
        if self.decoder_skip and not (kind.local and kind.learned):
            raise ValueError("decoder_skip needs the local autoencoder")
        return self

    @property
    def local(self) -> bool:
        """True where no statistic of the volume is used."""
        return self.autoencoder.local and (self.unet, self.condition) == ("local", "spatial")

    @property
    def window(self) -> Factor | None:
        """The largest window (z, y, x) in voxels that attention knows places in; None without."""
        if self.condition != "attention":
            return None
        z, y, x = (max(_ATTENDED * f, m) for f, m in zip(self.factor, self.multiple, strict=True))
        return (z, y, x)

    @property
    def multiple(self) -> Factor:
        """The volume's size (z, y, x) is padded to a multiple of this."""
        down = 2 ** (len(self.unet_widths) - 1)
        # all are powers of two: the larger is a multiple of the other
        z, y, x = (
            max(f * down, g) for f, g in zip(self.factor, self.autoencoder.grain, strict=True)
        )
        return (z, y, x)


class ConsistencyConfig(BaseModel):
    """The noise scale and the objective of consistency training (ECT, Geng et al. 2024)."""

    model_config = _STRICT

    # adjacent: the plain student-teacher loss first written down, kept to be measured
    objective: Literal["ect", "adjacent"] = "ect"
    sigma_min: float = Field(default=0.002, gt=0)
    sigma_max: float = Field(default=40.0, gt=0)
    sigma_data: float = Field(default=1.0, gt=0)  # latents are standardised
    log_sigma_mean: float = -0.4  # training noise is lognormal
    log_sigma_std: float = 2.0
    # The gap t - r halves (q = 2) from stage to stage. The gradient's norm grows as it closes, from
    # 0.1 in the first stage to 1-5 in the fifth and 9-38 in the eighth; the direct term's is 0.5.
    stages: int = Field(default=4, ge=1, le=64)
    q: float = Field(default=2.0, gt=1)
    consistency_weight: float = 1.0
    # Share of the phase that the direct term has to itself: it finds the nuclei, and is cheaper.
    consistency_start: float = Field(default=0.5, ge=0, lt=1)
    direct_weight: float = 1.0  # of the x0 loss at sigma_max
    image_weight: float = 2.0  # of the part of the direct loss on decoded crops
    spectrum_weight: float = 0.1  # of the part that keeps detail from being blurred
    # Of the patches of a step, those that the dearer terms are computed on: two evaluations of the
    # U-Net, or a pass through the decoder. What is saved goes into more steps.
    consistency_share: float = Field(default=0.25, gt=0, le=1)
    image_share: float = Field(default=0.25, gt=0, le=1)


class DiffusionConfig(BaseModel):
    """The rival of many steps: latent diffusion, cosine schedule, DDIM."""

    model_config = _STRICT

    train_steps: int = Field(default=1000, ge=1, le=100_000)
    # x0, behind the consistency model's preconditioner: from its weights there is little to learn
    # anew
    prediction: Literal["v", "x0"] = "v"
    min_snr: float = 5.0  # weight min(SNR, 5) of the error of x0 (Hang et al. 2023)
    condition_dropout: float = 0.1  # share of patches whose condition is hidden
    guidance: float = 1.0  # classifier-free (Ho & Salimans 2022); 1 is none, and half the work


class ResShiftConfig(BaseModel):
    """The rival that starts from a guess: residual shifting (Yue et al. 2023)."""

    model_config = _STRICT

    steps: int = Field(default=15, ge=1, le=10_000)
    kappa: float = Field(
        default=2.0, gt=0
    )  # noise of the start, in standard deviations of the latent
    power: float = 0.3  # how the shift is spread over the steps
    eta_min: float = Field(default=4e-4, gt=0)  # of the first step; (0.04 / kappa)²
    eta_max: float = 0.999


PRESETS: dict[str, NetworkConfig] = {
    "default": NetworkConfig(),
    # The layout first written down: four stride-2 steps, 8 channels, MONAI's networks and one
    # flat context vector. Kept so that its ceiling can be measured.
    "plan": NetworkConfig(
        autoencoder=MonaiKind(),
        unet="monai",
        condition="vector",
        factor=(16, 16, 16),
        latent_channels=8,
        encoder_widths=(16, 32, 64, 64, 64),  # MONAI's decoder mirrors them
        condition_widths=(16, 32, 64, 64),
        unet_widths=(64, 96),
    ),
}
