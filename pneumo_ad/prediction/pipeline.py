"""Pipeline of reading, scoring and drawing in threads, with few files in memory at a time."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np

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


def outcomes(
    judge: Predictor, files: Sequence[File], pictures: Pictures, threads: int | None = None
) -> Iterator[list[tuple[File, Outcome]]]:
    """Score files in order, in groups (`groups`); yield each group once its pictures are written.

    At most three groups are in memory, each file as fitted image and small picture.

    Args:
        judge: Predictor of the files.
        files: Files that look like radiographs.
        pictures: Writer of maps and overlays.
        threads: Number of threads that read and draw; default `reading_threads`.
    """
    pool = ThreadPoolExecutor(threads or reading_threads())
    behind: list[tuple[File, Future[Row] | str]] = []
    try:
        for group, decoded in read_ahead(judge, files, pool, pictures.overlays):
            drawing = _judged(judge, group, decoded, pictures, pool)
            if behind:
                yield _waited(behind)
            behind = drawing
        if behind:
            yield _waited(behind)
    finally:
        pool.shutdown(cancel_futures=True)


def read_ahead(
    judge: Predictor, files: Sequence[File], pool: ThreadPoolExecutor, picture: bool = False
) -> Iterator[tuple[list[File], list[Decoded | str]]]:
    """Decode files in groups, reading the next group ahead; yield files with decoded images, or reasons for failure.

    Args:
        judge: Predictor of the files, with grid and fit.
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
    for number, chunk in enumerate(chunks):
        ahead = ahead or [pool.submit(read, file) for file in chunk]
        decoded = [future.result() for future in ahead]
        ahead = [pool.submit(read, file) for file in chunks[number + 1]] if number + 1 < len(chunks) else []
        yield chunk, decoded


def _judged(
    judge: Predictor,
    files: Sequence[File],
    found: Sequence[Decoded | str],
    pictures: Pictures,
    pool: ThreadPoolExecutor,
) -> list[tuple[File, Future[Row] | str]]:
    readable = [(file, one) for file, one in zip(files, found, strict=True) if not isinstance(one, str)]
    started: dict[str, Future[Row]] = {}
    if readable:
        decoded = [one for _, one in readable]
        judged = judge(np.stack([one.image for one in decoded]), np.stack([one.content for one in decoded]))
        names = [file.name for file, _ in readable]
        for i, row in enumerate(rows(names, decoded, judged, judge.standard)):
            started[row["file"]] = pool.submit(pictures.write, row, decoded[i], judged.lung_fields[i], judged.maps[i])
    return [(file, one if isinstance(one, str) else started[file.name]) for file, one in zip(files, found, strict=True)]


def _waited(drawing: list[tuple[File, Future[Row] | str]]) -> list[tuple[File, Outcome]]:
    return [(file, one if isinstance(one, str) else one.result()) for file, one in drawing]
