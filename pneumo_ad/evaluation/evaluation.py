"""An evaluation as tables and arrays, read from its folder when they are asked for."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from pneumo_ad.errors import DataError
from pneumo_ad.evaluation.metrics import Metrics
from pneumo_ad.evaluation.summary import hint_of_matching, verdict
from pneumo_ad.labels import KINDS
from pneumo_ad.metrics.metrics_json import read_metrics
from pneumo_ad.runs.arguments import Place
from pneumo_ad.runs.facts import as_html, as_text
from pneumo_ad.runs.run import Run
from pneumo_ad.runs.sampled_maps import read_maps
from pneumo_ad.saved import GIB, is_there, read_table

_SHOWN = ["metric", "value", "low", "high", "shortcut", "shortcut_name"]
REPORT = "report.html"


@dataclass(frozen=True, init=False, repr=False)
class Evaluation:
    """An evaluation of a run.

    Args:
        folder: Folder of the evaluation (a run folder holds the one that ended its training), or an opened run.

    Attributes:
        folder: Folder of the evaluation.

    Raises:
        DataError: The folder holds no evaluation.
    """

    folder: Path

    def __init__(self, folder: Place | Run) -> None:
        place = folder.folder if isinstance(folder, Run) else Path(folder)
        if not is_there(place / "metrics.json"):
            below = sorted(file.parent.name for file in place.glob("evaluations/*/metrics.json"))
            hint = f"; below it, in evaluations: {', '.join(below[:8])}" if below else ""
            raise DataError(f"{place}: no evaluation (metrics.json); pneumo_ad.evaluate makes one{hint}")
        object.__setattr__(self, "folder", place)

    @cached_property
    def metrics(self) -> Metrics:
        """Metrics by key, as in `metrics.json` and `shortcuts.json`."""
        return Metrics(read_metrics(self.folder, "score", "unit", "subset", "omitted", "thresholds"))

    @cached_property
    def patches(self) -> pd.DataFrame:
        """Scores, place, true and predicted kind of each kept window, as in `patches.csv`."""
        return _table(self.folder / "patches.csv", "kind_true", "kind_predicted")

    @cached_property
    def images(self) -> pd.DataFrame:
        """Scores, label, p-value and decision of each radiograph, as in `images.csv`."""
        table = _table(self.folder / "images.csv", "path", "label", "split")
        if "anomalous" in table:
            table["anomalous"] = table["anomalous"].map({"True": True, "False": False}).astype("boolean")
        return table

    @cached_property
    def kinds(self) -> pd.DataFrame:
        """The score by true kind of window: `windows`, `radiographs`, `mean`, `q25`, `median`, `q75`; index `kind`."""
        known = self.patches[self.patches["kind_true"].isin(KINDS)]
        by_kind = known.groupby("kind_true")
        columns = {
            "windows": by_kind.size(),
            "radiographs": by_kind["image"].nunique(),
            "mean": by_kind["score"].mean(),
        }
        levels = {"q25": 0.25, "median": 0.5, "q75": 0.75}
        table = pd.DataFrame(columns | {name: by_kind["score"].quantile(level) for name, level in levels.items()})
        return table.reindex([kind for kind in KINDS if kind in table.index]).rename_axis("kind")

    @cached_property
    def subgroups(self) -> pd.DataFrame:
        """Metrics of parts of the radiographs, as in `subgroups.csv`."""
        return _table(self.folder / "subgroups.csv", "column", "value", "against", "omitted")

    @cached_property
    def maps(self) -> dict[str, npt.NDArray[np.float32]]:
        """Name of each radiograph with known masks -> its anomaly map.

        Maps are (128, 128) float32 in units of the score: points evenly spaced over the radiograph, NaN where no window
        lies.
        """
        sampled = read_maps(self.folder / "maps")
        return {} if sampled is None else dict(zip(sampled.images["image"], sampled.score, strict=True))

    @property
    def report(self) -> Path | None:
        """Page with the histogram linked to the radiographs; None where none was asked for, or of this evaluation."""
        file, measured = self.folder / REPORT, self.folder / "metrics.json"
        return file if file.is_file() and file.stat().st_mtime >= measured.stat().st_mtime else None

    def _facts(self) -> dict[str, object]:
        counts, about = self.metrics, self.metrics.about
        classes = (f"{counts[f'counts/images_{label}']} {label}" for label in ("normal", "pneumonia"))
        return {
            "radiographs": f"{counts['counts/images']} ({', '.join(classes)}; {about['subset']})",
            "score": f"{about['score']}, {about['unit']}",
            "left out": f"{len(self.metrics.omitted)} metrics: see metrics.omitted" if self.metrics.omitted else "",
            "verdict": verdict(self.metrics).removeprefix("verdict: "),
            "hint": hint_of_matching({**self.metrics, "about": about}),
            "report": self.report or "",
            "has": "metrics, patches, images, kinds, subgroups, maps, report, folder",
        }

    def __repr__(self) -> str:
        shown = self.metrics.headline[_SHOWN].to_string(
            index=False, na_rep="", float_format="{:.3f}".format, justify="left"
        )
        return f"{as_text(f'Evaluation({str(self.folder)!r})', self._facts())}\n{shown}"

    def _repr_html_(self) -> str:
        return as_html(f"evaluation in {self.folder}", self._facts(), self.metrics.headline[_SHOWN])


def _table(file: Path, *words: str) -> pd.DataFrame:
    """Table of an evaluation: names stay text, also those that look like numbers; a blank number is NaN."""
    text = ["image", "patient", *words]
    table = read_table(file, {}, 16 * GIB, dtype=dict.fromkeys(text, str), na_values="")
    return table.fillna({name: "" for name in text if name in table})
