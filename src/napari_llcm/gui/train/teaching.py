"""Teach a model one microscope: the pair that is open, the model it starts from, a few minutes."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, NamedTuple

from ...training.jobs import FINE_TUNING
from ..layers.conversion import KEY
from ..layers.planes import is_plane
from ..panel import show_panel

MINUTES = int(FINE_TUNING["max_minutes"])
NO_PARTNER = (
    "Which open layer is the real DAPI of {stack} is not clear, or none is: open it in the Load "
    "panel and choose it above as Real DAPI, or choose a folder of pairs. Then press Train."
)
READY = (
    "Press Train: {model} goes on learning from {stack} and its real DAPI for {minutes} minutes at "
    "most. A part of the stack is held out: nuclei are counted there before, which takes a little "
    "longer, and after, to see whether it gets better."
)
AGAIN_LATER = (
    "This panel is at work: wait, or press Cancel, then press Stain again with it in the Train "
    "panel once more."
)
GONE = (
    "The stack that it has learned from is no longer open: open it again and choose it above as "
    "Stack. The new model is chosen; then press Stain."
)

_Test = Callable[[Any], bool]


class Learned(NamedTuple):
    """What a training that did well has learned from.

    Parameters
    ----------
    stack : napari.layers.Image
        The label-free stack.
    model : str
        The model that has learned from it.
    width : float or None
        Of its nuclei, as was said for the training.
    """

    stack: Any
    model: str
    width: float | None


def stain_again(viewer: Any, learned: Learned) -> None:
    """Stain a stack by the model that has learned from it, with nuclei as wide as there.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
        Whose Stain panel does so.
    learned : Learned
        The stack and the model.
    """
    stain = show_panel(viewer, "Stain")
    if stain.working:
        stain.bar.say(AGAIN_LATER)
        return
    if learned.stack not in viewer.layers:
        stain.form.model.fill(learned.model)
        stain.bar.refuse(GONE)
        return
    stain.form.choose(*learned)
    stain.stain()


def partner_of(stack: Any, layers: list[Any], is_dapi: _Test, is_label_free: _Test) -> Any:
    """Return the real DAPI of a stack among the open layers; None where none can be it.

    Parameters
    ----------
    stack : napari.layers.Image
        The label-free stack.
    layers : list of Layer
        All images that are open. Of several the one is taken whose name has most words in common
        with the stack's; none, where that does not tell.
    is_dapi, is_label_free : callable
        Tell of a layer whether its name is that of such a stack.
    """
    known = [one for one in layers if one is not stack and not _stain(one)]
    stacks = [one for one in known if not is_dapi(one)]
    fits = [one for one in known if _alike(one, stack) and not _another_s(one, stack, stacks)]
    unnamed = [one for one in fits if not is_label_free(one)]
    named = [one for one in fits if is_dapi(one)] or unnamed
    near = [_in_common(one, stack) for one in named]
    best = [one for one, n in zip(named, near, strict=True) if n == max(near)]
    return best[0] if len(best) == 1 else None


def name_for(stack: Any) -> str:
    """Return what a model that is taught by a stack may be called."""
    plain = re.sub(r"[^\w.+-]+", "-", stack.name)[:40].strip("-.+")
    return f"{plain}-model" if plain else "my-model"


def _alike(one: Any, other: Any) -> bool:
    """Tell whether a layer is a stack of the other's shape, or one plane as large as its planes."""
    if is_plane(one):
        return bool(one.data.shape[-2:] == other.data.shape[-2:])
    return bool(one.data.shape[-3:] == other.data.shape[-3:])


def _another_s(one: Any, stack: Any, layers: list[Any]) -> bool:
    """Tell whether the name of a layer is more like that of another layer than of the stack."""
    own = _in_common(one, stack)
    return any(_in_common(one, other) > own for other in layers if other is not one)


def _in_common(one: Any, other: Any) -> int:
    """Return how many words two names have in common."""
    words, others = (set(re.findall(r"[^\W_]+", layer.name.lower())) for layer in (one, other))
    return len(words & others)


def _stain(layer: Any) -> bool:
    return "model" in layer.metadata.get(KEY, {})
