"""A plate as a grid of wells: what was counted in each, and its fields to open."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import Qt, Signal
from qtpy.QtGui import QBrush, QColor, QKeyEvent
from qtpy.QtWidgets import (
    QAbstractItemView,
    QCheckBox,
    QGroupBox,
    QHeaderView,
    QListWidget,
    QListWidgetItem,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from ..form import words
from .plate_jobs import PlateView, WellView

_DATA = Qt.ItemDataRole.UserRole
_ROWS, _COLUMNS, _FIELDS = 8, 12, 5  # that are seen without scrolling
_MOST_SHADE = 150  # of 255: how strong the colour of the fullest well is


class PlateBrowser(QGroupBox):
    """The wells of a plate as a grid, and the fields of the one that is chosen.

    Parameters
    ----------
    parent : QWidget, optional
        The panel.

    Attributes
    ----------
    well_wanted : Signal(str)
        The fields of this well shall be listed.
    field_wanted : Signal(object)
        This `PlateField` shall be opened.
    view : PlateView or None
        The plate that is shown.
    """

    well_wanted = Signal(str)
    field_wanted = Signal(object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__("Plate", parent)
        self.view: PlateView | None = None
        self.about = words(tip="How large the plate is, and what lies beside it.")
        self.grid = _Grid()
        self.grid.setToolTip(
            "The wells of the plate: arrow keys move, Enter or a click lists the fields of a well. "
            "The numbers are nuclei of a field, where they were counted; a dot is a well that was "
            "not counted; grey ones hold nothing."
        )
        self.grid.setAccessibleName("Wells")
        self.grid.chosen.connect(self._want_well)
        self.fields = QListWidget()
        self.fields.setToolTip("The fields of the well: Enter or a click opens one as layers.")
        self.fields.setAccessibleName("Fields of the well")
        self.fields.hide()
        self.fields.itemClicked.connect(self._want_field)
        self.fields.itemActivated.connect(self._want_field)
        self.keep = QCheckBox("Keep the layers of the field before")
        self.keep.setToolTip(
            "If not ticked, the layers that were opened of a field go when the next one is opened; "
            "layers that you have made stay."
        )
        column = QVBoxLayout(self)
        for part in (self.about, self.grid, self.fields, self.keep):
            column.addWidget(part)
        self.hide()

    def show_plate(self, view: PlateView) -> None:
        """Show the grid of a plate."""
        self.view = view
        plate = view.plate
        rows, columns = (sorted(names, key=_order) for names in (plate.rows, plate.columns))
        self.fields.hide()
        self.fields.clear()
        self.grid.clear()
        self.grid.setRowCount(len(rows))
        self.grid.setColumnCount(len(columns))
        self.grid.setVerticalHeaderLabels(rows)
        self.grid.setHorizontalHeaderLabels(columns)
        known = set(plate.wells)
        most = max((_each(row) or 0.0 for row in view.wells.values()), default=0.0)
        for r, row in enumerate(rows):
            for c, column in enumerate(columns):
                well = f"{row}/{column}"
                counted = view.wells.get(well)
                self.grid.setItem(r, c, _cell(well, well in known, counted, most))
        self.about.setText(_in_words(view))
        self.show()
        self.grid.fit()
        first = next((w for w in plate.wells), None)
        if first is not None:
            row, column = first.split("/")
            self.grid.setCurrentCell(rows.index(row), columns.index(column))
        self.grid.setFocus()

    def show_well(self, well: WellView) -> None:
        """List the fields of a well."""
        self.fields.clear()
        for one in well.fields:
            state = ", not there yet" if one.name in well.missing else ""
            state += ", stained" if one.name in well.stained else ""
            item = QListWidgetItem(f"{one.name}{state}")
            item.setData(_DATA, one)
            if one.name in well.missing:
                item.setFlags(item.flags() & ~Qt.ItemFlag.ItemIsEnabled)
            self.fields.addItem(item)
        self.fields.show()
        height = max(self.fields.sizeHintForRow(0), 1)
        self.fields.setFixedHeight(height * min(max(len(well.fields), 1), _FIELDS) + 6)
        self.fields.setCurrentRow(0)
        self.fields.setFocus()

    def _want_well(self, well: str) -> None:
        self.well_wanted.emit(well)

    def _want_field(self, item: Any) -> None:
        if item is not None and item.flags() & Qt.ItemFlag.ItemIsEnabled:
            self.field_wanted.emit(item.data(_DATA))


class _Grid(QTableWidget):
    """Cells that are chosen by a click, or by Enter."""

    chosen = Signal(str)

    def __init__(self) -> None:
        super().__init__()
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setTabKeyNavigation(False)  # the tab key leads out of the grid
        self.setStyleSheet("QTableView::item { padding: 0px; } QTableView { font-size: 8pt; }")
        self.setTextElideMode(Qt.TextElideMode.ElideNone)  # three dots hide three digits
        self.horizontalHeader().setMinimumSectionSize(24)
        self.verticalHeader().setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        self.cellClicked.connect(self._choose)

    def fit(self) -> None:
        """Show twelve columns and eight rows, a plate of 96, without a scroll bar."""
        few = self.columnCount() <= _COLUMNS
        mode = QHeaderView.ResizeMode
        self.horizontalHeader().setSectionResizeMode(mode.Stretch if few else mode.ResizeToContents)
        shown = min(self.rowCount(), _ROWS)
        height = sum(self.rowHeight(row) for row in range(shown))
        bar = 0 if few else self.horizontalScrollBar().sizeHint().height()
        self.setFixedHeight(self.horizontalHeader().height() + height + bar + 4)

    def keyPressEvent(self, event: QKeyEvent | None) -> None:
        """Choose the current cell by Enter or space."""
        keys = (Qt.Key.Key_Return, Qt.Key.Key_Enter, Qt.Key.Key_Space)
        if event is not None and event.key() in keys:
            self._choose(self.currentRow(), self.currentColumn())
        else:
            super().keyPressEvent(event)

    def _choose(self, row: int, column: int) -> None:
        item = self.item(row, column)
        if item is not None and item.data(_DATA):
            self.chosen.emit(item.data(_DATA))


def _order(name: str) -> tuple[bool, int, str]:
    """Return by what rows and columns are put in order: 2 before 10, B before AA."""
    return not name.isdecimal(), int(name) if name.isdecimal() else len(name), name


def _cell(well: str, there: bool, counted: dict[str, Any] | None, most: float) -> QTableWidgetItem:
    """Return the cell of a well: its count, a dot where nothing was counted, empty if none."""
    item = QTableWidgetItem("")
    item.setTextAlignment(Qt.AlignmentFlag.AlignCenter)
    if not there:  # it is not disabled, or the arrow keys would not lead past it
        item.setBackground(QBrush(QColor(128, 128, 128, 60)))
        item.setToolTip(f"{well}: nothing")
        return item
    item.setData(_DATA, well)
    each = None if counted is None else _each(counted)
    if counted is None or each is None:
        item.setText("·")
        item.setToolTip(f"{well}: nuclei not counted")
        return item
    item.setText(f"{each:.0f}")
    f1 = f", F1 {counted['f1']:.2f}" if isinstance(counted.get("f1"), float) else ""
    part = "" if counted.get("complete", True) else "; some fields could not be checked"
    item.setToolTip(
        f"{well}: {counted['nuclei']} nuclei in {counted['stacks']} stacks of "
        f"{counted['fields']} fields, {each:.1f} in each{f1}{part}"
    )
    if most > 0:
        item.setBackground(QBrush(QColor(86, 180, 233, round(_MOST_SHADE * each / most))))
    return item


def _each(row: dict[str, Any]) -> float | None:
    value = row.get("nuclei_per_stack")
    return None if value is None else float(value)


def _in_words(view: PlateView) -> str:
    plate = view.plate
    count = f"{len(plate.wells)} well{'s' * (len(plate.wells) != 1)}"
    lines = [f"{plate.name}: {count}, {len(plate.rows)} rows × {len(plate.columns)} columns"]
    lines += [f"Stained: {stain.path.name}" for stain in view.stains]
    if view.table is not None:
        lines.append(f"Nuclei: {view.table.name}")
    return "\n".join(lines)
