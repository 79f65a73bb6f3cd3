"""What the worker does to check a pair: no window is known here."""

from __future__ import annotations

import io

from ...events import Finished, Job, Notice, ShouldStop, Started
from ...volumes import Registration, Volume, check_registration


def check_pair(qpi: Volume, dapi: Volume, by_stain: bool, should_stop: ShouldStop) -> Job:
    """Compare the stacks of a pair; the value is (Registration, PNG).

    Parameters
    ----------
    qpi, dapi : Volume
        The stacks.
    by_stain : bool
        Compare the shipped model's stain of the label-free stack in its place.
    should_stop : callable
        Asked while it is stained.
    """
    yield Started(job="check registration")
    virtual = None
    if by_stain:
        from ...staining import StainOptions
        from ...staining.virtual import stainer_of

        virtual = yield from stainer_of(None, StainOptions(check=False), should_stop)(qpi)
        if virtual is None:
            return
    found = check_registration(qpi, dapi, stain=virtual)
    yield from (Notice(text=note) for note in found.notes)
    yield Finished(value=(found, _png(found)))


def _png(registration: Registration) -> bytes:
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    figure = registration.figure()
    FigureCanvasAgg(figure)
    figure.axes[0].set_title("")  # the panel says it in words
    figure.set_size_inches(4.6, 4.6)  # so that the figures can be read in a panel
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=160, facecolor="black")
    return stream.getvalue()
