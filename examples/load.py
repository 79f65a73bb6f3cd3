"""Load: write a stack and read it back with its voxel size and position."""

from pathlib import Path

from napari_llcm import read, write
from napari_llcm.specimen import make_specimen

folder = Path("napari-llcm-examples")
folder.mkdir(exist_ok=True)
specimen = make_specimen(size=(16, 64, 64), seed=1, difficulty="easy")
write(folder / "phase.ome.tif", specimen.qpi, overwrite=True)

volume = read(folder / "phase.ome.tif")
print(f"{volume.name}: {volume.shape} ({volume.axes}), {volume.spacing} µm")
for note in volume.notes:
    print("Mind:", note)
