"""A trained stainer on disk: a folder, or one .zip, with `model.json` and safetensors.

Self-contained: staining needs nothing else. Nothing in it is ever unpickled, so opening a
stranger's model cannot run a stranger's code.
"""

from __future__ import annotations

import stat
import zipfile
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import (
    AfterValidator,
    AliasChoices,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
)

from ..events import UserError
from ..volumes.atomic import replacing, write_text
from .confidence_model import ConfidenceModel
from .config import (
    ConsistencyConfig,
    DiffusionConfig,
    MethodName,
    NetworkConfig,
    ResShiftConfig,
)
from .familiarity import Familiarity
from .methods import METHODS
from .normalise import Scaling
from .taught import Taught
from .width_model import WidthModel

if TYPE_CHECKING:
    import torch

    from .stainer import StainerNetworks

MODEL_JSON, WEIGHTS = "model.json", "weights.safetensors"
FORMAT = 2  # 1 said "kind" for "method"
_MOST = {MODEL_JSON: 2**24, WEIGHTS: 2**33}  # bytes; the shipped model has 10 kB and 12 MB


def _usable(scaling: Scaling) -> Scaling:
    if not scaling.usable:
        raise ValueError(f"{scaling.low:g} to {scaling.high:g} is no range of intensities")
    return scaling


_Scaling = Annotated[Scaling, AfterValidator(_usable)]
_Size = Annotated[float, Field(gt=0)]


class ModelInfo(BaseModel):
    """Everything about a trained stainer but its weights; the content of `model.json`."""

    model_config = ConfigDict(extra="ignore", allow_inf_nan=False)

    format: int = FORMAT
    name: str = Field(max_length=1000)
    # "kind" in format 1
    method: MethodName = Field(default="llcm", validation_alias=AliasChoices("method", "kind"))
    network: NetworkConfig = NetworkConfig()
    consistency: ConsistencyConfig = ConsistencyConfig()
    diffusion: DiffusionConfig = DiffusionConfig()
    resshift: ResShiftConfig = ResShiftConfig()
    spacing: tuple[_Size, _Size, _Size] | None = None  # µm (z, y, x) of the training volumes
    # width of their nuclei in µm: of the disk as large as the largest cut through a usual one
    nucleus_um: _Size | None = None
    width_model: WidthModel | None = None  # tells the width of a stack's nuclei, where fitted
    dapi: _Scaling  # median over the training volumes: gives the output its unit
    qpi: _Scaling | None = None  # median over the training volumes: for warnings only
    confidence: ConfidenceModel | None = None  # how far to trust its nuclei, where calibrated
    familiarity: Familiarity | None = None  # which stacks it can read, where calibrated
    taught: Taught | None = None  # on what, and how well it did there
    qpi_noise: float | None = None  # median `noise_level` of the training volumes: for warnings
    metrics: dict[str, float] = Field(default_factory=dict)  # on validation volumes
    provenance: dict[str, Any] = Field(default_factory=dict)  # command, data, steps, versions

    @field_validator("metrics", mode="before")
    @classmethod
    def _known(cls, metrics: Any) -> Any:
        """Leave out figures that could not be measured, which JSON holds as null."""
        if not isinstance(metrics, dict):
            return metrics
        return {k: v for k, v in metrics.items() if v is not None and v == v}

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
