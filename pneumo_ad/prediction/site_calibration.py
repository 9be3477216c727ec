"""Site calibration (`calibrate=DIR`): normal radiographs of the user's site replace a run's held-out normals.

Scores shift between scanners and patient populations: compared with the run's normals, the false-alarm rate is not the
declared one. Compared with normals of the same source it is, for any detector (Vovk et al. 2005), provided that these
are exchangeable with the input.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from copy import copy
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pneumo_ad.data.progress import progress_bar
from pneumo_ad.errors import DamagedError, DataError, printable
from pneumo_ad.files import reading_threads, write_arrays
from pneumo_ad.inference.predictor import Calibration, Predictor, finest_step, normals_of
from pneumo_ad.metrics.conformal import least_normals
from pneumo_ad.prediction.inputs import File, find_files, named
from pneumo_ad.prediction.pipeline import judged_ahead
from pneumo_ad.prediction.written import digest_of
from pneumo_ad.saved import check_array, is_there, read_arrays

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Site:
    """Files of `calibrate=`.

    Attributes:
        folder: Folder as given.
        files: SHA-256 of the content -> file, sorted; a radiograph that occurs twice counts once.
    """

    folder: Path
    files: dict[str, File]

    @property
    def digest(self) -> str:
        """Digest of the content of all files, independent of their names; 12 hexadecimal digits."""
        return hashlib.sha256("".join(self.files).encode()).hexdigest()[:12]

    @property
    def words(self) -> str:
        """Description of the site as recorded with a prediction."""
        return f"{printable(str(self.folder.absolute()))} ({len(self.files)} files, digest {self.digest})"


@dataclass(frozen=True)
class SiteScores:
    """Scores of the normals of a site by one predictor.

    Attributes:
        images: (n,) float64 score of each of `Site.files`; NaN where it has none.
        windows: (m,) float32 scores of the windows wholly inside the lungs.
        remarks: (n,) str, warnings on each file, or the reason why it has no score; empty where there are none.
        key: Identifier of predictor and files.
    """

    images: npt.NDArray[np.float64]
    windows: npt.NDArray[np.float32]
    remarks: npt.NDArray[np.str_]
    key: str

    def keep(self, kept: Path) -> None:
        """Write the scores to a file for reuse."""
        arrays = {"images": self.images, "windows": self.windows, "remarks": self.remarks}
        write_arrays(kept, arrays | {"key": np.array(self.key)})


def find_site(folder: Path, leave_out: Path, judged: Iterable[Path]) -> Site:
    """Find the radiographs below a folder, and check that none is in the input.

    Args:
        folder: Folder to search, with subfolders (`find_files`).
        leave_out: Folder within `folder` to skip: the output.
        judged: Files of the input.

    Raises:
        DataError: The folder is missing, holds no radiograph, or holds files of the input, which are named: a file
            cannot calibrate its own score.
    """
    candidates = find_files(folder, leave_out, "calibrate")
    if strange := [file.name for file in candidates if file.kind == "unreadable"]:
        log.warning("calibrate=%s: %d files cannot be read: %s", folder, len(strange), named(strange))
    files: dict[str, File] = {}
    twice = []
    for file in candidates:
        if file.kind == "radiograph":
            digest = digest_of(file.path)
            twice += [file.name] if digest in files else []
            files.setdefault(digest, file)
    if twice:
        log.warning("calibrate=%s: %d files are there twice and count once: %s", folder, len(twice), named(twice))
    sizes = {file.stamp[0] for file in files.values()}
    both = [path for path in judged if path.is_file() and path.stat().st_size in sizes and digest_of(path) in files]
    if both:
        raise DataError(
            f"calibrate={folder} holds {len(both)} files that are to be judged too, and no file can be its own "
            f"standard: {named([printable(str(path)) for path in both])}"
        )
    return Site(folder, dict(sorted(files.items())))


def site_scores(judge: Predictor, site: Site, kept: Path) -> SiteScores:
    """Return scores of a site's normals, stored or computed now; log warnings on files by name.

    Args:
        judge: Predictor; files are read as inputs are.
        site: Files of the site.
        kept: File of `SiteScores.keep`, which may be missing.
    """
    key = f"{judge.identity} {site.digest}"
    scores = _read(kept, key, len(site.files)) or _made(judge, list(site.files.values()), key)
    for file, score, words in zip(site.files.values(), scores.images, scores.remarks, strict=True):
        if words:
            log.warning("calibrate: %s%s: %s", file.name, " is left out" if np.isnan(score) else "", words)
    return scores


def calibrated(judge: Predictor, site: Site, scores: SiteScores) -> Predictor:
    """Return a copy of a predictor that is calibrated on the site's normals.

    Args:
        judge: Predictor, not changed.
        site: Files of the site.
        scores: Scores of these files.

    Raises:
        DataError: Fewer files with a score than the declared false-alarm rate needs; the message gives the number.
    """
    scored = ~np.isnan(scores.images)
    rate = judge.standard.false_alarm_rate
    if scored.sum() < (least := least_normals(rate)):
        without = [file.name for file, has_score in zip(site.files.values(), scored, strict=True) if not has_score]
        raise DataError(
            f"calibrate={site.folder}: a false-alarm rate of {rate:g} needs at least {least} normal "
            f"{judge.vocabulary.images}; there are {scored.sum()}"
            + (f", and {len(without)} without a score: {named(without)}" if without else "")
        )
    other = copy(judge)
    other.standard, kinds = _standard(judge.standard, scores.images[scored], scores.windows)
    other.standard = replace(other.standard, whose=normals_of(printable(str(site.folder))))
    other.identity = f"{judge.identity}-{site.digest}"
    about_own = "held-out normals of the run"  # such notes no longer apply
    other.notes = [
        f"percentiles, p-values and decisions rest on {scored.sum()} normal {judge.vocabulary.images} of "
        f"calibrate={printable(str(site.folder))}, {kinds}",
        *(note for note in judge.notes if note not in judge.standard.limits and about_own not in note),
        *filter(None, [finest_step(int(scored.sum()), rate, judge.vocabulary)]),
    ]
    return other


def _standard(
    own: Calibration, normals: npt.NDArray[np.float64], windows: npt.NDArray[np.float32]
) -> tuple[Calibration, str]:
    """Return the site's calibration, and the basis of kinds of window in words."""
    standard = replace(own, normals=normals)
    if len(windows):
        middle, high = np.quantile(windows, [0.5, 0.99])
        standard = replace(standard, window_range=(float(middle), float(high)))
    if own.rule is None:
        return standard, "kinds of window on the run's own data"
    try:
        return replace(standard, thresholds=own.rule(windows)), "and so do kinds of window"
    except DataError as reason:
        return standard, f"kinds of window on the run's own data ({reason})"


def _made(judge: Predictor, files: Sequence[File], key: str) -> SiteScores:
    images, windows, remarks = [], [np.zeros(0, dtype=np.float32)], []
    with (
        ThreadPoolExecutor(reading_threads()) as pool,
        progress_bar(total=len(files), desc="calibrate", unit="file") as bar,
    ):
        for group in judged_ahead(judge, files, pool):
            for _, one in group:
                score, words = (None, one) if isinstance(one, str) else (one.row["score"], one.row["warnings"])
                images.append(np.nan if score is None else score)
                remarks.append(words)
                if not isinstance(one, str) and score is not None:
                    in_lung = judge.grid.window_shares(one.lung_field[None])[0] == 1
                    windows.append(one.windows[one.inside & in_lung])
            bar.update(len(group))
    return SiteScores(np.array(images), np.concatenate(windows), np.array(remarks, dtype=np.str_), key)


def _read(kept: Path, key: str, files: int) -> SiteScores | None:
    """Read stored scores of the same predictor and files; None where there are none."""
    if not is_there(kept):
        return None
    try:
        arrays = read_arrays(kept)
        if str(arrays.get("key")) != key:
            return None
        scores = SiteScores(arrays["images"], arrays["windows"], arrays["remarks"], key)
        check_array(scores.images, np.float64, (files,))
        check_array(scores.windows, np.float32, (None,))
        if scores.remarks.shape != (files,) or scores.remarks.dtype.kind != "U":
            raise ValueError("remarks are no words")
    except (DamagedError, ValueError, LookupError) as reason:
        log.warning("%s: scores of calibrate= are recomputed (%s)", kept, reason)
        return None
    return scores
