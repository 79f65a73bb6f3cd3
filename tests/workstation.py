"""A workstation that serves this computer, for tests."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import psutil


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


class Workstation:
    """`napari-llcm worker` in a process of its own, on this computer's own address."""

    def __init__(self, folder: Path, *arguments: object, workers: int = 1) -> None:
        self.port, self.folder = free_port(), folder
        devices = ["--device", "cpu"] * workers
        given = ("--listen", "127.0.0.1", "--port", self.port, *devices, *arguments)
        command = [sys.executable, "-m", "napari_llcm", "worker", *map(str, given)]
        self.log = folder / "worker.log"
        with self.log.open("w") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)

    def wait(self, text: str = "Ready at") -> str:
        until = time.monotonic() + 120
        while text not in (said := self.log.read_text()):
            assert self.process.poll() is None, said
            assert time.monotonic() < until, said
            time.sleep(0.1)
        return said

    def children(self, what: str) -> list[psutil.Process]:
        """Return the processes of the scheduler, or of the workers."""
        found = psutil.Process(self.process.pid).children()
        return [p for p in found if what in p.cmdline()[4:6]]

    def end(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(60)
