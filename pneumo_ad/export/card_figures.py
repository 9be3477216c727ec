"""Section of a model card on the run's evaluation: table of metrics and their meaning in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pneumo_ad.labels import RADIOGRAPH, Vocabulary
from pneumo_ad.metrics.catalogue import figure_with_interval
from pneumo_ad.metrics.shortcuts import strength, strongest_shortcut

Metrics = Mapping[str, Any]


def measured(metrics: Metrics, headline: Mapping[str, str], changes: str, terms: Vocabulary = RADIOGRAPH) -> str:
    """Write the evaluation in Markdown: plain words, then a table of each metric beside its shortcuts.

    Args:
        metrics: Content of the run's `metrics.json`.
        headline: Labels of the metrics to show, by key, templates of `Vocabulary.fill`.
        changes: Overrides that the export was given, as Markdown; empty where there are none.
        terms: Words of the run.
    """
    rows = [terms.fill(_row(metrics, key, words)) for key, words in headline.items() if key in metrics]
    if not rows:
        return "**Nothing.** The run was not evaluated (`pneumo-ad evaluate`): its performance is unknown."
    subset = metrics.get("about", {}).get("subset", "?")
    counts = [metrics.get(f"counts/{what}", "?") for what in ("images", "patients")]
    lines = [f"**{sentence}**\n" for sentence in plain_words(metrics, terms)]
    if changes:
        lines.append(f"The export changed {changes}; the figures are those of the run as it was evaluated.\n")
    lines.append(
        f"On the split `{subset}`: {counts[0]} {terms.images} of {counts[1]} {terms.patients}. In brackets 95 % "
        f"intervals, {terms.patients} drawn with replacement; a shortcut is something that needs no model, whichever "
        "way round it ranks.\n"
    )
    return "\n".join([*lines, "| metric | model | brightness alone | best shortcut |", "|---|---|---|---|", *rows])


def _row(metrics: Metrics, key: str, words: str) -> str:
    best = strongest_shortcut(metrics, key)
    shortcut = f"{strength(best.auroc):.3f} by {best.words}" if best else "–"
    cells = (
        words.replace("  ", "… "),
        figure_with_interval(metrics, key),
        figure_with_interval(metrics, f"brightness/{key}"),
        shortcut,
    )
    return f"| {' | '.join(cells)} |"


def plain_words(metrics: Metrics, terms: Vocabulary = RADIOGRAPH) -> list[str]:
    """Return the meaning of the AUROC of radiographs in sentences; empty without a measured AUROC.

    Args:
        metrics: Content of the run's `metrics.json`.
        terms: Words of the run.

    >>> plain_words({"image/auroc": 0.55, "image/auroc_low": 0.48, "image/auroc_high": 0.62})
    ['Near chance: it does not tell pneumonia radiographs from normal ones (AUROC 0.550 (0.480–0.620)).']
    """
    sentences = []
    for key, where in (("image/auroc", ""), ("image/auroc_matched", " matched in aspect, sharpness and intensity")):
        if f"{key}_low" not in metrics:
            continue
        low, high, words = metrics[f"{key}_low"], metrics[f"{key}_high"], figure_with_interval(metrics, key)
        abnormal = f"{terms.abnormal} {terms.images}"
        if low <= 0.5 <= high:
            sentences.append(f"Near chance: it does not tell {abnormal} from normal ones{where} (AUROC {words}).")
        elif high < 0.5:
            sentences.append(f"The wrong way round: {abnormal}{where} score lower than normal ones (AUROC {words}).")
        best = strongest_shortcut(metrics, key)
        if best and strength(best.auroc) >= low:
            better = "Worse" if strength(best.auroc) > metrics[key] else "Not clearly better"
            sentences.append(
                f"{better} than a shortcut: {terms.fill(best.words)} alone ranks {terms.images}{where} with an AUROC "
                f"of {strength(best.auroc):.3f}."
            )
    return sentences


def false_alarms_in_words(metrics: Metrics, normals: int, rate: float, terms: Vocabulary) -> str:
    """Return sentences on the declared and realised rates of false alarms.

    Args:
        metrics: Content of the run's `metrics.json`.
        normals: Number of held-out normal radiographs.
        rate: Declared false-alarm rate.
        terms: Words of the run.
    """
    declared = (
        f"Declared: at most {rate:.0%} of normal {terms.images} like the {normals} held-out ones are called anomalous "
        "(conformal)."
        if normals
        else f"No held-out normal {terms.image} was available: there are no percentiles and no decisions."
    )
    if "false_alarms/image" not in metrics:
        return f"{declared} Realised on unseen normal {terms.images}: not recorded in the run folder."
    realised, sensitivity = (figure_with_interval(metrics, key) for key in ("false_alarms/image", "image/sensitivity"))
    detected = f", with a sensitivity of {sensitivity}" if "image/sensitivity" in metrics else ""
    return (
        f"{declared} Realised on unseen normal {terms.images} at a declared rate of "
        f"{metrics['false_alarms/declared']:.3f}: {realised}{detected}. Other machines and other {terms.patients} have "
        f"other rates: measure on normal {terms.images} of your own."
    )
