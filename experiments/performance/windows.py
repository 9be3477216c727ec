"""Exact scoring of windows: against the bare net, and against MONAI's sliding window with the same net."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
import torch
from ratios import Row, Setting, alternate, quotients
from torch import Tensor, nn

from pneumo_ad.inference import MapOf, score_radiographs
from pneumo_ad.nets import UNetAutoencoder
from pneumo_ad.nets.unet import UpBlock
from pneumo_ad.patches import PatchGrid
from pneumo_ad.scores import SAD

SIDE, PATCH = 256, 32
# Windows a forward pass: what `score_radiographs` takes unless told.
BATCH = {"cpu": inspect.signature(score_radiographs).parameters["batch_size"].default, "cuda": 8192}
EQUAL = 1e-4  # of maps in [0, 1]
# How MONAI is given the net: written as one writes it, with upsampling, joining and convolving one after the other
# ("spelled out"); our module as it comes; and laid out as ours. All have the same weights and the same output.
FORMATS = {
    "spelled out": torch.contiguous_format,
    "ours, contiguous": torch.contiguous_format,
    "ours, channels_last": torch.channels_last,
}
Variant = tuple[str, int]  # how, and windows a forward pass: MONAI's sw_batch_size
# Its inferer class has sw_batch_size 1, its tutorials 4.
TYPICAL: tuple[Variant, ...] = (("spelled out", 1), ("spelled out", 4))
SWEPT: tuple[Variant, ...] = tuple((form, size) for form in FORMATS for size in (1, 4, 64, 256))


def rows(setting: Setting) -> list[Row]:
    """The bare net at strides 20 and 4, MONAI at strides 20, 8 and 4 with what was its best of each form at 20."""
    found = [*against_the_bare_net(setting, 20), *against_the_bare_net(setting, 4)]
    variants = SWEPT
    for stride in (20, 8, 4):
        try:
            seconds, against = against_monai(setting, stride, TYPICAL[1:] if setting.quick else variants)
        except ImportError as error:
            seconds, against = {}, [Row(f"MONAI / ours, stride {stride}", target=3, note=f"monai: {error}")]
        found += against
        if variants is SWEPT and seconds and not setting.quick:
            best = (min((one for one in seconds if one[0] == form), key=seconds.__getitem__) for form in FORMATS)
            variants = tuple(dict.fromkeys([*TYPICAL, *best]))
    return found


def a_net(setting: Setting, form: str = "ours, channels_last") -> nn.Module:
    """The paper's U-net with drawn weights, the same at every call, in one of `FORMATS`."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = UNetAutoencoder(4 if setting.quick else 32)
    for block in net.modules():
        if isinstance(block, UpBlock):
            block.fused = form != "spelled out"
    return net.to(setting.device, memory_format=FORMATS[form]).eval()  # type: ignore[call-overload]


def radiographs(count: int) -> npt.NDArray[np.uint8]:
    """(count, 256, 256) of noise: times do not depend on what is seen."""
    return np.random.default_rng(0).integers(0, 256, (count, SIDE, SIDE), dtype=np.uint8)


def against_the_bare_net(setting: Setting, stride: int) -> list[Row]:
    """Share of the rate of the same net's forward pass, on batches that were prepared."""
    net, size = a_net(setting), BATCH[setting.device.type]
    grid = PatchGrid((SIDE, SIDE), PATCH, 64 if setting.quick else stride)
    count = 1 if setting.quick or stride < 20 else 8
    images = radiographs(count if setting.device.type == "cpu" else 64 * count)
    windows = grid.extract(torch.from_numpy(images)[:, None]).flatten(0, 1)
    batches = [
        part.to(setting.device).float().div(255).contiguous(memory_format=torch.channels_last)
        for part in windows.split(size)
    ]

    @torch.inference_mode()
    def forward() -> None:
        for batch in batches:
            net(batch)

    def scored(map_of: MapOf | None) -> None:
        list(score_radiographs(net, {"score": SAD()}, images, np.arange(len(images)), grid, size, map_of))

    times = alternate(
        setting.repeats,
        setting.device,
        forward=forward,
        alone=lambda: scored(None),
        painted=lambda: scored("score"),
        stitched=lambda: scored("residual"),
    )
    words = {"alone": "scores alone", "painted": "with maps of scores", "stitched": "with maps of residuals"}
    return [
        Row(f"bare forward / scoring, stride {stride}, {said}", quotients(times, "forward", name), 0.95, "%")
        for name, said in words.items()
    ]


def against_monai(setting: Setting, stride: int, variants: Sequence[Variant]) -> tuple[dict[Variant, float], list[Row]]:
    """Both make maps of the residual's mean over the same windows: MONAI's lie flush to the border, so `cover="full"`.

    Returns:
        Median seconds of MONAI by variant, and the rows.
    """
    images = radiographs(4 if stride == 20 and not setting.quick else 1)[:, :: 4 if setting.quick else 1]
    grid = PatchGrid(images.shape[1:], PATCH, stride, cover="full")
    slid = sliding(setting, images, stride)
    net = a_net(setting)

    def ours() -> npt.NDArray[np.float32]:
        found = score_radiographs(
            net, {"score": SAD()}, images, np.arange(len(images)), grid, BATCH[setting.device.type], "residual"
        )
        return np.concatenate([part.maps["score"] for part in found])[:, None]

    difference = np.abs(slid(variants[0])().cpu().numpy() - ours() / 255).max()
    assert difference < EQUAL, f"maps differ by {difference}"
    theirs = {f"{form}, sw_batch_size {size}": slid((form, size)) for form, size in variants}
    times = alternate(setting.repeats, setting.device, ours=ours, **theirs)
    medians = {variant: float(np.median(times[name])) for variant, name in zip(variants, theirs, strict=True)}
    note = f"maps equal to {difference:.0e}"
    return medians, [
        Row(f"MONAI / ours, stride {stride}, {name}", quotients(times, name, "ours"), 3, note=note) for name in theirs
    ]


def sliding(setting: Setting, images: npt.NDArray[np.uint8], stride: int) -> Callable[[Variant], Callable[[], Tensor]]:
    """MONAI over the images: (b, 1, H, W) maps of absolute residuals in [0, 1], by variant."""
    from monai.inferers import sliding_window_inference

    prepared = torch.from_numpy(images)[:, None].to(setting.device).float().div(255)
    nets = {form: a_net(setting, form) for form in FORMATS}

    def of(variant: Variant) -> Callable[[], Tensor]:
        form, size = variant

        def residual(x: Tensor) -> Tensor:
            return (nets[form](x.contiguous(memory_format=FORMATS[form])).reconstruction - x).abs()

        @torch.inference_mode()
        def slide() -> Tensor:
            return sliding_window_inference(prepared, PATCH, size, residual, overlap=1 - stride / PATCH)

        return slide

    return of
