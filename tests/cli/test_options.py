"""Options made from typed configs: types, defaults, limits, inner models, and the way out."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
import typer
from pydantic import BaseModel, Field
from typer.testing import CliRunner

import napari_llcm
from napari_llcm.cli.app import app
from napari_llcm.cli.from_models import FromModel, options_from_models
from napari_llcm.events import UserError
from napari_llcm.volumes import ChoiceNeeded

pytestmark = pytest.mark.versions


class _Inner(BaseModel):
    channel: int | str | None = Field(None, description="Channel.")


class _Config(BaseModel):
    """One field of every type that a terminal can write."""

    channel: int | str | None = Field(None, description="Channel of all.")
    size: tuple[float, float, float] = (1, 2, 3)
    count: int = Field(1, ge=1, le=9, description="How many.")
    rate: float | None = Field(None, gt=0)
    preset: Literal["quick", "full"] = "quick"
    on: bool = True
    replace: bool = False
    pairs: list[Path] = []
    inner: _Inner = Field(_Inner(), description="inside")


def _run(*arguments: str, error: Exception | None = None) -> Any:
    """Return what a command with these options was given."""
    given: list[Any] = []
    application = typer.Typer()

    @application.command()
    @options_from_models
    def verb(
        name: str,
        *,
        config: Annotated[_Config, FromModel(heading="The config", short={"count": "-n"})],
    ) -> None:
        """Keep what was given."""
        given.append((name, config))
        if error is not None:
            raise error

    result = CliRunner().invoke(application, ["x", *arguments], env={"COLUMNS": "160"})
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return given[0][1] if given else result


# verbs that run no networks
_WITHOUT_DEVICE = {
    "specimen", "phantom", "slices thicken", "slices interpolate", "slices compare",
    "model list", "model info", "model import", "model export", "model fetch",
}  # fmt: skip


def _verbs(command: Any, *path: str) -> Iterator[tuple[str, set[str]]]:
    """Yield every verb and its flags."""
    for name, inner in getattr(command, "commands", {}).items():
        yield from _verbs(inner, *path, name)
    if not hasattr(command, "commands"):
        yield " ".join(path), {flag for p in command.params for flag in p.opts}


def test_every_verb_that_runs_networks_takes_a_device() -> None:
    verbs = dict(_verbs(typer.main.get_command(app)))
    assert {v for v, flags in verbs.items() if "--device" not in flags} == _WITHOUT_DEVICE


def test_the_version_is_told_without_a_verb(cli: Any) -> None:
    assert cli("--version")[:2] == (0, f"{napari_llcm.__version__}\n")


def test_every_type_of_field_is_an_option() -> None:
    assert _run() == _Config()
    assert not _run().model_fields_set
    config = _run(
        *("--channel", "DAPI", "--size", "0.8,0.5,0.5", "-n", "4", "--rate", "2"),
        *("--preset", "full", "--no-on", "--replace", "--pairs", "a", "--pairs", "b"),
        *("--inner-channel", "2"),
    )
    assert config == _Config(
        channel="DAPI",
        size=(0.8, 0.5, 0.5),
        count=4,
        rate=2,
        preset="full",
        on=False,
        replace=True,
        pairs=[Path("a"), Path("b")],
        inner=_Inner(channel="2"),
    )


def test_help_says_what_the_config_says() -> None:
    text = _run("--help").output
    for words in ("The config", "Channel of all.", "How many.", "1<=x<=9", "[quick|full]"):
        assert words in text
    assert "As --channel, for the inside alone." in text


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--preset", "quik"), "--preset does not fit.*quick"),
        (("--rate", "0"), "--rate does not fit.*greater than 0"),
        (("--size", "1,2"), "--size needs 3 numbers with commas between.*'1,2'"),
    ],
)
def test_a_value_that_does_not_fit_names_its_option(arguments: tuple[str, ...], words: str) -> None:
    with pytest.raises(UserError, match=words):
        _run(*arguments)


@pytest.mark.parametrize(
    ("needed", "words"),
    [
        (ChoiceNeeded("a has 2 channels", "channel", "my DAPI"), ': add --channel "my DAPI"'),
        (ChoiceNeeded("a has 2 channels", "channel", 0, "inner"), ": add --inner-channel 0"),
        (ChoiceNeeded("a has 2 channels", "channel", 0, "other"), ": add --channel 0"),
        (ChoiceNeeded("a has 2 images", "image", 0), "a has 2 images."),  # no such option here
    ],
)
def test_a_choice_is_told_by_an_option_that_the_command_has(
    needed: ChoiceNeeded, words: str
) -> None:
    with pytest.raises(UserError, match=words):
        _run(error=needed)


VERBS = {
    "stain": (),
    "nuclei": ("stain", "truth", "qpi"),
    "pairs": ("qpi", "dapi", "labels"),
    "train": ("qpi", "dapi", "labels"),
    "evaluate": ("qpi", "dapi", "labels"),
    "specimen": ("labels",),
    "model calibrate": ("qpi", "dapi", "labels"),
    "benchmark quality": ("qpi", "dapi", "labels"),
}


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_that_reads_has_the_same_options(verb: str) -> None:
    text = CliRunner().invoke(app, [*verb.split(), "--help"], env={"COLUMNS": "200"}).output
    choices = ("axes", "channel", "time", "image")
    wanted = [*choices, "spacing", *(f"{r}-{c}" for r in VERBS[verb] for c in choices)]
    assert [w for w in wanted if f" --{w} " not in text] == []
