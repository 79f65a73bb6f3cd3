"""Widgets made from the fields of a typed config, by magicgui: a field is spelt in one place."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from magicgui.widgets import create_widget
from qtpy.QtWidgets import QComboBox, QFormLayout

if TYPE_CHECKING:
    from pydantic import BaseModel

_LIMITS = {"ge": "min", "gt": "min", "le": "max", "lt": "max"}
DEVICES = {
    "auto": "the fastest there is",
    "cpu": "processor (CPU)",
    "cuda": "NVIDIA GPU",
    "mps": "Apple GPU",
}


def field_widget(
    config: type[BaseModel],
    name: str,
    choices: Mapping[Any, str] | None = None,
    annotation: Any = None,
    **options: Any,
) -> Any:
    """Return the widget of one field: its title is the label, its description the tooltip.

    Parameters
    ----------
    config : type of BaseModel
        The config.
    name : str
        The field.
    choices : mapping, optional
        Words for each value that can be chosen: a drop-down.
    annotation : type, optional
        In place of the field's own, where a form offers less than that.
    **options
        Further options of magicgui's widget, such as `step`, in place of what the field tells.

    Returns
    -------
    magicgui.widgets.bases.ValueWidget
        With `name`, `label`, `value`, and the Qt widget as `native`.
    """
    field = config.model_fields[name]
    told: dict[str, Any] = {"tooltip": field.description or ""}
    for limit in field.metadata:
        told |= {to: getattr(limit, kind) for kind, to in _LIMITS.items() if hasattr(limit, kind)}
    default = field.get_default(call_default_factory=True)
    if default is not None:
        told["value"] = default
    if choices is not None:
        told |= {"choices": [(text, value) for value, text in choices.items()]}
    made = create_widget(
        annotation=annotation or field.annotation,
        name=name,
        label=field.title or name,
        widget_type=None if choices is None else "ComboBox",
        options=told | options,
    )
    if isinstance(made.native, QComboBox):  # as wide as there is room, not as its longest text
        made.native.setMinimumContentsLength(12)
        made.native.setSizeAdjustPolicy(
            QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
        )
    return made


def add_rows(layout: QFormLayout, *widgets: Any) -> None:
    """Add a row with label and field for each widget."""
    for widget in widgets:
        layout.addRow(widget.label, widget.native)


def set_values(kept: Mapping[str, Any], *widgets: Any) -> None:
    """Set widgets to what a form was last set to; what does not fit any more is left out."""
    for widget in widgets:
        if kept.get(widget.name) is not None:
            try:
                widget.value = kept[widget.name]
            except (ValueError, TypeError):
                continue
