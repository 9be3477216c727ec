"""Lung segmenter: from a radiograph to its lung field."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from scipy import ndimage
from torch import Tensor, nn

from pneumo_ad.data.progress import progress_bar
from pneumo_ad.errors import ConfigError, DataError, DivergedError
from pneumo_ad.nets.finite import check_weights
from pneumo_ad.nets.full_float32 import full_float32
from pneumo_ad.nets.standardise import standardised_squares
from pneumo_ad.nets.unet import UNet

WEIGHTS = Path(__file__).with_name("weights") / "lung_unet.safetensors"
_LEAST_SHARE = 0.01  # least area of a lung as a share of the image
LEAST_CONTRAST = 1.0  # standard deviation in grey levels: a flatter image has no lung field


def clean_field(field: npt.NDArray[np.bool_]) -> npt.NDArray[np.uint8]:
    """Keep the two largest components of at least 1 % of the image, holes filled: (H, W) bool -> uint8 of 0 and 1."""
    labels, count = ndimage.label(field)
    if not count:
        return np.zeros(field.shape, dtype=np.uint8)
    sizes = np.bincount(labels.ravel())[1:]
    kept = [i + 1 for i in np.argsort(-sizes)[:2] if sizes[i] >= _LEAST_SHARE * field.size]
    return ndimage.binary_fill_holes(np.isin(labels, kept)).astype(np.uint8)


class LungSegmenter(nn.Module):
    """U-net that segments the lung fields of frontal chest radiographs, opaque parts included.

    Each block of 2 x 2 pixels enters as four channels and leaves as four (Shi et al. 2016, CVPR): full resolution in
    and out at a quarter of the computation.

    Args:
        width: Channels of the first level of the `UNet`.
        depth: Number of poolings.
        image_size: Side of the input in pixels, divisible by 2 ** (depth + 1); others are resized to it and back.

    Raises:
        ConfigError: An image size that 2 ** (depth + 1) does not divide.
    """

    def __init__(self, width: int = 16, depth: int = 4, image_size: int = 256) -> None:
        super().__init__()
        if image_size < 1 or image_size % 2 ** (depth + 1):
            raise ConfigError(f"image_size={image_size} must be divisible by 2 ** (depth + 1) = {2 ** (depth + 1)}")
        self.options = {"width": width, "depth": depth, "image_size": image_size}
        self.image_size = image_size
        self.unet = UNet(width, depth, convs=2, norm="batch", channels=4)

    @classmethod
    def from_file(cls, path: str | Path = WEIGHTS) -> LungSegmenter:
        """Load a segmenter that `save` wrote.

        Raises:
            DataError: The file is missing or was not written by `save`.
            DivergedError: Weights that are not finite.
        """
        try:
            with safe_open(str(path), framework="pt") as file:
                segmenter = cls(**json.loads(file.metadata()["options"]))
                weights = {name: file.get_tensor(name).float() for name in file.keys()}  # noqa: SIM118
            check_weights(weights, segmenter, path)
            segmenter.load_state_dict(weights)
        except DivergedError:
            raise
        except (OSError, SafetensorError, KeyError, TypeError, ValueError, RuntimeError) as reason:
            raise DataError(f"{path}: not the weights of a lung segmenter ({reason})") from reason
        return segmenter.eval()

    def save(self, path: str | Path) -> None:
        """Write weights (float16: half the size, Dice unchanged to four digits) and options as safetensors."""
        weights = {
            name: tensor.half() if tensor.is_floating_point() else tensor
            for name, tensor in self.state_dict().items()
            if not name.endswith("num_batches_tracked")
        }
        aside = Path(path).with_suffix(".partial")
        save_file({k: v.contiguous().cpu() for k, v in weights.items()}, aside, {"options": json.dumps(self.options)})
        aside.rename(path)

    def load_state_dict(self, state_dict, strict: bool = True, assign: bool = False):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN201
        """Load as `nn.Module` does; the step counters of batch norm, which inference does not use, may be missing."""
        counters = {k: v for k, v in self.state_dict().items() if k.endswith("num_batches_tracked")}
        return super().load_state_dict(counters | dict(state_dict), strict, assign)

    def forward(self, images: Tensor) -> Tensor:
        """Compute logits, (B, 1, S, S), of images (B, 1, S, S) of any range, with S = `image_size`."""
        return nn.functional.pixel_shuffle(self.unet(standardised_squares(images)), 2)

    @torch.inference_mode()
    def probability(self, images: Tensor) -> Tensor:
        """Compute the probability of lung, (B, 1, H, W) in [0, 1], of images (B, 1, H, W) of any size and range."""
        resize = nn.functional.interpolate
        side = (self.image_size, self.image_size)
        size = tuple(images.shape[-2:])
        x = images.float()
        small = x if size == side else resize(x, side, mode="bilinear", antialias=True)
        probability = self(small).sigmoid()
        return probability if size == side else resize(probability, size, mode="bilinear")

    def segment_all(
        self,
        images: npt.NDArray[np.uint8],
        batch_size: int = 16,
        progress: bool = True,
        device: torch.device | None = None,
    ) -> npt.NDArray[np.uint8]:
        """Segment many radiographs.

        Args:
            images: (N, H, W) uint8 grey levels.
            batch_size: Radiographs in a batch.
            progress: Whether to show a progress bar.
            device: Device to run on; None: CUDA if available.

        Returns:
            (N, H, W) uint8 of 0 and 1, cleaned by `clean_field`; all 0 where no lung is found.
        """
        fields = np.zeros(images.shape, dtype=np.uint8)
        for field, segmented in zip(fields, self.segment_each(images, batch_size, progress, device), strict=True):
            field[:] = segmented
        return fields

    def segment_each(
        self,
        images: npt.NDArray[np.uint8],
        batch_size: int = 16,
        progress: bool = True,
        device: torch.device | None = None,
    ) -> Iterator[npt.NDArray[np.uint8]]:
        """Yield (H, W) uint8 lung fields one by one, which bounds memory; see `segment_all`."""
        device = device or torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.to(device, memory_format=torch.channels_last).eval()  # type: ignore[call-overload]
        for first in progress_bar(range(0, len(images), batch_size), desc="lung fields", unit="batch", shown=progress):
            batch = torch.from_numpy(np.array(images[first : first + batch_size]))[:, None].to(device)
            contrasted = batch.float().std(dim=(1, 2, 3), keepdim=True) >= LEAST_CONTRAST
            with full_float32():
                lung = self.probability(batch) > 0.5
            fields = (lung & contrasted)[:, 0].cpu().numpy()
            yield from map(clean_field, fields)
