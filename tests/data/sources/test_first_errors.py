"""The first error of a user's csv is its remedy, and a csv of one sensible meaning is read."""

import logging
import shutil
from unicodedata import normalize

import pytest
from drawn import radiograph, write_kaggle
from PIL import Image

from pneumo_ad.data import sources
from pneumo_ad.errors import DataError

FILES = ("a.png", "deep/b.png")
LIST = "image,label\na.png,normal\ndeep/b.png,pneumonia\n"
TWO = {"a": "normal", "deep/b": "pneumonia"}
UMLAUT = "image,label\nMü.png,normal\nb.png,pneumonia\n"
UMLAUTS = (normalize("NFC", "Mü.png"), "b.png")


def write(tmp_path, files, held, csv="list.csv"):
    """A folder `set` of images, and a csv."""
    for seed, name in enumerate(files):
        (tmp_path / "set" / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(radiograph(seed, 24, 20)).save(tmp_path / "set" / name, "png")
    (tmp_path / csv).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / csv).write_bytes(held if isinstance(held, bytes) else held.encode())
    return tmp_path / "set", tmp_path / csv


def named(*names):
    return "image,label\n" + "".join(f"{name},{label}\n" for name, label in zip(names, TWO.values(), strict=True))


@pytest.mark.parametrize(
    "held",
    [
        *(LIST.replace(",", sign) for sign in ",;\t|"),
        "sep=;\r\n" + LIST.replace(",", ";"),
        LIST.encode("utf-8-sig"),
        LIST.encode("utf-16"),
        b"\xfe\xff" + LIST.encode("utf-16-be"),
        LIST.encode("utf-16-le"),
        LIST.encode("utf-16-be"),
        LIST.replace(",", "\t").encode("utf-16"),  # "Unicode text" of Excel
        named("a", "b.png"),
        named("./a.png", "deep/b"),
        named("a.jpg", "b.DCM"),
        named(".\\a.png", "deep\\b.png"),
        named("A.PNG", "Deep/B"),
        named('" a.png "', " deep/b.png\t"),
        named("set/a.png", "set/deep/b.png"),  # from the folder of the csv
        *(
            LIST.replace("image", name)
            for name in ("path", "File", "filename", "file_name", "Image Index", "image_id", "IMAGE ")
        ),
        "image,filename,label\na,x,normal\nb,y,pneumonia\n",
        "image,label\na,NORMAL\nb,Pneumonia \n",
    ],
)
def test_what_has_one_meaning_is_read(tmp_path, held):
    root, csv = write(tmp_path, FILES, held)
    table = sources.folder(root, csv, split="test")
    assert dict(zip(table["image"], table["label"], strict=True)) == TWO


@pytest.mark.parametrize(
    ("files", "names", "csv", "images"),
    [
        (FILES, ("a.png", "../deep/b.png"), "set/meta/list.csv", {"a", "deep/b"}),
        (("x/a.png", "x/b.png", "y/a.png"), ("a.png", "b.png"), "set/x/list.csv", {"x/a", "x/b"}),
        (("a.png", "y/a.png", "b.png"), ("a.png", "b.png"), "list.csv", {"a", "b"}),  # a path below the root
        (("a.png", "A.png"), ("a.PNG", "A.png"), "list.csv", {"a", "A"}),
        ([normalize("NFD", name) for name in UMLAUTS], UMLAUTS, "list.csv", {normalize("NFD", "Mü"), "b"}),
        (UMLAUTS, [normalize("NFD", name) for name in UMLAUTS], "list.csv", {normalize("NFC", "Mü"), "b"}),
        (FILES, ("{root}/a.png", "{root}/deep/b.png"), "list.csv", {"a", "deep/b"}),
    ],
)
def test_the_file_that_a_name_leads_to_is_its_image(tmp_path, files, names, csv, images):
    root, csv = write(tmp_path, files, named(*(name.format(root=tmp_path / "set") for name in names)), csv)
    assert set(sources.folder(root, csv, split="test")["image"]) == images


@pytest.mark.parametrize(
    ("files", "held", "said"),
    [
        (FILES, "", "cannot be read as csv (it is empty)"),
        (FILES, " \n\n", "cannot be read as csv (it is empty)"),
        (FILES, "image,label\n", "has a header, and lists no image"),
        (FILES, "a.png,normal\n", "found a file (a.png) in the first line: write a header above it"),
        (FILES, LIST.replace("b.png", "b\0.png"), "(it is no text: NUL in line 3)"),
        (FILES, b"\x89PNG\xff\xfe", "(byte 0x89 in line 1 is no UTF-8); save it as UTF-8"),
        (UMLAUTS, UMLAUT.encode("latin-1"), "(byte 0xfc in line 2 is no UTF-8); save it as UTF-8"),
        (UMLAUTS, UMLAUT.encode("cp1252"), "(byte 0xfc in line 2 is no UTF-8); save it as UTF-8"),
        (FILES, b"PK\3\4\x14\0", "(it is Excel); save it as csv in UTF-8"),
        (FILES, b"\xd0\xcf\x11\xe0\xa1", "(it is Excel); save it as csv in UTF-8"),
        (FILES, '[{"image": "a.png"}]', "(it is JSON); save it as csv in UTF-8"),
        (FILES, "<table>", "(it is HTML); save it as csv in UTF-8"),
        (FILES, 'image,label\na,normal\n"b,normal\nc', "(row that begins in line 3: unexpected end of data)"),
        # Paths of another machine.
        (
            FILES,
            named("/home/x/set/a.png", "/home/x/set/deep/b.png"),
            "lists 2 images that are not in {root}, for example /home/x/set/a.png (line 2), /home/x/set/deep/b.png "
            "(line 3); the nearest to /home/x/set/a.png is a.png (expected is a path below",
        ),
        (FILES, named("a", r"C:\set\deep\B.png"), r"the nearest to C:\set\deep\B.png is deep/b.png"),
        (FILES, named("a", "q.png"), "lists 1 images that are not in {root}, for example q.png (line 3); the nearest"),
        (FILES, LIST.replace("\n", "\nimage,label\n", 1).replace("image", "Image", 1), "for example image (line 2)"),
        # The end of a DICOM UID is no suffix.
        (("a.png", "1.2.840.10"), named("a", "1.2.840.12"), "for example 1.2.840.12 (line 3)"),
        (
            ("NORMAL/1.png", "PNEUMONIA/1.png"),
            "image,label\n1.png,normal\n",
            "for example 1.png (line 2) of NORMAL/1.png and PNEUMONIA/1.png; give their paths below",
        ),
        # Doubled rows, by the lines of an editor.
        (
            FILES,
            LIST + "a,normal\n",
            "1 images have more than one row, for example a in lines 2 and 4, which are alike",
        ),
        (
            FILES,
            'image,label,note\na,normal,"x\ny"\n\nb,normal,\nA.png,pneumonia,"x\ny"\n',
            "for example a in lines 2 and 6, which differ in label ('normal' or 'pneumonia'); keep one row of each",
        ),
        (FILES, "image,split\na,train\na,test\n", "lines 2 and 3, which differ in split ('train' or 'test')"),
        (FILES, "image,patient\na,1\na,2\n", "lines 2 and 3, which differ in patient ('1' or '2')"),
        # Columns and labels.
        (
            FILES,
            "patientId;class\na;b\n",
            "found ['patientId', 'class']; call the one that names the images 'image' ('pat",
        ),
        (FILES, "file|filename\na|a\n", "names the images 'image' ('file' or 'filename'?)"),
        (FILES, "view\nPA\n", "expected a column 'image', found ['view']"),
        *(
            (FILES, f"image,{name}\na,0\nb,1\n", f"in a column 'label', found {name!r} of '0' (1 rows), '1' (1 rows); ")
            for name in ("class", "Labels", "target", "Finding Labels", "Pneumonia")
        ),
        (
            FILES,
            "image,lable\na,Normal\nb,x\n",
            "call it 'label', or take all as normal with data.default_label=normal",
        ),
        (FILES, "image,label\na,0\nb,1\n", '"data.labels={{0: LABEL, 1: LABEL}}"'),
    ],
)
def test_the_first_error_is_its_remedy(tmp_path, files, held, said):
    root, csv = write(tmp_path, files, held)
    for file in root.glob("1.2.*"):
        file.write_bytes(bytes(128) + b"DICM")
    with pytest.raises(DataError) as refused:
        sources.folder(root, csv, split="test")
    assert str(refused.value).startswith(str(csv))
    assert said.format(root=root) in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_missing_csv_is_named(tmp_path):
    root, csv = write(tmp_path, FILES, LIST)
    with pytest.raises(DataError, match=r"absent\.csv: cannot be read as csv \(.*No such file"):
        sources.folder(root, csv.with_name("absent.csv"))


def test_labels_in_another_column_may_be_left_aside_on_purpose(tmp_path):
    root, csv = write(tmp_path, FILES, "image,class\na,normal\nb,pneumonia\n")
    assert set(sources.folder(root, csv, default_label="normal", split="test")["label"]) == {"normal"}
    with pytest.raises(DataError, match=r"take all as other with data\.default_label=other"):
        sources.masks(root / "deep", index=write(tmp_path, (), "image,class\nb,pneumonia\n")[1])


def test_images_that_the_csv_leaves_out_are_counted(tmp_path, caplog):
    root, csv = write(tmp_path, (*FILES, "c.png"), LIST.replace("image", "file"))
    with caplog.at_level(logging.INFO):
        sources.folder(root, csv, split="test")
    assert f"{csv} lists 2 of 3 images in {root}; left out are c" in caplog.text
    assert f"{csv}: its column 'file' names the images" in caplog.text


@pytest.mark.parametrize(
    ("row", "said"), [("a;1,5;2;3,25;4", "[[1.5, 2.0, 3.25, 4.0]]"), ("a;1,500;2;3;4", None), ("a;1.5,2;2;3;4", None)]
)
def test_a_decimal_comma_is_read_where_it_is_none_of_thousands(tmp_path, row, said):
    root, csv = write(tmp_path, FILES, f"image;x;y;width;height\n{row}\n")
    if said:
        assert sources.folder(root, boxes=csv, split="test")["boxes"].tolist() == [said, ""]
    else:
        with pytest.raises(DataError, match=r"1 rows hold something that is not a number .* line 2"):
            sources.folder(root, boxes=csv)


@pytest.mark.parametrize("lung", [r"lung\Mü.png", normalize("NFD", "lung/Mü.png")])
def test_masks_in_the_spelling_of_another_system_are_found(tmp_path, lung):
    root, csv = write(tmp_path, (f"images/{UMLAUTS[0]}", f"lung/{UMLAUTS[0]}"), f"image,lung\nMü,{lung}\n")
    assert sources.masks(root, index=csv, split="test")["lung"].tolist() == [str(root / "lung" / UMLAUTS[0])]


@pytest.mark.parametrize("root", [".", "archive", "archive/chest_xray", "archive/chest_xray/chest_xray"])
def test_every_level_of_the_zip_of_kaggle_is_read_once(tmp_path, root):
    top = write_kaggle(tmp_path / "archive" / "chest_xray", ("train", "test"))
    for copy in ("again/chest_xray", "again/__MACOSX/chest_xray"):
        shutil.copytree(top, tmp_path / copy)
    shutil.copytree(tmp_path / "again", top, dirs_exist_ok=True)
    shutil.rmtree(tmp_path / "again")
    assert len(sources.chest_xray(tmp_path / root)) == 20


def test_of_two_data_sets_one_is_to_be_chosen(tmp_path):
    for name in ("one", "two"):
        write_kaggle(tmp_path / name)
    with pytest.raises(DataError, match=r"holds the data set 2 times, give one: .*one, .*two"):
        sources.chest_xray(tmp_path)
