"""`pneumo-ad figures`: Figs. 1 to 10 and Table 1 of the paper for a run, with the numbers behind each."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pneumo_ad.runs.arguments import CHECKPOINT, RUN, SUBSET, Arguments, Key, Overrides, Place, Subset, expanded, path
from pneumo_ad.runs.command import Command, typed

if TYPE_CHECKING:
    import pandas as pd

    from pneumo_ad.runs.run import Run

USAGE = """\
pneumo-ad figures run=RUN [key=value] ...

Draws Figs. 1 to 10 and Table 1 of the paper for a run, on its test split or on other data: each as PNG (300 dpi) with
the numbers behind it as csv of the same name, and index.csv, which says what was left out and why. Scores of an
evaluation of the same data are read, not recomputed.

{keys}
  score=GROUP threshold=GROUP stride=N trainer=GROUP ...   as on `pneumo-ad evaluate`

  data=GROUP data.root=DIR   {data}
"""


@typed
def draw_figures(
    run: Place | Run,
    overrides: Overrides = (),
    *,
    output: Place | None = None,
    only: str = "",
    classifier: str = "",
    subset: Subset | None = None,
    checkpoint: str | None = None,
) -> pd.DataFrame:
    """Draw the paper's figures for a run, as `pneumo-ad figures` does.

    Args:
        run: Run folder, or an opened run with the overrides it was opened with.
        overrides: Changes to the run's config, for example `{"stride": 4}`.
        output: Folder to write to; default: `paper_figures` in the folder where `evaluate` writes.
        only: Some of them, for example `1,9,table1`.
        classifier: Run of `pneumo-ad classify` for Fig. 2; `train` trains one, `none` leaves Fig. 2 out.
        subset: Split to draw; default: test of the run's own data, all of other data.
        checkpoint: `best`, `last` or a file; default: the best, or that of the opened run.

    Returns:
        Content of `index.csv`, a row per figure: `figure`, `shows`, `files` (stems), `left_out` (the reason, or empty);
        `attrs["output"]` is the folder.

    Raises:
        ConfigError: An unknown or invalid argument, override or figure; a folder that cannot be written to.
        DataError: Not a run folder, no finished classifier in `classifier=`, or no radiograph.
    """
    given = COMMAND.read(locals())
    from pneumo_ad.evaluation.paper_figures import checked_classifier, draw_for_run, wanted_figures
    from pneumo_ad.runs.run import open_run, place_of_evaluation

    wanted, of_classes = wanted_figures(given["only"]), checked_classifier(given["classifier"])
    opened = open_run(given["run"], given.overrides, given["checkpoint"])
    evaluated = place_of_evaluation(opened, given["subset"])
    output = given["output"] or evaluated / "paper_figures"
    return draw_for_run(opened, output, wanted, of_classes, given["subset"], evaluated)


def _show(index: pd.DataFrame, given: Arguments) -> None:
    for _, row in index.iterrows():
        outcome = f"left out: {row['left_out']}" if row["left_out"] else row["files"]
        print(f"{row['figure']:8} {row['shows']}: {outcome}")
    print(f"figures (png, 300 dpi) and numbers (csv): {index.attrs['output']}")


COMMAND = Command(
    section="look",
    place=3,
    summary="Figs. 1-10 and Table 1 of the paper for a run",
    example="run=RUN [data=... data.root=...] [only=1,9]",
    call=draw_figures,
    show=_show,
    usage=USAGE,
    keys=(
        RUN,
        Key(
            "output",
            "where to write (default: RUN/paper_figures, or RUN/evaluations/<what was changed>/paper_figures)",
            "DIR",
            path,
        ),
        Key("only", "some of them", "1,9,table1"),
        Key(
            "classifier",
            "a run of `pneumo-ad classify` for Fig. 2; classifier=train trains one, once, in\n"
            "RUN/figures/classifier (default: the one there; else Fig. 2 is left out, as by classifier=none)",
            "RUN",
            expanded,
        ),
        SUBSET,
        CHECKPOINT,
    ),
    config="train",
)
