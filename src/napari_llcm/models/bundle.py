"""A trained stainer on disk: a folder, or one .zip, with `model.json` and safetensors.

Self-contained: staining needs nothing else. Nothing in it is ever unpickled, so opening a
stranger's model cannot run a stranger's code.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, ValidationError

from ..events import UserError
from .confidence_model import ConfidenceModel
from .config import (
    ConsistencyConfig,
    DiffusionConfig,
    MethodName,
    NetworkConfig,
    ResShiftConfig,
)
from .methods import METHODS
from .normalise import Scaling

if TYPE_CHECKING:
    import torch

    from .stainer import StainerNetworks

MODEL_JSON, WEIGHTS = "model.json", "weights.safetensors"
FORMAT = 2  # 1 said "kind" for "method"


class ModelInfo(BaseModel):
    """Everything about a trained stainer but its weights; the content of `model.json`."""

    model_config = ConfigDict(extra="ignore")

    format: int = FORMAT
    name: str
    # "kind" in format 1
    method: MethodName = Field(default="llcm", validation_alias=AliasChoices("method", "kind"))
    network: NetworkConfig = NetworkConfig()
    consistency: ConsistencyConfig = ConsistencyConfig()
    diffusion: DiffusionConfig = DiffusionConfig()
    resshift: ResShiftConfig = ResShiftConfig()
    spacing: tuple[float, float, float] | None = None  # µm (z, y, x) of the training volumes
    dapi: Scaling  # median over the training volumes: gives the output its unit
    qpi: Scaling | None = None  # median over the training volumes: for warnings only
    confidence: ConfidenceModel | None = None  # how far to trust its nuclei, where calibrated
    qpi_noise: float | None = None  # median `noise_level` of the training volumes: for warnings
    metrics: dict[str, float] = Field(default_factory=dict)  # on validation volumes
    provenance: dict[str, Any] = Field(default_factory=dict)  # command, data, steps, versions

    @property
    def local(self) -> bool:
        """True where staining can go tile by tile without seams."""
        return METHODS[self.method].latent and self.network.local

    def steps(self, wanted: int | None = None) -> int:
        """Return the number of sampler steps: the method's own where none are wanted.

        Raises
        ------
        UserError
            If the method cannot take that many.
        """
        method = METHODS[self.method]
        own = method.default_steps(self)
        if wanted is None or wanted == own:
            return own
        if wanted < 1:
            raise UserError("Staining takes at least one step.")
        if not method.any_steps:
            raise UserError(f"The model {self.name} ({self.method}) always takes {own} step(s).")
        return wanted


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
    OSError
        If there is no room.
    """
    import torch
    from safetensors.torch import save_file

    folder.parent.mkdir(parents=True, exist_ok=True)
    fresh = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        tensors = {
            k: v.detach().cpu().to(torch.float16).contiguous()
            for k, v in networks.state_dict().items()
        }
        save_file(tensors, fresh / WEIGHTS)
        (fresh / MODEL_JSON).write_text(info.model_dump_json(indent=2), encoding="utf-8")
        replace_folder(fresh, folder)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    return folder


def write_info(folder: Path, info: ModelInfo) -> None:
    """Replace what a bundle in a folder says of itself; its weights stay.

    Raises
    ------
    OSError
        If there is no room.
    """
    partial = folder / f".{MODEL_JSON}.partial"
    try:
        partial.write_text(info.model_dump_json(indent=2), encoding="utf-8")
        os.replace(partial, folder / MODEL_JSON)
    finally:
        partial.unlink(missing_ok=True)


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
    from safetensors import SafetensorError
    from safetensors.torch import load

    from .stainer import StainerNetworks

    info = read_info(path)
    networks = StainerNetworks(info.network, info.consistency, info.method)
    try:
        weights = load(_member(path, WEIGHTS))
        networks.load_state_dict({k: v.float() for k, v in weights.items()})
    except (SafetensorError, RuntimeError) as error:
        raise UserError(
            f"The weights of model {path} are damaged or do not fit its model.json: "
            "get the model again."
        ) from error
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
        raise UserError(f"{path}/{MODEL_JSON} is damaged: get the model again.") from error
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
    """Pack a bundle folder into one .zip, whole or not at all."""
    partial = target.with_name(f".{target.name}.partial")
    try:
        with zipfile.ZipFile(partial, "w", zipfile.ZIP_STORED) as archive:
            for name in (MODEL_JSON, WEIGHTS):
                archive.writestr(name, _member(folder, name))
        os.replace(partial, target)
    finally:
        partial.unlink(missing_ok=True)
    return target


def replace_folder(fresh: Path, target: Path) -> None:
    """Put `fresh` in the place of `target`, which may exist; never leaves neither."""
    old = target.with_name(f".{target.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    if target.exists():
        os.replace(target, old)
    os.replace(fresh, target)
    shutil.rmtree(old, ignore_errors=True)


def _member(path: Path, name: str) -> bytes:
    try:
        if path.is_dir():
            return (path / name).read_bytes()
        with zipfile.ZipFile(path) as archive:
            return archive.read(name)
    except (OSError, KeyError, zipfile.BadZipFile) as error:
        raise UserError(
            f"{path} is not a model: a model is a folder or a .zip with {MODEL_JSON} and {WEIGHTS}."
        ) from error
