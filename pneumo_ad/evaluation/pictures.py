"""The figures of an evaluation: the paper's Figs. 7 to 10, and anomaly maps."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from pneumo_ad import figures
from pneumo_ad.evaluation.examination import Examination
from pneumo_ad.metrics.kinds import HEALTHY, KINDS, OPACITY, OUTSIDE
from pneumo_ad.module import PatchAutoencoder
from pneumo_ad.runs import Run
from pneumo_ad.thresholds import Thresholds


def draw(folder: Path, run: Run, result: Examination, thresholds: Thresholds | None, unit: str) -> None:
    """Draw them into `folder`.

    Args:
        folder: Made where it is not there.
        run: Whose net reconstructs the panels' patches.
        result: Scored.
        thresholds: Of the run's score, or None where none could be fitted.
        unit: Of the run's score.
    """
    folder.mkdir(parents=True, exist_ok=True)
    data, evidence, scores = run.datamodule, result.evidence, result.window["score"]
    cuts = thresholds or ()
    name = type(run.module.score).__name__
    normal_lung = evidence.normal[:, None] & (evidence.lung_share == 1)
    groups = {"normal_lung": normal_lung, "pneumonia": np.broadcast_to(evidence.pneumonia[:, None], normal_lung.shape)}
    kinds = {KINDS[kind]: evidence.kind == kind for kind in (HEALTHY, OPACITY, OUTSIDE)}
    drawn: dict[str, figures.Figure | None] = {}
    if isinstance(run.module, PatchAutoencoder):
        drawn["fig07_normal_patches"] = _panel(run, result, normal_lung, "normal lung")
        drawn["fig08_pneumonia_patches"] = _panel(run, result, groups["pneumonia"], "pneumonia radiographs")
    drawn |= {
        "fig09_histogram": figures.score_histogram(
            {key: scores[chosen] for key, chosen in groups.items()}, cuts, f"{name} ({unit})"
        ),
        "fig09_histogram_by_kind": figures.score_histogram(
            {key: scores[chosen] for key, chosen in kinds.items()}, cuts, f"{name} ({unit})"
        ),
    }
    shown = result.shown
    images = [np.asarray(data.images[result.rows[i]]) for i in shown]
    opacities = [np.asarray(data.store.opacity[result.rows[i]]) for i in shown]
    table = data.store.table.iloc[result.rows]
    names = [f"{table['image'].iloc[i]}\n{table['label'].iloc[i]}" for i in shown]
    low, high = cuts or np.quantile(scores, [1 / 3, 2 / 3])
    ranges = [(float(scores.min()), low), (low, high), (high, float("inf"))]
    drawn["fig10_red_frames"] = figures.red_frames(images, scores[shown], data.grid, ranges, names, name, opacities)
    maps = list(result.maps.values())
    drawn["anomaly_maps"] = figures.anomaly_maps(images, maps, names, f"{name}\n({unit})", opacities)
    for title, figure in drawn.items():
        if figure is not None:
            figure.savefig(folder / f"{title}.png", dpi=200)


def _panel(run: Run, result: Examination, chosen: npt.NDArray[np.bool_], title: str) -> figures.Figure | None:
    """Eight windows at evenly spaced ranks of SAD, so that a panel shows the range and not a choice."""
    assert isinstance(run.module, PatchAutoencoder)
    data = run.datamodule
    places = np.argwhere(chosen)
    if not len(places):
        return None
    order = np.argsort(result.window["sad"][chosen], kind="stable")
    picked = places[order[np.linspace(0, len(order) - 1, min(8, len(order))).round().astype(int)]]
    where = np.column_stack([result.rows[picked[:, 0]], data.grid.positions[picked[:, 1]]])
    p = data.grid.patch
    patches = np.stack([data.images[row, top : top + p, left : left + p] for row, top, left in where])
    device = next(run.module.net.parameters()).device
    with torch.inference_mode():
        examined = run.module.examine(torch.from_numpy(patches)[:, None].to(device).float() / 255)
    x, y = (examined[key][:, 0].cpu().numpy() for key in ("x", "reconstruction"))
    ranks = "at evenly spaced ranks of SAD"
    return figures.reconstruction_panel(
        x, y, examined["sad"].cpu().numpy(), f"{title}, {len(places):,} patches, {ranks}"
    )
