"""What the manifest offers to napari: reader, writers and sample data."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..volumes import Volume
    from .layers.conversion import LayerData

SAMPLE_SIZE = (32, 128, 128)  # two seconds to make
SAMPLE_SEED = 20_000_002  # training, validation and tests use seeds below 10 million


def get_reader(path: str | Sequence[str]) -> Callable[[Any], list[LayerData]] | None:
    """Return the reader of a volume; None for several files, which napari reads one by one."""
    return read_layers if isinstance(path, str) else None


def browse_plate(path: Path) -> list[Any]:
    """Show the wells of a plate in the Load panel of the current viewer; no layer is opened.

    Raises
    ------
    UserError
        If there is no viewer to show it in.
    """
    import napari

    from ..events import UserError
    from .panel import show_panel

    viewer = napari.current_viewer()
    if viewer is None:
        raise UserError(
            f"{path} is a plate: open it in napari's window, or give one of its fields."
        )
    show_panel(viewer, "Load").open_plate(path)
    return [(None,)]  # napari's word for a file that was read and makes no layer


def read_layers(path: str) -> list[LayerData]:
    """Return the layers of a file, lazily, as the Load panel opens them.

    Where a choice is needed, the likeliest is taken, and napari shows what the volume has to say.

    Raises
    ------
    UserError
        If the file cannot be read.
    """
    from napari.utils.notifications import show_warning

    from ..volumes import looks_like_labels
    from ..volumes.plates import is_plate
    from .jobs.waiting import waited_for
    from .layers.look import dressed
    from .load.jobs import read_elsewhere
    from .load.likeliest import read_likeliest

    if is_plate(Path(path)):
        return browse_plate(Path(path))

    def opened() -> tuple[Volume, list[LayerData]]:
        """Open the file in the reader, and measure its contrast."""
        volume = read_elsewhere(partial(read_likeliest, path), path)
        return volume, dressed(volume, "labels" if looks_like_labels(volume) else "image")

    volume, layers = waited_for(opened)
    for note in volume.notes:
        show_warning(note)
    return layers


def write_image(path: str, data: Any, attributes: dict[str, Any]) -> list[str]:
    """Write an image layer with its scale and the record of how it was made.

    Raises
    ------
    UserError
        If the layer has no place in the file, or the disk is full.
    """
    return _write(path, data, attributes, labels=False)


def write_labels(path: str, data: Any, attributes: dict[str, Any]) -> list[str]:
    """Write a labels layer with its scale and the record of how it was made.

    Raises
    ------
    UserError
        If the layer has no place in the file, or the disk is full.
    """
    return _write(path, data, attributes, labels=True)


def _write(path: str, data: Any, attributes: dict[str, Any], labels: bool) -> list[str]:
    from napari.utils.notifications import show_warning

    from ..volumes import losses, write
    from .layers.conversion import as_volume

    volume = as_volume(data, attributes)
    said = dict.fromkeys((*volume.metadata.get("notices", ()), *volume.notes))
    if said:  # what must be read before it is trusted goes with it
        volume = volume.replace(metadata={**volume.metadata, "notices": list(said)})
    # napari's dialog has asked before it replaces a file
    for sentence in losses(path, volume):
        show_warning(sentence)
    return [str(write(path, volume, overwrite=True, labels=labels))]


def simulated_pair() -> list[LayerData]:
    """Return a simulated specimen: phase stack, its DAPI, and the true nuclei."""
    from ..specimen import make_specimen
    from .jobs.waiting import waited_for
    from .layers.conversion import as_layers
    from .layers.look import dressed

    made = waited_for(lambda: make_specimen(SAMPLE_SIZE, SAMPLE_SEED, "medium"))
    return [
        *dressed(made.qpi, dye=False),
        *dressed(made.dapi, dye=True),
        *as_layers(made.labels, "labels", visible=False),
    ]
