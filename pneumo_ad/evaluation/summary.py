"""Printed summary of an evaluation: the headline table, omissions and the output folder."""

from __future__ import annotations

from io import StringIO
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from pneumo_ad.errors import counted
from pneumo_ad.files import write_text
from pneumo_ad.inference.predictor import HELD_OUT, finest_step, normals_of
from pneumo_ad.labels import RADIOGRAPH, Vocabulary
from pneumo_ad.metrics.catalogue import HEADLINE, MEDIANS, figure_with_interval
from pneumo_ad.metrics.metrics_json import read_metrics
from pneumo_ad.metrics.modality import one_hump
from pneumo_ad.metrics.shortcuts import STRONG, strength, strongest_shortcut
from pneumo_ad.metrics.strata import STRATA
from pneumo_ad.runs.verbosity import is_verbose

SUMMARY = "summary.txt"
# AUROCs for anomalies, finest resolution first, and what they are of.
_DECISIVE = {
    "pixel/auroc_in_lung": "pixels in the {region}",
    "patch/auroc_opacity_vs_healthy": "patches of {anomaly} and of {healthy}",
    "image/auroc": "{images}",
}


def _beside(metrics: dict[str, float], key: str) -> str:
    """Return what follows a figure, a template: AUROC of the best shortcut, number of strata, or chance."""
    if key == "image/auroc_in_strata":
        return f"\n[dim]of {metrics['counts/strata']} of {STRATA} strata[/dim]"
    if key.startswith("pixel/pointing_game"):
        return f" (chance {metrics[f'{key}_chance']:.3f})" if f"{key}_chance" in metrics else ""
    best = strongest_shortcut(metrics, key)
    return f"\n[dim]{strength(best.auroc):.3f} by {best.words}[/dim]" if best else ""


def headline_table(score: str, metrics: dict[str, float], title: str, terms: Vocabulary = RADIOGRAPH) -> Table:
    """Build a table of the headline metrics of a run, beside scores that need no model on the same samples.

    Args:
        score: Name of the score, above its column.
        metrics: Figures of a `metrics.json`.
        title: Title above the table.
        terms: Words of the run.
    """
    brackets = f"in brackets: 95 % interval by {terms.patient}"
    caption = (
        f"{brackets}; under each AUROC the best shortcut's, whichever way round it ranks; brightness in its place: "
        f"grey levels that become maps and scores of {terms.images} as the score does"
    )
    table = Table(title=title, title_justify="left", caption=caption, caption_justify="left", box=box.SIMPLE_HEAD)
    table.add_column("metric")
    table.add_column(score)
    table.add_column("brightness in its place", style="dim")
    for key, words in HEADLINE.items():
        if key in metrics:
            figure = figure_with_interval(metrics, key) + terms.fill(_beside(metrics, key))
            table.add_row(terms.fill(words), figure, figure_with_interval(metrics, f"brightness/{key}"))
    table.add_section()
    for kind, words in MEDIANS.items():
        if (key := f"patch/sad_median_{kind}") in metrics:
            table.add_row(f"median SAD, {terms.fill(words)}", f"{metrics[key]:.2f}", "")
    return table


def print_decisions(
    console: Console, metrics: dict[str, float], normals: int | None, terms: Vocabulary, whose: str = HELD_OUT
) -> None:
    """Print results of conformal decisions beside the oracle, and the modality of the histogram.

    Args:
        console: Console to print to.
        metrics: Figures by key, as in `metrics.json`.
        normals: Number of held-out normal radiographs behind the decisions, or None where not known.
        terms: Words of the run.
        whose: Name of these normals, as "held-out normals".
    """
    if "false_alarms/image" in metrics:
        by = f" by {normals} {whose}" if normals else ""
        line = (
            f"false alarms: declared {metrics['false_alarms/declared']:.3f}{by}, on unseen normal {terms.images} "
            f"{figure_with_interval(metrics, 'false_alarms/image')}"
        )
        if "false_alarms/patch" in metrics:
            line += (
                f", on patches of unseen normal {terms.region} {figure_with_interval(metrics, 'false_alarms/patch')}"
            )
        console.print(line)
        if normals and (words := finest_step(normals, metrics["false_alarms/declared"], terms)):
            console.print(words)
    if "image/balanced_accuracy" in metrics:
        console.print(
            f"at that threshold: sensitivity {figure_with_interval(metrics, 'image/sensitivity')}, balanced accuracy "
            f"{metrics['image/balanced_accuracy']:.3f} (oracle threshold, chosen on the truth itself: "
            f"{metrics['oracle/image_balanced_accuracy']:.3f})"
        )
    print_as_published(console, metrics)
    if "modality/dip" in metrics:
        humps = "nothing speaks against one hump" if one_hump(metrics["modality/dip_p"]) else "more than one hump"
        count = metrics["modality/components"]
        console.print(
            f"scores of windows of {terms.abnormal} {terms.images} (Fig. 9): {humps} (dip test, p = "
            f"{metrics['modality/dip_p']:.3g}), best described by {counted(int(count), 'bell curve')} (BIC)"
        )


def print_as_published(console: Console, metrics: dict[str, float]) -> None:
    """Print what tables of published benchmarks give beside AUROC and average precision: best F1 and best Dice.

    Both are oracles, so each stands beside what calling everything anomalous gives.

    Args:
        console: Console to print to.
        metrics: Figures by key, as in `metrics.json`.
    """
    names = {"oracle/image_f1": "image F1", "oracle/dice": "pixel Dice"}
    found = [
        f"{name} {metrics[key]:.3f} (all called anomalous: {metrics[f'{key}_of_all']:.3f})"
        for key, name in names.items()
        if f"{key}_of_all" in metrics
    ]
    if found:
        console.print(
            f"as published tables have it, at thresholds chosen on the truth itself (oracle): best {', '.join(found)}"
        )


def kept_words(scored: int, kept: int) -> str:
    """Describe in words which windows were kept.

    Args:
        scored: Stride of the scored windows, in pixels.
        kept: Stride of the kept windows, in pixels.

    >>> kept_words(1, 4), kept_words(4, 12), kept_words(20, 20)
    ('every 4th window each way, stride 4', 'every 3rd window each way, stride 12', 'every window, stride 20')
    """
    every = kept // scored
    if every == 1:
        return f"every window, stride {kept}"
    ending = "th" if every % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(every % 10, "th")
    return f"every {every}{ending} window each way, stride {kept}"


def left_out(omitted: dict[str, str]) -> list[str]:
    """Return reasons why metrics were left out, each with its keys; keys of brightness and shortcuts are skipped.

    Args:
        omitted: Key -> reason.

    >>> left_out({"patch/macro_f1": "no masks", "brightness/patch/macro_f1": "no masks", "pixel/auroc": "no masks"})
    ['no masks: patch/macro_f1, pixel/auroc']
    """
    by_reason: dict[str, list[str]] = {}
    for key, reason in omitted.items():
        if not key.startswith(("brightness/", "shortcut/")):
            by_reason.setdefault(reason, []).append(key)
    return [f"{reason}: {', '.join(keys)}" for reason, keys in by_reason.items()]


def print_left_out(console: Console, omitted: dict[str, str]) -> None:
    """Print the metrics that were left out, a line for each reason.

    Args:
        console: Console to print to.
        omitted: Key -> reason.
    """
    for words in left_out(omitted):
        console.print(f"[yellow]left out, {words}[/yellow]")


def hint_of_matching(found: dict[str, Any]) -> str:
    """Suggest `matched=true`, in a template, if a shortcut is strong and matching was not requested; else empty.

    Args:
        found: Content of `metrics.json`.

    >>> hint_of_matching({"shortcut/image/lung_sharpness": 0.1, "about": {"omitted": {}}})
    'lower {region} sharpness alone ranks {images} with 0.900: matched=true equalises sharpness and grey levels first'
    """
    best = strongest_shortcut(found, "image/auroc")
    asked = any("image/auroc_matched" in one for one in (found, found["about"]["omitted"]))
    if asked or best is None or strength(best.auroc) < STRONG:
        return ""
    finding = f"{best.words} alone ranks {{images}} with {strength(best.auroc):.3f}"
    return f"{finding}: matched=true equalises sharpness and grey levels first"


def verdict(metrics: dict[str, float]) -> str:
    """Compare the AUROC for anomalies at the finest resolution with the best shortcut's, in a template; else empty.

    Args:
        metrics: Figures of a `metrics.json`.

    >>> verdict({"image/auroc": 0.43, "shortcut/image/brightness": 0.73}).partition(" (")[0]
    'verdict: higher brightness alone ranks {images} better'
    """
    for key, words in _DECISIVE.items():
        best = strongest_shortcut(metrics, key)
        if key in metrics and best is not None:
            found, alone = metrics[key], strength(best.auroc)
            low = metrics.get(f"{key}_low", found)
            if found <= alone:
                return (
                    f"verdict: {best.words} alone ranks {words} better ({alone:.3f}) than the score ({found:.3f}), "
                    "so this AUROC is no evidence that the {region} was looked at; why: docs/numbers.md"
                )
            if low <= alone:
                return (
                    f"verdict: the score ranks {words} ({found:.3f}) hardly better than {best.words} alone "
                    f"({alone:.3f}), which lies within its interval"
                )
            return f"verdict: the score ranks {words} ({found:.3f}) better than {best.words} alone ({alone:.3f})"
    return ""


def show_evaluation(console: Console, metrics: dict[str, Any], title: str, reasons: bool) -> None:
    """Print the headline table of an evaluation, its decisions, omissions and verdict.

    Args:
        console: Console to print to.
        metrics: Content of `metrics.json`.
        title: Heading of the table.
        reasons: Whether to print the reason of each omission, not only their number.
    """
    about = metrics["about"]
    terms = Vocabulary.kept_in(about)
    console.print(headline_table(about["score"], metrics, title, terms))
    console.print(
        f"{metrics['counts/images']} {terms.images} ({metrics['counts/images_normal']} normal, "
        f"{metrics['counts/images_pneumonia']} {terms.abnormal}, {metrics['counts/images_other']} other) of "
        f"{metrics['counts/patients']} {terms.patients}; {metrics['counts/patches']:,} patches, "
        f"{metrics['counts/patches_mixed']:,} of them mixed and left out of the patch metrics"
    )
    scored = metrics.get("counts/windows_scored", metrics["counts/patches"])
    if scored != metrics["counts/patches"]:
        strides = about["strides"]
        console.print(
            f"patch figures: {kept_words(strides['scored'], strides['kept'])} (kept_windows); maps and image scores "
            f"are of all {scored:,} windows"
        )
    whose = normals_of(about["calibrate"]) if about.get("calibrate") else HELD_OUT
    print_decisions(console, metrics, about.get("held_out_normals"), terms, whose)
    for key, words in (
        ("images_seen_in_training", "seen in training"),
        ("images_skipped", "skipped"),
        ("images_without_lung", f"without {terms.region}"),
    ):
        if count := metrics.get(f"counts/{key}"):
            console.print(f"[yellow]{count} {terms.image if count == 1 else terms.images} {words}[/yellow]")
    if reasons:
        print_left_out(console, about["omitted"])
    elif omitted := left_out(about["omitted"]):
        count = sum(words.count(",") + 1 for words in omitted)
        console.print(f"[yellow]left out: {count} figures; reasons in {SUMMARY}[/yellow]")
    for line in filter(None, (verdict(metrics), hint_of_matching(metrics))):
        console.print(f"[bold]{terms.fill(line)}[/bold]")


def write_summary(output: Path, metrics: dict[str, Any], title: str) -> None:
    """Write the output of `print_evaluation`, with the reason of each omission, as text of 80 columns.

    Args:
        output: Folder of the evaluation.
        metrics: Content of `metrics.json`.
        title: Heading of the table.
    """
    text = StringIO()
    show_evaluation(Console(file=text, width=80, highlight=False), metrics, title, reasons=True)
    write_text(output / SUMMARY, text.getvalue())


def print_evaluation(output: Path, title: str) -> None:
    """Print an evaluation, and its folder on a line that is not broken.

    Args:
        output: Folder with `metrics.json`.
        title: Heading of the table.
    """
    show_evaluation(Console(highlight=False), read_metrics(output), title, reasons=is_verbose())
    print(f"tables and figures: {output}")
