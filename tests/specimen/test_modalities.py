"""Each modality images as its physics says; artefacts and optics are drawn by the seed alone."""

from dataclasses import replace
from typing import get_args

import numpy as np
import pytest
from scipy import ndimage
from typer.testing import CliRunner

from napari_llcm.cli.app import app
from napari_llcm.specimen import make_specimen
from napari_llcm.specimen.artefacts import Artefacts, Camera, draw_artefacts
from napari_llcm.specimen.grid import Grid
from napari_llcm.specimen.modalities import MODALITIES, draw_optics, label_free_image
from napari_llcm.specimen.optics import Modality
from napari_llcm.specimen.transfer import oblique_transfer, transmission_transfer
from napari_llcm.volumes import read

GRID = Grid((33, 96, 96), (0.5, 0.25, 0.25))
MIDDLE = 16
NAMES = get_args(Modality)


def image(modality, index, **changes):
    optics = replace(MODALITIES[modality].optics, **changes)
    rng = np.random.default_rng(0)
    return label_free_image(index, 1.335, GRID, modality, optics, Artefacts(), rng)


def ball(radius=1.0, contrast=0.002):
    z, y, x = (GRID.positions(a) - GRID.positions(a)[n // 2] for a, n in enumerate(GRID.shape))
    away = np.sqrt(z[:, None, None] ** 2 + y[:, None] ** 2 + x**2)
    return (1.335 + contrast * (away < radius)).astype(np.float32)


def disc(radius, contrast=0.004):
    """A disc as thin as one plane, which is in focus there."""
    index = np.full(GRID.shape, 1.335, np.float32)
    index[MIDDLE] += contrast * (ball(radius)[MIDDLE] > 1.336)
    return index


def test_brightfield_contrast_of_phase_flips_with_defocus_and_vanishes_in_focus():
    stack = image("brightfield", ball(), absorption=0.0) - 1
    centre = stack[:, 48, 48]
    above, below = centre[MIDDLE + 4], centre[MIDDLE - 4]
    assert above * below < 0
    assert above == pytest.approx(-below, rel=0.05)
    assert abs(centre[MIDDLE]) < 0.05 * abs(above)
    # a lens lights the axis beyond it; taken the other way round, the stack is turned over
    assert above > 0
    other = image("brightfield", ball(), absorption=0.0, polarity=-1)
    np.testing.assert_allclose(other, stack[::-1] + 1, atol=1e-3 * np.ptp(stack))


def test_brightfield_absorption_is_dark_in_focus():
    stack = image("brightfield", ball(), absorption=0.2) - 1
    assert stack[MIDDLE, 48, 48] < 0.8 * stack[MIDDLE].min() < -0.005


def test_zernike_shows_a_disc_with_a_halo_of_the_opposite_sign():
    for polarity in (1, -1):
        plane = image("zernike", disc(3.0), polarity=polarity)[MIDDLE] - 1
        inside, around = plane[48, 48], plane[48, 48 + 12 + 4 : 48 + 12 + 12].mean()
        assert inside * polarity < 0 < around * polarity  # denser is darker for polarity 1
        # shade-off: the middle of a large disc fades towards the background
        wide = image("zernike", disc(9.0), polarity=polarity)[MIDDLE] - 1
        assert abs(wide[48, 48]) < 0.6 * np.abs(wide).max()


def test_dic_is_odd_along_its_shear_and_turns_with_it():
    along_x = image("dic", disc(2.0), shear=(0.0, 0.3))[MIDDLE] - 1
    row, column = along_x[48], along_x[:, 48]
    np.testing.assert_allclose(row[49:90], -row[47:6:-1], atol=0.02 * np.abs(row).max())
    assert np.abs(column).max() < 0.05 * np.abs(row).max()
    along_y = image("dic", disc(2.0), shear=(0.3, 0.0))[MIDDLE] - 1
    np.testing.assert_allclose(along_y, along_x.T, atol=0.01 * np.abs(row).max())
    np.testing.assert_allclose(
        image("dic", disc(2.0), shear=(0.0, -0.3))[MIDDLE] - 1,
        -along_x,
        atol=0.02 * np.abs(row).max(),
    )


def test_odt_restores_the_index_but_for_a_missing_cone():
    rng = np.random.default_rng(1)
    index = (1.335 + 1e-3 * rng.standard_normal(GRID.shape)).astype(np.float32)
    seen, true = (np.fft.rfftn(v - 1.335) for v in (image("odt", index), index))
    passed = np.abs(seen / true)
    assert passed[1:, 0, 0].max() < 0.02  # the axis of the cone
    assert passed[6, 0, 2] < 0.05  # within it
    assert passed[1, 0, 12] == pytest.approx(1, abs=0.1)
    stack = image("odt", ball(3.0, 0.02))
    assert stack[MIDDLE, 48, 48] == pytest.approx(1.355, abs=0.004)


def test_transfer_along_the_radius_is_that_on_the_frequency_grid():
    grid = Grid((24, 64, 64), (0.8, 0.4, 0.4))
    for name, transfer in (("transmission", transmission_transfer), ("qobm", oblique_transfer)):
        optics = MODALITIES[name].optics
        one, two = (
            np.array(transfer(grid, replace(optics, sampling=s)))[..., :30, :30]
            for s in ("grid", "radial")
        )
        one[..., 0, 0] = two[..., 0, 0] = 0  # the sum over all depth alone would hide the rest
        assert np.linalg.norm(one - two) < 0.03 * np.linalg.norm(one)


def test_named_specimens_keep_their_values():
    """Models were trained and judged on them."""
    phase = make_specimen((24, 72, 72), 3).qpi.numpy()[5, 10, 10:14]
    np.testing.assert_allclose(phase, [-0.00821763, -0.00748331, -0.00816846, -0.00676186], 1e-4)


@pytest.mark.parametrize("modality", NAMES)
def test_drawn_microscopes_image_and_the_seed_decides(modality):
    grid = Grid((12, 48, 48), (0.7, 0.4, 0.4))
    index = 1.345 + 0.01 * np.clip(grid.texture(np.random.default_rng(0), 1.0), -2, 2)

    def make(seed):
        rng = np.random.default_rng(seed)
        optics, artefacts = draw_optics(modality, rng), draw_artefacts(rng)
        return optics, label_free_image(
            index.astype(np.float32), 1.335, grid, modality, optics, artefacts, rng
        )

    (optics, first), (_, again), (other, third) = make(5), make(5), make(6)
    assert first.dtype == np.float32
    assert np.isfinite(first).all()
    assert first.tobytes() == again.tobytes() != third.tobytes()
    assert optics != other
    drawn = [draw_optics(modality, np.random.default_rng(seed)) for seed in range(50)]
    assert all(0.3 <= o.numerical_aperture <= 1.2 < o.index for o in drawn)
    assert all(o.illumination_inner < o.illumination_aperture for o in drawn)
    assert len({o.wavelength for o in drawn}) == 50


def test_noise_is_drawn_from_none_to_as_strong_as_the_contrast():
    clean = image("brightfield", ball()) - 1
    levels = {}
    for strength in ("none", "weak", "strong"):
        drawn = draw_artefacts(np.random.default_rng(2), strength)
        assert drawn.tags == (f"noise:{strength}",)

        still = replace(drawn, uneven=0, dust=0, pedestal=0, saturation=0)
        camera = Camera(GRID, replace(still, lateral=0), np.random.default_rng(0))
        levels[strength] = (camera.expose(clean) - clean).std() / clean.std()
    assert levels["none"] == 0 < 0.01 < levels["weak"] < 0.2 < levels["strong"] < 1.5
    assert {draw_artefacts(np.random.default_rng(s)).strength for s in range(30)} == {*levels}


def test_dust_stays_in_place_while_the_specimen_drifts():

    def expose(contrast, **what):
        return Camera(GRID, Artefacts(**what), np.random.default_rng(3)).expose(contrast)

    flat = np.zeros(GRID.shape, np.float32)
    dusty = expose(flat, dust=200.0)
    assert dusty.std() > 0.01
    np.testing.assert_array_equal(dusty[0], dusty[-1])
    spot = np.repeat(ball(2.0)[MIDDLE][None] - 1.335, 33, axis=0)
    moved = expose(spot, lateral=0.3)
    centres = np.array([ndimage.center_of_mass(plane) for plane in moved])
    assert 1 < np.ptp(centres, axis=0).max() < 30
    np.testing.assert_allclose(centres.mean(0), 48, atol=0.5)
    striped = expose(flat, stripes=0.1, stripes_along=1)
    assert striped.std(axis=2).max() < 1e-6 < striped.std(axis=1).min()


@pytest.mark.parametrize("modality", NAMES)
def test_each_modality_on_the_command_line(modality, tmp_path):
    arguments = ["specimen", str(tmp_path), "--size", "8,32,32", "--modality", modality]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, done.output
    stack = read(tmp_path / "qpi" / "medium-0000.ome.tif")
    assert stack.metadata["modality"] == modality
    assert stack.metadata["unit"] == MODALITIES[modality].unit
    assert np.isfinite(stack.numpy()).all()
    assert stack.numpy().std() > 0
    shown = CliRunner().invoke(app, ["specimen", "--help"], env={"COLUMNS": "200"})
    assert modality in shown.output


def test_a_full_camera_clips_light_and_leaves_phase_alone():
    full = Artefacts(saturation=0.01)
    index = ball(2.0, 0.02) + 0.01  # all of it is phase
    for modality, clipped in (("brightfield", True), ("transmission", False), ("odt", False)):
        optics = MODALITIES[modality].optics
        make = [
            label_free_image(index, 1.335, GRID, modality, optics, a, np.random.default_rng(0))
            for a in (Artefacts(), full)
        ]
        assert np.array_equal(*make) != clipped


@pytest.mark.parametrize("voxel", [(0.3, 0.15, 0.15), (1.7, 1.2, 1.2), (3.0, 0.5, 0.5)])
def test_odt_shows_the_index_at_any_voxel_size(voxel):
    grid = Grid((24, 64, 64), voxel)
    texture = grid.texture(np.random.default_rng(0), 2 * voxel[1])
    index = (1.345 + 0.004 * texture).astype(np.float32)
    for seed in range(4):
        optics = draw_optics("odt", np.random.default_rng(seed))
        rng = np.random.default_rng(0)
        stack = label_free_image(index, 1.335, grid, "odt", optics, Artefacts(), rng)
        middle = stack[:, 16:48, 16:48]
        assert 0.001 < middle.std() < 0.005
        assert np.corrcoef(middle.ravel(), index[:, 16:48, 16:48].ravel())[0, 1] > 0.4
