"""Lists of names in messages."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice

import pandas as pd


def first_few(words: Iterable[object], most: int = 5, between: str = ", ") -> str:
    """Join the first few words, with an ellipsis if there are more.

    Args:
        words: Any objects, of which `str` is shown.
        most: Largest number of words.
        between: Text between two words.

    >>> first_few("abc", 2), first_few("ab", 2)
    ('a, b, ...', 'a, b')
    """
    shown = list(map(str, islice(words, most + 1)))
    return between.join(shown[:most] + ["..."] * (len(shown) > most))


def first_counts(counts: pd.Series) -> str:
    """Join the first eight words of a count of rows (`value_counts`), each with its number.

    >>> first_counts(pd.Series(["a", "b", "a"]).value_counts())
    "'a' (2 rows), 'b' (1 rows)"
    """
    return first_few((f"{word!r} ({count} rows)" for word, count in counts.items()), 8)
