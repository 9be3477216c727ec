"""How far and how fast `scoring=dense` is beside exact windows, for a trained run.

    python experiments/performance/deviation.py RUN [key=value ...] [--halos 0 12] [--images 2] [--repeats 5]

Prints the deviation that an evaluation measures, and the seconds of scoring some test radiographs both ways, in turn in
one process.
"""

from __future__ import annotations

import argparse
import statistics
from collections import deque
from dataclasses import replace

from ratios import alternate

from pneumo_ad.errors import UserError
from pneumo_ad.evaluation.deviation import measure_deviation
from pneumo_ad.evaluation.evidence import gather_evidence
from pneumo_ad.evaluation.scoring import scoring_of
from pneumo_ad.evaluation.subset import chosen_rows
from pneumo_ad.runs import load_run


def measure(run_dir: str, overrides: list[str], halo: int, images: int, repeats: int) -> None:
    """Deviation and seconds with one halo."""
    run = load_run(run_dir, [*overrides, "scoring=dense", f"halo={halo}"])
    data, scoring = run.datamodule, scoring_of(run)
    rows = chosen_rows(run)[0]
    known = rows[data.truth.known[rows]][:50]
    rows = known if len(known) else rows
    deviation = measure_deviation(scoring, data, rows, gather_evidence(data, rows).pixel_truth)
    ways = {mode: replace(scoring, mode=mode) for mode in ("windows", "dense")}
    device = next(scoring.net.parameters()).device
    times = alternate(
        repeats,
        device,
        **{
            mode: lambda way=way: deque(way(data, rows[:images], None, maps=True, alone=True), maxlen=0)
            for mode, way in ways.items()
        },
    )
    seconds = {mode: statistics.median(found) / images for mode, found in times.items()}
    faster = [a / b for a, b in zip(times["windows"], times["dense"], strict=True)]
    print(f"halo={halo} (exact from {deviation.needed} on): {deviation}")
    print(
        f"  per radiograph {seconds['windows']:.3f} s by windows, {seconds['dense']:.3f} s densely, "
        f"{statistics.median(faster):.1f} times ({min(faster):.1f} to {max(faster):.1f})"
    )


def main() -> None:
    """Print a line per halo."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run")
    parser.add_argument("overrides", nargs="*")
    parser.add_argument("--halos", type=int, nargs="+", default=[0, 12])
    parser.add_argument("--images", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    for halo in arguments.halos:
        try:
            measure(arguments.run, arguments.overrides, halo, arguments.images, arguments.repeats)
        except UserError as reason:
            print(f"halo={halo}: {reason}")


if __name__ == "__main__":
    main()
