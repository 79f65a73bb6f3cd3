"""A process beside napari's that does all heavy work, and is started again when it dies.

Torch, Cellpose and the decoders of files live there: what crashes there leaves the window alone.
A job goes there as a function and its arguments, and comes back as the events that it yields. The
standard library's process pools (and joblib's loky) hand back one value for each call; a job tells
how far it is, follows the view and can be stopped. `multiprocessing` would run the script that
opened napari once more in the child.
"""

from .elsewhere import COMPUTER, READER, Elsewhere, Workers, workers
from .links import Linked, Live
from .mapped import zeros

__all__ = ["COMPUTER", "READER", "Elsewhere", "Linked", "Live", "Workers", "workers", "zeros"]
