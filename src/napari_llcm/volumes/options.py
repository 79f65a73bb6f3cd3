"""How a file is read: one typed value for the Python API, job files, command line and panels."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from ..events import UserError


class ChoiceNeeded(UserError):
    """A file that can be read once the user makes a choice.

    Its sentence is in the words of those who see it: the command line names the option of its verb,
    a panel says where to click (`phrased`).

    Parameters
    ----------
    problem : str
        What is unclear: a clause that names the file, without a full stop.
    option : str
        The field of `ReadOptions` that tells.
    example : str or int
        A value that would do.
    role : str, optional
        Which of a verb's inputs it is, such as "qpi"; all of them if None.
    """

    def __init__(
        self, problem: str, option: str, example: str | int, role: str | None = None
    ) -> None:
        super().__init__(problem, option, example, role)
        self.problem, self.option, self.example, self.role = problem, option, example, role

    def __str__(self) -> str:
        """Return the sentence in the words of `phrased`, or else of the Python API."""
        phrase = _phrase.get()
        if phrase is not None:
            return phrase(self)
        return f"{self.problem}: read it with {self.option}={self.example!r}."

    @staticmethod
    @contextmanager
    def phrased(phrase: Callable[[ChoiceNeeded], str]) -> Iterator[None]:
        """Let sentences of this thread, also those in events, be in the words of `phrase`.

        Parameters
        ----------
        phrase : callable
            Returns the sentence for a choice.
        """
        token = _phrase.set(phrase)
        try:
            yield
        finally:
            _phrase.reset(token)

    def of(self, role: str | None) -> ChoiceNeeded:
        """Return the same for one of a verb's inputs."""
        return ChoiceNeeded(self.problem, self.option, self.example, role)


_phrase: ContextVar[Callable[[ChoiceNeeded], str] | None] = ContextVar("phrase", default=None)


class StackChoice(BaseModel):
    """Which stack of a file is read, and what its axes are."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    axes: str | None = Field(
        default=None,
        description="What the file's axes are, in its order, such as zyx or tzyx: t time, "
        "c channel, z plane, y row, x column. In place of what the file says.",
    )
    channel: int | str | None = Field(
        default=None, description="Channel: its number, from 0, or its name."
    )
    time: int | None = Field(default=None, description="Time point, from 0.")
    image: int | str | None = Field(
        default=None,
        description="Image of a file that holds several: its number, from 0, or its name.",
    )


class ReadOptions(StackChoice):
    """How files are read; what a subclass says of one of its inputs overrules the rest."""

    spacing: tuple[float, float, float] | None = Field(
        default=None, description="Voxel size (z, y, x) in µm, in place of what the file says."
    )

    def of(self, role: str | None) -> ReadOptions:
        """Return the options for one input, such as "qpi"; None is the one that has no name."""
        own: StackChoice = getattr(self, role) if role else StackChoice()
        shared = {name: getattr(self, name) for name in ReadOptions.model_fields}
        overruled = {k: v for k, v in own.model_dump().items() if v is not None}
        return ReadOptions(**(shared | overruled))


class PairReadOptions(ReadOptions):
    """How the files of pairs are read."""

    qpi: StackChoice = Field(default=StackChoice(), description="label-free stacks")
    dapi: StackChoice = Field(default=StackChoice(), description="DAPI stacks")
    labels: StackChoice = Field(default=StackChoice(), description="label stacks")


class CheckReadOptions(ReadOptions):
    """How the files of a check of nuclei are read."""

    stain: StackChoice = Field(default=StackChoice(), description="stain")
    truth: StackChoice = Field(default=StackChoice(), description="truth")
    qpi: StackChoice = Field(default=StackChoice(), description="label-free stack")


class SpecimenReadOptions(ReadOptions):
    """How a DAPI stack and its labels are read, to build a specimen around its nuclei."""

    labels: StackChoice = Field(default=StackChoice(), description="labels")


def options_from(options: ReadOptions | None, **changes: Any) -> ReadOptions:
    """Return options with those of `changes` that are not None."""
    given = {name: value for name, value in changes.items() if value is not None}
    return (options or ReadOptions()).model_copy(update=given)
