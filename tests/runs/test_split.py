"""Who is in which split stays as a run dealt it."""

import pytest
from drawn import write_set

from pneumo_ad.data import Radiographs, sources
from pneumo_ad.errors import DataError
from pneumo_ad.labels import UNDEALT
from pneumo_ad.lungs import FileFields
from pneumo_ad.runs.split import keep_split, write_split


@pytest.fixture
def table(tmp_path):
    return sources.masks(write_set(tmp_path / "set", normal=12, pneumonia=8), val=0.25, test=0.25)


def module(table, **options):
    return Radiographs(table.reset_index(drop=True), 64, patch=8, stride=4, lungs=FileFields(), **options)


def test_what_a_run_never_dealt_is_in_no_split_and_named(table, tmp_path):
    """Radiographs that came after the training are opened, warned of once, and in no split at all."""
    write_split(module(table[:10]).store.table, tmp_path)
    dealt = (tmp_path / "split.csv").read_text()
    for _ in range(2):  # the second time after a resumption, which writes the split anew
        data = module(table, on_error="skip")
        keep_split(data, tmp_path)
        later = data.table.loc[data.table["split"] == UNDEALT, "image"]
        assert len(later) == 10
        with pytest.warns(UserWarning, match=f"10 images were added after .* fixed its splits.*{later.iloc[0]}, "):
            assert len(data.store) == 20
        assert set(data.store.table["image"].iloc[data.rows(None)]).isdisjoint(later)
        assert len(data.rows(None)) == 10
        assert len(data.rows(None, "normal")) + len(data.rows(None, "pneumonia")) == 10
        write_split(data.store.table, tmp_path)
        assert (tmp_path / "split.csv").read_text() == dealt
    with pytest.raises(DataError, match=r"0 images are gone .*, 10 are new"):
        keep_split(module(table), tmp_path)


def test_a_split_of_a_run_that_wrote_who_was_in_none_is_read(table, tmp_path):
    table.assign(split="train").to_csv(tmp_path / "split.csv", index=False)
    text = (tmp_path / "split.csv").read_text()
    (tmp_path / "split.csv").write_text(text.replace("train", UNDEALT, 1))
    data = module(table, on_error="skip")
    keep_split(data, tmp_path)
    assert (data.table["split"] == UNDEALT).sum() == 1
    with pytest.warns(UserWarning, match="1 images were added after"):
        assert len(data.rows(None)) == 19
