"""Check: which nuclei does a virtual stain show, miss, or make up?"""

from pathlib import Path

from napari_llcm import Stainer, compare_nuclei, result_of
from napari_llcm.nuclei import write_report
from napari_llcm.specimen import make_specimen

specimen = make_specimen(size=(16, 64, 64), seed=1, difficulty="easy")
virtual = Stainer().stain(specimen.qpi)

comparison = result_of(compare_nuclei(specimen.dapi, virtual, segmenter="classical"))
counts = comparison.counts
print(f"of {counts.truth} nuclei, missed: {counts.missed}; made up: {counts.hallucinated}")
written = write_report(Path("napari-llcm-examples/report"), comparison, qpi=specimen.qpi)
for path in written.values():
    print(path)
