"""Families of specimens: what must not matter to a model, drawn anew for each.

A specimen is described by tags, "what:which". A model trained on all but those of one tag, and
tested on these, tells how it copes with what it has never seen.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from typing import cast, get_args

import numpy as np

from ..events import UserError
from .arrangement import Scene, confluent, crowded, elongated, sparse, spheroid, tissue
from .cells import Body, Tissue
from .extras import between_cells
from .fluorescence import BACKGROUND, expected_photons, exposure
from .grid import Grid, Triple
from .index import draw_nucleoli, refractive_index
from .make import TISSUE_AROUND, Size, check_request, label_nuclei, specimen_volume
from .modalities import MODALITIES
from .optics import Modality
from .sheet import adherent, monolayer
from .traits import STEP, VOXEL, WIDE, Traits, draw_traits, plain_traits
from .truth import Specimen, nucleus_width, table_of_nuclei
from .views import through_microscope

_ATTEMPTS = 2000  # draws until one has none of the tags that are left out


@dataclass(frozen=True)
class Family:
    """How the cells of a specimen are arranged.

    Parameters
    ----------
    share : float
        Of all specimens.
    build : callable
        Makes the tissue and its bodies.
    flat : bool
        Whether the nuclei are thinner than wide.
    plain : bool
        Whether voxel, matter and dye are those of `make_specimen`.
    often : tuple of str
        Modalities that are drawn four times as often as others.
    """

    share: float
    build: Callable[[Scene, np.random.Generator], tuple[Tissue, list[Body]]]
    flat: bool = False
    plain: bool = False
    often: tuple[Modality, ...] = ()


FAMILIES: dict[str, Family] = {
    "tissue": Family(0.30, tissue, plain=True, often=("qobm", "transmission")),
    "adherent": Family(0.14, adherent, flat=True),
    "monolayer": Family(0.14, monolayer, flat=True),
    "confluent": Family(0.12, confluent),
    "sparse": Family(0.08, sparse),
    "spheroid": Family(0.08, spheroid),
    "crowded": Family(0.07, crowded),
    "elongated": Family(0.07, elongated),
}
TAGS: dict[str, tuple[str, ...]] = {
    "cells": tuple(FAMILIES),
    "modality": get_args(Modality),
    "size": ("small", "medium", "large"),
    "noise": ("none", "weak", "strong"),
    "texture": ("fine", "coarse", "smooth"),
    "sign": ("above", "below", "mixed"),
    "planes": ("few", "many"),
}


def draw_specimen(
    seed: int, *, size: Size = (32, 160, 160), leave_out: Collection[str] = ()
) -> Specimen:
    """Return a specimen of a random family; the same arguments give the same bytes.

    Its nuclei are 10 to 22 voxels wide in plane. `qpi.metadata` has "tags", what the specimen is,
    "nucleus_um", the median width of its nuclei, and "planes", how many the microscope took: where
    they are few, only the label-free stack is drawn out to `size`: DAPI and labels have them all.

    Parameters
    ----------
    seed : int
        Chooses the specimen.
    size : tuple of int
        Voxels (z, y, x).
    leave_out : collection of str
        Tags that it must not have, such as "modality:dic" or "size:large".

    Raises
    ------
    UserError
        If size or seed cannot be, a tag is unknown, or nothing is left to draw.
    """
    return draw_views(seed, 1, size=size, leave_out=leave_out)[0]


def draw_views(
    seed: int, count: int, *, size: Size = (32, 160, 160), leave_out: Collection[str] = ()
) -> list[Specimen]:
    """Return the same cells by several microscopes: `draw_specimen`'s and `count` - 1 others.

    Another microscope costs a quarter of another specimen, and what a model has to tell apart is
    the microscope.

    Parameters
    ----------
    seed : int
        Chooses the specimen.
    count : int
        Views; DAPI and labels are alike in all.
    size : tuple of int
        Voxels (z, y, x).
    leave_out : collection of str
        Tags that none of them has.

    Raises
    ------
    UserError
        As of `draw_specimen`.
    """
    check_request(size, (1.0, 1.0, 1.0), seed)
    check_leave_out(leave_out)
    leave_out = frozenset(leave_out)
    for attempt in range(_ATTEMPTS):
        rng = np.random.default_rng([seed, attempt, 0xFA41])
        traits = _draw(rng)
        if leave_out & set(traits.tags):
            continue
        views = _specimens(traits, size, seed, rng, count, leave_out)
        if views and not leave_out & set(views[0].qpi.metadata["tags"]):
            return views
    raise UserError("Nothing is left to draw: leave out fewer tags.")


def check_leave_out(leave_out: Collection[str]) -> None:
    """Raise a UserError if a tag is unknown, or all of one sort are left out."""
    known = [f"{name}:{value}" for name, values in TAGS.items() for value in values]
    if wrong := sorted(set(leave_out) - set(known)):
        raise UserError(f"There is no tag {wrong[0]!r}: choose from {', '.join(known)}.")
    for name, values in TAGS.items():
        if set(leave_out) >= {f"{name}:{value}" for value in values}:
            raise UserError(f"Nothing is left to draw: every {name} is left out.")


def _draw(rng: np.random.Generator) -> Traits:
    shares = np.array([family.share for family in FAMILIES.values()])
    cells = str(rng.choice(list(FAMILIES), p=shares / shares.sum()))
    family = FAMILIES[cells]
    modality = _draw_modality(family, rng)
    traits = draw_traits(cells, modality, family.flat, rng)
    return plain_traits(traits, rng) if family.plain else traits


def _draw_modality(
    family: Family, rng: np.random.Generator, leave_out: Collection[str] = ()
) -> Modality:
    odds = {name: 4.0 if name in family.often else 1.0 for name in get_args(Modality)}
    odds = {name: odd for name, odd in odds.items() if f"modality:{name}" not in leave_out}
    shares = np.array(list(odds.values()))
    return cast("Modality", str(rng.choice(list(odds), p=shares / shares.sum())))


def _specimens(
    traits: Traits,
    size: Size,
    seed: int,
    rng: np.random.Generator,
    count: int,
    leave_out: Collection[str],
) -> list[Specimen]:
    """Return the views; none where the nuclei came out too few, too narrow or too wide."""
    family, spacing = FAMILIES[traits.cells], traits.spacing
    units = Grid.around(size, _scaled(spacing, 1 / traits.unit), TISSUE_AROUND)
    field = units.field(size)
    extent = tuple(n * s for n, s in zip(size, units.spacing, strict=True))
    scene = Scene(units, (extent[0], extent[1], extent[2]), traits.preset, traits.unit)
    cells, bodies = family.build(scene, rng)
    labels, present = label_nuclei(cells, bodies, field)
    width = nucleus_width(labels)
    if not WIDE[0] <= width <= WIDE[1]:  # also where there are none
        return []
    if not family.plain:  # the voxel is as large as makes the nuclei as wide as asked for
        voxel = float(np.clip(traits.nucleus_um / width, *VOXEL))
        step = float(np.clip(spacing[0] * voxel / spacing[1], *STEP))
        spacing = (step, voxel, voxel)
    grid = replace(units, spacing=spacing)
    preset, matter = traits.preset, traits.matter
    nucleoli = draw_nucleoli(bodies, units, rng, matter)
    chromatin = units.texture(rng, traits.grain / traits.unit)
    index = refractive_index(cells, bodies, nucleoli, chromatin, units, preset, rng, matter)
    if not family.plain:
        plane = float(np.median([b.centre[0] for b in bodies])) if family.flat else None
        index += between_cells(cells, units, traits.unit, plane, rng)
    nucleus_um = width * spacing[1]
    traits = replace(traits, nucleus_um=nucleus_um)
    shown = (index, grid, labels, field)
    seen = [through_microscope(traits, *shown, _is_plain(traits), rng)]
    photons = expected_photons(cells, bodies, nucleoli, chromatin, grid, preset, traits.dye)[field]
    dapi = exposure(photons, rng)
    for other in range(1, count):
        rng = np.random.default_rng([seed, other, 0xFA42])
        changed = replace(traits, modality=_draw_modality(family, rng, leave_out))
        seen.append(through_microscope(changed, *shown, _is_plain(changed), rng))
    views = []
    for image, weaker, about in seen:
        made = {"simulated": True, "seed": seed, "nucleus_um": nucleus_um, **about}
        made["voxel_um"] = list(spacing)
        medium = np.float32(matter.medium)
        there = [replace(body, contrast=body.contrast * weaker) for body in present]
        unit = MODALITIES[about["modality"]].unit
        weak = medium + np.float32(weaker) * (index[field] - medium)
        views.append(
            Specimen(
                qpi=specimen_volume("QPI", image, spacing, made, unit),
                dapi=specimen_volume("DAPI", dapi, spacing, made, "counts"),
                labels=specimen_volume("nuclei", labels, spacing, made, "label"),
                refractive_index=specimen_volume(
                    "refractive index", weak, spacing, made, "refractive index"
                ),
                photons=specimen_volume("DAPI photons", photons, spacing, made, "photons"),
                nuclei=table_of_nuclei(labels, there, photons, BACKGROUND, spacing),
            )
        )
    return views


def _scaled(spacing: Triple, factor: float) -> Triple:
    return spacing[0] * factor, spacing[1] * factor, spacing[2] * factor


def _is_plain(traits: Traits) -> bool:
    family = FAMILIES[traits.cells]
    return family.plain and traits.modality in family.often
