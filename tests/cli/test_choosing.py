"""What is read of a file or folder is chosen on the command line, whatever the verb."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile
from typer.testing import CliRunner

from napari_llcm.cli.app import app
from napari_llcm.cli.console import explain
from napari_llcm.specimen import Specimen
from napari_llcm.volumes import Volume, read, write

SPACING = "0.8,0.5,0.5"


def run(*arguments: object) -> tuple[int, str]:
    """Return exit code and all that was printed, the sentence of a failure too."""
    result = CliRunner().invoke(app, [str(a) for a in arguments])
    error = result.exception
    if error is None or isinstance(error, SystemExit):
        return result.exit_code, result.output
    sentence, code = explain(error)
    return code, f"{result.output}\n{sentence}"


@pytest.fixture
def two_channels(specimen: Specimen, tmp_path: Path) -> Path:
    """A folder of pairs, each of whose files holds both channels; `other` calls them otherwise."""
    both = np.stack([specimen.qpi.numpy(), specimen.dapi.numpy()])
    for folder, channels in (("named", ("Phase", "DAPI")), ("other", ("a", "b"))):
        volume = Volume(both, specimen.qpi.spacing, "czyx", channels=channels)
        for kind in ("qpi", "dapi"):
            write(tmp_path / folder / kind / "f.ome.tif", volume)
    return tmp_path


def test_channels_known_by_name_are_taken_and_told(two_channels: Path) -> None:
    code, text = run("pairs", two_channels / "named")
    assert code == 0, text
    assert "Phase is taken" in text
    assert "DAPI is taken" in text


def test_other_channels_are_asked_for_by_the_option_of_the_verb(two_channels: Path) -> None:
    source = two_channels / "other"
    code, text = run("pairs", source)
    assert "add --qpi-channel a." in text.replace("\n", " ")
    choice = ("--qpi-channel", "a", "--dapi-channel", "b")
    code, text = run("pairs", source, *choice)
    assert code == 0, text
    stained, report = source / "dapi" / "f.ome.tif", two_channels / "n"
    truth = ("--truth", stained, "--stain", stained, "--segmenter", "classical", "--out", report)
    code, text = run("nuclei", *truth)
    assert code == 2
    assert "add --stain-channel a." in text
    code, text = run("nuclei", *truth, "--channel", "b")
    assert code == 0, text


def test_a_training_keeps_how_its_pairs_are_read(two_channels: Path) -> None:
    from napari_llcm.training import load_job

    job = two_channels / "job.yaml"
    small = "{encoder_widths: [8, 8], decoder_widths: [8, 8], condition_widths: [8, 8]}"
    job.write_text(
        f"pairs: {two_channels / 'other'}\nout: {two_channels / 'run'}\nnetwork: {small}\n"
        "patch: [8, 16, 16]\nphase: vae\nvae_phase: {steps: 2}\ntensorboard: false\n"
        "reading: {qpi: {channel: a}, dapi: {channel: 1}}\n"
    )
    code, text = run("train", job)
    assert code == 0, text
    kept = load_job(two_channels / "run" / "job.yaml").reading
    assert (kept.qpi.channel, kept.dapi.channel) == ("a", 1)
    assert run("train", "--out", two_channels / "run", "--resume")[0] == 0


def test_a_training_on_unclear_channels_names_its_options(two_channels: Path) -> None:
    code, text = run("train", "--pairs", two_channels / "other", "--out", two_channels / "run")
    assert code == 2
    assert "add --qpi-channel a." in text


@pytest.mark.parametrize("axes", ["TYX", "CYX"])
def test_planes_saved_as_time_or_channel_have_a_way_out(
    specimen: Specimen, tmp_path: Path, axes: str
) -> None:
    data = specimen.qpi.numpy()
    tifffile.imwrite(tmp_path / "a.tif", data, imagej=True, metadata={"axes": axes})
    stain = ("stain", tmp_path / "a.tif", tmp_path / "o.ome.tif", "--spacing", SPACING)
    code, text = run(*stain)
    assert code == 2
    assert "add --axes zyx." in text
    code, text = run(*stain, "--axes", "zyx")
    assert code == 0, text
    made = read(tmp_path / "o.ome.tif")
    assert made.shape == data.shape
    assert made.metadata["input_chosen"] == {"axes": "zyx"}


def _several(path: Path, stack: np.ndarray) -> Path:
    with tifffile.TiffWriter(path, ome=True) as writer:
        writer.write(stack[0, ::4, ::4], metadata={"axes": "YX", "Name": "thumb"})
        writer.write(stack, metadata={"axes": "ZYX", "Name": "left"})
        writer.write(stack[:12], metadata={"axes": "ZYX", "Name": "right"})
    return path


def test_an_image_of_several_is_taken_with_a_word_or_chosen(
    specimen: Specimen, tmp_path: Path
) -> None:
    path, out = _several(tmp_path / "a.ome.tif", specimen.qpi.numpy()), tmp_path / "o.ome.tif"
    code, text = run("stain", path, out, "--spacing", SPACING)
    assert code == 0, text
    said = " ".join(text.split())
    assert "holds 3 images: 0 thumb" in said
    assert "Image 1 left" in said
    code, text = run("stain", path, out, "--spacing", SPACING, "--image", "right", "--overwrite")
    assert code == 0, text
    assert read(out).shape[0] == 12
    assert read(out).metadata["input_chosen"] == {"image": "right"}


def test_a_folder_of_stacks_is_a_batch_that_tells_what_failed(
    specimen: Specimen, tmp_path: Path
) -> None:
    source, out = tmp_path / "in", tmp_path / "out"
    stack = specimen.qpi.numpy()[:, :32, :32]
    write(source / "b.ome.tif", Volume(stack, specimen.qpi.spacing))
    _several(source / "c.ome.tif", stack)
    (source / "a.tif").write_bytes(b"no image at all")
    code, text = run("stain", source, out / "x.ome.tif")
    assert code == 2
    assert "name a folder" in text
    code, text = run("stain", source, out, "--spacing", SPACING)
    assert code == 1
    assert sorted(p.name for p in out.iterdir()) == [
        "b virtual DAPI.ome.zarr",
        "c left virtual DAPI.ome.zarr",
        "c right virtual DAPI.ome.zarr",
    ]
    words = " ".join(text.split())  # lines are broken where the paths of a computer are long
    assert "Stained 3 stacks" in words
    assert "1 failed" in words
    assert "a.tif is not a TIFF file" in words
    (source / "a.tif").unlink()
    code, text = run("stain", source, out, "--spacing", SPACING)
    assert code == 0, text
    assert "is there already" in text


def test_folders_that_are_no_batch_are_told(specimen: Specimen, tmp_path: Path) -> None:
    write(tmp_path / "p" / "qpi" / "a.ome.tif", specimen.qpi)
    write(tmp_path / "p" / "dapi" / "a.ome.tif", specimen.dapi)
    code, text = run("stain", tmp_path / "p", tmp_path / "out")
    assert code == 2
    assert "holds pairs: give its folder qpi" in text
    code, text = run("stain", tmp_path / "p" / "qpi", tmp_path / "p" / "qpi")
    assert code == 2
    assert "choose another folder" in text


def test_series_in_a_folder_of_planes_are_chosen_by_name(
    specimen: Specimen, tmp_path: Path
) -> None:
    folder = tmp_path / "planes"
    folder.mkdir()
    for z, plane in enumerate(specimen.qpi.numpy()[:, :32, :32]):
        for word in ("left", "right"):
            tifffile.imwrite(folder / f"{word}_z{z:02}.tif", plane)
    stain = ("stain", folder, tmp_path / "o.ome.tif", "--spacing", SPACING)
    code, text = run(*stain)
    assert code == 2
    assert "add --image left." in text
    code, text = run(*stain, "--image", "right")
    assert code == 0, text
    code, text = run("stain", folder, tmp_path / "all", "--spacing", SPACING)
    assert code == 0, text
    assert len(list((tmp_path / "all").iterdir())) == 2
