"""A chest: body wall, spine, ribs, lungs, heart, aorta, liver and airways, drawn anew by each seed.

Coordinates are (z, y, x) in mm from the middle of the chest: z to the head, y to the back, x to the
left of the patient, as rows and columns of a CT run. Sizes are those of textbooks, loosely; HU are
usual ones of a scan with contrast agent.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from .canvas import Canvas, ellipsoid, grain

SPINE = (47.0, 0.0)  # y, x of the vertebrae
HILUM = (5.0, 0.0, 32.0)  # where vessels enter the left lung
HEART = ((-35, -28, 22), (52, 42, 50))  # middle and radii
LIVER = ((-150, -5, -50), (95, 85, 105))  # its dome lifts the right lung
_VERTEBRA, _RIBS = 28.0, 24.0  # mm from one to the next
_EDGE = 2.6  # exponent of the body's outline: rounder than a box, fuller than an ellipse


@dataclass(frozen=True)
class Chest:
    """Sizes and densities of one patient.

    Parameters
    ----------
    width, depth : float
        Half the body from side to side and from front to back, mm.
    fat, wall : float
        Thickness of fat, and of muscle and ribs within it, mm.
    wave : float
        Phase of the outline's change along z.
    fissure : float
        Where the lobes of a lung meet, mm.
    contrast : float
        HU of blood with contrast agent.
    lung : float
        HU of the lung.
    bone : float
        HU of compact bone.
    """

    width: float
    depth: float
    fat: float
    wall: float
    wave: float
    fissure: float
    contrast: float
    lung: float
    bone: float

    @classmethod
    def draw(cls, rng: np.random.Generator) -> Chest:
        """Draw a patient."""
        return cls(
            width=rng.uniform(145, 172),
            depth=rng.uniform(98, 120),
            fat=rng.uniform(6, 20),
            wall=rng.uniform(17, 23),
            wave=rng.uniform(0, 2 * np.pi),
            fissure=rng.uniform(-20, 20),
            contrast=rng.uniform(180, 420),
            lung=rng.uniform(-890, -820),
            bone=rng.uniform(650, 950),
        )

    def outline(self, z: np.ndarray, y: np.ndarray, x: np.ndarray, inset: float) -> np.ndarray:
        """Return the signed distance to the body's outline, so many mm inside of it."""
        swell = 1 + 0.05 * np.sin(z / 80 + self.wave)
        a, b = self.width * swell - inset, self.depth * swell - inset
        s = (np.abs(x / a) ** _EDGE + np.abs(y / b) ** _EDGE) ** (1 / _EDGE)
        return np.asarray((s - 1) * np.minimum(a, b), np.float32)

    def lungs(self, z: np.ndarray, y: np.ndarray, x: np.ndarray) -> np.ndarray:
        """Return the signed distance to both lungs."""
        sides = [ellipsoid((-5, 4, s * 76), (150, 92, 62))(z, y, x) for s in (-1, 1)]
        inside = np.maximum(np.minimum(*sides), self.outline(z, y, x, self.fat + self.wall))
        around = np.minimum(ellipsoid(*HEART)(z, y, x) - 3, ellipsoid(*LIVER)(z, y, x) - 4)
        middle = np.hypot(y - SPINE[0], x) - 34  # the spine and what lies beside it
        return np.asarray(np.maximum(inside, -np.minimum(around, middle)), np.float32)


def paint_chest(canvas: Canvas, chest: Chest, rng: np.random.Generator) -> None:
    """Paint all but what is in the lungs."""
    fine = grain(rng, canvas.hu.shape, canvas.step, 2.5)
    coarse = grain(rng, canvas.hu.shape, canvas.step, 9.0)
    far = 1.06 * np.array([1e6, chest.depth, chest.width])
    box = canvas.box(-far, far)
    z, y, x = canvas.grid(box)
    canvas.paint(chest.outline(z, y, x, 0), -105 + 8 * coarse, "fat", box)
    marbled = 55 - 60 * np.clip(coarse - 1.2, 0, 1.5) + 4 * fine  # fat between muscles
    canvas.paint(chest.outline(z, y, x, chest.fat), marbled, "muscle", box)
    _mediastinum(canvas, chest, 20 * coarse + 4 * fine)
    # heavier towards the back, on which the patient lies
    lung = chest.lung + 0.35 * canvas.grid()[1] + 25 * fine + 18 * coarse
    lungs = chest.lungs(z, y, x)
    canvas.paint(lungs, lung, "lung", box)
    for side in (-1, 1):  # fissures between the lobes: sheets that each plane cuts aslant
        sheet = np.abs(0.72 * z + 0.67 * y + 0.18 * side * x - chest.fissure) - 0.5
        half = np.maximum(lungs, -side * x)
        canvas.paint(np.maximum(sheet, half + 1), -350, "lung", box)
    _airways(canvas)
    _spine(canvas, chest, 45 * fine)
    _ribs(canvas, chest)


def _mediastinum(canvas: Canvas, chest: Chest, texture: np.ndarray) -> None:
    canvas.ball((20, 0, 0), (150, 58, 40), -90 + texture, "fat")
    canvas.ball(*LIVER, 100 + texture / 2, "liver")
    canvas.ball(*HEART, 95 + texture / 4, "heart")
    canvas.ball((-38, -26, 30), (36, 26, 28), chest.contrast, "blood")
    canvas.ball((-30, -24, -6), (34, 24, 20), 0.9 * chest.contrast, "blood")
    arch = [(-10, -20, 5), (40, -22, -8), (62, -5, 0), (60, 18, 12), (35, 30, 22), (-170, 33, 24)]
    for a, b in pairwise(arch):
        canvas.tube(a, b, (13, 12), 0.95 * chest.contrast, "blood")
    for side in (-1, 1):  # the pulmonary arteries, to where the lungs' own begin
        z, y, x = HILUM
        canvas.tube((12, -12, 8), (z, y, side * x), (12, 8), chest.contrast, "blood")


def _airways(canvas: Canvas) -> None:
    fork = (22.0, 18.0, 0.0)
    tubes = [((150.0, 2.0, 0.0), fork, 9.5)]
    tubes += [(fork, (-8.0, 14.0, side * 36.0), 6.5) for side in (-1, 1)]
    for a, b, r in tubes:
        canvas.tube(a, b, (r + 2, r + 1.5), 40, "muscle")
    for a, b, r in tubes:
        canvas.tube(a, b, (r, r), -995, "airway")


def _spine(canvas: Canvas, chest: Chest, texture: np.ndarray) -> None:
    y0, x0 = SPINE
    box = canvas.box((-1e4, y0 - 30, x0 - 30), (1e4, y0 + 60, x0 + 30))
    z, y, x = canvas.grid(box)
    within = np.abs((z + 1000 * _VERTEBRA) % _VERTEBRA - _VERTEBRA / 2)  # from a vertebra's middle
    round_ = (np.hypot((y - y0) / 15, (x - x0) / 18) - 1) * 15
    canvas.paint(round_ + 0 * z, 85, "muscle", box)  # discs
    body = np.maximum(round_, within - 11)
    canvas.paint(body, 0.65 * chest.bone, "bone", box)
    canvas.paint(body + 1.8, 170 + texture, "bone", box)  # spongy within
    canvas.paint(np.hypot(y - y0 - 21, x - x0) - 12 + 0 * z, 0.7 * chest.bone, "bone", box)
    canvas.paint(np.hypot(y - y0 - 21, x - x0) - 9 + 0 * z, 25, "muscle", box)  # the cord
    first, last = canvas.axes[0][[0, -1]]
    for k in range(int(first // _VERTEBRA) - 1, int(last // _VERTEBRA) + 3):
        m = (k + 0.5) * _VERTEBRA
        canvas.tube((m, y0 + 32, x0), (m - 14, y0 + 42, x0), (4, 3), 0.6 * chest.bone, "bone")
        for side in (-1, 1):
            wing = (m + 2, y0 + 28, x0 + side * 30)
            canvas.tube((m, y0 + 20, x0 + side * 12), wing, (5, 4), 0.6 * chest.bone, "bone")


def _ribs(canvas: Canvas, chest: Chest) -> None:
    """Paint ribs that sink from the spine to the front, so that each plane cuts many of them."""
    inset = chest.fat + 0.65 * chest.wall
    a, b = chest.width - inset, chest.depth - inset
    angles = np.linspace(0.28, 0.93 * np.pi, 15)  # 0 at the spine
    low, high = canvas.axes[0][[0, -1]]
    for k in range(-12, 13):
        for side in (-1, 1):
            z = k * _RIBS + 45 - 27 * (1 - np.cos(angles))
            if z.max() < low - 8 or z.min() > high + 8:
                continue
            s = (np.abs(np.sin(angles)) ** _EDGE + np.abs(np.cos(angles)) ** _EDGE) ** (-1 / _EDGE)
            y, x = b * s * np.cos(angles), side * a * s * np.sin(angles)
            path = np.stack([z, y, x], axis=1)
            for r, hu in ((5.2, chest.bone), (3.3, 210.0)):  # compact, and marrow within
                for p, q in pairwise(path):
                    canvas.tube(p, q, (r, r), hu, "bone")
    front = -(chest.depth - inset)
    canvas.tube((120, front, 0), (-70, front - 2, 0), (8, 8), 0.7 * chest.bone, "bone")
    canvas.tube((120, front, 0), (-70, front - 2, 0), (6, 6), 170, "bone")
