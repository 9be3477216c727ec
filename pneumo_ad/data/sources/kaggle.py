"""Download of public data sets from Kaggle, through its client kagglehub."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pneumo_ad.data.sources.paths import content_of, topmost
from pneumo_ad.data.sources.rsna import BOXES, CLASSES, IMAGES
from pneumo_ad.errors import ConfigError, DataError


@dataclass(frozen=True)
class Offer:
    """Data set on Kaggle.

    Attributes:
        handle: Name of the data set on Kaggle.
        competition: Whether it belongs to a competition, whose rules must be accepted first.
        holds: Paths that its top folder must hold.
        about: Authors, terms of use and size, for the reader.
    """

    handle: str
    competition: bool
    holds: tuple[str, ...]
    about: str

    @property
    def page(self) -> str:
        """Address for a browser."""
        return f"https://www.kaggle.com/{'competitions' if self.competition else 'datasets'}/{self.handle}"


OFFERS = {
    "chest_xray": Offer(
        handle="paultimothymooney/chest-xray-pneumonia",
        competition=False,
        holds=("train/NORMAL", "train/PNEUMONIA"),
        about="Kermany et al. 2018, Cell; CC BY 4.0; 2.3 GB",
    ),
    "rsna": Offer(
        handle="rsna-pneumonia-detection-challenge",
        competition=True,
        holds=(IMAGES, BOXES, CLASSES),
        about="Shih et al. 2019, Radiology: AI; for research and education, see its rules; 3.7 GB",
    ),
}
_CREDENTIALS = (
    "an API token from https://www.kaggle.com/settings in KAGGLE_API_TOKEN or ~/.kaggle/access_token, or "
    "KAGGLE_USERNAME and KAGGLE_KEY, or ~/.kaggle/kaggle.json"
)


def fetch(name: str, output: Path | None = None) -> Path:
    """Download a data set, unless it is already there.

    Args:
        name: One of `OFFERS`.
        output: Folder to download to; default: kagglehub's cache.

    Returns:
        Folder for `data.root`.

    Raises:
        ConfigError: kagglehub is not installed.
        DataError: No network, no credentials, rules not accepted, no space, or other files than expected.
    """
    offer = OFFERS[name]
    try:
        import kagglehub
    except ImportError:
        raise ConfigError('pneumo-ad download needs kagglehub: pip install "pneumo_ad[download]"') from None
    from kagglehub.exceptions import CredentialError, DataCorruptionError, UnauthenticatedError

    ask: Callable[..., str] = kagglehub.competition_download if offer.competition else kagglehub.dataset_download
    by_hand = f"or download {offer.page} in a browser, unpack it and give its folder as data.root"
    try:
        folder = Path(ask(offer.handle, output_dir=str(output.absolute()) if output else None))
    except (UnauthenticatedError, CredentialError):
        raise DataError(f"Kaggle asks who you are: expected {_CREDENTIALS}; {by_hand}") from None
    except FileExistsError as reason:
        raise DataError(
            f"output={output}: holds something that is no finished download of {offer.handle}; clear it, or name "
            "another folder"
        ) from reason
    except (OSError, ValueError, DataCorruptionError, zipfile.BadZipFile) as reason:  # network errors are OSErrors
        status = getattr(getattr(reason, "response", None), "status_code", None)
        words = " ".join(str(reason).split()) + (f" ({status})" if status else "")
        raise DataError(f"kagglehub: {words}; mend that and try again, {by_hand}") from reason
    return find_root(folder, offer)


def find_root(folder: Path, offer: Offer) -> Path:
    """Find the topmost folder that holds the data set: archives may have further levels above it, or hold it twice.

    Args:
        folder: Folder in which the archive was unpacked.
        offer: Data set whose paths (`Offer.holds`) the folder must have.

    Raises:
        DataError: No folder holds them; says what was found.
    """
    if root := topmost(folder, lambda top: all((top / name).exists() for name in offer.holds)):
        return root
    raise DataError(f"{folder}: expected {' and '.join(offer.holds)} in it or below, found {content_of(folder)}")
