"""The part of the Train panel that says what shall be trained."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import Signal
from qtpy.QtWidgets import (
    QComboBox,
    QFormLayout,
    QGroupBox,
    QLabel,
    QLineEdit,
    QSpinBox,
    QWidget,
)

from ...events import duration
from ...models.library import DEFAULT_MODEL
from ...models.methods import METHODS
from ...training.new_run import PRESETS, free_name, starts
from ..layers.combo import narrow
from ..settings import preferences, recall, remember

_FORM = "train"
_DEVICES = {
    "auto": "the fastest there is",
    "cpu": "processor (CPU)",
    "cuda": "NVIDIA GPU",
    "mps": "Apple GPU",
}
_PRESET_TIPS = (
    "Quick look: shows in a short time whether anything can be learned from these pairs. "
    "Standard: for daily work. Full: the best that this method gives, over night."
)


class TrainForm(QGroupBox):
    """Method, start, thoroughness, device and name.

    Parameters
    ----------
    parent : QWidget, optional
        The panel.

    Attributes
    ----------
    changed : Signal()
        Something was set that the estimate depends on.
    estimate : QLabel
        How long it will take and how much memory.
    """

    changed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__("Model to train", parent)
        self._told: dict[str, Any] = {}
        self.method = QComboBox()
        self.method.setToolTip(
            "How it learns. llcm paints DAPI in one step; the others are there to compare it with."
        )
        for method in METHODS.values():
            self.method.addItem(method.title, method.name)
        self.init = QComboBox()
        self.init.setToolTip(
            "A model: it goes on from what that one knows (fine-tuning), which takes minutes and a "
            "pair or two. From nothing: it knows only your pairs, which takes hours and many pairs."
        )
        self.preset = QComboBox()
        for name, text in PRESETS.items():
            self.preset.addItem(text, name)
        self.preset.setToolTip(_PRESET_TIPS)
        self.minutes = QSpinBox()
        self.minutes.setRange(0, 100_000)
        self.minutes.setSpecialValueText("no limit")
        self.minutes.setSuffix(" min")
        self.minutes.setToolTip(
            "Be done after this time, with whatever was learned by then; 0 is no limit."
        )
        self.device = QComboBox()
        for device, text in _DEVICES.items():
            self.device.addItem(text, device)
        self.device.setToolTip("Where to compute. A GPU is tens of times faster than a processor.")
        self.name = QLineEdit(free_name())
        self.name.setToolTip("What the new model is called in the Stain panel.")
        self.estimate = QLabel()
        self.estimate.setWordWrap(True)
        self.estimate.setToolTip("Measured on this computer by training a few steps.")
        for box in (self.method, self.init, self.preset, self.device):
            narrow(box)
        form = QFormLayout(self)
        form.addRow("Method", self.method)
        form.addRow("Start from", self.init)
        form.addRow("Thoroughness", self.preset)
        form.addRow("At most", self.minutes)
        form.addRow("Compute on", self.device)
        form.addRow("Name", self.name)
        form.addRow(self.estimate)
        self.fill_models()
        self._recall()
        self.method.currentIndexChanged.connect(self.fill_models)
        for box in (self.method, self.init, self.device):
            box.currentIndexChanged.connect(self._forget_estimate)
        self.preset.currentIndexChanged.connect(self._show_estimate)
        self.minutes.valueChanged.connect(self._show_estimate)

    def fill_models(self, *_: Any) -> None:
        """Offer every model that the method can start from, the shipped one first."""
        before = self.init.currentData()
        self.init.blockSignals(True)
        self.init.clear()
        for name in starts(self.method.currentData()):
            self.init.addItem(f"{name} (shipped)" if name == DEFAULT_MODEL else name, name)
        self.init.addItem("nothing", None)
        self.init.setCurrentIndex(max(self.init.findData(before) if before else 0, 0))
        self.init.blockSignals(False)

    def values(self) -> dict[str, Any]:
        """Return what is set, as `plan` takes it."""
        return {
            "name": self.name.text().strip(),
            "preset": self.preset.currentData(),
            "method": self.method.currentData(),
            "init": self.init.currentData(),
            "minutes": self.minutes.value(),
            "device": self.device.currentData(),
        }

    def remember(self) -> None:
        """Keep what is set for the next session, and offer a fresh name."""
        kept = self.values()
        del kept["name"]
        remember(_FORM, **kept)

    def tell(self, estimate: dict[str, Any]) -> None:
        """Show an estimate: what `training.estimate` finds."""
        self._told = estimate
        self._show_estimate()

    @property
    def expected(self) -> dict[str, float] | None:
        """Seconds of each phase, where they were measured."""
        return self._told["seconds"][self.preset.currentData()] if self._told else None

    def _forget_estimate(self) -> None:
        self._told = {}
        self.changed.emit()

    def _show_estimate(self) -> None:
        if not self._told:
            return
        seconds = self._told["seconds"][self.preset.currentData()]["all"]
        limit = self.minutes.value() * 60
        time = duration(min(seconds, limit) if limit else seconds)
        if limit and limit < seconds:
            time += f" (all of it would take about {duration(seconds)})"
        memory = self._told["memory_bytes"] / 1e9
        place = _DEVICES.get(self._told["device"].partition(":")[0], self._told["device"])
        self.estimate.setText(
            f"About {time} and {memory:.1f} GB of memory on this computer's {place}."
        )

    def _recall(self) -> None:
        kept = {"device": preferences().device, "preset": "quick"} | recall(_FORM)
        for name in ("method", "init", "preset", "device"):
            if name in kept:
                box = getattr(self, name)
                box.setCurrentIndex(max(box.findData(kept[name]), 0))
        self.minutes.setValue(int(kept.get("minutes") or 0))
