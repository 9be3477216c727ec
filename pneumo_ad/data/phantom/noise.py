"""Fast smooth random fields and wide blurs, computed on a coarse grid."""

import numpy as np
from PIL import Image
from scipy.ndimage import gaussian_filter

Array = np.ndarray


def smooth_noise(rng: np.random.Generator, shape: tuple[int, int], scale: float) -> Array:
    """Draw Gaussian noise blurred by ``scale`` pixels, with mean 0 and standard deviation 1.

    Args:
        rng: Random generator.
        shape: Rows and columns.
        scale: Standard deviation of the blur in pixels.

    Returns:
        (H, W) float32.
    """
    coarse = max(1, int(scale))
    rows, columns = (-(-side // coarse) + 2 for side in shape)
    white = rng.standard_normal((rows, columns), dtype=np.float32)
    field = gaussian_filter(white, scale / coarse, mode="wrap", truncate=3)
    field /= field.std() + np.float32(1e-6)
    return field if coarse == 1 and field.shape == shape else resize(field, shape)


def blur(field: Array, scale: float) -> Array:
    """Blur a field with a Gaussian; returns (H, W) float32.

    Args:
        field: (H, W) float32.
        scale: Standard deviation in pixels.
    """
    coarse = max(1, int(scale / 2))
    if coarse == 1:
        return np.asarray(gaussian_filter(field.astype(np.float32, copy=False), scale, mode="nearest", truncate=3))
    rows, columns = (max(1, round(side / coarse)) for side in field.shape)
    small = np.asarray(Image.fromarray(field.astype(np.float32)).resize((columns, rows), Image.Resampling.BOX))
    return resize(gaussian_filter(small, scale / coarse, mode="nearest"), field.shape)


def resize(field: Array, shape: tuple[int, ...]) -> Array:
    """Resize a float32 field; bicubic, as the creases of bilinear interpolation are visible.

    Args:
        field: (H, W) float32.
        shape: Rows and columns of the result.
    """
    return np.array(Image.fromarray(field).resize((shape[1], shape[0]), Image.Resampling.BICUBIC))
