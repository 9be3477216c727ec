"""The run folder: contents, start, continuation and reopening.

- `.hydra/config.yaml`, `overrides.yaml`, `hydra.yaml`: written by `record.keep_recipe`, read by `dot_hydra`
- `run.json`: status, times and (from `provenance`) origin of the run; by `record`
- `split.csv`, `files.csv`: split of each radiograph, and digests of the files; by `split` and `origin`
- `history.csv`: metrics of each epoch; by the callback `History`, in `training`
- `checkpoints/`: `best.ckpt` and `last.ckpt`; by Lightning's callbacks, through `checkpoints`. The shipped detector
  (`shipped`) has `best.safetensors` alone
- `validation_scores/`: scores of held-out normals; by `calibration`
- `metrics.json`, `shortcuts.json`, `patches.csv`, `images.csv`, `maps/`, `figures/`: by `pneumo_ad.evaluation`
- `.lock`: held by the process that works on the run; by `jobs`

Imports are lazy, so that a sweep skips its finished runs at once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pneumo_ad import doors

if TYPE_CHECKING:
    from pneumo_ad.runs.run import Run, load_run

__all__ = ["Run", "load_run"]

__getattr__, __dir__ = doors(__name__, {"run": "Run load_run"})
