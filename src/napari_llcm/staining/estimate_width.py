"""Estimate how wide the nuclei of a stack are, from a few small parts of it at several scales."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..events import Finished, Job, Meter, ShouldStop, Started, result_of
from ..models.bundle import ModelBundle
from ..models.device import autocast, pick_device
from ..models.nucleus_width import in_plane, matched_spacing
from ..models.width_model import agreed
from ..tasks.normalise import HOT, Scaling, no_data_of_sample, qpi_scaling
from ..volumes import FilledStack, Volume
from .grid import NetworkGrid
from .options import StainOptions
from .setup import ready
from .tiling import Box

if TYPE_CHECKING:
    import torch

_NARROWEST, _WIDEST = 4.0, 100.0  # pixels
_STEP = 0.5  # octaves between two widths that are tried
_PART = (8, 80, 80)  # voxels of the networks' grid, about 5 of the model's nuclei wide
_PLACES = (0.25, 0.75)  # of the parts, along y and x
_ACROSS = 2.5  # nuclei that a stack must be wide for a width to be tried


@dataclass(frozen=True)
class WidthEstimate:
    """How wide the nuclei of a stack are.

    Parameters
    ----------
    width : float
        Diameter in the plane, in `unit`.
    unit : str
        "µm", or "pixels" where the stack has no voxel size.
    factor : float
        Two of three estimates are within this factor of the truth.
    """

    width: float
    unit: str
    factor: float

    @property
    def sentence(self) -> str:
        """What a user reads."""
        return (
            f"Nuclei look about {self.width:.3g} {self.unit} wide; two of three such estimates "
            f"are right within {100 * (self.factor - 1):.0f} %."
        )


def estimate_width(
    qpi: Volume, model: ModelBundle, device: str = "auto", *, should_stop: ShouldStop | None = None
) -> Job:
    """Estimate the width of a stack's nuclei in seconds.

    The phase encoder looks at parts of it as if nuclei were 4 pixels wide, 5.7, 8 and so on, and
    tells each time by how much they are wider; what near scales agree on is the estimate.

    Parameters
    ----------
    qpi : Volume
        Axes "zyx"; a few parts of it are read.
    model : ModelBundle
        The stainer; its networks are moved to the device.
    device : str
        Where to compute.
    should_stop : callable, optional
        Asked between the scales.

    Yields
    ------
    Event
        At the end `Finished`; its value is the `WidthEstimate`, None where nothing can be told,
        with the reason in `result["sentence"]`.

    Raises
    ------
    UserError
        If the device is not there.
    """
    yield Started(job="estimate-width")
    known = model.info.width_model
    if known is None or model.info.nucleus_um is None:
        yield _untold(
            f"Model {model.info.name} cannot tell how wide nuclei are: measure one in the viewer, "
            "or choose another model."
        )
        return
    tried = widths_to_try(qpi)
    stack = FirstLook(qpi, model, device)
    meter = Meter(float(len(tried)))
    rows = []
    for done, pixels in enumerate(tried):
        if should_stop is not None and should_stop():
            yield Finished(result={"stopped": True})
            return
        yield meter.at(done, f"nuclei {pixels:.0f} pixels wide?")
        rows.append(stack.features(pixels))
    log_width, deviation = agreed(np.log2(tried), known.octaves(np.stack(rows)))
    inside = math.log2(tried[0]) < log_width < math.log2(tried[-1])
    if deviation > known.sure or not inside:
        yield _untold(
            f"How wide nuclei are in {qpi.name} cannot be told: measure one in the viewer, and "
            "give its width."
        )
        return
    width, unit = 2.0**log_width, "pixels"
    if qpi.spacing is not None:
        width, unit = width * in_plane(qpi.spacing), "µm"
    estimate = WidthEstimate(width, unit, 2.0**known.error)
    yield Finished(
        result={"nucleus_um": width, "unit": unit, "sentence": estimate.sentence}, value=estimate
    )


def estimate_nucleus_width(
    qpi: Volume, model: ModelBundle, device: str = "auto"
) -> WidthEstimate | None:
    """Return how wide the nuclei of a stack are; None where it cannot be told.

    Parameters
    ----------
    qpi, model, device
        As for `estimate_width`.
    """
    estimate: WidthEstimate | None = result_of(estimate_width(qpi, model, device))
    return estimate


def telling_width(
    job: Job,
    qpi: Volume,
    model: ModelBundle,
    options: StainOptions,
    should_stop: ShouldStop | None = None,
) -> Job:
    """Run a job on a stack and, where nobody gave it, add the width of nuclei to its result.

    Parameters
    ----------
    job : Job
        Such as `check_input`.
    qpi, model
        As for `estimate_width`.
    options : StainOptions
        Device, and the width where it is known.
    should_stop : callable, optional
        As for `estimate_width`.

    Yields
    ------
    Event
        Those of the job; in the result of `Finished`, "width" is a sentence, and "nucleus_um" the
        width where it can be told.
    """
    for event in job:
        asked = model.info.width_model is not None and options.nucleus_um is None
        if not isinstance(event, Finished) or event.result.get("stopped") or not asked:
            yield event
            continue
        result: dict[str, Any] = {}
        for inner in estimate_width(qpi, model, options.device, should_stop=should_stop):
            if isinstance(inner, Finished):
                result = inner.result
            elif not isinstance(inner, Started):
                yield inner
        width = {"width": result.get("sentence"), "nucleus_um": result.get("nucleus_um")}
        more = {key: value for key, value in width.items() if value is not None}
        yield event.model_copy(update={"result": {**event.result, **more}})


def widths_to_try(qpi: Volume) -> np.ndarray:
    """Return the widths of nuclei, in pixels, at which a stack is looked at."""
    widest = max(min(_WIDEST, min(qpi.shape[-2:]) / _ACROSS), 4 * _NARROWEST)
    return np.asarray(2.0 ** np.arange(math.log2(_NARROWEST), math.log2(widest) + 1e-9, _STEP))


class FirstLook:
    """What the phase encoder makes of parts of a stack, as wide as its nuclei are taken to be.

    Parameters
    ----------
    qpi : Volume
        Axes "zyx".
    model : ModelBundle
        The stainer, with a phase encoder.
    device : str
        Where to compute.
    """

    def __init__(self, qpi: Volume, model: ModelBundle, device: str = "auto") -> None:
        self.qpi, self.model = qpi, model
        self.device: torch.device = pick_device(device)
        ready(model, self.device)
        no_data = no_data_of_sample(qpi.data)
        self.scaling: Scaling = qpi_scaling(qpi.data, no_data)
        limits = (self.scaling.undo(-HOT), self.scaling.undo(HOT))
        self._data = FilledStack(qpi.data, no_data, self.scaling.low, limits)

    def features(self, pixels: float) -> np.ndarray:
        """Return the features (2 × channels,) of the stack, with nuclei of so many pixels."""
        import torch

        from ..models.finite import checked

        # the stacks of the fit were zoomed along z as in the plane; so is one without a voxel size
        spacing = self.qpi.spacing or self.model.info.spacing
        assert spacing is not None
        width = pixels * in_plane(spacing)
        qpi = self.qpi.replace(spacing=spacing)
        own, target = matched_spacing(qpi, self.model.info, width)
        assert own is not None
        assert target is not None
        ratio = [t / o for t, o in zip(target, own, strict=True)]
        grid = NetworkGrid(self._data, ratio, self.model.info.network.multiple)
        found = []
        for box in _parts(grid):
            part = self.scaling.apply(grid.read(box)).astype(np.float32)
            with torch.inference_mode(), autocast(self.device):
                seen = self.model.networks.condition(
                    torch.from_numpy(part)[None, None].to(self.device)
                )
                checked(seen, f"The encoder of model {self.model.info.name}")
            channels = seen[0].float().flatten(1)
            found.append(
                torch.cat([channels.mean(1), (channels.std(1) + 1e-3).log()]).cpu().numpy()
            )
        return np.asarray(np.mean(found, 0), np.float64)


def _parts(grid: NetworkGrid) -> list[Box]:
    """Return up to two different boxes of a grid, in the middle of its depth."""
    boxes = []
    for place in _PLACES:
        box = []
        for axis, (n, wanted, unit) in enumerate(
            zip(grid.padded, _PART, grid.multiple, strict=True)
        ):
            size = min(max(wanted // unit, 1) * unit, n)
            start = (n - size) * (0.5 if axis == 0 else place) // unit * unit
            box.append((int(start), int(start) + size))
        boxes.append(tuple(box))
    return list(dict.fromkeys(boxes))


def _untold(sentence: str) -> Finished:
    return Finished(result={"sentence": sentence}, value=None)
