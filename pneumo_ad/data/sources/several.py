"""Several sources as one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd

from pneumo_ad.errors import ConfigError, DataError
from pneumo_ad.labels import NORMAL


def several(sources: Mapping[str, pd.DataFrame], labels: Sequence[str] | None = None) -> pd.DataFrame:
    """Join sources, each with its own splits.

    Args:
        sources: Name -> table of a source.
        labels: Labels of the radiographs that are kept; None keeps all.

    Returns:
        A table (`check_table`) with the source's name in the column `source`, and in front of the name of each
        radiograph and patient: `<source>/<name>`.

    Raises:
        ConfigError: No source.
        DataError: A source that holds no normal radiograph; names it.
    """
    if not sources:
        raise ConfigError(
            "data.sources is empty; expected NAME -> source, for example sources: {here: {_target_: ...}}"
        )
    parts = []
    for name, table in sources.items():
        if not (table["label"] == NORMAL).any():
            counted = ", ".join(f"{count} {label}" for label, count in table["label"].value_counts().items())
            raise DataError(f"data.sources.{name} holds no normal radiograph, and would teach nothing: {counted}")
        named = {column: [f"{name}/{one}" for one in table[column]] for column in ("image", "patient")}
        named_table = table.assign(**named, source=name)
        parts.append(named_table if labels is None else named_table[named_table["label"].isin(labels)])
    joined = pd.concat(parts, ignore_index=True)
    texts = [column for column in joined.columns if joined[column].isna().any()]
    return joined.assign(**{column: joined[column].fillna("") for column in texts})
