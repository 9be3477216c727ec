"""Output of every net."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from torch import Tensor, nn

from pneumo_ad.errors import ConfigError


class Output(NamedTuple):
    """Output of a net for a batch of patches.

    Attributes:
        reconstruction: (B, 1, p, p) reconstruction in [0, 1].
        log_variance: (B, 1, p, p) log-variance per pixel, of nets that predict it; else None.
        penalty: Scalar to add to the loss (a prior, sparsity), mean per patch; else None.
        anomaly: (B, 1, p, p) anomaly map of nets that do not reconstruct, higher is more anomalous; else None.
        kinds: (B, 3, p, p) probability of each kind of `labels.KINDS` (healthy, opacity, outside), of nets that
            classify pixels; else None.
        radiograph: (B,) score of each whole picture, of nets that give one beside their map; else None.
    """

    reconstruction: Tensor
    log_variance: Tensor | None = None
    penalty: Tensor | None = None
    anomaly: Tensor | None = None
    kinds: Tensor | None = None
    radiograph: Tensor | None = None

    def inner(self, halo: int) -> Output:
        """Return the output without `halo` pixels on every side of each picture."""
        return self.apply(lambda picture: inner(picture, halo))

    def apply(self, change: Callable[[Tensor], Tensor]) -> Output:
        """Apply a function to every picture; what is none, the penalty and the radiograph's score, is unchanged.

        Args:
            change: Function (B, C, h, w) -> (B, C, ...).

        >>> import torch
        >>> Output(torch.zeros(1, 1, 4, 4), penalty=torch.tensor(2.0)).apply(lambda picture: picture + 1).penalty
        tensor(2.)
        """
        pictures = {name: part for name, part in self._asdict().items() if part is not None and part.ndim == 4}
        return self._replace(**{name: change(part) for name, part in pictures.items()})

    def needed(self, part: str, by: str) -> Tensor:
        """Return a part that not every net provides, or fail.

        Args:
            part: Name of the part: `log_variance`, `anomaly` or `kinds`.
            by: Option that needs it, for the message, for example `loss=uncertainty`.

        Raises:
            ConfigError: Net without that part; the message names a net that provides it.
        """
        tensor: Tensor | None = getattr(self, part)
        if tensor is None:
            does, net = _GIVEN[part]
            raise ConfigError(f"{by} needs a net that {does}, as net={net} does; this one does not")
        return tensor


def check_output(output: object, x: Tensor, net: nn.Module) -> None:
    """Check the return value of a net for pictures.

    Args:
        output: Return value of the net.
        x: (B, 1, h, w) input of the net.
        net: The net, for the message.

    Raises:
        ConfigError: Something else than an `Output`, or a part of another shape than its input.
    """
    name = type(net).__name__
    if not isinstance(output, Output):
        what = f"a {'Tensor' if isinstance(output, Tensor) else type(output).__name__}"
        raise ConfigError(f"net {name} returned {what}; a net returns Output(reconstruction) (pneumo_ad.nets.Output)")
    for part, channels in (("reconstruction", 1), ("log_variance", 1), ("anomaly", 1), ("kinds", 3)):
        value, expected = getattr(output, part), (len(x), channels, *x.shape[-2:])
        if value is None and part != "reconstruction":
            continue
        shape = tuple(value.shape) if isinstance(value, Tensor) else type(value).__name__
        if shape != expected:
            raise ConfigError(f"net {name} returned an Output whose {part} is {shape}, expected {expected}")


# Optional parts: what a net that provides the part does, and one such net.
_GIVEN = {
    "log_variance": ("predicts a log-variance", "uncertainty_autoencoder"),
    "anomaly": ("judges by itself", "feature_gaussian"),
    "kinds": ("tells kinds apart", "kind_unet"),
}


def inner(pictures: Tensor, halo: int) -> Tensor:
    """Cut `halo` pixels from every side of pictures; returns a view.

    Args:
        pictures: (..., h, w) tensor.
        halo: Pixels to cut on every side.

    >>> import torch
    >>> inner(torch.zeros(2, 1, 8, 10), 2).shape
    torch.Size([2, 1, 4, 6])
    """
    return pictures[..., halo : pictures.shape[-2] - halo, halo : pictures.shape[-1] - halo]
