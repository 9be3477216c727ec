"""Metrics of an evaluation by key; one that was left out is named with its reason."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import pandas as pd

from pneumo_ad.errors import did_you_mean
from pneumo_ad.evaluation.report import DECISIONS, headline_rows
from pneumo_ad.metrics.catalogue import HEADLINE


class Metrics(dict[str, float]):
    """Metrics of an evaluation, those of shortcuts (`shortcut/...`) among them.

    Args:
        found: Content of `metrics.json` and `shortcuts.json`, with `about`.

    Attributes:
        about: Description of the measurement: score, thresholds, subset, options, ...
        omitted: Key -> reason why the metric was left out.

    Raises:
        KeyError: By `metrics[key]`, for a metric that is not there; says why, or names the nearest.

    >>> metrics = Metrics({"image/auroc": 0.75, "about": {"omitted": {"pixel/auroc": "no masks"}}})
    >>> metrics["image/auroc"], metrics.omitted
    (0.75, {'pixel/auroc': 'no masks'})
    """

    def __init__(self, found: Mapping[str, Any]) -> None:
        super().__init__({key: value for key, value in found.items() if key != "about"})
        self.about: dict[str, Any] = found["about"]
        self.omitted: dict[str, str] = self.about["omitted"]

    def __missing__(self, key: str) -> float:
        if key in self.omitted:
            raise KeyError(f"{key} was left out: {self.omitted[key]}")
        raise KeyError(f"{key} is no metric of this evaluation{did_you_mean(key, self)}")

    @property
    def headline(self) -> pd.DataFrame:
        """Headline table, a row per metric, by its key.

        Columns: `metric` in words, `value`, `low` and `high` of its 95 % interval; and of the strongest shortcut, a
        score that needs no model, `shortcut`, its AUROC on the same samples, whichever way round it ranks, and
        `shortcut_name`.
        """
        rows = [dict(vars(row)) for row in headline_rows({**self, "about": self.about})]
        for above, row in pairwise(rows):  # a row that refines the one above begins with two blanks
            if row["metric"].startswith("  "):
                row["metric"] = f"{above['metric'].partition(', in')[0]}, {row['metric'].strip()}"
        return pd.DataFrame(rows, index=pd.Index([key for key in (*HEADLINE, *DECISIONS) if key in self], name="key"))
