"""Joining of several data sources."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd

from pneumo_ad.errors import ConfigError, DataError
from pneumo_ad.labels import NORMAL


def several(sources: Mapping[str, pd.DataFrame], labels: Sequence[str] | None = None) -> pd.DataFrame:
    """Join sources, each with its own splits.

    Args:
        sources: Name of a source -> its table.
        labels: Labels of the radiographs that are kept; None keeps all.

    Returns:
        Table (`check_table`) with the source's name in the column `source`, and as a prefix of the name of each
        radiograph and patient: `<source>/<name>`.

    Raises:
        ConfigError: No source.
        DataError: A source without a normal radiograph; names it.
    """
    if not sources:
        raise ConfigError(
            "data.sources is empty; expected NAME -> source, for example sources: {here: {_target_: ...}}"
        )
    tables = []
    for name, table in sources.items():
        if not (table["label"] == NORMAL).any():
            counted = ", ".join(f"{count} {label}" for label, count in table["label"].value_counts().items())
            raise DataError(f"data.sources.{name} holds no normal image, and would teach nothing: {counted}")
        named = {column: [f"{name}/{word}" for word in table[column]] for column in ("image", "patient")}
        named_table = table.assign(**named, source=name)
        tables.append(named_table if labels is None else named_table[named_table["label"].isin(labels)])
    joined = pd.concat(tables, ignore_index=True)
    texts = [column for column in joined.columns if joined[column].isna().any()]
    return joined.assign(**{column: joined[column].fillna("") for column in texts})
