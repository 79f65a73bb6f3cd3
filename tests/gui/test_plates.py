"""A plate in the Load panel: a grid of wells, whose fields open as layers; by mouse and keys."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from qtpy.QtCore import QPoint, Qt

from napari_llcm.evaluation.checking import Check
from napari_llcm.evaluation.checking_plates import check_plate
from napari_llcm.gui.load.panel import LoadPanel
from napari_llcm.gui.stain.panel import StainPanel
from napari_llcm.models import ModelBundle
from napari_llcm.nuclei import make_segmenter
from napari_llcm.staining import PlateOptions, StainOptions, stain_plate
from napari_llcm.volumes import plates as volume_plates
from napari_llcm.volumes import read
from plates import contents, make_plate, validate
from stains import make_model

pytestmark = pytest.mark.usefixtures("screen")
WELLS = ("A/1", "A/3", "B/2")


@pytest.fixture
def panel(make_napari_viewer_proxy: Any) -> LoadPanel:
    viewer = make_napari_viewer_proxy(show=True)
    made = LoadPanel(viewer)
    viewer.window.add_dock_widget(made, name="Load")
    return made


@pytest.fixture(scope="module")
def model() -> ModelBundle:
    return make_model()


def wait(panel: LoadPanel, qtbot: Any) -> None:
    qtbot.waitUntil(lambda: not panel.runner.running, timeout=60_000)


def names(panel: LoadPanel) -> list[str]:
    return [layer.name for layer in panel._viewer.layers]


def cells(panel: LoadPanel) -> list[list[str]]:
    grid = panel.form.plate.grid
    return [
        [grid.item(r, c).text() for c in range(grid.columnCount())] for r in range(grid.rowCount())
    ]


def click(panel: LoadPanel, qtbot: Any, row: int, column: int) -> None:
    grid = panel.form.plate.grid
    place = grid.visualItemRect(grid.item(row, column)).center()
    qtbot.mouseClick(grid.viewport(), Qt.MouseButton.LeftButton, pos=QPoint(place))
    wait(panel, qtbot)


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_wells_are_a_grid_and_a_click_opens_a_field(
    panel: LoadPanel, qtbot: Any, tmp_path: Path, version: str
) -> None:
    path = make_plate(tmp_path / "p.zarr", version, wells=WELLS, fields=("0", "1"))
    before = contents(path)
    panel.open_folder(path)
    wait(panel, qtbot)
    browser = panel.form.plate
    assert browser.isVisible()
    assert "p: 3 wells, 2 rows × 3 columns" in browser.about.text()
    assert cells(panel) == [["·", "", "·"], ["", "·", ""]]
    assert names(panel) == []  # no field is opened to show the grid
    click(panel, qtbot, 1, 0)  # there is no such well
    assert not browser.fields.isVisible()
    click(panel, qtbot, 1, 1)
    listed = [browser.fields.item(i).text() for i in range(browser.fields.count())]
    assert listed == ["B/2/0", "B/2/1"]
    place = browser.fields.visualItemRect(browser.fields.item(1)).center()
    qtbot.mouseClick(browser.fields.viewport(), Qt.MouseButton.LeftButton, pos=place)
    wait(panel, qtbot)
    assert names(panel) == ["B/2/1 Phase3D", "B/2/1 GFP"]
    phase = panel._viewer.layers[0]
    assert phase.axis_labels == ("t", "z", "y", "x")
    np.testing.assert_allclose(phase.scale, (1, 0.5, 0.25, 0.25))
    given = read(path, image="B/2/1").numpy()
    np.testing.assert_array_equal(np.asarray(phase.data), given[:, 0])
    assert contents(path) == before


def test_the_keys_lead_to_a_field_and_back(panel: LoadPanel, qtbot: Any, tmp_path: Path) -> None:
    panel.open_folder(make_plate(tmp_path / "p.zarr", wells=WELLS, fields=("0", "1")))
    wait(panel, qtbot)
    grid, fields = panel.form.plate.grid, panel.form.plate.fields
    assert (grid.currentRow(), grid.currentColumn()) == (0, 0)  # the first well
    for key in (Qt.Key.Key_Down, Qt.Key.Key_Right, Qt.Key.Key_Return):
        qtbot.keyClick(grid, key)
    wait(panel, qtbot)
    assert fields.item(0).text() == "B/2/0"
    assert fields.currentRow() == 0
    qtbot.keyClick(fields, Qt.Key.Key_Down)
    qtbot.keyClick(fields, Qt.Key.Key_Return)
    wait(panel, qtbot)
    assert names(panel) == ["B/2/1 Phase3D", "B/2/1 GFP"]
    assert not grid.tabKeyNavigation()  # the tab key leads out of the grid
    assert grid.nextInFocusChain() is not None


def test_the_next_field_takes_the_place_of_the_last_one(
    panel: LoadPanel, qtbot: Any, tmp_path: Path
) -> None:
    panel.open_folder(make_plate(tmp_path / "p.zarr", wells=WELLS, fields=("0",)))
    wait(panel, qtbot)
    panel._viewer.add_points(np.zeros((1, 3)), name="mine")
    click(panel, qtbot, 0, 0)  # a well of one field: it is opened at once
    wait(panel, qtbot)
    assert names(panel) == ["mine", "A/1/0 Phase3D", "A/1/0 GFP"]
    click(panel, qtbot, 0, 2)
    wait(panel, qtbot)
    assert names(panel) == ["mine", "A/3/0 Phase3D", "A/3/0 GFP"]
    panel.form.plate.keep.setChecked(True)
    panel.form.channel.setText("GFP")
    click(panel, qtbot, 1, 1)
    wait(panel, qtbot)
    assert names(panel) == ["mine", "A/3/0 Phase3D", "A/3/0 GFP", "B/2/0 GFP"]


def test_stains_and_counts_beside_a_plate_are_shown(
    panel: LoadPanel, qtbot: Any, tmp_path: Path, model: ModelBundle
) -> None:
    path = make_plate(tmp_path / "p.zarr", wells=WELLS, fields=("0", "1"))
    options = StainOptions(device="cpu", check=False)
    (result,) = [e.result for e in stain_plate(path, None, model, options) if e.kind == "finished"]
    check = Check(Path(result["out"]), tmp_path / "p nuclei", diameter=4.0)
    list(check_plate(check, make_segmenter("classical")))
    (tmp_path / "p virtual DAPI.zarr" / "A" / "1" / "1").rename(tmp_path / "away")
    panel.open_folder(path)
    wait(panel, qtbot)
    browser = panel.form.plate
    assert "Stained: p virtual DAPI.zarr" in browser.about.text()
    assert "Nuclei: p nuclei" in browser.about.text()
    shown = cells(panel)
    assert shown[0][1] == ""
    assert all(shown[r][c].isdigit() for r, c in ((0, 0), (0, 2), (1, 1)))
    assert "in 4 stacks of 2 fields" in browser.grid.item(0, 0).toolTip()
    click(panel, qtbot, 0, 0)
    listed = [browser.fields.item(i).text() for i in range(browser.fields.count())]
    assert listed == ["A/1/0, stained", "A/1/1"]
    qtbot.keyClick(browser.fields, Qt.Key.Key_Return)
    wait(panel, qtbot)
    assert names(panel) == ["A/1/0 Phase3D", "A/1/0 GFP", "A/1/0 virtual DAPI"]
    looks = [layer.colormap.name for layer in panel._viewer.layers]
    assert looks == ["gray", "gray", "bop blue"]
    # the plate of results itself: what it names and has not is said
    panel.open_folder(tmp_path / "p virtual DAPI.zarr")
    wait(panel, qtbot)
    click(panel, qtbot, 0, 0)
    assert browser.fields.item(1).text() == "A/1/1, not there yet"
    assert not browser.fields.item(1).flags() & Qt.ItemFlag.ItemIsEnabled


def test_of_channels_that_went_along_only_the_predicted_one_looks_so(
    panel: LoadPanel, qtbot: Any, tmp_path: Path, model: ModelBundle
) -> None:
    path = make_plate(tmp_path / "p.zarr", wells=("A/1",), fields=("0",))
    plates = PlateOptions(plate_channels="all")
    options = StainOptions(device="cpu", check=False)
    list(stain_plate(path, tmp_path / "o.zarr", model, options, plates=plates))
    panel.open_folder(tmp_path / "o.zarr")
    wait(panel, qtbot)
    click(panel, qtbot, 0, 0)
    wait(panel, qtbot)
    looks = {layer.name: layer.colormap.name for layer in panel._viewer.layers}
    assert looks == {
        "A/1/0 Phase3D": "gray",
        "A/1/0 GFP": "gray",
        "A/1/0 dapi_prediction": "bop blue",
    }


def test_a_large_plate_is_shown_without_a_look_into_its_wells(
    panel: LoadPanel, qtbot: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """384 wells: one file is read, whatever the number of fields."""
    path = make_plate(tmp_path / "p.zarr", wells=("A/1",), fields=("0",))
    wells = [f"{chr(65 + r)}/{c + 1}" for r in range(16) for c in range(24)]
    told: Any = volume_plates.attributes_at(path)
    told["plate"] |= {"wells": [{"path": w} for w in wells[::-1]], "rows": [], "columns": []}
    looked: list[Path] = []
    real = volume_plates.attributes_at

    def counted(at: Path) -> Any:
        looked.append(at)
        return told if at == path else real(at)

    monkeypatch.setattr(volume_plates, "attributes_at", counted)
    panel.open_folder(path)
    wait(panel, qtbot)
    header = panel.form.plate.grid.horizontalHeaderItem
    assert [header(i).text() for i in range(24)] == [str(i + 1) for i in range(24)]  # 2 before 10
    assert panel.form.plate.grid.rowCount() == 16
    assert panel.form.plate.grid.columnCount() == 24
    assert set(looked) == {path}


def test_a_plate_that_is_dropped_is_browsed(
    make_napari_viewer_proxy: Any, qtbot: Any, tmp_path: Path
) -> None:
    viewer = make_napari_viewer_proxy(show=True)
    path = make_plate(tmp_path / "p.zarr", wells=WELLS)
    viewer.open(str(path), plugin="napari-llcm")
    panel = LoadPanel(viewer)  # the viewer's own, shown in the workbench
    wait(panel, qtbot)
    assert panel.form.plate.grid.rowCount() == 2
    assert len(viewer.layers) == 0


def test_a_damaged_well_is_said(panel: LoadPanel, qtbot: Any, tmp_path: Path) -> None:
    path = make_plate(tmp_path / "p.zarr", "0.5", wells=WELLS)
    (path / "A" / "1" / "zarr.json").write_text("{")
    panel.open_folder(path)
    wait(panel, qtbot)
    click(panel, qtbot, 0, 0)
    assert "damaged" in panel.bar.said
    click(panel, qtbot, 1, 1)
    assert panel.form.plate.fields.count() == 2


@pytest.mark.usefixtures("small_model")
def test_a_plate_is_stained_as_a_folder_is(
    make_napari_viewer_proxy: Any, qtbot: Any, tmp_path: Path
) -> None:
    viewer = make_napari_viewer_proxy(show=True)
    stain = StainPanel(viewer)
    viewer.window.add_dock_widget(stain, name="Stain")
    path = make_plate(tmp_path / "p.zarr", wells=("A/1",), fields=("0",), channels=("BF", "GFP"))
    batch, out = stain.form.batch, tmp_path / "out"
    batch.source.setText(str(path))
    batch.out.setText(str(out))
    batch.stain_folder.click()
    qtbot.waitUntil(lambda: not stain.runner.running, timeout=60_000)
    assert "BF as Channel below the folders" in stain.bar.said
    assert not out.exists()
    batch.channel.setText("BF")
    batch.stain_folder.click()
    qtbot.waitUntil(lambda: not stain.runner.running, timeout=60_000)
    assert "Stacks written: 1" in stain.bar.said
    made = out / "p virtual DAPI.zarr"
    validate(made)
    assert read(made, image="A/1/0").shape == (2, 8, 32, 32)
