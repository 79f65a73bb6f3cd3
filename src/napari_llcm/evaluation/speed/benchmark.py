"""The benchmark of speed: one command, one machine, one report."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from math import log, prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...events import Finished, Job, Meter, Notice, ShouldStop, Started, UserError
from ...models.methods import LLCM
from ...volumes.atomic import write_json
from ...volumes.sole_writer import sole_writer
from .report import KEYS, write_speed_report

if TYPE_CHECKING:
    import torch

    from .bench import Bench, Shape

# Voxels (z, y, x). Sixteen times the voxels of one are those of another.
SIZES: tuple[Shape, ...] = (
    (64, 64, 64),
    (64, 128, 128),
    (64, 256, 256),
    (64, 512, 512),
    (64, 1024, 1024),
    (128, 1024, 1024),
)
_PACKAGES = ("napari-llcm", "torch", "monai", "numpy", "zarr", "diffusers")
_GROWTH = 16  # exponents are those of volumes down to this part of the largest
_MULTIPLE = 16
_SHARE = 0.15  # of the time, for the volumes of growing size


@dataclass(frozen=True)
class SpeedBenchmark:
    """What to measure where.

    Parameters
    ----------
    out : Path
        Folder for speed.json, speed.html and the figure.
    device : str
        "auto", "cpu", "cuda", "cuda:N" or "mps".
    model : str, optional
        The shipped model by default. It must be an llcm.
    minutes : float
        How long it may take, about: what would take longer is measured on smaller volumes.
    sizes : sequence of tuple
        Voxels (z, y, x) of the volumes, small to large.
    """

    out: Path
    device: str = "auto"
    model: str | None = None
    minutes: float = 10.0
    sizes: tuple[Shape, ...] = SIZES


def benchmark_speed(benchmark: SpeedBenchmark, should_stop: ShouldStop | None = None) -> Job:
    """Measure how fast staining is, and write speed.json, speed.html and a figure.

    Parameters
    ----------
    benchmark : SpeedBenchmark
        What to measure where.
    should_stop : callable, optional
        Asked between the measurements; on True the job ends with those that are done.

    Yields
    ------
    Event
        At the end `Finished`, whose value is the path of speed.html. A measurement that could not
        be made is named in a `Notice` and in the report, and the others go on.

    Raises
    ------
    UserError
        If there is no such device or model, a size does not fit, or the folder cannot be written.
    """
    from ...models.device import pick_device
    from ...models.library import load_model

    if any(n < 1 or n % _MULTIPLE for shape in benchmark.sizes for n in shape):
        raise UserError(f"Choose sizes that are multiples of {_MULTIPLE}: fnet halves four times.")
    yield Started(job="speed", total=float(len(MEASUREMENTS)), unit="measurements")
    with sole_writer(benchmark.out, folder=True) as notice:
        yield from [Notice(text=notice, warning=False)] if notice else []
        device = pick_device(benchmark.device)
        began = time.monotonic()
        model = load_model(benchmark.model, str(device))
        if model.info.method != LLCM.name or model.info.task.planes > 1:
            raise UserError(
                f"{model.info.name} is no llcm that stains plane by plane: its speed cannot be "
                "compared. Choose another model."
            )
        bench = _bench(benchmark, model, device)
        report: dict[str, Any] = {**_where(bench), "left_out": {}, "seconds_of": {}}
        meter = Meter(float(len(MEASUREMENTS)))
        stopped = False
        for number, (name, measure) in enumerate(MEASUREMENTS.items()):
            stopped = should_stop is not None and should_stop()
            if stopped:
                break
            yield meter.at(float(number), name)
            start = time.monotonic()
            try:
                report |= measure(bench)
            except Exception as error:  # one that fails takes no other with it
                report["left_out"][name] = f"{type(error).__name__}: {error}".splitlines()[0]
                yield Notice(text=f"{name} could not be measured ({report['left_out'][name]}).")
            report["seconds_of"][name] = time.monotonic() - start
            _free(device)
            write_json(benchmark.out / "speed.json", _complete(report, began))
        write_speed_report(benchmark.out, report := _complete(report, began))
    yield Finished(result={**report, "stopped": stopped}, value=benchmark.out / "speed.html")


def _bench(benchmark: SpeedBenchmark, model: Any, device: torch.device) -> Bench:
    from ...staining.setup import ready
    from .bench import Bench

    ready(model, device)
    sizes = sorted(benchmark.sizes, key=prod)
    repeats = 2 if benchmark.minutes < 5 else 3
    return Bench(model, device, benchmark.minutes, sizes, repeats)


def _where(bench: Bench) -> dict[str, Any]:
    """Return what the figures hold for: device, precision, threads, versions."""
    import torch

    from ...models.device import precision

    device = bench.device
    name = platform.processor() or platform.machine()
    if device.type == "cuda":
        name = torch.cuda.get_device_name(device)
    elif (info := Path("/proc/cpuinfo")).exists():
        lines = [s for s in info.read_text().splitlines() if s.startswith("model name")]
        name = lines[0].partition(":")[2].strip() if lines else name
    return {
        "device": str(device),
        "device_name": name,
        "precision": str(precision(device)).removeprefix("torch."),
        "threads": torch.get_num_threads(),
        "processors": os.cpu_count(),
        "versions": {"python": platform.python_version(), **_versions()},
        "model": bench.model.info.name,
        "minutes": bench.minutes,
        "repeats": bench.repeats,
    }


def _versions() -> Mapping[str, str]:
    found = {}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _complete(report: Mapping[str, Any], began: float) -> dict[str, Any]:
    """Return the report with every key that it promises: None for what is not known."""
    return {**dict.fromkeys(KEYS), **report, "seconds": time.monotonic() - began}


def _free(device: torch.device) -> None:
    import gc

    import torch

    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()


def _sizes(bench: Bench) -> dict[str, Any]:
    """Stain volumes of growing size while there is time; return seconds and the exponent."""
    from .clock import in_turns, seconds_of

    first = bench.job(bench.volume(bench.sizes[0]))
    seconds_of(first, bench.device)  # kernels are chosen, memory is fetched
    bench.pace = prod(bench.sizes[0]) / seconds_of(first, bench.device)
    rows: list[dict[str, Any]] = []
    began = time.monotonic()
    for shape in bench.sizes:
        left = _SHARE * 60 * bench.minutes - (time.monotonic() - began)
        if rows and prod(shape) / bench.pace > left:
            break
        job = bench.job(bench.volume(shape))
        times = bench.repeats if 2 * prod(shape) / bench.pace < left / 4 else 1
        (seconds,) = in_turns([job], times, bench.device, warm_up=times > 1)
        bench.pace = prod(shape) / seconds
        rows.append(
            {
                "shape": shape,
                "voxels": prod(shape),
                "seconds": seconds,
                "voxels_per_second": bench.pace,
                "repeats": times,
            }
        )
    far = [r for r in rows if r["voxels"] * _GROWTH >= rows[-1]["voxels"]]
    return {
        "sizes": rows,
        "voxels_per_second": rows[-1]["voxels_per_second"],
        "time_exponent": _exponent([(r["voxels"], r["seconds"]) for r in far]),
    }


def _exponent(points: list[tuple[float, float]]) -> float | None:
    """Return the power of the voxels with which seconds grow: the slope of a line of logarithms."""
    if len(points) < 2:
        return None
    from scipy.stats import linregress

    found = linregress([log(v) for v, _ in points], [log(s) for _, s in points])
    return float(found.slope)


def _rivals(bench: Bench) -> dict[str, Any]:
    from .rivals import against_rivals

    return against_rivals(bench)


def _windows(bench: Bench) -> dict[str, Any]:
    from .windows import against_windows

    return against_windows(bench)


def _peak(bench: Bench) -> dict[str, Any]:
    from .peak import against_peak

    return against_peak(bench)


def _memory(bench: Bench) -> dict[str, Any]:
    from .stored import growth

    return growth(bench)


def _first_tile(bench: Bench) -> dict[str, Any]:
    from .first_tile import first_tile

    return first_tile(bench)


def _training(bench: Bench) -> dict[str, Any]:
    from .samples import training_pace

    return training_pace(bench)


MEASUREMENTS: dict[str, Callable[[Bench], dict[str, Any]]] = {
    "sizes": _sizes,
    "rivals": _rivals,
    "arithmetic": _peak,
    "windows": _windows,
    "first tile": _first_tile,
    "memory": _memory,
    "training": _training,
}
