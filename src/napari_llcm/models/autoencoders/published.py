"""Autoencoders that others have published: their sizes, and where their weights are had."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from ...events import UserError
from .config import KIND, CogVideoXKind, MaisiKind, MedVaeKind, MriKind, PlanesKind


@dataclass(frozen=True)
class Source:
    """Where published weights are had.

    Parameters
    ----------
    repository, file, revision : str
        On the Hugging Face Hub.
    licence : str
        Of the weights.
    beside : tuple of str
        Files that are of use with it, such as its sizes.
    """

    repository: str
    file: str
    revision: str
    licence: str
    beside: tuple[str, ...] = ()


@dataclass(frozen=True)
class PublishedAutoencoder:
    """What is known of a published autoencoder.

    Parameters
    ----------
    title : str
        For people.
    kinds : tuple of AutoencoderKind
        Its sizes; of several, those that a file fits best are taken.
    source : Source, optional
        Where its weights are had, if from the Hub.
    """

    title: str
    kinds: tuple[Any, ...]
    source: Source | None = None


PUBLISHED: dict[str, PublishedAutoencoder] = {
    "maisi": PublishedAutoencoder(
        "MAISI's autoencoder of CT",
        (MaisiKind(),),
        Source(
            "MONAI/maisi_ct_generative",
            "models/autoencoder.pt",
            "1.0.0",
            "NVIDIA NSCL v1, for non-commercial use",
        ),
    ),
    # what is published as that is of planes; MONAI's layout in 3D is what is trained after it
    "mri": PublishedAutoencoder(
        "autoencoders of MRI",
        (PlanesKind(), MriKind()),
        Source(
            "microsoft/mri-autoencoder-v0.1",
            "diffusion_pytorch_model.safetensors",
            "main",
            "MIT",
            ("config.json",),
        ),
    ),
    "medvae": PublishedAutoencoder(
        "MedVAE in 3D",
        (
            MedVaeKind(),
            MedVaeKind(
                channels=(128, 256, 512, 512),
                strides=((2, 2, 2),) * 3,
                attention_levels=(False,) * 4,
            ),
        ),
    ),
    "cogvideox": PublishedAutoencoder(
        "CogVideoX-5b's autoencoder of films",
        (CogVideoXKind(),),
        Source(
            "THUDM/CogVideoX-5b",
            "vae/diffusion_pytorch_model.safetensors",
            "main",
            "the CogVideoX licence, with conditions for commercial use",
            ("vae/config.json",),
        ),
    ),
}

# how diffusers' config.json says it: the class, and fields of ours by theirs
_OF_DIFFUSERS: dict[str, tuple[str, dict[str, str]]] = {
    "AutoencoderKL": ("planes", {"in_channels": "image_channels"}),
    "AutoencoderKLCogVideoX": ("cogvideox", {"temporal_compression_ratio": "frames"}),
}
_SHARED = {
    "block_out_channels": "channels",
    "latent_channels": "latent_channels",
    "layers_per_block": "res_blocks",
    "norm_num_groups": "norm_groups",
}


def published(name: str) -> PublishedAutoencoder:
    """Return what is known of a published autoencoder.

    Raises
    ------
    UserError
        If there is none of that name.
    """
    if name not in PUBLISHED:
        raise UserError(f"There is no kind {name!r}: choose one of {', '.join(PUBLISHED)}.")
    return PUBLISHED[name]


def read_sizes(path: Path, name: str) -> tuple[Any, float | None]:
    """Return the sizes that a file tells, and the factor of the latents where it does.

    Parameters
    ----------
    path : Path
        YAML or JSON: fields of the kind, or a `config.json` of diffusers.
    name : str
        Which published autoencoder; its first kind, if the file names none.

    Raises
    ------
    UserError
        If it is missing, or tells no sizes of such a network.
    """
    try:
        fields = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UserError(f"{path} cannot be read as YAML or JSON: check the file.") from error
    if not isinstance(fields, dict):
        raise UserError(f"{path} is no list of settings such as 'channels: [64, 128, 256]'.")
    scale = fields.get("scaling_factor")
    if "_class_name" in fields:
        fields = _from_diffusers(fields, path)
    try:
        sizes = KIND.validate_python({"kind": published(name).kinds[0].kind} | fields)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise UserError(f"'{where}' in {path} does not fit: {first['msg']}.") from error
    return sizes, float(scale) if isinstance(scale, (int, float)) else None


def _from_diffusers(fields: Mapping[str, Any], path: Path) -> dict[str, Any]:
    known = _OF_DIFFUSERS.get(str(fields["_class_name"]))
    if known is None:
        raise UserError(f"{path} is of a {fields['_class_name']}, which is not known here.")
    kind, own = known
    names = _SHARED | own
    sizes = {ours: fields[theirs] for theirs, ours in names.items() if theirs in fields}
    return {"kind": kind, **sizes}
