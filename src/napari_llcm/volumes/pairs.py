"""Pairs of inputs and outputs, such as a label-free stack and its DAPI: by name, or from a list."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from ..events import UserError
from .apart import same_place
from .flat import beside, holds_one_plane
from .folders import Found, stacks_by_name
from .grids import on_one_grid
from .options import PairReadOptions
from .pair_list import read_list
from .plate_pairs import plate_pairs
from .plates import is_plate
from .reading import read_role
from .slices import holds_planes
from .volume import Volume

_Names = tuple[tuple[str, ...], ...]
_LABELS = "labels"


@dataclass(frozen=True)
class Channels:
    """Which stacks a field has.

    Parameters
    ----------
    inputs, outputs : tuple of tuple of str
        For each stack, the names that its folder may have; the first is its own.
    """

    inputs: _Names
    outputs: _Names

    @property
    def names(self) -> tuple[str, ...]:
        """The name of each stack."""
        return tuple(names[0] for names in (*self.inputs, *self.outputs))


STAINED = Channels((("qpi", "phase"),), (("dapi",),))


@dataclass(frozen=True)
class Pair:
    """Where the stacks of one field lie.

    Parameters
    ----------
    name : str
        Name of the field.
    inputs : tuple of Path
        The label-free stack, or several stacks.
    outputs : tuple of Path
        The fluorescence stack on the same grid, or several.
    labels : Path, optional
        Instance labels of the nuclei on the same grid.
    reading : PairReadOptions
        How the files are read: axes, channel, time point, image, spacing.
    channels : Channels
        What they are.
    taken : tuple of (str, str)
        Where a file holds several channels: which of them a stack is, by its name in `channels`.
        What `reading` says of that stack goes before.
    """

    name: str
    inputs: tuple[Path, ...]
    outputs: tuple[Path, ...]
    labels: Path | None = None
    reading: PairReadOptions = field(default_factory=PairReadOptions)
    channels: Channels = STAINED
    taken: tuple[tuple[str, str], ...] = ()

    @property
    def files(self) -> list[Path]:
        """All files of the field."""
        return [*self.inputs, *self.outputs, *([self.labels] if self.labels else [])]

    @property
    def qpi(self) -> Path:
        """The label-free stack of a field that has one."""
        return self.inputs[0]

    @property
    def dapi(self) -> Path:
        """The fluorescence stack of a field that has one."""
        return self.outputs[0]

    def read(self, *, flat: bool = False) -> tuple[Volume, Volume, Volume | None]:
        """Open the first input, the first output and the labels, as `stacks` does."""
        inputs, outputs, labels = self.stacks(flat=flat)
        return inputs[0], outputs[0], labels

    def stacks(
        self, *, flat: bool = False
    ) -> tuple[tuple[Volume, ...], tuple[Volume, ...], Volume | None]:
        """Open all stacks lazily, on one grid; every job reads a pair in this way.

        Parameters
        ----------
        flat : bool
            Whether the job can work with an output of one plane; it is then a flat volume, see
            `volumes.flat`, and so are its labels.

        Returns
        -------
        tuple
            Inputs, outputs and labels (None where there are none), each with axes "zyx", of one
            shape and, where any of the files tells it, the same spacing. What had to be assumed
            for that is in their notes.

        Raises
        ------
        UserError
            If a file cannot be read, shapes or spacings differ, or the output is flat and the job
            needs a stack.
        """
        names = [*self.channels.names, *([_LABELS] if self.labels is not None else [])]
        roles = [name if hasattr(self.reading, name) else None for name in names]
        given = zip(self.files, roles, names, strict=True)
        opened = [
            read_role(file, self._reading(role, name), role, name) for file, role, name in given
        ]
        count = len(self.inputs)
        one, other = opened[0], opened[count]
        if one.chosen == other.chosen and same_place(self.inputs[0], self.outputs[0]):
            raise UserError(
                f"{self.inputs[0]} is both the label-free stack and the DAPI of pair {self.name}: "
                "choose another file, or another channel, for one of them."
            )
        if len(self.channels.names) == 2 and holds_one_plane(other) and not holds_one_plane(one):
            if not flat:
                raise UserError(
                    f"{other.where}, the DAPI of pair {self.name}, is one plane; a stack of planes "
                    "is needed for this."
                )
            stack, plane = beside(one, other)
            placed = [stack, plane, *(beside(one, more)[1] for more in opened[2:])]
        else:
            placed = list(on_one_grid(*opened))
        last = count + len(self.outputs)
        labels = placed[last] if self.labels is not None else None
        return tuple(placed[:count]), tuple(placed[count:last]), labels

    def _reading(self, role: str | None, name: str) -> PairReadOptions:
        """Return how the file of a stack is read: the channel that it is, unless one is told."""
        channel = dict(self.taken).get(name)
        if channel is None or self.reading.of(role).channel is not None:
            return self.reading
        return self.reading.model_copy(update={"channel": channel})


def find_pairs(
    source: Path | str,
    reading: PairReadOptions | None = None,
    channels: Channels = STAINED,
) -> Found[Pair]:
    """Find pairs in a folder, or read a list of them.

    Parameters
    ----------
    source : Path or str
        A folder with one folder for each channel (`qpi` or `phase`, and `dapi`) and, if there are
        any, `labels`, whose files are matched by name without suffix; or a CSV or YAML list with
        an entry for each channel and, if wanted, labels and name, with paths relative to the list;
        or a plate (OME-Zarr HCS), whose fields have these channels: see `plate_pairs`.
    reading : PairReadOptions, optional
        How the files of each pair are read.
    channels : Channels
        Which stacks a field has: a label-free one and its DAPI by default.

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
    if is_plate(source):
        return plate_pairs(source, reading or PairReadOptions(), channels)
    if source.is_dir():
        pairs = _in_folder(source, channels)
    else:
        pairs = Found(
            _pair(name, paths, channels) for name, paths in read_list(source, channels.names)
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


def _pair(name: str, files: Mapping[str, Path], channels: Channels) -> Pair:
    inputs, outputs = (
        tuple(files[names[0]] for names in some) for some in (channels.inputs, channels.outputs)
    )
    return Pair(name, inputs, outputs, files.get(_LABELS), channels=channels)


def _in_folder(source: Path, channels: Channels) -> Found[Pair]:
    there = {f.name.lower(): f for f in source.iterdir() if f.is_dir()}
    known = {names[0]: names for names in (*channels.inputs, *channels.outputs, (_LABELS,))}
    folders = {
        kind: next((there[n] for n in names if n in there), None) for kind, names in known.items()
    }
    missing = [kind for kind in channels.names if folders[kind] is None]
    if missing:
        kinds = " and ".join(f"{kind}/" for kind in channels.names)
        raise UserError(
            f"{source} has no folder {' or '.join(missing)}: put the stacks of a field, under the "
            f"same name, in {kinds}."
        )
    planes = {k: f for k, f in folders.items() if f is not None and holds_planes(f)}
    if set(channels.names) <= set(planes):
        note = f"The folders in {source} hold single planes, taken as those of one pair of stacks."
        return Found([_pair(source.resolve().name, planes, channels)], [note])
    looked = {k: stacks_by_name(f) if f else ({}, ()) for k, f in folders.items()}
    stacks = {kind: found for kind, (found, _) in looked.items()}
    notes = [note for _, found in looked.values() for note in found]
    whole = set.intersection(*(set(stacks[kind]) for kind in channels.names))
    alone = [str(stacks[kind][n]) for kind in known for n in sorted(stacks[kind].keys() - whole)]
    if alone:
        more = f" and {len(alone) - 5} more" if len(alone) > 5 else ""
        sentence = f"No partner of the same name for {', '.join(alone[:5])}{more}."
        raise UserError(" ".join([sentence, *notes]))
    fields = {n: {kind: found[n] for kind, found in stacks.items() if n in found} for n in whole}
    return Found((_pair(name, fields[name], channels) for name in sorted(fields)), notes)


def inputs_of(source: Path | None, pairs: Iterable[Pair]) -> list[Path]:
    """Return where an output must not lie: files of pairs, their list, or folders in the source.

    Other folders of the source are free: results often lie beside `qpi` and `dapi`.
    """
    if source is not None and is_plate(source):
        return [source]
    files = [file for pair in pairs for file in pair.files]
    inside = set(source.iterdir()) if source is not None and source.is_dir() else set()
    listed = [source] if source is not None and source.is_file() else []
    return [*files, *listed, *sorted({p.parent for p in files} & inside)]
