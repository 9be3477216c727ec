"""data=cloth."""

import numpy as np
import pytest
from PIL import Image
from pneumo_ad.errors import ConfigError
from pneumo_ad.runs.compose import build, compose_config

from cloth_ad.sources.cloth import cloth


def test_its_yaml_draws_the_pieces_with_their_faults(pictures):
    table = build(compose_config("train", ["data=cloth", *pictures]).data)
    assert table["label"].value_counts().to_dict() == {"normal": 14, "pneumonia": 14}
    assert set(table["split"]) == {"train", "val", "test"}
    for row in table.itertuples():
        assert np.asarray(Image.open(row.path)).shape == (64, 64)
        assert (row.opacity != "") == (row.label == "pneumonia")
        assert row.opacity == "" or np.asarray(Image.open(row.opacity)).any()


def test_the_same_seed_draws_the_same_cloth_and_another_draws_another():
    first, again, other = (cloth(sound=3, faulty=3, size=64, seed=seed) for seed in (0, 0, 1))
    assert first["path"].tolist() == again["path"].tolist()
    pieces = [np.asarray(Image.open(table["path"][0])) for table in (first, other)]
    assert (pieces[0] != pieces[1]).any()


def test_what_cannot_be_drawn_is_named():
    with pytest.raises(ConfigError, match="size=16"):
        cloth(size=16)
