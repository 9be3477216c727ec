"""HTML report in one offline file: a histogram of scores linked to the radiographs that they come from."""

from pneumo_ad.report.page import (
    ANOMALY_MAP,
    LUNG_FIELD,
    MARKED,
    RECONSTRUCTION,
    RESIDUAL,
    TRUTH,
    Headline,
    Page,
    Radiograph,
    Windows,
    layers_of,
    marked_words,
)

__all__ = [
    "ANOMALY_MAP",
    "LUNG_FIELD",
    "MARKED",
    "RECONSTRUCTION",
    "RESIDUAL",
    "TRUTH",
    "Headline",
    "Page",
    "Radiograph",
    "Windows",
    "layers_of",
    "marked_words",
]
