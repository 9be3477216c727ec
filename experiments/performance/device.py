"""Training and scoring in patches per second, and the share of the device that they use.

    python experiments/performance/device.py                                # on CUDA; says so where there is none
    python experiments/performance/device.py --device cpu --steps 10        # the same on the CPU

Shares are of what the same device reaches here: a large matrix product of the same dtype, and a copy of a large array.
FLOPs are those of convolutions and matrix products (`torch.utils.flop_counter`), bytes those that the operations of the
uncompiled net read and write; a compiled one moves fewer.
"""

from __future__ import annotations

import argparse
import functools
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from ratios import alternate, ratio
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

from pneumo_ad.data.batch import to_unit
from pneumo_ad.data.datasets import ExhaustivePatches
from pneumo_ad.data.samplers import EpochShuffle, ResumableLoader
from pneumo_ad.inference import score_densely, score_radiographs
from pneumo_ad.inference.receptive_field import receptive_field
from pneumo_ad.losses import DiceLoss
from pneumo_ad.modules.autoencoder import PatchAutoencoder
from pneumo_ad.nets import UNetAutoencoder
from pneumo_ad.nets.compilation import compile_net
from pneumo_ad.patches import PatchGrid
from pneumo_ad.scores import SAD

PATCH = 32
WAYS = ("float32", "bf16", "compile", "compile+bf16")


class Traffic(TorchDispatchMode):
    """Counts the bytes that operations read and write; views move none."""

    def __init__(self) -> None:
        super().__init__()
        self.nbytes = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        """See `TorchDispatchMode`."""
        out = func(*args, **(kwargs or {}))
        read = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
        written = [leaf for leaf in tree_leaves(out) if isinstance(leaf, Tensor)]
        places = {tensor.untyped_storage().data_ptr() for tensor in read}
        view = any(tensor.untyped_storage().data_ptr() in places for tensor in written)
        if not view or func._schema.is_mutable:
            self.nbytes += sum(tensor.nbytes for tensor in read + written)
        return out


@dataclass(frozen=True)
class Device:
    """What a device reaches at best.

    Attributes:
        device: The device.
        flops: Floating-point operations per second of a large matrix product, by dtype.
        bandwidth: Bytes read and written per second by a copy.
    """

    device: torch.device
    flops: dict[torch.dtype, float]
    bandwidth: float

    def seconds(self, action: Callable[[], object], warm_up: int = 1) -> float:
        """Of an action, with all that it left to be done on the device."""
        for _ in range(warm_up):
            action()
        self.wait()
        started = time.perf_counter()
        action()
        self.wait()
        return time.perf_counter() - started

    def wait(self) -> None:
        """For the device."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)


def measure_device(device: torch.device) -> Device:
    """The best rates of matrix products and of a copy, of five."""
    cuda = device.type == "cuda"
    side, length = (8192, 2**30) if cuda else (1024, 2**26)
    measured = Device(device, {}, 0.0)
    for dtype in (torch.float32, torch.bfloat16):
        a, b = (torch.randn(side, side, device=device, dtype=dtype) for _ in range(2))
        measured.flops[dtype] = 2 * side**3 / min(measured.seconds(lambda a=a, b=b: a @ b) for _ in range(5))
    source = torch.zeros(length, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    best = min(measured.seconds(lambda: target.copy_(source)) for _ in range(5))
    return Device(device, measured.flops, 2 * length / best)


def report(name: str, device: Device, patches: float, flops: float, nbytes: float, way: str, warm_up: float) -> None:
    """Print a line: patches per second, shares of the device, seconds before the first.

    Args:
        name: Description of the work.
        device: Measured rates of the device.
        patches: Patches per second.
        flops: Floating-point operations per patch.
        nbytes: Bytes that the operations of a patch move in float32.
        way: Entry of `WAYS` by which the net ran.
        warm_up: Seconds that the first batches took.
    """
    dtype = torch.bfloat16 if "bf16" in way else torch.float32
    share, moved = patches * flops / device.flops[dtype], patches * nbytes / device.bandwidth
    print(
        f"{name:<44} {patches:>12,.0f} patches/s   {share:6.1%} of the matrix rate   {moved:6.1%} of the bandwidth"
        f"   first batches {warm_up:.1f} s",
        flush=True,
    )


def fresh(way: str, width: int, device: Device) -> nn.Module:
    """The net, compiled where the way says so."""
    torch.manual_seed(0)
    net = UNetAutoencoder(width).to(device.device, memory_format=torch.channels_last)
    if "compile" in way:
        compile_net(net, device.device)
    return net


def work(action: Callable[[], object], patches: int) -> tuple[float, float]:
    """FLOPs and bytes of an action, for each of its patches."""
    with FlopCounterMode(display=False) as flops:
        action()
    with Traffic() as traffic:
        action()
    return flops.get_total_flops() / patches, traffic.nbytes / patches


def training(device: Device, ways: list[str], width: int, sizes: list[int], steps: int, repeats: int) -> None:
    """Steps of loss, gradient and Adam from batches of the loader that training uses."""
    grid = PatchGrid((256, 256), PATCH, 4)
    images = np.random.default_rng(0).integers(0, 256, (128, 256, 256), dtype=np.uint8)

    def stepper(way: str) -> Callable[[Tensor], None]:
        module = PatchAutoencoder(fresh(way, width, device), DiceLoss(), functools.partial(torch.optim.Adam, lr=1e-3))
        optimizer = module.to(device.device).configure_optimizers()

        def step(patch: Tensor) -> None:
            x = to_unit(patch.to(device.device, non_blocking=True))
            optimizer.zero_grad()
            with torch.autocast(device.device.type, torch.bfloat16, enabled="bf16" in way):
                loss = module.loss(x, module(x))
            loss.backward()
            optimizer.step()

        return step

    for size in sizes:
        example = torch.zeros(size, 1, PATCH, PATCH, dtype=torch.uint8, device=device.device)
        plain = stepper("float32")
        plain(example)  # Adam makes its state
        flops, nbytes = work(lambda plain=plain, example=example: plain(example), size)
        epochs: dict[str, Callable[[], None]] = {}
        warm_up: dict[str, float] = {}
        for way in ways:
            step = stepper(way)
            for bank in ("memory", "device"):
                dataset = ExhaustivePatches(images, np.arange(len(images)), grid)
                if bank == "device":
                    dataset.to(device.device)
                loader = ResumableLoader(dataset, size, EpochShuffle(len(dataset), 0, size * steps))

                def epoch(loader: ResumableLoader = loader, step: Callable[[Tensor], None] = step) -> None:
                    for batch in loader:
                        step(batch["patch"])

                name = f"{way}, bank={bank}"
                warm_up[name] = device.seconds(lambda step=step, example=example: step(example), warm_up=0)
                epochs[name] = epoch
        times = alternate(repeats, device.device, **epochs)
        for name, seconds in times.items():
            rate = size * steps / statistics.median(seconds)
            report(f"training, batch {size}, {name}", device, rate, flops, nbytes, name.split(",")[0], warm_up[name])
        for way in ways[1:]:
            name, plain_name = (f"{one}, bank=memory" for one in (way, ways[0]))
            gained = (statistics.median(times[plain_name]) - statistics.median(times[name])) / steps
            pays = f"pays after {warm_up[name] / gained:,.0f} steps" if gained > 0 else "does not pay"
            print(
                f"  batch {size}: {way} at {ratio(times, plain_name, name)} of the rate of {ways[0]}, {pays}",
                flush=True,
            )


def scoring(device: Device, ways: list[str], width: int, radiographs: int) -> None:
    """Every window of some radiographs, and dense maps."""
    grid = PatchGrid((256, 256), PATCH, 4)
    images = np.random.default_rng(0).integers(0, 256, (radiographs, 256, 256), dtype=np.uint8)
    size = 8192 if device.device.type == "cuda" else 256
    for way in ways:
        net = fresh(way, width, device).eval()
        precision = torch.bfloat16 if "bf16" in way else torch.float32
        x = torch.zeros(16, 1, PATCH, PATCH, device=device.device)
        with torch.inference_mode():
            flops, nbytes = work(functools.partial(fresh("float32", width, device).eval(), x), 16)

        def windows(net: nn.Module = net, precision: torch.dtype = precision) -> Iterator[object]:
            rows = np.arange(radiographs)
            return score_radiographs(net, {"score": SAD()}, images, rows, grid, size, precision=precision)

        warm_up = device.seconds(lambda windows=windows: list(windows()), warm_up=0)
        seconds = device.seconds(lambda windows=windows: list(windows()), warm_up=0)
        report(f"scoring windows, {way}", device, radiographs * len(grid) / seconds, flops, nbytes, way, warm_up)
        every, halo = PatchGrid((256, 256), PATCH, 1), receptive_field(net, PATCH).halo(PATCH)
        run = functools.partial(score_densely, net, {"score": SAD()}, images, np.arange(radiographs), every, halo=halo)
        warm_up = device.seconds(lambda run=run: list(run()), warm_up=0)
        seconds = device.seconds(lambda run=run: list(run()), warm_up=0)
        print(f"scoring densely, {way}: {radiographs / seconds:,.1f} maps/s at stride 1; first {warm_up:.1f} s")


def main() -> None:
    """Print every rate."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--width", type=int, default=32, help="channels of the U-net's first level")
    parser.add_argument("--batch", type=int, nargs="+", default=[64, 512, 4096])
    parser.add_argument("--steps", type=int, default=100, help="training steps measured")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--radiographs", type=int, default=64, help="scored, of 3,249 windows each")
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=list(WAYS))
    arguments = parser.parse_args()
    if arguments.device.startswith("cuda") and not torch.cuda.is_available():
        print("no CUDA device was found: nothing is measured (--device cpu runs the same on the CPU)")
        return
    with tempfile.TemporaryDirectory() as cache:
        os.environ["TORCHINDUCTOR_CACHE_DIR"] = cache  # what was compiled before would hide what compiling costs
        device = measure_device(torch.device(arguments.device))
        name = (
            torch.cuda.get_device_name() if device.device.type == "cuda" else f"CPU, {torch.get_num_threads()} threads"
        )
        print(f"{name}; torch {torch.__version__}; U-net of width {arguments.width}, depth 2; patch {PATCH}")
        rates = ", ".join(
            f"{str(dtype).removeprefix('torch.')} {rate / 1e12:.3g}" for dtype, rate in device.flops.items()
        )
        print(f"matrix products: {rates} TFLOP/s; copy: {device.bandwidth / 1e9:.3g} GB/s", flush=True)
        training(device, arguments.ways, arguments.width, arguments.batch, arguments.steps, arguments.repeats)
        scoring(device, arguments.ways, arguments.width, arguments.radiographs)


if __name__ == "__main__":
    main()
