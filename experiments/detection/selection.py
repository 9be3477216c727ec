"""What is chosen without labels: `python experiments/detection/selection.py run=RUN output=DIR`.

Families that were not trained on (`module.unseen`) are drawn into the run's held-out normals. On these are compared

- read-outs: what makes one score of a radiograph's map, by how well it tells radiographs with a drawing from those
  without (`readouts.csv`);
- checkpoints: those of `RUN/every`, if the run kept any, by the pixels of the lung; and beside that what radiologists'
  masks say of the same checkpoints, with the rank correlation of the two (`checkpoints.csv`). The masks choose nothing.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from scipy import ndimage
from scipy.stats import spearmanr

from pneumo_ad.data.radiographs import Radiographs
from pneumo_ad.data.sources import masks
from pneumo_ad.drawings import Drawn
from pneumo_ad.errors import ConfigError, DataError
from pneumo_ad.files import write_text
from pneumo_ad.labels import HEALTHY_LUNG, IN_OPACITY
from pneumo_ad.lungs import AutoFields
from pneumo_ad.metrics.ranking import auroc
from pneumo_ad.modules import DrawingDetector
from pneumo_ad.runs.run import Run, load_run

_AT_ONCE = 16  # radiographs
_TIMES = 4  # that each radiograph is drawn into
_SHARES = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 1.0)  # of the lung's pixels, the highest


def main(arguments: list[str]) -> None:
    """The command."""
    given = dict(argument.partition("=")[::2] for argument in arguments)
    if set(given) != {"run", "output"}:
        raise ConfigError(f"expected run=RUN output=DIR, got {' '.join(arguments) or 'nothing'}")
    run, output = load_run(given["run"]), Path(given["output"])
    drawn, lung = drawn_validation(run)
    maps = maps_of(run, drawn.x)
    shown = drawn.mask.flatten(1).any(dim=1).numpy()
    table = pd.DataFrame([{"read-out": n, "auroc": auroc(v, shown)} for n, v in readouts(maps, lung).items()])
    table = table.sort_values("auroc", ascending=False)
    output.mkdir(parents=True, exist_ok=True)
    write_text(output / "readouts.csv", table.to_csv(index=False, float_format="%.4f"))
    print(table.to_string(index=False, float_format="%.4f"))
    if files := sorted(run.folder.glob("every/*.ckpt"), key=lambda file: int(file.stem.partition("=")[2])):
        table = checkpoints(run, files, drawn, lung)
        write_text(output / "checkpoints.csv", table.to_csv(index=False, float_format="%.4f"))
        print(table.to_string(index=False, float_format="%.4f"))
        for name in table.columns[2:]:
            rank = spearmanr(table["drawn, pixel in lung"], table[name]).statistic
            print(f"rank correlation of the drawn with {name}: {rank:.2f}; over the last third {_last(table, name)}")


def drawn_validation(run: Run) -> tuple[Drawn, npt.NDArray[np.bool_]]:
    """Held-out normals with drawings of families that were not trained on, several of each; and (N, H, W) their lungs.

    Raises:
        ConfigError: The run's module draws none.
    """
    if not isinstance(run.module, DrawingDetector) or run.module.unseen is None:
        raise ConfigError(f"{run.folder}: its module draws no families that it was not trained on (module.unseen)")
    data, parts, fields = run.radiographs, [], []
    rows = data.rows("val")
    rows = rows[np.random.default_rng(0).permutation(len(rows))]  # a blend is of another in the batch
    for time in range(_TIMES):
        for number, first in enumerate(range(0, len(rows), _AT_ONCE)):
            part = rows[first : first + _AT_ONCE]
            x = torch.from_numpy(np.asarray(data.images[part]))[:, None].float() / 255
            lung = torch.from_numpy(np.asarray(data.lung_fields[part]))[:, None].float()
            parts.append(run.module.unseen(x, lung, run.module.generator(time, number, x.device)))
            fields.append(lung[:, 0].numpy() > 0)
    return Drawn(*(torch.cat(both) for both in zip(*parts, strict=True))), np.concatenate(fields)


@torch.inference_mode()
def maps_of(run: Run, x: torch.Tensor) -> npt.NDArray[np.float32]:
    """(N, H, W) the run's score of each pixel.

    Args:
        run: Opened.
        x: (N, 1, H, W) in [0, 1].
    """
    score, net = run.module.score, run.module.net
    return torch.cat([score.residual_map(part, net(part))[:, 0] for part in x.split(_AT_ONCE)]).numpy()


def readouts(maps: npt.NDArray[np.float32], lung: npt.NDArray[np.bool_]) -> dict[str, npt.NDArray[np.float64]]:
    """By name, one score of each radiograph.

    Args:
        maps: (N, H, W) in [0, 1].
        lung: (N, H, W) lung fields.
    """
    inside = [np.sort(one[field])[::-1] if field.any() else np.zeros(1) for one, field in zip(maps, lung, strict=True)]
    found = {
        f"mean of the highest {share:.1%}": np.array([own[: max(1, int(share * len(own)))].mean() for own in inside])
        for share in _SHARES
    }
    found["highest"] = np.array([own[0] for own in inside])
    found["area above 0.5"] = np.array([(own > 0.5).mean() for own in inside])
    found["largest connected area above 0.5"] = np.array(
        [_largest((one > 0.5) & field) / max(field.sum(), 1) for one, field in zip(maps, lung, strict=True)]
    )
    return found


def _largest(mask: npt.NDArray[np.bool_]) -> int:
    labels, count = ndimage.label(mask)
    return int(np.bincount(labels.ravel())[1:].max()) if count else 0


def checkpoints(run: Run, files: list[Path], drawn: Drawn, lung: npt.NDArray[np.bool_]) -> pd.DataFrame:
    """A row per checkpoint: pixels of the lung on drawn validation, and on each set of masks that is there.

    Args:
        run: Opened.
        files: Files of its checkpoints.
        drawn: See `drawn_validation`.
        lung: (N, H, W) lung fields.
    """
    folder, side = Path(os.environ.get("PNEUMO_AD_DATA", "/nonexistent")), run.radiographs.grid.image_size
    sets = {}
    for name in ("opacity_masks", "shenzhen_tb", "tbx11k_boxes"):
        try:
            table = masks(folder / name, labels={"tuberculosis": "pneumonia"}, split="test")
        except DataError as reason:
            print(f"{name}: {reason}")
            continue
        table = table[table["label"] != "normal"].reset_index(drop=True)
        sets[name] = Radiographs(table, side, lungs=AutoFields(), patch=32, stride=20, on_error="skip")
    rows = []
    for file in files:
        one = load_run(run.folder, checkpoint=str(file))
        found = maps_of(one, drawn.x)[lung]
        row = {"epoch": int(file.stem.partition("=")[2]) + 1}
        row["drawn, pixel in lung"] = auroc(found, drawn.mask[:, 0].numpy()[lung] > 0)
        for name, data in sets.items():
            row[name] = _in_lung(one, data)
        rows.append(row)
    return pd.DataFrame(rows)


def _in_lung(run: Run, data: Radiographs) -> float:
    rows = [row for row in data.rows(None) if data.truth.known[row]]
    x = torch.from_numpy(np.asarray(data.images[rows]))[:, None].float() / 255
    truth = np.stack([data.truth.pixels(row) for row in rows])
    asked = (truth == IN_OPACITY) | (truth == HEALTHY_LUNG)
    return auroc(maps_of(run, x)[asked], truth[asked] == IN_OPACITY)


def _last(table: pd.DataFrame, name: str) -> str:
    """From least to most over the last third of the checkpoints."""
    last = table[name].iloc[-max(1, len(table) // 3) :]
    return f"{last.min():.3f} to {last.max():.3f}"


if __name__ == "__main__":
    main(sys.argv[1:])
