"""Weights as others publish them: which tensor of a file is which of a network.

A file may hold one flat dict or dicts within dicts (optimiser, averaged weights, a generator beside
its discriminator), each name behind a prefix (`module.`, `first_stage_model.`), in the names of
GenerativeModels, which became part of MONAI 1.4 under other ones. Nothing is assumed: the dict, the
prefix and the names are those by which most tensors fit.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...events import UserError

if TYPE_CHECKING:
    from torch import Tensor, nn

# Names of earlier versions and what they became; a rule counts where what it gives is a name of the
# network and what it is given is none.
_RENAMED = [
    # GenerativeModels to MONAI 1.4
    (r"\.(to_[qkv])\.(weight|bias)$", r".attn.\1.\2"),
    (r"\.proj_attn\.(weight|bias)$", r".attn.out_proj.\1"),
    (r"\.conv\.conv\.(weight|bias)$", r".postconv.conv.\1"),
    # diffusers before 0.18
    (r"\.query\.(weight|bias)$", r".to_q.\1"),
    (r"\.key\.(weight|bias)$", r".to_k.\1"),
    (r"\.value\.(weight|bias)$", r".to_v.\1"),
    (r"\.proj_attn\.(weight|bias)$", r".to_out.0.\1"),
]
_SCALES = ("scale_factor", "scaling_factor")  # of latents, beside weights


@dataclass(frozen=True)
class Fit:
    """Which tensors of a file are those of a network.

    Parameters
    ----------
    place : str
        Which dict of the file they are in; empty for a flat file.
    matched : dict of str
        Names in the network, and what the file calls them.
    missing : list of str
        Names of the network that the file lacks.
    left_over : list of str
        Names of the file that the network lacks.
    misshapen : dict of str
        Names that both have, and how their shapes differ.
    """

    place: str = ""
    matched: dict[str, str] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)
    left_over: list[str] = field(default_factory=list)
    misshapen: dict[str, str] = field(default_factory=dict)

    @property
    def share(self) -> float:
        """Share of the network's tensors that the file has."""
        return len(self.matched) / max(len(self.matched) + len(self.missing), 1)

    @property
    def complete(self) -> bool:
        """Whether no tensor is missing."""
        return not self.missing

    def lines(self) -> Iterator[str]:
        """Yield a line for each tensor, and one for each sum."""
        for name, given in self.matched.items():
            yield f"matched    {name}" + (f"  (there {given})" if given != name else "")
        for name in self.missing:
            yield f"missing    {name}" + (f"  ({w})" if (w := self.misshapen.get(name)) else "")
        for name in self.left_over:
            yield f"left over  {name}"
        yield f"{len(self.matched)} matched, {len(self.missing)} missing, " + (
            f"{len(self.left_over)} left over" + (f", in {self.place}" if self.place else "")
        )


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Return what a `.safetensors` or a file of torch holds; nothing is ever unpickled.

    Raises
    ------
    UserError
        If it is missing, damaged, or holds more than tensors and numbers.
    """
    import pickle

    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    if not path.is_file():
        raise UserError(f"{path} does not exist: give the file with the weights.")
    try:
        if path.suffix == ".safetensors":
            return dict(load_file(path))
        content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise UserError(
            f"{path} holds more than tensors, which could run code: it is not opened. Ask its "
            "author for a .safetensors, or save its state_dict alone where you trust it."
        ) from error
    except (SafetensorError, RuntimeError, EOFError, OSError, ValueError, KeyError) as error:
        raise UserError(f"{path} cannot be read as weights: get the file again.") from error
    if not isinstance(content, Mapping):
        raise UserError(f"{path} holds no weights by name (a state_dict).")
    return dict(content)


def fit(content: Mapping[str, Any], network: nn.Module) -> Fit:
    """Return how the tensors of a file fit a network, which may be on the meta device."""
    wanted = {name: tuple(t.shape) for name, t in network.state_dict().items()}
    found = [_fit(place, tensors, wanted) for place, tensors in _dicts(content)]
    # of equals the first: a file puts the weights that are meant before averages of them
    return max(found, key=lambda f: f.share, default=Fit(missing=list(wanted)))


def fitting(content: Mapping[str, Any], fitted: Fit) -> dict[str, Tensor]:
    """Return the tensors of a file that fit a network, under the network's names."""
    tensors = dict(_dicts(content))[fitted.place]
    return {name: tensors[given] for name, given in fitted.matched.items()}


def scale_factor_of(content: Mapping[str, Any]) -> float | None:
    """Return the factor that latents are multiplied by, where a file tells it."""
    for name in _SCALES:
        value = content.get(name)
        if value is not None and getattr(value, "numel", lambda: 1)() == 1:
            return float(value)
    return None


def _dicts(content: Mapping[str, Any], place: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield each dict in a file that holds tensors, with where it lies."""
    tensors = {str(k): v for k, v in content.items() if hasattr(v, "shape")}
    if tensors:
        yield place, tensors
    for name, value in content.items():
        if isinstance(value, Mapping):
            yield from _dicts(value, f"{place}/{name}" if place else str(name))


def _fit(place: str, tensors: dict[str, Any], wanted: dict[str, tuple[int, ...]]) -> Fit:
    best = Fit(place, missing=list(wanted), left_over=list(tensors))
    for prefix in _prefixes(tensors, wanted):
        fitted = _by_prefix(place, prefix, tensors, wanted)
        best = max(best, fitted, key=lambda f: f.share)
    return best


def _prefixes(tensors: Mapping[str, Any], wanted: Mapping[str, Any]) -> list[str]:
    """Return what stands before names of the network in names of the file, none first."""
    some = list(wanted)[:: max(len(wanted) // 8, 1)]
    ends = [(given, name) for given in tensors for name in some if given.endswith(f".{name}")]
    return ["", *dict.fromkeys(given.removesuffix(name) for given, name in ends)]


def _by_prefix(
    place: str, prefix: str, tensors: Mapping[str, Any], wanted: dict[str, tuple[int, ...]]
) -> Fit:
    matched: dict[str, str] = {}
    misshapen: dict[str, str] = {}
    left = []
    for given, tensor in tensors.items():
        name = _name(given.removeprefix(prefix), wanted) if given.startswith(prefix) else None
        if name is None:
            left.append(given)
        elif alike(tensor.shape, wanted[name]):
            matched[name] = given
        else:
            misshapen[name] = f"{_by(wanted[name])} is needed, {_by(tensor.shape)} is there"
            left.append(given)
    missing = [name for name in wanted if name not in matched]
    ordered = {name: matched[name] for name in wanted if name in matched}
    return Fit(place, ordered, missing, left, misshapen)


def _name(given: str, wanted: Mapping[str, Any]) -> str | None:
    """Return what a name of a file is in the network."""
    if given in wanted:
        return given
    for pattern, new in _RENAMED:
        renamed, count = re.subn(pattern, new, given)
        if count and renamed in wanted:
            return renamed
    return None


def alike(given: Sequence[int], wanted: Sequence[int]) -> bool:
    """Return whether shapes differ by axes of length 1 at their end alone, if at all."""
    shorter, longer = sorted((tuple(given), tuple(wanted)), key=len)
    return longer[: len(shorter)] == shorter and set(longer[len(shorter) :]) <= {1}


def _by(shape: Any) -> str:
    return " × ".join(str(n) for n in shape)
