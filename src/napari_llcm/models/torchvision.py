"""A torchvision that was not built for the installed torch, and what it breaks."""

from __future__ import annotations

from importlib import metadata

from ..events import UserError


def check_torchvision() -> None:
    """Check that torchvision, where installed, can be imported.

    napari-llcm itself needs none, but torchmetrics, diffusers and Cellpose 4 import any that they
    find, and one built for another torch (or for CUDA beside a torch for the CPU) fails in the
    middle of theirs with "operator torchvision::nms does not exist". Call this before them.

    Raises
    ------
    UserError
        If it is installed and cannot be imported.
    """
    try:
        import torchvision  # noqa: F401
    except ModuleNotFoundError as error:
        if error.name != "torchvision":
            raise
    except (ImportError, RuntimeError, OSError) as error:
        raise UserError(
            f"The installed torchvision {metadata.version('torchvision')} was not built for the "
            f"installed torch {metadata.version('torch')}: install the two from the same source, "
            "or, unless you use Cellpose 4, run: pip uninstall torchvision"
        ) from error
