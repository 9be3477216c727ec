"""Derived ids are valid, and the same for the same parts alone."""

from hypothesis import given
from hypothesis import strategies as st
from pydicom.uid import UID

from pneumo_ad.dicom.uids import derived_uid

# Ids, digests and kinds hold no line feed, which separates them.
PARTS = st.lists(st.text(st.characters(blacklist_characters="\n", blacklist_categories=["Cs"])), min_size=1, max_size=4)


@given(PARTS, PARTS)
def test_ids_are_valid_and_equal_for_equal_parts_alone(one, other):
    uid = UID(derived_uid(*one))
    assert uid.is_valid
    assert uid.startswith("2.25.")
    assert int(uid.removeprefix("2.25.")) < 2**128
    assert (uid == derived_uid(*other)) == (one == other)
