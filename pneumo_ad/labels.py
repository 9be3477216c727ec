"""Labels of radiographs, splits, kinds of patch and codes of pixels."""

from __future__ import annotations

NORMAL, PNEUMONIA, OTHER = "normal", "pneumonia", "other"


LABELS = (NORMAL, PNEUMONIA, OTHER)


SPLITS = ("train", "val", "test")


UNDEALT = "undealt"  # in place of a split: it came after a run had dealt its own, and is in none of them


HEALTHY, OPACITY, OUTSIDE, MIXED, PADDING, UNKNOWN = range(6)


KINDS = ("healthy", "opacity", "outside", "mixed", "padding", "unknown")


NOT_KNOWN = -1  # no metric counts it: padding, or covered by no window
OUTSIDE_LUNG = 0  # or lung not known
HEALTHY_LUNG = 1  # what is lung, ill or not, lies above OUTSIDE_LUNG
IN_OPACITY = 2
