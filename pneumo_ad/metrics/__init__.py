"""Metrics that torchmetrics does not have: intervals by patient, the three kinds of patch, the headline keys."""

from pneumo_ad.labels import KINDS
from pneumo_ad.metrics.kinds import macro_f1, true_kinds
from pneumo_ad.metrics.ranking import Interval, auroc, auroc_with_interval, average_precision

__all__ = ["KINDS", "Interval", "auroc", "auroc_with_interval", "average_precision", "macro_f1", "true_kinds"]
