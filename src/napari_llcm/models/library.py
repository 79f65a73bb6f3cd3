"""The models at hand: those shipped with the package and those the user has added."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from ..events import UserError
from ..volumes.apart import check_apart
from ..volumes.atomic import replacing, write_text
from ..volumes.names import plain_name
from ..volumes.sole_writer import sole_writer
from .bundle import (
    MODEL_JSON,
    WEIGHTS,
    ModelBundle,
    is_bundle,
    load_bundle,
    read_info,
    save_bundle,
    zip_bundle,
)
from .info import ModelInfo

if TYPE_CHECKING:
    from .stainer import StainerNetworks

DEFAULT_MODEL = "universal-v1"
_SHIPPED = Path(__file__).parent / "shipped"
_VAE, _EMA = "vae.pth", "llcm_ema.pth"


def user_folder() -> Path:
    """Return the folder of the user's own models."""
    from platformdirs import user_data_path

    return user_data_path("napari-llcm", appauthor=False) / "models"


def list_models() -> dict[str, Path]:
    """Return every model by name; the user's own go before shipped ones of the same name."""
    found: dict[str, Path] = {}
    for folder in (_SHIPPED, user_folder()):
        if folder.is_dir():
            found |= {
                p.name.removesuffix(".zip"): p
                for p in sorted(folder.iterdir())
                if not p.name.startswith(".") and is_bundle(p)  # a dot: being written
            }
    return found


def find_model(model: str | Path | None = None) -> Path:
    """Return the bundle that a name, a folder (a bundle or a run) or a .zip stands for.

    Raises
    ------
    UserError
        If there is none.
    """
    known = list_models()
    name = str(model or DEFAULT_MODEL)
    if name in known:
        return known[name]
    path = Path(name).expanduser()
    for candidate in (path, path / "model"):
        if candidate.exists() and is_bundle(candidate):
            return candidate
    what = "is not a model" if path.exists() else "does not exist"
    raise UserError(
        f"Model {name!r} {what}: give one of {', '.join(known) or '(none installed)'}, "
        "a model folder, a run folder or a .zip."
    )


def load_model(model: str | Path | None = None, device: str = "cpu") -> ModelBundle:
    """Load a model by name, folder or .zip; the shipped one by default.

    Raises
    ------
    UserError
        If there is none, or it is damaged.
    """
    return load_bundle(find_model(model), device)


def import_model(source: Path, name: str | None = None, overwrite: bool = False) -> Path:
    """Copy a model into the user's own models.

    Parameters
    ----------
    source : Path
        A bundle (folder or .zip), a run folder, or a folder with `model.json`, `vae.pth` and
        `llcm_ema.pth` (tensors only, read with ``weights_only=True``).
    name : str, optional
        Its name from now on; its own by default.
    overwrite : bool
        Replace a model of the same name.

    Raises
    ------
    UserError
        If it is no model, or the name is taken or cannot be that of a folder.
    """
    path = find_model(source)
    info = read_info(path)
    target = user_folder() / plain_name(name or info.name, "name of the model")
    check_apart(target, [path])
    if target.exists() and not overwrite:
        raise UserError(f"You have a model named {target.name!r}: choose another --name.")
    if target.is_dir() and any(target.iterdir()) and not is_bundle(target):
        raise UserError(f"{target} is a folder that holds no model: choose another --name.")
    with sole_writer(target):
        pickled = [path / _VAE, path / _EMA] if path.is_dir() else []
        if pickled and all(p.is_file() for p in pickled):
            networks = _from_pth(info, path)
        else:
            networks = load_bundle(path).networks
        return save_bundle(target, info.model_copy(update={"name": target.name}), networks)


def keep_model(bundle: Path, name: str) -> Path:
    """Copy a bundle that this program has just written into the user's own models.

    `import_model` loads the weights to see whether a stranger's model is sound; here they are
    copied as they are, so that napari need not import torch for it.

    Parameters
    ----------
    bundle : Path
        A bundle folder.
    name : str
        Its name from now on; a model of the user's own of that name is replaced.

    Raises
    ------
    UserError
        If it is no bundle.
    """
    info = read_info(bundle).model_copy(update={"name": plain_name(name, "name of the model")})
    target = user_folder() / name
    with sole_writer(target), replacing(target) as partial:
        partial.mkdir()
        shutil.copyfile(bundle / WEIGHTS, partial / WEIGHTS)
        write_text(partial / MODEL_JSON, info.model_dump_json(indent=2))
    return target


def export_model(model: str | Path, target: Path, pth: bool = False) -> Path:
    """Write a model as one .zip, or as a folder with `vae.pth` and `llcm_ema.pth`.

    Raises
    ------
    UserError
        If there is no such model, or the target exists.
    """
    path = find_model(model)
    check_apart(target, [path])
    if target.exists():
        raise UserError(f"{target} exists: choose another name.")
    with sole_writer(target):
        bundle = load_bundle(path)  # a damaged model is found now, not by its receiver
        if not pth:
            return zip_bundle(path, target)
        import torch

        weights = bundle.networks.state_dict()
        vae = {k: v for k, v in weights.items() if k.startswith("autoencoder.")}
        with replacing(target) as partial:
            partial.mkdir()
            write_text(partial / MODEL_JSON, bundle.info.model_dump_json(indent=2))
            torch.save(vae, partial / _VAE)
            torch.save({k: v for k, v in weights.items() if k not in vae}, partial / _EMA)
        return target


def _from_pth(info: ModelInfo, folder: Path) -> StainerNetworks:
    import pickle

    import torch

    from .stainer import StainerNetworks

    networks = StainerNetworks(info.network, info.consistency, info.method)
    weights: dict[str, torch.Tensor] = {}
    try:
        for file in (_VAE, _EMA):
            weights |= torch.load(folder / file, map_location="cpu", weights_only=True)
        networks.load_state_dict(weights)
    except (pickle.UnpicklingError, RuntimeError, TypeError) as error:
        raise UserError(
            f"{folder} holds weights that are no plain tensors or do not fit its model.json."
        ) from error
    return networks
