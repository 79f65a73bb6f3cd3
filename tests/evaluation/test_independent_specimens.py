"""The simulator that models are judged by and never trained on: its pairs fit, it is its own."""

from __future__ import annotations

import ast
from dataclasses import replace
from pathlib import Path

import independent_cells
import independent_optics
import independent_specimens
import numpy as np
import pytest
from independent_specimens import KINDS, specimen

from napari_llcm.evaluation import nuclear_auc


@pytest.mark.parametrize("kind", ["qpi-easy", "phase-contrast"])
def test_the_three_stacks_of_a_field_are_of_the_same_nuclei(kind: str) -> None:
    few = replace(KINDS[kind], scope=replace(KINDS[kind].scope, waves=4, finer=1))
    stack, dapi, labels = specimen(few, (16, 40, 48), seed=3)
    assert stack.shape == dapi.shape == labels.shape == (16, 40, 48)
    assert stack.std() > 0
    assert np.isfinite(stack).all()
    assert nuclear_auc(dapi, labels > 0) > 0.9
    again = specimen(few, (16, 40, 48), seed=3)
    assert all((a == b).all() for a, b in zip(again, (stack, dapi, labels), strict=True))
    assert (specimen(few, (16, 40, 48), seed=4)[2] != labels).any()


def test_it_shares_nothing_with_the_simulator_that_models_are_trained_on() -> None:
    for module in (independent_cells, independent_optics, independent_specimens):
        tree = ast.parse(Path(str(module.__file__)).read_text("utf-8"))
        taken = [
            ast.unparse(n) for n in ast.walk(tree) if isinstance(n, ast.Import | ast.ImportFrom)
        ]
        assert not [line for line in taken if "specimen" in line and "napari_llcm" in line]
        own = [line for line in taken if "napari_llcm" in line]
        assert own in ([], ["from napari_llcm import Volume, write"])
