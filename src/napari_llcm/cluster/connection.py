"""A connection to the machines that compute, or one sentence why there is none."""

from __future__ import annotations

import ipaddress
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from ..events import ShouldStop, UserError
from .certificates import MISSING, address_in
from .options import ClusterOptions
from .started import STARTED

_PATIENCE = 10.0  # s for an answer
_STARTS = 30.0  # s that a worker takes to start


class Absent(UserError):
    """Nobody answers, or nobody works there: that may change."""


def is_local(host: str) -> bool:
    """Return whether a host is this computer, whatever a name server says."""
    host = host.strip("[]")
    if host.lower() in ("localhost", ""):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def reached(options: ClusterOptions) -> tuple[str, Any]:
    """Return the address of a scheduler, and dask's `Security` for it.

    Parameters
    ----------
    options : ClusterOptions
        With an address or a key file.

    Raises
    ------
    UserError
        If it is no address, lacks its key, or would be unencrypted.
    """
    given, key = options.cluster or "", options.cluster_key
    if given.endswith(".pem"):
        address, key = address_in(Path(given)), Path(given)
    else:
        address = given if "://" in given else f"tls://{given}"
    kind, host, port = _parts(address)
    if kind == "tcp":
        if key is not None:
            raise UserError(f"{address} is not encrypted, so it takes no key: write tls:// in it.")
        if not is_local(host) and not options.unencrypted:
            raise UserError(
                f"{address} is not encrypted: who listens on the way could read what is sent, and "
                "run programs there; use the key file that napari-llcm worker makes, an SSH "
                "tunnel, or --unencrypted in a network that you trust."
            )
        return f"tcp://{host}:{port}", None
    if key is None:
        raise UserError(
            f"{address} needs its key: copy laptop.pem from the workstation, where napari-llcm "
            "worker has made it, and give it as --cluster-key."
        )
    address_in(key)  # it is one
    return f"tls://{host}:{port}", security(key)


def security(key: Path) -> Any:
    """Return dask's `Security` for a key file.

    Raises
    ------
    UserError
        If dask.distributed is not installed.
    """
    try:
        from distributed.security import Security
    except ImportError as error:
        raise UserError(MISSING) from error
    path = str(key)
    roles = ("client", "scheduler", "worker")
    files = {f"tls_{role}_{kind}": path for role in roles for kind in ("cert", "key")}
    return Security(tls_ca_file=path, require_encryption=True, **files)


@contextmanager
def connect(options: ClusterOptions) -> Iterator[Any]:
    """Keep a `distributed.Client` as long as it is needed.

    Parameters
    ----------
    options : ClusterOptions
        Which machines; `local` and others that are started here end with the connection.

    Yields
    ------
    Client
        Connected.

    Raises
    ------
    UserError
        If dask.distributed is not installed, or nobody answers.
    """
    if (start := STARTED.get(options.cluster or "")) is not None:
        with start(options.cluster_workers) as client:
            yield client
        return
    address, known_by = reached(options)
    client = open_client(address, known_by)
    try:
        yield client
    finally:
        close(client)


def open_client(address: str, known_by: Any) -> Any:
    """Return a client of the scheduler at an address.

    Raises
    ------
    UserError
        If dask.distributed is not installed, or nobody answers there.
    """
    try:
        from distributed import Client
    except ImportError as error:
        raise UserError(MISSING) from error
    import logging
    import ssl

    logging.getLogger("distributed").setLevel(logging.CRITICAL)  # failures end in one sentence
    try:
        return Client(
            address,
            timeout=_PATIENCE,
            security=known_by,
            set_as_default=False,
            heartbeat_interval="2s",
        )
    except ssl.SSLError as error:
        raise UserError(
            f"The dask scheduler at {address} does not take this key, or is none: copy laptop.pem "
            "anew from the workstation."
        ) from error
    except (OSError, ValueError, RuntimeError) as error:
        causes = f"{error} {error.__cause__}"
        if "certificate" in causes.lower() or "ssl" in causes.lower():
            raise UserError(
                f"The dask scheduler at {address} does not take this key: copy laptop.pem anew "
                "from the workstation."
            ) from error
        raise Absent(
            f"No dask scheduler answers at {address}: see that napari-llcm worker runs there, and "
            "that no firewall is between."
        ) from error


def close(client: Any) -> None:
    """Close a client, however its scheduler is."""
    with suppress(Exception):
        client.close(timeout=2)


def tried(options: ClusterOptions) -> str:
    """Return a sentence about the machines at an address: who is there.

    Raises
    ------
    UserError
        If nobody answers, or there are no workers.
    """
    with connect(options) as client:
        names = [str(w["name"]) for w in workers_of(client).values()]
        return f"Connected: {len(names)} at work there ({', '.join(sorted(names))})."


def workers_of(
    client: Any, patience: float | None = None, should_stop: ShouldStop | None = None
) -> dict[str, Any]:
    """Return what is known of each worker, by its address; wait for the first one a little.

    Parameters
    ----------
    client : distributed.Client
        Of their scheduler.
    patience : float, optional
        How many seconds one may take; some, if not given.
    should_stop : callable, optional
        Asked while there is none; once True, nobody is waited for.

    Raises
    ------
    Absent
        If there is none.
    """
    until = time.monotonic() + (_STARTS if patience is None else patience)
    while True:
        found: dict[str, Any] = client.scheduler_info(n_workers=-1)["workers"]
        if found:
            return found
        if time.monotonic() > until or (should_stop is not None and should_stop()):
            raise Absent(
                f"The dask scheduler at {client.scheduler.address} has no workers: start some, "
                "or see why those that were asked for do not start."
            )
        time.sleep(0.2)


def _parts(address: str) -> tuple[str, str, int]:
    """Return kind, host and port of an address.

    Raises
    ------
    UserError
        If it is none.
    """
    try:
        parts = urlsplit(address)
        kind, host, port = parts.scheme, parts.hostname, parts.port or 8786
    except ValueError:
        kind, host, port = "", None, 0
    if kind not in ("tcp", "tls") or not host:
        raise UserError(
            f"{address!r} is no address of a dask scheduler: write tls://host:8786, or name the "
            "key file that napari-llcm worker has made."
        )
    return kind, f"[{host}]" if ":" in host else host, port
