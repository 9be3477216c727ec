"""The pictures of the pages under docs/ are what docs/pictures.py draws, small, and shown somewhere."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

DOCS = Path(__file__).parents[1] / "docs"


@pytest.fixture(scope="module")
def pictures():
    spec = importlib.util.spec_from_file_location("pictures", DOCS / "pictures.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_picture_is_there_small_and_shown(pictures):
    files = {file.stem: file for file in (DOCS / "pictures").iterdir()}
    assert set(files) == set(pictures.PICTURES)
    text = "".join(page.read_text() for page in [DOCS.parent / "README.md", *DOCS.rglob("*.md")])
    for name, file in files.items():
        assert f"pictures/{file.name})" in text, name
        assert file.stat().st_size < 200_000, name


@pytest.mark.parametrize("name", ["windows", "stride", "halo", "kinds", "thresholds", "conformal", "drawings"])
def test_a_picture_is_what_the_script_draws(pictures, name, tmp_path, monkeypatch):
    """The others take longer: 80 phantoms that are matched, and the detector on 400."""
    monkeypatch.setattr(pictures, "FOLDER", tmp_path)
    pictures.main([name])
    new, kept = (
        np.asarray(Image.open(folder / f"{name}.png").convert("L"), dtype=float)
        for folder in (tmp_path, DOCS / "pictures")
    )
    assert new.shape == kept.shape
    assert np.abs(new - kept).mean() < 2  # grey levels
