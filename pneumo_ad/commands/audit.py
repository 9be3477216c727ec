"""`pneumo-ad audit`: content, duplicates and shortcuts of a data set, before training on it or trusting its metrics."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from pneumo_ad.runs.arguments import Arguments, Key, Overrides, Place, path
from pneumo_ad.runs.command import Command, typed

if TYPE_CHECKING:
    import pandas as pd
    from omegaconf import DictConfig

USAGE = """\
pneumo-ad audit data=GROUP data.root=DIR [key=value] ...

Reports on a data set: counts by split and label, sizes, patients in more than one split or folder, exact and near
duplicates, unreadable files, and how far trivial features (sharpness, aspect ratio, size of the file, ...) alone
separate pneumonia from normal. Writes audit.json, duplicates.csv, unreadable.csv, shortcuts.csv and shortcuts.png.

{keys}
  image_size=N fit=pad the size at which radiographs are compared, and how they are fitted to it (default: 256, squash)

{groups}

data.KEY=VALUE sets a key of the group; with lungs=CHOICE shortcuts are measured within the lung field too.
"""


@typed
def audit(overrides: Overrides = (), *, output: Place | None = None) -> Path:
    """Audit a data set, as `pneumo-ad audit` does.

    Args:
        overrides: Overrides of `conf/audit.yaml`, for example `["data=folder", "data.root=/radiographs"]`.
        output: Folder to write to; default: `audits/<what was set>`.

    Returns:
        The folder that holds `audit.json`, `duplicates.csv`, `unreadable.csv`, `shortcuts.csv` and `shortcuts.png`.

    Raises:
        ConfigError: An unknown key, or a missing value.
        DataError: No data, or none that can be read.
    """
    given = COMMAND.read(locals())
    from omegaconf import OmegaConf

    from pneumo_ad.audit.audit import audit_data
    from pneumo_ad.data.fit import sides
    from pneumo_ad.runs.compose import build, compose_config, vocabulary_of
    from pneumo_ad.runs.sweeps import folder_name
    from pneumo_ad.runs.trust import name_own

    config = compose_config("audit", given.overrides)
    name_own(config)
    image_size = sides(config.image_size, least=8)
    table, warned = _read_source(config)
    return audit_data(
        table,
        given["output"] or Path("audits") / folder_name(given.overrides or ["data=phantom"]),
        image_size,
        config.fit,
        build(config.lungs) if config.get("lungs") else None,
        warned,
        OmegaConf.to_container(config.data, resolve=True),
        vocabulary_of(config),
    )


def _read_source(config: DictConfig) -> tuple[pd.DataFrame, list[str]]:
    """Table of a source and its warnings; a patient in two splits is a finding here, not an error."""
    from pneumo_ad.data.sources.table import REQUIRED, check_table
    from pneumo_ad.runs.compose import build

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        table = build(config.data)
    warned = [str(one.message) for one in caught if issubclass(one.category, UserWarning)]
    if set(REQUIRED) <= set(table.columns):
        alone = check_table(table.assign(patient=table["image"], _patient=table["patient"]))
        return alone.assign(patient=alone["_patient"]).drop(columns="_patient"), warned
    return check_table(table), warned


def _show(output: Path, _: Arguments) -> None:
    from pneumo_ad.audit.printing import print_audit

    print_audit(output)


COMMAND = Command(
    section="look",
    place=6,
    summary="what is in a data set: counts, duplicates, shortcuts",
    example="data=GROUP data.root=DIR [output=DIR]",
    call=audit,
    show=_show,
    usage=USAGE,
    keys=(Key("output", "where to write (default: audits/<what was set>)", "DIR", path),),
    config="audit",
)
