"""The width of nuclei, told from what the phase encoder makes of a stack at several scales."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from napari_llcm.evaluation.width_fit import Tried, fit_width
from napari_llcm.events import Finished, UserError
from napari_llcm.models import ModelBundle, load_bundle, save_bundle
from napari_llcm.models.width_model import agreed
from napari_llcm.staining.estimate_width import (
    FirstLook,
    WidthEstimate,
    estimate_nucleus_width,
    estimate_width,
    telling_width,
    widths_to_try,
)
from napari_llcm.staining.options import StainOptions
from napari_llcm.volumes import Volume
from stains import make_model

SPACING = (0.5, 0.25, 0.25)


def discs(width: float, kind: str, seed: int) -> Volume:
    """Return a stack of discs so many pixels wide, on a cloudy ground with noise."""
    rng = np.random.default_rng(seed)
    shape, step = (6, 112, 112), int(1.5 * width)
    plane = np.zeros(shape[1:])
    y, x = np.indices(plane.shape)
    for row in range(step // 2, 112, step):
        for column in range(step // 2, 112, step):
            at = np.array([row, column]) + rng.normal(0, width / 10, 2)
            plane += np.hypot(y - at[0], x - at[1]) < width / 2 * rng.uniform(0.9, 1.1)
    plane = ndimage.gaussian_filter(np.minimum(plane, 1), 0.7) * {"bright": 1, "dark": -1}[kind]
    noise = rng.normal(0, rng.uniform(0.05, 0.2), shape)
    return Volume((plane[None] + noise).astype(np.float32), spacing=SPACING, name="discs")


@pytest.fixture(scope="module")
def fitted() -> ModelBundle:
    """A model whose encoder is random, fitted to discs of 6 to 30 pixels."""
    model = make_model()
    model = replace(model, info=model.info.model_copy(update={"nucleus_um": 4.0}))
    stacks = []
    for seed in range(16):
        kind, width = ("bright", "dark")[seed % 2], 6.0 * 5 ** ((seed // 2) / 7)
        stack = discs(width, kind, seed)
        look, tried = FirstLook(stack, model, "cpu"), widths_to_try(stack)
        features = np.stack([look.features(float(t)) for t in tried])
        stacks.append(Tried(kind, math.log2(width), np.log2(tried), features))
    known = fit_width(stacks)
    assert known.stacks == 16
    with pytest.raises(UserError, match="two kinds"):
        fit_width([s for s in stacks if s.family == "dark"])
    return replace(model, info=model.info.model_copy(update={"width_model": known}))


def test_the_width_of_discs_is_told_in_the_unit_of_the_stack(fitted: ModelBundle) -> None:
    sure = fitted.info.width_model
    assert sure is not None
    always = sure.model_copy(update={"sure": 10.0})
    model = replace(fitted, info=fitted.info.model_copy(update={"width_model": always}))
    found = []
    for width in (9.0, 22.0):  # chance's network is no good one: right within two thirds
        stack = discs(width, "bright", 99)
        told = estimate_nucleus_width(stack, model, "cpu")
        assert told is not None
        assert told.unit == "µm"
        assert abs(math.log2(told.width / (width * 0.25))) < 0.75
        pixels = estimate_nucleus_width(stack.replace(spacing=None), model, "cpu")
        assert pixels is not None
        assert pixels.unit == "pixels"
        assert pixels.width == pytest.approx(told.width / 0.25, rel=0.2)
        found.append(told.width)
    assert found[1] > 1.5 * found[0]
    assert "µm wide; two of three" in WidthEstimate(3.0, "µm", 1.3).sentence


def test_what_cannot_be_told_is_said_in_a_sentence(fitted: ModelBundle) -> None:
    stack, known = discs(12, "bright", 3), fitted.info.width_model
    assert known is not None
    unsure = known.model_copy(update={"sure": 0.0})
    model = replace(fitted, info=fitted.info.model_copy(update={"width_model": unsure}))
    end = list(estimate_width(stack, model, "cpu"))[-1]
    assert isinstance(end, Finished)
    assert end.value is None
    assert "in discs cannot be told" in end.result["sentence"]
    end = list(estimate_width(stack, make_model(), "cpu"))[-1]
    assert isinstance(end, Finished)
    assert "test cannot tell" in end.result["sentence"]
    end = list(estimate_width(stack, fitted, "cpu", should_stop=lambda: True))[-1]
    assert isinstance(end, Finished)
    assert end.result == {"stopped": True}


def test_an_encoder_that_overflows_tells_no_width(fitted: ModelBundle) -> None:
    hook = fitted.networks.condition.register_forward_hook(lambda *given: given[2] / 0)
    try:
        with pytest.raises(UserError, match=r"The encoder of model \w+ gives values"):
            estimate_nucleus_width(discs(9, "bright", 1), fitted, "cpu")
    finally:
        hook.remove()


def test_scales_agree_on_what_most_of_the_near_ones_say() -> None:
    tried = np.arange(2.0, 6.0, 0.5)
    width, deviation = agreed(tried, np.clip(4.2 - tried, -1, 1))
    assert width == pytest.approx(4.2, abs=0.05)
    assert deviation < 0.3
    _, torn = agreed(tried, np.where(np.arange(8) % 2, 1.0, -1.0))
    assert torn > 0.7


def test_it_is_kept_in_the_bundle_and_told_with_a_verdict(
    fitted: ModelBundle, tmp_path: Path
) -> None:
    saved = load_bundle(save_bundle(tmp_path / "model", fitted.info, fitted.networks))
    assert saved.info.width_model == fitted.info.width_model
    stack = discs(12, "bright", 3)

    def told(**options: float) -> dict[str, object]:
        job = telling_width(
            iter([Finished(result={"a": 1})]), stack, saved, StainOptions(**options)
        )
        (end,) = (e for e in job if isinstance(e, Finished))
        return end.result

    assert told()["a"] == 1
    assert "wide" in str(told()["width"])
    assert told(nucleus_um=3.0) == {"a": 1}  # whoever knows it need not be told
