"""Skeleton of phantoms: bones as hollow tubes, projected from the front."""

import numpy as np

from .build import Build, arm, head
from .frame import Frame, project
from .noise import Array, smooth_noise

RIBS = 11
RIB_DENSITY = 0.18  # attenuation of one rib parallel to the image plane, in thickness of water
SPINE_DENSITY = 0.17


def skeleton(frame: Frame, build: Build, rng: np.random.Generator) -> Array:
    """Compute the attenuation of ribs, spine, clavicles, shoulder blades, upper arms and jaw, (H, W) float32.

    Args:
        frame: Pose of the body.
        build: Proportions of the body.
        rng: Random generator.
    """
    bones = _ribs(frame, build, rng) + _spine(frame, build) + _girdle(frame, build, rng) + _jaw(frame, build, rng)
    # Texture of spongy bone.
    return np.float32(build.bone) * bones * (1 + np.float32(0.1) * smooth_noise(rng, frame.shape, 0.02 * frame.unit))


def _ribs(frame: Frame, build: Build, rng: np.random.Generator) -> Array:
    """Ribs as tilted hoops from the spine round the wall to the front; a child's are less tilted."""
    # From the spine to the cartilage, which is hardly visible.
    turns = np.linspace(0.05, 0.86, max(60, int(1.7 * frame.unit))) * np.pi
    number = np.arange(RIBS)
    gap = frame.height * rng.uniform(0.094, 0.108) * np.interp(number, (0, 3, 10), (0.8, 1.0, 1.04))
    start = frame.height * rng.uniform(-0.1, -0.04) + np.cumsum(gap) - gap[0]
    steep = (1.3 - 0.4 * build.childlike) * rng.uniform(0.85, 1.15)
    drop = np.interp(number, (0, 1, 3, 7, 10), (0.5, 0.7, 0.9, 1.1, 1.0)) * steep
    sides = []
    for side in (-1, 1):
        fall = drop * (1 + 0.03 * rng.standard_normal(RIBS))
        level = start + 0.012 * rng.standard_normal(RIBS)
        # A rib climbs a little from its joint before it turns down.
        climb = 0.035 * np.sin(np.clip(turns * 2, 0, np.pi))
        y = level[:, None] + fall[:, None] * ((1 - np.cos(turns)) / 2) ** 0.82 - climb
        reach = np.interp(
            (level + fall * 0.45) / frame.height,
            (-0.1, 0.0, 0.1, 0.25, 0.45, 0.7, 1.0, 1.3),
            (0.36, 0.49, 0.68, 0.835, 0.94, 0.99, 1.0, 0.985),
        )[:, None]
        # A rib cage is flatter than round: the exponent keeps its back and front wide.
        x = side * reach * np.sin(turns) ** 0.75 - 0.3 * build.turned * np.cos(turns)
        sides.append(np.stack([x, y], axis=-1))
    paths = np.concatenate(sides)
    towards = np.broadcast_to((0.55 * np.cos(turns))[None, :, None], (*paths.shape[:2], 1))
    arc = np.linalg.norm(np.gradient(np.concatenate([paths, towards], axis=-1), axis=1), axis=-1)
    front = np.clip((turns / np.pi - 0.45) / 0.2, 0, 1)
    radius = rng.uniform(0.026, 0.037) + 0.008 * front + 0.003 * rng.standard_normal((2 * RIBS, 1))
    fade = np.clip((0.86 - turns / np.pi) / 0.12, 0, 1) * (1 - 0.25 * front)
    density = RIB_DENSITY * fade * (1 + 0.12 * rng.standard_normal((2 * RIBS, 1)))
    # The last ribs are short and faint.
    density = density * np.tile(np.interp(number, (0, 1, 8, 10), (0.6, 0.9, 0.9, 0.5)), 2)[:, None]
    flat = np.linalg.norm(np.gradient(paths, axis=1), axis=-1)
    # Limits the density where the hoop is parallel to the ray; real ribs are twisted there.
    return project(frame, paths, radius, density, "shell", np.minimum(arc, 1.7 * flat))


def _spine(frame: Frame, build: Build) -> Array:
    """Vertebral bodies with discs between them, pedicles as pairs of rings, spinous processes in the middle."""
    x, y = frame.x, frame.y
    t = y / np.float32(frame.height)
    bow = np.float32(build.bent) * np.sin(np.float32(2.6) * t)
    across = np.abs(x - bow) / (np.float32(0.105) + np.float32(0.03) * np.clip(t, -0.3, 1.3))
    pitch = np.float32(0.094 * frame.height)
    # Vertebrae grow taller downwards.
    phase = (y / pitch * (1 - np.float32(0.06) * t)) % 1
    disc = np.clip((np.abs(phase - 0.5) - np.float32(0.34)) / np.float32(0.09), 0, 1)
    body = np.clip((1.0 + 0.1 * disc - across) / np.float32(0.22), 0, 1)
    pedicle = np.exp(-(((across - np.float32(0.6)) / np.float32(0.17)) ** 2 + ((phase - 0.35) / np.float32(0.14)) ** 2))
    process = np.exp(-((across / np.float32(0.14)) ** 2 + ((phase - 0.65) / np.float32(0.2)) ** 2))
    wing = np.exp(-(((phase - np.float32(0.35)) / np.float32(0.13)) ** 2))
    wing *= np.clip((2 - across) / np.float32(0.6), 0, 1)
    bone = body * (np.float32(0.75) - np.float32(0.4) * disc)
    bone += np.float32(0.3) * (pedicle + process) + np.float32(0.25) * wing
    # The neck's vertebrae are small.
    return np.float32(SPINE_DENSITY) * bone * np.clip(0.75 + t, 0.45, 1)


def _girdle(frame: Frame, build: Build, rng: np.random.Generator) -> Array:
    """Clavicles, shoulder blades and upper arms."""
    s = np.linspace(0, 1, max(40, int(1.9 * frame.unit)))  # closer than a pixel
    climb = rng.normal(0.2, 0.1)
    level = frame.height * rng.uniform(0.03, 0.13)
    swing = 0.12 * float(np.clip(np.sin(build.arms) + 0.4, 0, 1))  # the blade swings outwards with a raised arm
    paths, radius, density, humeri, blades = [], [], [], [], []
    for side in (-1, 1):
        shoulder, elbow = arm(build, side)
        inner = np.array([side * 0.12 + build.turned, level + rng.normal(0, 0.015)])
        outer = np.array([shoulder[0] - side * 0.08, min(shoulder[1] - 0.1, level - climb)])
        bow = np.stack([0 * s, 0.06 * np.sin(2 * np.pi * s) - 0.04 * np.sin(np.pi * s)], -1)
        paths.append(inner + (outer - inner) * s[:, None] + bow)
        radius.append(0.031 + 0.02 * (1 - s) ** 4 + 0.012 * s**3)
        density.append(0.14)
        joint = np.array([shoulder[0] - side * 0.03, shoulder[1]])
        humeri.append(joint + (np.array(elbow) - joint) * s[:, None])
        socket = np.array([shoulder[0] - side * 0.13, shoulder[1] + 0.04])
        tip = np.array([side * (0.86 + swing + rng.normal(0, 0.03)), 0.42 * frame.height])
        corner = np.array([side * (0.66 + swing), 0.09 * frame.height])
        for start, end, wide, dense, bulge in (
            (socket, tip, 0.035, 0.09, 0.05 * side),
            (corner, tip, 0.012, 0.06, -0.04 * side),
            (corner, socket - np.array([0, 0.05]), 0.028, 0.09, 0.0),
        ):
            bent = np.stack([bulge * np.sin(np.pi * s), 0 * s], -1)
            paths.append(start + (end - start) * s[:, None] + bent)
            radius.append(np.full_like(s, wide))
            density.append(dense)
        # The blade itself is thin: one wide faint band between its borders.
        blades.append((socket + corner) / 2 + (tip - (socket + corner) / 2) * s[:, None])
    bones = project(frame, np.array(paths), np.array(radius), np.array(density)[:, None], "shell")
    bones += project(frame, np.array(humeri), 0.065 + 0.06 * (1 - s) ** 8, 0.2, "shell")
    return bones + project(frame, np.array(blades)[:, ::3], 0.02 + 0.17 * (1 - s[::3]), 0.04, "solid")


def _jaw(frame: Frame, build: Build, rng: np.random.Generator) -> Array:
    """Lower jaw, if the head is not tilted back out of the image, and teeth as uneven brightness."""
    x, y = head(build)
    turn = np.linspace(-1.9, 1.9, max(40, int(1.9 * frame.unit)))
    paths = np.stack([x + 0.36 * np.sin(turn), y + 0.05 + 0.4 * np.cos(turn)], -1)[None]
    mandible = project(frame, paths, 0.065, 0.22, "shell")
    away = ((frame.x - np.float32(x)) / np.float32(0.26)) ** 2
    away += ((frame.y - np.float32(y + 0.12)) / np.float32(0.22)) ** 2
    teeth = np.clip(0.6 + smooth_noise(rng, frame.shape, 0.03 * frame.unit), 0, 2)
    return mandible + np.float32(0.25) * np.exp(-away) * teeth
