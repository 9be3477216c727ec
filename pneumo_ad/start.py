"""`pneumo-ad train` for who is in Python already: the other half of `runs.load_run`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from omegaconf import OmegaConf

from pneumo_ad.compose import compose_job
from pneumo_ad.errors import ConfigError
from pneumo_ad.jobs import claim, keep_recipe, read_story, recorded
from pneumo_ad.runs import Run, load_run
from pneumo_ad.train import train


def start_run(folder: str | Path, overrides: Sequence[str] = (), search_path: Sequence[str] = ()) -> Run:
    """Train and evaluate in this process what `pneumo-ad train` would, and open the run.

    The folder is the same as the command line's, and so is what happens where it holds a run already: a finished one is
    opened, one that was stopped goes on, one of another recipe is refused. Nothing of Hydra stays behind.

    Args:
        folder: Where the run is to lie.
        overrides: As on the command line, for example `["net=unet", "patch=16", "trainer.max_epochs=2"]`. Of a recipe
            with axes this is the run of its defaults: a loop over folders and overrides is a sweep.
        search_path: Further places of yaml: `pkg://their_package.conf`, `file:///folder`.

    Returns:
        The finished run; see `load_run`.

    Raises:
        UserError: As the command line would print it.
        ConfigError: An override of Hydra's own keys, which only the command line obeys.

    Example:
        `run = start_run("runs/first", ["patch=16", "trainer.max_epochs=2"])`
    """
    folder = Path(folder)
    hydras = [one for one in overrides if one.lstrip("+~").startswith("hydra")]
    if hydras:
        raise ConfigError(f"{hydras[0]}: start_run takes the folder and search_path as arguments of its own")
    config, hydra = compose_job("train", overrides, search_path)
    OmegaConf.update(hydra, "hydra.runtime.output_dir", str(folder.absolute()))  # on the command line Hydra notes it
    with claim(folder):
        keep_recipe(folder, config, overrides, hydra)
        if read_story(folder).get("status") != "finished":
            config.run_dir = str(folder)
            with recorded(folder):
                train(config)
    return load_run(folder)
