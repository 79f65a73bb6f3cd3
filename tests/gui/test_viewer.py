"""napari opens, shows and saves volumes with their scale."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Image, Labels, Layer

from napari_llcm.events import UserError
from napari_llcm.gui.layers.conversion import as_layers, as_volume
from napari_llcm.gui.viewer import has_screen, open_viewer, verdict_layers
from napari_llcm.specimen import Specimen
from napari_llcm.volumes import Volume, read, write

pytestmark = pytest.mark.versions
SPACING = (0.5, 0.25, 0.2)


@pytest.fixture
def viewer() -> ViewerModel:
    """A viewer without a window, which knows the plugin's manifest."""
    from npe2 import PluginManager

    PluginManager.instance().discover()
    return ViewerModel()


def _stack(**fields: Any) -> Volume:
    data = np.arange(4 * 8 * 10, dtype=np.uint16).reshape(4, 8, 10)
    return Volume(data, **{"spacing": SPACING, "name": "stack", **fields})


@pytest.mark.parametrize("name", ["a.ome.tif", "a.ome.zarr", "a.nii.gz"])
def test_a_file_opens_at_its_place_in_micrometres(
    viewer: ViewerModel, tmp_path: Path, name: str
) -> None:
    origin = (3.0, 2.0, 1.0) if name != "a.nii.gz" else (0.0, 0.0, 0.0)
    path = write(tmp_path / name, _stack(origin=origin))
    (layer,) = viewer.open(str(path), plugin="napari-llcm")
    assert isinstance(layer, Image)
    assert layer.name == "a"
    np.testing.assert_allclose(layer.scale, SPACING)
    np.testing.assert_allclose(layer.translate, origin)
    assert {str(unit) for unit in layer.units} == {"micrometer"}
    assert layer.axis_labels == ("z", "y", "x")
    np.testing.assert_array_equal(np.asarray(layer.data), _stack().numpy())


def test_a_dropped_file_looks_as_the_load_panel_opens_it(
    viewer: ViewerModel, specimen: Specimen, tmp_path: Path
) -> None:
    both = np.stack([specimen.qpi.numpy(), specimen.dapi.numpy()]).astype(np.float32)
    pair = specimen.qpi.replace(data=both, axes="czyx", channels=("phase", "DAPI"))
    phase, real = viewer.open(str(write(tmp_path / "a.ome.tif", pair)), plugin="napari-llcm")
    record = {"made_by": "napari-llcm", "model": "small"}
    made = specimen.dapi.replace(metadata=record)
    (virtual,) = viewer.open(str(write(tmp_path / "b.ome.tif", made)), plugin="napari-llcm")
    assert phase.colormap.name == "gray"
    low, high = phase.contrast_limits  # as far below as above the background
    assert low < np.median(specimen.qpi.numpy()) < high
    assert len({phase.colormap.name, real.colormap.name, virtual.colormap.name}) == 3
    assert real.blending == virtual.blending == "additive"


def test_an_unknown_spacing_stays_unknown(viewer: ViewerModel, tmp_path: Path) -> None:
    path = write(tmp_path / "a.tif", _stack(spacing=None))
    (layer,) = viewer.open(str(path), plugin="napari-llcm")
    assert {str(unit) for unit in layer.units} == {"pixel"}
    assert as_volume(*layer.as_layer_data_tuple()[:2]).spacing is None


def test_channels_become_layers_with_their_names() -> None:
    data = np.arange(2 * 3 * 4 * 5 * 6).reshape(2, 3, 4, 5, 6)
    volume = Volume(data, SPACING, "tczyx", name="cells", channels=("phase", "DAPI", "lamin"))
    layers = [Layer.create(*one) for one in as_layers(volume)]
    assert [layer.name for layer in layers] == ["cells phase", "cells DAPI", "cells lamin"]
    np.testing.assert_array_equal(layers[1].data, data[:, 1])
    np.testing.assert_allclose(layers[1].scale, (1, *SPACING))


def test_labels_open_as_labels_and_keep_to_themselves(
    viewer: ViewerModel, specimen: Specimen, tmp_path: Path
) -> None:
    path = write(tmp_path / "labels.ome.tif", specimen.labels, labels=True)
    (layer,) = viewer.open(str(path), plugin="napari-llcm")
    assert isinstance(layer, Labels)
    (saved,) = layer.save(str(tmp_path / "again.ome.zarr"), plugin="napari-llcm")
    np.testing.assert_array_equal(read(saved).numpy(), specimen.labels.numpy())


@pytest.mark.parametrize("name", ["saved.ome.tif", "saved.ome.zarr"])
def test_a_layer_is_saved_with_scale_place_and_record(tmp_path: Path, name: str) -> None:
    made = _stack(origin=(3.0, 2.0, 1.0), metadata={"model": "small"})
    (layer,) = (Layer.create(*one) for one in as_layers(made))
    (path,) = layer.save(str(tmp_path / name), plugin="napari-llcm")
    back = read(path)
    assert back.spacing == pytest.approx(SPACING)
    assert back.origin == pytest.approx((3.0, 2.0, 1.0))
    assert back.metadata["model"] == "small"
    np.testing.assert_array_equal(back.numpy(), made.numpy())


def test_lengths_of_any_unit_and_axes_of_any_order_are_understood() -> None:
    layer = Image(
        np.zeros((10, 4, 8)),
        scale=(200, 500, 250),
        units=("nm", "nm", "nm"),
        axis_labels=("x", "z", "y"),
    )
    volume = as_volume(*layer.as_layer_data_tuple()[:2])
    assert volume.shape == (4, 8, 10)
    assert volume.spacing == pytest.approx((0.5, 0.25, 0.2))


def test_the_finest_level_of_a_pyramid_is_taken() -> None:
    levels = [np.zeros((4, 8, 8)), np.zeros((2, 4, 4))]
    layer = Image(levels, multiscale=True, scale=(0.5, 0.25, 0.25))
    volume = as_volume(*layer.as_layer_data_tuple()[:2])
    assert (volume.shape, volume.spacing) == ((4, 8, 8), (0.5, 0.25, 0.25))


@pytest.mark.parametrize(
    ("layer", "says"),
    [
        (Image(np.zeros((8, 8, 3), np.uint8), rgb=True, name="photo"), "photo is a colour"),
        (Image(np.zeros((4, 8, 8)), shear=(1, 0, 0), name="sheared"), "sheared is sheared"),
        (
            Image(
                np.zeros((2, 4, 8, 8)),
                rotate=np.roll(np.eye(4), 1, 0),
                name="turned",
                axis_labels=tuple("tzyx"),
            ),
            "turned is sheared or transformed",
        ),
    ],
)
def test_what_a_volume_cannot_hold_is_refused(layer: Image, says: str) -> None:
    with pytest.raises(UserError, match=says):
        as_volume(*layer.as_layer_data_tuple()[:2])


def test_the_sample_is_a_pair_with_its_truth(viewer: ViewerModel) -> None:
    phase, dapi, nuclei = viewer.open_sample("napari-llcm", "simulated-pair")
    assert isinstance(nuclei, Labels)
    assert phase.data.shape == dapi.data.shape == nuclei.data.shape
    assert {str(unit) for unit in phase.units} == {"micrometer"}
    assert dapi.data[nuclei.data > 0].mean() > 2 * dapi.data[nuclei.data == 0].mean()


def test_each_verdict_is_a_layer_of_its_nuclei(specimen: Specimen) -> None:
    from napari_llcm.events import result_of
    from napari_llcm.nuclei import compare_nuclei

    truth = specimen.labels.numpy()
    found = np.where(truth == 1, 0, truth)  # nucleus 1 is missed
    found[0, 0, 0] = made_up = truth.max() + 1
    comparison = result_of(
        compare_nuclei(specimen.labels, specimen.labels.replace(data=found, name="found labels"))
    )
    shown = {a["name"]: Layer.create(d, a, k) for d, a, k in verdict_layers(comparison)}
    assert set(shown) == {"found", "missed", "hallucinated"}
    np.testing.assert_array_equal(shown["missed"].data > 0, truth == 1)
    np.testing.assert_array_equal(shown["found"].data > 0, truth > 1)
    assert set(np.unique(shown["hallucinated"].data)) == {0, made_up}


def test_a_window_opens_and_shows_the_specimen(
    screen: None, specimen: Specimen, qtbot: Any
) -> None:
    layers = [*as_layers(specimen.qpi), *as_layers(specimen.labels, "labels", name="nuclei")]
    viewer = open_viewer(layers, "a test")
    try:
        assert [layer.name for layer in viewer.layers] == ["QPI", "nuclei"]
        assert viewer.dims.current_step[0] == 8
        picture = viewer.screenshot(canvas_only=True, flash=False)
        assert len(np.unique(picture.reshape(-1, 4), axis=0)) > 20
    finally:
        viewer.close()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="elsewhere there is always one")
def test_no_screen_is_told_without_a_crash(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    monkeypatch.delenv("QT_QPA_PLATFORM", raising=False)
    monkeypatch.delenv("DISPLAY", raising=False)
    assert not has_screen()
    monkeypatch.setenv("DISPLAY", ":987")  # nobody listens there
    assert not has_screen()
