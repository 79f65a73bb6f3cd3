"""How every verb ends: one sentence, one last event, one exit code."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from napari_llcm.events import Failed, Finished, parse_event
from napari_llcm.specimen import Specimen
from napari_llcm.volumes import Volume, write

Run = Callable[..., tuple[int, str, str]]

# what each verb is told so that it fails, though every option is there
FAILING = {
    "stain": ("stain", "missing.tif", "out.ome.tif"),
    "nuclei": ("nuclei", "--stain", "missing.tif", "--truth", "missing.tif", "--out", "n"),
    "nuclei --qpi": ("nuclei", "--stain", "missing.tif", "--qpi", "missing.tif", "--out", "n"),
    "train": ("train", "--pairs", "missing", "--out", "run"),
    "train job": ("train", "missing.yaml"),
    "evaluate": ("evaluate", "--pairs", "missing", "--out", "e"),
    "specimen": ("specimen", "s", "--from-dapi", "missing.tif"),
    "pairs": ("pairs", "missing"),
    "demo": ("demo", "--out", "d", "--model", "missing"),
    "benchmark": ("benchmark", "quality", "--out", "b", "--data", "missing"),
    "calibrate": ("model", "calibrate", "missing", "--pairs", "missing"),
    "option": ("stain", "missing.tif", "out.ome.tif", "--no-such-option"),
    "argument": ("stain", "missing.tif"),
}


@pytest.mark.parametrize("verb", FAILING)
def test_a_failure_is_the_last_line(
    cli: Run, verb: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    code, out, err = cli(*FAILING[verb], "--events", "-")
    events = [parse_event(line) for line in out.splitlines()]
    assert code == 2, err
    assert [type(e) for e in events if isinstance(e, Finished | Failed)] == [Failed]
    assert isinstance(events[-1], Failed)
    assert "Traceback" not in err
    assert list(tmp_path.iterdir()) == []  # nothing was begun


def test_nothing_but_events_is_printed(cli: Run, specimen: Specimen, tmp_path: Path) -> None:
    for kind in ("qpi", "dapi"):
        write(tmp_path / "p" / kind / "a.ome.tif", getattr(specimen, kind))
    labels = write(tmp_path / "labels.ome.tif", specimen.labels)
    check = ("nuclei", "--truth", labels, "--stain", labels, "--out", tmp_path / "n")
    made = ("specimen", tmp_path / "s", "--size", "8,32,32")
    for arguments in (check, ("pairs", tmp_path / "p"), made):
        code, out, err = cli(*arguments, "--events", "-")
        assert code == 0, err
        events = [parse_event(line) for line in out.splitlines()]
        assert isinstance(events[-1], Finished)


def test_names_are_no_markup(cli: Run, specimen: Specimen, tmp_path: Path) -> None:
    for kind in ("qpi", "dapi"):
        for name in ("[red]a", "[x]", ":smile:"):
            write(tmp_path / "p" / kind / f"{name}.ome.tif", getattr(specimen, kind))
    code, out, err = cli("pairs", tmp_path / "p")
    assert code == 0, err
    for name in ("[red]a", "[x]", ":smile:"):
        assert name in out
    code, _, err = cli("stain", tmp_path / "[/x].tif", tmp_path / "o.ome.tif")
    assert code == 2
    assert "[/x].tif" in err


def test_one_bad_pair_does_not_keep_the_others_from_being_checked(
    cli: Run, specimen: Specimen, tmp_path: Path
) -> None:
    for kind in ("qpi", "dapi"):
        for name in "ac":
            write(tmp_path / "p" / kind / f"{name}.ome.tif", getattr(specimen, kind))
        shape = (4, 8, 8) if kind == "qpi" else (4, 8, 9)
        write(tmp_path / "p" / kind / "b.ome.tif", Volume(np.ones(shape, np.float32)))
    code, out, err = cli("pairs", tmp_path / "p", "--out", tmp_path / "f")
    assert code == 2, err
    assert len(re.findall(r"│ [abc] +│", out)) == 3
    assert "1 of 3 pairs could not be checked: b" in err
    assert sorted(p.name for p in (tmp_path / "f").iterdir()) == ["a.png", "c.png"]


def _interrupted(
    arguments: Sequence[object], when: str, presses: int = 1, number: int = signal.SIGINT
) -> tuple[int, str]:
    """Run the program, signal to it once it prints `when`; return exit code and all it printed."""
    command = [sys.executable, "-m", "napari_llcm", *map(str, arguments), "--events", "-"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as child:
        assert child.stdout is not None
        said = ""
        for line in child.stdout:
            said += line
            if when in line:
                for _ in range(presses):
                    child.send_signal(number)
                when = "\0"
        return child.wait(60), said


@pytest.mark.skipif(
    sys.platform == "win32", reason="Windows has no SIGTERM: a child ends at once there"
)
@pytest.mark.parametrize(("number", "expected"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_what_was_broken_off_and_kept_tells_the_signal(
    tmp_path: Path, number: int, expected: int
) -> None:
    arguments = ("specimen", tmp_path / "s", "--n", 500, "--size", "8,32,32")
    code, said = _interrupted(arguments, '"progress"', 1 if expected == 130 else 3, number)
    assert code == expected, said
    assert "what is done is kept" in said
    assert '"finished"' in said
    assert list((tmp_path / "s" / "qpi").iterdir())


def test_an_error_log_that_cannot_be_written_is_no_second_error(
    cli: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    for name in ("HOME", "XDG_STATE_HOME", "TMPDIR", "LOCALAPPDATA"):
        monkeypatch.setenv(name, str(tmp_path / "file" / "home"))
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(tmp_path / "file"))
    monkeypatch.setattr("napari_llcm.volumes.pair_check.find_pairs", lambda *_: 1 / 0)
    code, _, err = cli("pairs", tmp_path)
    assert code == 1
    assert err.strip().splitlines()[-1].startswith("napari-llcm: Something went wrong")
    assert "ZeroDivisionError" in err


# verbs by the words that ask for a result at {o}; the pairs lie at {p}
WRITING = {
    "stain": "stain {p}/qpi/a.ome.tif {o}.ome.tif",
    "nuclei": "nuclei --truth {p}/dapi/a.ome.tif --stain {p}/dapi/a.ome.tif --out {o}",
    "train": "train --pairs {p} --out {o} --preset quick",
    "evaluate": "evaluate --pairs {p} --out {o}",
    "specimen": "specimen {o}",
    "pairs --out": "pairs {p} --out {o}",
    "pairs --apply": "pairs {p} --apply {o}",
    "demo": "demo --out {o}",
    "benchmark": "benchmark quality --out {o}",
    "benchmark speed": "benchmark speed --out {o}",
    "export": "model export specimen-v6 {o}.zip",
}


@pytest.fixture
def pairs(specimen: Specimen, tmp_path: Path) -> Path:
    for kind in ("qpi", "dapi"):
        write(tmp_path / "p" / kind / "a.ome.tif", getattr(specimen, kind))
    return tmp_path / "p"


@pytest.mark.parametrize("verb", WRITING)
def test_what_cannot_be_written_is_told_before_the_work(
    cli: Run, pairs: Path, tmp_path: Path, verb: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for work in (
        "nuclei.segmenting.segment",
        "staining.setup.contrast",
        "specimen.files.make_specimen",
    ):
        monkeypatch.setattr(f"napari_llcm.{work}", lambda *_, **__: pytest.fail("has begun"))
    (tmp_path / "file").touch()
    code, _, err = cli(*WRITING[verb].format(p=pairs, o=tmp_path / "file" / "o").split())
    assert code == 2, err
    assert "cannot be written" in err.splitlines()[-1] or "file" in err.splitlines()[-1]
    assert "Traceback" not in err
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file", "p"]


# verbs that would write onto what they read
ONTO = {
    "stain": "stain {p}/qpi/a.ome.tif {p}/qpi/../qpi/a.ome.tif --overwrite",
    "train": "train --pairs {p} --out {p}",
    "train inside": "train --pairs {p} --out {p}/dapi/run",
    "evaluate inside": "evaluate --pairs {p} --out {p}/qpi",
    "evaluate list": "evaluate --pairs {p}/pairs.csv --out {p}",
    "pairs --apply": "pairs {p} --apply {p}",
    "pairs --out": "pairs {p} --out {p}/qpi",
    "nuclei": "nuclei --truth {p}/qpi/a.ome.tif --stain {p}/qpi/a.ome.tif --out {p}/qpi/a.ome.tif",
}


@pytest.mark.parametrize("verb", ONTO)
def test_nothing_is_written_onto_what_is_read(cli: Run, pairs: Path, verb: str) -> None:
    (pairs / "pairs.csv").write_text("name,qpi,dapi\na,qpi/a.ome.tif,dapi/a.ome.tif\n")
    before = {p: p.read_bytes() for p in pairs.rglob("*") if p.is_file()}
    code, _, err = cli(*ONTO[verb].format(p=pairs).split())
    assert code == 2, err
    assert "Traceback" not in err
    assert {p: p.read_bytes() for p in pairs.rglob("*") if p.is_file()} == before


def test_what_is_no_number_is_refused(cli: Run, pairs: Path, tmp_path: Path) -> None:
    stack, out = f"{pairs}/qpi/a.ome.tif", tmp_path / "o"
    for word in ("nan", "inf"):
        for line in (
            f"nuclei --truth {stack} --stain {stack} --out {out} --diameter {word}",
            f"stain {stack} {out}.ome.tif --spacing 1,{word},1",
            f"train --pairs {pairs} --out {out} --max-minutes {word}",
            f"benchmark quality --out {out} --budget-minutes {word}",
            f"benchmark speed --out {out} --minutes {word}",
            f"benchmark speed --out {out} --size 16,{word},16",
        ):
            code, _, err = cli(*line.split())
            assert code == 2, (line, err)
            assert "Traceback" not in err
    assert [p.name for p in tmp_path.iterdir()] == ["p"]


def test_a_scratch_folder_that_cannot_be_made_is_told(
    cli: Run, pairs: Path, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    stack, out = pairs / "qpi" / "a.ome.tif", tmp_path / "o.ome.tif"
    code, _, err = cli("stain", str(stack), str(out), "--scratch", str(tmp_path / "file"))
    assert code == 2, err
    assert "file is a file" in err
    assert "Traceback" not in err
