"""Pipeline of reading, scoring and drawing in threads, with few files in memory at a time."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pneumo_ad.errors import DataError
from pneumo_ad.files import reading_threads
from pneumo_ad.inference.predictor import Predictor
from pneumo_ad.inference.radiographs import groups
from pneumo_ad.prediction.decoding import Decoded, decode
from pneumo_ad.prediction.inputs import File
from pneumo_ad.prediction.pictures import Pictures
from pneumo_ad.prediction.rows import Row, rows

log = logging.getLogger(__name__)

# A row of `predictions.csv`, or the reason for its absence.
Outcome = Row | str


class Judged(NamedTuple):
    """A file that was read and scored.

    Attributes:
        row: Row of `predictions.csv`, without the columns of pictures.
        decoded: Decoded file.
        lung_field: (H, W) uint8 lung field, 0 or 1.
        anomaly: (H, W) float32 anomaly map, NaN where no window lies.
        windows: (N,) float32 score of each window.
        inside: (N,) bool, whether a window lies on the radiograph.
        likeliest: (H, W) int8 likeliest kind of each pixel, (N,) of each window where the model tells no more; None
            unless windows are classified by it.
    """

    row: Row
    decoded: Decoded
    lung_field: npt.NDArray[np.uint8]
    anomaly: npt.NDArray[np.float32]
    windows: npt.NDArray[np.float32]
    inside: npt.NDArray[np.bool_]
    likeliest: npt.NDArray[np.int8] | None


def outcomes(judge: Predictor, files: Sequence[File], pictures: Pictures) -> Iterator[list[tuple[File, Outcome]]]:
    """Score files in order, in groups (`groups`); yield each group once its pictures are written.

    At most three groups are in memory, each file as fitted image and small picture.

    Args:
        judge: Predictor of the files.
        files: Files that look like radiographs.
        pictures: Writer of maps, overlays and DICOM objects.
    """
    pool = ThreadPoolExecutor(reading_threads())
    behind: list[tuple[File, Future[Row] | str]] = []
    try:
        for group in judged_ahead(judge, files, pool, pictures.drawn):
            drawing = [
                (file, one if isinstance(one, str) else pool.submit(pictures.write, *one[:4], one.likeliest))
                for file, one in group
            ]
            if behind:
                yield _waited(behind)
            behind = drawing
        if behind:
            yield _waited(behind)
    finally:
        pool.shutdown(cancel_futures=True)


def _waited(drawing: list[tuple[File, Future[Row] | str]]) -> list[tuple[File, Outcome]]:
    return [(file, one if isinstance(one, str) else one.result()) for file, one in drawing]


def judged_ahead(
    judge: Predictor, files: Sequence[File], pool: ThreadPoolExecutor, picture: bool = False
) -> Iterator[list[tuple[File, Judged | str]]]:
    """Read and score files in groups, reading the next group ahead; yield files with results, or reasons for failure.

    Args:
        judge: Predictor of the files.
        files: Files that look like radiographs.
        pool: Pool of threads that read.
        picture: See `decode`.
    """

    def read(file: File) -> Decoded | str:
        try:
            return decode(file.path, judge.grid, judge.fit, picture)
        except DataError as reason:
            return str(reason)
        except Exception as reason:  # one bad file must not end the run
            log.debug("%s", file.path, exc_info=True)
            return f"{file.path}: cannot be read ({type(reason).__name__}: {reason})"

    chunks = [[files[i] for i in group] for group in groups(np.arange(len(files)), judge.grid)]
    ahead: list[Future[Decoded | str]] = []
    for chunk, following in pairwise([[], *chunks, []]):
        found = [future.result() for future in ahead]
        ahead = [pool.submit(read, file) for file in following]
        if chunk:
            yield list(zip(chunk, _judged(judge, chunk, found), strict=True))


def _judged(judge: Predictor, files: Sequence[File], found: Sequence[Decoded | str]) -> list[Judged | str]:
    """Score the files that could be read together; reasons for failure are returned as they are."""
    readable = [(file.name, one) for file, one in zip(files, found, strict=True) if not isinstance(one, str)]
    results: Iterator[Judged] = iter(())
    if readable:
        names, decoded = zip(*readable, strict=True)
        prediction = judge(np.stack([one.image for one in decoded]), np.stack([one.content for one in decoded]))
        table = rows(names, decoded, prediction, judge.standard, judge.vocabulary)
        of_each = prediction.lung_fields, prediction.maps, prediction.windows, prediction.inside
        likeliest = prediction.likeliest if prediction.likeliest_pixels is None else prediction.likeliest_pixels
        results = map(Judged, table, decoded, *of_each, [None] * len(table) if likeliest is None else likeliest)
    return [one if isinstance(one, str) else next(results) for one in found]
