"""What a user of the panels is told where a file needs a choice."""

from __future__ import annotations

from ..volumes.options import ChoiceNeeded

# Where the Load panel asks for a choice.
_PLACES = {"axes": "as Axes", "channel": "as Channel", "time": "as Series", "image": "in its list"}


def choice_in_panel(needed: ChoiceNeeded) -> str:
    """Return the sentence that says where to click for a choice that a file needs."""
    place = _PLACES.get(needed.option, f"as {needed.option}")
    return f"{needed.problem}: open it with the Load panel, and choose {needed.example} {place}."
