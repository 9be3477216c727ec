"""`pneumo-ad COMMAND [overrides]`: picks a composition root; nothing heavy is imported before it must be."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable

from pneumo_ad.printable import print_safely

USAGE = """\
pneumo-ad COMMAND [overrides]

  train
    train        train a patch autoencoder on normal lung and evaluate it  (experiment=paper; -m sweeps; resume=RUN)
    tune         search what a recipe leaves open                       experiment=hpo_unet [tune.trials=N]
    classify     the paper's first try: a CNN on whole radiographs, Grad-CAM  (data=... data.root=...; resume=RUN)
    train-lungs  train the lung segmenter that ships                    (data.root=... to use other masks)

  look
    evaluate     measure a trained run, on its own or on other data     run=RUN [data=... data.root=...] [output=DIR]
    report       one HTML file: brush the histogram, frames light up    run=RUN [output=FILE] [data=... data.root=...]
    figures      Figs. 1-10 and Table 1 of the paper for a run          run=RUN [data=... data.root=...] [only=1,9]
    compare      the leaderboard of a sweep                             SWEEP_DIR [sort=METRIC] [reference=patch=32]
    cluster      cluster a run's difference images into three           run=RUN [data=... data.root=...] [output=DIR]
    audit        what is in a data set: counts, duplicates, shortcuts   data=GROUP data.root=DIR [output=DIR]

  use
    predict      scores, maps and decisions for a folder of files       run=RUN input=PATH output=DIR [report=true]
    export       a run as ONNX or torch.export, with a model card       run=RUN format=onnx|torch_export
    download     fetch a public data set                                chest_xray|rsna [output=DIR]
    prepare      decode and segment ahead of training, in shards        data=... num_shards=8 [shard=3] [-m]
    store        list the stores of decoded radiographs, or clear them  [clear=KEY|all]

`pneumo-ad COMMAND --help` explains a command, its groups and its keys.
trust=NAME, beside any of them, lets run folders use a package of your own; see SECURITY.md.
PNEUMO_AD_CACHE names the folder of stores; PNEUMO_AD_TRACEBACK=1 shows where in the code an error arose.
"""

EVALUATE = """\
pneumo-ad evaluate run=RUN [key=value] ...

Scores every window of the run's test split, or of other data, and writes metrics.json, patches.csv, images.csv,
subgroups.csv, maps/ and figures/. Beside every AUROC stand those of scores that need no model.

  run=RUN              a folder written by `pneumo-ad train`
  output=DIR           where to write (default: the run folder, or its evaluations/<what was changed>)
  subset=SPLIT         train, val, test or all (default: test; all where the data are others)
  checkpoint=NAME      best (default), last, or a file

Everything the weights do not depend on may change, as on `pneumo-ad train`:

  data=GROUP data.root=DIR   {data}
  lungs=GROUP                {lungs}
  score=GROUP                {score}
  threshold=GROUP            {threshold}
  aggregate=GROUP            {aggregate}; aggregate.of=pixels takes the map's pixels instead of patches
  false_alarm_rate=0.05      declared, for decisions that held-out normals alone fix
  matched=false              without the second pass over radiographs matched in aspect, sharpness and intensity
  stride=N cover=full        other windows
  scoring=dense              the net over whole radiographs instead of window by window: the same scores, faster;
                             needs a halo as wide as the net sees, and says which
  halo=N                     show the net N pixels around each window
  kept_windows=4096          of a radiograph, that patch metrics, tables and figures are made of at most: of finer
                             strides every k-th each way; maps and image scores are made of all; null keeps all
  image_size=N fit=pad       another fit
  trainer=GROUP              {trainer}
  compile=true               the net compiled; pays for many radiographs
"""

REPORT = """\
pneumo-ad report run=RUN [key=value] ...

Writes one HTML file that opens offline: drag over the histogram of scores, and the windows of that range light up on
the radiographs; with reconstructions, anomaly maps, lung fields, truth, the headline table and the config. An
evaluation of the same is read; where there is none, it is made first, as by `pneumo-ad evaluate`.

  run=RUN              a folder written by `pneumo-ad train`
  output=FILE          what to write (default: report.html in the folder of the evaluation)
  images=50            radiographs to show at most, spread over the scores of each label, those with truth first
  subset=SPLIT checkpoint=NAME score=GROUP threshold=GROUP stride=N trainer=GROUP ...   as on `pneumo-ad evaluate`

  data=GROUP data.root=DIR   {data}
"""

PREDICT = """\
pneumo-ad predict run=RUN input=PATH output=DIR [key=value] ...

Judges every radiograph below a folder: predictions.csv (score, percentile among held-out normals, p-value, decision at
the declared false-alarm rate, lung area, windows of the three kinds, warnings), failed.csv (files that could not be
read, or are none), overlays/ and maps/. The same command goes on where it stopped, and takes files that are new.
Exit status: 0, or 3 where files could not be read.

  run=RUN              a folder written by `pneumo-ad train`, or by `pneumo-ad export`
  input=PATH           a folder, searched with all below it, or a file
  output=DIR           a new or empty folder
  overlays=false       without the heat maps over the radiographs
  maps=png             anomaly maps as 16-bit PNG (default; scale in its text chunks), npy (float32), or none
  report=true          also report.html: the linked histogram of 50 files, half of them the most anomalous
  overwrite=true       replace what predict wrote to output; other files there stay
  checkpoint=NAME      best (default), last, or a file

What may change of the run, as on `pneumo-ad evaluate` (held-out normals are then scored anew, from the run's own data):

  score=GROUP          {score}
  threshold=GROUP      {threshold}
  aggregate=GROUP      {aggregate}
  false_alarm_rate=0.05  lungs=GROUP  stride=N  cover=full  relative=0.2  map_of=residual  fit=pad  trainer=GROUP
  scoring=dense  halo=N      as on `pneumo-ad evaluate`
"""

FIGURES = """\
pneumo-ad figures run=RUN [key=value] ...

Draws Figs. 1 to 10 and Table 1 of the paper for a run, on its test split or on other data: each as PNG (300 dpi) with
the numbers behind it as csv of the same name, and index.csv, which says what was left out and why. Scores of an
evaluation of the same data are read, not made again.

  run=RUN              a folder written by `pneumo-ad train`
  output=DIR           where to write (default: RUN/paper_figures, or RUN/evaluations/<what was changed>/paper_figures)
  only=1,9,table1      some of them
  classifier=RUN       a run of `pneumo-ad classify` for Fig. 2 (default: one is trained on the run's own data, once, in
                       RUN/figures/classifier); classifier=none leaves Fig. 2 out
  subset=SPLIT checkpoint=NAME score=GROUP threshold=GROUP stride=N trainer=GROUP ...   as on `pneumo-ad evaluate`

  data=GROUP data.root=DIR   {data}
"""

COMPARE = """\
pneumo-ad compare SWEEP_DIR [key=value] ...

Measures the runs below a folder on the same pixels of the same radiographs, groups those that differ in the seed alone,
and writes leaderboard.csv, groups.csv and figures/. Failed and unfinished runs are listed with their reason.

  sort=METRIC          a column of leaderboard.csv (default: same_pixels/auroc_in_lung, or image/auroc without masks)
  reference=KEY=VALUE  the group that differences are taken to, for example patch=32,net=unet (default: that of the
                       recipe's defaults, or the first)
  output=DIR           where to write (default: SWEEP_DIR/comparison, or SWEEP_DIR/comparison-<what was changed>)

With what `pneumo-ad evaluate` takes, every finished run is evaluated so first, where it is not yet:

  data=GROUP data.root=DIR   {data}
  subset=SPLIT checkpoint=NAME score=GROUP stride=N trainer=GROUP ...
"""

CLUSTER = """\
pneumo-ad cluster run=RUN [key=value] ...

Clusters the difference images of a run into three, without labels, and where masks exist scores the clusters against
the true kinds of patch, beside clusters of the patches themselves, of SAD and of brightness. Fitted on validation
pneumonia radiographs of the run's own data, applied to its test split or to other data. Writes clusters.json,
clusters.csv and figures/.

  run=RUN              a folder written by `pneumo-ad train`
  output=DIR           where to write (default: clusters/ in the folder where `pneumo-ad evaluate` writes)
  subset=SPLIT         test (default) or train; of other data also val or all (default there)
  checkpoint=NAME      best (default), last, or a file

Everything the weights do not depend on may change, as on `pneumo-ad evaluate`:

  data=GROUP data.root=DIR   {data}
  stride=N cover=full        other windows
  trainer=GROUP              {trainer}
"""

TUNE = """\
pneumo-ad tune experiment=hpo_unet [key=value] ...

Searches the space of a recipe (`tune:`) with Optuna, by a metric on validation. Each trial is a run of `pneumo-ad
train`; all lie in sweeps/<name>/<what was set> beside study.db. The same command goes on with a study that was stopped
or killed, and started several times it has several workers.

  tune.trials=N           trials of all workers together
  tune.metric=KEY         any key of metrics.json;  tune.direction=minimize
  +tune.space.KEY=[A,B]   one more choice;  '+tune.space.KEY={low:1,high:4}' a range;  '~tune.space.KEY' leaves one out

Needs Optuna: pip install "pneumo_ad[tune]"
"""

AUDIT = """\
pneumo-ad audit data=GROUP data.root=DIR [key=value] ...

Tells what is in a data set: counts by split and label, sizes, patients in more than one split or folder, exact and near
duplicates, files that cannot be read, and how far trivial facts (sharpness, aspect ratio, size of the file, ...) alone
tell pneumonia from normal. Writes audit.json, duplicates.csv, unreadable.csv, shortcuts.csv and shortcuts.png.

  data=GROUP           {data}; data.KEY=VALUE sets what the group takes
  output=DIR           where to write (default: audits/<what was set>)
  image_size=N fit=pad the size at which radiographs are compared, and how they are fitted to it (default: 256, squash)
  lungs=GROUP          {lungs}: shortcuts within the lung field too
"""

DOWNLOAD = """\
pneumo-ad download chest_xray|rsna [output=DIR]

Downloads a public data set from Kaggle, finds the folder that data.root wants and prints the next command.

  chest_xray           radiographs of children, normal and pneumonia (Kermany et al. 2018); 2.3 GB
  rsna                 DICOM with boxes of opacities (Shih et al. 2019); 3.7 GB; its rules must be accepted on the site
  output=DIR           where to (default: ~/.cache/kagglehub, or KAGGLEHUB_CACHE)

Needs kagglehub: pip install "pneumo_ad[download]", and for rsna a Kaggle account: KAGGLE_API_TOKEN, or KAGGLE_USERNAME
and KAGGLE_KEY, or ~/.kaggle/kaggle.json
"""

EXPORT = """\
pneumo-ad export run=RUN [key=value] ...

Writes a run as graphs that need nothing of this project: from a fitted radiograph and its lung field to anomaly map,
window scores, score and percentile among held-out normals; the lung segmenter beside it; model.json, MODEL_CARD.md and
example.py. Compared with the run in PyTorch on radiographs of its test split: more than 1e-4 apart, nothing is written.

  run=RUN              a folder written by `pneumo-ad train`
  format=FORMAT        onnx (default), or torch_export
  output=DIR           where to write (default: RUN/export/<format>)
  overwrite=true       replace a model that was exported there before
  checkpoint=NAME      best (default), last, or a file

Everything the weights do not depend on may change, as on `pneumo-ad evaluate`: score=GROUP threshold=GROUP
aggregate=GROUP relative=Q stride=N ...; data=GROUP data.root=DIR compares on other radiographs.

format=onnx needs onnx, onnxscript and onnxruntime: pip install "pneumo_ad[export]"
"""

STORE = """\
pneumo-ad store [clear=KEY] [clear=all]

Lists the stores of decoded, resized radiographs, the last used first, or deletes one or all of them.
"""


def main(argv: list[str] | None = None) -> None:
    """Entry point of the command line; exits with 2 for a mistake that is the user's to mend."""
    print_safely()
    argv = sys.argv[1:] if argv is None else argv
    if not argv or argv[0] in ("-h", "--help", "help"):
        print(USAGE)
        return
    if argv[0] in ("-V", "--version"):
        import pneumo_ad

        print(pneumo_ad.__version__)
        return
    commands: dict[str, Callable[[list[str]], None]] = {
        "train": _train,
        "evaluate": _evaluate,
        "report": _report,
        "predict": _predict,
        "figures": _figures,
        "compare": _compare,
        "export": _export,
        "cluster": _cluster,
        "tune": _tune,
        "train-lungs": _train_lungs,
        "audit": _audit,
        "classify": _classify,
        "download": _download,
        "prepare": _prepare,
        "store": _store,
    }
    if argv[0] not in commands:
        import difflib

        near = difflib.get_close_matches(argv[0], commands, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        _fail(f"unknown command {argv[0]!r}{hint} Commands: {', '.join(commands)}")
    _explained(lambda: commands[argv[0]](_without_trust(argv[1:])))


def _explained(action: Callable[[], object]) -> None:
    """Run; a `UserError` ends with its message alone and exit status 2."""
    from pneumo_ad.errors import UserError

    try:
        action()
    except UserError as reason:
        if os.environ.get("PNEUMO_AD_TRACEBACK"):
            raise
        _fail(str(reason))


def _without_trust(arguments: list[str]) -> list[str]:
    """The arguments without `trust=NAME`, which is no option of a command: the name is kept for all of them."""
    for one in arguments:
        if one.startswith("trust="):
            from pneumo_ad.trust import trust

            trust(one.removeprefix("trust="))
            print(f"trusted from now on: {one.removeprefix('trust=')}")
    return [one for one in arguments if not one.startswith("trust=")]


def _fail(message: str) -> None:
    print(f"error: {message}", file=sys.stderr)
    raise SystemExit(2)


def _hydra(
    command: str,
    config_name: str,
    arguments: list[str],
    load: Callable[[], Callable[..., object]],
    run: Callable[..., object] | None = None,
) -> None:
    """Hand over to Hydra, which parses overrides, makes the run folder and starts the task (or, with -m, the tasks)."""
    import logging

    import hydra
    from hydra.core.hydra_config import HydraConfig
    from hydra.errors import CompactHydraException
    from hydra.types import RunMode
    from omegaconf import DictConfig

    from pneumo_ad.errors import UserError
    from pneumo_ad.jobs import run_job
    from pneumo_ad.sweeps import complete

    do = run or run_job

    @hydra.main(version_base="1.3", config_path="pkg://pneumo_ad.conf", config_name=config_name)
    def task(config: DictConfig) -> None:
        if HydraConfig.get().mode == RunMode.MULTIRUN:
            try:
                do(config, load)
            except UserError as reason:  # told when all jobs are through, of one; an exit would end them
                logging.getLogger(__name__).error("%s", reason)
                raise CompactHydraException(f"error: {reason}") from None
        else:
            _explained(lambda: do(config, load))

    sys.argv = [f"pneumo-ad {command}", *complete(config_name, arguments)]
    task()


def _train(arguments: list[str]) -> None:
    def load() -> Callable[..., object]:
        from pneumo_ad.train import train

        return train

    _hydra("train", "train", arguments, load)


def _train_lungs(arguments: list[str]) -> None:
    def load() -> Callable[..., object]:
        from pneumo_ad.train_lungs import train_lungs

        return train_lungs

    _hydra("train-lungs", "train_lungs", arguments, load)


def _classify(arguments: list[str]) -> None:
    def load() -> Callable[..., object]:
        from pneumo_ad.classify import classify

        return classify

    _hydra("classify", "classify", arguments, load)


def _evaluate(arguments: list[str]) -> None:
    if _asks_help(arguments):
        groups = ("data", "lungs", "score", "threshold", "aggregate", "trainer")
        print(EVALUATE.format(**{group: _choices(group) for group in groups}))
        return
    _log_plainly()
    from pneumo_ad.evaluate import evaluate
    from pneumo_ad.summary import print_evaluation

    output = evaluate(arguments)
    print_evaluation(output, f"evaluation of {next(a for a in arguments if a.startswith('run=')).removeprefix('run=')}")


def _report(arguments: list[str]) -> None:
    if _asks_help(arguments):
        print(REPORT.format(data=_choices("data")))
        return
    _log_plainly()
    from pneumo_ad.report_run import report

    print(f"report: {report(arguments)}")


def _predict(arguments: list[str]) -> None:
    if _asks_help(arguments):
        print(PREDICT.format(**{group: _choices(group) for group in ("score", "threshold", "aggregate")}))
        return
    _log_plainly()
    from pneumo_ad.predict import predict
    from pneumo_ad.prediction.summary import print_prediction

    found = predict(arguments)
    print_prediction(found.output, found.story, found.new)
    if unreadable := found.story["counts"]["unreadable"]:
        print(f"{unreadable} files could not be read: {found.output / 'failed.csv'}", file=sys.stderr)
        raise SystemExit(3)


def _figures(arguments: list[str]) -> None:
    if _asks_help(arguments):
        print(FIGURES.format(data=_choices("data")))
        return
    _log_plainly()
    from pneumo_ad.paper_figures import draw_figures, print_index

    print_index(draw_figures(arguments))


def _compare(arguments: list[str]) -> None:
    if _asks_help(arguments):
        print(COMPARE.format(data=_choices("data")))
        return
    _log_plainly()
    from pneumo_ad.compare import compare
    from pneumo_ad.leaderboard.table import print_comparison

    print_comparison(compare(arguments))


def _export(arguments: list[str]) -> None:
    if _asks_help(arguments):
        print(EXPORT)
        return
    _log_plainly()
    from pneumo_ad.export_run import export_run, print_export

    print_export(export_run(arguments))


def _cluster(arguments: list[str]) -> None:
    if _asks_help(arguments):
        print(CLUSTER.format(**{group: _choices(group) for group in ("data", "trainer")}))
        return
    _log_plainly()
    from pneumo_ad.cluster import cluster
    from pneumo_ad.cluster_summary import print_clusters

    output = cluster(arguments)
    print_clusters(output, f"clusters of {next(a for a in arguments if a.startswith('run=')).removeprefix('run=')}")


def _asks_help(arguments: list[str]) -> bool:
    return not arguments or "--help" in arguments or "-h" in arguments


def _log_plainly() -> None:
    import logging

    logging.basicConfig(level=logging.INFO, format="%(message)s")


def _choices(group: str) -> str:
    from importlib.resources import files

    names = (entry.name for entry in (files("pneumo_ad.conf") / group).iterdir())
    return ", ".join(sorted(name.removesuffix(".yaml") for name in names if name.endswith(".yaml")))


def _tune(arguments: list[str]) -> None:
    if _asks_help(arguments):
        print(TUNE)
        return
    import logging
    from importlib.util import find_spec

    if find_spec("optuna") is None:
        _fail('pneumo-ad tune needs Optuna: pip install "pneumo_ad[tune]"')
    logging.basicConfig(level=logging.INFO, format="[%(asctime)s] %(message)s", datefmt="%H:%M:%S")
    from pneumo_ad.tune import tune

    tune(arguments)


def _audit(arguments: list[str]) -> None:
    if _asks_help(arguments):
        print(AUDIT.format(data=_choices("data"), lungs=_choices("lungs")))
        return
    _log_plainly()
    from pneumo_ad.audit import audit
    from pneumo_ad.auditing.printing import print_audit

    print_audit(audit(arguments))


def _download(arguments: list[str]) -> None:
    if _asks_help(arguments):
        print(DOWNLOAD)
        return
    from pneumo_ad.download import download, print_downloaded

    root = download(arguments)
    print_downloaded(next(argument for argument in arguments if "=" not in argument), root)


def _prepare(arguments: list[str]) -> None:
    def load() -> Callable[..., object]:
        from pneumo_ad.prepare import prepare

        return prepare

    # Whether there is something to do the stores tell, not a run folder.
    _hydra("prepare", "prepare", arguments, load, lambda config, load: load()(config))


def _store(arguments: list[str]) -> None:
    if "--help" in arguments or "-h" in arguments:
        print(STORE)
        return
    from pneumo_ad.stores import store

    store(arguments)
