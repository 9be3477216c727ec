"""Descriptions of windows: by their difference images, and baselines."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from pneumo_ad.clustering.embedding import Embedding, train_embedding
from pneumo_ad.clustering.features import compressed, plain_features
from pneumo_ad.data.progress import progress_bar
from pneumo_ad.errors import DivergedError
from pneumo_ad.nets.output import inner

# The difference image, then the baselines: the patch itself in the same ways, and single numbers.
DESCRIPTIONS = ("residual_plain", "residual_embedding", "patch_plain", "patch_embedding", "sad", "brightness")

_MID_GREY = 127.5  # subtracted from a patch, so that it has a sign as a difference image has

Features = dict[str, npt.NDArray[np.float32]]


@torch.inference_mode()
def difference_images(net: nn.Module, patches: Tensor, halo: int = 0, batch_size: int = 256) -> Tensor:
    """Compute input less reconstruction in grey levels: (n, 1, p, p) float32, on the net's device.

    Args:
        net: Net that reconstructs patches.
        patches: (n, 1, p + 2 halo, p + 2 halo) uint8.
        halo: Pixels of surroundings on every side in the net's input.
        batch_size: Patches at a time; bounds the memory.

    Raises:
        DivergedError: The net's output is not finite.
    """
    device = next(net.parameters(), torch.empty(0)).device
    parts = []
    for batch in patches.split(batch_size):
        x = batch.to(device).float().div_(255)
        output = net(x.contiguous(memory_format=torch.channels_last))
        parts.append(255 * inner(x - output.reconstruction.float(), halo))
    differences = torch.cat(parts)
    if not differences.isfinite().all():
        raise DivergedError("what the net gives of these patches is not finite: the training diverged")
    return differences


class Description:
    """Features of windows in each of the `DESCRIPTIONS`; built by `train_description`.

    | | |
    |---|---|
    | residual_plain | `plain_features` of the difference image |
    | residual_embedding | its latent vector in an autoencoder of difference images |
    | patch_plain, patch_embedding | the same of the patch itself, less mid grey |
    | sad | its SAD alone, compressed grey levels |
    | brightness | its mean grey level alone |

    Args:
        net: Net of the run, in evaluation mode.
        residual_embedding: Embedding of difference images.
        patch_embedding: Embedding of patches less mid grey (127.5).
        halo: Pixels of surroundings on every side in the net's input; descriptions leave them out.
    """

    def __init__(
        self, net: nn.Module, residual_embedding: Embedding, patch_embedding: Embedding, halo: int = 0
    ) -> None:
        self.net, self.residual_embedding, self.patch_embedding = net, residual_embedding, patch_embedding
        self.halo = halo

    def __call__(self, patches: Tensor) -> Features:
        """Describe (n, 1, p + 2 halo, p + 2 halo) uint8 windows: name -> (n, d) float32."""
        residual = difference_images(self.net, patches, self.halo)
        patch = inner(patches, self.halo).to(residual.device).float() - _MID_GREY
        described = {
            "residual_plain": plain_features(residual),
            "residual_embedding": self.residual_embedding(residual),
            "patch_plain": plain_features(patch),
            "patch_embedding": self.patch_embedding(patch),
            "sad": compressed(residual.abs().mean(dim=(1, 2, 3)))[:, None],
            "brightness": patch.mean(dim=(1, 2, 3))[:, None] + _MID_GREY,
        }
        return {name: described[name].cpu().numpy() for name in DESCRIPTIONS}

    def every(self, dataset: Any, batch_size: int = 256, progress: str | None = None) -> Features:
        """Describe every window of a dataset in batches, in bounded memory: name -> (n, d) float32.

        Args:
            dataset: Data set of windows, with method `cut`.
            batch_size: Patches at a time; bounds the memory.
            progress: Title of a progress bar; None shows none.
        """
        starts = range(0, len(dataset), batch_size)
        parts = [
            self(dataset.cut(np.arange(first, min(first + batch_size, len(dataset))))["patch"])
            for first in progress_bar(starts, desc=progress, unit="batch", shown=progress is not None)
        ]
        return {name: np.concatenate([part[name] for part in parts]) for name in DESCRIPTIONS}


def train_description(
    net: nn.Module, patches: Tensor, seed: int = 0, halo: int = 0
) -> tuple[Description, dict[str, float]]:
    """Train both embeddings on (n, 1, p + 2 halo, p + 2 halo) uint8 patches, without labels.

    Returns:
        The description, and name of each embedding -> share of variance that passes its bottleneck.

    Raises:
        ConfigError: See `train_embedding`.
    """
    residual = difference_images(net, patches, halo)
    patch = inner(patches, halo).to(residual.device).float() - _MID_GREY
    of_residual, of_patch = (train_embedding(pictures, seed=seed) for pictures in (residual, patch))
    explained = {"residual_embedding": of_residual.explained(residual), "patch_embedding": of_patch.explained(patch)}
    return Description(net, of_residual, of_patch, halo), explained
