"""Shape and density of synthetic opacities of pneumonia; `draw` adds them to the attenuation of a phantom.

`add_opacity` adds one to a synthetic or real radiograph in grey values, where the attenuation is not known.
"""

from dataclasses import dataclass

import numpy as np
import torch
from scipy.ndimage import distance_transform_edt, label

from pneumo_ad.drawings.drawing import veiled

from .noise import Array, blur, smooth_noise

OPACITY_FRACTION = 0.35  # the mask is where more than this share of the strongest attenuation is added
AREA = (0.07, 0.55)  # share of the lungs that an opacity covers
BEYOND = -10.0  # potential of pixels that an opacity cannot reach; the others are above half of it
FINDINGS = ("lobar consolidation", "patchy ground-glass", "interstitial haze")
CHANCES = (0.4, 0.4, 0.2)
# Strongest attenuation as a share of the air it can replace: consolidated lung holds no air, ground-glass much.
STRENGTH = {"lobar consolidation": (0.45, 0.97), "patchy ground-glass": (0.26, 0.64), "interstitial haze": (0.24, 0.5)}


@dataclass(frozen=True)
class Shape:
    """Opacity before it is added to a radiograph.

    Attributes:
        density: (H, W) float32 in [0, 1], share of the strongest added attenuation; 0 outside the lung.
        mask: (H, W) bool, ``density`` above ``OPACITY_FRACTION``, within the lung.
        air: (H, W) float32 in [0, 1], air-filled bronchi.
        finding: One of ``FINDINGS``.
        strength: Share of the lung's air replaced where the density is 1.
    """

    density: Array
    mask: Array
    air: Array
    finding: str
    strength: float


def draw_shape(lung: Array, rng: np.random.Generator) -> Shape:
    """Draw a random opacity in a lung field that is not empty.

    Args:
        lung: (H, W) bool lung field.
        rng: Random generator.
    """
    finding = str(rng.choice(FINDINGS, p=CHANCES))
    share = float(np.exp(rng.uniform(*np.log(AREA))))
    strength = float(rng.uniform(*STRENGTH[finding]))
    rows, columns = np.nonzero(lung)
    box = (slice(rows.min(), rows.max() + 1), slice(columns.min(), columns.max() + 1))
    inside = lung[box]
    draw = {FINDINGS[0]: _lobar, FINDINGS[1]: _patches, FINDINGS[2]: _haze}[finding]
    scale = float(np.sqrt(inside.sum()))
    potential, soft = draw(inside, scale, rng)
    # At most the pixels that the shape can reach: a lobe stays in its lung.
    share = min(share, 0.9 * float((potential[inside] > BEYOND / 2).mean()))
    # The level at which the edge falls to OPACITY_FRACTION encloses the required share.
    level = np.quantile(potential[inside], 1 - share) + soft * np.log(1 / OPACITY_FRACTION - 1)
    edge = 1 / (1 + np.exp(np.clip((level - potential) / soft, -30, 30)))
    texture = 1 + np.float32(0.08) * smooth_noise(rng, inside.shape, 0.04 * scale)
    texture += np.float32(0.03) * smooth_noise(rng, inside.shape, 0.012 * scale)
    core = edge * np.clip(texture, 0.3, 1.6) * inside
    # Normalised by the densest tenth, as the maximum is an outlier.
    core = np.clip(core / max(float(np.quantile(core[inside], 1 - 0.1 * share)), 1e-6), 0, 1)
    density, air = np.zeros(lung.shape, np.float32), np.zeros(lung.shape, np.float32)
    density[box] = core
    if finding == FINDINGS[0]:
        air[box] = _bronchi(inside, scale, rng)
    return Shape(density, (density > OPACITY_FRACTION) & lung, air, finding, strength)


def add_opacity(
    radiograph: Array, lung: Array, rng: np.random.Generator, *, strength: float | None = None
) -> tuple[Array, Array]:
    """Add a synthetic opacity to a radiograph, in grey values.

    It moves the lung towards the grey of the tissue beside it and hides vessels, like the same shapes in the
    attenuation of phantoms.

    Args:
        radiograph: (H, W) float32 in [0, 1], bright where dense.
        lung: (H, W) bool lung field.
        rng: Random generator; the same state gives the same opacity.
        strength: Share in (0, 1] of the difference between tissue and lung added at the densest; default: drawn.

    Returns:
        Radiograph with the opacity, (H, W) float32 in [0, 1], and mask of the opacity, (H, W) bool; the radiograph
        itself and an empty mask if the lung field is empty.

    Raises:
        ValueError: Shapes that differ or are not two-dimensional, or a strength outside (0, 1].

    >>> import numpy as np
    >>> lung = np.zeros((64, 64), bool)
    >>> lung[10:50, 8:28] = lung[10:50, 36:56] = True
    >>> plain = np.where(lung, 0.3, 0.7).astype(np.float32)
    >>> dense, mask = add_opacity(plain, lung, np.random.default_rng(0))
    >>> bool(dense[mask].mean() > plain[mask].mean()), bool(mask[~lung].any())
    (True, False)
    """
    if radiograph.ndim != 2 or radiograph.shape != lung.shape:
        raise ValueError(f"radiograph {radiograph.shape} and lung {lung.shape} must be flat and of one shape")
    if strength is not None and not 0 < strength <= 1:
        raise ValueError(f"strength {strength} must be in (0, 1]")
    if not lung.any():
        return radiograph, np.zeros(lung.shape, bool)
    shape = draw_shape(lung, rng)
    strong = shape.strength if strength is None else strength
    share = strong * shape.density * (1 - 0.4 * shape.air)
    near = blur(radiograph, 0.02 * float(np.sqrt(lung.sum())))
    outside = radiograph[~lung]
    tissue = max(float(np.quantile(outside, 0.7)) if outside.size else 1.0, float(np.quantile(radiograph[lung], 0.9)))
    dense = veiled(torch.from_numpy(radiograph), torch.from_numpy(share), tissue, torch.from_numpy(near)).numpy()
    return np.clip(dense, 0, 1).astype(np.float32), shape.mask


def _lungs(inside: Array) -> list[Array]:
    """Separate the one or two large components of a lung field."""
    pieces, count = label(inside)
    sizes = np.bincount(pieces.ravel(), minlength=count + 1)[1:]
    keep = [index + 1 for index in np.argsort(sizes)[::-1][:2] if sizes[index] >= 0.2 * sizes.max()]
    return [pieces == index for index in keep]


def _grid(shape: tuple[int, ...], scale: float) -> tuple[Array, Array]:
    """Coordinates of columns and rows in units of ``scale``."""
    rows, columns = np.mgrid[: shape[0], : shape[1]].astype(np.float32)
    return columns / np.float32(scale), rows / np.float32(scale)


def _lobar(inside: Array, scale: float, rng: np.random.Generator) -> tuple[Array, float]:
    """One lobe or segment: an ellipse that a fissure often cuts off sharply."""
    lungs = _lungs(inside)
    lung = lungs[rng.integers(len(lungs))]
    rows, columns = np.nonzero(lung)
    x, y = _grid(inside.shape, scale)
    pick = rng.integers(len(rows))
    at = columns[pick] / scale, rows[pick] / scale
    tilt = rng.uniform(-0.6, 0.6)
    right, down = x - at[0], y - at[1]
    along, off = np.cos(tilt) * right + np.sin(tilt) * down, np.cos(tilt) * down - np.sin(tilt) * right
    far = np.hypot(along / rng.uniform(0.8, 1.5), off / rng.uniform(0.8, 1.3))
    potential = -far + 0.08 * smooth_noise(rng, inside.shape, 0.11 * scale)
    potential += 0.03 * smooth_noise(rng, inside.shape, 0.04 * scale)
    if rng.random() < 0.5:
        slope = rng.uniform(-0.5, 0.5)
        way = rng.choice((-1, 1))
        beyond = way * (down - slope * right) - rng.uniform(0.04, 0.15)
        potential = potential - 40 * np.clip(beyond, 0, 0.05)
    return potential + np.float32(BEYOND) * ~lung, rng.uniform(0.03, 0.08)


def _patches(inside: Array, scale: float, rng: np.random.Generator) -> tuple[Array, float]:
    """Several fuzzy patches, more of them near the wall and the base, often on both sides."""
    lungs = _lungs(inside)
    where = inside if rng.random() < 0.7 else lungs[rng.integers(len(lungs))]
    x, y = _grid(inside.shape, scale)
    rim = np.asarray(distance_transform_edt(np.pad(inside, 1)), dtype=np.float32)[1:-1, 1:-1] / np.float32(scale)
    rows, columns = np.nonzero(where)
    odds = np.exp(-4 * rng.random() * rim[rows, columns]) * (0.3 + rows / inside.shape[0])
    picks = rng.choice(len(rows), size=rng.integers(2, 8), p=odds / odds.sum())
    potential = np.full(inside.shape, -np.inf, np.float32)
    for pick in picks:
        size = rng.uniform(0.6, 1.4)
        tall = rng.uniform(0.8, 1.5)
        far = np.hypot((x - columns[pick] / scale) * tall, (y - rows[pick] / scale) / tall) / size
        potential = np.maximum(potential, -far)
    return potential + 0.07 * smooth_noise(rng, inside.shape, 0.06 * scale), rng.uniform(0.04, 0.09)


def _haze(inside: Array, scale: float, rng: np.random.Generator) -> tuple[Array, float]:
    """A haze without an edge over much of both lungs, densest about the hila or the base."""
    x, y = _grid(inside.shape, scale)
    middle = inside.shape[1] / 2 / scale
    low = rng.uniform(0.35, 0.9) * inside.shape[0] / scale
    far = np.hypot((x - middle - rng.normal(0, 0.1)) * 0.8, y - low)
    return -far + 0.16 * smooth_noise(rng, inside.shape, 0.1 * scale), rng.uniform(0.06, 0.1)


def _bronchi(inside: Array, scale: float, rng: np.random.Generator) -> Array:
    """Branching dark lines: the ridges of a smooth random field resemble bronchi."""
    ridge = smooth_noise(rng, inside.shape, 0.05 * scale)
    where = np.clip(smooth_noise(rng, inside.shape, 0.1 * scale) - 0.2, 0, 0.7)
    return np.asarray(np.exp(-((ridge / 0.18) ** 2)) * where, dtype=np.float32)
