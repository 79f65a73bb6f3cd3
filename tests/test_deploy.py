"""Images and jobs for servers and clusters: each of their commands is one that the program has."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from napari_llcm.cli.app import app
from napari_llcm.specimen import Specimen
from napari_llcm.volumes import write

ROOT = Path(__file__).parents[1]
DEPLOY = ROOT / "deploy"
SCRIPTS = sorted(DEPLOY.glob("slurm/*.sh"))
DOCUMENTS = {
    f"{path.name} {number}": document
    for path in sorted(DEPLOY.glob("kubernetes/*.yaml"))
    for number, document in enumerate(yaml.safe_load_all(path.read_text("utf-8")))
}
JOBS = {name: d for name, d in DOCUMENTS.items() if d["kind"] == "Job"}
# what a script's variables stand for
GIVEN = {
    "pairs": "p", "run": "r", "stacks": "s", "out": "o", "part": "0/8", "JOB_COMPLETION_INDEX": "0",
    "stack": "i",
}  # fmt: skip


def parsed(words: list[str]) -> dict[str, Any]:
    """Return the values of a command's options as the real command line reads them."""
    command: Any = typer.main.get_command(app)
    while hasattr(command, "commands"):
        name, *words = words
        assert name in command.commands, f"there is no command {name!r}"
        command = command.commands[name]
    values: dict[str, Any] = command.make_context(command.name, words).params  # raises UsageError
    return values


def commands(text: str, further: str = "") -> Iterator[list[str]]:
    """Yield the arguments of every napari-llcm command in a script or a page.

    An `sbatch` line stands for the command of its script, with the options that it hands on.
    """
    for line in re.sub(r"\\\n\s*", " ", text).splitlines():
        if found := re.match(r"(?:srun |docker run .*)?napari-llcm(?::\w+)? (.*)", line):
            filled = re.sub(r'"?\$(\w+|@)"?', lambda m: GIVEN.get(m[1], further), found[1])
            yield shlex.split(filled, comments=True)
        elif found := re.search(r"\bsbatch (?:--\S+ )*deploy/(\S+) \S+ \S+(.*)", line):
            yield from commands(without_comments(DEPLOY / found[1]), found[2])


def without_comments(path: Path) -> str:
    return re.sub(r"^ *#.*\n", "", path.read_text("utf-8"), flags=re.MULTILINE)


def containers(job: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = job["spec"]["template"]["spec"]["containers"]
    return found


@pytest.mark.parametrize("name", JOBS)
def test_a_kubernetes_job_runs_a_command_that_there_is(name: str) -> None:
    job = JOBS[name]
    for container in containers(job):
        assert "command" not in container  # the image's own, which is napari-llcm
        words = [re.sub(r"\$\((\w+)\)", lambda m: GIVEN[m[1]], w) for w in container["args"]]
        values = parsed(words)
        assert values.get("options__device", values.get("device")) == "cuda"
        mounted = {m["mountPath"] for m in container["volumeMounts"]}
        for word in words:
            path = word.split("=")[-1]
            assert not path.startswith("/") or any(path.startswith(f"{m}/") for m in mounted)
        if values.get("part"):
            assert job["spec"]["completionMode"] == "Indexed"
            assert values["part"] == f"0/{job['spec']['completions']}"


@pytest.mark.parametrize("name", JOBS)
def test_a_kubernetes_job_comes_back_after_preemption(name: str) -> None:
    spec = JOBS[name]["spec"]
    assert spec["template"]["spec"]["restartPolicy"] == "Never"  # else the policy is refused
    (rule,) = spec["podFailurePolicy"]["rules"]
    assert rule["action"] == "Ignore"
    assert rule["onPodConditions"] == [{"type": "DisruptionTarget", "status": "True"}]
    claims = {d["metadata"]["name"] for d in DOCUMENTS.values() if d["kind"] != "Job"}
    for volume in spec["template"]["spec"]["volumes"]:
        assert volume["persistentVolumeClaim"]["claimName"] in claims


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda p: p.stem)
def test_a_script_runs_a_command_that_there_is(path: Path) -> None:
    (own,) = commands(without_comments(path))
    assert parsed(own)["options__device"] == "cuda"
    (shown,) = (words for words in commands(path.read_text("utf-8")) if words != own)
    parsed(shown)  # how its first lines say that it is called


def test_the_nextflow_module_runs_a_command_that_there_is() -> None:
    text = (DEPLOY / "nextflow" / "main.nf").read_text("utf-8")
    (line,) = re.findall(r"^ +napari-llcm (.*)$", text, re.MULTILINE)
    values = parsed(shlex.split(re.sub(r"\$\{[^}]*\}", "x", line.replace("${params.options}", ""))))
    assert values["out"] == Path("x/x.ome.zarr")
    assert "143" in text


def test_the_pages_commands_are_ones_that_there_are() -> None:
    page = (ROOT / "docs" / "deploy.md").read_text("utf-8")
    found = list(commands(page))
    assert len(found) >= 4  # docker run and sbatch
    for words in found:
        parsed(words)
    for named in re.findall(r"deploy/[\w./-]+\w", page):
        assert (ROOT / named).exists(), named


def test_a_command_that_there_is_not_is_found_out() -> None:
    assert list(commands("srun napari-llcm stain \\\n  a $out  # why")) == [["stain", "a", "o"]]
    with pytest.raises(Exception, match="No such option"):
        parsed(["stain", "a", "b", "--no-such"])
    submitted = "sbatch --array=0-3 deploy/slurm/stain.sh a b --no-such 1  # why"
    with pytest.raises(Exception, match="No such option"):
        parsed(*commands(submitted))
    with pytest.raises(AssertionError, match="there is no command"):
        parsed(["paint", "a", "b"])


def instructions() -> Iterator[tuple[str, str]]:
    text = without_comments(DEPLOY / "Dockerfile")
    for line in re.sub(r"\\\n\s*", " ", text).splitlines():
        if line.strip():
            yield line.split(maxsplit=1)[0], line.split(maxsplit=1)[1]


def test_the_image_is_pinned_and_runs_the_program_as_nobody_in_particular() -> None:
    lines = list(instructions())
    said = dict(lines)  # the last of each
    assert yaml.safe_load(said["ENTRYPOINT"]) == ["napari-llcm"]
    assert yaml.safe_load(said["CMD"]) == ["--help"]
    uid = re.fullmatch(r"(\d+):\d+", said["USER"])  # a number: Kubernetes knows that it is not root
    assert uid
    assert int(uid[1]) > 0
    for job in JOBS.values():
        assert str(job["spec"]["template"]["spec"]["securityContext"]["runAsUser"]) == uid[1]
    installs = [rest for word, rest in lines if word == "RUN" and "pip install" in rest]
    assert len(installs) == 2
    assert all("-c constraints.txt" in line for line in installs)
    # from outside of the image, only what exists and what .dockerignore lets through
    kept = (DEPLOY / "Dockerfile.dockerignore").read_text("utf-8").splitlines()
    copied = [w for word, rest in lines if word == "COPY" for w in rest.split()[:-1]]
    for name in (c for c in copied if not c.startswith(("-", "/"))):
        assert (ROOT / name).exists()
        assert f"!{name}" in kept


def test_the_image_has_neither_a_window_nor_what_no_extra_has() -> None:
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    (line,) = (rest for _, rest in instructions() if '".[' in rest)
    extras = re.findall(r"\.\[(.+?)\]", line)[0].split(",")
    needs = [*project["dependencies"]]
    for extra in extras:
        needs += project["optional-dependencies"][extra]
    names = {re.split(r"[\[>=<!]", need)[0].lower() for need in needs}
    assert names & {"napari", "pyqt5", "pyqt6", "pyside6"} == set()


@pytest.fixture
def cluster(tmp_path: Path) -> Callable[..., subprocess.Popen[str]]:
    """Return what runs a script as SLURM would: its commands stand in this folder."""
    if sys.platform == "win32":
        pytest.skip("the scripts are for SLURM, which runs on Linux, and need bash")
    places = tmp_path / "bin"
    places.mkdir()
    for name, line in {
        "srun": f'echo $$ >"{tmp_path}/pid"; exec "$@"',  # exec keeps the number
        "scontrol": f'echo "$*" >>"{tmp_path}/scontrol"',
        "napari-llcm": f'exec "{sys.executable}" -m napari_llcm "$@"',
    }.items():
        (places / name).write_text(f"#!/usr/bin/env bash\n{line}\n")
        (places / name).chmod(0o755)

    def submit(script: str, *arguments: object, **variables: str) -> subprocess.Popen[str]:
        path = {"PATH": f"{places}{os.pathsep}{os.environ['PATH']}", "SLURM_JOB_ID": "42"}
        return subprocess.Popen(
            ["bash", str(DEPLOY / "slurm" / script), *map(str, arguments)],
            env=os.environ | path | variables,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=tmp_path,
        )

    return submit


@pytest.mark.slow
def test_a_training_is_requeued_and_goes_on(
    cluster: Callable[..., subprocess.Popen[str]], specimen: Specimen, tmp_path: Path
) -> None:
    for kind in ("qpi", "dapi"):
        write(tmp_path / "p" / kind / "a.ome.tif", getattr(specimen, kind))
    options = ("p", "run", "--preset", "quick", "--device", "cpu", "--max-minutes", 0.1)
    log = tmp_path / "run" / "events.jsonl"
    with cluster("train.sh", *options) as job:
        until = time.monotonic() + 60
        while not (log.exists() and '"step"' in log.read_text()) and time.monotonic() < until:
            assert job.poll() is None, job.stdout and job.stdout.read()
            time.sleep(0.1)
        os.kill(int((tmp_path / "pid").read_text()), signal.SIGTERM)
        assert job.stdout is not None
        said = job.stdout.read()
    assert job.returncode == 143, said
    assert (tmp_path / "scontrol").read_text() == "requeue 42\n"
    before = log.read_text()
    assert '"stopped":true' in before
    with cluster("train.sh", *options) as job:
        assert job.stdout is not None
        said = job.stdout.read()
    assert job.returncode == 0, said
    assert log.read_text().startswith(before)
    assert (tmp_path / "run" / "model" / "weights.safetensors").exists()
    assert (tmp_path / "scontrol").read_text() == "requeue 42\n"  # once


@pytest.mark.slow
def test_a_preparation_is_requeued_and_goes_on(
    cluster: Callable[..., subprocess.Popen[str]], specimen: Specimen, tmp_path: Path
) -> None:
    for name in "abcd":
        for kind in ("qpi", "dapi"):
            write(tmp_path / "p" / kind / f"{name}.ome.tif", getattr(specimen, kind))
    options = ("p", "l", "--init", "universal-v1", "--device", "cpu")
    there = tmp_path / "l" / "pairs"

    def finished() -> dict[str, int]:
        return {p.parent.name: p.stat().st_mtime_ns for p in there.glob("[!.]*/zarr.json")}

    with cluster("prepare-latents.sh", *options) as job:
        until = time.monotonic() + 300
        while not finished() and time.monotonic() < until:
            assert job.poll() is None, job.stdout and job.stdout.read()
            time.sleep(0.05)
        os.kill(int((tmp_path / "pid").read_text()), signal.SIGTERM)
        assert job.stdout is not None
        said = job.stdout.read()
    assert job.returncode == 143, said
    assert (tmp_path / "scontrol").read_text() == "requeue 42\n"
    before = finished()
    assert 0 < len(before) < 4
    with cluster("prepare-latents.sh", *options) as job:
        assert job.stdout is not None
        said = job.stdout.read()
    assert job.returncode == 0, said
    assert len(finished()) == 4
    assert {name: finished()[name] for name in before} == before


@pytest.mark.slow
def test_an_array_stains_each_its_part(
    cluster: Callable[..., subprocess.Popen[str]], specimen: Specimen, tmp_path: Path
) -> None:
    for name in "abc":
        write(tmp_path / "s" / f"{name}.ome.tif", specimen.qpi)
    written: list[set[str]] = []
    for task in ("0", "1"):
        array = {"SLURM_ARRAY_TASK_ID": task, "SLURM_ARRAY_TASK_COUNT": "2"}
        with cluster("stain.sh", "s", "o", "--device", "cpu", "--no-check", **array) as job:
            assert job.stdout is not None
            said = job.stdout.read()
        assert job.returncode == 0, said
        written.append({p.name[0] for p in (tmp_path / "o").iterdir()})
    assert written == [{"a", "c"}, {"a", "b", "c"}]
