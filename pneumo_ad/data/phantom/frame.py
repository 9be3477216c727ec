"""Pose of a body in an image: pixels, body coordinates, and projection of tubes onto the pixels.

Body coordinates: ``x`` runs from the midline to the patient's left (the right of the picture), 1 is the inner wall of
the chest; ``y`` runs downwards in the same unit, 0 is the apex of the lungs, ``Frame.height`` their lowest angle.
"""

from dataclasses import dataclass

import numpy as np

from .noise import Array, resize

# Width over height of the image: radiographs of children in bed are wide, those of standing adults nearly square.
ASPECT_MEDIAN, ASPECT_SPREAD, ASPECT_RANGE = 1.2, 0.17, (0.85, 1.75)
# Height of the lungs over half the width of the chest: 1.35 in a small child in bed, 2.2 in a slim adult standing.
SLENDERNESS = (1.4, 2.25)


@dataclass(frozen=True)
class Frame:
    """Pose of one body in one image.

    Attributes:
        x: (H, W) float32, horizontal body coordinate of every pixel.
        y: (H, W) float32, vertical body coordinate of every pixel, downwards.
        height: Height of the lungs in body units.
        unit: Pixels per body unit.
        turn: Rotation of the body in the plane of the image, in radians.
        centre: Column and row of the body's origin.
    """

    x: Array
    y: Array
    height: float
    unit: float
    turn: float
    centre: tuple[float, float]

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of the image."""
        return self.x.shape[0], self.x.shape[1]

    def pixels(self, points: Array) -> Array:
        """Convert body points, (..., 2), to columns and rows, (..., 2) float64."""
        cos, sin = np.cos(self.turn), np.sin(self.turn)
        x, y = points[..., 0] * self.unit, points[..., 1] * self.unit
        return np.stack([cos * x - sin * y + self.centre[0], sin * x + cos * y + self.centre[1]], axis=-1)

    def halved(self) -> "Frame":
        """Return the same pose at half the resolution, for structures without fine detail."""
        small = (-(-self.shape[0] // 2), -(-self.shape[1] // 2))
        centre = ((self.centre[0] + 0.5) / 2 - 0.5, (self.centre[1] + 0.5) / 2 - 0.5)
        return Frame(resize(self.x, small), resize(self.y, small), self.height, self.unit / 2, self.turn, centre)


def draw_frame(rng: np.random.Generator, size: int) -> Frame:
    """Draw a random pose in an image whose longest side is ``size`` pixels.

    Args:
        rng: Random generator.
        size: Longest side in pixels.
    """
    aspect = float(np.clip(ASPECT_MEDIAN * np.exp(ASPECT_SPREAD * rng.standard_normal()), *ASPECT_RANGE))
    rows, columns = (round(size / aspect), size) if aspect >= 1 else (size, round(size * aspect))
    tall = rng.uniform(0.62, 0.88) * rows
    unit = rng.uniform(0.6, 0.88) * columns / 2
    slenderness = float(np.clip(tall / unit, *SLENDERNESS))
    unit = tall / slenderness
    turn = float(np.deg2rad(np.clip(2.5 * rng.standard_normal(), -8, 8)))
    column = columns * (0.5 + 0.025 * rng.standard_normal())
    row = (rows - tall) * float(np.clip(0.5 + 0.14 * rng.standard_normal(), 0.12, 0.85))
    grid_y, grid_x = np.mgrid[:rows, :columns].astype(np.float32)
    # The body turns about the middle of the chest, not about its top.
    centre = (column + np.sin(turn) * tall / 2, row + (1 - np.cos(turn)) * tall / 2)
    right, down = grid_x - np.float32(centre[0]), grid_y - np.float32(centre[1])
    cos, sin = np.float32(np.cos(turn) / unit), np.float32(np.sin(turn) / unit)
    return Frame(cos * right + sin * down, cos * down - sin * right, slenderness, float(unit), turn, centre)


def project(
    frame: Frame, paths: Array, radius: Array | float, density: Array | float, profile: str, arc: Array | None = None
) -> Array:
    """Project tubes onto the image plane from the front.

    Args:
        frame: Pose.
        paths: (k, n, 2) centre lines of k tubes in body coordinates.
        radius: Radii in body units; any shape that broadcasts to (k, n).
        density: Attenuation in the middle of a tube parallel to the image plane; likewise.
        profile: ``"solid"`` (a vessel) or ``"shell"`` (a bone: dense cortex round spongy bone, so bright at its edges).
        arc: (k, n) length in space of each step in body units, for tubes that are foreshortened and thus denser;
            default: the length in the image.

    Returns:
        Attenuation, (H, W) float32.
    """
    points = frame.pixels(paths).astype(np.float32)
    step = np.gradient(points, axis=1)
    flat = np.hypot(step[..., 0], step[..., 1])
    length = flat if arc is None else (arc * frame.unit).astype(np.float32)
    normal = np.stack([-step[..., 1], step[..., 0]], axis=-1) / np.maximum(flat, 1e-6)[..., None]
    wide = np.asarray(radius * frame.unit, np.float32)
    count = max(4, int(np.ceil(2.2 * wide.max())))  # closer than a pixel, to avoid stripes
    offset = ((np.arange(count) + 0.5) / count * 2 - 1).astype(np.float32)
    bow = np.sqrt(1 - offset**2)
    across = bow if profile == "solid" else 0.55 + 0.2 / np.maximum(bow, 0.3)
    where = points[:, :, None, :] + (wide[..., None] * offset)[..., None] * normal[:, :, None, :]
    weight = (np.asarray(density, np.float32) * length * wide)[..., None] * (across * 2 / count)
    return _splat(frame.shape, where[..., 0].ravel(), where[..., 1].ravel(), weight.ravel())


def _splat(shape: tuple[int, int], column: Array, row: Array, weight: Array) -> Array:
    """Distribute each weight to the four pixels around its point; points outside the image are lost."""
    rows, columns = shape
    # A margin of one pixel takes the weights beyond the border.
    column, row = np.clip(column + 1, 0, columns + 0.999), np.clip(row + 1, 0, rows + 0.999)
    left, top = column.astype(np.int32), row.astype(np.int32)
    right, below = column - left, row - top
    wide = columns + 3
    first = top * wide + left
    low, cells = weight * below, (rows + 3) * wide
    high = weight - low
    corners = (high * (1 - right), 0), (high * right, 1), (low * (1 - right), wide), (low * right, wide + 1)
    total = np.zeros(cells)
    for share, step in corners:
        total[step:] += np.bincount(first, weights=share, minlength=cells)[: cells - step]
    return total.reshape(rows + 3, wide)[1 : rows + 1, 1 : columns + 1].astype(np.float32)
