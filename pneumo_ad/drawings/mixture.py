"""Random mixture of families of anomalies and distractors over the radiographs of a batch."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from pneumo_ad.drawings.drawing import Drawing, Drawn
from pneumo_ad.errors import ConfigError


class Mixture:
    """Mixture that draws anomalies into most radiographs of a batch, and distractors into any.

    Args:
        anomalies: Families of anomalies, which the mask marks.
        weights: Relative frequency of each family of anomalies; default: equal.
        distractors: Families of distractors, which leave the mask empty.
        chances: Share of the radiographs that get each distractor, in [0, 1]; default: 0.4 each.
        unmodified: Share of the radiographs without an anomaly, in [0, 1).
        further: Chance in [0, 1] that a radiograph with an anomaly gets a second draw, used if its family differs.

    Raises:
        ConfigError: No anomaly, a number of weights or chances that does not match, or a share out of its range.
    """

    def __init__(
        self,
        anomalies: Sequence[Drawing],
        weights: Sequence[float] | None = None,
        distractors: Sequence[Drawing] = (),
        chances: Sequence[float] | None = None,
        unmodified: float = 0.3,
        further: float = 0.3,
    ) -> None:
        weights = [1.0] * len(anomalies) if weights is None else list(weights)
        chances = [0.4] * len(distractors) if chances is None else list(chances)
        if not anomalies or len(weights) != len(anomalies) or min(weights) < 0 or not sum(weights):
            raise ConfigError(f"{len(anomalies)} anomalies need as many weights, not all 0, got {weights}")
        if len(chances) != len(distractors) or not all(0 <= chance <= 1 for chance in chances):
            raise ConfigError(f"{len(distractors)} distractors need as many chances in [0, 1], got {chances}")
        if not (0 <= unmodified < 1 and 0 <= further <= 1):
            raise ConfigError(f"unmodified={unmodified} and further={further} must lie in [0, 1)")
        self.anomalies, self.distractors = list(anomalies), list(distractors)
        self.weights, self.chances = weights, chances
        self.unmodified, self.further = unmodified, further

    def __call__(self, x: Tensor, lung: Tensor, generator: torch.Generator) -> Drawn:
        """See `Drawing`."""
        weights = torch.tensor(self.weights, dtype=torch.float32, device=x.device).expand(len(x), -1)
        drawn = torch.rand((3, len(x)), generator=generator, device=x.device)
        alone = (drawn[0] < self.unmodified) | (lung.flatten(1).amax(dim=1) < 0.5)  # no anomaly without a lung field
        first, second = torch.multinomial(weights, 2, replacement=True, generator=generator).T
        x, mask = x.clone(), torch.zeros_like(x)
        more = (drawn[1] < self.further) & (second != first)
        for family_of, there in ((first, ~alone), (second, ~alone & more)):
            for number, family in enumerate(self.anomalies):
                _draw(family, x, lung, mask, there & (family_of == number), generator)
        for family, chance in zip(self.distractors, self.chances, strict=True):
            chosen = torch.rand(len(x), generator=generator, device=x.device) < chance
            _draw(family, x, lung, mask, chosen, generator)
        return Drawn(x, mask)


def _draw(family: Drawing, x: Tensor, lung: Tensor, mask: Tensor, chosen: Tensor, generator: torch.Generator) -> None:
    """Draw into the chosen radiographs, in place."""
    if chosen.any():
        drawing = family(x[chosen], lung[chosen], generator)
        x[chosen] = drawing.x
        mask[chosen] = torch.maximum(mask[chosen], drawing.mask)
