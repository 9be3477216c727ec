import io

import numpy as np
import pytest
from PIL import Image
from pydicom.pixels.encoders import RLELosslessEncoder

from pneumo_ad.data.readers.codestream import Picture, describe, run_length_bytes

GREY = np.random.default_rng(0).integers(0, 256, (37, 53), dtype=np.uint8)


def saved(image, kind, **options):
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"exif": b"Exif\0\0" + bytes(50), "comment": b"hello"}])
def test_jpeg(options):
    assert describe(saved(Image.fromarray(GREY), "JPEG", **options)) == Picture(37, 53, 8, 1)


def test_colour_has_three_samples():
    colour = Image.fromarray(np.stack([GREY] * 3, axis=2))
    assert describe(saved(colour, "JPEG")) == Picture(37, 53, 8, 3)
    assert describe(saved(colour, "JPEG2000", no_jp2=True)) == Picture(37, 53, 8, 3)


def test_jpeg_2000_of_8_and_16_bits():
    deep = Image.fromarray(GREY.astype(np.uint16) * 200)
    assert describe(saved(Image.fromarray(GREY), "JPEG2000", no_jp2=True)) == Picture(37, 53, 8, 1)
    assert describe(saved(deep, "JPEG2000", no_jp2=True)) == Picture(37, 53, 16, 1)


def test_whatever_is_cut_or_is_none_is_not_described():
    whole = saved(Image.fromarray(GREY), "JPEG")
    scan = whole.index(b"\xff\xda")
    assert all(describe(whole[:length]) is None for length in range(scan + 4))
    assert describe(saved(Image.fromarray(GREY), "PNG")) is None
    assert describe(b"\xff\x4f\xff\x51 cut") is None


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_run_lengths_are_as_many_bytes_as_were_coded(dtype):
    for pixels in (GREY.astype(dtype), np.zeros_like(GREY, dtype=dtype), np.tri(37, 53, dtype=dtype)):
        bits = 8 * pixels.itemsize
        coded = RLELosslessEncoder.encode(
            pixels, rows=37, columns=53, samples_per_pixel=1, bits_allocated=bits, bits_stored=bits, number_of_frames=1,
            photometric_interpretation="MONOCHROME2", pixel_representation=0, encoding_plugin="pydicom",
        )  # fmt: skip
        assert run_length_bytes(coded) == pixels.nbytes
