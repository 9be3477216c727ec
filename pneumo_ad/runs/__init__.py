"""The run folder: what it holds, how it is begun, gone on with and opened again.

- `.hydra/config.yaml`, `overrides.yaml`, `hydra.yaml`: written by `record.keep_recipe`, read by `dot_hydra`
- `run.json`: how the run stands, its times, and from `provenance` where it comes from; by `record`
- `split.csv`, `files.csv`: who is in which split and what the files held; by `split` and `origin`
- `checkpoints/`: `best.ckpt` and `last.ckpt`; by Lightning's callbacks, through `checkpoints`. As it ships
  (`shipped`), `best.safetensors` alone
- `validation_scores/`: scores of held-out normals; by `calibration`
- `metrics.json`, `shortcuts.json`, `patches.csv`, `images.csv`, `maps/`, `figures/`: by `pneumo_ad.evaluation`
- `.lock`: held by whoever is at it; by `jobs`

Nothing is imported before it is asked for: a sweep passes over its finished runs in no time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pneumo_ad import doors

if TYPE_CHECKING:
    from pneumo_ad.runs.run import Run, load_run

__all__ = ["Run", "load_run"]

__getattr__ = doors(__name__, {"run": "Run load_run"})
