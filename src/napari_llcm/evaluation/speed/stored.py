"""A staining job from file to file in a process of its own: seconds and peak memory.

python -m napari_llcm.evaluation.speed.stored '{"source": …, "out": …, "device": …}'
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from math import log, prod
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .bench import Bench

_PAUSE = 0.01  # seconds between two looks at the memory
_TIMES = 16


def growth(bench: Bench) -> dict[str, Any]:
    """Return how memory grows from a volume to one of 16 times its voxels, both in files."""
    shape = bench.affordable(0.1, cost=1.5)
    z, y, x = shape
    smaller = (z, y // 4, x // 4)
    runs = [run_stored(bench, smaller), run_stored(bench, shape)]
    small, large = runs
    times = prod(shape) / prod(smaller)
    seconds = large["seconds"] / small["seconds"]
    return {
        "memory_growth_16x": max(
            large[key] / small[key] for key in ("bytes", "device_bytes") if small[key]
        )
        - 1,
        "stored": {"times_the_voxels": times, "exponent": log(seconds) / log(times), "runs": runs},
    }


def run_stored(bench: Bench, shape: tuple[int, int, int]) -> dict[str, Any]:
    """Stain a volume from OME-Zarr to OME-Zarr in a process of its own; return what it took."""
    from ...volumes import write

    with TemporaryDirectory(prefix="napari-llcm-speed-") as name:
        source = Path(name, "in.ome.zarr")
        write(source, bench.volume(shape))
        asked: dict[str, Any] = {
            "source": str(source),
            "out": str(Path(name, "out.ome.zarr")),
            "model": bench.model.source,
            "device": str(bench.device),
            "threads": _threads(),
        }
        done = subprocess.run(
            [sys.executable, "-m", __name__, json.dumps(asked)],
            capture_output=True,
            text=True,
        )
        if done.returncode:
            said = done.stderr.strip().splitlines() or [f"it ended with {done.returncode}"]
            raise RuntimeError(said[-1])
        told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        stored = {f"{k}_stored_bytes": _stored_bytes(Path(asked[k])) for k in ("source", "out")}
    return {"shape": shape, "voxels": prod(shape), **told, **stored}


def main(asked: dict[str, Any]) -> dict[str, Any]:
    """Stain; return seconds, and the most bytes that this process held at once."""
    import torch

    from ...events import result_of
    from ...models.device import pick_device
    from ...models.library import load_model
    from ...staining import StainOptions, stain
    from ...volumes import read

    torch.set_num_threads(asked["threads"])
    device = pick_device(asked["device"])
    model = load_model(asked["model"], str(device))
    most = _Most()
    with most:
        began = time.perf_counter()
        options = StainOptions(device=str(device), check=False)
        result_of(stain(read(Path(asked["source"])), model, options, out=Path(asked["out"])))
        seconds = time.perf_counter() - began
    held = torch.cuda.max_memory_reserved(device) if device.type == "cuda" else 0
    return {"seconds": seconds, "bytes": most.bytes, "device_bytes": held}


class _Most:
    """The most memory that this process holds while it is open."""

    def __init__(self) -> None:
        self.bytes, self._done = 0, threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> _Most:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._done.wait(_PAUSE):
            self.bytes = max(self.bytes, _held())


def _held() -> int:
    """Return the bytes of this process alone: pages of a mapped file can go at any time."""
    status = Path("/proc/self/status")
    if status.exists():
        line = next(s for s in status.read_text().splitlines() if s.startswith("RssAnon"))
        return int(line.split()[1]) * 1024
    import psutil

    return int(psutil.Process().memory_info().rss)


def _stored_bytes(folder: Path) -> int:
    return sum(p.stat().st_size for p in folder.rglob("*") if p.is_file())


def _threads() -> int:
    import torch

    return int(torch.get_num_threads())


if __name__ == "__main__":
    print(json.dumps(main(json.loads(sys.argv[1]))))
