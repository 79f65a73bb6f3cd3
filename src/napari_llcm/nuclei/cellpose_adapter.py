"""Cellpose 3 and 4 behind one segmenter.

The two versions share what matters: `core.run_net` runs a 2D network over planes, here those of
three orientations whose flows are added up (of a plane alone its own), and
`dynamics.resize_and_compute_masks` follows the flows to where nuclei converge. The
networks differ, so only the loading knows the version.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from importlib import metadata, resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ..events import ShouldStop, UserError
from ..volumes.labels import SPECK
from .scale import normalise

if TYPE_CHECKING:
    import torch

BUNDLED = "small nuclei network"
_BATCH = 8  # tiles
_NETWORK = 0.9  # share of the time; the rest follows the flows


class Loaded(NamedTuple):
    """A network and how it wants its input."""

    net: Any
    diameter: float  # pixels to which nuclei are scaled
    channels: int  # the image, then zeros
    tile: int  # pixels, edge of the planes' tiles
    root: bool  # square root of the intensity, or linear as Cellpose's own networks know it
    high: float  # percentile that becomes 1


class Cellpose:
    """Nuclei by Cellpose.

    Parameters
    ----------
    weights : str, optional
        Path of a weights file, or name of a model in Cellpose's own folder of models; the small
        network that ships if None. Nothing is ever downloaded.
    device : str
        "auto", "cpu", "cuda" or "mps".
    cellprob_threshold : float
        Logit above which a voxel belongs to a nucleus; lower it for more and larger nuclei.

    Raises
    ------
    UserError
        If Cellpose is missing or cannot be imported, or the weights are not there or not of the
        installed version.
    """

    def __init__(
        self,
        weights: str | None = None,
        device: str = "auto",
        cellprob_threshold: float = 0.0,
    ) -> None:
        from ..models.device import pick_device

        self.version = installed_version()
        self.device = pick_device(device)
        self.cellprob_threshold = cellprob_threshold
        self.name = f"cellpose {self.version} ({weights or BUNDLED})"
        self._loaded = (
            load_bundled(self.device)
            if weights is None
            else _load_named(weights, self.version, self.device)
        )

    def __call__(self, image: np.ndarray, diameter: float, anisotropy: float) -> np.ndarray:
        """Return the labels of the nuclei; see `Segmenter`."""
        steps = self.steps(image, diameter, anisotropy)
        while True:
            try:
                next(steps)
            except StopIteration as end:
                return np.asarray(end.value)

    def steps(
        self,
        image: np.ndarray,
        diameter: float,
        anisotropy: float,
        should_stop: ShouldStop | None = None,
    ) -> Generator[float, None, np.ndarray | None]:
        """Yield which share of the work is done, and return the labels; see `StepwiseSegmenter`."""
        import torch
        from cellpose import dynamics
        from skimage.transform import resize

        net, size, channels, tile, root, high = self._loaded
        factor = size / diameter
        factors = (anisotropy * factor, factor, factor)
        shape = tuple(max(1, round(n * f)) for n, f in zip(image.shape, factors, strict=True))
        if flat := len(image) == 1:
            shape = (1, *shape[1:])
        scaled = resize(normalise(image, high=high, root=root), shape, order=1)
        planes = np.zeros((*shape, channels), np.float32)
        planes[..., 0] = scaled
        flows = np.zeros((*shape, 4), np.float32)
        try:
            for part in _add_flows(flows, net, planes, tile, should_stop):
                yield _NETWORK * part
            with _asking(should_stop):
                way = flows[..., :3].transpose(3, 0, 1, 2)
                labels = dynamics.resize_and_compute_masks(
                    way[1:, 0] if flat else way,
                    flows[0, ..., 3] if flat else flows[..., 3],
                    # A step is about a pixel long: four times the way to the middle.
                    niter=int(2 * size),
                    cellprob_threshold=self.cellprob_threshold,
                    do_3D=not flat,
                    min_size=int(SPECK * (np.pi / 4 * size**2 if flat else np.pi / 6 * size**3)),
                    # Apple's GPU cannot sample in 3D.
                    device=torch.device("cpu") if self.device.type == "mps" else self.device,
                )
        except _Stopped:
            return None
        return _nearest(labels[None] if flat else labels, image.shape)


def _add_flows(
    flows: np.ndarray, net: Any, planes: np.ndarray, tile: int, should_stop: ShouldStop | None
) -> Generator[float, None, None]:
    """Add up what the network says of planes across z, y and x; yield which share is done.

    This is `cellpose.core.run_3D` a few planes at a time: that one says nothing until all three
    orientations are done, which takes minutes for a wide field.

    Parameters
    ----------
    flows : ndarray of float32
        Shape (z, y, x, 4): flows along z, y and x, and the logit of being inside a nucleus.
    net : torch.nn.Module
        The network.
    planes : ndarray of float32
        Shape (z, y, x, channels).
    tile : int
        Edge of the tiles (pixels).
    should_stop : callable, optional
        Asked at every operation of the network.
    """
    from cellpose import core

    size, done = flows[..., 0].size, 0
    across = range(3 if len(planes) > 1 else 1)
    for axis in across:
        ways = [other for other in range(3) if other != axis]
        given, to = np.moveaxis(planes, axis, 0), np.moveaxis(flows, axis, 0)
        area = given.shape[1] * given.shape[2]
        step = max(1, _BATCH * tile**2 // max(area, tile**2))
        for start in range(0, len(given), step):
            at = slice(start, start + step)
            with _asking(should_stop):
                found, _ = core.run_net(net, given[at], batch_size=_BATCH, bsize=tile)
            for channel, index in enumerate((*ways, 3)):
                to[at, ..., index] += found[..., channel]
            done += found[..., 0].size
            yield done / (len(across) * size)


class _Stopped(Exception):
    """The user wants no more of it."""


@contextmanager
def _asking(should_stop: ShouldStop | None) -> Iterator[None]:
    """Ask at every operation of torch on this thread whether to go on.

    Cellpose runs loops of many seconds, over tiles and over steps along the flows, and asks
    nobody. A mode of torch sees into both of its versions.

    Raises
    ------
    _Stopped
        Out of whatever runs inside, where it is not.
    """
    import torch
    from torch.overrides import TorchFunctionMode

    class Asking(TorchFunctionMode):
        """Asks, then does what was to be done."""

        def __torch_function__(
            self, function: Any, types: Any, args: Any = (), kwargs: Any = None
        ) -> Any:
            """Do it, or raise."""
            if should_stop is not None and should_stop():
                raise _Stopped
            return function(*args, **(kwargs or {}))

    with torch.inference_mode(), warnings.catch_warnings(), Asking():
        # torch tells of an unchecked sparse tensor inside Cellpose, of no use to anybody here
        warnings.filterwarnings("ignore", "Sparse invariant checks")
        yield


def _nearest(labels: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Bring labels to another grid over the same field; each voxel takes the nearest one's."""
    index = [
        np.minimum(((np.arange(n) + 0.5) * m / n).astype(int), m - 1)
        for n, m in zip(shape, labels.shape, strict=True)
    ]
    return labels[np.ix_(*index)].astype(np.uint32)


def installed_version() -> str:
    """Return the version of Cellpose, once it is known to work here.

    Raises
    ------
    UserError
        If it is missing or its imports fail.
    """
    try:
        version = metadata.version("cellpose")
    except metadata.PackageNotFoundError:
        raise UserError(
            "Cellpose is not installed: pip install 'napari-llcm[all]', or choose the segmenter "
            "'classical'."
        ) from None
    try:
        from cellpose import core, dynamics  # noqa: F401
    except (ImportError, RuntimeError) as error:
        if "torchvision" in str(error):
            raise UserError(
                f"Cellpose {version} needs a torchvision that matches torch "
                f"{metadata.version('torch')}, and the installed torchvision "
                f"{metadata.version('torchvision')} does not: reinstall both from one source."
            ) from error
        raise UserError(f"Cellpose {version} cannot be imported ({error}).") from error
    return version


def load_bundled(device: torch.device, folder: Path | None = None) -> Loaded:
    """Return the network that ships (or that of `folder`), in either version of Cellpose."""
    from safetensors.torch import load_file

    from .network import SmallCellpose

    root = folder or Path(str(resources.files(__package__) / "weights"))
    about = json.loads((root / "nuclei.json").read_text())
    net = SmallCellpose(about["channels"], about["diameter"])
    weights = load_file(root / "nuclei.safetensors")
    net.load_state_dict({name: value.float() for name, value in weights.items()})
    # Cellpose 3 shrinks the tile to the plane, Cellpose 4 pads a thin plane to a whole tile.
    tile = 224 if installed_version().startswith("3") else 64
    return Loaded(net.to(device).eval(), about["diameter"], 1, tile, True, 99.8)


def _load_named(weights: str, version: str, device: torch.device) -> Loaded:
    """Return a network of Cellpose's own kind.

    The file is looked for first: Cellpose downloads its default where it finds none.
    """
    from cellpose import models

    folder = Path(models.MODEL_DIR)
    places = [Path(weights), folder / weights, folder / f"{weights}torch_0"]
    path = next((p for p in places if p.is_file()), None)
    if path is None:
        raise UserError(
            f"There are no Cellpose weights at {weights} and no model of that name in {folder}: "
            "give the path of a weights file, or leave the weights out for the network that "
            "ships."
        )
    try:
        model = models.CellposeModel(device=device, pretrained_model=str(path))
    except Exception as error:  # whatever a file that is no such model makes Cellpose raise
        raise UserError(
            f"{path} holds no weights for Cellpose {version}: give a model of that version (those "
            "of Cellpose 3 and 4 do not load in each other)."
        ) from error
    if version.startswith("3"):
        return Loaded(model.net, float(model.diam_mean), model.nchan, 224, False, 99.0)
    return Loaded(model.net, 30.0, 3, 256, False, 99.0)
