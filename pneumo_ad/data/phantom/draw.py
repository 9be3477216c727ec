"""Drawing of one phantom: a body in a pose, with or without an opacity, and an exposure."""

from dataclasses import dataclass

import numpy as np

from .build import draw_build
from .exposure import to_grey_values
from .frame import draw_frame
from .marks import draw_leads, stamp
from .noise import Array, blur, smooth_noise
from .opacity import draw_shape
from .skeleton import skeleton
from .thorax import LUNG_DENSITY, chest
from .vessels import vessels

PARENCHYMA = 0.02  # standard deviation of the lung's fine texture, in thickness of water
VEIL = 0.5  # share of the contrast of bones that is lost over a lung without any air
# Separate streams of random numbers: the class must not change the numbers of the body or of the exposure.
BODY, OPACITY, EXPOSURE = range(3)

DRAWING = 1  # increase it when the images change: it is part of the folder's name


@dataclass(frozen=True)
class Phantom:
    """Synthetic frontal chest radiograph with its ground truth.

    Attributes:
        image: (H, W) uint8 grey levels, bright where dense.
        lung: (H, W) bool lung field, without heart, mediastinum and the region below the diaphragm.
        opacity: (H, W) bool opacity mask within the lung, all False for a normal phantom.
        finding: ``"normal"``, or one of ``pneumo_ad.data.phantom.FINDINGS``.
    """

    image: Array
    lung: Array
    opacity: Array
    finding: str


def draw_phantom(seed: int, *, pneumonia: bool, size: int = 320) -> Phantom:
    """Draw one phantom; the same arguments give the same bytes.

    One seed is one patient in one exposure: ``pneumonia`` adds an opacity to the same body and exposure, so that the
    classes differ in the opacity alone.

    Args:
        seed: Patient and exposure, >= 0.
        pneumonia: Whether an opacity is added.
        size: Longest side in pixels, >= 64; the other follows from a random aspect ratio.

    Returns:
        Image, lung field, opacity and finding.

    Raises:
        ValueError: ``seed`` is negative or ``size`` below 64.

    >>> well, ill = (draw_phantom(7, pneumonia=p, size=128) for p in (False, True))
    >>> max(well.image.shape), well.image.dtype, well.finding, bool(well.opacity.any())
    (128, dtype('uint8'), 'normal', False)
    >>> bool((well.lung == ill.lung).all()), bool(ill.opacity[~ill.lung].any())
    (True, False)
    """
    if seed < 0:
        raise ValueError(f"seed {seed} must be >= 0")
    if size < 64:
        raise ValueError(f"size {size} must be at least 64 pixels")
    body, ill, beam = (np.random.default_rng([seed, stream]) for stream in (BODY, OPACITY, EXPOSURE))
    frame = draw_frame(body, size)
    build = draw_build(body)
    soft = chest(frame, build, body)
    bones = np.where(soft.inside, skeleton(frame, build, body), 0)
    tree = vessels(frame, build, body)
    grain = smooth_noise(body, frame.shape, 0.004 * size) + 0.8 * smooth_noise(body, frame.shape, 0.012 * size)
    leads = draw_leads(frame.shape, body)

    deep = np.clip(soft.depth / 0.5, 0, 1)
    tree = tree * deep + np.float32(PARENCHYMA) * grain * deep
    mask, finding = np.zeros(frame.shape, bool), "normal"
    added = np.zeros(frame.shape, np.float32)
    if pneumonia:
        shape = draw_shape(soft.lung, ill)
        share = shape.strength * shape.density * (1 - 0.4 * shape.air)
        added = share * (1 - LUNG_DENSITY) * blur(soft.depth, 0.01 * size)
        # A vessel surrounded by water is not visible.
        tree = tree * (1 - np.clip(1.5 * share, 0, 0.92))
        # Radiation scattered in dense tissue reduces the contrast of the bones over it.
        bones = bones * (1 - np.float32(VEIL) * share)
        mask, finding = shape.mask, shape.finding
    attenuation = soft.tissue + bones + tree + added + leads
    grey = stamp(to_grey_values(np.maximum(attenuation, 0), beam), beam)
    return Phantom(np.round(grey * 255).astype(np.uint8), soft.lung, mask, finding)
