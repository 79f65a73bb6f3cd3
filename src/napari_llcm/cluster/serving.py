"""What `napari-llcm worker` does: a scheduler and a worker for each device, kept alive."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from ..events import Finished, Job, Notice, ShouldStop, Started, UserError
from .certificates import MISSING, Keys, make_keys
from .connection import is_local

DEVICE = "NAPARI_LLCM_DEVICE"  # in a worker's environment: where it computes
# figures of dask's own, which are not encrypted, are told to this computer alone
_QUIET = ("--no-dashboard", "--dashboard-address", "127.0.0.1:0")
_LOOK = 0.5  # s between two looks at the processes
_PATIENCE = 30.0  # s for the first start
_AGAIN = (1.0, 60.0)  # s before a process is started again: at first, at most


@dataclass(frozen=True)
class Serving:
    """What a machine offers.

    Parameters
    ----------
    devices : tuple of str
        One worker each.
    listen : str
        Address of this computer on which it can be reached; "0.0.0.0" is all of them.
    port : int
        Of the scheduler.
    keys : Path
        Folder of the key files.
    encrypted : bool
        Whether TLS is used.
    join : str, optional
        Address of another machine's scheduler, in place of one here; `keys` holds its keys.
    """

    devices: tuple[str, ...]
    listen: str
    port: int
    keys: Path
    encrypted: bool = True
    join: str | None = None


def serve(what: Serving, should_stop: ShouldStop) -> Job:
    """Run a scheduler and workers until it is told to stop; start again what dies.

    Yields
    ------
    Event
        Started, a Notice for what is to be known, and Finished.

    Raises
    ------
    UserError
        If dask.distributed is not installed, or the port is taken.
    """
    try:
        import distributed  # noqa: F401
    except ImportError as error:
        raise UserError(MISSING) from error
    host = _shown(what.listen)
    address = what.join or f"{'tls' if what.encrypted else 'tcp'}://{host}:{what.port}"
    keys = None
    if what.encrypted:
        keys = _joined(what.keys) if what.join else make_keys(what.keys, address)
    if what.join is None:
        _see_that_it_is_free(what)
    yield Started(job="worker", unit="", settings={"address": address, "devices": what.devices})
    children = _children(what, address, keys)
    try:
        for child in children:
            child.start()
        if what.join is None:
            _wait_for(what, children[0], should_stop)
        for text in _to_be_known(what, address, keys):
            yield Notice(text=text, warning=False)
        while not should_stop():
            time.sleep(_LOOK)
            for child in children:
                if (said := child.looked_after()) is not None:
                    yield Notice(text=said)
    finally:
        for child in reversed(children):  # workers first: the scheduler then knows that they left
            child.end()
    yield Finished(result={"stopped": True, "address": address})


def _to_be_known(what: Serving, address: str, keys: Keys | None) -> list[str]:
    devices = ", ".join(what.devices)
    if what.join is not None:
        return [f"This machine computes for {address} on: {devices}. Ctrl-C ends it."]
    said = [f"Ready at {address}, on: {devices}. Ctrl-C ends it."]
    if keys is not None:
        said += [
            f"Copy one file to the laptop, where nobody else can read it: {keys.client}",
            f"There: napari-llcm stain IN OUT --cluster {keys.client.name}; in napari: Compute on, "
            "Cluster…",
        ]
    elif is_local(what.listen):
        said.append(
            f"From a laptop: ssh -N -L {what.port}:localhost:{what.port} {socket.gethostname()}, "
            f"then there: napari-llcm stain IN OUT --cluster tcp://localhost:{what.port}"
        )
    else:
        said.append(
            "Nothing is encrypted, and whoever reaches this port can run programs here as you: "
            "leave out --unencrypted unless you trust everybody in this network."
        )
    return said


class _Child:
    """A process that is started again when it dies."""

    def __init__(self, name: str, arguments: list[str], **environment: str) -> None:
        self._name, self._environment = name, os.environ | environment
        module = "napari_llcm.cluster.child"
        self._command = [sys.executable, "-m", module, str(os.getpid()), *arguments]
        self._process: subprocess.Popen[bytes] | None = None
        self._due, self._wait, self._since = 0.0, _AGAIN[0], 0.0

    @property
    def alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        self._since = time.monotonic()
        # a group of its own: Ctrl-C is for the one that looks after them
        group: dict[str, bool] = {} if sys.platform == "win32" else {"start_new_session": True}
        self._process = subprocess.Popen(
            self._command,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            **group,  # type: ignore[call-overload]
        )

    def looked_after(self) -> str | None:
        """Start the process again if it has died; return what is to be said of it."""
        now = time.monotonic()
        if self.alive:
            if now - self._since > _AGAIN[1]:
                self._wait = _AGAIN[0]
            return None
        if not self._due:
            self._due = now + self._wait
            self._wait = min(2 * self._wait, _AGAIN[1])
            return f"The {self._name} has ended by itself: it is started again."
        if now >= self._due:
            self._due = 0.0
            self.start()
        return None

    def end(self) -> None:
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def _children(what: Serving, address: str, keys: Keys | None) -> list[_Child]:
    tls: list[str] = []
    if keys is not None:
        path = str(keys.server)
        tls = ["--tls-ca-file", path, "--tls-cert", path, "--tls-key", path]
    made = []
    # a worker, too, listens no further than is told: unencrypted, it would take anybody's programs
    host = urlsplit(what.join).hostname or "" if what.join else what.listen
    if what.join and not is_local(host):
        host = "0.0.0.0"
    near = [] if host == "0.0.0.0" else ["--host", "127.0.0.1" if is_local(host) else host]
    kind = "tls" if keys else "tcp"
    if what.join is None:
        where = [] if what.listen == "0.0.0.0" else ["--host", f"{kind}://{what.listen}"]
        place = ["--port", str(what.port), "--protocol", kind, "--no-show", *_QUIET]
        made.append(_Child("scheduler", ["scheduler", *where, *place, *tls]))
    for number, device in enumerate(what.devices):
        again = what.devices[:number].count(device)  # two workers of one name are one too many
        name = f"{socket.gethostname()} {device}" + (f" ({again + 1})" if again else "")
        arguments = [
            "worker",
            address,
            *("--name", name),
            *("--nthreads", "1"),  # a device does one thing at a time
            *("--memory-limit", "0"),  # tiles are planned from what is free
            *("--death-timeout", "120"),  # s, while the scheduler starts again
            *near,
            "--no-nanny",
            *_QUIET,
            *tls,
        ]
        made.append(_Child(f"worker on {device}", arguments, **{DEVICE: device}))
    return made


def _joined(folder: Path) -> Keys:
    """Return the keys of another machine's scheduler.

    Raises
    ------
    UserError
        If they are not there.
    """
    keys = Keys(folder / "workstation.pem", folder / "laptop.pem")
    if not keys.server.exists():
        raise UserError(
            f"There is no workstation.pem in {folder}: copy it from the machine with the "
            "scheduler, which made it."
        )
    return keys


def _shown(listen: str) -> str:
    """Return the address by which others know this computer."""
    if listen != "0.0.0.0":
        return listen
    from distributed.utils import get_ip

    host: str = get_ip()
    return host


def _see_that_it_is_free(what: Serving) -> None:
    with socket.socket() as trial:
        if sys.platform != "win32":  # a connection that has just ended is none
            trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trial.bind((what.listen, what.port))
        except OSError as error:
            raise UserError(
                f"Port {what.port} on {what.listen} cannot be used ({error.strerror}): end what "
                "runs there, or give another with --port."
            ) from error


def _wait_for(what: Serving, scheduler: _Child, should_stop: ShouldStop) -> None:
    """Wait until the scheduler listens.

    Raises
    ------
    UserError
        If it does not come up.
    """
    host = "127.0.0.1" if what.listen == "0.0.0.0" else what.listen
    until = time.monotonic() + _PATIENCE
    while time.monotonic() < until and scheduler.alive and not should_stop():
        try:
            socket.create_connection((host, what.port), 1).close()
            return
        except OSError:
            time.sleep(_LOOK / 5)
    if not should_stop():
        raise UserError(
            "The dask scheduler did not start: see what `dask scheduler` says in this environment."
        )
