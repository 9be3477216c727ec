"""What every net returns."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from torch import Tensor

from pneumo_ad.errors import ConfigError


class Output(NamedTuple):
    """A net's answer to a batch of patches.

    Attributes:
        reconstruction: (B, 1, p, p) in [0, 1].
        log_variance: (B, 1, p, p) predicted log-variance per pixel, for nets that predict their own spread.
        penalty: Scalar that the net wants added to the loss (a prior, sparsity), mean per patch.
        anomaly: (B, 1, p, p) the net's own judgement, higher is more anomalous, for nets that do not reconstruct.
        kinds: (B, 3, p, p) chance of each kind of `labels.KINDS` (healthy, opacity, outside), for nets that tell them
            apart.
    """

    reconstruction: Tensor
    log_variance: Tensor | None = None
    penalty: Tensor | None = None
    anomaly: Tensor | None = None
    kinds: Tensor | None = None

    def inner(self, halo: int) -> Output:
        """Without `halo` pixels on every side of each picture."""
        return self.apply(lambda picture: inner(picture, halo))

    def apply(self, change: Callable[[Tensor], Tensor]) -> Output:
        """Every picture changed alike; the penalty, which is none, stays as it is.

        Args:
            change: (B, C, h, w) -> (B, C, ...).

        >>> import torch
        >>> Output(torch.zeros(1, 1, 4, 4), penalty=torch.tensor(2.0)).apply(lambda picture: picture + 1).penalty
        tensor(2.)
        """
        pictures = {name: part for name, part in self._asdict().items() if name != "penalty" and part is not None}
        return self._replace(**{name: change(part) for name, part in pictures.items()})

    def needed(self, part: str, by: str) -> Tensor:
        """A part that not every net gives, for what cannot do without.

        Args:
            part: Name of the part: `log_variance`, `anomaly` or `kinds`.
            by: Who needs it, as it is chosen: `loss=uncertainty`.

        Raises:
            ConfigError: The net gives none; names one that does.
        """
        found: Tensor | None = getattr(self, part)
        if found is None:
            does, net = _GIVEN[part]
            raise ConfigError(f"{by} needs a net that {does}, as net={net} does; this one does not")
        return found


# Parts that not every net gives: what such a net does, and one that does it.
_GIVEN = {
    "log_variance": ("predicts a log-variance", "uncertainty_autoencoder"),
    "anomaly": ("judges by itself", "feature_gaussian"),
    "kinds": ("tells kinds apart", "kind_unet"),
}


def inner(pictures: Tensor, halo: int) -> Tensor:
    """(..., h, w) without `halo` pixels on every side, a view.

    Args:
        pictures: (..., h, w).
        halo: Pixels to leave out.

    >>> import torch
    >>> inner(torch.zeros(2, 1, 8, 10), 2).shape
    torch.Size([2, 1, 4, 6])
    """
    return pictures[..., halo : pictures.shape[-2] - halo, halo : pictures.shape[-1] - halo]
