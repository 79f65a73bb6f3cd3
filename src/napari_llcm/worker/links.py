"""Objects of napari's process that a job in the worker goes on seeing, or tells of its changes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class Linked:
    """Lives in both processes; what the worker's copy does is done by napari's too.

    A method that is to be repeated calls `tell` with its own name and arguments.
    """

    _told: Callable[[str, tuple[Any, ...]], None] | None = None

    def tell(self, method: str, *arguments: Any) -> None:
        """Let napari's object call a method too; nothing to do where this is napari's object."""
        if self._told is not None:
            self._told(method, arguments)

    def __getstate__(self) -> dict[str, Any]:
        """Return what the worker's copy begins with."""
        return {k: v for k, v in self.__dict__.items() if k not in ("_told", "_heard_by")}


class Live(Linked, Generic[T]):
    """A value that is set on the main thread, and that jobs see wherever they run.

    Parameters
    ----------
    value : object
        Anything that can be pickled; replaced as a whole, never changed.
    """

    def __init__(self, value: T) -> None:
        self.value = value
        self._heard_by: list[Callable[[T], None]] = []

    def set(self, value: T) -> None:
        """Set the value, for the jobs that run elsewhere too."""
        self.value = value
        for hear in list(self._heard_by):
            hear(value)

    def link(self, hear: Callable[[T], None]) -> None:
        """Let each new value be told."""
        self._heard_by.append(hear)

    def unlink(self, hear: Callable[[T], None]) -> None:
        """Tell no more."""
        self._heard_by.remove(hear)

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Begin as a copy that nobody hears yet."""
        self.__dict__.update(state)
        self._heard_by = []
