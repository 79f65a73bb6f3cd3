"""What every test gets: a home of its own, few threads, a small specimen."""

from __future__ import annotations

import os
import sys
from pathlib import Path

# Before torch and NumPy start their thread pools: small arrays on few cores gain nothing from many
# threads, and test processes that run side by side lose by them.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# Without a screen Qt would end the process; so it can make widgets, though no OpenGL.
if sys.platform.startswith("linux") and not {"DISPLAY", "WAYLAND_DISPLAY"} & set(os.environ):
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

import pytest

from napari_llcm.specimen import Specimen, make_specimen


@pytest.fixture(autouse=True)
def own_home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Keep tests away from the user's settings, model library and caches."""
    home = tmp_path_factory.mktemp("home")
    for name in ("HOME", "USERPROFILE", "LOCALAPPDATA", "APPDATA"):
        monkeypatch.setenv(name, str(home))
    for name in ("XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "TORCH_HOME"):
        monkeypatch.setenv(name, str(home / name.lower()))
    return home


@pytest.fixture(scope="session")
def specimen() -> Specimen:
    """A small specimen that several tests look at and none changes."""
    return make_specimen(size=(16, 64, 64), seed=3, difficulty="easy")


@pytest.fixture(scope="session")
def screen() -> None:
    """Tests of whole windows need a screen with OpenGL; `.ci/run` gives them a virtual one."""
    from napari_llcm.gui.viewer import has_screen

    if not has_screen():
        pytest.skip("needs a screen: run xvfb-run -a pytest")
