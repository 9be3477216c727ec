"""A trained detector as it ships: `python experiments/detection/ship.py run=RUN [output=DIR] [key=value ...]`.

Writes a run folder that holds nothing but what judging needs: the config, weights of float16 as safetensors, who was in
which split, and the scores of held-out normals. Data are named by their folders below `$PNEUMO_AD_DATA`, so that the
same run gives the same files wherever it was trained. Keys are options of an evaluation. The model card beside them is
written by hand and stays.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import safetensors.torch
from omegaconf import OmegaConf

from pneumo_ad.errors import ConfigError
from pneumo_ad.files import write_json, write_text
from pneumo_ad.runs.calibration import validation_scores
from pneumo_ad.runs.dot_hydra import CONFIG
from pneumo_ad.runs.record import read_run_json
from pneumo_ad.runs.run import load_run
from pneumo_ad.runs.scorer import scoring_of
from pneumo_ad.runs.shipped import SHIPPED
from pneumo_ad.saved import file_digest

_TOLD = ("status", "name", "seed", "pneumo_ad", "torch", "lightning", "epochs", "steps", "parameters")
_CARD = "MODEL_CARD.md"


def main(arguments: list[str]) -> None:
    """The command."""
    own = [argument for argument in arguments if argument.startswith(("run=", "output="))]
    given = dict(argument.partition("=")[::2] for argument in own)
    if "run" not in given:
        raise ConfigError(f"expected run=RUN [output=DIR] [key=value ...], got {' '.join(arguments) or 'nothing'}")
    run, output = Path(given["run"]).resolve(), Path(given.get("output", SHIPPED)).resolve()
    aside = output.with_name(f"{output.name}.partial")
    shutil.rmtree(aside, ignore_errors=True)
    weights = aside / "checkpoints" / "best.safetensors"
    for folder in (aside / ".hydra", weights.parent):
        folder.mkdir(parents=True)
    opened = load_run(run, [argument for argument in arguments if argument not in own])
    held = opened.module.state_dict()
    halved = {key: value.half() if value.is_floating_point() else value for key, value in held.items()}
    safetensors.torch.save_file({key: value.contiguous() for key, value in halved.items()}, weights)
    weights.chmod(0o644)
    config = OmegaConf.create(opened.as_yaml().replace("${oc.env:PNEUMO_AD_DATA}/", ""))
    config.run_dir = "???"
    config.module.warm_start = None  # read when a training begins
    config.trainer.precision = "32-true"  # of judging: not every processor knows bfloat16
    write_text(aside / CONFIG, OmegaConf.to_yaml(config))
    shutil.copy(run / "split.csv", aside / "split.csv")
    write_json(aside / "run.json", {key: value for key, value in read_run_json(run).items() if key in _TOLD})
    typed_in = aside / ".hydra" / "hydra.yaml"  # where the folders of its data lead on from, here
    write_text(
        typed_in, OmegaConf.to_yaml({"hydra": {"runtime": {"cwd": os.environ["PNEUMO_AD_DATA"], "config_sources": []}}})
    )
    shipped = load_run(aside)
    normals = validation_scores(shipped, scoring_of(shipped))["score_normal_images"]
    typed_in.unlink()
    if (output / _CARD).is_file():
        shutil.copy(output / _CARD, aside / _CARD)
    shutil.rmtree(output, ignore_errors=True)
    aside.rename(output)
    size = sum(file.stat().st_size for file in output.rglob("*") if file.is_file())
    weights = output / weights.relative_to(aside)
    print(f"{output}: weights {file_digest(weights)[:12]}, {len(normals)} held-out normals, {size / 1e6:.2f} MB in all")


if __name__ == "__main__":
    main(sys.argv[1:])
