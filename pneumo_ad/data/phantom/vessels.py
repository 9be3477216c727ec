"""Pulmonary vessels: trees that start at the two hila, branch and taper outwards."""

import numpy as np

from .build import Build
from .frame import Frame, project
from .noise import Array

GENERATIONS = 5
ROOTS = 11  # vessels that leave each hilum
DENSITY = 3.4  # thickness of water per radius: 2 for a round vessel, more since arteries run with veins and bronchi


def vessels(frame: Frame, build: Build, rng: np.random.Generator) -> Array:
    """Compute the attenuation of the hila and vessels of both lungs, (H, W) float32.

    Args:
        frame: Pose of the body.
        build: Proportions of the body.
        rng: Random generator.
    """
    x, y = frame.x, frame.y
    total = np.zeros(frame.shape, np.float32)
    start, heading, radius = [], [], []
    for side in (-1, 1):
        # The left hilum stands a little higher than the right.
        hilum = (0.47 if side < 0 else 0.44) * frame.height
        fan = np.linspace(-1.3, 1.5, ROOTS) + 0.12 * rng.standard_normal(ROOTS)
        start.append(np.stack([side * (0.16 + 0.08 * rng.random(ROOTS)), hilum + 0.14 * fan + 0.03], -1))
        heading.append(np.where(side > 0, fan, np.pi - fan))
        # The lower vessels of a standing body carry more blood.
        radius.append((0.023 + 0.006 * np.clip(fan, -1, 1)) * rng.uniform(0.65, 1.3, ROOTS))
        for reach, dense in ((0.1, 0.06), (0.24, 0.07)):
            away = ((x - np.float32(side * 0.24)) / np.float32(reach)) ** 2
            total += np.float32(dense) * np.exp(-away - ((y - np.float32(hilum)) / np.float32(1.9 * reach)) ** 2)
    at, way, wide = np.concatenate(start), np.concatenate(heading), np.concatenate(radius)
    for generation in range(GENERATIONS):
        s = np.linspace(0, 1, max(6, int(0.35 * 0.85**generation * frame.unit)))
        long = (0.27 if generation == 0 else 0.21) * 0.85**generation * rng.uniform(0.6, 1.35, len(at))
        bend = rng.normal(0, 0.35, len(at))
        turn = way[:, None] + bend[:, None] * s
        step = np.stack([np.cos(turn), np.sin(turn)], -1) * (long[:, None, None] / (len(s) - 1))
        path = at[:, None] + np.cumsum(step, axis=1) - step[:, :1]
        taper = wide[:, None] * (1 - 0.25 * s)
        total += project(frame, path, taper, DENSITY * taper, "solid")
        fork = rng.uniform(0.15, 0.6, len(at))
        at = np.repeat(path[:, -1], 2, axis=0)
        way = np.stack([turn[:, -1] + fork, turn[:, -1] - 0.7 * fork], -1).ravel()
        wide = np.stack([wide * 0.74, wide * 0.62], -1).ravel()
    return np.float32(build.vessels) * total
