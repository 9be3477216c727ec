"""Evaluation of an opened run (`pneumo-ad evaluate`): scoring, calibration, metrics, tables, figures and report."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pneumo_ad import doors

if TYPE_CHECKING:
    from pneumo_ad.evaluation.clusters import cluster_run, print_clusters
    from pneumo_ad.evaluation.evaluate import evaluate_run
    from pneumo_ad.evaluation.evaluation import Evaluation
    from pneumo_ad.evaluation.examination import Examination, examine
    from pneumo_ad.evaluation.ground_truth import gather_ground_truth
    from pneumo_ad.evaluation.metrics import Metrics
    from pneumo_ad.evaluation.paper_figures import draw_for_run
    from pneumo_ad.evaluation.report import page_of
    from pneumo_ad.evaluation.summary import print_evaluation

__all__ = [
    "Evaluation",
    "Examination",
    "Metrics",
    "cluster_run",
    "draw_for_run",
    "evaluate_run",
    "examine",
    "gather_ground_truth",
    "page_of",
    "print_clusters",
    "print_evaluation",
]

__getattr__, __dir__ = doors(
    __name__,
    {
        "clusters": "cluster_run print_clusters",
        "evaluate": "evaluate_run",
        "evaluation": "Evaluation",
        "ground_truth": "gather_ground_truth",
        "examination": "Examination examine",
        "metrics": "Metrics",
        "paper_figures": "draw_for_run",
        "report": "page_of",
        "summary": "print_evaluation",
    },
)
