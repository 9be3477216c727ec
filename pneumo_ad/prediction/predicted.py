"""A prediction as tables and arrays, read from its folder when they are asked for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from pneumo_ad.errors import counted, did_you_mean
from pneumo_ad.prediction.map_files import Floats, read_map
from pneumo_ad.prediction.rows import FAILED, PREDICTIONS
from pneumo_ad.runs.facts import as_html, as_text
from pneumo_ad.saved import GIB, read_table

REPORT = "report.html"
_WORDS = ("file", "unit", "map", "overlay", "dicom", "warnings", "kind", "reason")
_SHOWN = ["file", "score", "percentile", "p_value", "anomalous", "warnings"]
_MOST = 5  # rows that a notebook shows


@dataclass(frozen=True, repr=False)
class Predicted:
    """Result of a prediction.

    Attributes:
        folder: Folder with `predictions.csv`, `failed.csv` and `predict.json`.
        story: Content of `predict.json`.
        new: Number of files scored in this call.
        left: Shards that are still to be judged, by number; empty unless a shard was asked for.
    """

    folder: Path
    story: dict[str, Any]
    new: int
    left: tuple[int, ...] = ()

    @cached_property
    def predictions(self) -> pd.DataFrame:
        """Score, percentile, p-value, decision, lung area, ... of each radiograph, as in `predictions.csv`.

        `anomalous` is missing where nothing was decided. Empty while shards are left.
        """
        table = self._table("predictions.csv", PREDICTIONS)
        return table.astype({"anomalous": "boolean"})

    @cached_property
    def failed(self) -> pd.DataFrame:
        """Files without a score, and why: no radiograph, or unreadable; as in `failed.csv`."""
        return self._table("failed.csv", FAILED)

    @property
    def maps(self) -> Mapping[str, Floats]:
        """Name of each file -> its anomaly map, (h, w) float32, read when it is asked for; empty with `maps="none"`.

        Maps are in units of the score and in the frame of the radiograph; NaN where no window lies.
        """
        return _Maps(self)

    @property
    def report(self) -> Path | None:
        """Page with the histogram linked to the radiographs; None where none was asked for."""
        return file if (file := self.folder / REPORT).is_file() else None

    def _table(self, name: str, columns: tuple[str, ...]) -> pd.DataFrame:
        if self.left:
            return pd.DataFrame(columns=list(columns))
        table = read_table(self.folder / name, {}, GIB, dtype=dict.fromkeys(_WORDS, str), na_values="")
        return table.fillna({word: "" for word in _WORDS if word in table})

    def _facts(self) -> dict[str, object]:
        if self.left:
            return {"new": self.new, "left": f"shards {', '.join(map(str, self.left))}"}
        counts = self.story["counts"]
        of_rate = f"at the declared false-alarm rate of {self.story['false_alarm_rate']:g}"
        return {
            "judged": f"{counted(counts['predicted'], 'file')}; {self.new} were read in this call",
            "anomalous": f"{counts['anomalous']} {of_rate}, {counts['undecided']} undecided",
            "failed": f"{counts['unreadable']} unreadable, {counts['ignored']} no radiographs",
            "rests on": f"{self.story['held_out_normals']} normals",
            "warnings": "\n".join(f"{count} x {words}" for words, count in self.story["warnings"].items()),
            "report": self.report or "",
            "has": "predictions, failed, maps, report, folder",
        }

    def __repr__(self) -> str:
        return as_text(f"Predicted({str(self.folder)!r})", self._facts())

    def _repr_html_(self) -> str:
        most = self.predictions.sort_values("score", ascending=False, kind="stable").head(_MOST)
        return as_html(f"prediction in {self.folder}, the most anomalous first", self._facts(), most[_SHOWN])


class _Maps(Mapping[str, Floats]):
    """Maps by file, read when they are asked for."""

    def __init__(self, found: Predicted) -> None:
        self._folder = found.folder
        table = found.predictions
        self._files = {file: name for file, name in zip(table["file"], table["map"], strict=True) if name}

    def __getitem__(self, file: str) -> Floats:
        if file not in self._files:
            raise KeyError(f"{file} has no map{did_you_mean(file, self._files)}")
        return read_map(self._folder / self._files[file])

    def __iter__(self) -> Iterator[str]:
        return iter(self._files)

    def __len__(self) -> int:
        return len(self._files)

    def __repr__(self) -> str:
        return f"{len(self)} maps: {', '.join(list(self)[:3])}{', ...' if len(self) > 3 else ''}"
