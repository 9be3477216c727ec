"""The detector that ships: a run folder within the package, which commands take where no `run=` is given."""

from __future__ import annotations

from pathlib import Path

from pneumo_ad.errors import DataError
from pneumo_ad.saved import is_there

SHIPPED = Path(__file__).parents[1] / "shipped" / "detector"
RESULTS = Path("detector")  # below the working directory: the package's own folder is not written to


def is_shipped(folder: Path) -> bool:
    """Whether a run folder is the shipped detector's, however it was named."""
    return folder.resolve() == SHIPPED.resolve()


def check_shipped(folder: Path) -> None:
    """See that the weights of the shipped detector are there; of any other folder nothing is asked.

    Args:
        folder: A run folder.

    Raises:
        DataError: An installation without them.
    """
    weights = folder / "checkpoints" / "best.safetensors"
    if is_shipped(folder) and not is_there(weights):
        raise DataError(
            f"the weights of the detector that ships are missing from this installation ({weights}): install pneumo_ad "
            "anew, or name a run of your own: run=RUN"
        )


def in_words(folder: Path) -> str:
    """What a run is called in what is printed.

    >>> in_words(SHIPPED)
    'the detector that ships'
    """
    return "the detector that ships" if is_shipped(folder) else str(folder)


def place_of_results(folder: Path) -> Path:
    """Where results of a run go by default: into its folder; of the shipped detector into `RESULTS`."""
    return RESULTS if is_shipped(folder) else folder
