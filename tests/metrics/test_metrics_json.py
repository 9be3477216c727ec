import json

import pytest

from pneumo_ad.errors import DamagedError
from pneumo_ad.metrics.metrics_json import read_metrics, write_metrics

METRICS = {"image/auroc": 0.7, "shortcut/image/sharpness": 0.9, "counts/images": 12}
ABOUT = {"subset": "test", "omitted": {"patch/macro_f1": "no thresholds", "shortcut/image/jpeg_size": "the same"}}


def test_what_is_written_in_two_files_is_read_as_one(tmp_path):
    write_metrics(tmp_path, METRICS, ABOUT)
    assert read_metrics(tmp_path, "subset") == METRICS | {"about": ABOUT}
    alone, beside = (json.loads((tmp_path / f"{name}.json").read_text()) for name in ("metrics", "shortcuts"))
    assert "shortcut" not in json.dumps(alone)
    assert {*beside} - {"about"} == {"shortcut/image/sharpness"}
    assert {*beside["about"]["omitted"]} == {"shortcut/image/jpeg_size"}


def test_the_one_file_of_earlier_versions_reads_as_before(tmp_path):
    (tmp_path / "metrics.json").write_text(json.dumps(METRICS | {"about": ABOUT}))
    assert read_metrics(tmp_path) == METRICS | {"about": ABOUT}


def test_damaged_shortcuts_are_named(tmp_path):
    write_metrics(tmp_path, METRICS, ABOUT)
    (tmp_path / "shortcuts.json").write_text('{"about": {"omitted": {}}, "shortcut/image/sharpness": "high"}')
    with pytest.raises(DamagedError, match=r"shortcuts\.json: shortcut/image/sharpness"):
        read_metrics(tmp_path)
