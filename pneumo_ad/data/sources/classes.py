"""Detection of folders that are classes, whose files `data=folder` would give one label."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from pneumo_ad.errors import DataError
from pneumo_ad.labels import NORMAL, PNEUMONIA, SPLITS

_HEALTHY = frozenset({"normal", "normals", "healthy", "good", "negative", "negatives", "control", "controls", "ok"})
_SICK = frozenset(
    """
    abnormal abnormals abnormality abnormalities unhealthy sick diseased disease diseases bad positive positives
    defect defects defective faulty anomaly anomalies anomalous pathology pathologic pathological infected infection
    pneumonia pneumonias bacteria bacterial virus viral covid tuberculosis opacity opacities consolidation
    infiltrate infiltration infiltrates effusion nodule nodules edema lesion lesions cancer nok
    """.split()  # noqa: SIM905 - words
)
_NOT = frozenset({"no", "non", "not", "without"})
_PARTS = frozenset({*SPLITS, "training", "valid", "validation", "testing"})


def health_told(folder: str) -> bool | None:
    """Whether a folder's name means healthy (True) or ill (False); None if it means neither, or both.

    >>> [health_told(name) for name in ("NORMAL", "01_Normal (1341)", "Viral Pneumonia", "Not Normal", "no_finding")]
    [True, True, False, False, True]
    >>> [health_told(name) for name in ("train", "ward 3", "non-COVID-19", "normal vs pneumonia")]
    [None, None, True, None]
    """
    words = set(re.findall("[a-z]+", folder.lower()))
    if words == {"no", "finding"} or words == {"no", "findings"}:
        return True
    well, ill = bool(words & _HEALTHY), bool(words & _SICK)
    return None if well == ill else well is not bool(words & _NOT)


def check_classes(root: Path, paths: Iterable[str], label: str) -> None:
    """Check that no folder below `root` is a class other than the label for all files below it.

    A folder is a class by its name, or because it is beside one called `good`, `normal` or similar; of nested folders
    the one nearest to a file counts.

    Args:
        root: Folder that is searched.
        paths: Files below it.
        label: Label for all files.

    Raises:
        DataError: Files in folders of another class; names the folders, and the options to use instead.
    """
    places = {Path(path).relative_to(root).parent for path in paths}
    folders = {folder for place in places for folder in (place, *place.parents) if folder.name}
    health = {folder: health_told(folder.name) for folder in folders}
    # That word alone: the folders beside `quality control` are no classes.
    beside = {folder.parent for folder in folders if re.sub("[^a-z]", "", folder.name.lower()) in _HEALTHY}
    for folder in folders:
        if health[folder] is None and folder.parent in beside and folder.name.lower() not in _PARTS:
            health[folder] = False
    nearest = {
        next((level for level in (place, *place.parents) if health.get(level) is not None), None) for place in places
    } - {None}
    wrong, right = (
        sorted(folder for folder in nearest if folder and health[folder] is healthy)
        for healthy in (label != NORMAL, label == NORMAL)
    )
    if not wrong:
        return
    levels = [root / name for name in SPLITS if (root / name).is_dir()] or [root]
    choices = ["data.csv=FILE with the columns image and label"]
    if right:
        choices.insert(0, f"data.root={root / right[-1]} ({label} alone)")
    if all((level / name.upper()).is_dir() for level in levels for name in (NORMAL, PNEUMONIA)):
        choices.insert(0, f"data=chest_xray data.root={root} (labels by folder)")
    names = ", ".join(f"{folder.as_posix()}/" for folder in (*wrong[:3], *right[:2]))
    raise DataError(
        f"{root}: its folders are classes ({names}), and data=folder without labels in a csv takes everything below it "
        f"as {label}. Give {', or '.join(choices)}"
    )
