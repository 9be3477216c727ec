import json

import numpy as np
import pytest
from filelock import FileLock

from pneumo_ad.commands.store import store
from pneumo_ad.data.store.upkeep import clear_leftovers, list_stores
from pneumo_ad.errors import ConfigError


def left(cache, name):
    folder = cache / "stores" / f"{name}.partial"
    folder.mkdir(parents=True)
    np.save(folder / "images.npy", np.zeros(3))
    return folder


def test_leftovers_of_killed_builds_are_cleared_and_builds_under_way_are_left_alone(cache):
    dead, alive = left(cache, "dead"), left(cache, "alive")
    with FileLock(alive.with_suffix(".lock")):
        assert clear_leftovers() == 1
    assert not dead.exists()
    assert (alive / "images.npy").is_file()


def test_clearing_one_that_is_not_there_names_what_is(cache):
    with pytest.raises(ConfigError, match="no store 'abc'; there are: none"):
        store(["clear=abc"])
    store(["clear=all"])  # nothing to clear is no mistake


def test_what_is_no_argument_is_refused():
    with pytest.raises(ConfigError, match="purge=all is not known; expected clear=KEY"):
        store(["purge=all"])


def test_what_a_killed_build_left_is_no_store(cache):
    """It may hold a `store.json` already, and is cleared as a leftover, under the lock of who builds."""
    dead, alive = left(cache, "dead"), left(cache, "alive")
    for folder in (dead, alive):
        about = {"image_size": [64, 64], "fit": "squash", "images": 1, "skipped": {}, "source": "/"}
        (folder / "store.json").write_text(json.dumps(about))
    assert list_stores() == []
    with FileLock(alive.with_suffix(".lock")):
        store(["clear=all"])
    assert not dead.exists()
    assert (alive / "store.json").is_file()
