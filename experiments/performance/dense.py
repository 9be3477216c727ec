"""Dense scoring, a net over whole radiographs, against MONAI's sliding window."""

from __future__ import annotations

import numpy as np
from ratios import Row, Setting, alternate, quotients
from windows import BATCH, PATCH, SIDE, TYPICAL, Variant, a_net, radiographs, sliding

from pneumo_ad.patches import PatchGrid
from pneumo_ad.scores import SAD

TARGETS = {4: 50.0, 1: 300.0}  # by stride
AT_ITS_BEST: Variant = ("ours, channels_last", 64)
STRIP = 40  # pixels of height that MONAI sees at stride 1: a twenty-fifth of the windows, and minutes instead of hours


def rows(setting: Setting) -> list[Row]:
    """One radiograph at strides 4 and 1, with the halo that dense scoring needs."""
    try:
        return [row for stride, target in TARGETS.items() for row in against_monai(setting, stride, target)]
    except ImportError as error:
        why = f"{error.name}: {error}"
        return [Row(f"MONAI / dense, stride {stride}", target=target, note=why) for stride, target in TARGETS.items()]


def against_monai(setting: Setting, stride: int, target: float) -> list[Row]:
    """MONAI's time at stride 1 is that of a strip, times the windows of the radiograph over those of the strip."""
    from pneumo_ad.nets import reach
    from pneumo_ad.scoring import score_densely, score_radiographs

    images = radiographs(1)
    net = a_net(setting)
    halo = reach.reach_of(net, PATCH).halo(PATCH)
    size = BATCH[setting.device.type]

    def ours() -> None:
        grid = PatchGrid((SIDE, SIDE), PATCH, stride, cover="full")
        list(score_densely(net, {"score": SAD()}, images, np.arange(1), grid, size, "residual", halo=halo))

    # The halo does what it is for: the same scores as those of windows with their surroundings.
    few = (net, {"score": SAD()}, images, np.arange(1), PatchGrid((SIDE, SIDE), PATCH, 56))
    (whole,), (apart,) = score_densely(*few, halo=halo), score_radiographs(*few, halo=halo)
    difference = np.abs(whole.scores["score"] - apart.scores["score"]).max() / 255
    assert difference < 1e-4, f"scores differ by {difference}"

    shown = images[:, :STRIP] if stride == 1 or setting.quick else images
    windows, measured = (len(PatchGrid(i.shape[1:], PATCH, stride, cover="full")) for i in (images, shown))
    slid = sliding(setting, shown, stride)
    variants = (TYPICAL[1],) if setting.quick else (TYPICAL[1], AT_ITS_BEST)
    names = {f"{layout}, sw_batch_size {count}": (layout, count) for layout, count in variants}
    times = alternate(
        setting.repeats,
        setting.device,
        **{name: slid(variant) for name, variant in names.items()},
        ours=ours,
    )
    scaled = f"MONAI on a strip of {measured:,} windows of {windows:,}; " if measured < windows else ""
    return [
        Row(
            f"MONAI ({name}) / dense, halo={halo}, stride {stride}",
            tuple(one * windows / measured for one in quotients(times, name, "ours")),
            target,
            note=f"{scaled}windows with this halo score the same, to {difference:.0e}",
        )
        for name in names
    ]
