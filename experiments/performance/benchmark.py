"""This project beside its peers and beside the bare parts that it is made of: ratios, side by side, on this machine.

    python experiments/performance/benchmark.py [--quick] [--only windows,tiles] [--threads 2]
    python experiments/performance/benchmark.py --page experiments/performance/README.md

Peers (MONAI, anomalib) are installed into an environment of their own, `experiments/performance/.peers` unless told,
which sees the packages of this one; the script then runs itself there. Without a network their rows say so.
A topic takes minutes; each is printed, and with `--page` written between its markers, as soon as it is through.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.metadata
import os
import platform
import re
import subprocess
import sys
import traceback
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

from peers import PeersError, environment  # noqa: E402

TOPICS = ("windows", "dense", "tiles", "batches", "training", "decode", "memory")  # modules beside this one
NAMED = ("torch", "monai", "anomalib", "pillow", "torchvision")  # whose versions a reader needs


def main() -> None:
    """Go where the peers are, then measure topic by topic."""
    arguments = parsed()
    there = Path(sys.prefix).resolve() == arguments.peers.resolve()
    if not arguments.without_peers and not there:
        try:
            interpreter = environment(arguments.peers.resolve())
        except PeersError as error:
            print(f"without peers: {error}", file=sys.stderr)
        else:
            os.execv(interpreter, [str(interpreter), __file__, *sys.argv[1:]])
    import torch
    from ratios import Setting, table

    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    setting = Setting(1 if arguments.quick else arguments.repeats, arguments.quick, torch.device(arguments.device))
    failed = []
    for topic in arguments.only:
        try:
            rows = importlib.import_module(topic).rows(setting)
        except (Exception, SystemExit) as error:  # half an hour of other topics shall not be lost with it
            traceback.print_exc()
            print(f"## {topic}\n\nFailed: {error}\n", flush=True)
            failed.append(topic)
            continue
        written = f"{table(rows)}\n\n{provenance(setting)}"
        print(f"## {topic}\n\n{written}\n", flush=True)
        if arguments.page:
            insert(arguments.page, topic, written)
    if failed:
        raise SystemExit(f"failed: {', '.join(failed)}")


def parsed() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one repeat of next to nothing: whether it runs")
    parser.add_argument("--only", type=chosen, default=TOPICS, help=f"some of {','.join(TOPICS)}")
    parser.add_argument("--repeats", type=int, default=5, help="of which medians are taken")
    parser.add_argument("--threads", type=int, help="of torch; unless told as many as it takes by itself")
    parser.add_argument("--device", default="cpu", help="where nets run")
    parser.add_argument("--page", type=Path, help="a page with markers that takes the tables in")
    parser.add_argument("--peers", type=Path, default=HERE / ".peers", help="folder of the environment of the peers")
    parser.add_argument("--without-peers", action="store_true", help="leave their rows out")
    return parser.parse_args()


def chosen(names: str) -> tuple[str, ...]:
    """Topics out of a list with commas."""
    found = tuple(names.split(","))
    if unknown := [name for name in found if name not in TOPICS]:
        raise argparse.ArgumentTypeError(f"unknown: {', '.join(unknown)}; known are {', '.join(TOPICS)}")
    return found


def provenance(setting: object) -> str:
    """What measured it: commit, machine, threads, versions."""
    import torch

    versions = []
    for name in NAMED:
        try:
            versions.append(f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            versions.append(f"no {name}")
    threads = torch.get_num_threads()
    device = setting.device
    where = (
        torch.cuda.get_device_name(device)
        if device.type == "cuda"
        else f"{processor()}, {threads} thread{'s' * (threads > 1)}"
    )
    quick = "; **a quick run, whose figures mean nothing**" if setting.quick else ""
    return f"Commit {commit()}; {where}; {', '.join(versions)}; medians of {setting.repeats}{quick}."


def processor() -> str:
    """Its name."""
    try:
        found = re.search(r"model name\s*: (.+)", Path("/proc/cpuinfo").read_text())
    except OSError:
        found = None
    return found[1] if found else platform.machine()


def commit() -> str:
    """Of the working tree; what is changed beyond the page that is being written is said."""

    def git(*arguments: str) -> str:
        return subprocess.run(["git", *arguments], cwd=HERE, capture_output=True, text=True).stdout.strip()

    changed = git("status", "--porcelain", "--untracked-files=no", "--", ":/", ":(exclude)README.md")
    return (git("rev-parse", "--short", "HEAD") or "unknown") + (" with changes" if changed else "")


def insert(page: Path, topic: str, text: str) -> None:
    """Put a text between a page's markers."""
    begin, end = f"<!-- {topic} -->", "<!-- end -->"
    before = page.read_text()
    if begin not in before:
        raise SystemExit(f"{page} has no {begin} to write its table behind")
    head, rest = before.split(begin, 1)
    page.write_text(f"{head}{begin}\n{text}\n{end}{rest.split(end, 1)[1]}")


if __name__ == "__main__":
    main()
