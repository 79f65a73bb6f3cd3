"""The Check panel: nuclei found, missed and made up; or how near finer slices are to thin ones."""

from __future__ import annotations

from functools import partial
from typing import Any

from qtpy.QtCore import Qt
from qtpy.QtGui import QKeySequence, QShortcut
from qtpy.QtWidgets import QComboBox, QHBoxLayout, QPushButton, QVBoxLayout, QWidget

from ...events import Finished, UserError
from ...nuclei.comparing import Comparison
from ...nuclei.finding import Findings
from ...nuclei.provenance import caption
from ...nuclei.table import Row
from ...nuclei.thresholding import CONFIDENCE, at_confidence, counts_of
from ...volumes import Volume
from ...volumes.flat import is_flat
from ...worker import COMPUTER, workers
from ..form import words
from ..jobs.job_bar import JobBar
from ..jobs.runner import Runner
from ..panel import Panel
from .camera import CameraMove
from .confidence_slider import ConfidenceBar
from .exports import Exports
from .form import CheckForm, is_labels
from .image_view import ImageView
from .jobs import checking
from .nuclei_table import NucleiTable
from .outlines import Outlines
from .scores import ScoreBoard
from .sides import Sides, sides_of
from .verdicts import FILTERS, in_reading_order, key_of, neighbour

_NEXT, _PREVIOUS, _BLINK = ".", ",", "-"  # on most keyboards side by side


class CheckPanel(Panel):
    """Compare a virtual stain with the real one, nucleus by nucleus.

    Parameters
    ----------
    napari_viewer : napari.viewer.Viewer
        The viewer whose layers are compared.
    runner : Runner, optional
        What runs the jobs; a thread by default.

    Attributes
    ----------
    result : Comparison, Findings or None
        What is shown: with a real stain, without one, or nothing yet.
    outlines : Outlines or None
        Its layer.
    images : ImageView
        What is shown where images are compared, not nuclei.
    """

    def __init__(self, napari_viewer: Any, runner: Runner | None = None) -> None:
        super().__init__(napari_viewer, runner)
        self.result: Comparison | Findings | None = None
        self.outlines: Outlines | None = None
        self._rows: list[Row] = []
        self._images: dict[str, Volume | None] = {}
        self._compared: tuple[Any, ...] = ()  # layers of the check that is shown, or going on
        self._stale = ""  # why the check no longer is of what the layers show
        self._camera = CameraMove(self._viewer, self)
        self._lay_out()
        self._connect()
        workers.warm(COMPUTER)  # while the user chooses

    def _lay_out(self) -> None:
        self.form = CheckForm(self._viewer)
        self.check = QPushButton("Check")
        self.check.setToolTip("Compare what is chosen above.")
        self.swap = QPushButton("Blink")
        self.swap.setToolTip(
            f"Show the real stain in place of the virtual one, and back (key: {_BLINK}): what "
            "differs jumps to the eye."
        )
        self.bar = JobBar()
        self.caption = words(tip="What the figures, the table and the outlines are of.")
        self.scores = ScoreBoard()
        self.confidence = ConfidenceBar()
        self.filter = QComboBox()
        for name in FILTERS:
            self.filter.addItem(name)
        self.filter.setToolTip("Which nuclei are listed below and outlined in the image.")
        self.previous, self.next = QPushButton("◀"), QPushButton("▶")
        row = QHBoxLayout()
        row.addWidget(self.filter, 1)
        for button, way, key in (
            (self.previous, "previous", _PREVIOUS),
            (self.next, "next", _NEXT),
        ):
            row.addWidget(button)
            button.setMaximumWidth(36)
            button.setToolTip(
                f"Fly to the {way} nucleus of the list above, by default to the {way} missed "
                f"one (key: {key})."
            )
        self.table = NucleiTable()
        self.exports = Exports()
        self.exports.attach(self.bar)
        self.images = ImageView(self._viewer)
        self.results = QWidget()
        column = QVBoxLayout(self.results)
        column.setContentsMargins(0, 0, 0, 0)
        for part in (self.caption, self.scores, self.confidence):
            column.addWidget(part)
        column.addLayout(row)
        column.addWidget(self.table, 1)
        column.addWidget(self.exports)
        self.results.hide()
        whole = QVBoxLayout(self)
        buttons = QHBoxLayout()
        buttons.addWidget(self.check, 2)
        buttons.addWidget(self.swap, 1)
        whole.addWidget(self.form)
        whole.addLayout(buttons)
        whole.addWidget(self.bar)
        whole.addWidget(self.results, 1)
        whole.addWidget(self.images)
        whole.addStretch()

    def _connect(self) -> None:
        self.bar.attach(self.runner)
        self.runner.running_changed.connect(lambda running: self.check.setEnabled(not running))
        self.check.clicked.connect(self.start)
        self._session.stained.connect(self._stained)
        self.filter.currentIndexChanged.connect(self.refresh)
        self.confidence.changed.connect(self.refresh)
        self.table.chosen.connect(self.go_to)
        self.next.clicked.connect(lambda: self.step(1))
        self.previous.clicked.connect(lambda: self.step(-1))
        self.swap.clicked.connect(self.blink)
        self.images.nuclei_wanted.connect(self._nuclei_too)
        for key, act in (
            (_NEXT, lambda: self.step(1)),
            (_PREVIOUS, lambda: self.step(-1)),
            (_BLINK, self.blink),
        ):
            shortcut = QShortcut(QKeySequence(key), self)
            shortcut.setContext(Qt.ShortcutContext.WindowShortcut)
            shortcut.activated.connect(act)

    def start(self) -> None:
        """Compare what is chosen; the check before is no longer shown as if it were this one."""
        form = self.form
        stain, truth, qpi = form.stain.layer, form.truth.layer, form.qpi.layer
        try:
            if form.of_images:
                self._forget()
                self._compared = (stain, truth, qpi)
                self.images.compare(self.runner, *self._compared)
                return
            sides = sides_of(stain, truth, qpi, self._viewer)
        except UserError as error:
            self._forget()
            self.images.clear()
            self.bar.clear()
            self.bar.fail(str(error))
            return
        self.images.clear()
        form.remember()
        self._outdate()
        self._compared, self._stale = (stain, truth, qpi), ""
        self.runner.start(
            checking(
                sides,
                form.settings(),
                form.matching(),
                stain_is_labels=is_labels(stain),
                truth_is_labels=is_labels(truth),
            ),
            f"check of {stain.name}",
            then=partial(self._checked, sides),
            otherwise=lambda *_: self._forget(),
        )

    def _nuclei_too(self) -> None:
        self.form.compare.setCurrentIndex(self.form.compare.findData("nuclei"))
        self.start()

    def check_stain(self, stain: Any, source: Any) -> None:
        """Compare the stain of a layer with the real one that is chosen, if there is one."""
        self.form.stain.choose(stain)
        self.form.qpi.choose(source if source in self._viewer.layers else None)
        if not self.runner.running:
            self.start()

    def blink(self) -> None:
        """Show the real stain in place of the virtual one, or the other way round."""
        stain, truth = self.form.stain.layer, self.form.truth.layer
        if stain is not None and truth is not None and stain is not truth:
            stain.visible, truth.visible = not stain.visible, stain.visible

    def refresh(self, *_: Any) -> None:
        """Show figures, table and outlines as filter and slider say."""
        if self.result is None or self.outlines is None:
            return
        least = self.confidence.least
        believed = at_confidence(self._rows, least)
        if isinstance(self.result, Comparison):
            rows = believed
            self.scores.show_counts(counts_of(rows) if least else self.result.counts)
        else:
            rows = self._rows  # none is wrong, some are unsure
            self.scores.show_number(len(believed), len(rows) - len(believed))
        verdicts = FILTERS[self.filter.currentText()]
        self.table.show_only(verdicts)
        self.table.fill(rows, self.result.settings["unit"], least)
        self.outlines.show((row for row in rows if row["verdict"] in verdicts), least)
        if not self._stale:
            self.exports.offer(self.result, rows, verdicts, least, self._images)

    def go_to(self, row: Row) -> None:
        """Fly to a nucleus and make it white."""
        if self.outlines is None or self.result is None:
            return
        volume = self.result.stain_labels
        width = max(float(row["volume"]), 1e-6) ** (1 / 2 if is_flat(volume) else 1 / 3)
        self._camera.to(self.outlines.place(row, volume), self.outlines.in_view(width, volume))
        self.outlines.choose(row)

    def _choose(self, key: tuple[str, int]) -> None:
        """Show the row of a nucleus that was clicked in the image; the view stays where it is."""
        self.table.select(key, tell=False)
        row = self.table.current()
        if row is not None and key_of(row) == key and self.outlines is not None:
            self.outlines.choose(row)

    def step(self, by: int) -> None:
        """Go to the next or previous nucleus of the filter; where all are shown, missed one.

        Parameters
        ----------
        by : int
            1 or -1.
        """
        rows = in_reading_order(self.table.shown())
        missed = [row for row in rows if row["verdict"] == "missed"]
        rows = missed if self.filter.currentIndex() == 0 and missed else rows
        if not rows:
            return
        self.table.select(key_of(neighbour(rows, self.table.current(), by)))

    def _outdate(self) -> None:
        """Show the check before in grey, without outlines, while another one is going on."""
        if self.outlines is not None:
            self.outlines.remove()
        self.outlines = None
        self.exports.withdraw()
        self.results.setEnabled(False)

    def _forget(self) -> None:
        """Show no check: the one that was asked for failed or was cancelled."""
        self._outdate()
        self.result, self._rows, self._images = None, [], {}
        self.results.hide()

    def _stained(self, layer: Any) -> None:
        """Say that what was checked, or is being checked, is no longer what the layer shows."""
        if any(one is layer for one in self._compared):
            self._mark(f"{layer.name} was stained again")
            self.images.outdate()

    def _mark(self, why: str = "") -> None:
        """Say since when a check is no longer true, and save it no more."""
        if not why and self.outlines is not None and self.outlines.outdated:
            why = "The layer that was checked was changed"
        if why:
            self._stale = f"⚠ {why} since this check: check anew."
            self.exports.withdraw()
        if self.result is not None and self.outlines is not None:
            lines = [caption(self.result.settings), self._stale]
            self.caption.setText("\n".join(line for line in lines if line))

    def _checked(self, sides: Sides, event: Finished) -> None:
        if event.value is None:  # it was cancelled
            self._forget()
            return
        result, outline_image = event.value
        self.result, self._rows, self._images = result, list(result.table), sides.images
        compared = isinstance(result, Comparison)
        self.outlines = Outlines(self._viewer, sides.stack, outline_image, self._choose, self._mark)
        self._mark()
        self.filter.setVisible(compared)
        self.filter.blockSignals(True)
        self.filter.setCurrentIndex(0)
        self.filter.blockSignals(False)
        self.confidence.offer(self._rows)
        self.results.setEnabled(True)
        self.results.show()
        self.refresh()
        column = self.table.nuclei.column(CONFIDENCE if not compared else "verdict")
        self.table.sortByColumn(max(column, 0), Qt.SortOrder.AscendingOrder)
        if not self._rows:
            self.bar.say("No nuclei were found: look at the image, or give their width.")
