"""What was measured, as a page and a figure; the goals beside it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from ...volumes.atomic import save_figure, write_json, write_text


class Key(NamedTuple):
    """What a figure means.

    Parameters
    ----------
    meaning : str
        For people.
    goal : float, optional
        What is to be reached.
    most : bool
        Whether the goal is the most that it may be, not the least.
    """

    meaning: str
    goal: float | None = None
    most: bool = False

    @property
    def wanted(self) -> str:
        """The goal in words, empty where there is none."""
        return "" if self.goal is None else f"{'≤' if self.most else '≥'} {self.goal:g}"

    def met(self, value: float | None) -> bool | None:
        """Return whether a value reaches the goal; None where there is no goal, or no value."""
        if self.goal is None or not isinstance(value, int | float):
            return None
        return value <= self.goal if self.most else value >= self.goal


KEYS = {
    "device": Key("where the networks ran"),
    "voxels_per_second": Key("of a whole staining job on the largest volume"),
    "ratio_vs_pix2pix": Key("times as fast as Pix2Pix (32 channels, full resolution)", 4.0),
    "ratio_vs_fnet": Key("times as fast as fnet (depth 4, 32 channels)", 6.0),
    "ratio_vs_ddim20": Key("times as fast as 20 steps of DDIM by networks like ours", 8.0),
    "ratio_vs_vscyto3d": Key("times as fast as VSCyto3D's ConvNeXt (needs viscy-models)"),
    "ratio_vs_monai_window": Key(
        "times as fast as MONAI's SlidingWindowInferer around our networks, seams alike", 1.3
    ),
    "chunking_efficiency": Key("speed of a whole job ÷ that of the bare networks on a tile", 0.85),
    "matmul_fraction": Key("FLOP/s of a whole job ÷ those of a matrix product", 0.7),
    "time_exponent": Key("power of the voxels with which the time grows", 1.03, True),
    "memory_growth_16x": Key(
        "how much more memory 16 times the voxels take (0.1: 10 %)", 0.1, True
    ),
    "first_tile_seconds": Key(
        "until the first tile of a watched stack, on screen and of the whole"
    ),
    "latent_cache_ratio": Key("a training step that encodes ÷ one on prepared latents"),
    "training": Key("samples a second"),
}


def write_speed_report(out: Path, report: Mapping[str, Any]) -> None:
    """Write speed.json, speed.png and speed.html."""
    from jinja2 import Environment, PackageLoader

    write_json(out / "speed.json", report)
    draw_speed(out / "speed.png", report)
    pages = Environment(loader=PackageLoader("napari_llcm.evaluation.speed", "."), autoescape=True)
    rows = [
        {
            "name": name,
            "value": words(report.get(name)),
            "key": key,
            "met": key.met(report.get(name)),
        }
        for name, key in KEYS.items()
    ]
    page = pages.get_template("speed.html.jinja").render(report=report, rows=rows)
    write_text(out / "speed.html", page)


def draw_speed(path: Path, report: Mapping[str, Any]) -> None:
    """Draw speed over the size of the volume, and that of the rivals."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 3.8), layout="constrained")
    left, right = figure.subplots(1, 2)
    rows = report.get("sizes") or []
    left.plot([r["voxels"] / 1e6 for r in rows], [r["voxels_per_second"] / 1e6 for r in rows], "o-")
    left.set(
        xscale="log", xlabel="megavoxels of the volume", ylabel="megavoxels per second", ylim=0
    )
    left.set_title("A whole staining job")
    speeds = {
        row["title"]: row["voxels_per_second"] / 1e6
        for row in (report.get("rivals") or {}).get("rows", {}).values()
    }
    if windows := report.get("windows"):
        speeds["LLCM by MONAI's windows"] = windows["voxels_per_second"] / 1e6
    names = list(speeds)[::-1]
    right.barh(names, [speeds[n] for n in names])
    right.set(xlabel="megavoxels per second")
    right.tick_params(axis="y", labelsize=7)
    figure.suptitle(
        f"{report['device_name']}, {report['precision']}, {report['threads']} threads", fontsize=10
    )
    save_figure(path, figure, dpi=110)


def words(value: Any) -> str:
    """Return a figure as it is read."""
    if isinstance(value, Mapping):
        return ", ".join(f"{k.replace('_', ' ')} {words(v)}" for k, v in value.items())
    if isinstance(value, int | float):
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
    if isinstance(value, list | tuple):
        return " × ".join(words(v) for v in value)
    return "not measured" if value is None else str(value)
