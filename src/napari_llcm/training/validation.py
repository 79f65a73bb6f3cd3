"""What a model is worth while it trains: one-step staining of held-out volumes."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from ..events import Job, Preview, Step, UserError
from ..models.info import ModelInfo
from ..models.methods import PhaseName
from ..models.samplers import predict
from ..models.stainer import StainerNetworks
from ..models.taught import ENOUGH
from ..tasks import Task
from ..volumes import Volume
from ..volumes.atomic import save_figure
from ..volumes.hounsfield import body_mask
from .history import ERROR
from .reading import PLANES


class Judge(Protocol):
    """Counts nuclei, and knows a model to be compared with; see `evaluation.NucleiJudge`."""

    name: str
    judges: str  # the `judge` of the tasks that it is for

    def __call__(self, pairs: Sequence[tuple[Volume, Volume]]) -> dict[str, float]:
        """Return figures of the nuclei in pairs of real and virtual DAPI."""

    def stain(self, inputs: Volume) -> Volume | None:
        """Return the virtual DAPI by the model to be compared with."""


BETWEEN = "val_interpolated_"  # figures of the input itself, which a residual is added to
INTERPOLATED = BETWEEN + "psnr"
_RATES = ("recall", "precision", "f1")
_JUDGED = 2  # volumes whose nuclei are counted: each takes some seconds
_IMAGES = ("input", "real", "virtual")
_LARGEST = (48, 192, 192)  # voxels of a volume's centre that are looked at


@dataclass(frozen=True)
class Figures:
    """What was found of some weights on what is held out.

    Parameters
    ----------
    score : float or None
        How good they are; higher is better. F1 where nuclei are counted and there are enough of
        them, else PSNR. None where nothing is held out, or nuclei could not be counted this time.
    means : dict of float
        Figures of the images and of the nuclei, by the names under which they are told.
    nuclei : dict of float
        Figures of the nuclei; empty where they were not counted.
    """

    score: float | None = None
    means: dict[str, float] = field(default_factory=dict)
    nuclei: dict[str, float] = field(default_factory=dict)


class Validator:
    """Stain the centre of each validation volume and compare it with the truth.

    Parameters
    ----------
    networks : StainerNetworks
        The model in training.
    dataset : sequence
        Whole standardised pairs.
    info : ModelInfo
        Networks' configuration.
    amp : callable
        Returns the autocast context.
    device : torch.device
        Where the networks are.
    where : str
        What is validated on, in words.
    shown : sequence
        Pairs of which the first is previewed where there are none to validate on; no figure is
        made of it.
    judge : Judge, optional
        Counts the nuclei of real and virtual DAPI; its figures are told as "val_recall" …

    Attributes
    ----------
    figures : Figures
        Those of the weights that were validated last.
    seconds : float
        How long that took.
    """

    def __init__(
        self,
        networks: StainerNetworks,
        dataset: Any,
        info: ModelInfo,
        amp: Any,
        device: Any,
        where: str = "held-out volumes",
        shown: Any = (),
        judge: Judge | None = None,
    ) -> None:
        self.judge, self._where = judge, where
        self.figures, self.seconds = Figures(), 0.0
        self._reference: dict[str, float] = {}
        self._by_nuclei: bool | None = None  # what the score is, the same one to the end
        self.networks, self.info, self.amp, self.device = networks, info, amp, device
        self.pairs = [self._centre(item) for item in dataset]
        self.shown = self.pairs or [self._centre(shown[i]) for i in range(min(len(shown), 1))]

    def run(self, phase: PhaseName, step: int, folder: Path) -> Job:
        """Yield the figures as a `Step` and the first volume as a `Preview`."""
        began = time.monotonic()
        measured: list[dict[str, float]] = []
        images: dict[str, np.ndarray] = {}
        judged: list[tuple[Volume, Volume]] = []
        prefix = "val_vae_" if phase == "vae" else "val_"
        for inputs, outputs, planes in self.shown:
            if phase == "vae" and planes:
                continue  # a plane has no latent
            output = self._output(phase, inputs, outputs)
            virtual = output[:, :, : planes or None]
            output = virtual.amax(2, keepdim=True) if planes else output
            figures = _compare(outputs, output) | self._error(outputs, output)
            measured.append({prefix + k: v for k, v in figures.items()})
            if self.networks.network.residual and phase != "vae":
                known = inputs[:, : outputs.shape[1]]
                figures = {"psnr": _compare(outputs, known)["psnr"]} | self._error(outputs, known)
                measured[-1] |= {BETWEEN + k: v for k, v in figures.items()}
            if self.judge is not None and phase != "vae" and len(judged) < _JUDGED:
                judged.append((self._volume(outputs, "real"), self._volume(virtual, "virtual")))
            if not images:
                three = (inputs, outputs, output)
                images = dict(zip(_IMAGES, map(_array, three), strict=True))
        if not images:
            return
        means: dict[str, float] = {}
        nuclei = self.judge(judged) if self.judge is not None and judged else {}
        if self.pairs:
            names = dict.fromkeys(name for one in measured for name in one)
            means = {k: float(np.mean([m[k] for m in measured if k in m])) for k in names}
            score = self._score(means[prefix + "psnr"], nuclei)
            means |= {f"val_{k}": v for k, v in nuclei.items() if k in _RATES}
            yield Step(phase=phase, step=step, values=means)
        self.figures = Figures(score if self.pairs else None, means, nuclei)
        self.seconds = time.monotonic() - began
        path = folder / "preview.png"
        _save_preview(images, self.info.task, path)
        yield Preview(phase=phase, step=step, path=str(path), images=images)

    def start(self, phase: PhaseName, folder: Path) -> Job:
        """Validate, as `run`, the model that the training starts from, which it has to beat."""
        yield from self.run(phase, 0, folder)
        self._reference = self.figures.nuclei
        if self._reference:
            yield self._told(phase)

    def compare(self, phase: PhaseName) -> Job:
        """Yield as a `Step` what the model to be compared with finds in the same volumes."""
        if self.judge is None:
            return
        pairs = []
        for inputs, outputs, planes in self.shown[:_JUDGED]:
            image = Volume(_array(inputs)[: planes or None], self.info.spacing, name="validation")
            virtual = self.judge.stain(image)
            if virtual is not None:
                pairs.append((self._volume(outputs, "real"), virtual))
        if pairs:
            self._reference = self.judge(pairs)
            yield self._told(phase)

    def _told(self, phase: PhaseName) -> Step:
        values = {f"reference_{k}": v for k, v in self._reference.items() if k in _RATES}
        return Step(phase=phase, step=0, values=values)

    def _score(self, psnr: float, nuclei: dict[str, float]) -> float | None:
        if self._by_nuclei is None:
            self._by_nuclei = nuclei.get("real", 0) >= ENOUGH
        if not self._by_nuclei:
            return psnr
        return nuclei.get("f1", 0.0) if nuclei else None

    def nuclei(self) -> dict[str, Any]:
        """Return what was found last, beside what the model to be compared with finds.

        Returns
        -------
        dict
            "found", "hallucinated" and "real" (numbers of nuclei), "f1", "held_out" (whether the
            volumes were held out of the training), "where" (that in words), "width" (of the real
            nuclei, in voxels, where there are enough), and "reference", with its name and the same
            figures; empty where no nuclei were counted.
        """
        if self.judge is None or not self.figures.nuclei:
            return {}
        reference = {"name": self.judge.name, **self._reference} if self._reference else {}
        told = {"held_out": bool(self.pairs), "where": self._where, "reference": reference}
        return {**self.figures.nuclei, **told}

    def gain(self) -> dict[str, float]:
        """Return "psnr" and "interpolated", that of the input, where a residual is learned."""
        means, names = self.figures.means, {"psnr": "val_psnr", "interpolated": INTERPOLATED}
        return {k: means[name] for k, name in names.items()} if INTERPOLATED in means else {}

    def _error(self, truth: Tensor, output: Tensor) -> dict[str, float]:
        """Return the mean absolute error in the unit of the first output, where it has one.

        Of a CT it is that of the body, as `evaluation.restoration_metrics` counts it.
        """
        unit = self.info.task.outputs[0].intensity.unit
        if unit is None:
            return {}
        real, made = (self._volume(one, "").numpy() for one in (truth, output))
        counted = np.ones(real.shape, bool)
        if unit == "HU":
            try:
                counted = body_mask(real)
            except UserError:  # nothing of the patient is seen here
                return {}
        return {ERROR + unit: float(np.abs(real - made)[counted].mean(dtype=np.float64))}

    @torch.no_grad()
    def _output(self, phase: PhaseName, inputs: Tensor, outputs: Tensor) -> Tensor:
        n = self.networks
        with self.amp():
            if phase == "vae":
                coded = n.coded(outputs, inputs)
                missed = n.autoencoder.decode(n.autoencoder.encode(coded)[0]) - coded
                return outputs + missed.float()
            return predict(self.info, n, inputs)

    def _volume(self, outputs: Tensor, name: str) -> Volume:
        """Return the first of normalised outputs (1, O, Z, Y, X) as a volume in its unit."""
        channel = self.info.task.outputs[0]
        scaling = self.info.output_scaling(channel, self.info.scalings)
        data = channel.intensity.undo(_array(outputs), scaling)
        return Volume(data, self.info.spacing, name=name)

    def _centre(self, item: dict[str, Any]) -> tuple[Tensor, Tensor, int]:
        """Return the centre of a pair, (1, 1, Z, Y, X).

        Of a DAPI of one plane the stack has its whole depth, and the number is that of the planes
        that are no padding; else it is 0.
        """
        planes = int(item.get(PLANES, 0))
        size = item["inputs"].shape[1:]
        index: list[slice] = [slice(None)]
        for n, largest, m in zip(size, _LARGEST, self.info.network.multiple, strict=True):
            width = min(n, largest) // m * m
            if planes and len(index) == 1:
                width = n
            start = (n - width) // 2 // m * m
            index.append(slice(start, start + width))
        inputs, outputs = item["inputs"][tuple(index)], item["outputs"][tuple(index)]
        return inputs[None].to(self.device), outputs[None].to(self.device), planes


def _compare(truth: Tensor, output: Tensor) -> dict[str, float]:
    """Return PSNR (range 1), Pearson correlation and spread (std over the truth's std)."""
    t, o = truth.flatten().double(), output.flatten().double()
    mse = (t - o).square().mean().clamp_min(1e-12)
    pearson = torch.corrcoef(torch.stack([t, o]))[0, 1]
    return {
        "psnr": float(-10 * mse.log10()),
        "pearson": float(pearson.nan_to_num()),
        "spread": float(o.std() / t.std().clamp_min(1e-12)),
    }


def _array(x: Tensor) -> np.ndarray:
    return np.asarray(x[0, 0].cpu().numpy(), np.float32)


def _save_preview(images: dict[str, np.ndarray], task: Task, path: Path) -> None:
    """Save the middle plane of each image side by side."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4 * len(images), 4.6), layout="constrained")
    for axis, (name, image) in zip(figure.subplots(1, len(images)), images.items(), strict=True):
        shown = task.inputs[0] if name == "input" else task.outputs[0]
        low, high = shown.intensity.shown
        axis.imshow(image[len(image) // 2], cmap="gray", vmin=low, vmax=high)
        title = " ".join([*([name] if name != "input" else []), shown.title])
        axis.set_title(title, color="gray", fontsize=26)  # shown a third as large
        axis.set(xticks=[], yticks=[])
    # seen through and in grey, it can be read on light and on dark windows; whole or not at all,
    # as somebody may be looking
    save_figure(path, figure, dpi=100, transparent=True)
