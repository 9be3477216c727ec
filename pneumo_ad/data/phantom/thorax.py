"""Soft tissue and air of the chest, as thickness of water along the ray; a chest is about 1 deep from front to back."""

from dataclasses import dataclass
from functools import cache

import numpy as np
from scipy.interpolate import PchipInterpolator

from .build import Build, Point, arm, head
from .frame import Frame
from .noise import Array, resize, smooth_noise

LUNG_DENSITY = 0.27  # an inflated lung is about a quarter water
LUNG_DEPTH = 0.74  # share of the chest's depth; the rest is its wall
PEN = 0.014  # softness of an organ's edge, in body units: the beat of a heart and a breath

# Half-widths down the chest: (share of the height of the lungs, half-width in body units). The wall of the cavity, the
# borders of mediastinum and heart on the patient's right and left, the skin, and the depth from front to back.
_WALL = (
    *((0.0, 0.37), (0.008, 0.47), (0.03, 0.56), (0.1, 0.69), (0.2, 0.79)),
    *((0.35, 0.89), (0.5, 0.95), (0.7, 0.99), (0.85, 1.0), (1.15, 0.97)),
)
_RIGHT = (
    *((0.0, 0.37), (0.008, 0.28), (0.03, 0.24), (0.1, 0.215), (0.25, 0.21), (0.4, 0.205)),
    *((0.52, 0.225), (0.64, 0.29), (0.74, 0.29), (0.86, 0.23), (1.15, 0.2)),
)
_LEFT = (
    *((0.0, 0.37), (0.008, 0.28), (0.03, 0.23), (0.1, 0.19), (0.2, 0.19), (0.32, 0.18), (0.4, 0.215)),
    *((0.48, 0.3), (0.58, 0.42), (0.68, 0.53), (0.77, 0.595), (0.84, 0.605), (0.92, 0.55), (1.15, 0.4)),
)
_TORSO = (
    *((-0.5, 0.4), (-0.34, 0.41), (-0.24, 0.47), (-0.15, 0.66), (-0.08, 0.92), (0.0, 1.08)),
    *((0.15, 1.15), (0.45, 1.13), (0.8, 1.11), (1.4, 1.1)),
)
_DEPTH = ((-0.5, 0.6), (-0.2, 0.58), (-0.05, 0.68), (0.12, 0.83), (0.4, 0.96), (0.7, 1.02), (1.4, 1.1))


@dataclass(frozen=True)
class Chest:
    """Soft tissue and lungs of one body.

    Attributes:
        tissue: (H, W) float32 thickness of tissue along the ray, without the air of the lungs.
        depth: (H, W) float32 thickness of lung along the ray.
        lung: (H, W) bool lung field as a radiologist outlines it.
        inside: (H, W) bool mask of the body.
    """

    tissue: Array
    depth: Array
    lung: Array
    inside: Array


@cache
def _table(knots: tuple[Point, ...]) -> Array:
    """Smooth curve through the knots at 1024 even steps from the first to the last."""
    steps = np.linspace(knots[0][0], knots[-1][0], 1024)
    return np.asarray(PchipInterpolator(*np.array(knots).T)(steps), dtype=np.float32)


def _curve(knots: tuple[Point, ...], at: Array) -> Array:
    """A smooth curve through the knots, read from a fine table."""
    smooth = _table(knots)
    scale = np.float32(1023 / (knots[-1][0] - knots[0][0]))
    place = np.clip((at - np.float32(knots[0][0])) * scale, 0, 1022.999)
    index = place.astype(np.int32)
    low = smooth[index]
    return low + (place - index) * (smooth[index + 1] - low)


def _edge(inside: Array, soft: float = PEN) -> Array:
    """1 where ``inside`` > 0, 0 where < 0, with a ramp of half-width ``soft``."""
    ramp = np.clip(inside / np.float32(2 * soft) + np.float32(0.5), 0, 1)
    return ramp * ramp * (3 - 2 * ramp)


def _ball(x: Array, y: Array, at: Point, radii: Point, tilt: float = 0.0) -> Array:
    """Depth of an ellipsoid, 1 in its middle and 0 outside."""
    right, down = x - np.float32(at[0]), y - np.float32(at[1])
    cos, sin = np.float32(np.cos(tilt)), np.float32(np.sin(tilt))
    along, off = (cos * right + sin * down) / np.float32(radii[0]), (cos * down - sin * right) / np.float32(radii[1])
    return np.sqrt(np.maximum(1 - along * along - off * off, 0))


def _limb(x: Array, y: Array, start: Point, end: Point, radii: Point) -> Array:
    """Depth of a round limb from ``start`` to ``end``, in body units; its radius changes evenly along it."""
    vx, vy = np.float32(end[0] - start[0]), np.float32(end[1] - start[1])
    px, py = x - np.float32(start[0]), y - np.float32(start[1])
    along = np.clip((px * vx + py * vy) / (vx * vx + vy * vy), 0, 1)
    radius = np.float32(radii[0]) + np.float32(radii[1] - radii[0]) * along
    return 2 * np.sqrt(np.maximum(radius * radius - (px - along * vx) ** 2 - (py - along * vy) ** 2, 0))


def chest(frame: Frame, build: Build, rng: np.random.Generator) -> Chest:
    """Compute soft tissue and lungs of a body in its pose.

    Args:
        frame: Pose of the body.
        build: Proportions of the body.
        rng: Random generator.
    """
    x, y, tall = frame.x, frame.y, frame.height
    t = y / np.float32(tall)
    far = np.abs(x)

    # Behind the wall, above the domes, beside heart and mediastinum.
    wall = _curve(_WALL, t)
    reach, below = _diaphragm(frame, build)
    lateral = np.sqrt(1 - np.minimum(far / wall, 1) ** 4) * _edge(wall - far)
    filled, border = _mediastinum(frame, build, t, 0.016 * smooth_noise(rng, frame.shape, 0.12 * frame.unit))
    lung = (far < wall) & (y > 0) & (y < below) & (border < 0)

    depth = _depth(build, t)
    deep = np.float32(LUNG_DEPTH) * depth * lateral * reach * np.clip(0.6 + t * np.float32(4 / 3), 0, 1)
    # Lungs are inflated unevenly, depending on gravity, posture and breathing.
    uneven = 1 + np.float32(0.1) * smooth_noise(rng, frame.shape, 0.22 * frame.unit)
    uneven += np.float32(rng.normal(0, 0.07)) * x + np.float32(rng.normal(0, 0.16)) * (t - np.float32(0.5))
    air = deep * (1 - filled) * np.clip(uneven, 0.6, 1.2)

    half = frame.halved()
    body = _body(half, build)
    flesh = body + np.where(body > 0.05, _muscles(half, build, rng), 0) - _airways(half, build)
    tissue = resize(flesh.astype(np.float32), frame.shape) - np.float32(1 - LUNG_DENSITY) * air
    tissue -= resize(_gas(half, build, rng), frame.shape) * (y > below)
    return Chest(tissue.astype(np.float32), air.astype(np.float32), lung, resize(body, frame.shape) > 0.02)


def _depth(build: Build, t: Array) -> Array:
    """Depth of the trunk from front to back in its middle."""
    return _curve(_DEPTH, t) * np.float32(0.85 + 0.15 * build.fat)


def _body(frame: Frame, build: Build) -> Array:
    """Depth of trunk, arms and head, with rounded corners between them."""
    x, y = frame.x, frame.y
    t = y / np.float32(frame.height)
    half = _curve(_TORSO, t) + np.float32(0.45 * (build.fat - 0.9)) * np.sqrt(np.clip(t + 0.15, 0, 1))
    share = np.minimum((x / half) ** 2, 1)
    trunk = _depth(build, t) * np.sqrt((1 - share) * (1 + np.float32(0.4) * share))
    squares = trunk * trunk
    for side in (-1, 1):
        shoulder, elbow = arm(build, side)
        thick = 0.24 * build.fat**0.5
        limb = _limb(x, y, shoulder, elbow, (thick, 0.75 * thick))
        squares += limb * limb
    # The chin is in front of the neck, so its edge is soft, with the bone of the jaw along it.
    face = _ball(x, y, head(build), (0.48, 0.54))
    jaw = np.float32(0.9) * face + np.float32(0.35) * _edge(face - 0.25, 0.2) * (1 - np.float32(0.6) * face)
    return np.sqrt(squares + jaw * jaw)


def _diaphragm(frame: Frame, build: Build) -> tuple[Array, Array]:
    """Share of the lung's depth above the diaphragm, and the y of the domes' outline."""
    x, y, tall = frame.x, frame.y, frame.height
    left_side = x > 0
    dome = np.where(left_side, np.float32(build.domes[1]), np.float32(build.domes[0])) * np.float32(tall)
    slope = np.abs(np.abs(x) - np.float32(0.46))
    # The angle beside each dome reaches down to the lungs' full height.
    fall = (np.float32(1.005 * tall) - dome) / np.float32(0.53**2.2)
    below = dome + np.where(np.abs(x) > 0.46, fall * slope ** np.float32(2.2), np.float32(0.3) * slope * slope)
    # Behind each dome the lung reaches deeper than its outline shows.
    behind = np.float32(0.2) * np.clip((below + 0.2 - y) / 0.2, 0, 1)
    return np.maximum(_edge(below - y), behind) * _edge(y, 0.05), below


def _mediastinum(frame: Frame, build: Build, t: Array, wobble: Array) -> tuple[Array, Array]:
    """Share of the chest's depth filled by heart and mediastinum, and distance of a pixel inside their border.

    ``wobble`` makes the border irregular, as veins and fat do.
    """
    x = frame.x - np.float32(build.turned) * np.clip(t * 4, 0, 1)
    low = np.clip((t - 0.3) / 0.3, 0, 1)
    size = build.middle + (build.heart - build.middle) * low
    size = 1 + (size - 1) * np.clip(t / 0.1, 0, 1)
    # A heart stands on the diaphragm: its curve follows the left dome.
    at = np.clip(t, 0, 0.4) + np.maximum(t - 0.4, 0) * np.float32(0.5 / (build.domes[1] + 0.1 - 0.4))
    left = _curve(_LEFT, at) * size + wobble
    left += np.float32(build.knob) * np.exp(-(((t - np.float32(0.26)) / np.float32(0.05)) ** 2))
    left += np.float32(build.trunk) * np.exp(-(((t - np.float32(0.41)) / np.float32(0.06)) ** 2))
    right = _curve(_RIGHT, at) * size + wobble
    inside = np.where(x > 0, left - x, right + x)
    middle, half = (left - right) / 2, (left + right) / 2
    bow = np.sqrt(np.sqrt(np.maximum(1 - ((x - middle) / half) ** 2, 0)))
    most = np.float32(0.94) - np.float32(0.1) * low
    return bow * most * _edge(inside + PEN, 1.5 * PEN), inside


def _airways(frame: Frame, build: Build) -> Array:
    """Air in the trachea and the two main bronchi."""
    x, y, fork = frame.x, frame.y, 0.36 * frame.height
    aside = build.turned - 0.025  # the aortic arch pushes the trachea to the right
    column = 0.95 * _limb(x, y, (build.turned, -1.0), (aside, fork), (0.08, 0.075))
    right = 0.8 * _limb(x, y, (aside, fork), (aside - 0.19, fork + 0.22), (0.06, 0.05))
    left = 0.8 * _limb(x, y, (aside, fork), (aside + 0.27, fork + 0.18), (0.05, 0.04))
    return np.maximum(column, np.maximum(right, left))


def _gas(frame: Frame, build: Build, rng: np.random.Generator) -> Array:
    """Gas in the stomach and the bowel below the diaphragm."""
    base = build.domes[1] * frame.height
    gas = np.zeros(frame.shape, np.float32)
    if rng.random() < 0.6:
        radii = (rng.uniform(0.12, 0.28), rng.uniform(0.07, 0.16))
        at = (rng.uniform(0.35, 0.62), base + radii[1] + rng.uniform(0.04, 0.1))
        bubble = np.float32(rng.uniform(0.15, 0.4)) * _ball(frame.x, frame.y, at, radii, rng.uniform(-0.3, 0.5))
        # In a standing body a gas bubble ends in a horizontal fluid level.
        level = at[1] + radii[1] * rng.uniform(0.2, 1.2)
        gas = bubble * _edge(np.float32(level) - frame.y)
    for _ in range(rng.integers(0, 7)):
        at = (rng.normal(0.35, 0.35), base + rng.uniform(0.3, 1.0))
        radii = (rng.uniform(0.07, 0.2), rng.uniform(0.05, 0.1))
        loop = _ball(frame.x, frame.y, at, radii, rng.normal(0, 0.8))
        gas = np.maximum(gas, np.float32(rng.uniform(0.04, 0.2)) * loop)
    return gas * np.clip(1 + 0.3 * smooth_noise(rng, frame.shape, 0.05 * frame.unit), 0.3, 1.5)


def _muscles(frame: Frame, build: Build, rng: np.random.Generator) -> Array:
    """Uneven tissue over the lungs: chest muscles above, breasts below, folds and fat everywhere."""
    adult = 1 - build.childlike
    total = np.float32(0.022 * build.fat) * smooth_noise(rng, frame.shape, 0.12 * frame.unit)
    total += np.float32(0.08 * build.fat) * smooth_noise(rng, frame.shape, 0.4 * frame.unit)
    chest_muscle = rng.uniform(0.02, 0.1) * build.fat
    breast = rng.uniform(0.08, 0.25) * build.fat * adult if rng.random() < 0.5 else 0.0
    for side in (-1, 1):
        at = (side * rng.normal(0.8, 0.05), frame.height * rng.normal(0.2, 0.03))
        total += np.float32(chest_muscle) * _ball(frame.x, frame.y, at, (0.4, 0.5), side * 0.5)
        at = (side * rng.normal(0.6, 0.05), frame.height * rng.normal(0.72, 0.05))
        if breast:
            total += np.float32(breast) * _ball(frame.x, frame.y, at, (0.45, 0.45))
    return total
