"""Several sources as one table."""

import pandas as pd
import pytest

from pneumo_ad.data.sources import phantom, several
from pneumo_ad.data.sources.table import check_table
from pneumo_ad.errors import ConfigError, DataError
from pneumo_ad.labels import NORMAL


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PNEUMO_AD_CACHE", str(tmp_path_factory.mktemp("cache")))
        return {
            "here": phantom(normal=20, pneumonia=10, size=64),
            "there": phantom(normal=12, pneumonia=4, size=64, seed=1),
        }


def test_every_radiograph_is_there_once_with_its_source_and_its_split(sources):
    joined = check_table(several(sources))
    assert len(joined) == sum(map(len, sources.values()))
    for name, table in sources.items():
        own = joined[joined["source"] == name]
        assert own["image"].tolist() == [f"{name}/{image}" for image in table["image"]]
        assert own["split"].tolist() == table["split"].tolist()
        assert own["path"].tolist() == table["path"].tolist()


def test_patients_of_one_name_in_two_sources_are_two(sources):
    joined = several({"a": sources["here"], "b": sources["here"]})
    assert joined["patient"].nunique() == 2 * sources["here"]["patient"].nunique()


def test_labels_that_are_not_kept_are_left_out(sources):
    joined = several(sources, labels=[NORMAL])
    assert set(joined["label"]) == {NORMAL}
    assert len(joined) == sum((table["label"] == NORMAL).sum() for table in sources.values())


def test_a_column_of_one_source_alone_is_empty_in_the_others(sources):
    joined = several({"a": sources["here"].assign(scanner="x"), "b": sources["there"]})
    assert set(joined.loc[joined["source"] == "b", "scanner"]) == {""}


def test_a_source_without_normals_is_refused_by_name(sources):
    ill = sources["there"][sources["there"]["label"] != NORMAL]
    with pytest.raises(DataError, match=r"data\.sources\.there holds no normal image.*: 4 pneumonia"):
        several({"here": sources["here"], "there": ill})
    with pytest.raises(ConfigError, match=r"data\.sources is empty"):
        several({})
    assert isinstance(several(sources), pd.DataFrame)
