import re
import warnings

import numpy as np
from dicoms import write_dicom
from PIL import Image

from pneumo_ad.data.readers.dicom import parse
from pneumo_ad.data.readers.quiet import ignore_warnings
from pneumo_ad.data.readers.radiograph import open_image, read_pixels


def test_decoding_stirs_up_nobody_elses_warnings(tmp_path):
    pixels = np.arange(100, dtype=np.uint8).reshape(10, 10)
    dicom, png = write_dicom(tmp_path / "x.dcm", pixels.astype(np.uint16)), tmp_path / "x.png"
    Image.fromarray(pixels).save(png)
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("default")  # each place once
        ignored = []
        for _ in range(3):
            read_pixels(dicom)
            read_pixels(png)
            warnings.warn("foreign", stacklevel=1)
            ignored.append(len(warnings.filters))
    assert [str(one.message) for one in heard] == ["foreign"]
    assert len(set(ignored)) == 1


def test_filters_that_were_reset_are_set_again(tmp_path):
    dicom = write_dicom(tmp_path / "x.dcm", np.ones((10, 10), dtype=np.uint16))
    Image.new("L", (9, 9)).save(tmp_path / "x.png")
    for _ in range(2):
        with warnings.catch_warnings():
            warnings.resetwarnings()
            parse(dicom)
            open_image(tmp_path / "x.png")
            found = {(one[0], one[2], one[3]) for one in warnings.filters}
        assert found == {
            ("ignore", Warning, re.compile(r"pydicom\.")),
            ("ignore", Image.DecompressionBombWarning, None),
            ("ignore", UserWarning, re.compile(r"PIL\.")),
        }


def test_only_what_was_meant_is_ignored():
    with warnings.catch_warnings(record=True) as heard:
        warnings.resetwarnings()
        warnings.simplefilter("always")
        ignore_warnings(DeprecationWarning)
        warnings.warn("old", DeprecationWarning, stacklevel=1)
        warnings.warn("strange", UserWarning, stacklevel=1)
    assert [str(one.message) for one in heard] == ["strange"]
