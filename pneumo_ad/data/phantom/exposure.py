"""Exposure: from attenuation to grey values, with scatter, quantum noise, edge enhancement and the detector's curve."""

import numpy as np

from .noise import Array, blur, smooth_noise

LUNG_LEVEL, TISSUE_LEVEL = 0.5, 1.15  # attenuation of usual lung and of the usual abdomen, in thickness of water
DARKEST = 0.02  # attenuation read where the beam meets only air


def to_grey_values(attenuation: Array, rng: np.random.Generator) -> Array:
    """Compute the grey values of a radiograph, (H, W) float32 in [0, 1], bright where dense.

    The random parameters do not depend on the content of the image, so that none of them separates the classes.

    Args:
        attenuation: (H, W) float32 thickness of water along the ray.
        rng: Random generator.
    """
    reach = float(np.hypot(*attenuation.shape))
    contrast = 2.2
    # The anode's heel and a tube off centre: the beam is stronger on one side.
    rows, columns = (np.linspace(-1, 1, side, dtype=np.float32) for side in attenuation.shape)
    tilt = np.float32(rng.normal(0, 0.05)) * rows[:, None] + np.float32(rng.normal(0, 0.05)) * columns
    beam = np.exp(-np.float32(contrast) * (attenuation + tilt * np.minimum(attenuation, 1)))
    scatter = rng.uniform(0.02, 0.12)
    signal = (1 - scatter) * beam + np.float32(scatter) * blur(beam, 0.06 * reach)
    # Quantum noise: fewer quanta where the body is dense, so more noise there.
    quanta = np.exp(rng.uniform(np.log(6000), np.log(60000)))
    grain = smooth_noise(rng, attenuation.shape, rng.uniform(0.5, 0.9))
    signal = signal + np.sqrt(signal / np.float32(quanta)) * grain
    dense = -np.log(np.maximum(signal, 1e-3)) / np.float32(contrast)
    dense = blur(dense, rng.uniform(0.35, 1.0) * reach / 410)
    gain, fine = rng.uniform(0.0, 0.8), rng.uniform(0.012, 0.05)
    dense = dense + np.float32(gain) * np.clip(dense - blur(dense, fine * reach), -0.15, 0.15)
    # Window: grey values of lung and abdomen.
    lung = np.clip(rng.normal(0.48, 0.13), 0.15, 0.75)
    tissue = np.clip(lung + rng.normal(0.46, 0.07), lung + 0.18, 0.98)
    slope = (tissue - lung) / (TISSUE_LEVEL - LUNG_LEVEL)
    grey = lung + slope * (dense - LUNG_LEVEL)
    # The curve of film and display has a toe and a shoulder: softplus instead of clipping at both ends.
    knee = rng.uniform(0.03, 0.09)
    top = rng.uniform(0.88, 1.0)
    grey = _soft_floor(grey, knee)
    grey = top - _soft_floor(top - grey, knee)
    air = _soft_floor(np.array(lung - slope * LUNG_LEVEL, np.float32), knee)
    floor = rng.uniform(0.0, 0.08)
    grey = (grey - min(float(air), 0.3) * rng.uniform(0.4, 1.0)) + floor
    return np.clip(grey, 0, 1).astype(np.float32)


def _soft_floor(grey: Array, knee: float) -> Array:
    """Softplus: the larger of ``grey`` and 0, with a bend of width ``knee`` in place of the corner."""
    bent = np.minimum(grey / np.float32(knee), 60)  # avoids overflow of the exponential
    return np.asarray(np.float32(knee) * np.log(1 + np.exp(bent)))
