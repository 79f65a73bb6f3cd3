"""A trained stainer on disk: a folder, or one .zip, with `model.json` and safetensors.

Self-contained: staining needs nothing else. Nothing in it is ever unpickled, so opening a
stranger's model cannot run a stranger's code.
"""

from __future__ import annotations

import stat
import zipfile
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from pydantic import ValidationError

from ..events import UserError
from ..volumes.atomic import replacing, write_text
from .info import FORMAT, ModelInfo

if TYPE_CHECKING:
    import torch

    from .stainer import StainerNetworks

MODEL_JSON, WEIGHTS = "model.json", "weights.safetensors"
_MOST = {MODEL_JSON: 2**24, WEIGHTS: 2**33}  # bytes; the shipped model has 10 kB and 12 MB


@dataclass(frozen=True)
class ModelBundle:
    """A loaded stainer: what it is, its networks (in eval mode), and where it came from."""

    info: ModelInfo
    networks: StainerNetworks
    source: str


def save_bundle(folder: Path, info: ModelInfo, networks: StainerNetworks) -> Path:
    """Write a bundle, whole or not at all; weights as float16.

    Parameters
    ----------
    folder : Path
        Replaced if it is a bundle already.
    info : ModelInfo
        Goes into `model.json`.
    networks : StainerNetworks
        Its weights go into `weights.safetensors`.

    Raises
    ------
    UserError
        If it cannot be written, or a weight is no number.
    """
    import torch
    from safetensors.torch import save_file

    tensors = {
        k: v.detach().cpu().to(torch.float16).contiguous() for k, v in networks.state_dict().items()
    }
    if not all(bool(v.isfinite().all()) for v in tensors.values()):
        raise UserError(
            f"The weights of {info.name} have grown beyond all numbers: train it anew, with a "
            "lower learning rate."
        )
    with replacing(folder) as partial:
        partial.mkdir()
        save_file(tensors, partial / WEIGHTS)
        write_text(partial / MODEL_JSON, info.model_dump_json(indent=2))
    return folder


def write_info(folder: Path, info: ModelInfo) -> None:
    """Replace what a bundle in a folder says of itself; its weights stay.

    Raises
    ------
    UserError
        If it cannot be written.
    """
    write_text(folder / MODEL_JSON, info.model_dump_json(indent=2))


def load_bundle(path: Path, device: str | torch.device = "cpu") -> ModelBundle:
    """Load a bundle from a folder or a .zip.

    Parameters
    ----------
    path : Path
        The bundle.
    device : str or torch.device
        Where the networks go.

    Raises
    ------
    UserError
        If it is no bundle, is damaged, or comes from a newer version.
    """
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load

    from .stainer import StainerNetworks

    info = read_info(path)
    try:
        weights = load(_member(path, WEIGHTS))
        with torch.device("meta"):  # sizes alone: what model.json says may not fit into memory
            wanted = StainerNetworks(info.network, info.consistency, info.method).state_dict()
        if {k: v.shape for k, v in weights.items()} != {k: v.shape for k, v in wanted.items()}:
            raise RuntimeError("other names or shapes")
        networks = StainerNetworks(info.network, info.consistency, info.method)
        networks.load_state_dict({k: v.float() for k, v in weights.items()})
    except (SafetensorError, RuntimeError) as error:
        raise UserError(
            f"The weights of model {path} are damaged or do not fit its model.json: "
            "get the model again."
        ) from error
    if not all(bool(v.isfinite().all()) for v in weights.values()):
        raise UserError(
            f"Among the weights of model {path} are some that are no numbers: get the model again."
        )
    return ModelBundle(info, networks.eval().to(device), str(path))


def read_info(path: Path) -> ModelInfo:
    """Return what a bundle says of itself, without loading its weights.

    Raises
    ------
    UserError
        If it is no bundle, is damaged, or comes from a newer version.
    """
    try:
        info = ModelInfo.model_validate_json(_member(path, MODEL_JSON))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise UserError(
            f"{path}/{MODEL_JSON} is damaged{f', at {where}' if where else ''} ({first['msg']}): "
            "get the model again."
        ) from error
    if info.format > FORMAT:
        raise UserError(f"Model {path} was made by a newer napari-llcm: update napari-llcm.")
    return info.model_copy(update={"format": FORMAT})


def is_bundle(path: Path) -> bool:
    """Return True for a folder or a .zip that holds a `model.json`."""
    if path.is_dir():
        return (path / MODEL_JSON).is_file()
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return MODEL_JSON in archive.namelist()


def zip_bundle(folder: Path, target: Path) -> Path:
    """Pack a bundle (a folder or a .zip) into one .zip, whole or not at all."""
    with replacing(target) as partial, zipfile.ZipFile(partial, "w") as archive:
        for name in (MODEL_JSON, WEIGHTS):
            archive.writestr(name, _member(folder, name))
    return target


def _member(path: Path, name: str) -> bytes:
    try:
        if path.is_dir():
            size = (path / name).stat().st_size
        else:
            with zipfile.ZipFile(path) as archive:
                _check_members(path, archive)
                size = archive.getinfo(name).file_size
        if size > _MOST[name]:
            raise UserError(f"{name} of model {path} is too large: get the model again.")
        if path.is_dir():
            return (path / name).read_bytes()
        with zipfile.ZipFile(path) as archive:
            return archive.read(name)
    except (OSError, KeyError, zipfile.BadZipFile, NotImplementedError, RuntimeError) as error:
        raise UserError(
            f"{path} is not a model: a model is a folder or a .zip with {MODEL_JSON} and {WEIGHTS}."
        ) from error


def _check_members(path: Path, archive: zipfile.ZipFile) -> None:
    """Refuse an archive that another program would unpack outside of its folder."""
    names = [m.filename for m in archive.infolist()]
    for member in archive.infolist():
        inside = PurePosixPath(member.filename.replace("\\", "/"))
        linked = stat.S_ISLNK(member.external_attr >> 16)
        if linked or inside.is_absolute() or ".." in inside.parts or ":" in member.filename:
            raise UserError(
                f"{path} holds {member.filename!r}, which leads out of the model: do not use it."
            )
    if len(set(names)) < len(names):
        raise UserError(f"{path} holds two files of one name: get the model again.")
