"""Figures of the paper, drawn from arrays; independent of runs and configs."""

from matplotlib.figure import Figure

from pneumo_ad.figures.architecture import architecture
from pneumo_ad.figures.cams import grad_cam_panel
from pneumo_ad.figures.confusion import confusion_matrix
from pneumo_ad.figures.frames import red_frames
from pneumo_ad.figures.histograms import binned, score_histogram
from pneumo_ad.figures.maps import anomaly_maps, bright_end
from pneumo_ad.figures.panels import grey_levels, reconstruction_panel
from pneumo_ad.figures.patch_grid import patch_grid
from pneumo_ad.figures.proportions import Proportions
from pneumo_ad.figures.radiographs import lung_fields, sample_rows
from pneumo_ad.figures.style import COLOURS, NAMES, RED, save
from pneumo_ad.figures.table import printed_table

__all__ = [
    "COLOURS",
    "NAMES",
    "RED",
    "Figure",
    "Proportions",
    "anomaly_maps",
    "architecture",
    "binned",
    "bright_end",
    "confusion_matrix",
    "grad_cam_panel",
    "grey_levels",
    "lung_fields",
    "patch_grid",
    "printed_table",
    "reconstruction_panel",
    "red_frames",
    "sample_rows",
    "save",
    "score_histogram",
]
