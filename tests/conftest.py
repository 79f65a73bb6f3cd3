"""What every test gets: a home of its own, few threads, a small specimen."""

from __future__ import annotations

import os
from pathlib import Path

# Before torch and NumPy start their thread pools: small arrays on few cores gain nothing from many
# threads, and test processes that run side by side lose by them.
os.environ.setdefault("OMP_NUM_THREADS", "1")

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
