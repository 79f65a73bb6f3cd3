"""What a newcomer finds beside the code: an API page, examples, files about the project."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from importlib import import_module
from pathlib import Path

import pytest

import napari_llcm

ROOT = Path(__file__).parents[1]
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))


def test_every_name_on_the_api_page_exists_and_no_public_one_is_missing() -> None:
    page = (ROOT / "docs" / "api.md").read_text("utf-8")
    named = set(re.findall(r"`(napari_llcm(?:\.\w+)+)`", page))
    assert {f"napari_llcm.{name}" for name in napari_llcm.__all__} <= named
    for name in named:
        module, _, thing = name.rpartition(".")
        assert getattr(import_module(module), thing, None) is not None, name
    for line in re.findall(r"^from (napari_llcm\S*) import (.+)$", page, re.MULTILINE):
        for thing in line[1].split(", "):
            assert hasattr(import_module(line[0]), thing), line


def test_every_verb_has_an_example() -> None:
    assert [path.stem for path in EXAMPLES] == ["check", "load", "stain", "train"]


@pytest.mark.slow
@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_runs(path: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(path)], cwd=tmp_path, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()
    assert any((tmp_path / "napari-llcm-examples").iterdir())


def test_the_version_is_spelt_once_and_has_its_place_in_the_changelog() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    assert "version" in project["project"]["dynamic"]
    assert project["tool"]["hatch"]["version"]["path"] == "src/napari_llcm/__init__.py"
    changelog = (ROOT / "CHANGELOG.md").read_text("utf-8")
    assert f"## {napari_llcm.__version__}" in changelog


def test_every_package_that_is_imported_is_declared_with_its_reason() -> None:
    text = (ROOT / "pyproject.toml").read_text("utf-8")
    main = text.split("\ndependencies = [\n")[1].split("\n]")[0].splitlines()
    assert [line for line in main if "#" not in line] == []
    declared = {re.split(r"[\[>=<!~\"]", line.strip().strip('"'))[0] for line in main}
    called = {
        "PIL": "pillow", "einops": "monai", "imageio": "imageio", "ome_zarr": "ome-zarr",
        "skimage": "scikit-image", "sklearn": "scikit-learn", "yaml": "pyyaml", "click": "typer",
        "numcodecs": "zarr", "pydantic_core": "pydantic",
    }  # fmt: skip
    optional = {"napari", "cellpose", "distributed", "bioio", "torchvision"}
    optional |= {
        "huggingface_hub",
        "pydicom",
        "cryptography",
        "dask_jobqueue",
        "viscy_models",
    }  # a rival, if there
    imported = set()
    for path in (ROOT / "src").rglob("*.py"):
        found = re.findall(r"^\s*(?:import|from) ([A-Za-z]\w*)", path.read_text("utf-8"), re.M)
        imported |= set(found)
    foreign = imported - set(sys.stdlib_module_names) - optional
    assert {called.get(name, name) for name in foreign} - declared == set()


def test_each_room_that_uses_a_library_is_tested_with_the_loosest_versions_too() -> None:
    own = set(sys.stdlib_module_names) | {"numpy", "napari_llcm"}
    for room in (path.parent for path in (ROOT / "src" / "napari_llcm").glob("*/__init__.py")):
        text = "\n".join(path.read_text("utf-8") for path in room.rglob("*.py"))
        if set(re.findall(r"^\s*(?:import|from) ([A-Za-z]\w*)", text, re.M)) - own:
            tests = (ROOT / "tests" / room.name).glob("test_*.py")
            marked = [path for path in tests if "mark.versions" in path.read_text("utf-8")]
            assert marked, f"mark what rests on libraries in tests/{room.name} as versions"
