"""What a model makes of real label-free stacks that it has never seen, without any training.

    python benchmarks/real_stacks.py DATA_FOLDER --model specimen-v6 --out real_stacks.json

The figure is the area under the ROC curve: how probably a voxel (or pixel) in a nucleus outshines
another one in the stain, 0.5 where the stain tells nothing, below where nuclei are dark. Stacks
whose truth is one nuclear plane are judged by projections of the stain, in 2D, and by segmenters,
too. The same figure of the stack itself tells what brightness alone gives away, up or down.

DATA_FOLDER holds, as OME-TIFF, what `STACKS` names; what is missing is told and left out. Voxel
sizes are those of the files, or guesses where these tell none; nuclei were measured by hand in the
image of the truth. Nothing else in the project reads these stacks, and nothing is tuned to them.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table
from scipy import ndimage

from napari_llcm import read
from napari_llcm.evaluation import judge_stain, nuclear_auc, pool_judgements
from napari_llcm.events import Notice, UserError, result_of
from napari_llcm.models import ModelBundle, load_model
from napari_llcm.models.device import pick_device
from napari_llcm.nuclei import Segmenter, make_segmenter
from napari_llcm.staining import StainOptions, stain
from napari_llcm.volumes import Volume
from napari_llcm.volumes.atomic import write_json
from napari_llcm.volumes.flat import PROJECTIONS, as_flat, project

Spacing = tuple[float, float, float]


@dataclass(frozen=True)
class Stack:
    """A real stack and its truth.

    Parameters
    ----------
    name : str
        In the table.
    stack, truth : str
        Files in the data folder.
    width : float
        Of a typical nucleus in pixels, by hand in the image of the truth.
    spacing : tuple of float, optional
        µm (z, y, x): a guess, where the file does not tell it.
    truth_is : str
        "plane" (one nuclear plane), "labels" or "rim" (nuclear envelope).
    inside : str, optional
        File of labels within which alone is judged.
    """

    name: str
    stack: str
    truth: str
    width: float
    spacing: Spacing | None = None
    truth_is: str = "plane"
    inside: str | None = None


_AICS = "aics12_881/aics12_881_{}.ome.tif"
STACKS = [
    Stack("isl", "isl/phase.ome.tif", "isl/dapi_max_projection.ome.tif", 28, (1.5, 0.325, 0.325)),
    Stack(
        "sephace",
        "sephace/sephace_set1_brightfield.ome.tif",
        "sephace/sephace_set1_dapi_2d.ome.tif",
        100,
        (10.0, 0.2, 0.2),  # focus steps are uneven, 10 to 15 µm
    ),
    Stack(
        "deepcellintro",
        "deepcellintro/deepcellintro_phase.ome.tif",
        "deepcellintro/deepcellintro_nuclear_2d.ome.tif",
        27,
        (2.0, 0.5, 0.5),
    ),
    Stack(
        "aics12_881",
        _AICS.format("brightfield"),
        _AICS.format("nuclei_labels"),
        40,
        truth_is="labels",
        inside=_AICS.format("cell_labels"),  # complete cells alone are labelled
    ),
    *(
        Stack(
            f"dm4isl {n}",
            f"dm4isl/dm4isl_nucenv{n}_brightfield.ome.tif",
            f"dm4isl/dm4isl_nucenv{n}_laminb1.ome.tif",
            38,
            (0.29, 0.29, 0.29),
            "rim",
        )
        for n in (0, 1, 3)
    ),
]


def main() -> None:
    """Stain and judge every stack that is there; print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--model", nargs="+", required=True)
    parser.add_argument("--segmenters", nargs="+", default=["cellpose", "classical"])
    parser.add_argument("--device", default="auto")
    parser.add_argument("--stacks", nargs="+", help="names of some alone")
    parser.add_argument("--pictures", type=Path, help="folder for stack, stain and truth")
    parser.add_argument("--out", type=Path, default=Path("real_stacks.json"))
    options = parser.parse_args()
    device = str(pick_device(options.device))
    judges = [make_segmenter(name, device=device) for name in options.segmenters]
    rows: list[dict[str, Any]] = []
    for name in options.model:
        model = load_model(name, device)
        for entry in STACKS:
            if options.stacks and entry.name not in options.stacks:
                continue
            files = [entry.stack, entry.truth, *([entry.inside] if entry.inside else [])]
            missing = [f for f in files if not (options.data / f).exists()]
            if missing:
                print(f"left out: {options.data} holds no {missing[0]}")
                continue
            rows += _judge(entry, options.data, model, device, judges, options.pictures)
            write_json(options.out, {"rows": rows})
    _show(rows)


def _judge(
    entry: Stack,
    data: Path,
    model: ModelBundle,
    device: str,
    judges: list[Segmenter],
    pictures: Path | None,
) -> list[dict[str, Any]]:
    """Return a row for each way to look at the stain of one stack."""
    stack, truth = read(data / entry.stack), read(data / entry.truth)
    if stack.spacing is None:
        stack = stack.replace(spacing=entry.spacing)
    pixel = 1.0 if stack.spacing is None else float(np.sqrt(stack.spacing[1] * stack.spacing[2]))
    options = StainOptions(device=device, nucleus_um=entry.width * pixel)
    about = {"model": model.info.name, "stack": entry.name, "nucleus_um": options.nucleus_um}
    try:
        stained: Volume = result_of(stain(stack, model, options), _warn)
    except UserError as error:
        print(f"{entry.name} cannot be stained by {model.info.name}: {error}")
        return [about | {"seen": "refused", "error": str(error)}]
    about["input_check"] = stained.metadata.get("input_check")
    if entry.truth_is == "plane":
        flat = as_flat(truth.replace(spacing=None)).replace(spacing=stack.spacing)
        nuclear = plane_mask(np.asarray(flat.data, np.float32)[0])[None]
        rows = []
        for how in PROJECTIONS:
            shown = project(stained, how)
            plain = project(stack, how)
            row = about | {"seen": how, "nuclear_share": float(nuclear.mean())}
            row["auc"] = nuclear_auc(shown.numpy(), nuclear)
            row["auc_of_the_stack"] = nuclear_auc(plain.numpy(), nuclear)
            job = judge_stain(flat, shown, segmenters=judges, diameter=entry.width * pixel)
            row["judges"] = pool_judgements([result_of(job)])
            rows.append(row)
    else:
        where = None if entry.inside is None else read(data / entry.inside).numpy() > 0
        raw = truth.numpy()
        nuclear = raw > 0 if entry.truth_is == "labels" else rim_filled(raw.astype(np.float32))
        row = about | {"seen": "3D", "nuclear_share": float(nuclear.mean())}
        row["auc"] = nuclear_auc(stained.numpy(), nuclear, where)
        row["auc_of_the_stack"] = nuclear_auc(stack.numpy().astype(np.float32), nuclear, where)
        rows = [row]
    if pictures is not None:
        _draw(pictures / f"{model.info.name}-{entry.name}.png", stack, stained, truth, nuclear)
    return rows


def plane_mask(plane: np.ndarray) -> np.ndarray:
    """Return what lies in a nucleus of a nuclear plane: Otsu's threshold on its root.

    Parameters
    ----------
    plane : ndarray of float32
        (y, x). The root makes dim nuclei count.
    """
    from skimage.filters import threshold_otsu

    low = float(np.percentile(plane, 1))
    root = ndimage.gaussian_filter(np.sqrt(np.maximum(plane - low, 0)), 1)
    return np.asarray(root > threshold_otsu(root))


def rim_filled(lamin: np.ndarray) -> np.ndarray:
    """Return what lies within a nuclear envelope, rim and all.

    Within a nucleus lamin is brighter than outside, so of three classes (outside, within, rim;
    Otsu's thresholds for several classes) the darkest is left out. Of what is left out in a plane
    the largest part is outside; another, cut off by a rim and the border of the field, is nuclear
    where it is brighter than that by a fifth.

    Parameters
    ----------
    lamin : ndarray of float32
        (z, y, x).
    """
    from skimage.filters import threshold_multiotsu

    root = ndimage.gaussian_filter(np.sqrt(np.maximum(lamin, 0)), (0.5, 1, 1))
    inside = root > threshold_multiotsu(root, classes=3)[0]
    for plane, light in zip(inside, lamin, strict=True):
        parts, count = ndimage.label(~plane)
        if count:
            brightness = ndimage.median(light, parts, np.arange(1, count + 1))
            outside = brightness[np.argmax(np.bincount(parts.ravel())[1:])]
            plane |= np.isin(parts, np.flatnonzero(brightness > 1.2 * outside) + 1)
    return np.stack([ndimage.binary_opening(plane, iterations=2) for plane in inside])


def _draw(path: Path, stack: Volume, stained: Volume, truth: Volume, mask: np.ndarray) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(20, 5.5), layout="constrained")
    shown = [stack.numpy(), stained.numpy(), np.squeeze(truth.numpy()), mask]
    middle = stack.shape[0] // 2
    shown = [shown[0][middle], *shown[1:]]
    shown[1] = project(stained, "max").numpy()[0] if mask.shape[0] == 1 else shown[1][middle]
    shown[2] = shown[2][middle] if shown[2].ndim == 3 else shown[2]
    shown[3] = mask[0] if mask.shape[0] == 1 else mask[middle]
    for axis, plane in zip(figure.subplots(1, 4), shown, strict=True):
        low, high = np.percentile(np.asarray(plane, np.float32), [0.5, 99.7])
        axis.imshow(plane, cmap="gray", vmin=low, vmax=high)
        axis.set_axis_off()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=70)


def _warn(event: Any) -> None:
    if isinstance(event, Notice) and event.warning:
        print(f"  {event.text}", flush=True)


def _show(rows: list[dict[str, Any]]) -> None:
    table = Table(
        "stack", "model", "seen", "AUC", "of the stack itself", "judges: detection, F1 .3, F1 .5"
    )
    for row in rows:
        if "auc" not in row:
            table.add_row(row["stack"], row["model"], row["seen"], "", "", row["error"])
            continue
        judged = [
            f"{j['judge'].split()[0]} "
            + " ".join(f"{j[key]:.2f}" for key in ("detection_f1", "f1_30", "f1_50"))
            + f" of {j['truth']}"
            for j in row.get("judges", ())
        ]
        aucs = (f"{row[key]:.3f}" for key in ("auc", "auc_of_the_stack"))
        table.add_row(row["stack"], row["model"], row["seen"], *aucs, "; ".join(judged))
    Console(width=170).print(table)


if __name__ == "__main__":
    main()
