"""Hold a part of a pair out of a training, where there are too few to spare a whole one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING

from ..models.config import Factor
from ..models.methods import METHODS
from ..volumes import Pair, Volume

if TYPE_CHECKING:
    from ..models.stainer import StainerNetworks
    from .config import TrainJob

_SHARE, _WIDEST = 0.25, 96  # of the longer side; voxels, since the validation looks at no more
_LEAST = 16  # voxels along the cut side, of either part


@dataclass(frozen=True)
class Part:
    """A part of a pair, cut across y or x.

    Parameters
    ----------
    pair : Pair
        The whole.
    axis : int
        The side that is cut, 1 for y and 2 for x.
    first, last : int
        Voxels along it on the grid that is trained on; `last` is the first one beyond the part.
    """

    pair: Pair
    axis: int
    first: int
    last: int

    @property
    def name(self) -> str:
        """Name of the field."""
        return self.pair.name

    @property
    def labels(self) -> Path | None:
        """Instance labels of the whole, where there are any."""
        return self.pair.labels

    def read(self, *, flat: bool = False) -> tuple[Volume, Volume, Volume | None]:
        """Open the whole stacks: intensities are scaled by those, and the part is cut last."""
        return self.pair.read(flat=flat)

    def stacks(
        self, *, flat: bool = False
    ) -> tuple[tuple[Volume, ...], tuple[Volume, ...], Volume | None]:
        """Open all of the whole stacks."""
        return self.pair.stacks(flat=flat)


def split(
    job: TrainJob,
    pairs: Sequence[Pair],
    shapes: Sequence[tuple[int, ...]],
    networks: StainerNetworks,
) -> tuple[list[Pair | Part], list[Pair | Part], str]:
    """Return what is trained on, what is held out, and the latter in words.

    Parameters
    ----------
    job : TrainJob
        How many pairs shall be held out.
    pairs : sequence of Pair
        All there are.
    shapes : sequence of tuple of int
        Their shapes (z, y, x) on the grid that is trained on.
    networks : StainerNetworks
        Those that are trained.
    """
    training, validation = job.split(pairs)
    if validation or not job.validation_share:
        return [*training], [*validation], "in held-out volumes"
    reach = networks.condition_halo if METHODS[job.method].latent else None
    halo = max(reach[1:]) if reach else max(job.patch[1:]) // 2
    kept, part = without_a_part(pairs, shapes, halo, networks.network.multiple)
    return kept, [*part], f"in a held-out part of {part[0].name}" if part else ""


def without_a_part(
    pairs: Sequence[Pair], shapes: Sequence[tuple[int, ...]], halo: int, multiple: Factor
) -> tuple[list[Pair | Part], list[Part]]:
    """Cut a part off the largest of a few pairs, as none of them can be spared whole.

    The part is a quarter of its longer side, or what of that needs no padding. A gap lies between
    it and the rest, so that no nucleus and no blur is common to both: as wide as what one latent
    site sees, but an eighth of the side at most, which on a small field is still the width of a
    nucleus. Nothing beyond its own edge is seen when the part is stained.

    Parameters
    ----------
    pairs : sequence of Pair
        All that is trained on.
    shapes : sequence of tuple of int
        Their shapes (z, y, x) on the grid that is trained on.
    halo : int
        Reach of the phase encoder, in voxels.
    multiple : tuple of int
        Sides (z, y, x) of what the networks take are multiples of it.

    Returns
    -------
    tuple of list
        What is trained on, and the part; none where the field is too small for both.
    """
    kept: list[Pair | Part] = list(pairs)
    chosen = max(range(len(pairs)), key=lambda i: prod(shapes[i]))
    axis = 1 if shapes[chosen][1] > shapes[chosen][2] else 2
    side = shapes[chosen][axis]
    m = multiple[axis]
    width = max(min(round(_SHARE * side), _WIDEST) // m * m, m)
    last = side - width - min(halo, side // 8)
    if min(width, last) < _LEAST:
        return kept, []
    kept[chosen] = Part(pairs[chosen], axis, 0, last)
    return kept, [Part(pairs[chosen], axis, side - width, side)]


def fitting_patch(
    job: TrainJob,
    training: Sequence[Pair | Part],
    pairs: Sequence[Pair],
    shapes: Sequence[tuple[int, ...]],
) -> Factor:
    """Return the patch of a job, no larger than the largest of its volumes.

    Of a stack of few planes a patch of many would be padding, which costs as much as data and shows
    the network what it will never see when it stains.

    Parameters
    ----------
    job : TrainJob
        Its patch and network.
    training : sequence of Pair or Part
        What is trained on.
    pairs : sequence of Pair
        All there are.
    shapes : sequence of tuple of int
        Their shapes (z, y, x).
    """
    sizes = []
    for one in training:
        size = list(shapes[pairs.index(one.pair if isinstance(one, Part) else one)])
        if isinstance(one, Part):
            size[one.axis] = one.last - one.first
        z, y, x = size
        sizes.append([z, min(y, x), min(y, x)])  # a view may be transposed
    least = METHODS[job.method].least_patch
    sides = zip(job.patch, map(max, zip(*sizes, strict=True)), job.network.multiple, strict=True)
    fitting = (min(p, max(-(-side // m) * m, least)) for p, side, m in sides)
    grain = job.network.autoencoder.grain
    z, y, x = (-(-p // g) * g for p, g in zip(fitting, grain, strict=True))
    return (z, y, x)
