"""Splitting images into windows and merging them: against anomalib's Tiler and torch's unfold and fold."""

from __future__ import annotations

from collections.abc import Callable

import torch
from ratios import Row, Setting, alternate, quotients
from torch import Tensor
from torch.nn import functional

from pneumo_ad.patches import PatchGrid

SIDE, PATCH = 256, 32
TARGETS = {32: 3.0, 16: 3.0, 8: 2.0}  # by stride; each of them divides what is left of the side, so nobody pads
EQUAL = 1e-6  # float32 sums of up to 16 values in [0, 1] in another order


def rows(setting: Setting) -> list[Row]:
    """At strides 32, 16 and 8, 16 images."""
    return [row for stride, target in TARGETS.items() for row in at(setting, stride, target)]


def at(setting: Setting, stride: int, target: float) -> list[Row]:
    """Split and merge together, and each against the Tiler's; every merge is the mean where windows overlap."""
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(1 if setting.quick else 16, 1, SIDE, SIDE, generator=generator).to(setting.device)
    grid = PatchGrid((SIDE, SIDE), PATCH, stride)
    windows = grid.extract(images)
    # Merged windows that disagree where they overlap: windows cut from an image would hide how peers weigh them.
    drawn = torch.rand(windows.shape, generator=generator).to(setting.device)
    ones = functional.unfold(torch.ones_like(images[:1]), PATCH, stride=stride)
    overlaps = functional.fold(ones, SIDE, PATCH, stride=stride)

    def fold(columns: Tensor) -> Tensor:
        return functional.fold(columns, SIDE, PATCH, stride=stride) / overlaps

    actions: dict[str, Callable[[], Tensor]] = {
        "ours": lambda: grid.stitch(grid.extract(images)),
        "fold": lambda: fold(functional.unfold(images, PATCH, stride=stride)),
    }
    merges = [grid.stitch(drawn), fold(drawn.flatten(2).transpose(1, 2))]
    missing = ""
    try:
        from anomalib.data.utils.tiler import Tiler
    except ImportError as error:
        missing = f"anomalib: {error}"
    else:
        tiler = Tiler(PATCH, stride)
        tiles = tiler.tile(images)
        assert torch.equal(tiles, windows.flatten(0, 1)), "the Tiler cuts other windows"
        merges.append(tiler.untile(drawn.flatten(0, 1)))
        actions |= {"Tiler": lambda: tiler.untile(tiler.tile(images))}
        actions |= {"extract": lambda: grid.extract(images), "tile": lambda: tiler.tile(images)}
        actions |= {"stitch": lambda: grid.stitch(windows), "untile": lambda: tiler.untile(tiles)}
    difference = max((merged - merges[0]).abs().max().item() for merged in merges)
    assert difference < EQUAL, f"merges differ by {difference}"
    # Milliseconds each: more repeats than elsewhere cost nothing.
    repeats = setting.repeats if setting.quick else 5 * setting.repeats
    times = alternate(repeats, setting.device, **actions)
    note = f"{repeats} repeats; equal to {difference:.0e}"

    def against(words: str, part: str, whole: str, bound: float | None = None) -> Row:
        found = quotients(times, part, whole) if part in times and whole in times else ()
        return Row(f"{words}, stride {stride}", found, bound, note=note if found else missing)

    return [
        against("Tiler / ours, split and merge", "Tiler", "ours", target),
        against("Tiler / ours, split alone", "tile", "extract"),
        against("Tiler / ours, merge alone", "untile", "stitch"),
        against("`unfold`, `fold` / ours", "fold", "ours"),
    ]
