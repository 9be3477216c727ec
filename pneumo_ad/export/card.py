"""Model card of an exported model (after Mitchell et al. 2019, FAT*), written from the records of the run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from pneumo_ad.export.card_figures import false_alarms_in_words, measured
from pneumo_ad.export.description import ModelDescription
from pneumo_ad.labels import LABEL_WORDS, Vocabulary
from pneumo_ad.metrics.catalogue import HEADLINE
from pneumo_ad.metrics.thresholds import LikeliestKinds

MISSING = "not recorded in the run folder"


@dataclass(frozen=True)
class Record:
    """Records of a run folder for its model card; empty where a file is missing.

    Attributes:
        config: The run's config with the overrides of the export, plain.
        story: Content of `run.json`.
        metrics: Content of `metrics.json`.
        split: Table `split.csv` with columns image, patient, label, split; None without the file.
        source: Description of the data, from the docstring of the data source.
        overrides: Overrides of the run's config that the export was given, `key=value`.
        checkpoint: Name of the checkpoint that was exported.
    """

    config: Mapping[str, Any]
    story: Mapping[str, Any]
    metrics: Mapping[str, Any]
    split: pd.DataFrame | None
    source: str
    overrides: tuple[str, ...]
    checkpoint: str


def model_card(model: ModelDescription, record: Record) -> str:
    """Write the model card in Markdown.

    Args:
        model: Description of the model, with its parity.
        record: Records of the run.
    """
    normals, rate, terms = len(model.standard.normals), model.standard.false_alarm_rate, model.vocabulary
    changes = ", ".join(f"`{_without_path(one)}`" for one in record.overrides)
    parts = {
        "What it is": _what(model, record),
        "Data": _data(record, terms),
        "Training": _training(record),
        "What was measured": measured(record.metrics, HEADLINE, changes, terms),
        "False alarms": false_alarms_in_words(record.metrics, normals, rate, terms),
        "Limits": _limits(record, terms),
        "Export": _export(model),
        "How to use it": _usage(model),
        "Licence": "The code is Apache-2.0. The weights were learnt from the data named above, whose licence may bind "
        "them too.",
    }
    sections = "\n\n".join(f"## {title}\n\n{text}" for title, text in parts.items())
    warning = f"**For research.** {terms.warning}".strip()
    return f"# {record.config['name']}: anomaly map and score of {terms.images}\n\n{warning}\n\n{sections}\n"


def _what(model: ModelDescription, record: Record) -> str:
    (height, width), terms = model.grid.image_size, model.vocabulary
    net = _class(record.config["net"])
    sees = {
        "patch": f"sees windows of {model.grid.patch} x {model.grid.patch} pixels, one every {model.grid.stride}",
        "image": f"sees the whole {terms.image}",
    }[model.view]
    return (
        f"`{net}` {sees}, of {terms.images} fitted to {height} x {width} pixels (`{model.fit}`). "
        f"`{model.standard.score}` ({model.standard.unit}; higher is more anomalous) makes an anomaly map and a score "
        f"of each window, `{_class(record.config['aggregate'])}` of the "
        f"{record.config['aggregate'].get('of', 'patches')} in the {terms.field} one score of the {terms.image}, and "
        f"its percentile among {len(model.standard.normals)} held-out normal {terms.images} says how unusual that is. "
        f"{_kinds(model)}It was trained on normal {terms.images}, without a label of any {terms.anomaly}."
    )


def _kinds(model: ModelDescription) -> str:
    """Sentence on the kinds that each window is classified as; empty without thresholds."""
    thresholds = model.standard.thresholds
    if thresholds is None:
        return ""
    kinds = model.vocabulary.fill(f"{', '.join(thresholds.words[:-1])} or {thresholds.words[-1]}")
    how = ", whichever the net finds likeliest in it" if isinstance(thresholds, LikeliestKinds) else ""
    return f"Each window by itself is classified as {kinds}{how}. "


def _data(record: Record, terms: Vocabulary) -> str:
    text = record.source or f"Description of the data: {MISSING}."
    if record.split is None:
        return f"{text}\n\nCounts: {MISSING} (no split.csv)."
    classes = terms.fill(" | ".join(LABEL_WORDS.values()))
    rows = [f"| split | {classes} | {terms.patients} |", "|---|---|---|---|---|"]
    for split, part in record.split.groupby("split", sort=False):
        counts = part["label"].value_counts()
        cells = [str(counts.get(label, 0)) for label in LABEL_WORDS]
        rows.append(f"| {split} | {' | '.join(cells)} | {part['patient'].nunique()} |")
    table = "\n".join(rows)
    split_by = f"Split by {terms.patient}; training saw the normal {terms.images} of `train` alone:"
    return f"{text}\n\n{split_by}\n\n{table}"


def _training(record: Record) -> str:
    story, module = record.story, record.config["module"]
    facts = {
        "recipe": " ".join(f"`{_without_path(one)}`" for one in story.get("command", [])),
        "epochs, steps": f"{story['epochs']}, {story['steps']}" if {"epochs", "steps"} <= set(story) else "",
        "seed": story.get("seed", record.config.get("seed", "")),
        "module": _class(module),
        "loss": _class(module["loss"]) if "loss" in module else f"that of {_class(module)}",
        "corruption of the input": _class(module["corruption"]) if "corruption" in module else "none",
        "parameters": story.get("parameters", ""),
        "versions": ", ".join(f"{name} {story[name]}" for name in ("pneumo_ad", "torch", "lightning") if name in story),
        "commit": story.get("commit", ""),
        "checkpoint": record.checkpoint,
    }
    return "\n".join(f"- {name}: {MISSING if value in ('', None) else value}" for name, value in facts.items())


def _limits(record: Record, terms: Vocabulary) -> str:
    target = str(record.config.get("data", {}).get("_target_", ""))
    limits = {
        "phantom": "Trained on drawn radiographs only; it says nothing about patients.",
        "chest_xray": "Children of one to five years, of one hospital; its normal and pneumonia radiographs differ in "
        "sharpness, aspect and exposure, which any score may pick up. Not tested on adults.",
    }
    known = next((words for name, words in limits.items() if target.endswith(f".{name}")), None)
    lines = [
        known or f"Not tested on other sources, machines or {terms.patients} than those of the data above.",
        f"An anomaly is whatever normal training {terms.images} do not show. A low score is no sign that there is no "
        f"{terms.anomaly}.",
        terms.limits,
        f"Where no {terms.region} is found there is no score (NaN). Pixels outside the {terms.field} do not count.",
        f"Scores of other fits, sizes or software are not comparable with these percentiles: fit {terms.images} as "
        "`example.py` does.",
    ]
    return "\n".join(f"- {line}" for line in lines if line)


def _export(model: ModelDescription) -> str:
    files = ", ".join(f"`{name}`" for name in model.files.values())
    terms = model.vocabulary
    lungs = (
        f"`lungs` gives the probability of {terms.region}; pneumo_ad thresholds it at 0.5, drops small parts and fills "
        "holes, which a graph cannot do. `example.py` applies the threshold alone."
        if "lungs" in model.files
        else f"The run does not segment the {terms.region}: the whole {terms.image} counts as {terms.region}."
    )
    trust = (
        " Opening a `.pt2` file with torch.export.load can run code that somebody hid in it. These hold no pickle "
        "(weights are raw numbers, the graph is JSON), and pneumo_ad refuses one that does; take files from sources "
        "that you trust only."
        if model.format == "torch_export"
        else ""
    )
    parity = model.parity
    assert parity is not None  # parity is measured before the card is written
    return (
        f"Files: {files}; `model.json` names inputs, outputs, ranges, digests and held-out normals. {lungs}{trust}\n\n"
        f"Parity with the run in PyTorch on {parity['radiographs']} {parity['source']}: largest difference "
        f"{parity['anomaly_map']:.1e} (map), {parity['score']:.1e} (score), each as a share of the largest value; "
        f"{parity['percentile']:.1e} percent (percentile)."
    )


def _usage(model: ModelDescription) -> str:
    packages = {"onnx": "onnxruntime numpy pillow", "torch_export": "torch numpy pillow"}[model.format]
    return (
        f"```bash\npip install {packages}\npython example.py IMAGE.png MAP.png\n```\n\n"
        "With pneumo_ad, which also reads DICOM and 16 bit, and needs no run: `pneumo-ad predict run=THIS_FOLDER "
        "input=FILES output=DIR`."
    )


def _class(node: Any) -> str:
    """`{_target_: pneumo_ad.nets.VAE}` -> `VAE`."""
    return str(node["_target_"]).rpartition(".")[2] if node and "_target_" in node else ""


def _without_path(override: str) -> str:
    """`data.root=/somebody/s/folder` -> `data.root=folder`: cards are published, so paths are shortened."""
    key, equals, value = override.partition("=")
    return f"{key}{equals}{value.rstrip('/').rpartition('/')[2] if value.startswith(('/', '~', '.')) else value}"
