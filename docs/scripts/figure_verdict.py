"""Draw the F1 that was expected of stacks of a family left out, against the F1 that was measured.

python docs/scripts/figure_verdict.py FOLDER --model universal-v1

FOLDER is what benchmarks/calibrate_input.py has drawn and judged.
"""

from __future__ import annotations

import argparse
import pickle
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from napari_llcm.evaluation.familiarity_fit import Known, left_out
from napari_llcm.models.familiarity import LIKE, READABLE, value_of

IMAGE = Path(__file__).parents[1] / "images" / "verdict.png"
COLOURS = {"like": "#009E73", "unlike": "#E69F00", "unreadable": "#D55E00"}


def main() -> None:
    """Draw the figure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--model", default="universal-v1")
    given = parser.parse_args()
    stacks: list[Known] = []
    for path in sorted((given.folder / given.model).glob("*.pickle")):
        tags, known = pickle.loads(path.read_bytes())
        family = next(t for t in reversed(tags) if t.startswith(("spoiled:", "modality:")))
        stacks.append(Known(known.measured, known.f1, family))
    expected, f1 = left_out(stacks), np.array([s.f1 for s in stacks])
    figure = Figure(figsize=(4.8, 4.4), layout="constrained")
    axis = figure.subplots()
    for value, colour in COLOURS.items():
        chosen = [value_of(e) == value for e in expected]
        axis.scatter(f1[chosen], expected[chosen], s=18, color=colour, label=value)
    axis.plot([0, 1], [0, 1], color="0.7", lw=1)
    for limit in (READABLE, LIKE):
        axis.axhline(limit, color="0.8", lw=0.8)
    axis.set(xlabel="nuclei F1 that was measured", ylabel="nuclei F1 that was expected")
    axis.legend(frameon=False)
    figure.savefig(IMAGE, dpi=110)


if __name__ == "__main__":
    main()
