"""Other versions of Python: each in an environment of this checkout, as `make install` makes it."""

import json
import os
import subprocess
import tomllib
from pathlib import Path

import pytest
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
PYTHONS = [Path(path).absolute() for path in os.environ.get("PNEUMO_AD_PYTHONS", "").split(os.pathsep) if path]
ASKED = """
import json, sys, importlib.metadata as packages, pneumo_ad
held = {one.name: one.version for one in packages.distributions()}
print(json.dumps([f"{sys.version_info.major}.{sys.version_info.minor}", pneumo_ad.__file__, held]))
"""


def call(*command, folder):
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=580)
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.mark.parametrize("python", PYTHONS or [None])
def test_another_python_trains_reports_predicts_and_exports(python, tmp_path):
    if python is None:
        pytest.skip("PNEUMO_AD_PYTHONS names no environment of another Python: only this one is tested")
    version, package, held = json.loads(call(python, "-c", ASKED, folder=tmp_path))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert f"Programming Language :: Python :: {version}" in project["classifiers"]
    assert Path(package).is_relative_to(ROOT)
    pins = dict(line.split("==") for line in (ROOT / "constraints.txt").read_text().splitlines())
    held = {canonicalize_name(name): number for name, number in held.items()}
    assert {name: held[name] for name in pins if name in held} == {name: pins[name] for name in pins if name in held}
    found = call(python, "-m", "pneumo_ad", "doctor", folder=tmp_path).splitlines()
    assert {line.split()[0] for line in found} == {"ok"}, found
    assert [line.split()[2] for line in found if " trial:" in line] == ["train", "report", "predict", "export"]
