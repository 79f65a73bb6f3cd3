"""What is told of held-out volumes while a model trains."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest
import torch

from napari_llcm.events import Step
from napari_llcm.tasks import Task
from napari_llcm.tasks.normalise import Scaling
from napari_llcm.tasks.registry import SUPERRES, SUPERRES_CT
from napari_llcm.training.validation import Validator
from stains import make_model


def figures(task: Task, off: float, folder: Path) -> dict[str, float]:
    """Return what is told of a block of tissue in air whose input is `off` HU too bright."""
    model = make_model(task=task)
    window = Scaling(low=-160, high=240)
    model.info.scalings = {"thick": window, "thin": window}
    hu = np.full((12, 32, 32), -1000, np.float32)
    hu[:, 8:24, 8:24] = 50
    hu[:, 12:16, 12:16] = 120
    channel = task.outputs[0]
    real, thick = (
        torch.from_numpy(channel.intensity.apply(v, window))[None] for v in (hu, hu + off)
    )
    between = torch.from_numpy(task.seen_beside(0, hu.shape))
    item = {"inputs": torch.cat([thick, between]), "outputs": real}
    validator = Validator(model.networks, [item], model.info, nullcontext, torch.device("cpu"))
    (told,) = (e for e in validator.run("consistency", 1, folder) if isinstance(e, Step))
    return told.values


def test_the_error_of_a_ct_is_told_in_hu_within_the_body(tmp_path: Path) -> None:
    told = figures(SUPERRES_CT, 30, tmp_path)
    assert told["val_interpolated_mae_HU"] == pytest.approx(30, rel=1e-3)
    assert told["val_mae_HU"] > 0
    assert told["val_psnr"] > 0


def test_intensities_without_a_unit_have_no_such_error(tmp_path: Path) -> None:
    assert not any("mae" in name for name in figures(SUPERRES, 30, tmp_path))
