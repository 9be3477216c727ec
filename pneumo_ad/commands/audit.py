"""`pneumo-ad audit`: what is in a data set, before anybody trains on it or believes a figure made with it."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from omegaconf import DictConfig, OmegaConf

from pneumo_ad.audit.duplicates import find_duplicates
from pneumo_ad.audit.figures import class_distributions
from pneumo_ad.audit.findings import boundaries, count, pair_table, sentences, shortcut_table, sizes, straddlers
from pneumo_ad.data.fit import sides
from pneumo_ad.data.sources.table import REQUIRED, check_table
from pneumo_ad.data.store.opening import open_store
from pneumo_ad.files import atomic_write, write_json
from pneumo_ad.labels import NORMAL, PNEUMONIA
from pneumo_ad.metrics.shortcuts import best_shortcut, image_shortcuts, shortcut_aurocs
from pneumo_ad.runs.compose import build, compose_config
from pneumo_ad.runs.sweeps import folder_name
from pneumo_ad.runs.trust import name_own

log = logging.getLogger(__name__)

_DRAWN = 6  # shortcuts in the figure


def audit(arguments: Sequence[str]) -> Path:
    """The command. Overrides of `conf/audit.yaml`, and optionally `output=DIR`.

    Returns:
        The folder that holds `audit.json`, `duplicates.csv`, `unreadable.csv`, `shortcuts.csv` and `shortcuts.png`.

    Raises:
        ConfigError: An unknown override, or a value that is missing.
        DataError: No data, or none that can be read.
    """
    overrides = [argument for argument in arguments if not argument.startswith("output=")]
    given = [argument.removeprefix("output=") for argument in arguments if argument.startswith("output=")]
    config = compose_config("audit", overrides)
    name_own(config)
    output = Path(given[-1] if given else Path("audits") / folder_name(overrides or ["data=phantom"]))
    return audit_data(config, output)


def audit_data(config: DictConfig, output: Path) -> Path:
    """Audit the data of a config with `data`, `image_size`, `fit` and, optionally, `lungs`; see `audit`."""
    image_size = sides(config.image_size, least=8)
    table, warned = read_source(config)
    store = open_store(table, image_size, config.fit, on_error="skip")
    lungs = build(config.lungs)(store) if config.get("lungs") else None
    log.info("looking for duplicates among %d radiographs", len(store))
    pairs = pair_table(find_duplicates(store.images, list(store.table["path"])), store.table)
    log.info("measuring shortcuts")
    values = image_shortcuts(store.images, store.table, lungs)
    labels = store.table["label"].to_numpy(dtype=str)
    patients = store.table["patient"].to_numpy(dtype=str)
    aurocs, omitted = shortcut_aurocs(values, labels == PNEUMONIA, labels == NORMAL, patients)
    shortcuts = shortcut_table(values, aurocs, omitted, labels)
    best = best_shortcut({name: interval.value for name, interval in aurocs.items()})
    output.mkdir(parents=True, exist_ok=True)
    unreadable = pd.DataFrame({"image": list(store.skipped), "reason": list(store.skipped.values())})
    for name, frame in (("duplicates", pairs), ("unreadable", unreadable), ("shortcuts", shortcuts)):
        with atomic_write(output / f"{name}.csv") as aside:
            frame.to_csv(aside, index=False, float_format="%.6g")
    drawn = output / "shortcuts.png"
    drawn.unlink(missing_ok=True)  # of an earlier audit
    if ranked := [name for name in shortcuts["shortcut"] if name in aurocs][:_DRAWN]:
        class_distributions(values, labels, aurocs, ranked).savefig(drawn, dpi=200)
    found: dict[str, Any] = {
        "data": OmegaConf.to_container(config.data, resolve=True),
        "image_size": list(image_size),
        "fit": config.fit,
        "store": store.key,
        "counts": count(store.table) | {"unreadable": len(store.skipped)},
        "sizes": sizes(store.table),
        "patients_in_several": {
            column: straddlers(store.table, column) for column in [*boundaries(store.table), "label"]
        },
        "duplicates": _tally(pairs),
        "shortcuts": {name: dict(interval._asdict()) for name, interval in aurocs.items()},
        "best_shortcut": best._asdict() if best else None,
        "omitted": {f"shortcuts/{name}": reason for name, reason in omitted.items()},
        "findings": sentences(store.table, pairs, store.skipped, shortcuts, warned),
    }
    if lungs is None:
        found["omitted"]["shortcuts/lung_*"] = (
            "no lung fields; lungs=auto finds them (about 40 ms a radiograph on a CPU)"
        )
    write_json(output / "audit.json", found)  # after the tables: where it stands, they do
    return output


def read_source(config: DictConfig) -> tuple[pd.DataFrame, list[str]]:
    """The table of a source and what the source warned of; a patient in two splits is no error here, but a finding.

    Raises:
        ConfigError: A value that the user must give is missing.
        DataError: See `check_table`.
    """
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        table = build(config.data)
    warned = [str(one.message) for one in caught if issubclass(one.category, UserWarning)]
    if set(REQUIRED) <= set(table.columns):
        alone = check_table(table.assign(patient=table["image"], _patient=table["patient"]))
        return alone.assign(patient=alone["_patient"]).drop(columns="_patient"), warned
    return check_table(table), warned


def _tally(pairs: pd.DataFrame) -> dict[str, Any]:
    tally: dict[str, Any] = {"groups": int(pairs["group"].nunique())}
    for kind in ("same file", "same pixels", "near"):
        own = pairs[pairs["kind"] == kind]
        across = {name: int(own[name].sum()) for name in own.columns if name.startswith("across_")}
        tally[kind.replace(" ", "_")] = {"pairs": len(own)} | across
    return tally
