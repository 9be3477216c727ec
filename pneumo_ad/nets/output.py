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

    def needed_log_variance(self, by: str) -> Tensor:
        """The log-variance, for what cannot do without.

        Args:
            by: Who needs it, as it is chosen: `loss=uncertainty`.

        Raises:
            ConfigError: The net gives none; names one that does.
        """
        if self.log_variance is None:
            raise ConfigError(
                f"{by} needs a net that predicts a log-variance, and this one gives none; "
                "net=uncertainty_autoencoder does"
            )
        return self.log_variance

    def needed_anomaly(self, by: str) -> Tensor:
        """The net's own judgement, for what cannot do without.

        Args:
            by: Who needs it, as it is chosen: `score=judgement`.

        Raises:
            ConfigError: The net gives none; names one that does.
        """
        if self.anomaly is None:
            raise ConfigError(
                f"{by} needs a net that judges by itself, as net=feature_gaussian does; this one does not"
            )
        return self.anomaly

    def needed_kinds(self, by: str) -> Tensor:
        """Chances of the three kinds, for what cannot do without.

        Args:
            by: Who needs them, as it is chosen: `score=opacity_chance`.

        Raises:
            ConfigError: The net gives none; names one that does.
        """
        if self.kinds is None:
            raise ConfigError(f"{by} needs a net that tells kinds apart, as net=kind_unet does; this one does not")
        return self.kinds


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
