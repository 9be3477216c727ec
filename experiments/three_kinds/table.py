"""One table and one plot of many evaluations: python experiments/three_kinds/table.py NAME=GLOB ... [plot=FILE.png].

GLOB names the metrics.json of the seeds of one configuration.
"""

import statistics
import sys
from glob import glob
from pathlib import Path

from matplotlib.figure import Figure

from pneumo_ad.metrics.metrics_json import read_metrics

COLUMNS = {
    "patch/auroc_opacity_vs_healthy": "opacity / healthy",
    "patch/auroc_outside_vs_healthy": "outside / healthy",
    "patch/macro_f1": "macro-F1",
    "oracle/macro_f1": "oracle macro-F1",
    "pixel/auroc_in_lung": "pixel, in lung",
    "pixel/pro_in_lung": "PRO, in lung",
    "pixel/pointing_game_in_lung": "pointing, in lung",
}
SHORTCUTS = {"brightness", "contrast", "sharpness"}
OPACITY = "patch/auroc_opacity_vs_healthy"


def cell(runs: list[dict[str, float]], key: str) -> str:
    """Mean over seeds, ± sd where there are several, and the mean of their intervals by patient."""
    values = [run[key] for run in runs if key in run]
    if not values:
        return "–"
    text = f"{statistics.mean(values):.3f}"
    if len(values) > 1:
        text += f" ± {statistics.stdev(values):.3f}"
    if f"{key}_low" in runs[0] and not key.startswith("oracle/"):
        low, high = (statistics.mean(run[f"{key}_{end}"] for run in runs) for end in ("low", "high"))
        text += f" ({low:.2f}–{high:.2f})"
    return text


def plot(rows: dict[str, list[dict[str, float]]], path: Path) -> None:
    """A point per seed and the mean interval, brightness as a line."""
    names = [name for name in rows if OPACITY in rows[name][0]]
    figure = Figure(figsize=(6.6, 0.27 * len(names) + 1.0), layout="constrained")
    axis = figure.subplots()
    for place, name in enumerate(reversed(names)):
        runs = rows[name]
        low, high = (statistics.mean(run[f"{OPACITY}_{end}"] for run in runs) for end in ("low", "high"))
        axis.plot([low, high], [place, place], color="0.75", linewidth=3, solid_capstyle="butt")
        axis.plot([run[OPACITY] for run in runs], [place] * len(runs), "o", color="#d95f02", markersize=4)
    brightness = next(iter(rows.values()))[0][f"brightness/{OPACITY}"]
    axis.axvline(brightness, color="black", linestyle="--", linewidth=1)
    axis.text(
        brightness, len(names) - 0.3, " brightness alone", fontsize=7, va="bottom", ha="center", backgroundcolor="white"
    )
    axis.axvline(0.5, color="0.6", linewidth=0.8)
    axis.set_yticks(range(len(names)), list(reversed(names)), fontsize=8)
    axis.set_ylim(-0.6, len(names) + 0.4)
    axis.set_xlabel(
        "patch AUROC, opacity against healthy lung\n(a point per seed; bars: 95 % interval by patient)", fontsize=8
    )
    axis.tick_params(axis="x", labelsize=8)
    axis.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=200)


def main(arguments: list[str]) -> None:
    """Print the table, scores that need no model last."""
    options = dict(argument.split("=", 1) for argument in arguments)
    picture = options.pop("plot", None)
    rows = {
        name: [read_metrics(Path(file).parent) for file in sorted(glob(where))]  # noqa: PTH207 - absolute patterns too
        for name, where in options.items()
    }
    empty = [name for name, runs in rows.items() if not runs]
    if empty:
        raise SystemExit(f"no metrics.json found for {', '.join(empty)}")
    first = next(iter(rows.values()))[0]
    print(f"| configuration | seeds | {' | '.join(COLUMNS.values())} |")
    print("|---|" + "---|" * (len(COLUMNS) + 1))
    for name, runs in rows.items():
        print(f"| {name} | {len(runs)} | {' | '.join(cell(runs, key) for key in COLUMNS)} |")
    brightness = {
        key.removeprefix("brightness/"): value for key, value in first.items() if key.startswith("brightness/")
    }
    print(f"| *brightness alone* |  | {' | '.join(cell([brightness], key) for key in COLUMNS)} |")
    for name in sorted(SHORTCUTS - {"brightness"}):
        levels = {
            OPACITY: "patch",
            "patch/auroc_outside_vs_healthy": "patch_outside",
            "pixel/auroc_in_lung": "pixel_in_lung",
        }
        own = {key: first.get(f"shortcut/{level}/{name}") for key, level in levels.items()}
        cells = (f"{own[key]:.3f}" if own.get(key) is not None else "–" for key in COLUMNS)
        print(f"| *{name} alone* |  | {' | '.join(cells)} |")
    if picture:
        plot(rows, Path(picture))


if __name__ == "__main__":
    main(sys.argv[1:])
