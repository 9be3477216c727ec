"""Labels of radiographs, splits, kinds of patch and codes of pixels."""

from __future__ import annotations

NORMAL, PNEUMONIA, OTHER = "normal", "pneumonia", "other"


LABELS = (NORMAL, PNEUMONIA, OTHER)


SPLITS = ("train", "val", "test")


UNDEALT = "undealt"  # in place of a split: radiographs added after a run had fixed its splits; in none of them


HEALTHY, OPACITY, OUTSIDE, MIXED, PADDING, UNKNOWN = range(6)


KINDS = ("healthy", "opacity", "outside", "mixed", "padding", "unknown")


NOT_KNOWN = -1  # counted by no metric: padding, or covered by no window
OUTSIDE_LUNG = 0  # or lung not known
HEALTHY_LUNG = 1  # codes of lung, healthy or not, are above OUTSIDE_LUNG
IN_OPACITY = 2
