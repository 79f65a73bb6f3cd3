"""The house holds: layers, lazy imports, safe weights, docstrings, and the static gates."""

from __future__ import annotations

import ast
import importlib
import pkgutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from numpydoc.validate import validate

import napari_llcm

ROOT = Path(__file__).parents[1]
SOURCES = sorted((ROOT / "src").rglob("*.py"))


def _files(pattern: str) -> list[str]:
    return sorted(path.relative_to(ROOT).as_posix() for path in ROOT.glob(pattern))


UNSAFE = {"pickle", "cloudpickle", "dill", "joblib", "marshal", "shelve"}
HEAVY = ("cellpose", "matplotlib", "monai", "napari", "qtpy", "skimage", "torch")
SCRIPTS = [".ci/lock", ".ci/run", *_files("deploy/slurm/*.sh")]
MANIFESTS = _files("deploy/kubernetes/*.yaml")
FORMS = [f".github/ISSUE_TEMPLATE/{name}.yml" for name in ("wrong-result", "crash", "idea")]


def _schema(name: str, *paths: str) -> list[str]:
    return ["check-jsonschema", "--builtin-schema", f"vendor.{name}", *paths]


GATES = {
    "ruff check": ["ruff", "check"],
    "ruff format": ["ruff", "format", "--check"],
    "mypy": ["mypy"],
    "numpydoc": ["numpydoc", "lint", *map(str, SOURCES)],
    "import-linter": ["lint-imports"],
    "validate-pyproject": ["validate-pyproject", "pyproject.toml"],
    "npe2": ["npe2", "validate", "src/napari_llcm/napari.yaml"],
    "workflow": _schema("github-workflows", ".github/workflows/ci.yml"),
    "issue forms": _schema("github-issue-forms", *FORMS),
    "issue config": _schema("github-issue-config", ".github/ISSUE_TEMPLATE/config.yml"),
    "citation": _schema("citation-file-format", "CITATION.cff"),
    "shellcheck": ["shellcheck", *SCRIPTS],
    "kubernetes": ["kubernetes-validate", "--strict", "-k", "1.33", *MANIFESTS],
}
if sys.platform != "win32":  # it has no build for it
    GATES["hadolint"] = ["hadolint", "deploy/Dockerfile"]


@pytest.mark.gate
@pytest.mark.parametrize("gate", GATES)
def test_gate(gate: str) -> None:
    program, *arguments = GATES[gate]
    command = [str(Path(sys.executable).with_name(program)), *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.gate
def test_pre_commit_runs_the_same_gates() -> None:
    known = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"][0]["hooks"]
    entries = [set(hook["entry"].split()) for hook in known]
    for program, *arguments in GATES.values():
        words = [a for a in arguments if not a.startswith(("-", str(ROOT), "pyproject"))]
        assert any({program, *words} <= entry for entry in entries), (program, words)


@pytest.mark.versions
@pytest.mark.parametrize("module", ["napari_llcm", "napari_llcm.cli"])
def test_import_is_light(module: str) -> None:
    code = f"import sys, {module}; print(*(m for m in {HEAVY!r} if m in sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == []


def test_modules_are_short() -> None:
    lines = {path.name: len(path.read_text("utf-8").splitlines()) for path in SOURCES}
    assert {name: n for name, n in lines.items() if n > 300} == {}


# jobs that go through a pipe of its own to a process that it has started: no file, no network
OWN_PIPE = "worker/passing.py"


def test_no_file_that_is_read_can_run_code() -> None:
    for path in SOURCES:
        if path.as_posix().endswith(OWN_PIPE):
            continue
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call):
                called = ast.unparse(node.func)
                given = {k.arg: ast.unparse(k.value) for k in node.keywords}
                assert called.split(".")[0] not in UNSAFE, path
                assert given.get("allow_pickle", "False") == "False", path
                if called == "torch.load":
                    assert given.get("weights_only") == "True", path


# calls that write, by what they are called on; lines are added to logs, which no rename can do
WRITES = {"write_text", "write_bytes", "savefig", "imwrite", "imsave", "to_csv", "save_file"}
WRITES |= {"rename", "mkstemp", "mkdtemp", "copyfile", "copy2", "savez"}
WRITERS = {"volumes/atomic.py", "volumes/sole_writer.py"}  # where it is done for all
WRITERS |= {"worker/mapped.py"}  # memory, which goes with the process


def _written(node: ast.Call) -> str:
    """Return on what a call writes, or an empty string where it does not write."""
    called = ast.unparse(node.func)
    name = called.rsplit(".", 1)[-1]
    given = [ast.unparse(a) for a in node.args]
    if name == "open":
        mode = given[1:2] if called == "open" else given[:1]
        mode += [ast.unparse(k.value) for k in node.keywords if k.arg == "mode"]
        writes = bool(mode) and mode[0][:1] in "'\"" and set(mode[0]) & set("wax+")
        return (given[0] if called == "open" else called) if writes else ""
    if called in ("os.replace", "shutil.move", "os.rename"):
        return called
    if called in ("torch.save", "np.save", "nibabel.save", "yaml.dump", "yaml.safe_dump"):
        return " ".join(given[1:2] if called != "np.save" else given[:1])
    if called.endswith(("TiffWriter", "ZipFile")) and (called.endswith("TiffWriter") or given[1:]):
        return given[0]
    if name in WRITES and called != "write_text":  # that one is the function for it
        return f"{called} {' '.join(given)}"
    return ""


def test_every_file_is_written_whole_or_not_at_all() -> None:
    bypass = []
    for path in SOURCES:
        if path.relative_to(ROOT / "src" / "napari_llcm").as_posix() in WRITERS:
            continue
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and (where := _written(node)):
                kept = ("partial", "named", "devnull", "stream", "BytesIO", "StringIO")
                if not any(word in where for word in kept):
                    bypass.append(f"{path.name}:{node.lineno} {where}")
    assert bypass == []


def test_listed_parameters_are_true() -> None:
    wrong = {
        f"{name}: {text}"
        for name in _public_objects()
        for code, text in validate(name)["errors"]
        if code in ("PR02", "PR03")
    }
    assert wrong == set()


def _public_objects() -> Iterator[str]:
    for found in pkgutil.walk_packages(napari_llcm.__path__, "napari_llcm."):
        if found.name.endswith("__main__"):
            continue  # importing it runs it
        module = importlib.import_module(found.name)
        for name, thing in vars(module).items():
            here = getattr(thing, "__module__", None) == found.name
            if here and callable(thing) and not name.startswith("_"):
                yield f"{found.name}.{name}"


def test_readme_commands_use_the_tested_versions() -> None:
    readme = (ROOT / "README.md").read_text("utf-8")
    for mark, extra, last in (("demo", "all", "napari-llcm demo"), ("test", "test", "pytest")):
        command = readme.split(f"<!-- {mark} -->\n```bash\n")[1].split("\n```")[0]
        assert f'pip install -e ".[{extra}]" -c constraints.txt && {last}' in command
    pins = (ROOT / "constraints.txt").read_text("utf-8")
    assert "torch==2.13.0\n" in pins
    assert not set("+@/") & set(pins.replace(".ci/lock", ""))
