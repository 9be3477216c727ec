"""The shipped detector: a run folder within the package, the default of commands without `run=`."""

from __future__ import annotations

from pathlib import Path

from pneumo_ad.errors import DataError
from pneumo_ad.saved import is_there

SHIPPED = Path(__file__).parents[1] / "shipped" / "detector"
RESULTS = Path("detector")  # below the working directory: the package's own folder is not written to


def is_shipped(folder: Path) -> bool:
    """Whether a run folder is the shipped detector's, links resolved."""
    return folder.resolve() == SHIPPED.resolve()


def check_shipped(folder: Path) -> None:
    """Check that the weights of the shipped detector are installed; other folders are not checked.

    Args:
        folder: A run folder.

    Raises:
        DataError: The weights are missing.
    """
    weights = folder / "checkpoints" / "best.safetensors"
    if is_shipped(folder) and not is_there(weights):
        raise DataError(
            f"the weights of the detector that ships are missing from this installation ({weights}): reinstall "
            "pneumo_ad, or name a run of your own: run=RUN"
        )


def in_words(folder: Path) -> str:
    """Return the name of a run for printed output.

    >>> in_words(SHIPPED)
    'the detector that ships'
    """
    return "the detector that ships" if is_shipped(folder) else str(folder)


def place_of_results(folder: Path) -> Path:
    """Return the default folder of a run's results: its own, or `RESULTS` for the shipped detector."""
    return RESULTS if is_shipped(folder) else folder
