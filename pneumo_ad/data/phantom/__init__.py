"""Phantoms: synthetic frontal chest radiographs with exact lung fields and opacities, without any download."""

from .draw import DRAWING, Phantom, draw_phantom
from .opacity import FINDINGS, OPACITY_FRACTION, add_opacity
from .write import write_phantoms

__all__ = ["DRAWING", "FINDINGS", "OPACITY_FRACTION", "Phantom", "add_opacity", "draw_phantom", "write_phantoms"]
