"""`napari-llcm worker`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .console import run
from .options import Events, as_json


def worker(
    device: Annotated[
        list[str] | None,
        typer.Option(
            help="Where to compute: cpu, cuda, cuda:N or mps; may be repeated, a worker for each. "
            "All GPUs that there are, or else the processor, if none."
        ),
    ] = None,
    listen: Annotated[
        str,
        typer.Option(
            metavar="ADDRESS",
            help="Which of this computer's addresses others reach; localhost for an SSH tunnel "
            "alone.",
        ),
    ] = "0.0.0.0",
    port: Annotated[int, typer.Option(min=1, max=65535, help="Of the scheduler.")] = 8786,
    keys: Annotated[
        Path | None,
        typer.Option(
            help="Folder of the keys, made where there are none; one of the user's own if not "
            "given."
        ),
    ] = None,
    join: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS",
            help="Compute for the scheduler of another machine, whose workstation.pem lies in "
            "--keys.",
        ),
    ] = None,
    unencrypted: Annotated[
        bool,
        typer.Option(
            "--unencrypted", help="Let others in without keys, in a network that you trust."
        ),
    ] = False,
    events: Events = None,
) -> None:
    """Compute for others: serve the GPUs of this machine to napari on a laptop.

    Connections from other computers are encrypted; the file that is named at the start, copied to
    the laptop, lets it in.
    """
    from platformdirs import user_config_path

    from ..cluster.connection import is_local
    from ..cluster.serving import Serving, serve

    own = user_config_path("napari-llcm", appauthor=False) / "cluster"
    here = "127.0.0.1" if listen == "localhost" else listen
    local = is_local((join or "").removeprefix("tcp://").split(":")[0]) if join else is_local(here)
    offered = Serving(
        devices=_devices(device or []),
        listen=here,
        port=port,
        keys=keys or own,
        encrypted=not (unencrypted or (local and keys is None)),
        join=join,
    )
    run(lambda stop: serve(offered, stop), as_json(events))


def _devices(wanted: list[str]) -> tuple[str, ...]:
    """Return the devices of this machine that are wanted."""
    import torch

    from ..models.device import pick_device

    if wanted:
        return tuple(str(pick_device(name)) for name in wanted)
    if torch.cuda.is_available():
        return tuple(f"cuda:{n}" for n in range(torch.cuda.device_count()))
    return (str(pick_device()),)
