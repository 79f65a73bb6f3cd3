"""A workstation that ends with the test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from workstation import Workstation


@pytest.fixture
def workstation(tmp_path: Path) -> Iterator[Workstation]:
    made = Workstation(tmp_path, "--keys", tmp_path / "keys")
    yield made
    if made.process.poll() is None:
        made.end()
