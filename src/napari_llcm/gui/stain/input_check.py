"""Whether models can read stacks, as far as the Stain panel knows by now."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from ...events import Finished, UserError
from ...models.familiarity import Verdict
from ...staining.check_input import without_looking
from ..jobs.runner import Runner
from .form import StainForm
from .jobs import check
from .stain_layer import StainLayer

if TYPE_CHECKING:
    from ...staining import StainOptions

_CHANGES = ("data", "scale", "units", "axis_labels")  # of a layer, that make it another stack


class InputCheck:
    """Asks for verdicts, keeps those that are known, and shows that on the chosen stack.

    Parameters
    ----------
    form : StainForm
        What is chosen.
    runner : Runner
        Runs the check.
    """

    def __init__(self, form: StainForm, runner: Runner) -> None:
        self._form, self._runner = form, runner
        self._known: WeakKeyDictionary[Any, dict[Any, Verdict]] = WeakKeyDictionary()
        self._asked: Any = None  # model and width of the job that is going on
        form.model.changed.connect(self.show)
        form.width_row.changed.connect(self.show)

    def show(self, *_: Any) -> None:
        """Show what is known of the chosen stack and model."""
        layer = self._form.stack.layer
        known = self._known.get(layer, {}).get(self._key()) if layer else None
        self._form.verdict.tell(known or (self._taught() if layer else None))
        self._form.verdict.setEnabled(layer is not None)

    def start(self, stack: Any, time: int, options: StainOptions) -> None:
        """Look at a stack before it is stained.

        Parameters
        ----------
        stack : LayerStack
            The stack.
        time : int
            Time point that is on screen.
        options : StainOptions
            Device and nucleus width.

        Raises
        ------
        UserError
            If the model is there no more.
        """
        self.begin()
        volume = stack.volume.select(time=time) if stack.times > 1 else stack.volume

        def told(event: Finished) -> None:
            """Keep the verdict, if it came to one."""
            if event.value is not None:
                self._keep(stack.layer, event.value)

        job = check(self._form.model.path, volume, options)
        self._runner.start(job, f"check of {stack.layer.name}", then=told)

    def begin(self, parts: Sequence[StainLayer] = ()) -> None:
        """Note by which model and width a job looks; it need not look again at what is known."""
        self._asked = self._key()
        for part in parts:
            known = self._known.get(part.stack.layer, {}).get(self._asked)
            for canvas in part.canvases.values():
                canvas.verdict = canvas.verdict or known

    def hear(self, parts: Sequence[StainLayer]) -> None:
        """Keep the verdicts that a staining job has come to by now."""
        for part in parts:
            if (found := part.verdict) is not None:
                self._keep(part.stack.layer, found)

    def _keep(self, layer: Any, verdict: Verdict) -> None:
        known = self._known.get(layer)
        if known is None:
            known = self._known[layer] = {}
            for name in _CHANGES:
                getattr(layer.events, name).connect(self._forget)
        if known.get(self._asked) != verdict:
            known[self._asked] = verdict
            self.show()

    def _forget(self, event: Any) -> None:
        self._known.pop(event.source, None)
        self.show()

    def _taught(self) -> Verdict | None:
        """Return what a model says that was taught: of any stack the same, so it is not asked."""
        try:
            verdict = without_looking(self._form.model.info)
        except UserError:
            return None
        return verdict if verdict.value == "taught" else None

    def _key(self) -> tuple[Path, float, float | None] | None:
        try:
            path = self._form.model.path
            return path, path.stat().st_mtime, self._form.width_row.width
        except (UserError, OSError):
            return None
