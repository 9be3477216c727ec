"""The paper's Table 1 with numbers: statistics of a score by kind of window."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

from pneumo_ad import figures
from pneumo_ad.data.radiographs import Radiographs
from pneumo_ad.evaluation.background import background
from pneumo_ad.evaluation.windows import Drawn
from pneumo_ad.labels import HEALTHY, OPACITY, OUTSIDE, RADIOGRAPH, UNKNOWN, Vocabulary
from pneumo_ad.metrics.catalogue import LEAST_IMAGES, GroundTruth, figure_with_interval
from pneumo_ad.metrics.ranking import auroc_with_interval
from pneumo_ad.patches import PatchGrid

MOSTLY = 0.5  # share of background pixels above which a window outside the lung is background
# Statements of the paper on each kind, templates of `Vocabulary.fill`: Table 1 in words, Figs. 7 and 8 in numbers.
PAPER = {
    "normal lung": "SAD about 1 (Fig. 7)",
    "pneumonia, every window": "SAD about 5 (Fig. 8)",
    "healthy lung": "as the training patches",
    "opacity": "above {healthy}",
    "outside": "above both",
    "outside: body": "not told apart",
    "outside: background": "not told apart",
}
_AUROC = ("auroc", "auroc_low", "auroc_high")
_KINDS = {"opacity": OPACITY, "outside": OUTSIDE}  # those with an AUROC
# Kind as it is in the csv -> its words, likewise.
_WORDS = {
    "normal lung": "normal {region}",
    "pneumonia, every window": "{abnormal}, every window",
    "healthy lung": "{healthy}",
    "opacity": "{anomaly}",
}
NOT_KNOWN = "Not known: no mask tells which windows are which."


def background_shares(data: Radiographs, grid: PatchGrid, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """Compute the share of background in each window, (I, N) float64 in [0, 1] (`evaluation.background`).

    Args:
        data: Data set that holds the radiographs.
        grid: Grid of the N windows.
        rows: (I,) int64 row numbers in the store.
    """
    shares = [grid.window_shares(background(data.store.images[row])[None])[0] for row in rows]
    return np.stack(shares)


def kinds_table(
    values: npt.NDArray[np.floating],
    evidence: GroundTruth,
    background_share: npt.NDArray[np.floating],
    terms: Vocabulary = RADIOGRAPH,
) -> pd.DataFrame:
    """Compute statistics of a score by kind of window.

    Windows of kinds healthy lung, opacity and outside are from radiographs that are not normal, as in the paper;
    `metrics.json` includes normal radiographs of known ground truth. *Background* windows lie outside the lung and are
    background by more than half; *body* are the other windows outside.

    Args:
        values: (I, N) float score of each window, for example SAD.
        evidence: Ground truth of the same windows.
        background_share: (I, N) float in [0, 1], see `background_shares`.
        terms: Words of the run, for the column `paper`.

    Returns:
        A row per kind: `kind`, `mean`, `median`, `q25`, `q75`, `auroc` against healthy lung with `auroc_low` and
        `auroc_high` (missing with fewer than `LEAST_IMAGES` radiographs of either), `windows`, `radiographs`, `paper`,
        `note`. If no mask gives the kind, numbers and counts are missing, not 0, and the note says so.
    """
    kind = np.where(evidence.normal[:, None], UNKNOWN, evidence.kind)
    outside, dark = kind == OUTSIDE, background_share > MOSTLY
    origins = evidence.origins
    groups = {
        "normal lung": origins["normal_lung"],
        "pneumonia, every window": origins["pneumonia"],
        "healthy lung": kind == HEALTHY,
        "opacity": kind == OPACITY,
        "outside": outside,
        "outside: body": outside & ~dark,
        "outside: background": outside & dark,
    }
    known = bool((kind <= OUTSIDE).any())
    rows = []
    for name, chosen in groups.items():
        row: dict[str, object] = {"kind": name, "paper": terms.fill(PAPER[name]), "note": ""}
        if not known and name not in ("normal lung", "pneumonia, every window"):
            row["note"] = NOT_KNOWN
        else:
            row |= {"windows": int(chosen.sum()), "radiographs": int(chosen.any(axis=1).sum())}
            if kind_of := _KINDS.get(name):
                row |= _against_healthy(values, kind, kind_of, evidence.patient)
            if chosen.any():
                of_kind = values[chosen].astype(np.float64)
                quartiles = np.quantile(of_kind, [0.25, 0.5, 0.75])
                row |= {"mean": of_kind.mean()} | dict(zip(("q25", "median", "q75"), quartiles, strict=True))
            else:
                row["note"] = "no such window"
        rows.append(row)
    columns = ["kind", "mean", "median", "q25", "q75", *_AUROC, "windows", "radiographs", "paper", "note"]
    kept_as = dict.fromkeys(("windows", "radiographs"), "Int64") | dict.fromkeys(_AUROC, "float64")
    return pd.DataFrame(rows, columns=columns).astype(kept_as)


def _against_healthy(
    values: npt.NDArray[np.floating], kind: npt.NDArray[np.integer], other: int, patient: npt.NDArray[np.integer]
) -> dict[str, float]:
    """AUROC of windows of a kind against healthy lung; empty where too few radiographs hold either."""
    if any((kind == one).any(axis=1).sum() < LEAST_IMAGES for one in (HEALTHY, other)):
        return {}
    both = (kind == HEALTHY) | (kind == other)
    owner = np.broadcast_to(patient[:, None], kind.shape)[both]
    return auroc_with_interval(values[both], kind[both] == other, owner).keyed("auroc")


def order_words(table: pd.DataFrame, ordered: bool = True, terms: Vocabulary = RADIOGRAPH) -> str:
    """Compare the order of the medians with the paper's Table 1, in words; empty if a median is not known.

    Medians may rise though the kinds overlap almost wholly: the order is called that of the paper only beside the AUROC
    of opacity and of outside against healthy lung.

    Args:
        table: From `kinds_table`.
        ordered: Whether the score is meant to order the three kinds (`Score.orders_outside`).
        terms: Words of the run.
    """
    rows = table.set_index("kind").reindex(["healthy lung", *_KINDS]).reindex(columns=["median", *_AUROC])
    medians = rows["median"]
    if medians.isna().any():
        return ""
    order = "Medians: " + " < ".join(
        f"{_words(name, terms)} {value:.2f}" for name, value in medians.sort_values().items()
    )
    if not ordered:
        verdict = f"a score that is not meant to order what lies outside the {terms.region}"
    else:
        verdict = "as the paper expected" if medians.is_monotonic_increasing else "not the paper's order"
    above = rows.loc[[*_KINDS]]
    if above["auroc"].isna().any():
        return f"{order}; too few {terms.images} for an AUROC, and so for a verdict."
    rows_of: dict[str, dict[str, float]] = above.to_dict("index")  # type: ignore[assignment]
    aurocs = (f"{_words(name, terms)} {figure_with_interval(row, 'auroc')}" for name, row in rows_of.items())
    return f"{order}.\nAUROC against {terms.healthy}: {', '.join(aurocs)}: {verdict}."


def _words(kind: object, terms: Vocabulary) -> str:
    return terms.fill(_WORDS.get(str(kind), str(kind)))


def draw_table(table: pd.DataFrame, unit: str, ordered: bool = True, terms: Vocabulary = RADIOGRAPH) -> Drawn:
    """Draw Table 1 as a figure, and format it as markdown.

    Args:
        table: From `kinds_table`.
        unit: Score and its unit, for the title.
        ordered: See `order_words`.
        terms: Words of the run.
    """
    header, rows = printed(table, terms)
    notes = [order_words(table, ordered, terms), *sorted(set(table["note"]) & {NOT_KNOWN})]
    notes += [
        f"Normal {terms.region}: windows wholly inside the {terms.region} of normal {terms.images}. Kinds: windows of "
        f"the other {terms.images}.",
        f"AUROC: windows of the kind against {terms.healthy}; in brackets the 95 % interval by {terms.patient}.",
        f"Background: outside the {terms.region}, more than half dark and connected with the border.",
    ]
    drawn = figures.printed_table(
        header, rows, f"Table 1, measured: {unit}", "\n".join(filter(None, notes)), rules=(2, 5)
    )
    return Drawn(drawn, table, markdown(table, unit, ordered, terms))


def printed(table: pd.DataFrame, terms: Vocabulary = RADIOGRAPH) -> tuple[list[str], list[list[str]]]:
    """Format header and rows of `kinds_table` as text.

    Args:
        table: From `kinds_table`.
        terms: Words of the run.
    """
    header = ["kind of window", "mean", "median", "quartiles", "AUROC", "windows", terms.images, "the paper"]
    rows = []
    for _, row in table.iterrows():
        if pd.isna(row["windows"]):
            cells = ["not known"] + ["–"] * 5
        elif not row["windows"]:
            cells = ["–"] * 4 + ["0", "0"]
        else:
            cells = [f"{row['mean']:.2f}", f"{row['median']:.2f}", f"{row['q25']:.2f} – {row['q75']:.2f}"]
            one = row["radiographs"] == 1
            cells.append(f"{row['auroc']:.3f}" if pd.notna(row["auroc"]) else "–")
            cells += [f"{row['windows']:,}", "n = 1" if one else f"{row['radiographs']:,}"]
        rows.append([_words(row["kind"], terms).replace("outside: ", "   of these: "), *cells, row["paper"]])
    return header, rows


def markdown(table: pd.DataFrame, unit: str, ordered: bool = True, terms: Vocabulary = RADIOGRAPH) -> str:
    """Format Table 1 as markdown.

    Args:
        table: From `kinds_table`.
        unit: Score and its unit, for the title.
        ordered: See `order_words`.
        terms: Words of the run.
    """
    header, rows = printed(table, terms)
    lines = [header, ["---", *["---:"] * (len(header) - 2), "---"], *rows]
    body = "\n".join(f"| {' | '.join(cell.strip() for cell in line)} |" for line in lines)
    return f"**Table 1, measured: {unit}**\n\n{body}\n\n{order_words(table, ordered, terms)}\n"
