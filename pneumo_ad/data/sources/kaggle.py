"""Public data sets from Kaggle, through its own client, kagglehub."""

from __future__ import annotations

import errno
import shutil
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pneumo_ad.data.sources.rsna import BOXES, CLASSES, IMAGES
from pneumo_ad.errors import ConfigError, DataError


@dataclass(frozen=True)
class Offer:
    """A data set on Kaggle.

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
        """Its address for a browser."""
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
    """Download a data set; a second call only looks it up.

    Args:
        name: One of `OFFERS`.
        output: Folder to download to; kagglehub's cache by default.

    Returns:
        The folder for `data.root`.

    Raises:
        ConfigError: kagglehub is not installed.
        DataError: No network, no credentials, rules not accepted, no room, or another set than expected came.
    """
    offer, output = OFFERS[name], output.absolute() if output else None
    try:
        import kagglehub
    except ImportError:
        raise ConfigError('pneumo-ad download needs kagglehub: pip install "pneumo_ad[download]"') from None
    ask: Callable[..., str] = kagglehub.competition_download if offer.competition else kagglehub.dataset_download
    with _explained(offer, output):
        folder = Path(ask(offer.handle, output_dir=str(output) if output else None))
    return find_root(folder, offer)


@contextmanager
def _explained(offer: Offer, output: Path | None) -> Iterator[None]:
    """Turns what kagglehub raises into what the user can do."""
    from kagglehub.exceptions import CredentialError, DataCorruptionError, UnauthenticatedError
    from requests import HTTPError, RequestException

    # kagglehub goes on with what lies in its cache, and not with what lies elsewhere.
    again = f"clear {output} and run the command again" if output else "the same command goes on"
    by_hand = f"or download {offer.page} in a browser, unpack it and give its folder as data.root"
    try:
        yield
    except (UnauthenticatedError, CredentialError):
        raise DataError(f"Kaggle asks who you are: expected {_CREDENTIALS}; {by_hand}") from None
    except HTTPError as reason:
        status = reason.response.status_code if reason.response is not None else "an error"
        if status == 401:
            raise DataError(
                f"Kaggle does not take the credentials (401): expected {_CREDENTIALS}; {by_hand}"
            ) from reason
        if status == 403 and offer.competition:
            raise DataError(
                f"Kaggle refuses (403): accept the rules at {offer.page}/rules with the account of your credentials, "
                "then run the command again"
            ) from reason
        raise DataError(f"Kaggle answered {status} to {offer.page}; try again later, {by_hand}") from reason
    except RequestException as reason:
        raise DataError(
            f"no connection to Kaggle, or it broke off ({type(reason).__name__}); is there a network, a proxy to be "
            f"named in HTTPS_PROXY? {again}, {by_hand}"
        ) from reason
    except (DataCorruptionError, zipfile.BadZipFile) as reason:
        raise DataError(f"what came from {offer.page} is damaged ({reason}); {again}, {by_hand}") from reason
    except ValueError as reason:  # an archive or a credentials file that is none
        raise DataError(
            f"kagglehub cannot go on ({reason}); mend that and run the command again, {by_hand}"
        ) from reason
    except FileExistsError as reason:
        raise DataError(
            f"output={output}: holds something that is no finished download of {offer.handle}; clear it, or name "
            "another folder"
        ) from reason
    except OSError as reason:
        place = output or Path(reason.filename or Path.home())
        near = next(folder for folder in (place, *place.parents) if folder.exists())
        if reason.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DataError(
                f"the disk of {near} is full ({shutil.disk_usage(near).free / 2**30:.1f} GiB free; {offer.about}, "
                "and as much again while it is unpacked); output=DIR or KAGGLEHUB_CACHE names another"
            ) from reason
        raise DataError(f"{place}: cannot be written ({reason.strerror}); output=DIR names another folder") from reason


def find_root(folder: Path, offer: Offer) -> Path:
    """The topmost folder that holds the data set: archives may have further levels above it, or hold it twice.

    Args:
        folder: Folder in which the archive was unpacked.
        offer: Data set whose paths (`Offer.holds`) must be there.

    Raises:
        DataError: No folder holds them; says what is there.
    """
    folders = sorted((entry for entry in folder.rglob("*") if entry.is_dir()), key=lambda entry: len(entry.parts))
    for candidate in (folder, *folders):
        if "__MACOSX" not in candidate.parts and all((candidate / name).exists() for name in offer.holds):
            return candidate
    there = ", ".join(sorted(entry.name for entry in folder.iterdir())[:6]) or "nothing"
    raise DataError(f"{folder}: expected {' and '.join(offer.holds)} in it or below, found {there}")
