"""Export of a trained run as one self-contained graph: fitted radiograph -> anomaly map, score and percentile."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pneumo_ad import doors

if TYPE_CHECKING:
    from pneumo_ad.export.description import ModelDescription, read_description
    from pneumo_ad.export.exported_predictor import ExportedPredictor
    from pneumo_ad.export.parity import Parity, check_parity
    from pneumo_ad.export.pipeline import Pipeline

__all__ = ["ExportedPredictor", "ModelDescription", "Parity", "Pipeline", "check_parity", "read_description"]

__getattr__, __dir__ = doors(
    __name__,
    {
        "description": "ModelDescription read_description",
        "exported_predictor": "ExportedPredictor",
        "parity": "Parity check_parity",
        "pipeline": "Pipeline",
    },
)
