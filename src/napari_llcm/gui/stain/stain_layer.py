"""The layers in which a stain appears, and the memory behind them."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...models.familiarity import Verdict
from ...models.info import ModelInfo
from ...staining import StainOptions
from ...tasks import Channel
from ...worker import zeros
from ..layers.conversion import KEY
from ..layers.following import Following
from ..layers.look import as_its_input, virtual
from ..layers.stack import LayerStack, finer_shape
from ..layers.viewport import undisturbed
from .painting import SharedCanvas
from .spread import STRONG, RelativeSpread

if TYPE_CHECKING:
    import numpy as np

_PERIOD = 0.2  # s between two repaints


class StainLayer:
    """What is made of one stack: a layer for each output, and one for the spread of its samples.

    The layers come into the viewer with the first voxels: a stack that cannot be stained leaves
    no empty layer.

    Parameters
    ----------
    viewer : napari.Viewer
        Where the layers appear.
    stack : LayerStack
        What is stained; of a task of several inputs, all of them joined, where the first lies.
    model : ModelInfo
        By which model.
    samples : int
        Seeds to average; more than one gives the layers of spread.
    folder : Path, optional
        Where a file takes the place of memory for what is larger than it.
    further : sequence of LayerStack
        The further inputs, by themselves.

    Attributes
    ----------
    layers : list of napari.layers.Image
        The layers.
    canvases : dict of int to SharedCanvas
        By time point.

    Raises
    ------
    UserError
        If neither memory nor the disk has room for it.
    """

    def __init__(
        self,
        viewer: Any,
        stack: LayerStack,
        model: ModelInfo,
        samples: int,
        folder: Path | None = None,
        further: Sequence[LayerStack] = (),
    ) -> None:
        self._viewer, self.stack, self._model = viewer, stack, model
        task = model.task
        count = len(task.outputs) * (1 if samples == 1 else 2)  # their means, then their spreads
        shape = (stack.times, *finer_shape(stack.shape, task.planes))
        # canvases are cut so that each shows one time point of every layer
        self._array = zeros(shape if count == 1 else (count, *shape), folder=folder)
        self.canvases = {t: SharedCanvas(self._at(t)) for t in range(stack.times)}
        self._repainted = 0.0
        self._stale = False
        self._changes = 0  # of the canvases, that were told
        arrays = [self._array] if count == 1 else list(self._array)
        means, spreads = arrays[: len(task.outputs)], arrays[len(task.outputs) :]
        self.layers = [self._add(a, c) for a, c in zip(means, task.outputs, strict=True)]
        if spreads:
            given = zip(spreads, means, task.outputs, strict=True)
            self.layers += [self._add_spread(*each) for each in given]
        known = model.spacing and (task.planes * model.spacing[0], *model.spacing[1:])
        self._following = [Following(stack, self.layers, known, planes=task.planes)]
        self._following += [Following(s, self.layers, known, moves=False) for s in further]
        self._added = False

    @property
    def begun(self) -> bool:
        """Whether there is anything to be seen yet."""
        return any(canvas.begun for canvas in self.canvases.values())

    @property
    def previewing(self) -> bool:
        """Whether any of what is to be seen is a preview, which is not kept."""
        return any(canvas.previewing for canvas in self.canvases.values())

    @property
    def shown(self) -> bool:
        """Whether its main layer is in the viewer, or will be."""
        return not self._added or self.layers[0] in self._viewer.layers

    def show(self) -> bool:
        """Add the layers once there is something to be seen; return whether they were added now."""
        if self._added or not (self.begun or self.previewing):
            return False
        self._added = True
        with undisturbed(self._viewer):
            for layer in self.layers:
                self._viewer.add_layer(layer)
        return True

    @property
    def complete(self) -> bool:
        """Whether nothing is left to do."""
        return all(canvas.complete for canvas in self.canvases.values())

    @property
    def verdict(self) -> Verdict | None:
        """Whether the model can read the stack, once that is known of any time point."""
        verdicts = (canvas.verdict for canvas in self.canvases.values())
        return next((v for v in verdicts if v is not None), None)

    @property
    def outdated(self) -> bool:
        """Whether the stack was changed since, so that it must be stained anew."""
        return any(following.outdated for following in self._following)

    def changed(self) -> bool:
        """Return whether its voxels were changed since this was asked before."""
        before, self._changes = self._changes, sum(c.changes for c in self.canvases.values())
        return self._changes != before

    def leave(self) -> None:
        """Follow the stack no longer: the layers are gone."""
        for following in self._following:
            following.stop()

    def _at(self, index: int) -> np.ndarray:
        return self._array[:, index] if self._array.ndim == 5 else self._array[index]

    def _add(self, data: np.ndarray, channel: Channel) -> Any:
        shown, attributes = self._on_layer(data)
        if channel.scaled_as is None:
            scaling = self._model.scalings[channel.name]
            look, ends = virtual(channel.colormap, scaling), (0.0, 4 * scaling.high)
        else:
            look = as_its_input(self.stack.layer)
            ends = self.stack.layer.contrast_limits_range
        layer = self._image(shown, self._name(channel), **look, **attributes)
        layer.contrast_limits_range = ends
        return layer

    def _add_spread(self, spread: np.ndarray, mean: np.ndarray, channel: Channel) -> Any:
        """Add a layer to be looked at alone: it hides what lies below, until it is shown."""
        shown, attributes = self._on_layer(spread)
        if channel.scaled_as is None:
            scaling = self._model.scalings[channel.name]
            low, high = scaling.low, scaling.high
        else:
            low, high = self.stack.layer.contrast_limits
        from_low = channel.intensity.from_low
        data = RelativeSpread(shown, self._on_layer(mean)[0], low, high, from_low)
        look = {"colormap": "inferno", "blending": "opaque", "contrast_limits": (0.0, STRONG)}
        name = f"Spread of {self._name(channel)}"
        layer = self._image(data, name, visible=False, **look, **attributes)
        layer.contrast_limits_range = (0.0, 1.0)
        return layer

    def _name(self, channel: Channel) -> str:
        task = self._model.task
        return task.result if len(task.outputs) == 1 else channel.title

    def _on_layer(self, data: np.ndarray) -> tuple[np.ndarray, dict[str, Any]]:
        series = "t" in self.stack.volume.axes
        return self.stack.on_layer(data if series else data[0], self._model.task.planes)

    def _image(self, data: Any, name: str, **attributes: Any) -> Any:
        from napari.layers import Image

        model, stack = self._model, self.stack
        record = {"model": model.name, "input": stack.volume.name, "judge": model.task.judge}
        return Image(data, name=name, metadata={KEY: record}, **attributes)

    def hide(self) -> None:
        """Hide its layers."""
        for layer in self.layers:
            layer.visible = False

    def withdraw(self) -> None:
        """Take away previews; where nothing else is to be seen, the layers too."""
        for canvas in self.canvases.values():
            canvas.withdraw()
        for layer in [] if self.begun else self.layers:
            if layer in self._viewer.layers:
                self._viewer.layers.remove(layer)

    def note(self) -> None:
        """Note in the layers how they were made; it is saved with them."""
        made = [c.volume.metadata for c in self.canvases.values() if c.volume.metadata]
        notices = list(dict.fromkeys(n for one in made for n in one.get("notices", ())))
        for layer in self.layers if made else ():
            record = {**layer.metadata[KEY], **made[0], "notices": notices}
            layer.metadata = {**layer.metadata, KEY: record}

    def repaint(self, now: bool = False) -> None:
        """Show what has come in since; at most five times a second."""
        self._stale = True
        if not now and time.monotonic() - self._repainted < _PERIOD:
            return
        self._repainted, self._stale = time.monotonic(), False
        self._mark()
        for layer in self.layers:
            if layer in self._viewer.layers:
                layer.refresh(extent=False, thumbnail=now, highlight=False)

    def _mark(self) -> None:
        """Tell in the metadata, which are saved with a layer, whether it shows a preview."""
        for layer in self.layers:
            record = {k: v for k, v in layer.metadata[KEY].items() if k != "preview"}
            record |= {"preview": True} if self.previewing else {}
            if record != layer.metadata[KEY]:
                layer.metadata = {**layer.metadata, KEY: record}

    def catch_up(self) -> None:
        """Show what `repaint` has held back."""
        if self._stale:
            self.repaint()


class StainLayers:
    """The stains of a viewer, each of which goes on where it was left.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
        Where they are shown.
    """

    def __init__(self, viewer: Any) -> None:
        self._viewer = viewer
        self._known: dict[tuple[Any, ...], StainLayer] = {}

    def of(
        self,
        stack: LayerStack,
        path: Path,
        model: ModelInfo,
        options: StainOptions,
        further: Sequence[LayerStack] = (),
    ) -> StainLayer:
        """Return the stain of a stack that goes on, or a new one where none fits.

        Parameters
        ----------
        stack, model, further
            As for `StainLayer`.
        path : Path
            Of the model.
        options : StainOptions
            How it is stained: another number of samples, or nuclei of another width, give another
            stain.
        """
        layers = tuple(id(one.layer) for one in (stack, *further))
        key = (layers, str(path), options.samples, options.nucleus_um)
        found = self._known.get(key)
        if found is not None and found.outdated:
            found.hide()
            found.leave()
        if found is None or not found.shown or found.outdated:
            how = (options.samples, options.scratch, further)
            found = StainLayer(self._viewer, stack, model, *how)
            self._known[key] = found
        found.stack = stack  # its name and place may be others by now
        return found

    def show(self, stain_layer: StainLayer) -> None:
        """Show a stain once there is something to be seen, in the place of others of its stack."""
        if stain_layer.show():
            for other in self._known.values():
                if other is not stain_layer and other.stack.layer is stain_layer.stack.layer:
                    other.hide()  # one added to the other would be neither

    def let_go(self, empty: bool = False) -> None:
        """Let go of the memory of those whose layer was removed.

        Parameters
        ----------
        empty : bool
            Whether those go too in which nothing was stained.
        """
        for key, stain_layer in list(self._known.items()):
            if not stain_layer.shown or (empty and not stain_layer.begun):
                self._known.pop(key).leave()
