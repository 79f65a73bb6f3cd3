"""The plugin as napari offers it: menus, widgets, preferences."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from napari_llcm.gui.settings import Preferences, preferences, recall, remember
from napari_llcm.gui.workbench import PANELS
from napari_llcm.models.library import DEFAULT_MODEL

pytestmark = pytest.mark.usefixtures("screen")
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


@pytest.mark.parametrize("name", PANELS)
def test_each_panel_opens_alone(make_napari_viewer_proxy: Any, name: str) -> None:
    viewer = make_napari_viewer_proxy()
    _, panel = viewer.window.add_plugin_dock_widget("napari-llcm", name)
    assert type(panel).__name__ == f"{name}Panel"


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
