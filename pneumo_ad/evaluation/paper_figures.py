"""Figs. 1 to 10 and Table 1 of the paper for a run, with the underlying numbers."""

from __future__ import annotations

import difflib
import logging
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from pneumo_ad import figures
from pneumo_ad.classifier.examination import FIGURE
from pneumo_ad.errors import ConfigError, DataError, DivergedError, UserError
from pneumo_ad.evaluation.examination import Examination, typical_places
from pneumo_ad.evaluation.ground_truth import gather_ground_truth
from pneumo_ad.evaluation.kept_scores import earlier_scores
from pneumo_ad.evaluation.kinds_table import background_shares, draw_table, kinds_table
from pneumo_ad.evaluation.measures import shape_of_histogram
from pneumo_ad.evaluation.pictures import (
    FRAMED,
    RECONSTRUCTIONS,
    frames,
    frames_by_threshold,
    histograms,
    reconstructions,
)
from pneumo_ad.evaluation.samples import draw_lung_fields, net_architecture, sample_patches, sample_radiographs
from pneumo_ad.evaluation.windows import Drawn
from pneumo_ad.files import atomic_write, writable_folder, write_csv, write_text
from pneumo_ad.inference.scorer import Scoring
from pneumo_ad.metrics.catalogue import GroundTruth
from pneumo_ad.metrics.thresholds import Thresholds
from pneumo_ad.patches import PatchGrid
from pneumo_ad.runs.calibration import fit_thresholds, tells_outside, validation_scores
from pneumo_ad.runs.check_options import check_options
from pneumo_ad.runs.classifying import classifier_beside
from pneumo_ad.runs.evaluated_rows import chosen_rows
from pneumo_ad.runs.record import read_run_json
from pneumo_ad.runs.run import Run
from pneumo_ad.runs.scorer import check_finite, check_net, scoring_of
from pneumo_ad.scores import score_words

log = logging.getLogger(__name__)

# Quantiles of the shown radiographs' window scores: ranges in Fig. 10 beside those between thresholds.
QUANTILES = (0.0, 0.25, 0.5, 0.75, 0.95)
_ORIGINS = {"fig03_normal_patches": "normal_lung", "fig04_pneumonia_patches": "pneumonia"}
_SCORES = ("score", "sad")  # of windows that figures need; a net of whole radiographs has no SAD


def draw_for_run(
    run: Run,
    output: Path,
    wanted: Sequence[PaperFigure],
    classifier: Path | str | None = None,
    subset: str | None = None,
    evaluated: Path | None = None,
) -> pd.DataFrame:
    """Draw figures, and write `index.csv`.

    Args:
        run: Opened run.
        output: Folder to write to.
        wanted: Figures to draw, from `wanted_figures`.
        classifier: See `Material`.
        subset: Split to draw, or None for the default of `pneumo-ad evaluate`.
        evaluated: Folder of an evaluation of the same radiographs; the run's folder by default.

    Returns:
        Content of `index.csv`, a row per figure: `figure`, `shows`, `files` (stems), `left_out` (the reason, or empty);
        `attrs["output"]` is the folder.
    """
    output = writable_folder(output)
    material = Material(run, subset, evaluated or run.folder, classifier)
    drawn = [_draw(material, figure, output) for figure in wanted]
    index = pd.DataFrame(drawn, columns=["figure", "shows", "files", "left_out"])
    write_csv(output / "index.csv", index)
    index.attrs["output"] = str(output)
    return index


class Material:
    """Inputs of the figures, computed on first use and cached.

    Args:
        run: Opened run.
        subset: Split to draw, or None for the default of `pneumo-ad evaluate`.
        evaluated: Folder of an evaluation of the same radiographs; its scores are reused if there are any.
        classifier: Folder of a finished classifier; "train" trains one beside the run; None takes one trained there
            before, if any; "none" leaves Fig. 2 out.
    """

    def __init__(self, run: Run, subset: str | None, evaluated: Path, classifier: Path | str | None) -> None:
        check_options(run.config)
        check_net(run)
        self.run = run
        self.data = run.radiographs
        self.rows = chosen_rows(run, subset)[0]
        self.evaluated = evaluated
        self.classifier = classifier

    @cached_property
    def scoring(self) -> Scoring:
        """Scoring of the run."""
        return scoring_of(self.run)

    @cached_property
    def score_name(self) -> str:
        """Name of the run's score in words."""
        return score_words(type(self.run.module.score).__name__)

    @property
    def unit(self) -> str:
        """Name and unit of the run's score."""
        return f"{self.score_name} ({self.scoring.unit})"

    @cached_property
    def grid(self) -> PatchGrid:
        """Grid of the kept windows."""
        return self.scoring.kept(self.data)

    @cached_property
    def evidence(self) -> GroundTruth:
        """Ground truth from masks and labels."""
        return gather_ground_truth(self.data, self.rows, self.grid)

    @cached_property
    def result(self) -> Examination:
        """Scores and ground truth of every kept window, without maps."""
        windows = earlier_scores(self.evaluated, self.run, self.scoring, self.rows)
        if windows is None:
            scores = self._score()
        else:
            columns, shape = [name for name in _SCORES if name in windows], (len(self.rows), len(self.grid))
            scores = {name: windows[name].to_numpy(dtype=np.float32).reshape(shape) for name in columns}
        return Examination(self.rows, self.grid, self.evidence, scores, {}, {}, {})

    def _score(self) -> dict[str, npt.NDArray[np.float32]]:
        numbers, parts = self.data.grid.numbers_of(self.grid), []
        for scored in self.scoring(self.data, self.rows, "scoring"):
            check_finite(scored, scored.rows, self.data)
            parts.append({name: scored.scores[name][:, numbers] for name in _SCORES if name in scored.scores})
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}

    @cached_property
    def thresholds(self) -> Thresholds | None:
        """Thresholds of the run's score, fitted on its validation patients; None where they cannot be."""
        try:
            scores = validation_scores(self.run, self.scoring)
        except DataError as reason:  # the run's own data may be missing
            log.warning("no thresholds: %s", reason)
            return None
        three = tells_outside(self.run, self.scoring, scores)
        return fit_thresholds(scores, self.run.threshold, three)[0].get("score")


# Stem of files -> figure drawn here, or path (without suffix) of a finished pair of files.
Parts = Mapping[str, Drawn | Path]


@dataclass(frozen=True)
class PaperFigure:
    """One of the paper's figures.

    Attributes:
        name: Name in the paper, for example `Fig. 1`.
        shows: Content in words, a template of `labels.Vocabulary.fill`.
        make: Function of the material that returns figures by stem of their files; raises `UserError` with the reason
            if it cannot.
    """

    name: str
    shows: str
    make: Callable[[Material], Parts]

    @property
    def key(self) -> str:
        """Name of the figure in `only=`."""
        return self.name.removeprefix("Fig. ").replace(" ", "").lower()


def _fig02(material: Material) -> Parts:
    given, beside = material.classifier, material.run.folder / "figures" / "classifier"
    trained = read_run_json(beside).get("status") == "finished"
    if given == "none" or (given is None and not trained):
        raise DataError(
            "it needs a CNN: classifier=train trains one on the run's own images, classifier=RUN takes one of "
            "`pneumo-ad classify`"
        )
    if given == "train" and not trained:
        log.info("Fig. 2: a classifier is trained on the run's own images, once, in %s", beside)
    folder = classifier_beside(material.run.folder) if given in (None, "train") else Path(given)
    return {FIGURE: folder / "figures" / FIGURE}


def _patches(stem: str, material: Material) -> Parts:
    return {
        stem: sample_patches(
            material.data, material.grid, material.rows, material.evidence, _ORIGINS[stem], material.run.vocabulary
        )
    }


def _reconstructions(stem: str, material: Material) -> Parts:
    return {stem: reconstructions(material.run, material.result, RECONSTRUCTIONS[stem])}


def _fig09(material: Material) -> Parts:
    result = material.result
    if not result.evidence.origins["pneumonia"].any():
        raise DataError("no window of {abnormal} {images}")
    shape, unknown = shape_of_histogram(result)
    for reason in unknown.values():
        log.warning("modality of the scores is not known: %s", reason)
    return histograms(result, material.thresholds, material.unit, shape, material.run.vocabulary)


def _fig10(material: Material) -> Parts:
    result, data, name, terms = material.result, material.data, material.score_name, material.run.vocabulary
    places = typical_places(result.evidence, FRAMED)
    everywhere = material.run.module.score.orders_outside
    bounds = [*np.quantile(result.window["score"][places], QUANTILES).tolist(), float("inf")]
    ends = [f"{100 * low:.0f} – {100 * high:.0f} %" for low, high in pairwise([*QUANTILES, 1])]
    return {
        "fig10_red_frames": frames_by_threshold(data, result, material.thresholds, name, terms, everywhere),
        "fig10_red_frames_by_quantile": frames(data, result, places, list(pairwise(bounds)), name, terms, ends),
    }


def _table01(material: Material) -> Parts:
    result, terms = material.result, material.run.vocabulary
    if "sad" in result.window:  # meant to order the three kinds, by the paper
        values, unit, ordered = result.window["sad"], "SAD, mean grey levels per pixel", True
    else:
        values, unit, ordered = result.window["score"], material.unit, material.run.module.score.orders_outside
    background = background_shares(material.data, material.grid, material.rows)
    table = kinds_table(values, result.evidence, background, terms)
    return {"table01_kinds": draw_table(table, unit, ordered, terms)}


FIGURES = (
    PaperFigure(
        "Fig. 1",
        "sample {images}",
        lambda m: {"fig01_radiographs": sample_radiographs(m.data, m.rows, m.run.vocabulary)},
    ),
    PaperFigure("Fig. 2", "Grad-CAM of the classifier, on its own test split", _fig02),
    PaperFigure("Fig. 3", "patches of normal {region}", partial(_patches, "fig03_normal_patches")),
    PaperFigure("Fig. 4", "patches of {abnormal} {images}", partial(_patches, "fig04_pneumonia_patches")),
    PaperFigure(
        "Fig. 5",
        "{field} of some {images}",
        lambda m: {"fig05_lung_fields": draw_lung_fields(m.data, m.rows, m.run.vocabulary)},
    ),
    PaperFigure("Fig. 6", "architecture", lambda m: {"fig06_architecture": net_architecture(m.run.module.net, m.data)}),
    PaperFigure(
        "Fig. 7", "reconstructions of normal {region}", partial(_reconstructions, "fig07_normal_reconstructions")
    ),
    PaperFigure(
        "Fig. 8", "reconstructions of {abnormal} windows", partial(_reconstructions, "fig08_pneumonia_reconstructions")
    ),
    PaperFigure("Fig. 9", "histogram of scores", _fig09),
    PaperFigure("Fig. 10", "red frames by range of score", _fig10),
    PaperFigure("Table 1", "scores by kind of patch", _table01),
)


def _draw(material: Material, figure: PaperFigure, output: Path) -> tuple[str, str, str, str]:
    """Draw one figure and return its row of the index, with the reason if it cannot be drawn."""
    fill = material.run.vocabulary.fill
    try:
        parts = figure.make(material)
    except DivergedError:
        raise
    except UserError as reason:
        return figure.name, fill(figure.shows), "", fill(str(reason))
    for stem, drawn in parts.items():
        if isinstance(drawn, Path):
            for suffix in (".png", ".csv"):
                with atomic_write(output / f"{stem}{suffix}") as aside:
                    shutil.copyfile(drawn.with_name(drawn.name + suffix), aside)
            continue
        figures.save(drawn.figure, output / f"{stem}.png")
        write_csv(output / f"{stem}.csv", drawn.numbers)
        if drawn.markdown:
            write_text(output / f"{stem}.md", drawn.markdown)
    return figure.name, fill(figure.shows), " ".join(parts), ""


def wanted_figures(only: str) -> list[PaperFigure]:
    """Parse `only=`: 1, fig1, Fig. 1 and fig01 are the same figure.

    Args:
        only: Names separated by commas; empty for all.

    Raises:
        ConfigError: An unknown figure; the message names the nearest one.
    """
    if not only:
        return list(FIGURES)
    known = {figure.key: figure for figure in FIGURES}
    chosen = []
    for word in only.strip("[]").split(","):
        key = word.strip().lower().replace(" ", "").replace("figure", "").replace("fig", "").lstrip(".").lstrip("0")
        key = key.replace("table01", "table1")
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1, cutoff=0.4)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise ConfigError(f"only={word.strip()} is no figure of the paper{hint} There are {', '.join(known)}")
        chosen.append(known[key])
    return [figure for figure in FIGURES if figure in chosen]


def checked_classifier(given: str) -> Path | str | None:
    """Check the value of `classifier=`.

    Args:
        given: Run folder, train, none, or empty.

    Returns:
        The folder, "train", "none", or None where empty.

    Raises:
        DataError: The folder holds no finished classifier.
    """
    if given in ("", "none", "train"):
        return given or None
    folder = Path(given)
    if not all((folder / "figures" / f"{FIGURE}{suffix}").is_file() for suffix in (".png", ".csv")):
        raise DataError(
            f"classifier={given}: no finished classifier there (no figures/{FIGURE}.png and .csv); "
            "`pneumo-ad classify` or classifier=train trains one"
        )
    return folder
