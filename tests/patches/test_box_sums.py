import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from pneumo_ad.patches.box_sums import Boxes


@st.composite
def boxes(draw):
    """Boxes in a picture of 2 x 14 x 17."""
    height, width = draw(st.integers(1, 14)), draw(st.integers(1, 17))
    tops = draw(st.sets(st.integers(0, 14 - height), min_size=1))
    lefts = draw(st.sets(st.integers(0, 17 - width), min_size=1))
    return Boxes(torch.tensor(sorted(tops)), torch.tensor(sorted(lefts)), height, width)


@given(boxes())
def test_sums_and_painting_equal_going_box_by_box(boxes):
    rng = np.random.default_rng(0)
    pictures = torch.from_numpy(rng.random((2, 14, 17)))
    values = torch.from_numpy(rng.random((2, len(boxes.tops), len(boxes.lefts))))
    painted = torch.zeros_like(pictures)
    for r, top in enumerate(boxes.tops.tolist()):
        for c, left in enumerate(boxes.lefts.tolist()):
            inside = (slice(None), slice(top, top + boxes.height), slice(left, left + boxes.width))
            painted[inside] += values[:, r, c, None, None]
            assert torch.allclose(boxes.sums(pictures)[:, r, c], pictures[inside].sum(dim=(1, 2)))
    assert torch.allclose(boxes.paint(values, (14, 17)), painted)


def test_sums_of_large_bright_pictures_are_exact():
    picture = torch.full((1, 2000, 2000), 255.0)
    corner = Boxes(torch.tensor([1990]), torch.tensor([1990]), 10, 10)
    assert corner.sums(picture).item() == 25_500  # float32 would have lost it among 10^9
