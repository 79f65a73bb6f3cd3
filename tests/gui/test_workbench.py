"""The plugin as napari offers it: menus, widgets, preferences."""

from __future__ import annotations

import gc
import time
from pathlib import Path
from typing import Any

import pytest

from napari_llcm.events import Finished, Job, Progress, ShouldStop
from napari_llcm.gui.settings import Preferences, preferences, recall, remember
from napari_llcm.gui.workbench import PANELS
from napari_llcm.models.library import DEFAULT_MODEL
from napari_llcm.specimen import Specimen

pytestmark = [pytest.mark.versions, pytest.mark.usefixtures("screen")]
ROOT = Path(__file__).parents[2]


def test_the_workbench_opens_from_the_menu_with_a_tab_for_each_verb(
    make_napari_viewer_proxy: Any,
) -> None:
    viewer = make_napari_viewer_proxy()
    _, bench = viewer.window.add_plugin_dock_widget("napari-llcm", "Virtual staining (LLCM)")
    tabs = bench.tabs
    assert [tabs.tabText(i) for i in range(tabs.count())] == list(PANELS)
    for i, name in enumerate(PANELS):
        panel = bench.show_panel(name)
        assert tabs.currentIndex() == i
        assert type(panel).__name__ == f"{name}Panel"
        assert bench.show_panel(name) is panel


def test_nothing_is_wider_than_the_dock_of_a_small_window(
    make_napari_viewer_proxy: Any, specimen: Specimen, qtbot: Any
) -> None:
    viewer = make_napari_viewer_proxy(show=True)
    viewer.window.resize(1280, 800)
    _, bench = viewer.window.add_plugin_dock_widget("napari-llcm", "Virtual staining (LLCM)")
    for volume in (specimen.qpi, specimen.dapi):
        viewer.add_image(volume.numpy(), name=volume.name, scale=volume.spacing, units="um")
    load = bench.show_panel("Load")
    load.form.registration.check.click()
    qtbot.waitUntil(lambda: not load.runner.running, timeout=60_000)
    assert load.form.registration.figure.isVisible()
    for i, name in enumerate(PANELS):
        bench.show_panel(name)
        qtbot.wait(50)
        assert bench.tabs.widget(i).horizontalScrollBar().maximum() == 0, name


@pytest.mark.parametrize("name", PANELS)
def test_each_panel_opens_alone(make_napari_viewer_proxy: Any, name: str) -> None:
    viewer = make_napari_viewer_proxy()
    _, panel = viewer.window.add_plugin_dock_widget("napari-llcm", name)
    assert type(panel).__name__ == f"{name}Panel"


def _endless(stop: ShouldStop) -> Job:
    while not stop():
        yield Progress(done=1, total=2, eta=3.0, text="working")
        time.sleep(0.01)
    yield Finished(result={"stopped": True})


@pytest.mark.parametrize("reopened", ["Virtual staining (LLCM)", "Stain"])
@pytest.mark.parametrize("opened", ["Virtual staining (LLCM)", "Stain"])
def test_a_job_goes_on_when_its_dock_is_closed_and_is_shown_again(
    make_napari_viewer_proxy: Any, qtbot: Any, opened: str, reopened: str
) -> None:
    viewer = make_napari_viewer_proxy(show=True)

    def open_panel(name: str) -> tuple[Any, Any]:
        dock, widget = viewer.window.add_plugin_dock_widget("napari-llcm", name)
        return dock, widget if name == "Stain" else widget.show_panel("Stain")

    dock, panel = open_panel(opened)
    ended: list[Any] = []
    panel.runner.start(_endless, "work", then=ended.append)
    qtbot.waitUntil(lambda: "left" in panel.bar.text.text(), timeout=5000)
    dock.destroyOnClose()  # what the x in its title calls
    del dock, panel
    gc.collect()
    qtbot.wait(100)
    _, panel = open_panel(reopened)
    assert panel.runner.running
    assert "working" in panel.bar.text.text()
    qtbot.waitUntil(panel.bar.cancel.isVisible, timeout=5000)
    panel.bar.cancel.click()
    qtbot.waitUntil(lambda: bool(ended), timeout=1000)


def test_a_panel_is_there_once_and_goes_where_it_is_asked_for(
    make_napari_viewer_proxy: Any, qtbot: Any
) -> None:
    viewer = make_napari_viewer_proxy(show=True)
    _, bench = viewer.window.add_plugin_dock_widget("napari-llcm", "Virtual staining (LLCM)")
    in_tab = bench.show_panel("Check")
    _, alone = viewer.window.add_plugin_dock_widget("napari-llcm", "Check")
    assert alone is in_tab
    assert not bench.isAncestorOf(alone)
    qtbot.waitUntil(alone.isVisible, timeout=5000)
    assert bench.show_panel("Check") is alone
    assert bench.isAncestorOf(alone)
    qtbot.waitUntil(alone.isVisible, timeout=5000)
    docks = viewer.window.dock_widgets
    assert [name for name in docks if "Check" in name] == []  # an empty dock would be left


def test_each_viewer_has_panels_of_its_own(make_napari_viewer_proxy: Any) -> None:
    panels = []
    for _ in range(2):
        viewer = make_napari_viewer_proxy()
        panels.append(viewer.window.add_plugin_dock_widget("napari-llcm", "Load")[1])
    assert panels[0] is not panels[1]


def test_a_new_model_is_known_to_the_stain_panel_whenever_it_opens(
    make_napari_viewer_proxy: Any, small_model: Path
) -> None:
    from napari_llcm.gui.session import session_of

    viewer = make_napari_viewer_proxy()
    _, bench = viewer.window.add_plugin_dock_widget("napari-llcm", "Virtual staining (LLCM)")
    remember("stain", model=DEFAULT_MODEL)
    session = session_of(viewer)
    session.add_model("small")  # before the Stain panel is made
    combo = bench.show_panel("Stain").form.model.combo
    assert combo.currentData() == "small"
    combo.setCurrentIndex(combo.findData(DEFAULT_MODEL))
    session.add_model("small")
    assert combo.currentData() == "small"


def test_preferences_are_those_of_napari(make_napari_viewer_proxy: Any) -> None:
    from napari.settings import get_plugin_settings

    assert preferences() == Preferences()
    page = get_plugin_settings("napari-llcm").general
    page.device = "cpu"
    try:
        assert preferences().device == "cpu"
    finally:
        page.device = "auto"


def test_forms_are_remembered_and_a_damaged_file_is_no_harm(own_home: Path) -> None:
    remember("a", x=1, y=[1, 2])
    remember("b", z=3)
    remember("a", x=2)
    assert recall("a") == {"x": 2, "y": [1, 2]}
    (file,) = own_home.rglob("forms.json")
    file.write_text("{", encoding="utf-8")
    assert recall("a") == {}
    remember("a", x=4)
    assert recall("a") == {"x": 4}


def test_the_manifest_is_at_the_top_level() -> None:
    link = ROOT / "napari.yaml"
    assert link.resolve() == ROOT / "src" / "napari_llcm" / "napari.yaml"
