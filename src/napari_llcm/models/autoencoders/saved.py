"""An autoencoder alone on disk: a folder with `autoencoder.json` and safetensors.

It is no model that stains, and lies apart from those: a training starts from it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ...events import UserError
from ...volumes.atomic import replacing, write_text
from .checkpoint import alike
from .config import AutoencoderKind

if TYPE_CHECKING:
    from torch import Tensor

    from .networks import Published

AUTOENCODER_JSON, WEIGHTS = "autoencoder.json", "weights.safetensors"
_FORMAT = 1


class AutoencoderInfo(BaseModel):
    """Everything about an autoencoder but its weights; the content of `autoencoder.json`."""

    model_config = ConfigDict(extra="ignore", allow_inf_nan=False)

    format: int = _FORMAT
    name: str = Field(max_length=1000)
    autoencoder: AutoencoderKind
    # of the latents, for each channel, over the volumes that were given; 1 / scale_factor where
    # that was taken as published
    latent_mean: list[float] | None = None
    latent_std: list[float] | None = None
    scale_factor: float | None = None
    round_trip: dict[str, Any] | None = None  # what the way through it and back cost, if measured
    provenance: dict[str, Any] = Field(default_factory=dict)


@dataclass(frozen=True)
class SavedAutoencoder:
    """A loaded autoencoder, in eval mode."""

    info: AutoencoderInfo
    network: Published


def autoencoder_folder() -> Path:
    """Return the folder of the user's autoencoders."""
    from platformdirs import user_data_path

    return user_data_path("napari-llcm", appauthor=False) / "autoencoders"


def find_autoencoder(name: str | Path) -> Path:
    """Return the folder that a name or a path stands for.

    Raises
    ------
    UserError
        If there is none.
    """
    own = autoencoder_folder()
    for path in (own / str(name), Path(name).expanduser()):
        if (path / AUTOENCODER_JSON).is_file():
            return path
    known = sorted(p.name for p in own.iterdir()) if own.is_dir() else []
    raise UserError(
        f"There is no autoencoder {str(name)!r}: give a folder, or one of "
        f"{', '.join(known) or '(none yet)'}; napari-llcm model import-vae makes one."
    )


def save_autoencoder(folder: Path, info: AutoencoderInfo, network: Published) -> Path:
    """Write an autoencoder, whole or not at all; weights to the bit.

    Raises
    ------
    UserError
        If it cannot be written, or a weight is no number.
    """
    from safetensors.torch import save_file

    tensors = {k: v.detach().cpu().contiguous() for k, v in network.net.state_dict().items()}
    if not all(bool(v.isfinite().all()) for v in tensors.values()):
        raise UserError(f"Among the weights of {info.name} are some that are no numbers.")
    with replacing(folder) as partial:
        partial.mkdir()
        save_file(tensors, partial / WEIGHTS)
        write_text(partial / AUTOENCODER_JSON, info.model_dump_json(indent=2))
    return folder


def read_autoencoder_info(folder: Path) -> AutoencoderInfo:
    """Return what an autoencoder says of itself.

    Raises
    ------
    UserError
        If it is damaged, or comes from a newer version.
    """
    path = folder / AUTOENCODER_JSON
    try:
        info = AutoencoderInfo.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise UserError(f"{path} is damaged: import the autoencoder again.") from error
    if info.format > _FORMAT:
        raise UserError(f"{folder} was made by a newer napari-llcm: update napari-llcm.")
    return info


def load_autoencoder(name: str | Path) -> SavedAutoencoder:
    """Load an autoencoder by name or folder.

    Raises
    ------
    UserError
        If there is none, or it is damaged.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    folder = find_autoencoder(name)
    info = read_autoencoder_info(folder)
    try:
        network = with_weights(info.autoencoder, load_file(folder / WEIGHTS))
    except (OSError, SafetensorError, RuntimeError, KeyError) as error:
        raise UserError(f"The weights in {folder} are damaged: import it again.") from error
    return SavedAutoencoder(info, network)


def with_weights(kind: Any, weights: Mapping[str, Tensor]) -> Published:
    """Return the network of a kind with these weights, as float32 and in eval mode.

    It is made without memory and takes the tensors themselves: what a file says of its sizes may
    not fit into memory, and weights made at random to be replaced cost minutes at full size.

    Raises
    ------
    RuntimeError
        If names or shapes are others.
    """
    import torch

    from .networks import make_published

    with torch.device("meta"):
        network = make_published(kind)
    shaped = {}
    for name, wanted in network.net.state_dict().items():
        if name not in weights or not alike(weights[name].shape, wanted.shape):
            raise RuntimeError(f"{name} is missing or of another shape")
        shaped[name] = weights[name].reshape(wanted.shape).to(torch.float32)
    network.net.load_state_dict(shaped, assign=True)
    return network.eval()
