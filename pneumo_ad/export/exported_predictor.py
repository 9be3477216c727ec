"""Prediction by an exported model, without the run that it was exported from."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from pneumo_ad.errors import DataError, DivergedError
from pneumo_ad.export.description import FILE, LUNG_THRESHOLD, read_description
from pneumo_ad.export.formats import FORMATS, Floats, format_named
from pneumo_ad.inference.predictor import Prediction
from pneumo_ad.lungs.segmenter import clean_field
from pneumo_ad.saved import file_digest, in_a_line

_AT_ONCE = 4  # radiographs per call; the graph holds windows of all of them in memory


class ExportedPredictor:
    """`inference.predictor.Predictor` of an exported model.

    Args:
        folder: Folder written by `pneumo-ad export`.

    Attributes:
        description: Content of `model.json`.
        identity: Digest of `model.json`, which contains the digests of all files.

    Raises:
        DataError: See `read_description`; also a graph that cannot be opened.
        ConfigError: Missing packages for the format of the model.
    """

    def __init__(self, folder: str | Path) -> None:
        folder = Path(folder)
        self.description = read_description(folder)
        if self.description.format not in FORMATS:
            raise DataError(f"{folder / FILE}: format is {self.description.format!r}, expected {' or '.join(FORMATS)}")
        opened = format_named(self.description.format).open
        self.files = {part: folder / name for part, name in self.description.files.items()}
        self.graphs = {part: opened(file) for part, file in self.files.items()}
        for part, graph in self.graphs.items():  # before arrays of such a size are allocated
            takes = [self.description.grid.image_size] * (len(self.description.inputs) if part == "model" else 1)
            if graph.sides != takes:
                raise DataError(
                    f"{self.files[part]} takes pictures of {graph.sides} pixels, {FILE} says {takes}: export again"
                )
        self.grid, self.fit, self.view = self.description.grid, self.description.fit, self.description.view
        self.standard, self.vocabulary = self.description.standard, self.description.vocabulary
        self.notes = self.description.notes
        # Changed thresholds change the predictions, so a prediction begun by an earlier version is not continued.
        self.identity = file_digest(folder / FILE)[:16] + "-opacity_or_not" * self.description.told_anew

    def __call__(self, images: npt.NDArray[np.uint8], content: npt.NDArray[np.uint8]) -> Prediction:
        """See `Predictor`."""
        fields = self.lung_fields(images, content)
        maps, windows, scores, _, *kinds = self.inside(images, fields, content)
        likeliest = kinds[0].astype(np.int8) if kinds else None
        return Prediction.of(fields, maps[:, 0], windows, scores, content, self.grid, likeliest)

    def lung_fields(self, images: npt.NDArray[np.uint8], content: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        """Lung fields of `images`: (b, H, W) -> (b, H, W) of 0 and 1, cleaned; `content` without a segmenter."""
        if "lungs" not in self.graphs:
            return content
        (probability,) = self._run("lungs", _floats(images) / np.float32(255))
        if not np.isfinite(probability).all():
            raise DivergedError(
                f"{self.files['lungs']}: the probability of the {self.vocabulary.region} that it gives is not finite"
            )
        return np.stack([clean_field(one[0] > LUNG_THRESHOLD) for one in probability])

    def inside(
        self, images: npt.NDArray[np.uint8], fields: npt.NDArray[np.uint8], content: npt.NDArray[np.uint8]
    ) -> list[Floats]:
        """Run the graph on radiographs with given lung fields.

        Args:
            images: (b, H, W) uint8 grey levels.
            fields: (b, H, W) lung fields, 0 or 1.
            content: (b, H, W) of 0 and 1: radiograph or padding.

        Returns:
            (b, 1, H, W) maps, (b, N) window scores, (b,) scores, (b,) percentiles and, where windows are classified by
            them, (b, N) likeliest kinds of windows, all float32.

        Raises:
            DataError: Number of outputs that differs from `model.json`.
        """
        given = [_floats(images) / np.float32(255), _floats(fields), _floats(content)]
        outputs = self._run("model", *given[: len(self.description.inputs)])
        if len(outputs) != len(self.description.outputs):
            raise DataError(
                f"{self.files['model']} gives {len(outputs)} outputs, {FILE} says "
                f"{', '.join(self.description.outputs)}: export again"
            )
        return outputs

    def _run(self, part: str, *inputs: Floats) -> list[Floats]:
        results = []
        for first in range(0, len(inputs[0]), _AT_ONCE):
            try:
                results.append(self.graphs[part](*(one[first : first + _AT_ONCE] for one in inputs)))
            except Exception as reason:  # the errors of the libraries share no base class
                raise DataError(
                    f"{self.files[part]} does not take {inputs[0].shape[-2:]} pixels and {len(inputs)} inputs, as "
                    f"{FILE} says it does ({in_a_line(reason)}): export again"
                ) from reason
        return [np.concatenate(batches) for batches in zip(*results, strict=True)]


def _floats(images: npt.NDArray[np.uint8]) -> Floats:
    """(b, H, W) -> (b, 1, H, W) float32."""
    return images[:, None].astype(np.float32)
