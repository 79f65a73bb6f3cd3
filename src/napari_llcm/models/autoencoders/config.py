"""The kinds of autoencoder, one configuration for each; sizes of published ones are the defaults.

A kind whose `sized` is None takes its sizes from `NetworkConfig`, as models always did.
"""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    TypeAdapter,
    model_validator,
)

Factor = tuple[int, int, int]
_Stride = tuple[Literal[1, 2], Literal[1, 2], Literal[1, 2]]
# bounds far beyond what is of use: a stranger's model.json must not take all memory
_Count = Annotated[int, Field(ge=1, le=64)]
_Widths = Annotated[tuple[Annotated[int, Field(ge=1, le=4096)], ...], Field(max_length=8)]
_Counts = Annotated[tuple[_Count, ...], Field(max_length=8)]
_Levels = Annotated[tuple[bool, ...], Field(max_length=8)]
_Latent = Annotated[int, Field(ge=1, le=1024)]


class _Kind(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    # what the network takes for background and for the brightest voxels
    intensities: tuple[float, float] = (0.0, 1.0)

    @property
    def sized(self) -> Factor | None:
        """Voxels (z, y, x) for each latent site; None where `NetworkConfig` says."""
        return None

    @property
    def latents(self) -> int | None:
        """Channels of the latent; None where `NetworkConfig` says."""
        return None

    @property
    def grain(self) -> Factor:
        """Sizes of volumes (z, y, x) are multiples of this."""
        return self.sized or (1, 1, 1)

    @property
    def finest(self) -> int | None:
        """Channels at the resolution of the volume; None where `NetworkConfig` says."""
        return None

    @property
    def local(self) -> bool:
        """True where no statistic of the volume is used."""
        return False

    @property
    def learned(self) -> bool:
        """True where it has weights, which a phase of its own trains."""
        return True

    @model_validator(mode="after")
    def _apart(self) -> _Kind:
        if self.intensities[0] == self.intensities[1]:
            raise ValueError("the two intensities must differ")
        return self


class LocalKind(_Kind):
    """Ours: convolutions and norms over channels only; sizes from `NetworkConfig`."""

    kind: Literal["local"] = "local"

    @property
    def local(self) -> bool:
        """True: no statistic of the volume is used."""
        return True


class WaveletKind(_Kind):
    """Haar wavelets: a transform that loses nothing and is not learned; `NetworkConfig`'s factor.

    For what is too faint for an autoencoder to learn soon, as what thin slices have beside
    interpolated ones: diffusion in its space is WDM (Friedrich et al. 2024, arXiv:2402.19043).
    """

    kind: Literal["wavelet"] = "wavelet"

    @property
    def local(self) -> bool:
        """True: no statistic of the volume is used."""
        return True

    @property
    def learned(self) -> bool:
        """False: it has no weights."""
        return False


class MonaiKind(_Kind):
    """MONAI's `AutoencoderKL` without attention; sizes from `NetworkConfig`."""

    kind: Literal["monai"] = "monai"


class _Levelled(_Kind):
    """An autoencoder of levels, each half as fine as the one before, fine to coarse."""

    channels: _Widths
    latent_channels: _Latent
    norm_groups: _Count = 32

    @property
    def levels(self) -> int:
        """The number of levels."""
        return len(self.channels)

    @property
    def sized(self) -> Factor:
        """Voxels (z, y, x) for each latent site."""
        down = 2 ** (self.levels - 1)
        return (down, down, down)

    @property
    def latents(self) -> int:
        """Channels of the latent."""
        return self.latent_channels

    @property
    def finest(self) -> int:
        """Channels at the resolution of the volume."""
        return self.channels[0]

    @model_validator(mode="after")
    def _fits(self) -> _Levelled:
        if self.levels < 2:
            raise ValueError("channels needs two levels at least")
        if any(c % self.norm_groups for c in self.channels):
            raise ValueError(f"channels must be multiples of norm_groups, {self.norm_groups}")
        return self

    def _one_for_each(self, *names: str, count: int | None = None) -> None:
        count = self.levels if count is None else count
        for name in names:
            if len(getattr(self, name)) != count:
                raise ValueError(f"{name} needs {count} entries for {self.levels} levels")


class MriKind(_Levelled):
    """MONAI's `AutoencoderKL`: by default 8 x 8 x 8 smaller, 53 million parameters."""

    kind: Literal["mri"] = "mri"
    channels: _Widths = (64, 128, 256, 256)
    latent_channels: _Latent = 4
    res_blocks: _Counts = (2, 2, 2, 2)
    attention_levels: _Levels = (False, False, False, False)
    middle_attention: bool = True  # at the coarsest level; its memory grows with size²

    @model_validator(mode="after")
    def _levels_fit(self) -> MriKind:
        self._one_for_each("res_blocks", "attention_levels")
        return self


class MaisiKind(_Levelled):
    """MONAI's `AutoencoderKlMaisi`, as MAISI's 1.0.0: of CT, 4 x 4 x 4 smaller, 4 channels."""

    kind: Literal["maisi"] = "maisi"
    channels: _Widths = (64, 128, 256)
    latent_channels: _Latent = 4
    res_blocks: _Counts = (2, 2, 2)
    attention_levels: _Levels = (False, False, False)
    # Convolutions in so many pieces along an axis (0 to 2), against memory: the result is the same.
    # 8 and 1 where volumes of 512³ are made; windows of ours are small.
    num_splits: _Count = 1
    dim_split: Literal[0, 1, 2] = 1
    norm_float16: bool = False  # on a graphics card under autocast only

    @model_validator(mode="after")
    def _levels_fit(self) -> MaisiKind:
        self._one_for_each("res_blocks", "attention_levels")
        return self


class MedVaeKind(_Levelled):
    """MedVAE's layout in 3D, which is latent diffusion's: by default its 4 x 4 x 4, 1 channel.

    The one whose strides, attention and heads can be chosen freely.
    """

    kind: Literal["medvae"] = "medvae"
    intensities: tuple[float, float] = (-1.0, 1.0)
    channels: _Widths = (128, 256, 512)
    latent_channels: _Latent = 1
    strides: Annotated[tuple[_Stride, ...], Field(max_length=7)] = ((2, 2, 2), (2, 2, 2))
    res_blocks: _Count = 2
    attention_levels: _Levels = (False, False, False)
    middle_attention: bool = True  # at the coarsest level; its memory grows with size²
    heads: _Count = 1

    @property
    def sized(self) -> Factor:
        """Voxels (z, y, x) for each latent site."""
        z, y, x = (math.prod(axis) for axis in zip(*self.strides, strict=True))
        return (z, y, x)

    @model_validator(mode="after")
    def _levels_fit(self) -> MedVaeKind:
        self._one_for_each("attention_levels")
        self._one_for_each("strides", count=self.levels - 1)
        if any(c % self.heads for c in self.channels):
            raise ValueError(f"channels must be multiples of heads, {self.heads}")
        return self


class PlanesKind(_Levelled):
    """Diffusers' `AutoencoderKL`, plane by plane, as mri-autoencoder-v0.1: 1 x 4 x 4 smaller.

    That one is of complex images, the real part first: a volume is the real part, and there is no
    imaginary one (`fill` "zero").
    """

    kind: Literal["planes"] = "planes"
    channels: _Widths = (128, 256, 512)
    latent_channels: _Latent = 4
    res_blocks: _Count = 2
    image_channels: Annotated[int, Field(ge=1, le=16)] = 2
    fill: Literal["zero", "repeat"] = "zero"  # of the channels after the first

    @property
    def sized(self) -> Factor:
        """Voxels (z, y, x) for each latent site."""
        down = 2 ** (self.levels - 1)
        return (1, down, down)


class CogVideoXKind(_Levelled):
    """Diffusers' `AutoencoderKLCogVideoX`, as CogVideoX-5b: 4 x 8 x 8 smaller, planes as frames.

    A volume is a grey film: its three channels are alike, and their mean comes back.
    """

    kind: Literal["cogvideox"] = "cogvideox"
    intensities: tuple[float, float] = (-1.0, 1.0)
    channels: _Widths = (128, 256, 256, 512)
    latent_channels: _Latent = 16
    res_blocks: _Count = 3
    frames: Literal[1, 2, 4, 8] = 4  # planes for each latent plane

    @property
    def sized(self) -> Factor:
        """Voxels (z, y, x) for each latent site."""
        down = 2 ** (self.levels - 1)
        return (self.frames, down, down)

    @property
    def grain(self) -> Factor:
        """Latent planes are decoded two at a time: an odd one would give fewer planes."""
        z, y, x = self.sized
        return (2 * z, y, x)


_Union = Annotated[
    LocalKind
    | WaveletKind
    | MonaiKind
    | MriKind
    | MaisiKind
    | MedVaeKind
    | PlanesKind
    | CogVideoXKind,
    Field(discriminator="kind"),
]


def _by_name(value: Any) -> Any:
    """Return the settings that a kind's name stands for, as models of earlier versions say it."""
    return {"kind": value} if isinstance(value, str) else value


def _as_name(value: _Kind) -> Any:
    """Return a kind's name where it has no other settings, so that earlier versions can read it."""
    fields = value.model_dump(mode="json", exclude_defaults=True) | {"kind": value.kind}  # type: ignore[attr-defined]
    return fields["kind"] if len(fields) == 1 else fields


AutoencoderKind = Annotated[_Union, BeforeValidator(_by_name), PlainSerializer(_as_name)]
KIND: TypeAdapter[Any] = TypeAdapter(AutoencoderKind)
