import numpy as np
import pytest
from dicoms import dicom_of, lut, write_dicom
from hypothesis import given
from hypothesis import strategies as st
from pydicom.pixels import apply_modality_lut, apply_voi_lut

from pneumo_ad.data.readers.radiograph import read_grey, read_radiograph
from pneumo_ad.data.readers.voi import shown
from pneumo_ad.data.readers.window import apply_window
from pneumo_ad.errors import DataError

RAMP = np.arange(4096, dtype=np.uint16).reshape(64, 64)


def displayed(pixels, bits=None, **tags):
    """(H, W) in [0, 1] without a file between."""
    return apply_window(*shown("x.dcm", pixels, dicom_of(pixels, bits, **tags)))


@pytest.mark.filterwarnings("ignore:overflow:RuntimeWarning")  # in pydicom's sigmoid
@given(
    st.sampled_from(["LINEAR", "LINEAR_EXACT", "SIGMOID"]),
    st.sampled_from([1.0, 0.5, 2.0, -1.0]),
    st.integers(-1000, 500),
    st.integers(500, 3000),
    st.integers(2, 4000),
    st.booleans(),
)
def test_windows_equal_those_of_pydicom(function, slope, intercept, center, width, inverted):
    tags = {"VOILUTFunction": function, "RescaleSlope": slope, "RescaleIntercept": intercept}
    middle = round(center * slope + intercept)  # somewhere in the picture
    tags |= {"WindowCenter": middle, "WindowWidth": width}
    dataset = dicom_of(RAMP, 12, **tags)
    # pydicom answers in the units of the rescaled values, from that of 0 to that of 4095.
    theirs = apply_voi_lut(apply_modality_lut(RAMP, dataset), dataset)
    theirs = (theirs - intercept) / (4095 * slope)
    grey = "MONOCHROME1" if inverted else "MONOCHROME2"
    ours = displayed(RAMP, 12, **tags, PhotometricInterpretation=grey)
    assert np.abs((1 - ours if inverted else ours) - theirs).max() < 2e-3


@pytest.mark.parametrize(
    ("function", "black", "white"), [("LINEAR", [0, 1000], [1999, 4095]), ("LINEAR_EXACT", [0, 1000], [2000, 4095])]
)
def test_where_a_window_begins_and_ends(function, black, white):
    x = displayed(RAMP, 12, WindowCenter=1500, WindowWidth=1000, VOILUTFunction=function).ravel()
    assert (x[black] == 0).all()
    assert (x[white] == 1).all()
    assert 0 < x[black[1] + 1] < x[white[0] - 1] < 1
    assert x[1500] == pytest.approx(0.5, abs=1e-3)


def test_the_first_of_several_windows(tmp_path):
    several = write_dicom(tmp_path / "a.dcm", RAMP, 12, WindowCenter=[600, 2000], WindowWidth=[1000, 4000])
    one = write_dicom(tmp_path / "b.dcm", RAMP, 12, WindowCenter=600, WindowWidth=1000)
    assert read_grey(several)[1] == read_grey(one)[1] == (100.0, 1099.0)
    assert np.array_equal(read_radiograph(several), read_radiograph(one))


def test_monochrome1_is_the_negative(tmp_path):
    for tags in ({}, {"WindowCenter": 2000, "WindowWidth": 1500}, {"VOILUTSequence": lut(range(0, 4096 * 16, 16))}):
        light, dark = (
            displayed(RAMP, 12, PhotometricInterpretation=grey, **tags) for grey in ("MONOCHROME2", "MONOCHROME1")
        )
        assert np.abs(light + dark - 1).max() < 1e-6
        assert light[0, 0] < light[-1, -1]


@pytest.mark.parametrize("bits", [10, 12, 14, 15, 16])
def test_without_a_window_deep_pixels_fill_the_range(bits):
    pixels = np.linspace(0, 2**bits - 1, 4096).astype(np.uint16).reshape(64, 64)
    x = displayed(pixels, bits)
    assert (x.min(), x.max()) == (0, 1)
    assert np.abs(x.ravel() - np.linspace(0, 1, 4096)).max() < 0.003
    assert len(np.unique(x)) > (1000 if bits == 10 else 4000)


def test_eight_bits_keep_their_levels(tmp_path):
    pixels = np.arange(256, dtype=np.uint8).reshape(16, 16)
    assert np.array_equal(displayed(pixels), pixels / np.float32(255))
    assert displayed(pixels % 64, 6).max() == 1


def test_signed_pixels(tmp_path):
    pixels = (RAMP.astype(np.int32) - 2048).astype(np.int16)
    path = write_dicom(tmp_path / "x.dcm", pixels, 12)
    assert read_grey(path)[0].min() == -2048
    assert np.abs(read_radiograph(path)[0].ravel() - np.linspace(0, 1, 4096)).max() < 0.003
    centred = displayed(pixels, 12, WindowCenter=0, WindowWidth=1001)  # 0 is a center, not a lack of one
    assert centred[RAMP == 2048] == pytest.approx(0.5, abs=1e-3)
    assert (centred[RAMP < 1547] == 0).all()


def test_rescaling_changes_units_and_not_the_picture():
    plain = displayed(RAMP, 12, WindowCenter=1000, WindowWidth=801)
    rescaled = displayed(RAMP, 12, RescaleSlope=2, RescaleIntercept=-500, WindowCenter=1500, WindowWidth=1601)
    assert np.abs(plain - rescaled).max() < 1e-3
    falling = displayed(RAMP, 12, RescaleSlope=-1, RescaleIntercept=4095)
    assert np.abs(falling + displayed(RAMP, 12) - 1).max() < 1e-6


def test_a_modality_lut_and_then_a_window():
    table = lut(np.arange(4096) // 4)
    x = displayed(RAMP, 12, ModalityLUTSequence=table, WindowCenter=512, WindowWidth=1024)
    assert np.abs(x.ravel() - np.clip(np.arange(4096) // 4 / 1023, 0, 1)).max() < 1e-3


@pytest.mark.parametrize(("slope", "intercept", "first"), [(1, 0, 0), (2, -100, -100)])
def test_a_voi_lut_goes_before_a_window(slope, intercept, first):
    entries = (np.linspace(0, 1, 4096) ** 2 * 1023).astype(int)
    tags = {"WindowCenter": 9, "WindowWidth": 9, "RescaleSlope": slope, "RescaleIntercept": intercept}
    x = displayed(RAMP, 12, VOILUTSequence=lut(entries, first, bits=10), PixelRepresentation=int(first < 0), **tags)
    index = np.clip(np.arange(4096) * slope + intercept - first, 0, 4095)
    assert np.abs(x.ravel() - entries[index] / 1023).max() < 1e-6


def test_padding_is_left_out_of_the_percentiles():
    body = RAMP // 8 + 1000  # 1000 to 1511
    padded = np.pad(body, 32, constant_values=0).astype(np.uint16)
    inside = (slice(32, 96), slice(32, 96))
    x = displayed(padded, 12, PixelPaddingValue=0)
    assert np.array_equal(x[inside], displayed(body.astype(np.uint16), 12))
    assert (x[:32] == 0).all()
    assert displayed(padded, 12)[inside].min() > 0.5  # what happened without
    padded[0, :10] = 7
    assert np.array_equal(displayed(padded, 12, PixelPaddingValue=0, PixelPaddingRangeLimit=10)[inside], x[inside])


def test_nothing_but_padding_is_refused():
    with pytest.raises(DataError, match=r"x\.dcm: holds nothing but padding \(PixelPaddingValue 7\)"):
        displayed(np.full((8, 8), 7, dtype=np.uint16), PixelPaddingValue=7)


@pytest.mark.parametrize("window", [{"WindowCenter": 5, "WindowWidth": 0}, {"WindowCenter": 5}, {"WindowWidth": 5}])
def test_a_window_without_width_or_center_is_none(window):
    assert np.array_equal(displayed(RAMP, 12, **window), displayed(RAMP, 12))
