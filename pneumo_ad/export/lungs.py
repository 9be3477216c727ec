"""Lung segmenter as a module that torch.export can trace."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from pneumo_ad.data.lung_fields import LungFields, WholeImage
from pneumo_ad.errors import ConfigError
from pneumo_ad.lungs.fields import AutoFields, FileFields, SegmenterFields
from pneumo_ad.lungs.segmenter import LEAST_CONTRAST, LungSegmenter


class LungProbability(nn.Module):
    """Probability of lung at every pixel; above 0.5 and cleaned by `clean_field`, it is the lung field.

    Cleaning needs connected components, which a graph cannot compute: it is left to the caller.

    Args:
        segmenter: Trained lung segmenter.
    """

    def __init__(self, segmenter: LungSegmenter) -> None:
        super().__init__()
        self.segmenter = segmenter.cpu().eval().requires_grad_(False)

    def forward(self, image: Tensor) -> tuple[Tensor]:
        """(B, 1, H, W) in [0, 1] -> one output, (B, 1, H, W) in [0, 1], all 0 for a blank image."""
        grey = image * 255
        shows = grey.std(dim=(1, 2, 3), keepdim=True) >= LEAST_CONTRAST
        return (torch.where(shows, self.segmenter.probability(grey), 0.0),)


def segmenter_of(lungs: LungFields) -> LungSegmenter | None:
    """Return the segmenter for radiographs without masks; None where the whole radiograph counts as lung.

    Raises:
        ConfigError: Custom source of lung fields; the message names those that can be exported.
    """
    if isinstance(lungs, WholeImage):
        return None
    fields = lungs.segmenter if isinstance(lungs, (AutoFields, FileFields)) else lungs
    if not isinstance(fields, SegmenterFields):
        raise ConfigError(
            f"{type(lungs).__name__} cannot be exported in any format: lungs=auto, lungs=segmenter, lungs=files and "
            "lungs=none can"
        )
    return LungSegmenter.from_file(fields.weights)
