"""Random body proportions of phantoms."""

from dataclasses import dataclass

import numpy as np

Point = tuple[float, float]


@dataclass(frozen=True)
class Build:
    """Proportions of one body; lengths in body units."""

    childlike: float  # 0 adult .. 1 small child
    fat: float  # thickness of the wall beside the chest, 1 usual
    heart: float  # size of the heart, 1 usual
    domes: tuple[float, float]  # height of the right and left diaphragm domes, as a share of the height of the lungs
    knob: float  # bulge of the aortic arch to the left
    trunk: float  # bulge of the pulmonary trunk to the left
    middle: float  # width of the mediastinum, 1 usual
    arms: float  # angle of the arms to the horizontal in radians, > 0 raised
    bent: float  # amplitude of the spine's curve
    bone: float  # density of the bones, 1 usual
    vessels: float  # prominence of the vessels, 1 usual
    turned: float  # rotation about the long axis: shifts the heart and the clavicles to one side


def draw_build(rng: np.random.Generator) -> Build:
    """Draw random proportions."""
    child = float(np.clip(rng.normal(0.55, 0.4), 0, 1))
    right = float(np.clip(rng.normal(0.8, 0.035), 0.7, 0.87))
    raised = rng.random() < 0.25 + 0.5 * child
    return Build(
        childlike=child,
        fat=float(np.clip(np.exp(0.18 * rng.standard_normal()), 0.7, 1.5)),
        heart=float(np.clip(rng.normal(0.99 + 0.09 * child, 0.1), 0.78, 1.35)),
        domes=(right, float(np.clip(right + rng.normal(0.03, 0.025), 0.7, 0.9))),
        knob=float(np.clip(rng.normal(0.085 - 0.07 * child, 0.02), 0.0, 0.13)),
        trunk=float(np.clip(rng.normal(0.03, 0.025), 0.0, 0.09)),
        middle=float(np.clip(rng.normal(1.0 + 0.1 * child, 0.13), 0.75, 1.5)),
        arms=float(rng.normal(0.8, 0.25) if raised else rng.normal(-1.2, 0.12)),
        bent=float(rng.normal(0.0, 0.02)),
        bone=float(np.clip(rng.normal(1.0, 0.2), 0.6, 1.5)),
        vessels=float(np.clip(rng.normal(1.0, 0.25), 0.5, 1.6)),
        turned=float(rng.normal(0.0, 0.03)),
    )


def arm(build: Build, side: int) -> tuple[Point, Point]:
    """Return the positions of shoulder joint and elbow of one arm in body coordinates.

    Args:
        build: Proportions of the body.
        side: -1 for the patient's right, 1 for the left.
    """
    shoulder = (side * (1.06 + 0.08 * build.fat), 0.06 if build.arms < 0 else -0.08)
    reach = 1.7
    return shoulder, (shoulder[0] + side * reach * np.cos(build.arms), shoulder[1] - reach * np.sin(build.arms))


def head(build: Build) -> Point:
    """Return the centre of the head in body coordinates; a child's neck is short."""
    return 4 * build.turned + build.bent, -(0.92 - 0.14 * build.childlike)
