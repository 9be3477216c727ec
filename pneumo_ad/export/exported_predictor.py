"""An exported model judges radiographs, without the run it came from."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from pneumo_ad.errors import DataError, DivergedError
from pneumo_ad.export.description import FILE, LUNG_THRESHOLD, read_description
from pneumo_ad.export.formats import FORMATS, Floats, format_named
from pneumo_ad.inference.predictor import Prediction
from pneumo_ad.lungs.segmenter import clean_field
from pneumo_ad.saved import file_digest

_AT_ONCE = 4  # radiographs; a graph keeps the windows of a step of each in memory


class ExportedPredictor:
    """See `inference.predictor.Predictor`.

    Args:
        folder: Written by `pneumo-ad export`.

    Attributes:
        description: Content of `model.json`.
        identity: Digest of `model.json`, and with it of all it names.

    Raises:
        DataError: See `read_description`; a graph that cannot be opened.
        ConfigError: Packages that open its format are missing.
    """

    def __init__(self, folder: str | Path) -> None:
        folder = Path(folder)
        self.folder = folder
        self.description = read_description(folder)
        if self.description.format not in FORMATS:
            raise DataError(f"{folder / FILE}: format is {self.description.format!r}, expected {' or '.join(FORMATS)}")
        opened = format_named(self.description.format).open
        self.graphs = {part: opened(folder / name) for part, name in self.description.files.items()}
        for part, graph in self.graphs.items():  # before pictures of such a size are made
            takes = [self.description.grid.image_size] * (len(self.description.inputs) if part == "model" else 1)
            if graph.sides != takes:
                raise DataError(
                    f"{folder / self.description.files[part]} takes pictures of {graph.sides} pixels, {FILE} says "
                    f"{takes}: export again"
                )
        self.grid, self.fit, self.view = self.description.grid, self.description.fit, self.description.view
        self.standard = self.description.standard
        self.notes = self.description.notes
        # What an earlier version told otherwise is another judgement: a prediction that it began does not go on.
        self.identity = file_digest(folder / FILE)[:16] + "-opacity_or_not" * self.description.told_anew

    def __call__(self, images: npt.NDArray[np.uint8], content: npt.NDArray[np.uint8]) -> Prediction:
        """See `Predictor`."""
        fields = self.lung_fields(images, content)
        maps, windows, scores, _, *kinds = self.inside(images, fields, content)
        likeliest = kinds[0].astype(np.int8) if kinds else None
        return Prediction.of(fields, maps[:, 0], windows, scores, content, self.grid, likeliest)

    def lung_fields(self, images: npt.NDArray[np.uint8], content: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        """`images` (b, H, W) -> (b, H, W) of 0 and 1, cleaned; `content` where lungs are not sought."""
        if "lungs" not in self.graphs:
            return content
        (probability,) = self._run("lungs", _floats(images) / np.float32(255))
        if not np.isfinite(probability).all():
            raise DivergedError(
                f"{self.folder / self.description.files['lungs']}: the probability of lung that it gives is not finite"
            )
        return np.stack([clean_field(one[0] > LUNG_THRESHOLD) for one in probability])

    def inside(
        self, images: npt.NDArray[np.uint8], fields: npt.NDArray[np.uint8], content: npt.NDArray[np.uint8]
    ) -> list[Floats]:
        """What the graph says of radiographs whose lung fields are given.

        Args:
            images: (b, H, W) grey levels.
            fields: (b, H, W) of 0 and 1.
            content: (b, H, W) of 0 and 1.

        Returns:
            (b, 1, H, W) maps, (b, N) windows, (b,) scores, (b,) percentiles and, where they decide, (b, N) likeliest
            kinds of windows, all float32.

        Raises:
            DataError: The graph gives fewer or more.
        """
        given = [_floats(images) / np.float32(255), _floats(fields), _floats(content)]
        found = self._run("model", *given[: len(self.description.inputs)])
        if len(found) != len(self.description.outputs):
            raise DataError(
                f"{self.folder / self.description.files['model']} gives {len(found)} outputs, {FILE} says "
                f"{', '.join(self.description.outputs)}: export again"
            )
        return found

    def _run(self, part: str, *inputs: Floats) -> list[Floats]:
        parts = []
        for first in range(0, len(inputs[0]), _AT_ONCE):
            try:
                parts.append(self.graphs[part](*(one[first : first + _AT_ONCE] for one in inputs)))
            except Exception as reason:  # each library has errors of its own
                raise DataError(
                    f"{self.folder / self.description.files[part]} does not take {inputs[0].shape[-2:]} pixels and "
                    f"{len(inputs)} inputs, as model.json says it does ({str(reason).splitlines()[0]}): export again"
                ) from reason
        return [np.concatenate(found) for found in zip(*parts, strict=True)]


def _floats(images: npt.NDArray[np.uint8]) -> Floats:
    """(b, H, W) -> (b, 1, H, W) float32."""
    return images[:, None].astype(np.float32)
