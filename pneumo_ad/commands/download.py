"""`pneumo-ad download`: public data sets from Kaggle."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from pathlib import Path

from pneumo_ad.errors import ConfigError
from pneumo_ad.runs.arguments import Arguments, Key, path
from pneumo_ad.runs.command import Command
from pneumo_ad.runs.grammar import quoted

USAGE = """\
pneumo-ad download chest_xray|rsna [output=DIR]

Downloads a public data set from Kaggle, finds the folder for data.root and prints the next command.

  chest_xray           radiographs of children, normal and pneumonia (Kermany et al. 2018); 2.3 GB
  rsna                 DICOM with boxes of opacities (Shih et al. 2019); 3.7 GB; its rules must be accepted on the site
{keys}

Needs kagglehub: pip install "pneumo_ad[download]", and for rsna a Kaggle account: KAGGLE_API_TOKEN, or KAGGLE_USERNAME
and KAGGLE_KEY, or ~/.kaggle/kaggle.json
"""


def download(arguments: str | Sequence[str] = (), **keywords: object) -> Path:
    """Download a data set, as `pneumo-ad download` does; a second call only finds it.

    Args:
        arguments: Arguments as on the command line: `["rsna"]`.
        keywords: `output`: folder to download to; default: kagglehub's cache.

    Returns:
        Folder for `data.root`.

    Raises:
        ConfigError: An unknown name or key, or kagglehub is not installed.
        DataError: No network, no credentials, rules not accepted, no disk space, or an unexpected data set.
    """
    given = COMMAND.parse(arguments, keywords)
    from pneumo_ad.data.sources.kaggle import OFFERS, fetch

    if len(given.names) != 1 or given.names[0] not in OFFERS:
        names = " ".join(given.names) or "nothing"
        raise ConfigError(f"expected one of {', '.join(OFFERS)} and optionally output=DIR, got {names}")
    return fetch(given.names[0], given["output"])


def next_command(name: str, root: Path) -> str:
    r"""Return the next command, quoted for Hydra and for the shell.

    Args:
        name: Name of the data set.
        root: Folder of the data set.

    >>> next_command("rsna", Path("/data/rsna"))
    'pneumo-ad train experiment=paper data=rsna data.root=/data/rsna'
    >>> next_command("rsna", Path("/my data"))
    'pneumo-ad train experiment=paper data=rsna \'data.root="/my data"\''
    """
    plain = re.fullmatch(r"[\w/.:+-]+", str(root), re.ASCII)
    override = f"data.root={root}"
    return f"pneumo-ad train experiment=paper data={name} {shlex.quote(override if plain else quoted(override))}"


def _show(root: Path, given: Arguments) -> None:
    from pneumo_ad.data.sources.kaggle import OFFERS

    name = given.names[0]
    print(f"{name} lies in {root}\n({OFFERS[name].about}; {OFFERS[name].page})\n\nnext: {next_command(name, root)}")


COMMAND = Command(
    section="use",
    place=3,
    summary="fetch a public data set",
    example="chest_xray|rsna [output=DIR]",
    run=download,
    show=_show,
    usage=USAGE,
    keys=(Key("output", "where to (default: ~/.cache/kagglehub, or KAGGLEHUB_CACHE)", "DIR", path),),
    takes_names=True,
)
