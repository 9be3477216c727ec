"""Evaluation of a trained classifier on held-out radiographs: predictions, Grad-CAM and metrics."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch

from pneumo_ad import figures
from pneumo_ad.classifier.attention import compare_with_area, grad_cam, share_inside
from pneumo_ad.classifier.data import RadiographDataModule
from pneumo_ad.classifier.module import RadiographClassifier
from pneumo_ad.data.evenly_spaced import evenly_spaced
from pneumo_ad.data.progress import progress_bar
from pneumo_ad.files import atomic_write, write_csv
from pneumo_ad.labels import NORMAL, PNEUMONIA, RADIOGRAPH
from pneumo_ad.metrics.classification import THRESHOLD, decision_metrics
from pneumo_ad.metrics.metrics_json import write_metrics
from pneumo_ad.metrics.shortcuts import shortcut_aurocs

FIGURE = "fig02_grad_cam"
# Result of Nagamura, Tokunaga and Okita 2019, § 3.1.
PAPER = {"accuracy": 0.876, "comparable": False, "reason": "the paper does not say on which radiographs"}
_SHOWN = {PNEUMONIA: 4, NORMAL: 2}  # radiographs in the figure


@dataclass(frozen=True)
class Classified:
    """Classified radiographs.

    Attributes:
        rows: (I,) int64 row numbers in the store.
        table: Table with a row per radiograph: `image`, `patient`, `label`, `split`, `probability` of pneumonia,
            `cam_share_in_lung` (NaN where Grad-CAM is 0 everywhere) and `lung_share_of_area`.
        shown: Positions in the table of the radiographs in the figure, evenly spaced by name within a class, so that
            none is hand-picked.
        images: (n, H, W) uint8 grey levels of the radiographs in the figure.
        cams: (n, H, W) float32 Grad-CAM of their pneumonia logit, at least 0.
        lung_fields: (n, H, W) uint8 lung fields of the same radiographs, 0 or 1.
        proportions: Proportions of the same radiographs.
    """

    rows: npt.NDArray[np.int64]
    table: pd.DataFrame
    shown: list[int]
    images: npt.NDArray[np.uint8]
    cams: npt.NDArray[np.float32]
    lung_fields: npt.NDArray[np.uint8]
    proportions: list[figures.Proportions]


def classify_split(classifier: RadiographClassifier, datamodule: RadiographDataModule) -> Classified:
    """Classify the radiographs of the test split; Grad-CAM is of the pneumonia logit for both classes.

    Args:
        classifier: Trained classifier in evaluation mode.
        datamodule: Data module of the radiographs with their splits.
    """
    net, store, fields = classifier.net.eval(), datamodule.radiographs.store, datamodule.radiographs.lung_fields
    rows = datamodule.rows("test")
    table = store.table.iloc[rows][["image", "patient", "label", "split"]].reset_index(drop=True)

    def look(pixels: torch.Tensor) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        x = pixels.to(classifier.device).float() / 255
        with torch.inference_mode():
            probability = net(x).float().sigmoid().cpu().numpy()
        return probability, grad_cam(net, net.norm, x)

    columns = []
    for batch in progress_bar(datamodule.in_order(rows), desc="Grad-CAM", unit="batch"):
        probability, cams = look(batch["patch"])
        lung_fields = np.asarray(fields[batch["where"][:, 0].numpy()])
        columns.append(np.stack([probability, share_inside(cams, lung_fields), lung_fields.mean(axis=(1, 2))]))
    table[["probability", "cam_share_in_lung", "lung_share_of_area"]] = np.concatenate(columns, axis=1).T
    places = {label: np.flatnonzero(table["label"] == label) for label in _SHOWN}
    shown = [int(places[label][i]) for label, count in _SHOWN.items() for i in evenly_spaced(len(places[label]), count)]
    pictures, outlines = np.asarray(store.images[rows[shown]]), np.asarray(fields[rows[shown]])
    cams = look(torch.from_numpy(pictures)[:, None])[1]
    shapes = figures.Proportions.of_rows(store.table.iloc[rows[shown]])
    return Classified(rows, table, shown, pictures, cams, outlines, shapes)


def measure_classifier(
    table: pd.DataFrame, shortcuts: Mapping[str, npt.NDArray[np.floating]]
) -> tuple[dict[str, float], dict[str, Any]]:
    """Compute metrics of classified radiographs, each with its 95 % interval as `<key>_low` and `<key>_high`.

    Args:
        table: Table of `Classified`.
        shortcuts: Name -> (I,) float trivial score of each radiograph.

    Returns:
        Metrics, and facts about them. Metrics are `accuracy`, `balanced_accuracy`, `sensitivity`, `specificity`
        (threshold 0.5, as in training) and `auroc`; for comparison `always_pneumonia/accuracy` and
        `shortcut/image/<name>` (AUROC); `cam/share_in_lung`, `cam/lung_share_of_area`, `cam/difference` and `cam/ratio`
        over radiographs with pneumonia, the same under `cam/normal/` over normal ones; `counts/...`.

    Raises:
        DataError: All radiographs are of one class.
    """
    truth = (table["label"] == PNEUMONIA).to_numpy()
    patients = table["patient"].to_numpy(dtype=str)
    intervals = decision_metrics(table["probability"].to_numpy(), truth, patients)
    aurocs, omitted = shortcut_aurocs(shortcuts, truth, ~truth, patients)
    intervals |= {f"shortcut/image/{name}": auroc for name, auroc in aurocs.items()}
    looks_nowhere = table["cam_share_in_lung"].isna()
    no_lung = table["lung_share_of_area"] == 0
    for prefix, chosen in (("cam/", truth), ("cam/normal/", ~truth)):
        usable = table[chosen & ~looks_nowhere & ~no_lung]
        if len(usable):
            shares, areas = (usable[name].to_numpy() for name in ("cam_share_in_lung", "lung_share_of_area"))
            compared = compare_with_area(shares, areas, usable["patient"].to_numpy(dtype=str))
            intervals |= {prefix + key: interval for key, interval in compared.items()}
    metrics = {name: value for key, interval in intervals.items() for name, value in interval.keyed(key).items()} | {
        "always_pneumonia/balanced_accuracy": 0.5,
        "counts/images": len(table),
        "counts/images_normal": int((~truth).sum()),
        "counts/images_pneumonia": int(truth.sum()),
        "counts/patients": int(table["patient"].nunique()),
        "counts/cam_zero_pneumonia": int((looks_nowhere & truth).sum()),
        "counts/cam_zero_normal": int((looks_nowhere & ~truth).sum()),
        "counts/images_without_lung": int(no_lung.sum()),
    }
    left_out = {
        "Grad-CAM is 0 everywhere": table.loc[looks_nowhere, "image"].tolist(),
        "no lung was found": table.loc[no_lung, "image"].tolist(),
    }
    about = {"threshold": THRESHOLD, "paper": PAPER, "left_out_of_cam": left_out}
    return metrics, about | {
        "omitted": {f"shortcut/image/{name}": RADIOGRAPH.fill(reason) for name, reason in omitted.items()}
    }


def write_examination(folder: Path, found: Classified, metrics: dict[str, float], about: dict[str, Any]) -> None:
    """Write `images.csv`, `figures/fig02_grad_cam.png` with its numbers as `.csv`, and the files of `write_metrics`.

    Args:
        folder: Folder to write to.
        found: Classified radiographs with their Grad-CAM.
        metrics: Metrics by key.
        about: Further entries of `metrics.json`.
    """
    (folder / "figures").mkdir(parents=True, exist_ok=True)
    shown = found.table.iloc[found.shown]
    for name, frame in (("images", found.table), (f"figures/{FIGURE}", shown)):
        write_csv(folder / f"{name}.csv", frame)
    names = [f"{row['image']}\n{row['label']}\np = {row['probability']:.2f}" for _, row in shown.iterrows()]
    drawn = figures.grad_cam_panel(
        list(found.images),
        list(found.cams),
        list(found.lung_fields),
        names,
        shown["cam_share_in_lung"].tolist(),
        found.proportions,
    )
    with atomic_write(folder / "figures" / f"{FIGURE}.png") as aside:
        drawn.savefig(aside, dpi=300, format="png")
    write_metrics(folder, metrics, about)  # last: its files imply that all others are complete
