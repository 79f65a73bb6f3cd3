"""A pair of files as the arrays that are trained on: on one grid, without holes, scaled."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from monai.transforms import MapTransform, Transform

from ..models.normalise import HOT, dapi_scaling, qpi_scaling, stabilise
from ..volumes import (
    Pair,
    Spacing,
    Volume,
    check_stack,
    filled,
    labels_of,
    needs_resampling,
    on_one_grid,
    resample,
)
from ..volumes.flat import is_flat
from .held_out import Part

PLANES = "planes"  # of a pair whose DAPI is one plane: how many planes are no padding


class ReadPair(Transform):
    """Read a pair as arrays on the grid that is trained on.

    Both stacks are opened together, since a file may not tell the voxel size that its partner
    tells: resampled by itself, each would end up on a grid of its own.

    Parameters
    ----------
    spacing : tuple of float, optional
        Voxel size (z, y, x) in µm; None leaves all as they are.
    labels : bool
        Whether the labels of nuclei are read too, where a pair has them.
    """

    def __init__(self, spacing: Spacing | None, labels: bool = False) -> None:
        self.spacing, self.labels = spacing, labels

    def __call__(self, data: Pair | Part) -> dict[str, Any]:
        """Return "qpi" and "dapi", float32 of one shape (1, z, y, x), where they are
        "filled", and what pair or part they are "of".

        With them "labels", uint32, where they are read.

        Voxels without data in one of the two are filled in both alike, by mirroring: what is seen
        there is another view of a true pair.
        """
        qpi, dapi, nuclei = data.read(flat=True)
        if is_flat(dapi):
            return {**self._flat(data, qpi, dapi), "of": data}
        labels = [labels_of(nuclei)] if self.labels and nuclei is not None else []
        holes, told = np.zeros(qpi.shape, bool), list[str]()
        for volume in (qpi, dapi):
            if no_data := check_stack(volume):
                holes |= no_data.mask(volume.data)
                told.append(no_data.sentence(f"{data.name} ({volume.name})"))
        told += [note for volume in labels for note in volume.notes]
        if holes.any():
            qpi, dapi = (_filled(volume, holes) for volume in (qpi, dapi))
            labels = [_mirrored(volume, holes) for volume in labels]
        if self.spacing is not None and needs_resampling(qpi, self.spacing):
            where = resample(qpi.replace(data=holes), self.spacing, order=0)
            images = (resample(v, self.spacing) for v in (qpi, dapi))
            labels = [resample(v, self.spacing, order=0) for v in labels]
            qpi, dapi, *labels = on_one_grid(*images, *labels)
            holes = where.numpy()
        both = {"qpi": qpi, "dapi": dapi}
        arrays = {name: np.asarray(v.numpy(), np.float32)[None] for name, v in both.items()}
        if labels:
            arrays["labels"] = labels[0].numpy()[None]
        return {**arrays, "filled": holes[None], "told": told, "of": data}

    def _flat(self, data: Pair | Part, qpi: Volume, dapi: Volume) -> dict[str, Any]:
        """Return a pair whose DAPI is one plane: that is of shape (1, 1, y, x).

        "filled" is where the stack is, and "planes" how many planes it has.
        """
        told, holes = list[str](), []
        for volume, least in ((qpi, 2), (dapi, 1)):
            no_data = check_stack(volume, least=least)
            holes.append(no_data.mask(volume.data))
            if no_data:
                told.append(no_data.sentence(f"{data.name} ({volume.name})"))
        of_dapi = holes[1] | holes[0].all(0)  # columns of which nothing is known
        of_qpi = holes[0] | of_dapi
        qpi = _filled(qpi, of_qpi) if of_qpi.any() else qpi
        dapi = _filled(dapi, of_dapi) if of_dapi.any() else dapi
        if self.spacing is not None and needs_resampling(qpi, self.spacing):
            where = resample(qpi.replace(data=of_qpi), self.spacing, order=0)
            qpi, of_qpi = resample(qpi, self.spacing), where.numpy()
            assert dapi.spacing is not None
            dapi = resample(dapi, (dapi.spacing[0], *self.spacing[1:]))
        arrays = {"qpi": qpi, "dapi": dapi}
        return {
            **{name: np.asarray(v.numpy(), np.float32)[None] for name, v in arrays.items()},
            "filled": of_qpi[None],
            "told": told,
            PLANES: qpi.shape[0],
        }


def _filled(volume: Volume, holes: np.ndarray) -> Volume:
    """Return a stack, float32, with its holes filled."""
    data = np.array(volume.data, np.float32)
    background = float(np.median(data[~holes])) if not holes.all() else 0.0
    return volume.replace(data=filled(data, holes, background))


def _mirrored(labels: Volume, holes: np.ndarray) -> Volume:
    """Return labels whose holes mirror what is beside them; a mirror image is another nucleus."""
    from skimage.measure import label

    # float64 holds every number of a label
    data = filled(np.array(labels.data, np.float64), holes, 0.0)
    return labels.replace(data=label(data.astype(np.int64)).astype(np.uint32))


class OnlyPart(Transform):
    """Keep what is trained on, or held out, of one pair; both are scaled as the whole is.

    Parameters
    ----------
    keys : sequence of str
        Arrays (1, z, y, x).
    """

    def __init__(self, keys: Sequence[str]) -> None:
        self.keys = keys

    def __call__(self, data: dict[str, Any]) -> dict[str, Any]:
        """Return the pair, cut where it is a part of one."""
        part, rest = data["of"], {key: value for key, value in data.items() if key != "of"}
        if not isinstance(part, Part):
            return rest
        box = [slice(None)] * 4
        box[1 + part.axis] = slice(part.first, part.last)
        return rest | {key: data[key][tuple(box)] for key in self.keys if key in data}


class Standardised(MapTransform):
    """Standardise QPI and stabilise DAPI by the statistics of the whole volume.

    Parameters
    ----------
    keys : sequence of str
        "qpi" and "dapi".
    root : bool
        Whether DAPI goes through the square root.
    """

    def __init__(self, keys: Sequence[str], root: bool = True) -> None:
        super().__init__(keys)
        self.root = root

    def __call__(self, data: dict[str, Any]) -> dict[str, Any]:
        """Return the pair with scaled intensities and the scalings used."""
        qpi, dapi = (np.asarray(data[key], np.float32) for key in ("qpi", "dapi"))
        holes = [data["filled"], data["filled"]]
        if PLANES in data:  # a plane has none but where all of a column are
            holes[1] = data["filled"].all(1, keepdims=True)
        with_data = [
            np.where(h, np.float32(np.nan), v)[0] for h, v in zip(holes, (qpi, dapi), strict=True)
        ]
        q, d = qpi_scaling(with_data[0]), dapi_scaling(with_data[1])
        return {
            "qpi": np.clip(q.apply(qpi), -HOT, HOT).astype(np.float32),
            "dapi": stabilise(dapi, d.model_copy(update={"root": self.root})),
            "told": data["told"],
            "of": data["of"],
            **{key: data[key] for key in ("labels", PLANES) if key in data},
            "scalings": torch.tensor([[q.low, q.high], [d.low, d.high]], dtype=torch.float64),
        }
