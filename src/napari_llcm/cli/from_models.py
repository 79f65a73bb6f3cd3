"""Options of a command made from typed configs: a field is spelt in one place."""

from __future__ import annotations

import functools
import inspect
import math
import types
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import (
    TYPE_CHECKING,
    Annotated,
    Any,
    Literal,
    Union,
    get_args,
    get_origin,
    get_type_hints,
)

import typer
from pydantic import BaseModel, ValidationError

from ..events import UserError
from ..volumes.options import ChoiceNeeded

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo


@dataclass(frozen=True)
class FromModel:
    """Marks a parameter of a command whose type is a pydantic model: its fields become options.

    A field that is a model itself gives its fields as options too, after its own name: `qpi` with
    the field `channel` gives `--qpi-channel`.

    Parameters
    ----------
    heading : str, optional
        Under which `--help` lists the options.
    short : mapping
        Field to a further, short flag.
    leave_out : tuple of str
        Fields that are no options.
    """

    heading: str | None = None
    short: Mapping[str, str] = field(default_factory=dict)
    leave_out: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Option:
    """One option: which parameter of the command, and which field of its model, it sets."""

    parameter: str
    path: tuple[str, ...]
    field: FieldInfo
    mark: FromModel
    about: str

    @property
    def name(self) -> str:
        return "__".join((self.parameter, *self.path))

    @property
    def flag(self) -> str:
        return "--" + "-".join(self.path).replace("_", "-")

    def annotation(self) -> Any:
        kind = _kind(self.field.annotation)
        flags = [self.flag]
        if kind.type is bool and self.field.default is not False:
            flags = [f"{self.flag}/--no-{self.flag[2:]}"]
        if (short := self.mark.short.get(".".join(self.path))) is not None:
            flags.append(short)
        limits = {name: _limit(self.field, name) for name in ("ge", "le")}
        option = typer.Option(
            *flags,
            help=self.about,
            rich_help_panel=self.mark.heading,
            min=limits["ge"],
            max=limits["le"],
            metavar=kind.metavar,
        )
        return Annotated[kind.type if self.default is not None else kind.type | None, option]

    @property
    def default(self) -> Any:
        default = self.field.get_default(call_default_factory=True)
        return ",".join(f"{v:g}" for v in default) if isinstance(default, tuple) else default


@dataclass(frozen=True)
class _Kind:
    """How a type of a field is written on a terminal."""

    type: Any
    metavar: str | None = None
    numbers: int = 0  # so many, with commas between


def _kind(annotation: Any) -> _Kind:
    """Return how a field's type is written; of several types, text takes all."""
    inner = [a for a in _alternatives(annotation) if a is not type(None)]
    if len(inner) > 1:
        return _Kind(str)
    (one,) = inner
    if get_origin(one) is Literal:
        return _Kind(str, metavar=f"[{'|'.join(map(str, get_args(one)))}]")  # pydantic checks it
    if get_origin(one) is tuple:
        return _Kind(str, metavar="Z,Y,X", numbers=len(get_args(one)))
    return _Kind(one if one in (int, float, bool, Path, list[Path]) else str)


def _alternatives(annotation: Any) -> Iterator[Any]:
    if get_origin(annotation) is Annotated:
        yield from _alternatives(get_args(annotation)[0])
    elif get_origin(annotation) in (Union, types.UnionType):
        for one in get_args(annotation):
            yield from _alternatives(one)
    else:
        yield annotation


def _limit(field: FieldInfo, name: str) -> Any:
    return next((getattr(m, name) for m in field.metadata if hasattr(m, name)), None)


def _options(
    parameter: str, model: type[BaseModel], mark: FromModel, at: tuple[str, ...] = (), of: str = ""
) -> Iterator[_Option]:
    """Yield the options of a model, those of its inner models last."""
    inner = []
    for name, info in model.model_fields.items():
        if name in mark.leave_out:
            continue
        if isinstance(info.annotation, type) and issubclass(info.annotation, BaseModel):
            inner.append((name, info))
            continue
        about = f"As --{name}, for the {of} alone." if at else info.description or ""
        yield _Option(parameter, (*at, name), info, mark, about)
    for name, info in inner:
        assert isinstance(info.annotation, type)
        said = info.description or name
        yield from _options(parameter, info.annotation, mark, (*at, name), said)


def options_from_models(command: Callable[..., Any]) -> Callable[..., Any]:
    """Return the command with options in place of the parameters that are marked `FromModel`.

    Raises
    ------
    UserError
        By the command, if a value does not fit its field, or a file needs a choice that an option
        of this command makes; the sentence names the option.
    """
    signature = inspect.signature(command)
    hints = get_type_hints(command, include_extras=True)
    parameters: list[inspect.Parameter] = []
    models: dict[str, type[BaseModel]] = {}
    options: list[_Option] = []
    for name, parameter in signature.parameters.items():
        marks = [m for m in get_args(hints[name])[1:] if isinstance(m, FromModel)]
        if not marks:
            parameters.append(parameter.replace(annotation=hints[name], kind=_KEYWORD))
            continue
        models[name] = get_args(hints[name])[0]
        made = list(_options(name, models[name], marks[0]))
        options += made
        parameters += [
            inspect.Parameter(o.name, _KEYWORD, default=o.default, annotation=o.annotation())
            for o in made
        ]

    @functools.wraps(command)
    def run(**given: Any) -> Any:
        """Fill in the models and run the command."""
        values = {o.name: given.pop(o.name) for o in options}
        for name, model in models.items():
            own = [o for o in options if o.parameter == name]
            given[name] = _filled(model, own, values)
        if given.get("events"):  # for a program, which knows no options
            return command(**given)
        flags = {o.path: o.flag for o in options}
        with ChoiceNeeded.phrased(lambda needed: _way_out(needed, flags)):
            try:
                return command(**given)
            except ChoiceNeeded as error:
                raise UserError(str(error)) from error

    run.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {p.name: p.annotation for p in parameters}
    return run


_KEYWORD = inspect.Parameter.KEYWORD_ONLY


def _filled(model: type[BaseModel], options: list[_Option], values: Mapping[str, Any]) -> Any:
    """Return the model with the values that differ from its defaults."""
    fields: dict[str, Any] = {}
    for option in options:
        value = values[option.name]
        if value is None or value == option.default:
            continue
        if count := _kind(option.field.annotation).numbers:
            value = numbers(value, option.flag, count)
        place = fields
        for part in option.path[:-1]:
            place = place.setdefault(part, {})
        place[option.path[-1]] = value
    try:
        return model(**fields)
    except ValidationError as error:
        first = error.errors()[0]
        at = tuple(str(part) for part in first["loc"])
        flag = next((o.flag for o in options if at[: len(o.path)] == o.path), ".".join(at))
        raise UserError(f"{flag} does not fit: {first['msg']}.") from error


def numbers(text: str, what: str, count: int = 3) -> tuple[float, ...]:
    """Return the numbers of "Z,Y,X".

    Raises
    ------
    UserError
        If it is not so many numbers.
    """
    try:
        found = tuple(float(part) for part in text.split(","))
    except ValueError:
        found = ()
    if len(found) != count or not all(map(math.isfinite, found)):
        example = ",".join(("0.8", "0.5", "0.5", "0.5")[:count])
        raise UserError(
            f"{what} needs {count} numbers with commas between, such as {example}, not {text!r}."
        )
    return found


def _way_out(error: ChoiceNeeded, flags: Mapping[tuple[str, ...], str]) -> str:
    """Return the sentence with the option of the command that makes the choice."""
    own = flags.get((error.role or "", error.option))
    flag = own or flags.get((error.option,))
    if flag is None:
        return f"{error.problem}."
    example = f'"{error.example}"' if " " in str(error.example) else error.example
    return f"{error.problem}: add {flag} {example}."
