"""Make the benchmark's real and semi-synthetic pairs from public volumes.

    python benchmarks/prepare_real_data.py --data DOWNLOADS --out real
    napari-llcm benchmark quality --data real/lamin --out benchmark-lamin
    napari-llcm benchmark quality --data real/semi-synthetic --out benchmark-semi-synthetic

DOWNLOADS holds, as OME-TIFF: idr6001240/{dapi,lamin,nuclei_labels} (IDR image 6001240, CC BY 4.0),
gonuclear/{1135,1137}_{nuclei,labels} (kreshuklab/go-nuclear, MIT) and iitgoa/series006_dapi
(iitgoa-ml/3d-cells-nuclei-segmentation, MIT); what is missing is left out.

- lamin: the real, registered pair lamin -> DAPI of one blastocyst, x < 136 to train on, the rest to
  judge on. Lamin is a stain: this shows translation of real images, never label-free staining.
- semi-synthetic: phase stacks simulated around real nuclei; the DAPI is real. No field is in both
  halves.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from napari_llcm import read, write
from napari_llcm.specimen import specimen_from_dapi, write_specimen
from napari_llcm.volumes import Volume

SPLIT = 136  # x of the blastocyst
_IITGOA_SPACING = (1.0, 0.3, 0.3)  # µm; its files do not tell, its nuclei are then 6 to 12 µm wide


def main() -> None:
    """Write both sets of pairs."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--difficulty", default="medium")
    options = parser.parse_args()
    halves = {"train": (0, SPLIT), "test": (SPLIT, None)}
    blastocyst = _find(options.data / "idr6001240", ("dapi", "lamin", "nuclei_labels"))
    if blastocyst:
        for role, (start, stop) in halves.items():
            part = {k: _along_x(v, start, stop) for k, v in blastocyst.items()}
            folder = options.out / "lamin" / role
            for kind, name in (("qpi", "lamin"), ("dapi", "dapi"), ("labels", "nuclei_labels")):
                target = folder / kind / "blastocyst.ome.tif"
                target.parent.mkdir(parents=True, exist_ok=True)
                write(target, part[name], overwrite=True, labels=kind == "labels")
            _simulate(options, role, "blastocyst", part["dapi"], part["nuclei_labels"])
    for role, name in (("train", "1135"), ("test", "1137")):
        ovule = _find(options.data / "gonuclear", (f"{name}_nuclei", f"{name}_labels"))
        if ovule:
            image, labels = ovule.values()
            _simulate(options, role, f"ovule-{name}", image, labels)
    found = _find(options.data / "iitgoa", ("series006_dapi",))
    if found:
        image = found["series006_dapi"].replace(spacing=_IITGOA_SPACING)
        for role, (start, stop) in {"train": (0, 512), "test": (512, None)}.items():
            _simulate(options, role, "confocal", _along_x(image, start, stop), None)


def _find(folder: Path, names: tuple[str, ...]) -> dict[str, Volume]:
    """Return the volumes by name; nothing where one is missing."""
    paths = {name: folder / f"{name}.ome.tif" for name in names}
    if not all(p.exists() for p in paths.values()):
        print(f"left out: {folder} has not all of {', '.join(names)}")
        return {}
    return {name: read(path).select() for name, path in paths.items()}


def _along_x(volume: Volume, start: int, stop: int | None) -> Volume:
    return volume.replace(data=volume.numpy()[..., start:stop])


def _simulate(
    options: argparse.Namespace, role: str, name: str, dapi: Volume, labels: Volume | None
) -> None:
    """Write a phase stack around the nuclei of a real DAPI volume, and that volume."""
    for seed in range(2 if role == "train" else 1):
        made = specimen_from_dapi(dapi, labels, seed, options.difficulty)
        folder = options.out / "semi-synthetic" / role
        write_specimen(folder, made, f"{name}-{seed}", overwrite=True)
        print(f"{folder}/{name}-{seed}: {len(made.nuclei)} nuclei")


if __name__ == "__main__":
    main()
