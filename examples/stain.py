"""Stain: the virtual DAPI of a label-free stack, by the model that is shipped."""

from pathlib import Path

from napari_llcm import Stainer, write
from napari_llcm.specimen import make_specimen

folder = Path("napari-llcm-examples")
folder.mkdir(exist_ok=True)
specimen = make_specimen(size=(16, 64, 64), seed=1, difficulty="easy")

virtual = Stainer().stain(specimen.qpi, seed=0)
write(folder / "virtual.ome.tif", virtual, overwrite=True)
print(f"{virtual.name}: {virtual.shape}, {virtual.numpy().max():.0f} at its brightest")
