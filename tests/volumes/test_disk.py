"""Files are whole, outputs have one writer, names are one part of a path."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from napari_llcm.events import UserError
from napari_llcm.volumes.apart import check_apart
from napari_llcm.volumes.atomic import replacing, write_text
from napari_llcm.volumes.names import plain_name
from napari_llcm.volumes.sole_writer import is_written, mark_of, sole_writer

pytestmark = pytest.mark.versions
_HOLD = """
import sys
from pathlib import Path
from napari_llcm.volumes.sole_writer import sole_writer
with sole_writer(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.readline()
"""


@pytest.mark.parametrize(
    "name", ["cells 1", "Zelle ä", "a.b-c_d+e", "细胞", "…", "console", "it's"]
)
def test_a_plain_name_is_taken_as_it_is(name: str) -> None:
    assert plain_name(name) == name


@pytest.mark.parametrize(
    "name",
    [
        "", ".", "..", " ", "../x", "a/b", "a\\b", "/etc", "C:x", "CON", "nul.txt", "Com1.x",
        "lpt¹", "a\nb", "a\x00b", "a\x1b[0m", "x" * 200, "ä" * 120, " a", "a ", "a.", "a?",
        "\ud800",
    ],
)  # fmt: skip
def test_a_name_that_is_no_part_of_a_path_is_refused(name: str) -> None:
    with pytest.raises(UserError, match="name of the model"):
        plain_name(name, "name of the model")


def test_what_is_being_replaced_stays_until_the_new_one_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    write_text(path, "old")

    def break_off() -> None:
        with replacing(path) as partial:
            partial.write_text("half")
            assert path.read_text() == "old"
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        break_off()
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]
    with replacing(path) as partial:
        partial.write_text("new")
    assert path.read_text() == "new"


def test_a_folder_is_replaced_whole(tmp_path: Path) -> None:
    target = tmp_path / "model"
    for text in ("1", "2"):
        with replacing(target) as partial:
            partial.mkdir()
            (partial / text).write_text(text)
    assert [p.relative_to(tmp_path).as_posix() for p in tmp_path.rglob("*")] == ["model", "model/2"]


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "a.txt").symlink_to(tmp_path / "disk" / "a.txt")
    write_text(tmp_path / "a.txt", "new")
    assert (tmp_path / "a.txt").is_symlink()
    assert (tmp_path / "disk" / "a.txt").read_text() == "new"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="Windows has no named pipes")
def test_a_pipe_or_a_device_is_never_replaced(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(UserError, match="is no file"):
        write_text(pipe, "a report")
    assert pipe.is_fifo()


def test_what_a_killed_writer_left_is_removed(tmp_path: Path) -> None:
    killed = (
        "import os, sys; from pathlib import Path\n"
        "from napari_llcm.volumes.atomic import replacing\n"
        "with replacing(Path(sys.argv[1])) as partial:\n"
        "    partial.write_text('half'); os._exit(9)"
    )
    path = tmp_path / "a.txt"
    assert subprocess.run([sys.executable, "-c", killed, str(path)]).returncode == 9
    assert len(list(tmp_path.iterdir())) == 1
    write_text(path, "new")
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]


def test_an_output_has_one_writer_until_that_one_is_dead(tmp_path: Path) -> None:
    path = tmp_path / "o.ome.tif"
    arguments = [sys.executable, "-c", _HOLD, str(path)]
    with subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        other.stdout.readline()
        assert is_written(path)
        with pytest.raises(UserError, match="being written by another process"), sole_writer(path):
            pass
        link = tmp_path / "link.ome.tif"
        link.symlink_to(path)
        with pytest.raises(UserError, match="another process"), sole_writer(link):
            pass
        other.kill()
    assert mark_of(path).exists()
    assert not is_written(path)
    with sole_writer(path) as notice:
        assert notice is None
        assert is_written(path)
        with pytest.raises(UserError, match="another process"), sole_writer(path):
            pass  # another job of this process
    assert not mark_of(path).exists()


def test_a_damaged_mark_is_ignored_and_told(tmp_path: Path) -> None:
    for text in ("", "{", '{"pid": "x"}', "null", "[]"):
        mark_of(tmp_path / "o", folder=True).parent.mkdir(exist_ok=True)
        mark_of(tmp_path / "o", folder=True).write_text(text)
        with sole_writer(tmp_path / "o", folder=True) as notice:
            assert notice is not None
            assert "damaged" in notice


def test_a_writer_on_another_computer_counts_while_it_gives_signs_of_life(tmp_path: Path) -> None:
    mark = mark_of(tmp_path / "o")
    mark.write_text(json.dumps({"pid": 1, "started": 1.0, "computer": "elsewhere"}))
    assert is_written(tmp_path / "o")
    os.utime(mark, (mark.stat().st_atime, mark.stat().st_mtime - 100))
    with pytest.raises(UserError, match=r"life was 10\d s ago; if .*again in [78]\d s"):
        sole_writer(tmp_path / "o").__enter__()
    os.utime(mark, (mark.stat().st_atime, mark.stat().st_mtime - 1000))
    assert not is_written(tmp_path / "o")
    with sole_writer(tmp_path / "o"):
        pass


def test_a_refused_writer_leaves_no_empty_folders(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="x"), sole_writer(tmp_path / "a" / "b", folder=True):
        raise UserError("x")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "file").touch()
    with (
        pytest.raises(UserError, match="is a file"),
        sole_writer(tmp_path / "file" / "x", folder=True),
    ):
        pass


def test_an_output_is_kept_apart_from_its_input(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tmp_path / "in.tif"
    source.write_text("x")
    (tmp_path / "soft.tif").symlink_to(source)
    os.link(source, tmp_path / "hard.tif")
    (tmp_path / "in.zarr").mkdir()
    monkeypatch.chdir(tmp_path)
    for out in (
        source,
        Path("in.tif"),
        Path("in.zarr/../in.tif"),
        Path("soft.tif"),
        Path("hard.tif"),
    ):
        with pytest.raises(UserError, match="is the input"):
            check_apart(out, [source])
    with pytest.raises(UserError, match="inside"):
        check_apart(Path("in.zarr/out.tif"), [None, tmp_path / "in.zarr"])
    with pytest.raises(UserError, match="would replace"):
        check_apart(tmp_path, [source])
    check_apart(tmp_path, [source], replaced=False)
    check_apart(Path("out.tif"), [source, tmp_path / "in.zarr"])


def test_links_that_lead_to_each_other_are_no_error_of_ours(tmp_path: Path) -> None:
    loop = tmp_path / "loop.tif"
    loop.symlink_to(loop)
    check_apart(tmp_path / "out.ome.tif", [loop])
