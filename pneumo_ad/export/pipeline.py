"""All that a run does with a radiograph, as one module that torch.export can trace."""

from __future__ import annotations

import copy

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from pneumo_ad.data.intensity import AsStored, Intensity, LungFieldIntensity
from pneumo_ad.errors import ConfigError
from pneumo_ad.export.windows import GridWindows
from pneumo_ad.inference import MapOf
from pneumo_ad.inference.whole import likeliest_kinds
from pneumo_ad.metrics.catalogue import MOSTLY_LUNG
from pneumo_ad.nets.output import Output
from pneumo_ad.patches import PatchGrid
from pneumo_ad.scores import Score
from pneumo_ad.scores.aggregates import Aggregate, Highest, Mean, TopFraction
from pneumo_ad.scores.quantiles import own_scale


class Pipeline(nn.Module):
    """From a fitted radiograph and its lung field to anomaly map, window scores, score and percentile.

    Numbers, and where they are NaN, are those of `inference.predictor.Prediction` and its `Calibration`. The batch
    may be of any size, height and width are those of the grid. The net is copied to the CPU.

    Args:
        grid: The windows.
        view: Input of the net: `patch`, or `image` for whole radiographs.
        net: Trained net.
        score: Score of the run.
        map_of: Values that maps are the mean of where the net sees patches: `score` or `residual`.
        aggregate: Aggregate that turns values within the lung field into one score per radiograph.
        relative: Quantile of a radiograph's own scores by which they are divided, or None.
        intensity: Intensity normalisation that makes grey levels comparable.
        normals: (n,) scores of held-out normal radiographs, part of the graph; none makes every percentile NaN.
        likeliest: Whether the graph also gives the likeliest kind of each window.

    Raises:
        ConfigError: An aggregate or an intensity that a graph cannot hold; names those that it can.
    """

    normals: Tensor

    def __init__(
        self,
        grid: PatchGrid,
        view: str,
        net: nn.Module,
        score: Score,
        map_of: MapOf,
        aggregate: Aggregate,
        relative: float | None,
        intensity: Intensity,
        normals: npt.NDArray[np.floating],
        likeliest: bool = False,
    ) -> None:
        super().__init__()
        if type(aggregate) not in (Mean, TopFraction, Highest):
            raise ConfigError(
                f"{type(aggregate).__name__} cannot be exported in any format: the aggregates a graph can hold are "
                "aggregate=mean, aggregate=top and aggregate=max"
            )
        if aggregate.of == "radiograph":
            raise ConfigError(
                "the net's own score of an image (aggregate=own) cannot be exported in any format; anomalib itself "
                "exports its models"
            )
        if type(intensity) not in (AsStored, LungFieldIntensity):
            raise ConfigError(
                f"{type(intensity).__name__} cannot be exported in any format: a graph can hold intensity=as_stored "
                "and intensity=lung_field"
            )
        self.net = copy.deepcopy(net).cpu().eval().requires_grad_(False)
        self.grid, self.windows = grid, GridWindows(grid)
        self.view, self.map_of, self.likeliest = view, map_of, likeliest
        self.score_of, self.aggregate, self.relative, self.intensity = score, aggregate, relative, intensity
        found = np.asarray(normals if len(normals) else [np.nan], dtype=np.float32)  # no file keeps an empty tensor
        self.register_buffer("normals", torch.from_numpy(found))

    def forward(self, image: Tensor, lung_field: Tensor, content: Tensor | None = None) -> tuple[Tensor, ...]:
        """Judge some radiographs.

        Args:
            image: (B, 1, H, W) float32 in [0, 1], fitted.
            lung_field: (B, 1, H, W) float32 of 0 and 1.
            content: (B, 1, H, W) float32 of 0 and 1: what is radiograph and not padding; None without padding.

        Returns:
            `ModelDescription.outputs` in order, float32: (B, 1, H, W) map, NaN where no window lies; (B, N) scores of
            windows; (B,) score, NaN without a lung field; (B,) percentile, NaN without a score or without normals;
            where it is asked for, (B, N) likeliest kind of windows, of 0, 1 and 2.
        """
        boxes = self.grid.boxes
        whole = torch.ones_like(image) if content is None else content
        image = self._levelled(image, lung_field, whole)
        anomaly_map, scores, *kinds = self._patches(image) if self.view == "patch" else self._whole(image)
        # The others have padding in them and are no patches.
        patches = boxes.sums(whole[:, 0].double()).flatten(1) == boxes.area
        if self.relative is not None:
            own = own_scale(scores, patches, self.relative)
            scores, anomaly_map = scores / own, anomaly_map / own[:, :, None, None]
        if self.aggregate.of == "patches":
            in_lung = (boxes.sums(lung_field[:, 0].double()).flatten(1) > MOSTLY_LUNG * boxes.area) & patches
            score = self.aggregate(scores, in_lung).float()
        else:
            score = self.aggregate(anomaly_map.flatten(1), lung_field.flatten(1) == 1).float()
        return anomaly_map, scores, score, self._percentile(score), *kinds

    def _levelled(self, image: Tensor, lung_field: Tensor, whole: Tensor) -> Tensor:
        """With grey levels made comparable, which are then whole."""
        if not isinstance(self.intensity, LungFieldIntensity):
            return image
        grey = (image[:, 0].double() * 255).round()
        return self.intensity.levels(grey, lung_field[:, 0], whole[:, 0]).float().unsqueeze(1) / 255

    def _patches(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """The net sees each window by itself."""
        scores, total = [], torch.zeros_like(image[:, 0])
        for step in self.windows.steps:
            x = self.windows.cut(image, step)
            output: Output = self.net(x)
            scores.append(self.score_of.score(x, output).reshape(image.shape[0], -1))
            if self.map_of == "residual":
                total = total + self.windows.put(self.score_of.residual_map(x, output), step)
        found = torch.cat(scores, dim=1)
        return self.grid.mean(total) if self.map_of == "residual" else self.grid.paint(found), found

    def _whole(self, image: Tensor) -> tuple[Tensor, ...]:
        """The net sees the whole radiograph: a window's score is the mean of the map over it, and so are chances."""
        output: Output = self.net(image)
        anomaly_map = self.score_of.residual_map(image, output)
        scores = self.grid.window_means(anomaly_map[:, 0])
        seen = torch.where(torch.from_numpy(self.grid.covered), anomaly_map, torch.nan)
        return (seen, scores, likeliest_kinds(output, self.grid).float()) if self.likeliest else (seen, scores)

    def _percentile(self, score: Tensor) -> Tensor:
        lower = (self.normals < score[:, None]).sum(dim=1)
        return torch.where(score.isnan() | self.normals[0].isnan(), torch.nan, 100 * lower / len(self.normals))
