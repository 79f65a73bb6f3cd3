"""The command line end to end, and what it says to wrong input: one sentence, exit code 2."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import psutil
import pytest
import tifffile

from napari_llcm.events import Finished, Step, parse_event
from napari_llcm.specimen import Specimen, make_specimen
from napari_llcm.volumes import Volume, apply_shift, read, write

pytestmark = pytest.mark.versions
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def phase(specimen: Specimen, tmp_path: Path) -> Path:
    return write(tmp_path / "phase.ome.tif", specimen.qpi)


def test_stain_writes_zarr_and_tiff_on_the_input_grid(
    cli: Run, phase: Path, specimen: Specimen, tmp_path: Path
) -> None:
    for name in ("virtual.ome.zarr", "virtual.ome.tif"):
        code, out, err = cli("stain", phase, tmp_path / name, "--device", "cpu")
        assert code == 0, err
        assert "megavoxels/s" in out
        virtual = read(tmp_path / name)
        assert virtual.shape == specimen.qpi.shape
        assert virtual.spacing == pytest.approx(specimen.qpi.spacing)
        assert np.isfinite(virtual.numpy()).all()
        assert virtual.numpy().std() > 0
    code, _, err = cli("stain", phase, tmp_path / "virtual.ome.tif")
    assert code == 2
    assert "exists" in err


@pytest.mark.parametrize(("shape", "dtype"), [((5, 70, 333), "float32"), ((13, 96, 80), "uint16")])
def test_stain_takes_any_size_and_an_unknown_spacing(
    cli: Run, tmp_path: Path, shape: tuple[int, int, int], dtype: str
) -> None:
    rng = np.random.default_rng(0)
    data = (rng.normal(2000, 200, shape)).astype(dtype)
    tifffile.imwrite(tmp_path / "in.tif", data)
    code, _, err = cli("stain", tmp_path / "in.tif", tmp_path / "out.ome.zarr")
    assert code == 0, err
    assert "voxel size" in err  # unknown, so it is assumed, and said
    assert read(tmp_path / "out.ome.zarr").shape == shape


@pytest.mark.slow
def test_specimen_train_evaluate_and_model(cli: Run, tmp_path: Path) -> None:
    pairs, run, report = tmp_path / "pairs", tmp_path / "run", tmp_path / "report"
    size = ("--size", "16,64,64", "--difficulty", "easy")
    assert cli("specimen", pairs, "--n", 2, "--seed", 7, *size)[0] == 0
    job = tmp_path / "job.yaml"
    small = (
        "{encoder_widths: [8, 8], decoder_widths: [8, 8],"
        " condition_widths: [8, 8], unet_widths: [8, 8]}"
    )
    job.write_text(
        f"pairs: {json.dumps(str(pairs))}\nout: {json.dumps(str(run))}\nnetwork: {small}\n"
        "patch: [16, 32, 32]\nvae_phase: {steps: 3}\nconsistency_phase: {steps: 3}\n"
    )
    code, out, err = cli("train", job, "--events", "-")
    assert code == 0, err
    events = [parse_event(line) for line in out.splitlines()]
    assert isinstance(events[-1], Finished)
    assert any(isinstance(e, Step) for e in events)

    code, out, err = cli(
        "evaluate", "--pairs", pairs, "--model", run, "--out", report, "--segmenter", "classical"
    )
    assert code == 0, err
    figures = json.loads((report / "report.json").read_text())
    keys = "recall precision f1 psnr ssim pearson seconds voxels_per_second model device segmenter"
    assert set(keys.split()) <= set(figures)
    assert figures["segmenter"] == "classical"
    assert len(figures["pairs"]) == 2
    assert (report / "pairs.csv").read_text().count("\n") == 3

    assert cli("model", "export", run, tmp_path / "mine.zip")[0] == 0
    assert cli("model", "import", tmp_path / "mine.zip", "--name", "mine")[0] == 0
    assert "mine" in cli("model", "list")[1]
    assert "consistency_steps" in cli("model", "info", "mine")[1]


def test_nuclei_of_another_width_are_scaled(cli: Run, specimen: Specimen, tmp_path: Path) -> None:
    """A specimen that is declared half as large is stained by its width, and evaluated by it."""
    for kind, volume in (("qpi", specimen.qpi), ("dapi", specimen.dapi)):
        write(tmp_path / "p" / kind / "a.ome.tif", volume.replace(spacing=(0.4, 0.25, 0.25)))
    stack, out = tmp_path / "p" / "qpi" / "a.ome.tif", tmp_path / "out.ome.tif"
    small = ("--model", "specimen-v6", "--nucleus-um", 3.8, "--device", "cpu")
    code, _, err = cli("stain", stack, out, *small)
    assert code == 0, err
    assert "3.8 µm wide" in " ".join(err.split())
    assert read(out).metadata["nucleus_um"] == 3.8
    report = ("--out", tmp_path / "report", "--segmenter", "classical")
    code, _, err = cli("evaluate", "--pairs", tmp_path / "p", *small, *report)
    assert code == 0, err
    told = json.loads((tmp_path / "report" / "report.json").read_text())
    assert (told["nucleus_um"], told["recall"] > 0.7) == (3.8, True)
    code, _, err = cli("stain", stack, tmp_path / "b.ome.tif", "--nucleus-um", 0.1)
    assert code == 2
    assert "0.4 pixels wide" in " ".join(err.split())


def test_nuclei_takes_label_volumes(cli: Run, specimen: Specimen, tmp_path: Path) -> None:
    labels = write(tmp_path / "labels.ome.tif", specimen.labels)
    code, _, err = cli("nuclei", "--truth", labels, "--stain", labels, "--out", tmp_path / "n")
    assert code == 0, err
    assert "is compared with itself" in " ".join(err.split())
    report = json.loads((tmp_path / "n" / "report.json").read_text())
    assert report["recall"] == report["precision"] == 1
    rows = (tmp_path / "n" / "nuclei.csv").read_text().splitlines()
    assert len(rows) - 1 == len(np.unique(specimen.labels.numpy())) - 1
    assert list((tmp_path / "n").glob("*.png"))


def _missing(folder: Path) -> Path:
    return folder / "nothing.tif"


def _folder(folder: Path) -> Path:
    (folder / "empty").mkdir()
    return folder / "empty"


def _saved(name: str, data: np.ndarray, **options: object) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        tifffile.imwrite(folder / name, data, **options)
        return folder / name

    return make


def _truncated(folder: Path) -> Path:
    path = folder / "cut.tif"
    tifffile.imwrite(path, np.random.default_rng(0).normal(size=(8, 64, 64)).astype("f4"))
    path.write_bytes(path.read_bytes()[:60_000])
    return path


def _text(folder: Path) -> Path:
    (folder / "notes.tif").write_text("not an image")
    return folder / "notes.tif"


_NAN = np.ones((4, 32, 32), "f4")
_NAN[2, 3, 4] = np.nan
WRONG = {
    "missing": _missing,
    "folder": _folder,
    "2D": _saved("flat.tif", np.ones((32, 32), "f4")),
    "RGB": _saved("rgb.tif", np.ones((32, 32, 3), "u1"), photometric="rgb"),
    "NaN": _saved("nan.tif", _NAN),
    "constant": _saved("constant.tif", np.ones((4, 32, 32), "f4")),
    "truncated": _truncated,
    "text": _text,
}


@pytest.mark.parametrize("kind", WRONG)
def test_wrong_input_ends_in_one_sentence(cli: Run, tmp_path: Path, kind: str) -> None:
    source = WRONG[kind](tmp_path)
    code, _, err = cli("stain", source, tmp_path / "out.ome.zarr")
    assert code == 2
    sentence = err.strip().splitlines()[-1]
    assert sentence.startswith("napari-llcm: ")
    assert "Traceback" not in err
    assert source.name in sentence
    assert not list(tmp_path.glob("*out.ome.zarr*"))


def test_wrong_settings_end_in_one_sentence(cli: Run, phase: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.ome.tif"
    for arguments, word in [
        (("stain", phase, out, "--model", "no-such"), "no-such"),
        (("stain", phase, out, "--spacing", "0,0,0"), "spacing"),
        (("stain", phase, out, "--device", "abacus"), "abacus"),
        (("stain", phase, tmp_path / "out.docx"), "docx"),
        (("stain", phase, tmp_path / "outs", "--part", "8"), "0/8 to 7/8"),
        (("stain", phase, tmp_path / "outs", "--part", "8/8"), "counted from 0"),
        (("stain", phase, out, "--part", "0/8"), "name a folder"),
        (("train", "--pairs", tmp_path), "--out"),
        (("evaluate", "--pairs", tmp_path / "none", "--out", tmp_path / "r"), "none"),
    ]:
        code, _, err = cli(*arguments)
        assert code == 2, arguments
        assert word in err
        assert "Traceback" not in err
        assert not out.exists()


def test_mismatched_pair_is_refused_before_training(cli: Run, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for kind, depth in [("qpi", 8), ("dapi", 6)]:
        data = rng.normal(size=(depth, 32, 32)).astype("f4")
        write(tmp_path / "pairs" / kind / "a.ome.tif", Volume(data, spacing=(1, 1, 1)))
    code, _, err = cli("train", "--pairs", tmp_path / "pairs", "--out", tmp_path / "run")
    assert code == 2
    assert "shape" in err


@pytest.mark.skipif(sys.platform == "win32", reason="file size limits are POSIX")
def test_no_space_left_leaves_nothing_behind(phase: Path, tmp_path: Path) -> None:
    import resource

    out = tmp_path / "full" / "out.ome.tif"
    command = [sys.executable, "-m", "napari_llcm", "stain", str(phase), str(out)]
    limit = 20_000  # bytes that a file may have: the disk is full after that
    ended = subprocess.run(
        command,
        capture_output=True,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
    )
    assert ended.returncode == 2, ended.stderr
    assert "no space left" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert not out.exists()


@pytest.mark.slow
def test_killed_training_resumes(tmp_path: Path, cli: Run) -> None:
    assert cli("specimen", tmp_path / "p", "--size", "16,48,48", "--difficulty", "easy")[0] == 0
    job = tmp_path / "job.yaml"
    job.write_text(
        f"pairs: {json.dumps(str(tmp_path / 'p'))}\nout: {json.dumps(str(tmp_path / 'run'))}\n"
        "network: {encoder_widths: [8, 8], decoder_widths: [8, 8], condition_widths: [8, 8],"
        " unet_widths: [8, 8]}\npatch: [8, 16, 16]\nphase: vae\nvae_phase: {steps: 100000}\n"
        "checkpoint_seconds: 1\ntensorboard: false\n"
    )
    command = [sys.executable, "-m", "napari_llcm", "train", str(job), "--events", "-"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        for line in child.stdout:
            if '"checkpoint"' in line:
                break
        psutil.Process(child.pid).kill()
    job.write_text(job.read_text().replace("100000", "1"))  # what was done is enough
    began = time.monotonic()
    code, out, err = cli("train", job, "--resume", "--events", "-")
    assert code == 0, err
    assert isinstance(parse_event(out.splitlines()[-1]), Finished)
    assert (tmp_path / "run" / "model" / "weights.safetensors").exists()
    assert time.monotonic() - began < 60


def test_pairs_reports_and_mends_a_shift(cli: Run, tmp_path: Path) -> None:
    made = make_specimen((30, 140, 140), seed=11, difficulty="easy", modality="qobm")
    shift = (0, 5, -6)
    for kind, volume in (("qpi", made.qpi), ("dapi", made.dapi), ("labels", made.labels)):
        moved = volume if kind == "qpi" else apply_shift(volume, shift, order=0)
        write(tmp_path / "p" / kind / "a.ome.tif", moved, labels=kind == "labels")
    code, out, err = cli(
        "pairs", tmp_path / "p", "--out", tmp_path / "f", "--apply", tmp_path / "q"
    )
    assert code == 0, err
    assert "shifted" in out
    assert (tmp_path / "f" / "a.png").stat().st_size > 1000
    mended = read(tmp_path / "q" / "labels" / "a.ome.tif").numpy()
    before = read(tmp_path / "p" / "labels" / "a.ome.tif").numpy()
    truth = made.labels.numpy()
    inside = (slice(None), slice(10, -10), slice(10, -10))
    assert (mended[inside] == truth[inside]).mean() > 0.98
    assert (mended[inside] == truth[inside]).mean() > (before[inside] == truth[inside]).mean()


def test_check_input_says_whether_a_model_can_read_a_stack(cli: Run, tmp_path: Path) -> None:
    own = make_specimen(size=(24, 96, 96), seed=77).qpi
    noise = np.random.default_rng(0).standard_normal(own.shape).astype(np.float32)
    like = write(tmp_path / "like.ome.tif", own)
    code, out, err = cli("check-input", like, "--model", "specimen-v6", "--device", "cpu")
    assert code == 0, err
    assert "like.ome.tif: Like what specimen-v6 knows" in out
    noisy = write(tmp_path / "noise.ome.tif", own.replace(data=noise))
    code, out, err = cli("check-input", noisy, "--model", "specimen-v6", "--events", "-")
    assert code == 0, err
    last = parse_event(out.splitlines()[-1])
    assert isinstance(last, Finished)
    assert last.result["verdict"] == "unreadable"
    assert last.result["f1"] < 0.3
    code, _, err = cli("check-input", tmp_path / "none.tif")
    assert code == 2
    assert "none.tif" in err
