"""The table of nuclei: sortable, filtered by verdict, stepped through."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from qtpy.QtCore import QAbstractTableModel, QModelIndex, Qt, Signal
from qtpy.QtGui import QColor
from qtpy.QtWidgets import QAbstractItemView, QHeaderView, QTableView, QWidget

from ...nuclei.table import Row
from ...nuclei.thresholding import CONFIDENCE
from .verdicts import TIPS, WORDS, colour_of, key_of

_ROLE = Qt.ItemDataRole
_COLUMNS = {
    "verdict": ("verdict", "What became of the nucleus."),
    "volume": ("volume\n{u}³", "Size of the nucleus."),
    "brightness": ("brightness", "Mean of the image within the nucleus, in the image's own unit."),
    CONFIDENCE: ("confidence", "How sure the virtual stain is of this nucleus, 0 to 1."),
    "iou": ("overlap", "Overlap with its partner in the other image: 1 is the same shape."),
    "depth": ("depth\n{u}", "Below the first plane."),
    "id": ("label", "Its number in the labels, and in the exported table."),
}
_AREA = ("area\n{u}²", "Size of the nucleus in the projection.")  # where nuclei are flat

# what went wrong comes first
_ORDER = ("missed", "hallucinated", "merged", "split", "misshapen", "found", "nucleus")


class NucleiModel(QAbstractTableModel):
    """Rows of a comparison, filtered and sorted here.

    A QSortFilterProxyModel would ask for every value through Python again and again: half a
    second for a few thousand nuclei, where a list is sorted in milliseconds.

    Parameters
    ----------
    parent : QWidget, optional
        The view.
    """

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.rows: list[Row] = []
        self._all: list[Row] = []
        self._columns: list[str] = []
        self._shown: set[str] = set(WORDS)
        self._unit, self._least, self._flat = "µm", 0.0, False
        self._sorted, self._down = "verdict", False

    def fill(self, rows: Sequence[Row], unit: str, least: float = 0.0) -> None:
        """Show other rows.

        Parameters
        ----------
        rows : sequence of dict
            The nuclei.
        unit : str
            Of lengths.
        least : float
            The least confidence that is believed.
        """
        self.beginResetModel()
        self._all, self._unit, self._least = list(rows), unit, least
        self._flat = bool(rows) and all(row.get("depth") is None for row in rows)
        self._columns = [
            name
            for name in _COLUMNS
            if name in ("verdict", "volume", "id")
            or (name == "depth" and not self._flat)
            or any(row.get(name) not in (None, 0.0) for row in self._all)
        ]
        self._arrange()
        self.endResetModel()

    def show_only(self, verdicts: Iterable[str]) -> None:
        """Show the nuclei of some verdicts."""
        self.beginResetModel()
        self._shown = set(verdicts)
        self._arrange()
        self.endResetModel()

    def sort(self, column: int, order: Qt.SortOrder = Qt.SortOrder.AscendingOrder) -> None:
        """Sort by a column; what is unknown comes last."""
        if 0 <= column < len(self._columns):
            self.beginResetModel()
            self._sorted = self._columns[column]
            self._down = order == Qt.SortOrder.DescendingOrder
            self._arrange()
            self.endResetModel()

    def _arrange(self) -> None:
        rows = [row for row in self._all if row["verdict"] in self._shown]
        name = self._sorted
        known = [row for row in rows if row.get(name) is not None]
        known.sort(key=lambda row: _rank(name, row[name]), reverse=self._down)
        self.rows = known + [row for row in rows if row.get(name) is None]

    def column(self, name: str) -> int:
        """Return the number of a column, -1 where it is not known."""
        return self._columns.index(name) if name in self._columns else -1

    def rowCount(self, parent: QModelIndex | None = None) -> int:
        """Return how many nuclei there are."""
        return 0 if parent is not None and parent.isValid() else len(self.rows)

    def columnCount(self, parent: QModelIndex | None = None) -> int:
        """Return how many properties are known."""
        return 0 if parent is not None and parent.isValid() else len(self._columns)

    def headerData(self, section: int, orientation: Any, role: int = _ROLE.DisplayRole) -> Any:
        """Return the name of a column, or what it means."""
        if orientation != Qt.Orientation.Horizontal or section >= len(self._columns):
            return None
        name = self._columns[section]
        text, tip = _AREA if self._flat and name == "volume" else _COLUMNS[name]
        said: dict[int, str] = {
            _ROLE.DisplayRole: text.format(u="vx" if self._unit == "voxels" else self._unit),
            _ROLE.ToolTipRole: f"{tip} Click to sort.",
        }
        return said.get(role)

    def data(self, index: QModelIndex, role: int = _ROLE.DisplayRole) -> Any:
        """Return a figure as text, and the colour of a verdict."""
        row, name = self.rows[index.row()], self._columns[index.column()]
        value = row.get(name)
        if role == _ROLE.DisplayRole:
            return _text(name, value)
        if role == _ROLE.TextAlignmentRole and name != "verdict":
            return int(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        if name == "verdict" and role == _ROLE.DecorationRole:
            return QColor(colour_of(row, self._least))
        if name == "verdict" and role == _ROLE.ToolTipRole:
            return TIPS.get(row["verdict"])
        return None


class NucleiTable(QTableView):
    """The table; a nucleus that is chosen is told by `chosen`.

    Parameters
    ----------
    parent : QWidget, optional
        The panel.

    Attributes
    ----------
    chosen : Signal(object)
        The row of the nucleus that the user went to.
    """

    chosen = Signal(object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.nuclei = NucleiModel(self)
        self.setModel(self.nuclei)
        self.setSortingEnabled(True)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setToolTip(
            "Click a nucleus to fly there; arrow keys go from one to the next. A click on a "
            "nucleus in the image shows its row."
        )
        self.setMinimumHeight(180)
        self.setAlternatingRowColors(False)
        self.setStyleSheet(
            "QHeaderView::section { padding: 2px } QTableView::item { padding: 1px }"
        )
        self.setHorizontalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.verticalHeader().hide()
        self.verticalHeader().setDefaultSectionSize(22)
        header = self.horizontalHeader()
        header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        header.setResizeContentsPrecision(20)  # rows that are measured: thousands take long
        header.setStretchLastSection(True)
        self.selectionModel().currentRowChanged.connect(self._tell)

    def fill(self, rows: Sequence[Row], unit: str, least: float = 0.0) -> None:
        """Show other rows; the chosen nucleus stays chosen if it is still there.

        Parameters
        ----------
        rows : sequence of dict
            The nuclei.
        unit : str
            Of lengths.
        least : float
            The least confidence that is believed.
        """
        with self._quietly():
            self.nuclei.fill(rows, unit, least)

    def show_only(self, verdicts: Iterable[str]) -> None:
        """Show the nuclei of some verdicts."""
        with self._quietly():
            self.nuclei.show_only(verdicts)

    def shown(self) -> list[Row]:
        """Return the rows that are shown, in their order."""
        return list(self.nuclei.rows)

    def current(self) -> Row | None:
        """Return the chosen nucleus."""
        index = self.currentIndex()
        return self.nuclei.rows[index.row()] if index.isValid() else None

    def select(self, key: tuple[str, int], tell: bool = True) -> None:
        """Choose a nucleus if it is shown.

        Parameters
        ----------
        key : tuple
            Its image and label.
        tell : bool
            Whether `chosen` is emitted.
        """
        self.selectionModel().blockSignals(not tell)
        for i, row in enumerate(self.nuclei.rows):
            if key_of(row) == key:
                self.setCurrentIndex(self.nuclei.index(i, 0))
                self.scrollTo(self.nuclei.index(i, 0))
                break
        self.selectionModel().blockSignals(False)
        self.viewport().update()

    @contextmanager
    def _quietly(self) -> Iterator[None]:
        """Keep the chosen nucleus chosen, if it is still there, without flying to it again."""
        before = self.current()
        self.selectionModel().blockSignals(True)
        yield
        self.selectionModel().blockSignals(False)
        if before is not None:
            self.select(key_of(before), tell=False)

    def _tell(self, index: QModelIndex, _: QModelIndex) -> None:
        if index.isValid():
            self.chosen.emit(self.nuclei.rows[index.row()])


def _rank(name: str, value: Any) -> Any:
    return _ORDER.index(value) if name == "verdict" and value in _ORDER else value


def _text(name: str, value: Any) -> str:
    if value is None:
        return "–"
    if name == "verdict":
        return WORDS.get(value, value)
    if name in (CONFIDENCE, "iou"):
        return f"{value:.2f}"
    if name == "id":
        return str(value)
    return f"{value:.3g}" if abs(value) < 100 else f"{value:.0f}"
