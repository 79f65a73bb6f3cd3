"""Models of strangers: their names, numbers and archives must do no harm."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from napari_llcm.events import UserError
from napari_llcm.models import (
    ConsistencyConfig,
    ModelInfo,
    NetworkConfig,
    export_model,
    import_model,
    list_models,
    load_bundle,
    read_info,
    save_bundle,
)
from napari_llcm.models.library import keep_model, user_folder
from napari_llcm.models.stainer import StainerNetworks
from napari_llcm.tasks.normalise import Scaling
from napari_llcm.volumes.sole_writer import sole_writer

pytestmark = pytest.mark.versions
SMALL = NetworkConfig(
    encoder_widths=(8, 8), decoder_widths=(8, 8), condition_widths=(8, 8), unet_widths=(8, 8)
)


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    info = ModelInfo(name="x", network=SMALL, dapi=Scaling(low=0, high=1))
    networks = StainerNetworks(SMALL, ConsistencyConfig())
    return save_bundle(tmp_path / "bundle", info, networks)


def _changed(bundle: Path, change: dict[str, Any]) -> Path:
    """Change fields of model.json, by their path with dots."""
    content = json.loads((bundle / "model.json").read_text())
    for path, value in change.items():
        *way, last = path.split(".")
        place = content
        for part in way:
            place = place[part]
        place[last] = value
    (bundle / "model.json").write_text(json.dumps(content))
    return bundle


@pytest.mark.parametrize("name", ["../../../Documents", "/Documents", "..", "a/b", "a\\b", "CON"])
def test_the_name_of_a_model_leads_nowhere_else(bundle: Path, own_home: Path, name: str) -> None:
    kept = own_home / "Documents" / "thesis.txt"
    kept.parent.mkdir()
    kept.write_text("mine")
    _changed(bundle, {"name": name})
    with pytest.raises(UserError, match="name of the model"):
        import_model(bundle, overwrite=True)
    with pytest.raises(UserError, match="name of the model"):
        keep_model(bundle, name)
    assert kept.read_text() == "mine"
    assert import_model(bundle, name="fine").parent == user_folder()


def test_a_folder_that_is_no_model_is_not_replaced_by_one(bundle: Path) -> None:
    kept = user_folder() / "x" / "notes.txt"
    kept.parent.mkdir(parents=True)
    kept.write_text("mine")
    with pytest.raises(UserError, match="holds no model"):
        import_model(bundle, overwrite=True)
    assert kept.read_text() == "mine"


@pytest.mark.parametrize(
    "change",
    [
        {"scalings.dapi.low": float("nan")},
        {"scalings.dapi.high": float("inf")},
        {"scalings.dapi.high": -1.0},
        {"spacing": [0.0, 1.0, 1.0]},
        {"spacing": [float("nan"), 1.0, 1.0]},
        {"consistency.sigma_max": float("inf")},
        {"consistency.sigma_min": 0.0},
        {"network.unet_widths": [10**9, 10**9]},
        {"network.unet_widths": [8] * 100},
        {"network.latent_channels": 10**9},
        {"network.unet_blocks": -1},
        {"network.factor": [2, 2**40, 2**40]},
        {"network.encoder_widths": [4096, 4096]},  # allowed, but not what the weights are
    ],
)
def test_numbers_that_cannot_be_are_refused_in_words(bundle: Path, change: dict[str, Any]) -> None:
    with pytest.raises(UserError, match="get the model again"):
        load_bundle(_changed(bundle, change))


def test_weights_that_are_no_numbers_are_refused(bundle: Path) -> None:
    weights = load_file(bundle / "weights.safetensors")
    name = next(iter(weights))
    for value in (float("nan"), float("inf")):
        weights[name].view(-1)[0] = value
        save_file(weights, bundle / "weights.safetensors")
        with pytest.raises(UserError, match="no numbers"):
            load_bundle(bundle)
        with pytest.raises(UserError, match="no numbers"):
            import_model(bundle)


def test_weights_beyond_all_numbers_are_not_written(tmp_path: Path) -> None:
    info = ModelInfo(name="x", network=SMALL, dapi=Scaling(low=0, high=1))
    networks = StainerNetworks(SMALL, ConsistencyConfig())
    with torch.no_grad():
        next(networks.parameters()).fill_(1e6)  # more than a float16 holds
    with pytest.raises(UserError, match="beyond all numbers"):
        save_bundle(tmp_path / "new", info, networks)
    assert list(tmp_path.iterdir()) == []


def test_a_figure_that_was_not_measured_does_no_harm(bundle: Path) -> None:
    assert read_info(_changed(bundle, {"metrics": {"f1": None, "psnr": 20.0}})).metrics == {
        "psnr": 20.0
    }


@pytest.mark.parametrize("member", ["../evil.txt", "/evil.txt", "a/../../evil", "C:/evil", "link"])
def test_an_archive_that_leads_out_of_its_folder_is_refused(
    bundle: Path, tmp_path: Path, member: str
) -> None:
    packed = export_model(bundle, tmp_path / "x.zip")
    with zipfile.ZipFile(packed, "a") as archive:
        entry = zipfile.ZipInfo(member)
        if member == "link":
            entry.external_attr = 0o120777 << 16
        archive.writestr(entry, "/etc/passwd")
    with pytest.raises(UserError, match="leads out of the model"):
        import_model(packed)
    assert "x" not in list_models()


def test_a_model_is_not_imported_or_exported_onto_itself(bundle: Path) -> None:
    mine = import_model(bundle)
    with pytest.raises(UserError, match="is the input"):
        import_model(mine, overwrite=True)
    with pytest.raises(UserError, match="inside the input"):
        export_model(bundle, bundle / "x.zip")
    assert load_bundle(mine)


def test_a_model_that_is_being_written_is_left_alone(bundle: Path) -> None:
    with (
        sole_writer(user_folder() / "x"),
        pytest.raises(UserError, match="being written by another process"),
    ):
        import_model(bundle)


def test_a_damaged_model_does_not_hide_the_others(bundle: Path) -> None:
    (import_model(bundle) / "model.json").write_text("{")
    done = subprocess.run(
        [sys.executable, "-m", "napari_llcm", "model", "list"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "damaged" in done.stdout
    assert "specimen-v6" in done.stdout


def test_a_home_that_cannot_be_written_is_told_in_a_sentence(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "file" / "home"))
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path / "file" / "home"))
    with pytest.raises(UserError, match="cannot be written"):
        import_model(bundle)
    done = subprocess.run(
        [sys.executable, "-m", "napari_llcm", "model", "list"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
