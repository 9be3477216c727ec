"""Csv files as other programs write them: read right, or refused by name."""

import csv
import io

import numpy as np
import pandas as pd
import pytest

from pneumo_ad.data.sources.listing import match_names, read_listing
from pneumo_ad.errors import DataError

ROWS = [
    ("a", "007", "normal"),
    ("NA", "NaN", "x, y"),
    ("1e5", "1.0", ""),
    ("", "None", 'said "so"'),
    ("None", "7", "ü"),
]
HEADER = ("image", "patient", "note")


def written(path, delimiter=",", end="\n", encoding="utf-8", quoting=csv.QUOTE_MINIMAL, header=HEADER, rows=ROWS):
    text = io.StringIO()
    csv.writer(text, delimiter=delimiter, lineterminator=end, quoting=quoting).writerows([header, *rows])
    path.write_bytes(text.getvalue().encode(encoding))
    return path


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
@pytest.mark.parametrize("quoting", [csv.QUOTE_MINIMAL, csv.QUOTE_ALL])
def test_every_cell_is_the_text_that_was_written(tmp_path, delimiter, end, encoding, quoting):
    listed = read_listing(written(tmp_path / "list.csv", delimiter, end, encoding, quoting))
    assert listed.columns.tolist() == list(HEADER)
    assert [tuple(row) for row in listed.to_numpy()] == ROWS
    assert listed.index.tolist() == [0, 1, 2, 3, 4]


def test_columns_are_ours_in_any_case_and_those_without_a_name_are_left_out(tmp_path):
    header = ("", "patientID", " Label ", "View", "")
    file = written(tmp_path / "list.csv", header=header, rows=[("0", "a", "normal", "PA", "")])
    listed = read_listing(file, known=["label"], renamed={"patientId": "image"})
    assert listed.to_dict("records") == [{"image": "a", "label": "normal", "View": "PA"}]
    both = written(tmp_path / "both.csv", header=("image", "patientId"), rows=[("a", "b")])
    assert read_listing(both, renamed={"patientId": "image"})["image"].tolist() == ["a"]


def test_rows_know_their_lines(tmp_path):
    (tmp_path / "list.csv").write_text('image,note\n\n\na,"two\nlines"\n\n,x\n')
    listed = read_listing(tmp_path / "list.csv")
    assert (listed.index + 2).tolist() == [4, 7]
    files = pd.DataFrame({"image": ["a"], "path": [str(tmp_path / "a.png")]})
    with pytest.raises(DataError, match=r"list\.csv: 1 rows name no image, for example line 7"):
        match_names(listed["image"], files, tmp_path, "list.csv")


@pytest.mark.parametrize(
    ("held", "words"),
    [
        (b"image,label\na,normal\nb\n", "1 rows have more or fewer cells than the 2 of the header, for example line 3"),
        (b"image,label\na,normal\nb,normal,x\n", r"for example line 3 with 3: 'b,normal,x'"),
        (b"image;label\na;normal;x\n", "1 rows have more or fewer cells"),
        (b"image,label,label\na,normal,pneumonia\n", r"1 columns are there twice: \['label'\]"),
        (b"image,label,LABEL\na,normal,pneumonia\n", r"1 columns are there twice: \['label'\]"),
        (b"image,path,Image\na,b,c\n", r"1 columns are there twice: \['image'\]"),
    ],
)
def test_what_is_no_whole_table_is_refused_by_name(tmp_path, held, words):
    (tmp_path / "list.csv").write_bytes(held)
    with pytest.raises(DataError, match=rf"list\.csv: .*{words}"):
        read_listing(tmp_path / "list.csv", known=["label", "path"])


def test_a_folder_is_no_csv(tmp_path):
    with pytest.raises(DataError, match="cannot be read as csv"):
        read_listing(tmp_path)


def test_blank_cells_beyond_the_header_are_passed_over(tmp_path):
    (tmp_path / "list.csv").write_text("image,label\na,normal,\nb,normal,,\n")
    assert read_listing(tmp_path / "list.csv")["label"].tolist() == ["normal", "normal"]


def test_as_pandas_reads_it(tmp_path):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.integers(0, 99, (50, 4)).astype(str), columns=["image", "x", "y, z", 'q"'])
    frame.to_csv(tmp_path / "list.csv", index=False)
    assert read_listing(tmp_path / "list.csv").to_dict("list") == frame.to_dict("list")
