"""How often the check of registration is wrong, over fields of 5 to 100 nuclei of known shift.

    python benchmarks/registration.py figures.json            # phase against DAPI
    python benchmarks/registration.py figures.json --model    # the shipped model's stain, too

Each specimen is larger than its field by a margin, so that a shift brings in true tissue. Of each
field the check is asked about six DAPI stacks: the registered one, three that are shifted (3 µm
along y, 2 µm along x, 3.2 µm along z), a mirrored one, and that of another field. A false alarm is
a registered pair that is called shifted, distorted or unrelated, or a wrong shift of a shifted
one; a miss is anything else but the truth, of which "unclear" is told apart.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from itertools import pairwise
from pathlib import Path

import numpy as np

from napari_llcm import Stainer
from napari_llcm.specimen import make_specimen
from napari_llcm.volumes import Volume, check_registration

MARGIN = (4, 8, 8)  # voxels
SPACING = (0.8, 0.5, 0.5)
FIELDS = {(16, 64, 64): 12, (24, 96, 96): 12, (32, 128, 128): 8, (48, 208, 208): 4}
SHIFTS = {"registered": (0, 0, 0), "y": (0, 6, 0), "x": (0, 0, -4), "z": (4, 0, 0)}
NEAR = np.array([2.0, 1.2, 1.2])  # µm; a shift that is measured so well is right
NUCLEI = (0, 8, 15, 30, 60, 1000)


def main() -> None:
    """Check every field and write one row for each check, then print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--model", action="store_true", help="compare the virtual stain, too")
    parser.add_argument("--share", type=float, default=1.0, help="of the fields")
    options = parser.parse_args()
    stainer = Stainer(device="cpu") if options.model else None
    rows: list[dict[str, object]] = []
    for size, count in FIELDS.items():
        for difficulty in ("easy", "medium", "hard"):
            other: Volume | None = None
            for seed in range(7000, 7000 + max(round(count * options.share), 2)):
                phase, dapi, nuclei = field(size, difficulty, seed)
                stain = None if stainer is None else stainer.stain(cut(phase))
                stacks = {name: cut(dapi, shift) for name, shift in SHIFTS.items()}
                mirrored = np.ascontiguousarray(stacks["registered"].numpy()[:, ::-1])
                stacks["mirrored"] = dapi.replace(data=mirrored)
                if other is not None:
                    stacks["another field"] = other
                other = stacks["registered"]
                for name, moving in stacks.items():
                    for way, virtual in (("phase", None), ("stain", stain)):
                        if way == "stain" and stain is None:
                            continue
                        found = check_registration(cut(phase), moving, stain=virtual)
                        off = np.array(found.shift) * SPACING
                        true = np.array(SHIFTS.get(name, (np.nan,) * 3)) * SPACING
                        rows.append(
                            {
                                "nuclei": nuclei,
                                "case": name,
                                "way": way,
                                "verdict": found.verdict,
                                "right": bool((np.abs(off - true) <= NEAR).all()),
                                "score": found.score,
                                "chance": found.correlation / found.score,
                                "difficulty": difficulty,
                                "seed": seed,
                                "size": size,
                            }
                        )
                options.out.write_text(json.dumps(rows))
    print(table(rows))


def field(size: tuple[int, int, int], difficulty: str, seed: int) -> tuple[Volume, Volume, int]:
    """Return phase and DAPI with a margin, and how many nuclei lie in the field."""
    wide = tuple(n + 2 * m for n, m in zip(size, MARGIN, strict=True))
    made = make_specimen(size=wide, seed=seed, difficulty=difficulty, spacing=SPACING)
    return made.qpi, made.dapi, len(np.unique(cut(made.labels).numpy())) - 1


def cut(volume: Volume, shift: tuple[int, int, int] = (0, 0, 0)) -> Volume:
    """Return the field in a specimen with a margin, from a place that is shifted."""
    spans = zip(MARGIN, shift, volume.shape, strict=True)
    return volume.replace(data=volume.numpy()[tuple(slice(m + s, n - m + s) for m, s, n in spans)])


def table(rows: list[dict[str, object]]) -> str:
    """Return the verdicts by number of nuclei as a Markdown table."""
    lines = [
        "| Compared | Nuclei | Fields | Registered: right / unclear / **false** | "
        "Shifted: right / unclear / **wrong** | Unrelated: told / unclear / **accepted** |",
        "|---|---|---|---|---|---|",
    ]
    for way in ("phase", "stain"):
        for low, high in pairwise(NUCLEI):
            chosen = [r for r in rows if r["way"] == way and low <= int(str(r["nuclei"])) < high]
            counts = [Counter(_judged(r) for r in part) for part in _kinds(chosen)]
            if not chosen:
                continue
            cells = [
                " / ".join(_share(c, k) for k in ("right", "unclear", "wrong")) for c in counts
            ]
            known = {(str(r["size"]), r["difficulty"], r["seed"]) for r in chosen}
            name = "phase" if way == "phase" else "virtual DAPI"
            span = f"{low} to {high - 1}" if high < 1000 else f"{low} and more"
            lines.append(f"| {name} | {span} | {len(known)} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _kinds(rows: list[dict[str, object]]) -> list[list[dict[str, object]]]:
    registered = [r for r in rows if r["case"] == "registered"]
    shifted = [r for r in rows if r["case"] in ("y", "x", "z")]
    return [registered, shifted, [r for r in rows if r not in registered and r not in shifted]]


def _judged(row: dict[str, object]) -> str:
    """Return whether a verdict is right, unclear or wrong."""
    verdict, case = row["verdict"], row["case"]
    if verdict == "unclear":
        return "unclear"
    if case == "registered":
        return "right" if verdict == "registered" else "wrong"
    if case in ("mirrored", "another field"):
        return "right" if verdict == "unrelated" else "wrong"
    return "right" if verdict == "shifted" and row["right"] else "wrong"


def _share(counts: Counter[str], key: str) -> str:
    total = sum(counts.values())
    text = f"{100 * counts[key] / total:.0f} %" if total else "–"
    return f"**{text}**" if key == "wrong" else text


if __name__ == "__main__":
    main()
