"""Prediction for the files of a folder by a trained run or an exported model."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pneumo_ad import doors

if TYPE_CHECKING:
    from pneumo_ad.prediction.inputs import File, find_files
    from pneumo_ad.prediction.map_files import read_map
    from pneumo_ad.prediction.opening import open_predictor
    from pneumo_ad.prediction.predict import judge_files, predict_folder, write_tables
    from pneumo_ad.prediction.predicted import Predicted
    from pneumo_ad.prediction.run_predictor import RunPredictor
    from pneumo_ad.prediction.summary import print_prediction

__all__ = [
    "File",
    "Predicted",
    "RunPredictor",
    "find_files",
    "judge_files",
    "open_predictor",
    "predict_folder",
    "print_prediction",
    "read_map",
    "write_tables",
]

__getattr__, __dir__ = doors(
    __name__,
    {
        "inputs": "File find_files",
        "map_files": "read_map",
        "opening": "open_predictor",
        "predict": "judge_files predict_folder write_tables",
        "predicted": "Predicted",
        "run_predictor": "RunPredictor",
        "summary": "print_prediction",
    },
)
