"""Families of specimens: what is drawn is what the tags and the numbers say."""

import numpy as np
import pytest
from scipy import ndimage

from napari_llcm.events import UserError
from napari_llcm.specimen import TAGS, draw_specimen, draw_views, make_specimen

SMALL = (16, 96, 96)


def only(*tags):
    """Leave out every tag of the sorts of `tags` but these."""
    sorts = {tag.split(":")[0] for tag in tags}
    known = {f"{name}:{value}" for name in sorts for value in TAGS[name]}
    return known - set(tags)


@pytest.fixture(scope="module")
def drawn():
    return [draw_specimen(seed, size=SMALL) for seed in range(8)]


def test_same_arguments_same_bytes(drawn):
    again = draw_specimen(3, size=SMALL)
    for name in ("qpi", "dapi", "labels", "refractive_index", "photons"):
        first = getattr(drawn[3], name).numpy()
        assert first.tobytes() == getattr(again, name).numpy().tobytes()
        assert first.tobytes() != getattr(drawn[4], name).numpy().tobytes()
    assert drawn[3].nuclei == again.nuclei
    assert drawn[3].qpi.metadata == again.qpi.metadata


def test_tags_say_one_thing_of_each_sort(drawn):
    for specimen in drawn:
        tags = dict(tag.split(":") for tag in specimen.qpi.metadata["tags"])
        assert list(tags) == list(TAGS)
        assert all(value in TAGS[name] for name, value in tags.items())
        assert specimen.qpi.metadata["modality"] == tags["modality"]
    assert len({tuple(s.qpi.metadata["tags"]) for s in drawn}) > 6


def test_voxels_and_nuclei_are_of_the_size_that_is_told(drawn):
    for specimen in drawn:
        step, voxel, also = specimen.qpi.spacing
        assert voxel == also
        assert 0.1 <= voxel <= 1.6
        assert 0.25 <= step <= 3.0
        assert 0.99 <= step / voxel <= 4.01 or step == 0.25
        width = specimen.qpi.metadata["nucleus_um"]
        assert 10 <= width / voxel <= 22
        tags = specimen.qpi.metadata["tags"]
        size = "small" if width < 6.5 else "medium" if width <= 11 else "large"
        assert f"size:{size}" in tags
        # the widest cut of each nucleus, measured another way: by the sum over x of its shadow
        labels = specimen.labels.numpy()
        widths = [
            (labels[box] == i + 1).any(0).sum() ** 0.5 * (4 / np.pi) ** 0.5 * voxel
            for i, box in enumerate(ndimage.find_objects(labels))
        ]
        assert np.median(widths) == pytest.approx(width, rel=0.3)
        assert specimen.qpi.shape == specimen.dapi.shape == labels.shape == SMALL
        stack = specimen.qpi.numpy()
        assert np.isfinite(stack).all()
        assert np.percentile(np.abs(stack - np.median(stack)), 60) > 1e-4 * np.ptp(stack) > 0


def test_what_is_left_out_is_never_drawn():
    out = {"cells:tissue", "modality:dic", "size:large", "noise:strong", "planes:few"}
    for seed in range(6):
        tags = set(draw_specimen(seed, size=(8, 64, 64), leave_out=out).qpi.metadata["tags"])
        assert not tags & out
    specimen = draw_specimen(0, size=SMALL, leave_out=only("cells:spheroid", "modality:zernike"))
    assert {"cells:spheroid", "modality:zernike"} <= set(specimen.qpi.metadata["tags"])
    assert specimen.qpi.metadata["modality"] == "zernike"
    assert specimen.qpi.metadata["optics"]["ring"][1] > 0


@pytest.mark.parametrize("cells", TAGS["cells"])
def test_labels_are_where_the_dye_is(cells):
    specimen = draw_specimen(5, size=SMALL, leave_out=only(f"cells:{cells}"))
    labels, photons = specimen.labels.numpy(), specimen.photons.numpy()
    assert [n.id for n in specimen.nuclei] == list(range(1, labels.max() + 1))
    far = ndimage.distance_transform_edt(labels == 0, specimen.labels.spacing) > 3
    dark = np.median(photons[far])
    for nucleus in specimen.nuclei:
        mask = labels == nucleus.id
        if mask.sum() > 60:
            assert photons[mask].mean() > 2 * dark
            assert photons[mask].mean() - 3 == pytest.approx(nucleus.signal, abs=0.01)
    # where there is no nucleus there is no light but what is blurred from those nearby
    assert np.percentile(photons[far], 99) < np.percentile(photons[labels > 0], 30)


@pytest.mark.parametrize(("cells", "thickest"), [("adherent", 5.0), ("monolayer", 10.0)])
def test_flat_cells_are_flat_and_lie_in_one_layer(cells, thickest):
    for seed in range(3):
        out = only(f"cells:{cells}", "planes:many")
        specimen = draw_specimen(seed, size=(32, 96, 96), leave_out=out)
        labels, step = specimen.labels.numpy(), specimen.labels.spacing[0]
        boxes = ndimage.find_objects(labels)
        lying = [
            box[0]
            for box, nucleus in zip(boxes, specimen.nuclei, strict=True)
            if nucleus.kind == "interphase"
        ]
        thick = np.array([(planes.stop - planes.start) * step for planes in lying])
        assert np.median(thick) <= thickest + 2 * step
        assert np.median(thick) < specimen.labels.metadata["nucleus_um"] + step
        middles = np.array([(planes.start + planes.stop) / 2 * step for planes in lying])
        assert np.ptp(middles) < 1.5 * np.median(thick) + 2 * step


def test_thick_cells_are_thick():
    specimen = draw_specimen(1, size=(32, 96, 96), leave_out=only("cells:confluent", "size:large"))
    middles = [n.centre[0] for n in specimen.nuclei]
    assert np.ptp(middles) > 1.5 * specimen.labels.metadata["nucleus_um"]


def test_views_are_the_same_cells_by_other_microscopes():
    left_out = ["modality:dic", "modality:odt"]
    views = draw_views(3, 4, size=SMALL, leave_out=left_out)
    first = draw_specimen(3, size=SMALL, leave_out=left_out)
    assert (views[0].qpi.numpy() == first.qpi.numpy()).all()
    for view in views[1:]:
        assert (view.labels.numpy() == first.labels.numpy()).all()
        assert (view.dapi.numpy() == first.dapi.numpy()).all()
        assert not (view.qpi.numpy() == first.qpi.numpy()).all()
    shown = {view.qpi.metadata["modality"] for view in views}
    assert len(shown) > 1
    assert not shown & {"dic", "odt"}
    assert all(f"modality:{v.qpi.metadata['modality']}" in v.qpi.metadata["tags"] for v in views)


def test_few_planes_are_drawn_out_to_many():
    out = only("planes:few", "noise:strong", "modality:odt")
    specimen = draw_specimen(0, size=(32, 96, 96), leave_out=out)
    stack = specimen.qpi.numpy()
    # a plane that was taken differs from the line between its neighbours; the others lie on it
    bend = np.abs(stack[2:] + stack[:-2] - 2 * stack[1:-1]).mean((1, 2)) / stack.std()
    assert 3 <= specimen.qpi.metadata["planes"] <= 15
    assert specimen.qpi.metadata["planes"] - 2 <= np.sum(bend > 0.02) <= 15
    assert np.sum(bend < 1e-3) >= 12


def test_signs_and_textures_follow_their_tags():
    above = draw_specimen(2, size=SMALL, leave_out=only("sign:above", "cells:confluent"))
    below = draw_specimen(2, size=SMALL, leave_out=only("sign:below", "cells:confluent"))
    assert all(n.contrast > 0 for n in above.nuclei if n.kind == "interphase")
    assert all(n.contrast < 0 for n in below.nuclei if n.kind == "interphase")


def test_tissue_is_still_that_of_make_specimen():
    specimen = draw_specimen(4, size=SMALL, leave_out=only("cells:tissue", "modality:qobm"))
    assert specimen.qpi.spacing == (0.8, 0.5, 0.5)
    assert specimen.qpi.metadata["unit"] == make_specimen((8, 32, 32)).qpi.metadata["unit"]
    assert specimen.qpi.metadata["nucleus_um"] == pytest.approx(7.4, abs=1.3)


def test_nothing_left_to_draw_is_told():
    with pytest.raises(UserError, match="every noise is left out"):
        draw_specimen(0, leave_out=[f"noise:{value}" for value in TAGS["noise"]])
    with pytest.raises(UserError, match="seed must be 0 or more"):
        draw_specimen(-1)
