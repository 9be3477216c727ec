"""Files of any folder judged by a trained run, or by one that was exported."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pneumo_ad import doors

if TYPE_CHECKING:
    from pneumo_ad.prediction.files import File, find_files
    from pneumo_ad.prediction.maps import read_map
    from pneumo_ad.prediction.opening import open_judge
    from pneumo_ad.prediction.predict import Predicted, predict_files, predict_folder
    from pneumo_ad.prediction.run_judge import RunPredictor
    from pneumo_ad.prediction.summary import print_prediction

__all__ = [
    "File",
    "Predicted",
    "RunPredictor",
    "find_files",
    "open_judge",
    "predict_files",
    "predict_folder",
    "print_prediction",
    "read_map",
]

__getattr__ = doors(
    __name__,
    {
        "files": "File find_files",
        "maps": "read_map",
        "opening": "open_judge",
        "predict": "Predicted predict_files predict_folder",
        "run_judge": "RunPredictor",
        "summary": "print_prediction",
    },
)
