import numpy as np
import pytest
from drawn import write_set

from pneumo_ad.data import Radiographs, sources
from pneumo_ad.labels import HEALTHY_LUNG, IN_OPACITY, OUTSIDE_LUNG
from pneumo_ad.lungs import SegmenterFields, WholeImage

BOX = "p004,20,30,20,40"


def left_half(store):
    """Lung fields that are told from every file's."""
    fields = np.zeros(store.images.shape, dtype=np.uint8)
    fields[:, :, : fields.shape[2] // 2] = 1
    return fields


def data_of(folder, lungs, boxes=None, lung_files=True, opacity_files=False, **options):
    root = write_set(folder / "set", normal=2, pneumonia=4)
    for kind, kept in (("lung", lung_files), ("opacity", opacity_files)):
        for file in (root / kind).iterdir():
            if not kept or file.stem == "p005":  # of the last neither is known
                file.unlink()
    if boxes:
        (folder / "boxes.csv").write_text("image,x,y,width,height\n" + boxes + "\n")
    table = sources.masks(root, boxes=folder / "boxes.csv" if boxes else None, split="test")
    return Radiographs(table, image_size=48, patch=8, stride=8, lungs=lungs, **options)


NAMES = ["n000", "n001", "p002", "p003", "p004", "p005"]


@pytest.mark.parametrize(
    ("options", "known"),
    [
        ({}, ["n000", "n001"]),  # normals with a lung mask: all of it is healthy
        ({"lung_files": False}, []),  # nothing tells of opacities
        ({"boxes": BOX}, ["n000", "n001", "p004"]),
        ({"boxes": BOX, "lung_files": False}, ["n000", "n001", "p004"]),
        ({"boxes": BOX + "\np005,,,,"}, ["n000", "n001", "p004", "p005"]),
        ({"opacity_files": True}, NAMES[:5]),
        ({"opacity_files": True, "lung_files": False}, NAMES[:5]),
        ({"opacity_files": True, "boxes": "p005,1,1,9,9"}, NAMES),
    ],
)
def test_whose_pixels_are_known(tmp_path, options, known):
    truth = data_of(tmp_path, left_half, **options).truth
    assert [name for name, one in zip(NAMES, truth.known, strict=True) if one] == known


def test_the_lung_comes_from_the_file_and_else_from_the_field(tmp_path):
    data = data_of(tmp_path, left_half, BOX + "\np005,,,,")
    assert data.truth.lung_known.all()
    for row in range(5):
        assert np.array_equal(data.truth.lung(row), data.store.lung[row])
    pixels = data.truth.pixels(5)  # known to hold no opacity, without a lung mask
    assert (pixels[:, :24] == HEALTHY_LUNG).all()
    assert (pixels[:, 24:] == OUTSIDE_LUNG).all()


def test_pixels_are_opacity_before_they_are_lung(tmp_path):
    truth = data_of(tmp_path, left_half, BOX).truth
    pixels = truth.pixels(4)
    assert np.array_equal(pixels == IN_OPACITY, truth.store.opacity[4] == 1)
    assert (pixels == IN_OPACITY).mean() == pytest.approx(20 * 40 / (96 * 80), abs=0.02)
    assert np.array_equal(pixels == HEALTHY_LUNG, (truth.store.lung[4] == 1) & (truth.store.opacity[4] == 0))


def test_where_the_lungs_are_not_looked_for_only_opacities_are_told_from_the_rest(tmp_path):
    """Whole-image metrics have their truth; those in the lung find no healthy pixel and are left out."""
    truth = data_of(tmp_path, WholeImage(), BOX, lung_files=False).truth
    assert truth.known.tolist() == [True, True, False, False, True, False]
    assert not truth.lung_known.any()
    assert set(np.unique(truth.pixels(4))) == {OUTSIDE_LUNG, IN_OPACITY}
    assert (truth.pixels(0) == OUTSIDE_LUNG).all()


def test_masks_are_believed_also_where_the_lungs_are_not_looked_for(tmp_path):
    truth = data_of(tmp_path, WholeImage(), BOX).truth
    assert truth.lung_known.tolist() == [True] * 5 + [False]
    assert set(np.unique(truth.pixels(4))) == {OUTSIDE_LUNG, HEALTHY_LUNG, IN_OPACITY}


def test_the_segmenter_serves_where_there_are_no_masks(tmp_path):
    data = data_of(tmp_path, SegmenterFields(), BOX, lung_files=False)
    assert np.array_equal(data.truth.lung(0), data.lung_fields[0])
