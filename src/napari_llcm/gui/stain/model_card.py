"""What a model says of itself, in words."""

from __future__ import annotations

import json

from ...models import ModelInfo

# figures by the end of their name, in the order in which they are told
_FIGURES = {
    "detection_recall": "real nuclei shown, in any shape",
    "recall": "real nuclei found, in their shape",
    "precision": "shown nuclei that are real",
    "f1": "both together (F1)",
    "auc": "chance that a nuclear voxel outshines another (AUC)",
    "confidence_ece": "error of the confidence (ECE)",
    "vae_psnr": "likeness of compressed DAPI (PSNR, dB)",
    "psnr": "likeness to the real one (PSNR, dB)",
    "vae_pearson": "correlation of compressed DAPI",
    "pearson": "correlation with the real one",
    "vae_spread": "contrast of compressed DAPI (1 is real)",
    "spread": "contrast (1 is the real one's)",
}
_STACKS = {
    "": "stacks it had not seen",
    "val": "volumes held out while it trained",
}
_SHARES = ("recall", "precision")


def summary_of(info: ModelInfo) -> str:
    """Return in a sentence how well a model finds nuclei, and what voxels it knows."""
    told = _nuclei_found(info) if info.task.judge == "nuclei" else _restored(info)
    if info.taught:
        told += f" Was {info.taught.words}."
    if info.nucleus_um:
        told += f" Knows nuclei {info.nucleus_um:g} µm wide."
    if info.spacing:
        told += " Knows voxels of " + " × ".join(f"{s:g}" for s in info.spacing) + " µm."
    return told


def _restored(info: ModelInfo) -> str:
    """Return how many planes a model makes; its figures of validation are in the networks' unit."""
    made = f"{info.task.title}: makes {info.task.planes} slices of one."
    return f"{made} How near they come to real ones, the Check panel tells."


def _nuclei_found(info: ModelInfo) -> str:
    metrics = info.metrics
    shown, shaped, real = (
        metrics.get(n, metrics.get(f"val_{n}")) for n in ("detection_recall", "recall", "precision")
    )
    if shaped is None:
        told = "How well it finds nuclei was not measured."
    else:  # recall and precision count where outlines overlap by half
        told = "" if shown is None else f"Shows {_share(shown)} of the nuclei, "
        told = (
            f"{told}{_share(shaped)} in their shape"
            if told
            else f"Finds {_share(shaped)} of the nuclei"
        )
        told += "" if real is None else f"; {_share(real)} of what it shows is a nucleus so shaped"
        told += " (on held-out stacks)."
    return told


def card_of(info: ModelInfo) -> str:
    """Return what a model says of itself, as Markdown."""
    lines = [f"# {info.name}", summary_of(info), "## How well it does"]
    if info.metrics:
        rows = [_row(name, value) for name, value in sorted(info.metrics.items(), key=_rank)]
        lines.append("| on | figure | value |\n| --- | --- | --- |\n" + "\n".join(rows))
    else:
        lines.append("None was recorded.")
    lines.append("## How it was made")
    lines.append(f"```\n{json.dumps(info.provenance, indent=2, default=str)}\n```")
    return "\n\n".join(lines)


def _row(name: str, value: float) -> str:
    stacks, figure = _parts(name)
    shown = _share(value) if figure.endswith(_SHARES) else f"{value:.3g}"
    on = _STACKS.get(stacks, f"{stacks.replace('_', ' ')} stacks")
    return f"| {on} | {_FIGURES.get(figure, figure.replace('_', ' '))} | {shown} |"


def _parts(name: str) -> tuple[str, str]:
    """Return the kind of stacks and the figure that a metric's name holds: "hard_f1"."""
    for figure in _FIGURES:
        if name == figure or name.endswith(f"_{figure}"):
            return name.removesuffix(figure).rstrip("_"), figure
    return "", name


def _rank(item: tuple[str, float]) -> tuple[str, int]:
    stacks, figure = _parts(item[0])
    order = list(_FIGURES)
    return stacks, order.index(figure) if figure in order else len(order)


def _share(value: float) -> str:
    return f"{100 * value:.0f} %"
