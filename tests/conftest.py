"""What every test gets: a cache folder of its own, one thread, and a clean Hydra."""

import multiprocessing
import os
import shutil
import sys

import pytest
from hypothesis import settings

# The same examples each time, and no deadline: a slow machine is not a failure.
settings.register_profile("steady", derandomize=True, deadline=None, max_examples=60)
settings.load_profile("steady")
os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture(autouse=True)
def cache(tmp_path_factory, monkeypatch):
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("PNEUMO_AD_CACHE", str(folder))
    return folder


@pytest.fixture(autouse=True, scope="session")
def config_folder(tmp_path_factory):
    """What tests trust is not written into the user's own folder."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PNEUMO_AD_CONFIG", str(tmp_path_factory.mktemp("config")))
        yield


@pytest.fixture(autouse=True, scope="session")
def one_thread():
    import torch

    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """A folder for what the tests of a file share: runs, and the store of their radiographs."""
    return tmp_path_factory.mktemp("shared")


@pytest.fixture
def here(shared, tmp_path, monkeypatch):
    """A working folder of its own, the store of all tests of the file."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PNEUMO_AD_CACHE", str(shared / "cache"))
    monkeypatch.setattr(sys, "argv", sys.argv)


@pytest.fixture
def undrawn():
    """For commands that are not called by `running.start`."""
    from running import undrawn

    with undrawn():
        yield


@pytest.fixture(scope="session")
def real_data():
    from pathlib import Path

    root = os.environ.get("PNEUMO_AD_DATA")
    if not root:
        pytest.skip("PNEUMO_AD_DATA is not set: the real radiographs are not tested")
    assert Path(root).is_dir(), f"PNEUMO_AD_DATA={root} is no folder"
    return Path(root)


@pytest.fixture(scope="module")
def browser():
    """A real one, without a window; no other file's tests run, and fork, while its pipes are open."""
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if program is None:
        pytest.skip("no chromium was found: pages are not looked at in a browser")
    from playwright.sync_api import sync_playwright

    if "joblib.externals.loky" in sys.modules:  # its workers stay for minutes after a sweep
        sys.modules["joblib.externals.loky"].get_reusable_executor().shutdown(wait=True)
    # A forked process would hold the driver's pipe, whose end is what tells the driver to end.
    assert not multiprocessing.active_children()
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=program, args=["--no-sandbox", "--disable-gpu"])
        yield started
        started.close()


def pytest_collection_modifyitems(items):
    """Processes of one run must collect the same ids: an address in one is another in each."""
    for item in items:
        assert " at 0x" not in item.nodeid, f"{item.nodeid}: give its parameters ids"
