"""Pairs of a label-free stack and its DAPI, found by name or taken from a list."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

from ..events import UserError
from .apart import same_place
from .flat import beside, holds_one_plane
from .folders import Found, stacks_by_name
from .grids import on_one_grid
from .options import PairReadOptions
from .pair_list import read_list
from .reading import read_role
from .slices import holds_planes
from .volume import Volume

_FOLDERS = {"qpi": ("qpi", "phase"), "dapi": ("dapi",), "labels": ("labels",)}


@dataclass(frozen=True)
class Pair:
    """Where the two (or three) stacks of one field lie.

    Parameters
    ----------
    name : str
        Name of the field.
    qpi : Path
        The label-free stack.
    dapi : Path
        The fluorescence stack on the same grid.
    labels : Path, optional
        Instance labels of the nuclei on the same grid.
    reading : PairReadOptions
        How the files are read: axes, channel, time point, image, spacing.
    """

    name: str
    qpi: Path
    dapi: Path
    labels: Path | None = None
    reading: PairReadOptions = field(default_factory=PairReadOptions)

    def read(self, *, flat: bool = False) -> tuple[Volume, Volume, Volume | None]:
        """Open the stacks lazily, on one grid; every job reads a pair in this way.

        Parameters
        ----------
        flat : bool
            Whether the job can work with a DAPI of one plane; it is then a flat volume, see
            `volumes.flat`, and so are its labels.

        Returns
        -------
        tuple of Volume
            QPI, DAPI and labels (None where there are none), each with axes "zyx", of one shape
            and, where any of the files tells it, the same spacing. What had to be assumed for
            that is in their notes.

        Raises
        ------
        UserError
            If a file cannot be read, shapes or spacings differ, or the DAPI is flat and the job
            needs a stack.
        """
        files = {"qpi": self.qpi, "dapi": self.dapi, "labels": self.labels}
        opened = [read_role(f, self.reading, role) for role, f in files.items() if f is not None]
        one, other = opened[:2]
        if one.chosen == other.chosen and same_place(self.qpi, self.dapi):
            raise UserError(
                f"{self.qpi} is both the label-free stack and the DAPI of pair {self.name}: "
                "choose another file, or another channel, for one of them."
            )
        if holds_one_plane(other) and not holds_one_plane(one):
            if not flat:
                raise UserError(
                    f"{other.where}, the DAPI of pair {self.name}, is one plane; a stack of planes "
                    "is needed for this."
                )
            qpi, dapi = beside(one, other)
            labels = [beside(one, given)[1] for given in opened[2:]]
        else:
            qpi, dapi, *labels = on_one_grid(*opened)
        return qpi, dapi, labels[0] if labels else None


def find_pairs(source: Path | str, reading: PairReadOptions | None = None) -> Found[Pair]:
    """Find pairs in a folder, or read a list of them.

    Parameters
    ----------
    source : Path or str
        A folder with the folders `qpi` (or `phase`), `dapi` and, if there are any, `labels`,
        whose files are matched by name without suffix; or a CSV or YAML list with the entries
        qpi, dapi and, if wanted, labels and name, with paths relative to the list.
    reading : PairReadOptions, optional
        How the files of each pair are read.

    Returns
    -------
    list of Pair
        At least one; sorted by name for a folder, in their order for a list. What was passed over
        in a folder, as it is no stack, is in its notes.

    Raises
    ------
    UserError
        If there are no pairs, or a file has no partner or does not exist.
    """
    source = Path(source).expanduser()
    if not source.exists():
        raise UserError(f"There is no folder or list of pairs {source}.")
    if source.is_dir():
        pairs = _in_folder(source)
    else:
        pairs = Found(
            Pair(name, paths["qpi"], paths["dapi"], paths.get("labels"))
            for name, paths in read_list(source)
        )
    if not pairs:
        raise UserError(f"{source} holds no pairs.")
    # names that differ only in case are one file on many disks
    count = Counter(p.name.casefold() for p in pairs)
    twice = [p.name for p in pairs if count[p.name.casefold()] > 1]
    if twice:
        raise UserError(f"{source} holds more than one pair named {twice[0]}: give them names.")
    if reading is not None:
        return Found((replace(pair, reading=reading) for pair in pairs), pairs.notes)
    return pairs


def _in_folder(source: Path) -> Found[Pair]:
    there = {f.name.lower(): f for f in source.iterdir() if f.is_dir()}
    folders = {
        kind: next((there[n] for n in names if n in there), None)
        for kind, names in _FOLDERS.items()
    }
    missing = [kind for kind in ("qpi", "dapi") if folders[kind] is None]
    if missing:
        raise UserError(
            f"{source} has no folder {' or '.join(missing)}: put label-free stacks in qpi/ and "
            "their DAPI, under the same names, in dapi/."
        )
    planes = {k: f for k, f in folders.items() if f is not None and holds_planes(f)}
    if "qpi" in planes and "dapi" in planes:
        note = f"The folders in {source} hold single planes, taken as those of one pair of stacks."
        return Found(
            [Pair(source.resolve().name, planes["qpi"], planes["dapi"], planes.get("labels"))],
            [note],
        )
    looked = {k: stacks_by_name(f) if f else ({}, ()) for k, f in folders.items()}
    qpi, dapi, labels = (looked[kind][0] for kind in _FOLDERS)
    notes = [note for _, found in looked.values() for note in found]
    alone = [str(qpi[n]) for n in sorted(qpi.keys() - dapi.keys())]
    alone += [str(dapi[n]) for n in sorted(dapi.keys() - qpi.keys())]
    alone += [str(labels[n]) for n in sorted(labels.keys() - (qpi.keys() & dapi.keys()))]
    if alone:
        more = f" and {len(alone) - 5} more" if len(alone) > 5 else ""
        sentence = f"No partner of the same name for {', '.join(alone[:5])}{more}."
        raise UserError(" ".join([sentence, *notes]))
    return Found((Pair(n, qpi[n], dapi[n], labels.get(n)) for n in sorted(qpi)), notes)


def inputs_of(source: Path | None, pairs: Iterable[Pair]) -> list[Path]:
    """Return where an output must not lie: files of pairs, their list, or folders in the source.

    Other folders of the source are free: results often lie beside `qpi` and `dapi`.
    """
    files = [p for pair in pairs for p in (pair.qpi, pair.dapi, pair.labels) if p is not None]
    inside = set(source.iterdir()) if source is not None and source.is_dir() else set()
    listed = [source] if source is not None and source.is_file() else []
    return [*files, *listed, *sorted({p.parent for p in files} & inside)]
