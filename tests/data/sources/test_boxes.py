import hashlib
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from drawn import lung_mask, radiograph, table_of, write_set
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from pneumo_ad.data import sources
from pneumo_ad.data.fit import place
from pneumo_ad.data.sources.boxes import draw_boxes, parse_boxes, read_boxes
from pneumo_ad.data.sources.table import check_table
from pneumo_ad.data.store.opening import open_store
from pneumo_ad.data.store.store import earlier_key, store_key
from pneumo_ad.errors import DataError

SIZE = (48, 40)
HEADER = "image,x,y,width,height"


@pytest.fixture
def root(tmp_path):
    """Four normal and four sick radiographs of 96 x 80 with lung masks, and no opacity masks."""
    folder = write_set(tmp_path / "set", normal=4, pneumonia=4)
    for file in (folder / "opacity").iterdir():
        file.unlink()
    return folder


def write_boxes(root, *lines, header=HEADER):
    csv = root.parent / "boxes.csv"
    csv.write_text("\n".join([header, *lines]) + "\n")
    return csv


def boxed(root, *lines, **options):
    return sources.masks(root, boxes=write_boxes(root, *lines, **options), split="test").set_index("image")["boxes"]


def refusal(root, *lines, **options):
    with pytest.raises(DataError) as refused:
        boxed(root, *lines, **options)
    return str(refused.value)


def rasterised(boxes, size):
    """Pixel by pixel: is its centre in a box?"""
    mask = np.zeros(size, dtype=bool)
    for i in range(size[0]):
        for j in range(size[1]):
            mask[i, j] = any(x <= j + 0.5 < x + w and y <= i + 0.5 < y + h for x, y, w, h in boxes)
    return mask


@given(
    st.lists(
        st.tuples(
            st.floats(-1, 30), st.floats(-1, 20), st.floats(1, 40, exclude_min=True), st.floats(1, 40, exclude_min=True)
        ),
        max_size=4,
    )
)
def test_boxes_drawn_equal_a_rasterisation_pixel_by_pixel(boxes):
    size = (22, 32)
    inside = [(x, y, min(w, 33 - x), min(h, 23 - y)) for x, y, w, h in boxes]  # at most one pixel over the edge
    inside = [box for box in inside if rasterised([box], size).any()]
    assert np.array_equal(draw_boxes(inside, size), rasterised(inside, size))


def test_whole_numbers_mean_whole_pixels():
    assert draw_boxes([(3, 2, 4, 1)], (5, 10)).sum() == 4
    assert draw_boxes([(0, 0, 10, 5)], (5, 10)).all()
    assert not draw_boxes([], (5, 10)).any()


def test_a_box_smaller_than_a_pixel_is_not_lost():
    assert np.argwhere(draw_boxes([(3.6, 2.6, 0.2, 0.2)], (5, 10))).tolist() == [[3, 4]]
    assert draw_boxes([(9.9, 4.9, 0.1, 0.1)], (5, 10))[4, 9]


@pytest.mark.parametrize("box", [(-1, 0, 5, 5), (0, -0.4, 5, 5), (5.5, 0, 5, 5), (5, 0, 6, 6), (10, 5, 1, 1)])
def test_up_to_a_pixel_over_the_edge_is_rounding(box):
    assert draw_boxes([box], (5, 10)).any()


@pytest.mark.parametrize(
    "box", [(-1.1, 0, 5, 5), (0, -2, 5, 5), (6, 0, 5.1, 5), (0, 1, 5, 5.5), (100, 2, 1, 1), (0, 0, 5, 10)]
)
def test_more_is_refused(box):
    with pytest.raises(DataError, match="leaves its image of 10 pixels in width and 5 in height"):
        draw_boxes([box], (5, 10))


@pytest.mark.parametrize("fit", ["squash", "pad"])
def test_the_store_holds_boxes_where_the_radiograph_lies(root, fit):
    table = sources.masks(root, boxes=write_boxes(root, "p004,8,16,24,40", "p004,60,70,20,26"), split="test")
    opened = open_store(table, (48, 48), fit)  # half the size; with pad, 4 columns of padding on either side
    drawn = rasterised([(8, 16, 24, 40), (60, 70, 20, 26)], (96, 80))
    p = place((96, 80), (48, 48), fit)
    expected = np.zeros((48, 48), dtype=bool)
    if fit == "pad":
        assert (p.left, p.width) == (4, 40)
        expected[:, 4:44] = drawn.reshape(48, 2, 40, 2).all(axis=(1, 3))
    else:  # the pixel that lies where the middle of the fitted one does
        expected = drawn[np.ix_(np.arange(48) * 2, ((np.arange(48) + 0.5) * 80 / 48).astype(int))]
    row = opened.table.index[opened.table["image"] == "p004"][0]
    assert np.array_equal(opened.opacity[row] == 1, expected)
    assert opened.opacity.any(axis=(1, 2)).sum() == 1


def test_what_the_boxes_do_not_tell_stays_unknown(root):
    table = sources.masks(root, boxes=write_boxes(root, "p004,8,16,24,40", "p005,,,,"), split="test")
    assert table.set_index("image")["boxes"].loc["p004":"p006"].tolist() == ["[[8.0, 16.0, 24.0, 40.0]]", "[]", ""]
    kept = open_store(table, SIZE).table.set_index("image")
    assert kept["has_opacity"].loc["p004":"p006"].tolist() == [True, True, False]
    assert kept["truth"].loc["p004":"p006"].tolist() == ["boxes", "boxes", ""]


def test_truth_tells_masks_from_boxes(tmp_path):
    root = write_set(tmp_path / "set", normal=1, pneumonia=2)
    (root / "opacity" / "p002.png").unlink()
    (root / "opacity" / "p001.png").rename(root / "opacity" / "p001.tif")
    table = sources.masks(root, boxes=write_boxes(root, "p002,0,0,40,40"), split="test")
    for _ in range(2):  # built, then opened
        assert open_store(table, SIZE).table["truth"].tolist() == ["", "mask", "boxes"]
    assert open_store(table.drop(columns="boxes"), SIZE).table["truth"].tolist() == ["", "mask", ""]


def test_doubled_and_overlapping_boxes_are_their_union(root):
    once = boxed(root, "p004,10,10,20,20", "p004,20,20,20,20")
    again = boxed(root, "p004,20,20,20,20", "p004.png,10,10,20,20", "p004,10.0,10,20,20", "p004,20,20,20,20")
    assert once.equals(again)
    mask = draw_boxes(parse_boxes(once["p004"]), (96, 80))
    assert mask.sum() == 400 + 400 - 100


def key_without_boxes(table, image_size, fit):
    """The key of stores from before there were boxes."""
    digest = hashlib.sha256(json.dumps([2, list(image_size), fit]).encode())
    for row in table.sort_values("image")[["image", "path", "lung", "opacity"]].itertuples(index=False):
        for path in row[1:]:
            stat = Path(path).stat() if path else None
            digest.update(repr((row[0], str(path), stat and (stat.st_size, stat.st_mtime_ns))).encode())
    return digest.hexdigest()[:16]


def test_the_key_of_a_store_follows_boxes_and_is_as_ever_without(root):
    plain = sources.masks(root, split="test")
    key = store_key(plain, SIZE, "squash")
    assert key == store_key(plain.assign(boxes=""), SIZE, "squash")
    assert earlier_key(plain, SIZE, "squash") == key_without_boxes(plain, SIZE, "squash")
    keys = {key}
    for lines in (["p004,1,1,9,9"], ["p004,1,1,9,8"], ["p005,1,1,9,9"], ["p004,,,,"], ["p004,1,1,9,9", "p005,,,,"]):
        table = sources.masks(root, boxes=write_boxes(root, *lines), split="test")
        keys.add(store_key(table, SIZE, "squash"))
    assert len(keys) == 6
    turned = sources.masks(root, boxes=write_boxes(root, "p005,,,,", "p004,1,1,9,9"), split="test")
    assert store_key(turned, SIZE, "squash") in keys


def test_further_columns_are_ignored_and_the_names_of_rsna_known(root):
    header = "patientId, x, y, width, height, Target"
    found = boxed(root, "p004,264.5,152.0,213.0,379.0,1", "n000,,,,,0", "p004, 1, 2, 3, 4,1", header=header)
    assert found["p004"] == "[[1.0, 2.0, 3.0, 4.0], [264.5, 152.0, 213.0, 379.0]]"
    assert found["n000"] == "[]"
    assert (found.drop(["p004", "n000"]) == "").all()


def test_folder_takes_boxes_too(root):
    csv = write_boxes(root, "deep/p004.png,1,2,3,4")
    (root / "deep").mkdir()
    (root / "images" / "p004.png").rename(root / "deep" / "p004.png")
    table = sources.folder(root, boxes=csv, split="test").set_index("image")
    assert table.loc[table["boxes"] != "", "boxes"].to_dict() == {"deep/p004": "[[1.0, 2.0, 3.0, 4.0]]"}


def test_boxes_of_images_that_the_index_leaves_out_do_no_harm(root):
    (root / "index.csv").write_text("image,label\np004,pneumonia\nn000,normal\n")
    assert boxed(root, "p004,1,2,3,4", "p005,1,2,3,4").to_dict() == {"n000": "", "p004": "[[1.0, 2.0, 3.0, 4.0]]"}
    assert "tells nothing of the 2 images (for example n000)" in refusal(root, "p005,1,2,3,4")
    assert "tells nothing of the 2 images" in refusal(root)


def test_unknown_names_are_counted_and_the_nearest_is_named(root):
    lines = [f"q{i:03d},1,2,3,4" for i in (4, 4, 5, 6, 7, 8, 9)]
    words = refusal(root, "p004,1,2,3,4", *lines)
    assert "boxes.csv lists 6 images that are not in" in words
    assert "for example q004 (line 3), q005 (line 5), q006 (line 6), q007 (line 7), q008 (line 8), ..." in words


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ("p005,1,2,wide,4", r"hold something that is not a number .* line 3 \(p005: x=1, y=2, width=wide, height=4\)"),
        ("p005,1,2,3,", r"hold something that is not a number .* or four blanks .* line 3 \(p005: "),
        ("p005,nan,2,3,4", "hold something that is not a number"),
        ("p005,1,inf,3,4", "hold something that is not a number"),
        ("p005,1,2,0,4", r"have a width or height that is not above 0 .* line 3 \(p005: x=1, y=2, width=0, height=4\)"),
        ("p005,1,2,3,-4", "have a width or height that is not above 0 .*height=-4"),
        ("p004,,,,", r"boxes\.csv: 1 rows are blank \(no anomaly\), while other rows give boxes, .* line 3 \(p004: "),
    ],
)
def test_rows_that_are_no_boxes_are_refused_by_line_and_name(root, row, words):
    with pytest.raises(DataError, match=words):
        boxed(root, "p004,1,2,3,4", row)


def test_long_lists_are_cut(root):
    words = refusal(root, *["p004,1,2,0,4"] * 7)
    assert "7 rows have a width" in words
    assert "line 6 (" in words
    assert words.endswith(", ...")


def test_a_csv_that_is_none_is_refused(root):
    assert "expected a column 'width', found ['image', 'x', 'y', 'w', 'h']" in refusal(root, header="image,x,y,w,h")


def test_a_mask_and_boxes_of_one_image_are_refused_by_name(root):
    Image.fromarray(lung_mask(96, 80)).save(root / "opacity" / "p006.png")
    for line in ("p006,1,2,3,4", "p006,,,,"):
        words = refusal(root, "p004,1,2,3,4", line)
        assert "1 images have both a mask of anomalies and boxes (which one is the truth?" in words
        assert words.endswith("p006")


@pytest.mark.parametrize("line", ["p005,70,2,12,4", "p005,-2,2,12,4", "p005,1,90,3,20", "p005,500,300,213,379"])
def test_a_box_outside_its_image_is_refused_with_its_size_or_skipped(root, line):
    table = sources.masks(root, boxes=write_boxes(root, "p004,1,2,79,94", line), split="test")
    with pytest.raises(DataError) as refused:
        open_store(table, SIZE)
    words = str(refused.value)
    assert "1 images cannot be used" in words
    assert f"{root / 'images' / 'p005.png'}: the box x={line.split(',')[1]}, y=" in words
    assert "leaves its image of 80 pixels in width and 96 in height by" in words
    skipped = open_store(table, SIZE, on_error="skip")
    assert list(skipped.skipped) == ["p005"]
    assert len(skipped) == 7


@pytest.mark.parametrize(
    "text",
    ["[[1, 2, 3]]", "[1, 2, 3, 4]", "[[1, 2, 0, 4]]", "[[1, 2, NaN, 4]]", "{}x", "none", "[[1, 2, 3, 4]", 7, None],
)
def test_a_table_with_other_boxes_is_refused(tmp_path, text):
    for name in "ab":
        Image.fromarray(radiograph(0, 24, 20)).save(tmp_path / f"{name}.png")
    table = table_of([tmp_path / "a.png", tmp_path / "b.png"])
    with pytest.raises(DataError, match=r"1 images have boxes that are not JSON .*: b$"):
        check_table(table.assign(boxes=["[[1, 2, 3, 4]]", text]))
    assert check_table(table.assign(boxes=["[]", ""]))["boxes"].tolist() == ["[]", ""]


def test_a_large_csv_is_read_in_a_moment(tmp_path):
    """26,000 images, as the RSNA challenge has."""
    names = pd.Series([f"{i:08x}-aaaa" for i in range(26_000)])
    files = pd.DataFrame({"image": names, "path": [str(tmp_path / f"{name}.png") for name in names]})
    frame = pd.DataFrame({"image": names, "x": 1.5, "y": 2.0, "width": 3.0, "height": 4.0})
    frame.to_csv(tmp_path / "boxes.csv", index=False)
    assert len(read_boxes(tmp_path / "boxes.csv", files, tmp_path)) == 26_000


def test_a_row_without_a_name_is_refused_with_its_line(tmp_path):
    root = write_set(tmp_path / "set", masks=False)
    (tmp_path / "boxes.csv").write_text("image,x,y,width,height\nn000,1,1,5,5\n,,,,\n")
    with pytest.raises(DataError, match=r"1 rows name no image, for example line 3"):
        sources.masks(root, boxes=tmp_path / "boxes.csv")
