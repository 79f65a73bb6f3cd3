"""Files that hold several images: what there are, and which one is read."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from ..events import UserError
from .options import ChoiceNeeded
from .volume import Volume

_SHOWN = 6  # images that a sentence lists


@dataclass(frozen=True)
class StoredImage:
    """One of the images of a file, not opened yet.

    Parameters
    ----------
    name : str
        What the file calls it; may be empty.
    look : callable
        Returns its axes, one letter each, and its shape, from the header.
    open : callable
        Returns the image as the file has it, lazily.
    notes : tuple of str
        What the reader has to say of the file.
    """

    name: str
    look: Callable[[], tuple[str, tuple[int, ...]]]
    open: Callable[[], Volume]
    notes: tuple[str, ...] = ()

    @classmethod
    def of(cls, volume: Volume, name: str = "") -> StoredImage:
        """Return an image that is open already."""
        return cls(name, lambda: (volume.axes, volume.shape), lambda: volume)

    @cached_property
    def size(self) -> tuple[str, tuple[int, ...]]:
        """Axes and shape."""
        return self.look()

    @property
    def is_stack(self) -> bool:
        """Whether it has more than one plane."""
        axes, shape = self.size
        return math.prod(n for a, n in zip(axes.lower(), shape, strict=True) if a not in "yxsc") > 1

    def label(self, number: int) -> str:
        """Return number, name and size, such as "0 left (24 × 96 × 96)"."""
        figures = " × ".join(str(n) for n in self.size[1])
        return f"{number}{f' {self.name}' if self.name else ''} ({figures})"


def pick_image(
    path: Path, images: Sequence[StoredImage], choice: int | str | None, *, must: bool = False
) -> Volume:
    """Open the image that is chosen, or the first stack, with a note that there are others.

    Parameters
    ----------
    path : Path
        The file, for sentences.
    images : sequence of StoredImage
        All images of the file, at least one.
    choice : int or str, optional
        Number or name.
    must : bool
        Whether one of several must be chosen.

    Returns
    -------
    Volume
        As the file has it; its name is that of the image, empty where it is the only one.

    Raises
    ------
    UserError
        If there is no such image, or a choice is needed.
    """
    if choice is not None:
        return _opened(images, _index(path, images, choice))
    if len(images) == 1:
        return _opened(images, 0)
    taken = next((i for i, image in enumerate(images) if image.is_stack), 0)
    if must:
        raise ChoiceNeeded(
            f"{path} holds {len(images)} images: {_listed(images)}, of which one is needed",
            "image",
            images[taken].name or taken,
        )
    note = (
        f"{path.name} holds {len(images)} images: {_listed(images)}. "
        f"Image {images[taken].label(taken)} is read; another can be chosen by number or name."
    )
    return _opened(images, taken).noted(note)


def _opened(images: Sequence[StoredImage], number: int) -> Volume:
    image = images[number]
    volume = image.open().noted(*image.notes)
    if len(images) == 1:
        return volume.replace(name="")
    return volume.replace(name=image.name, chosen={"image": image.name or number})


def _index(path: Path, images: Sequence[StoredImage], choice: int | str) -> int:
    names = [image.name for image in images]
    if isinstance(choice, str):
        for same in (str, str.casefold):
            found = [i for i, name in enumerate(names) if same(name) == same(choice)]
            if len(found) == 1:
                return found[0]
    if (isinstance(choice, int) or choice.isdigit()) and 0 <= int(choice) < len(images):
        return int(choice)
    raise UserError(f"{path} has no image {choice!r}: choose one of {_listed(images)}.")


def _listed(images: Sequence[StoredImage]) -> str:
    shown = [image.label(i) for i, image in enumerate(images[:_SHOWN])]
    more = [f"and {len(images) - _SHOWN} more"] if len(images) > _SHOWN else []
    return ", ".join(shown + more)
