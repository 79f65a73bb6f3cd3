"""Planes between thick slices, by weights of the slices near by."""

from __future__ import annotations

import numpy as np
import pytest
from pydantic import ValidationError

from napari_llcm.tasks import TASKS, Task
from napari_llcm.tasks.slice_kernel import SliceKernel
from napari_llcm.volumes import Volume
from napari_llcm.volumes.thick_slices import ThickOptions, interpolated, thicken


def made(kernel: SliceKernel, thick: np.ndarray) -> np.ndarray:
    planes = np.arange(len(kernel.weights) * len(thick))
    return kernel.between(thick, planes, 0, len(thick))


def test_without_a_fit_it_is_linear_interpolation() -> None:
    thick = np.random.default_rng(0).normal(size=(7, 5, 4)).astype(np.float32)
    for planes in (4, 6):
        known = interpolated(Volume(thick), 7 * planes).numpy()
        np.testing.assert_allclose(made(SliceKernel.linear(planes), thick), known, atol=1e-5)


def test_a_part_of_the_stack_gives_the_same_planes() -> None:
    rng = np.random.default_rng(1)
    thick = rng.normal(size=(9, 4, 4)).astype(np.float32)
    thin = rng.normal(size=(54, 4, 4)).astype(np.float32)
    kernel = SliceKernel.fitted(6, [(thick, thin)])
    planes = np.array([40, 3, 17, 18])
    first, last = kernel.needed(planes, 9)
    part = kernel.between(thick[first:last], planes, first, 9)
    np.testing.assert_allclose(part, made(kernel, thick)[planes], atol=1e-6)
    assert kernel.needed(np.array([26]), 9) == (1, 8)


def test_a_fit_undoes_more_than_a_spline_can() -> None:
    rng = np.random.default_rng(2)
    steps = np.repeat(rng.normal(size=(2, 40, 1, 400)), 3, 1).astype(np.float32)  # 3 planes alike
    known, new = (thicken(Volume(one), ThickOptions(ratio=4)) for one in steps)
    kernel = SliceKernel.fitted(4, [(known[0].numpy(), known[1].numpy())])
    thick, thin = new[0], new[1].numpy()

    def error(planes: np.ndarray) -> float:
        return float(np.abs(planes - thin).mean())

    best = min(error(interpolated(thick, 120, order).numpy()) for order in ("linear", "cubic"))
    assert error(made(kernel, thick.numpy())) < 0.97 * best


def test_kernels_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValidationError, match="an odd number"):
        SliceKernel(weights=((0.5, 0.5), (0.5, 0.5)))
    task = TASKS["superres"].model_dump() | {"kernel": SliceKernel.linear(6)}
    with pytest.raises(ValidationError, match="kernel is of 6 planes"):
        Task.model_validate(task)
