"""`pneumo-ad train`: from a config to a trained and evaluated run."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from pneumo_ad.errors import ConfigError
from pneumo_ad.runs.arguments import Overrides, Place, as_overrides, path
from pneumo_ad.runs.command import Command
from pneumo_ad.runs.hydra_command import run_hydra

if TYPE_CHECKING:
    from lightning.pytorch.loggers import Logger
    from omegaconf import DictConfig

    from pneumo_ad.runs.run import Run

USAGE = """\
pneumo-ad train [group=choice] [key=value] ...

Trains a patch autoencoder on normal lung and evaluates it on the test split, in runs/<name>/<time>.
-m sweeps over values (patch=16,32 net=unet,vae), and so does a recipe with axes, in sweeps/<name>.
The same command continues a sweep, resume=RUN a run. Groups, with defaults and choices:

{groups}

Keys in common use, with their defaults; --cfg job prints all, conf/README.md explains them:

  data.root=DIR          folder of radiographs, for all sources but the phantoms
  image_size=256         side, or [height,width], of fitted radiographs in pixels
  patch=32 stride=20     side of a patch, and pixels from one window to the next
  net.width=32           channels of the first level; each net has further keys
  trainer.max_epochs=10  epochs of training; optimizer.lr=0.001 is the learning rate
  batch_size=64 seed=0   training patches in a batch; seed of weights, batches and corruption
  evaluate=test          split measured after training: test, val, train or all; null for none
"""


def train(config: DictConfig) -> dict[str, object]:
    """Train and evaluate the run of a config in its `run_dir`, from the last checkpoint if there is one.

    Returns:
        Built objects, for tests: `datamodule`, `module` (with trained weights only if it was trained in this process),
        `run_dir`.

    Raises:
        UserError: The configured training is not possible.
    """
    from pneumo_ad.evaluation.evaluate import evaluate_run
    from pneumo_ad.loggers import closing
    from pneumo_ad.nets.compilation import check_compiler
    from pneumo_ad.runs.check_options import check_evaluation
    from pneumo_ad.runs.compose import build, build_all
    from pneumo_ad.runs.ddp import count_processes, launch
    from pneumo_ad.runs.device import device_of
    from pneumo_ad.runs.provenance import provenance_of
    from pneumo_ad.runs.record import timed, update_run_json
    from pneumo_ad.runs.run import load_run
    from pneumo_ad.runs.tracking import log_outcome
    from pneumo_ad.runs.training import build_parts, describe, fit, prepare, try_out, try_out_dense, try_out_kinds

    run_dir = Path(config.run_dir)
    update_run_json(run_dir, **provenance_of(config))
    datamodule, module = build_parts(config)
    data = datamodule.radiographs
    loggers: list[Logger] = build_all(config.logger)
    try_out(module, data)
    check_evaluation(config)
    try_out_kinds(module, data, build(config.threshold))
    if config.compile:
        check_compiler(device_of(config.trainer))
    if config.scoring == "dense" and data.view == "patch":
        try_out_dense(module, data, (run_dir / "checkpoints" / "last.ckpt").is_file())
    prepare(config, datamodule)
    describe(data, run_dir)
    processes = count_processes(config.trainer)
    datamodule.check_processes(processes)
    with closing(loggers):
        with timed(run_dir, "seconds_training"):
            if processes > 1:
                launch(run_dir, processes)
            else:
                fit(config, datamodule, module, loggers)
        if config.evaluate:
            with timed(run_dir, "seconds_evaluating"):
                evaluate_run(load_run(run_dir), run_dir, config.evaluate)
            log_outcome(config, run_dir, loggers)
    return {"datamodule": datamodule, "module": module, "run_dir": run_dir}


def _train_and_show(config: DictConfig) -> None:
    from pneumo_ad.runs.jobs import in_sweep

    train(config)
    if not in_sweep():  # which prints a line for each job, and the leaderboard
        _show(Path(config.run_dir), config)


def _show(run_dir: Path, config: DictConfig) -> None:
    from pneumo_ad.evaluation.summary import print_evaluation

    if config.evaluate:
        print_evaluation(run_dir, f"{config.name}: {config.evaluate} split")
    print(f"run: {run_dir}\nnext: pneumo-ad report run={run_dir}")
    if any(run_dir.glob("events.out.tfevents.*")):
        print(f"TensorBoard: tensorboard --logdir {run_dir}")


def start_run(folder: Place, overrides: Overrides = (), search_path: Sequence[str] = (), *, show: bool = False) -> Run:
    """Train and evaluate a run in this process, as `pneumo-ad train` does, and open it.

    The folder has the same content as by the command line. A finished run in it is opened, a stopped one continues, one
    of another recipe is refused. No global state of Hydra remains.

    Args:
        folder: Run folder to create or continue.
        overrides: Overrides as on the command line, for example `["net=unet", "patch=16", "trainer.max_epochs=2"]`, or
            `{"net": "unet", "patch": 16}`; `run` is the run whose net is frozen. A recipe with axes runs once, with its
            defaults; loop over folders and overrides for a sweep.
        search_path: Further locations of yaml: `pkg://their_package.conf`, `file:///folder`.
        show: Whether the evaluation is printed.

    Returns:
        The finished run, opened: `module`, `radiographs`, `history` (the losses), `config`; see `load_run`.
        `pneumo_ad.evaluation.Evaluation(run)` has what was measured.

    Raises:
        UserError: Any error that the command line would print.
        ConfigError: An override of Hydra's own keys, which only the command line accepts.

    Example:
        `run = start_run("runs/first", ["patch=16", "trainer.max_epochs=2"])`
    """
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from omegaconf import OmegaConf

    from pneumo_ad.runs.compose import compose_job
    from pneumo_ad.runs.frozen import store_config
    from pneumo_ad.runs.jobs import lock
    from pneumo_ad.runs.record import keep_recipe, read_run_json, recorded
    from pneumo_ad.runs.run import load_run

    given, place = as_overrides(overrides), path(os.fspath(folder))
    hydras = [one for one in given if one.lstrip("+~").startswith("hydra")]
    if hydras:
        raise ConfigError(f"{hydras[0]}: start_run takes the folder and search_path as arguments of its own")
    on = [one for one in given if one.startswith("run=")]
    if on:
        rest = [one for one in given if one not in on]
        other = str(OverridesParser.create().parse_override(on[-1]).value())  # without the quotes of Hydra's grammar
        name, places = store_config(path(other), rest, search_path)
        config, hydra = compose_job(name, (), places)
    else:
        config, hydra = compose_job("train", given, search_path)
    OmegaConf.update(hydra, "hydra.runtime.output_dir", str(place.absolute()))  # the command line gets it from Hydra
    with lock(place):
        keep_recipe(place, config, given, hydra)
        if read_run_json(place).get("status") != "finished":
            config.run_dir = str(place)
            with recorded(place):
                train(config)
    if show:
        _show(place, config)
    return load_run(place)


COMMAND = Command(
    section="train",
    place=1,
    summary="train a patch autoencoder on normal lung and evaluate it",
    example="(experiment=paper; -m sweeps; resume=RUN)",
    run=partial(run_hydra, "train", work=_train_and_show),
    usage=USAGE,
    config="train",
    alone=True,
)
