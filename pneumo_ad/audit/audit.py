"""Audit of a data set: counts, copies, unreadable files, and shortcuts (trivial facts that separate its classes)."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from pneumo_ad.audit.duplicates import file_digests, find_duplicates
from pneumo_ad.audit.findings import boundaries, count, pair_table, sentences, shortcut_table, sizes, straddlers
from pneumo_ad.audit.plots import class_distributions
from pneumo_ad.data.fit import Fit
from pneumo_ad.data.lung_fields import LungFields
from pneumo_ad.data.store.opening import open_store
from pneumo_ad.files import write_csv, write_json
from pneumo_ad.labels import NORMAL, PNEUMONIA, RADIOGRAPH, Vocabulary
from pneumo_ad.metrics.shortcuts import best_shortcut, image_shortcuts, shortcut_aurocs

log = logging.getLogger(__name__)

_DRAWN = 6  # shortcuts in the figure


def audit_data(
    table: pd.DataFrame,
    output: Path,
    image_size: tuple[int, int],
    fit: Fit,
    lungs: LungFields | None = None,
    warned: Sequence[str] = (),
    source: Any = None,
    terms: Vocabulary = RADIOGRAPH,
) -> Path:
    """Audit radiographs, and write tables, a figure and `audit.json`.

    Args:
        table: Table of radiographs, as a data source returns it.
        output: Folder to write to.
        image_size: Height and width at which radiographs are compared, in pixels.
        fit: `squash` or `pad`, see `place`.
        lungs: Lung fields; if given, shortcuts are measured within these too.
        warned: Warnings of the data source; they become findings.
        source: Description of the data source in plain values, kept as `data` in audit.json.
        terms: Words for what the images show, kept as `vocabulary` in audit.json.

    Returns:
        `output`.

    Raises:
        DataError: No radiograph can be read.
    """
    store = open_store(table, image_size, fit, on_error="skip")
    fields = lungs(store) if lungs is not None else None
    log.info("looking for duplicates among %d %s", len(store), terms.images)
    pairs = pair_table(find_duplicates(store.images, file_digests(store)), store.table)
    log.info("measuring shortcuts")
    values = image_shortcuts(store.images, store.table, fields)
    labels = store.table["label"].to_numpy(dtype=str)
    patients = store.table["patient"].to_numpy(dtype=str)
    aurocs, omitted = shortcut_aurocs(values, labels == PNEUMONIA, labels == NORMAL, patients)
    omitted = {name: terms.fill(reason) for name, reason in omitted.items()}
    shortcuts = shortcut_table(values, aurocs, omitted, labels)
    best = best_shortcut({name: interval.value for name, interval in aurocs.items()})
    output.mkdir(parents=True, exist_ok=True)
    unreadable = pd.DataFrame({"image": list(store.skipped), "reason": list(store.skipped.values())})
    for name, frame in (("duplicates", pairs), ("unreadable", unreadable), ("shortcuts", shortcuts)):
        write_csv(output / f"{name}.csv", frame)
    drawn = output / "shortcuts.png"
    drawn.unlink(missing_ok=True)  # of an earlier audit
    if ranked := [name for name in shortcuts["shortcut"] if name in aurocs][:_DRAWN]:
        class_distributions(values, labels, aurocs, ranked, terms).savefig(drawn, dpi=200)
    report: dict[str, Any] = {
        "data": source,
        "image_size": list(image_size),
        "fit": fit,
        "store": store.key,
        "counts": count(store.table) | {"unreadable": len(store.skipped)},
        "sizes": sizes(store.table),
        "patients_in_several": {
            column: straddlers(store.table, column) for column in [*boundaries(store.table), "label"]
        },
        "duplicates": _tally(pairs),
        "shortcuts": {name: dict(interval._asdict()) for name, interval in aurocs.items()},
        "best_shortcut": best._replace(words=terms.fill(best.words))._asdict() if best else None,
        "omitted": {f"shortcuts/{name}": reason for name, reason in omitted.items()},
        "findings": sentences(store.table, pairs, store.skipped, shortcuts, warned, terms),
        "vocabulary": vars(terms),
    }
    if fields is None:
        report["omitted"]["shortcuts/lung_*"] = (
            f"no {terms.field}; lungs=auto finds them in radiographs of the chest (about 40 ms each on a CPU)"
        )
    write_json(output / "audit.json", report)  # last: its presence implies that of the tables
    return output


def _tally(pairs: pd.DataFrame) -> dict[str, Any]:
    tally: dict[str, Any] = {"groups": int(pairs["group"].nunique())}
    for kind in ("same file", "same pixels", "near"):
        of_kind = pairs[pairs["kind"] == kind]
        across = {name: int(of_kind[name].sum()) for name in of_kind.columns if name.startswith("across_")}
        tally[kind.replace(" ", "_")] = {"pairs": len(of_kind)} | across
    return tally
