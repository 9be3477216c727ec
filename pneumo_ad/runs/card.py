"""Card of a run in Markdown: what is trained on what, by which parameters and versions, and how to go on."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
from omegaconf import DictConfig, OmegaConf
from torch import nn

from pneumo_ad.labels import LABEL_WORDS, RADIOGRAPH, SPLITS, Vocabulary
from pneumo_ad.metrics.catalogue import HEADLINE, figure_with_interval
from pneumo_ad.runs.compose import vocabulary_of
from pneumo_ad.runs.record import read_run_json

# Rows of the card: a key of the config, and its words, templates of `Vocabulary.fill`.
_PARTS = {
    "corruption": "corruption of the input",
    "loss": "loss",
    "score": "score",
    "threshold": "threshold rule",
    "aggregate": "score of one {image}",
    "optimizer": "optimizer",
    "lungs": "{field}",
    "intensity": "grey levels",
}
_SIZES = {"image_size": "image", "patch": "patch", "stride": "stride", "halo": "halo"}
_AFTER_TRAIN = (
    "evaluate run={run}",
    "report run={run}",
    "predict run={run} input=DIR output=found",
    "train resume={run}",
)


def run_card(config: DictConfig, table: pd.DataFrame, net: nn.Module) -> str:
    """Write the card of a run whose training begins.

    Args:
        config: The composed config.
        table: Radiographs of the run, with columns `split` and `label`.
        net: The net that is trained.
    """
    plain = OmegaConf.to_container(config, resolve=True)
    assert isinstance(plain, dict)
    run_dir = Path(config.run_dir)
    story = read_run_json(run_dir)
    trains_patches = "patch" in plain
    terms = vocabulary_of(config) if trains_patches else RADIOGRAPH
    parameters = sum(parameter.numel() for parameter in net.parameters())
    trainer = plain["trainer"]
    rows = {
        "net": f"{_made_by(plain['net']) if 'net' in plain else type(net).__name__}, {parameters:,} parameters",
        "data": _made_by(plain["data"]),
        **{f"{terms.images}, {split}": words for split in SPLITS if (words := _counts(table, split, terms))},
        "sizes in pixels": ", ".join(f"{words} {plain[key]}" for key, words in _SIZES.items() if key in plain),
        f"patches of normal {terms.region}": ", ".join(
            f"{story[key]:,} in {words}"
            for key, words in (("patches_train", "training"), ("patches_val", "validation"))
            if key in story and plain.get("view") == "patch"
        ),
        **{
            terms.fill(words): _made_by(plain[key]) for key, words in _PARTS.items() if isinstance(plain.get(key), dict)
        },
        "training": ", ".join(
            f"{words} {value}"
            for words, value in (
                ("epochs", trainer.get("max_epochs")),
                ("batch size", plain.get("batch_size", plain["datamodule"].get("batch_size"))),
                ("seed", plain.get("seed")),
                ("precision", trainer.get("precision")),
            )
        ),
        "command": f"`pneumo-ad {shlex.join(['train', *story.get('command', [])])}`" if trains_patches else "",
        "run folder": f"`{run_dir.absolute()}`",
        "versions": ", ".join(
            f"{name} {story[name]}" for name in ("pneumo_ad", "torch", "lightning", "python") if name in story
        ),
        "commit": story.get("commit") or "",
        "machine": story.get("machine", ""),
    }
    lines = [f"# {plain.get('name', run_dir.name)}: {run_dir.name}", "", *_table(("part", "of this run"), rows)]
    if trains_patches:
        run = shlex.quote(os.path.relpath(run_dir))
        lines += ["", "What to do with it, from the folder where it was begun:", "", "```bash"]
        lines += [*(f"pneumo-ad {command.format(run=run)}" for command in _AFTER_TRAIN), "```"]
    return "\n".join(lines) + "\n"


def results_card(metrics: Mapping[str, Any]) -> str:
    """Write the headline metrics with their intervals, and the reasons for those left out.

    Args:
        metrics: Content of `metrics.json`.
    """
    about = metrics["about"]
    terms = Vocabulary.kept_in(about)
    named = headline_words(terms).items()
    found = {words: figure_with_interval(metrics, key) for key, words in named if key in metrics}
    left = {words: about["omitted"][key] for key, words in named if key in about["omitted"]}
    lines = [f"# Measured on the {about['subset']} split", "", f"In brackets the 95 % interval by {terms.patient}.", ""]
    lines += _table(("metric", about["score"]), found)
    if left:
        lines += ["", "Left out:", "", *_table(("metric", "reason"), left)]
    return "\n".join(lines) + "\n"


def headline_words(terms: Vocabulary = RADIOGRAPH) -> dict[str, str]:
    """Return the headline metrics in words that stand alone: key -> words.

    Args:
        terms: Words of the run.

    >>> headline_words()["pixel/auroc_in_lung"]
    'pixel AUROC opacity / rest, in the lung'
    """
    words: dict[str, str] = {}
    above = ""
    for key, text in HEADLINE.items():
        words[key] = terms.fill(f"{above}, {text.strip()}" if text.startswith(" ") else text)
        above = above if text.startswith(" ") else text
    return words


def _table(header: tuple[str, str], rows: Mapping[str, str]) -> list[str]:
    cells = [header, ("---", "---"), *((name, value) for name, value in rows.items() if value)]
    return [f"| {name} | {value} |" for name, value in ((a, b.replace("|", "\\|")) for a, b in cells)]


def _counts(table: pd.DataFrame, split: str, terms: Vocabulary) -> str:
    """Count the radiographs of a split by label."""
    counts = table.loc[table["split"] == split, "label"].value_counts().sort_index()
    return ", ".join(f"{count:,} {terms.fill(LABEL_WORDS[str(label)])}" for label, count in counts.items())


def _made_by(node: Any) -> str:
    """Write a config node as the call that it stands for.

    >>> _made_by({"_target_": "pneumo_ad.nets.VAE", "width": 8, "of": {"_target_": "a.B"}})
    'VAE(width=8, of=B())'
    """
    if not isinstance(node, dict):
        return str(node)
    arguments = ", ".join(f"{key}={_made_by(value)}" for key, value in node.items() if not key.startswith("_"))
    return f"{str(node.get('_target_', '')).rpartition('.')[2]}({arguments})"
