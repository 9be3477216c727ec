"""What a large data set costs, computed from measured rates; every assumption stands here.

python experiments/scale/cost.py experiments/scale/rates_cpu.json [--radiographs 377110]
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from pneumo_ad.patches import PatchGrid

RADIOGRAPHS = 377_110  # MIMIC-CXR-JPG 2.0 (Johnson et al. 2019): JPEG of about 2544 x 3056 pixels
MEGABYTES = 1.7  # of a file
NORMAL, TRAINING = 1 / 3, 0.7  # "No Finding" as its labels have it, about; share of patients that is trained on
SIDE, PATCH, STRIDE = 512, 32, 4
ARRAYS = 2  # bytes a pixel on disk: radiograph and lung field; masks that a set does not have take no room
SHARDS = 64
MACHINES = (1, 8, 64)
PER_EPOCH = 2_000_000  # `per_epoch`: patches drawn from all of them in an epoch
READING = 200e6  # bytes per second that a machine gets from where the files, or the stores, lie


def span(seconds: float) -> str:
    """A duration in the unit that fits.

    >>> span(90), span(7200), span(300000)
    ('1.5 min', '2.0 h', '3.5 d')
    """
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= (2 * length if unit == "d" else length):
            return f"{seconds / length:.1f} {unit}"
    return f"{seconds:.0f} s"


def costs(rates: dict[str, float], count: int, machines: int) -> dict[str, str]:
    """By row of the table, what it takes on so many machines that are each like the one measured."""
    windows, side = len(PatchGrid((SIDE, SIDE), PATCH, STRIDE)), SIDE * SIDE
    mine = count / machines  # whole shards go round: 64 shards, 1, 8 or 64 machines
    reading = MEGABYTES * 1e6 / READING
    normal = count * NORMAL * TRAINING
    patches = normal * rates["normal_lung_windows"]
    # Every job reads the whole table; a machine starts one job per shard, or one for all (`shard=null`).
    table = (SHARDS / machines if machines > 1 else 1) * count / rates["listed_per_second"]
    opening = count / rates["listed_per_second"] + count / rates["opened_per_second"]
    looking = count * max(1 / rates["looked_through_per_second"], side / READING)
    indexing = 2 * normal / rates["indexed_per_second"]  # when the run begins, and by its loader
    return {
        "decode and fit": span(mine * max(1 / rates["decoded_per_second"], reading)),
        "find the lungs": span(mine / rates["segmented_per_second"]),
        "read the table, in all jobs of a machine": span(table),
        "disk, in one place": f"{count * side * ARRAYS / 1e9:,.0f} GB",
        "each run: list, key, open": span(opening),
        "each run: read lung fields, index normal lung": span(looking + indexing),
        f"epoch of {PER_EPOCH:,} patches": span(PER_EPOCH / rates["trained_per_second"]),
        f"epoch of all {patches / 1e6:,.0f} million": span(patches / rates["trained_per_second"]),
        f"score {windows:,} windows each": span(mine * windows / rates["windows_per_second"]),
        "the same by `scoring=dense`, with the halo that makes it exact": span(mine / rates["dense_per_second"]),
    }


def main() -> None:
    """Print the table as Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rates", type=Path, help="written by rates.py")
    parser.add_argument("--radiographs", type=int, default=RADIOGRAPHS)
    arguments = parser.parse_args()
    rates = json.loads(arguments.rates.read_text())
    columns = [costs(rates, arguments.radiographs, machines) for machines in MACHINES]
    print(f"{arguments.radiographs:,} radiographs; each machine: {rates['machine']} (commit {rates['commit']})\n")
    print(f"| machines | {' | '.join(map(str, MACHINES))} |\n|---|---|---|---|")
    for row in columns[0]:
        print(f"| {row} | {' | '.join(column[row] for column in columns)} |")


if __name__ == "__main__":
    main()
