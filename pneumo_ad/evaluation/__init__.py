"""What `pneumo-ad evaluate` does with an opened run, step by step: examine, calibrate, measure, write, draw."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pneumo_ad import doors

if TYPE_CHECKING:
    from pneumo_ad.evaluation.clusters import cluster_run, print_clusters
    from pneumo_ad.evaluation.evaluate import evaluate_run
    from pneumo_ad.evaluation.evidence import gather_evidence
    from pneumo_ad.evaluation.examination import Examination, examine
    from pneumo_ad.evaluation.paper_figures import draw_for_run
    from pneumo_ad.evaluation.report import page_of
    from pneumo_ad.evaluation.summary import print_evaluation, read_metrics

__all__ = [
    "Examination",
    "cluster_run",
    "draw_for_run",
    "evaluate_run",
    "examine",
    "gather_evidence",
    "page_of",
    "print_clusters",
    "print_evaluation",
    "read_metrics",
]

__getattr__ = doors(
    __name__,
    {
        "clusters": "cluster_run print_clusters",
        "evaluate": "evaluate_run",
        "evidence": "gather_evidence",
        "examination": "Examination examine",
        "paper_figures": "draw_for_run",
        "report": "page_of",
        "summary": "print_evaluation read_metrics",
    },
)
