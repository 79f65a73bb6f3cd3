"""Names of planes: which numbers in them are z, channel, time point or position."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise, product
from pathlib import Path

# What microscopes and people write before a number. Anything else before a number says nothing.
_WORDS = {
    **dict.fromkeys(("z", "slice", "plane", "section", "depth", "focus"), "z"),
    **dict.fromkeys(("c", "ch", "chan", "channel", "w", "wavelength"), "c"),
    **dict.fromkeys(("t", "tp", "time", "timepoint"), "t"),
    **dict.fromkeys(("pos", "position", "site", "field", "scene", "series", "tile"), "position"),
    **dict.fromkeys(("xy", "well"), "position"),
}
_AXES = ("t", "c", "z")
_SHOWN = 5  # names in a sentence

Key = tuple[int, ...]  # numbers along t, c, z, as far as the series has these axes


@dataclass(frozen=True)
class Series:
    """Planes that belong together.

    Parameters
    ----------
    name : str
        What their names have in common; may be empty.
    axes : str
        Letters of "tcz" that the names number, in that order.
    files : dict
        Numbers along `axes` to file.
    channels : tuple of str
        What the names call the channels.
    twice : tuple of Path
        Files whose numbers another one has too.
    """

    name: str
    axes: str
    files: dict[Key, Path]
    channels: tuple[str, ...] = ()
    twice: tuple[Path, ...] = ()

    def numbers(self) -> list[list[int]]:
        """Return the numbers along each axis, those of planes that are missing along z too."""
        found = [sorted({key[i] for key in self.files}) for i in range(len(self.axes))]
        if self.axes.endswith("z"):
            found[-1] = _without_gaps(found[-1])
        return found

    def grid(self) -> list[Path | None]:
        """Return the file of each plane in order, None for one that is missing."""
        return [self.files.get(key) for key in product(*self.numbers())]

    def missing(self) -> list[str]:
        """Return what to call the planes that are missing, such as "z7" or "c0 z7"."""
        return [
            " ".join(f"{a}{n}" for a, n in zip(self.axes, key, strict=True))
            for key in product(*self.numbers())
            if key not in self.files
        ]

    def is_even(self) -> bool:
        """Whether the planes are numbered in even steps, but for gaps that are filled."""
        along_z = self.numbers()[-1] if self.axes.endswith("z") else []
        return len({b - a for a, b in pairwise(along_z)}) < 2


def find_series(files: Iterable[Path]) -> list[Series]:
    """Return the series that files form by their names, the largest first.

    Numbers that change along a series are told apart by the word before each (`z01`, `ch0`, `t3`,
    `pos2`). Where no word tells, the last one counts the planes, and each value of the others is a
    series of its own, as is each text.

    Parameters
    ----------
    files : iterable of Path
        One plane each.
    """
    patterns: dict[tuple[str, ...], list[tuple[Key, Path]]] = defaultdict(list)
    for file in files:
        parts = re.split(r"(\d+)", _stem(file))
        patterns[tuple(parts[::2])].append((tuple(map(int, parts[1::2])), file))
    found = [one for texts, named in patterns.items() for one in _series(texts, named)]
    return sorted(found, key=lambda s: (-len(s.files), s.name))


def listed(names: Sequence[str]) -> str:
    """Return names for a sentence, the first few of them."""
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more


def _stem(file: Path) -> str:
    return re.sub(r"(\.ome)?\.[a-z]+$", "", file.name, flags=re.IGNORECASE)


def _series(texts: tuple[str, ...], named: list[tuple[Key, Path]]) -> list[Series]:
    """Return the series of files whose names differ in numbers alone."""
    meaning = _meanings(texts, [numbers for numbers, _ in named])
    axes = "".join(a for a in _AXES if a in meaning)
    apart = [i for i, m in enumerate(meaning) if m == "position"]
    order = [meaning.index(a) for a in axes]
    groups: dict[Key, list[tuple[Key, Path]]] = defaultdict(list)
    for numbers, file in named:
        key = tuple(numbers[i] for i in order)
        groups[tuple(numbers[i] for i in apart)].append((key, file))
    found = []
    for group in groups.values():
        files: dict[Key, Path] = {}
        twice: list[Path] = []
        for key, file in sorted(group, key=lambda one: (one[0], one[1].name)):
            twice += [file] if key in files else []
            files.setdefault(key, file)
        name = _common(_stem(group[0][1]), {i for i, m in enumerate(meaning) if m in _AXES})
        channels: tuple[str, ...] = ()
        if "c" in axes:
            word, at = _word(texts[meaning.index("c")]), axes.index("c")
            channels = tuple(f"{word}{n}" for n in sorted({key[at] for key in files}))
        found.append(Series(name, axes, files, channels, tuple(twice)))
    return found


def _meanings(texts: Sequence[str], numbers: Sequence[Key]) -> list[str]:
    """Return what each number of a name is: "z", "c", "t", "position", or "" if it tells nothing.

    Numbers that never change tell nothing, nor do those that follow from others, such as a plane's
    height or the time of its exposure beside its number.
    """
    count = len(numbers[0])
    words = [_WORDS.get(_word(text), "?") for text in texts[:count]]
    changing = [i for i in range(count) if len({key[i] for key in numbers}) > 1]
    kept: list[int] = []
    for i in sorted(changing, key=lambda i: (words[i] == "?", words[i] != "z", i)):
        both_ways = any(_follows(numbers, i, [j]) and _follows(numbers, j, [i]) for j in kept)
        if not (both_ways or (words[i] == "?" and _follows(numbers, i, kept))):
            kept.append(i)
    meaning = [words[i] if i in kept else "" for i in range(count)]
    for letter in "tcz":  # the same word twice tells nothing
        if meaning.count(letter) > 1:
            meaning = ["?" if m == letter else m for m in meaning]
    unknown = [i for i, m in enumerate(meaning) if m == "?"]
    for i in [i for i in unknown if len(kept) > 1 and _word(texts[i]) == "s"]:
        meaning[i] = "position"  # a stage position beside other numbers, a section by itself
        unknown.remove(i)
    if "z" not in meaning and unknown:
        meaning[unknown.pop()] = "z"
    for i in unknown:
        meaning[i] = "position"
    return meaning


def _word(text: str) -> str:
    """Return the word before a number: of "img_z_", "imgZ" and "Z=" it is "z"."""
    letters = re.search(r"([^\W\d_]*)[-_ .=(#]*$", text)
    whole = letters[1] if letters else ""
    tails = (whole, *re.findall(r"[A-Z][a-z]*$|(?<=[A-Z])[a-z]+$", whole))
    return next((t.casefold() for t in tails if t.casefold() in _WORDS), whole.casefold())


def _follows(numbers: Sequence[Key], number: int, others: Sequence[int]) -> bool:
    """Whether one of the numbers of a name follows from others of the same name."""
    known: dict[Key, int] = {}
    return bool(others) and all(
        known.setdefault(tuple(key[i] for i in others), key[number]) == key[number]
        for key in numbers
    )


def _common(stem: str, along: set[int]) -> str:
    """Return a name without the numbers along the axes, and the words before these."""
    parts = re.split(r"(\d+)", stem)
    for i in along:
        parts[2 * i + 1] = ""
        text = parts[2 * i].rstrip("-_ .=(#")
        word = _word(text)
        parts[2 * i] = text[: len(text) - len(word)] if word in _WORDS else text
    return re.sub(r"([-_ .])[-_ .]+", r"\1", "".join(parts)).strip("-_ .")


def _without_gaps(numbers: list[int]) -> list[int]:
    """Return numbers with those that a gap of whole steps leaves out, if these are the fewer."""
    steps = Counter(b - a for a, b in pairwise(numbers))
    if not steps:
        return numbers
    step = min(steps, key=lambda s: (-steps[s], s))
    whole = list(range(numbers[0], numbers[-1] + 1, step))
    filled = set(numbers) <= set(whole) and len(whole) < 2 * len(numbers)
    return whole if filled else numbers
