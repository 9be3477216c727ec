"""Scores of radiographs: a net, a score, and what becomes of the scores of windows."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from pneumo_ad.errors import ConfigError
from pneumo_ad.inference import (
    MapOf,
    Mode,
    Scorable,
    Scored,
    score_densely,
    score_radiographs,
    score_whole_radiographs,
)
from pneumo_ad.metrics.catalogue import MOSTLY_LUNG
from pneumo_ad.nets.output import Output
from pneumo_ad.patches import PatchGrid
from pneumo_ad.scores import SAD, Brightness, Contrast, Score, Sharpness
from pneumo_ad.scores.aggregates import Aggregate
from pneumo_ad.scores.quantiles import own_scale

_TRIVIAL: dict[str, Score] = {"brightness": Brightness(), "contrast": Contrast(), "sharpness": Sharpness()}
TRIVIAL = tuple(_TRIVIAL)  # scores of windows that need no model

OWN = "aggregate=own"  # asks for the net's own score of a radiograph

_PIXELS = 2**18  # that go through a net at once at least where it sees radiographs: blocks cost their overlap
_AT_ONCE = 4  # whole radiographs, at least: one by one takes a fifth longer on a CPU


@dataclass(frozen=True)
class Scoring:
    """Scoring of radiographs: net, score, options.

    Attributes:
        net: Trained net.
        score: The run's score.
        map_of: Values that anomaly maps are the mean of where the net sees patches: `score` or `residual`.
        batch_size: Windows per forward pass.
        precision: dtype of autocast.
        aggregate: Aggregate that turns the values within a lung field into one score per radiograph.
        relative: Quantile of a radiograph's own scores by which they are divided, or None. Exposure and build change
            SAD more between radiographs than an opacity does within one.
        kept_windows: Largest number of windows per radiograph for tables, figures and patch metrics; None keeps all.
            Maps and scores of radiographs are made of all windows in any case.
        mode: `windows` or `dense`; a net that sees whole radiographs has neither.
        halo: Pixels of surroundings that the net sees around each window.
        likeliest: Whether windows are decided by the net's likeliest kind, which then comes with their scores.
    """

    net: nn.Module
    score: Score
    map_of: MapOf
    batch_size: int
    precision: torch.dtype
    aggregate: Aggregate
    relative: float | None = None
    kept_windows: int | None = None
    mode: Mode = "windows"
    halo: int = 0
    likeliest: bool = False

    def __post_init__(self) -> None:
        check_relative(self.relative)
        if self.relative is not None and self.aggregate.of == "radiograph":
            raise ConfigError(f"{OWN} takes the net's own score, which relative={self.relative} does not divide")

    def names(self, data: Scorable) -> list[str]:
        """Names of all scores of a window: the run's, the trivial ones, and SAD where the net reconstructs patches."""
        return ["score", *TRIVIAL, *(["sad"] if data.view == "patch" else [])]

    def kept(self, data: Scorable) -> PatchGrid:
        """The windows that are kept."""
        return data.grid.thinned(self.kept_windows)

    @property
    def unit(self) -> str:
        """Unit of the run's score."""
        if self.relative is None:
            return self.score.unit
        return f"of the image's {self.relative:.0%} quantile"

    @property
    def highest(self) -> float:
        """The most the run's score can be."""
        return self.score.highest if self.relative is None else math.inf

    def __call__(
        self,
        data: Scorable,
        rows: npt.NDArray[np.int64],
        progress: str | None,
        maps: bool = False,
        images: npt.NDArray[np.uint8] | None = None,
        counted: Callable[[slice], npt.NDArray[np.bool_]] | None = None,
        alone: bool = False,
    ) -> Iterator[Scored]:
        """Score some radiographs, a few at a time.

        Args:
            data: Data set that holds the radiographs.
            rows: Row numbers in its images, or in `images` where given.
            progress: Caption of the progress bar; None shows none.
            maps: Whether to make anomaly maps too.
            images: Other pictures of the same radiographs.
            counted: Takes a slice of places in `rows` and returns (b, N) bool: the windows over which `relative` is
                measured. None takes those without padding.
            alone: Whether to take the run's score and no other.
        """
        images = data.images if images is None else images
        for here, part in placed(self._parts(data, rows, progress, self.map_of if maps else None, images, alone)):
            if self.relative is not None:
                patches = counted(here) if counted else data.grid.window_shares(data.content(part.rows)) == 1
                scores = part.scores["score"]
                own = own_scale(torch.from_numpy(scores), torch.from_numpy(patches), self.relative).numpy()
                scores /= own
                if maps:
                    part.maps["score"] /= own[:, :, None]
            yield part

    def _parts(
        self,
        data: Scorable,
        rows: npt.NDArray[np.int64],
        progress: str | None,
        map_of: MapOf | None,
        images: npt.NDArray[np.uint8],
        alone: bool,
    ) -> Iterator[Scored]:
        """The scores before `relative`, of patches from one pass."""
        grid, size = data.grid, self.batch_size
        if data.view == "patch":
            scores = {"score": self.score} | ({} if alone else _TRIVIAL)
            if not alone and type(self.score) is not SAD:
                scores["sad"] = SAD()
            way = score_radiographs
            if self.mode == "dense":
                way, size = score_densely, max(size, _PIXELS // grid.patch**2)
            for part in way(self.net, scores, images, rows, grid, size, map_of, self.precision, progress, self.halo):
                for found in (part.scores, part.maps):
                    if "score" in found and not alone:
                        found.setdefault("sad", found["score"].copy())
                yield part
            return
        # The net sees whole radiographs, the trivial scores their windows.
        at_once = max(_AT_ONCE, size * grid.patch**2 // (grid.image_size[0] * grid.image_size[1]))
        judged = score_whole_radiographs(
            self.net, self.score, images, rows, grid, at_once, self.precision, progress, self.likeliest
        )
        if alone:
            yield from judged
            return
        trivial = score_radiographs(_Nothing(), _TRIVIAL, images, rows, grid, size, map_of)
        for one, other in zip(judged, trivial, strict=True):
            yield replace(one, scores=one.scores | other.scores, maps=one.maps | other.maps)

    def of_radiographs(
        self, part: Scored, name: str, lung_share: npt.NDArray[np.floating], lung_fields: npt.NDArray[np.uint8]
    ) -> npt.NDArray[np.float64]:
        """(b,) one score per radiograph, NaN where it has no lung.

        Args:
            part: Scored radiographs, with maps where `aggregate.of` is pixels.
            name: Name of the score.
            lung_share: (b, N) share of each window inside the lung field.
            lung_fields: (b, H, W) of 0 and 1.

        Raises:
            ConfigError: The net's own score is asked for, and it gives none.
        """
        own = self.aggregate.of == "radiograph" and name == "score"
        if own and part.radiographs is None:
            raise ConfigError(f"{OWN} needs a net that scores images itself, as net=anomalib does; this one does not")
        if own and part.radiographs is not None:
            values, inside = part.radiographs[:, None], np.asarray(lung_fields.any(axis=(1, 2)))[:, None]
        elif self.aggregate.of != "pixels":
            values, inside = part.scores[name], lung_share > MOSTLY_LUNG
        else:
            values, inside = part.maps[name], lung_fields == 1
        of_each = (torch.from_numpy(found).flatten(1) for found in (values, inside))
        return self.aggregate(*of_each).numpy()


class _Nothing(nn.Module):
    """Stand-in for the net of a score that needs none."""

    def forward(self, x: torch.Tensor) -> Output:
        return Output(x)


def placed(parts: Iterable[Scored]) -> Iterator[tuple[slice, Scored]]:
    """Each part with its places among all the rows that were asked for."""
    place = 0
    for part in parts:
        yield slice(place, place + len(part.rows)), part
        place += len(part.rows)


def check_relative(relative: float | None) -> None:
    """See that it is a quantile.

    Raises:
        ConfigError: It is not.
    """
    number = isinstance(relative, int | float) and not isinstance(relative, bool)
    if relative is not None and not (number and 0 < relative <= 1):
        raise ConfigError(f"relative={relative} must be a quantile in (0, 1], or null")
