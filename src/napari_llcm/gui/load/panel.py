"""The Load panel: open stacks and pairs, give their voxel size, check that pairs fit."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QFileDialog, QListWidgetItem, QVBoxLayout

from ...events import Finished, UserError
from ...volumes import Pair
from ...volumes.atomic import is_zarr
from ...volumes.plates import PlateField, is_plate
from ...worker import READER, workers
from ..jobs.runner import MakeJob, Runner
from ..layers.conversion import LayerData
from ..layers.stack import stack_of
from ..layers.viewport import undisturbed
from ..panel import Panel
from ..settings import recall, remember
from . import jobs as load_jobs
from . import plate_jobs
from .describing import describe
from .form import FILES, LoadForm


class LoadPanel(Panel):
    """Open a stack, a pair, or a folder of either.

    Parameters
    ----------
    napari_viewer : napari.viewer.Viewer
        The viewer.
    runner : Runner, optional
        What runs the jobs; a thread by default.
    """

    def __init__(self, napari_viewer: Any, runner: Runner | None = None) -> None:
        super().__init__(napari_viewer, runner)
        self.form = form = LoadForm(self._viewer, self.runner)
        self.bar = form.bar
        self._of_field: list[Any] = []  # layers that were opened of a field of a plate
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(form)
        form.file.clicked.connect(self._ask_file)
        form.folder.clicked.connect(self._ask_folder)
        form.list.itemActivated.connect(self._open_item)
        form.open_chosen.clicked.connect(lambda: self._open_item(form.list.currentItem()))
        form.plate.well_wanted.connect(self._open_well)
        form.plate.field_wanted.connect(self.open_field)
        form.layer.chosen.connect(self._describe)
        form.layer.altered.connect(self._describe)
        form.spacing.given.connect(self._describe)
        form.axes_row.given.connect(self._describe)
        form.correct.clicked.connect(self._correct_spacing)
        form.contrast.clicked.connect(self._set_contrast)
        form.registration.check_wanted.connect(self.check)
        form.registration.shift_wanted.connect(self.shift)
        self.runner.running_changed.connect(self._running)
        workers.warm(READER)  # while the user looks for a file
        self._describe()

    def open(self, path: Path, image: int | None = None) -> None:
        """Open a stack; the layers appear when its header is read.

        Parameters
        ----------
        path : Path
            File or folder.
        image : int, optional
            Which image of several; these are listed if none is given.
        """
        if image is None and is_plate(path):
            self.open_plate(path)
            return
        remember("load", folder=str(path.parent), axes=self.form.axes.text().strip())
        reading = self.form.reading().model_copy(update={"image": image})
        spacing = recall("spacing").get(str(path))
        job = load_jobs.opening(path, reading, spacing)
        self._run(job, f"opening of {path.name}", self._opened)

    def open_plate(self, path: Path) -> None:
        """Show the wells of a plate; no field is opened."""
        remember("load", folder=str(path.parent))
        self._run(plate_jobs.looking(path), f"look at {path.name}", self.form.plate.show_plate)

    def _open_well(self, well: str) -> None:
        view = self.form.plate.view
        if view is None:
            return

        def show(found: plate_jobs.WellView) -> None:
            """List the fields; one alone is opened at once."""
            self.form.plate.show_well(found)
            if len(found.fields) == 1 and not found.missing:
                self.open_field(found.fields[0])

        self._run(plate_jobs.looking_into(view, well), f"look into {well}", show)

    def open_field(self, one: PlateField) -> None:
        """Open a field of the plate; the layers of the field before go, if nothing works on them.

        Parameters
        ----------
        one : PlateField
            A field of the plate that is shown.
        """
        view = self.form.plate.view
        if view is None:
            return
        spacing = recall("spacing").get(str(one.plate))

        def show(layers: list[LayerData]) -> None:
            """Put the layers in the place of the field's before."""
            working = any(panel.busy for panel in self._session.panels.values() if panel != self)
            if not (self.form.plate.keep.isChecked() or working):
                for layer in [m for m in self._of_field if m in self._viewer.layers]:
                    self._viewer.layers.remove(layer)
                self._of_field = []
            self._of_field += self._add(layers)

        job = plate_jobs.opening_field(view, one, self.form.reading(), spacing)
        self._run(job, f"opening of {one.name}", show)

    def _opened(self, found: list[LayerData] | load_jobs.Choices) -> None:
        if isinstance(found, load_jobs.Choices):
            self._list(found)
            self.bar.say(f"{found.path.name} holds {len(found.choices)} images: choose one.")
        else:
            self._add(found)

    def open_folder(self, folder: Path) -> None:
        """Open a folder that is a stack, or list the stacks or pairs that it holds."""
        remember("load", folder=str(folder.parent))
        if is_zarr(folder) or folder.suffix.lower() == ".zarr":
            self.open(folder)
        else:
            self._run(load_jobs.listing(folder), f"listing of {folder.name}", self._list)

    def check(self, qpi: Any, dapi: Any) -> None:
        """Compare two layers."""
        try:
            if qpi is None or dapi is None or qpi is dapi:
                raise UserError("Choose a label-free and a DAPI layer.")
            volumes = [self._stack_on_screen(layer) for layer in (qpi, dapi)]
        except UserError as error:
            self.bar.refuse(str(error))
            return

        by_stain = self.form.registration.by_stain.isChecked()

        def show(value: Any) -> None:
            """Show the verdict beside the layers that it is about."""
            box = self.form.registration
            if box.qpi.layer is qpi and box.dapi.layer is dapi:
                box.show_result(*value)
            else:  # others were chosen meanwhile
                self.bar.say(f"{qpi.name} and {dapi.name}: {value[0].sentence}")

        self._run(load_jobs.checking(volumes[0], volumes[1], by_stain), "registration check", show)

    def shift(self, dapi: Any, shift: Any) -> None:
        """Add a copy of a layer that is moved by so many voxels."""
        try:
            volume = self._stack_on_screen(dapi)
        except UserError as error:
            self.bar.refuse(str(error))
            return

        def add(layers: list[LayerData]) -> None:
            """Show the copy in the place of the original."""
            (moved,) = self._add(layers)
            dapi.visible = False
            self.form.registration.dapi.choose(moved)
            self.bar.say(f"{moved.name} is added; {dapi.name} is hidden, and as it was.")

        self._run(load_jobs.shifting(volume, shift), f"shift of {dapi.name}", add)

    def _stack_on_screen(self, layer: Any) -> Any:
        from ..layers.viewport import View

        stack = stack_of(layer)
        if stack.times == 1:
            return stack.volume
        return stack.volume.select(time=View(self._viewer, stack).time)

    def _run(self, job: MakeJob, name: str, then: Callable[[Any], Any]) -> None:
        def done(event: Finished) -> None:
            """Hand on the value; a job that was stopped has none."""
            if event.value is not None:
                then(event.value)

        if not self.runner.running:
            self.runner.start(job, name, then=done)

    def _running(self, running: bool) -> None:
        form = self.form
        for widget in (form.file, form.folder, form.open_chosen, form.registration.check):
            widget.setEnabled(not running)

    def _add(self, layers: list[LayerData]) -> list[Any]:
        """Add layers and choose the first, without moving anything that is on screen."""
        from napari.layers import Layer

        first = not len(self._viewer.layers)
        made = [Layer.create(*one) for one in layers]
        with undisturbed(self._viewer):
            for layer in made:
                self._viewer.add_layer(layer)
        if first:
            dims = self._viewer.dims
            dims.current_step = tuple(n // 2 for n in dims.nsteps)
            self._viewer.layers.selection.active = made[0]
        images = [layer for layer in made if type(layer).__name__ == "Image"]
        if images:
            self.form.layer.choose(images[0])
        self._describe()
        return made

    def _list(self, found: load_jobs.Choices) -> None:
        """Show what a folder or a file holds."""
        if not found.choices:
            self.bar.refuse(
                f"{found.path.name} holds no stacks: choose a folder with TIFF or Zarr files."
            )
            return
        form = self.form
        form.list.clear()
        for one in found.choices:
            item = QListWidgetItem(one.text)
            item.setData(Qt.ItemDataRole.UserRole, one)
            form.list.addItem(item)
        form.list.setCurrentRow(found.first)
        form.list.show()
        form.open_chosen.show()
        form.list.setFocus()

    def _open_item(self, item: Any) -> None:
        chosen = None if item is None else item.data(Qt.ItemDataRole.UserRole)
        if chosen is None:
            return
        if isinstance(chosen.what, Pair):
            pair = chosen.what
            self._run(load_jobs.opening_pair(pair), f"opening of {pair.name}", self._add)
        else:
            self.open(chosen.what, chosen.image)

    def _describe(self) -> None:
        """Show what is known of the chosen layer, and ask for what is not."""
        layer, form, stack = self.form.layer.layer, self.form, None
        form.axes_row.ask_for(layer)
        form.contrast.setEnabled(layer is not None)
        if layer is None:
            form.about.setText("No stack is open yet. File → Open Sample has one to try.")
        else:
            try:
                stack = stack_of(layer)
                if stack.volume.spacing is None and form.spacing.recalled(layer):
                    stack = stack_of(layer)
                form.about.setText(describe(layer))
            except UserError as error:
                asked = form.axes_row.asks  # it says what is missing
                form.about.setText(describe(layer) + ("" if asked else f"\n⚠ {error}"))
        form.correct.setVisible(stack is not None and stack.volume.spacing is not None)
        form.spacing.ask_for(stack)

    def _correct_spacing(self) -> None:
        self.form.spacing.correct(stack_of(self.form.layer.layer))

    def _set_contrast(self) -> None:
        layer = self.form.layer.layer
        data = layer.data[0] if layer.multiscale else layer.data

        def apply(look: dict[str, Any]) -> None:
            for name, value in look.items():
                setattr(layer, name, value)

        self._run(load_jobs.measuring(data), f"contrast of {layer.name}", apply)

    def _ask_file(self) -> None:
        start = str(recall("load").get("folder", ""))
        name, _ = QFileDialog.getOpenFileName(self, "Open a stack", start, FILES)
        if name:
            self.open(Path(name))

    def _ask_folder(self) -> None:
        start = str(recall("load").get("folder", ""))
        name = QFileDialog.getExistingDirectory(self, "Open a folder", start)
        if name:
            self.open_folder(Path(name))
