"""TIFF over the product of its tags, compared with tifffile; what is not read is refused by the tag's name."""

import itertools
import struct
import time
import tracemalloc

import numpy as np
import pytest
import tifffile
from PIL import Image
from tiffs import tags_of, tiff_of, write_tiff

from pneumo_ad.data.readers.radiograph import read_mask, read_pixels, read_radiograph
from pneumo_ad.errors import DataError

H, W = 37, 53
LUMA = np.array([0.299, 0.587, 0.114])  # ITU-R 601-2
# Orientation -> how a picture that is stored so comes upright: TIFF 6.0, page 36.
UPRIGHT = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: a[::-1].swapaxes(0, 1),
    7: lambda a: a[::-1, ::-1].swapaxes(0, 1),
    8: lambda a: a[:, ::-1].swapaxes(0, 1),
}
# Kind and bits of samples, PhotometricInterpretation, and samples of a pixel; not all of them are read.
SAMPLES = [
    *(("u", bits, white, 1) for bits in (1, 2, 4, 8, 12, 16, 32, 64) for white in (0, 1)),
    *(("i", bits, white, 1) for bits in (8, 16, 32, 64) for white in (0, 1)),
    *(("f", bits, white, 1) for bits in (16, 32, 64) for white in (0, 1)),
    ("c", 64, 1, 1), ("u", 8, 2, 3), ("u", 16, 2, 3), ("f", 32, 2, 3), ("u", 4, 3, 1), ("u", 8, 3, 1), ("u", 16, 3, 1),
    ("u", 8, 4, 1), ("u", 8, 5, 4), ("u", 16, 5, 4), ("u", 8, 6, 3), ("u", 8, 8, 3),
]  # fmt: skip


def drawn(kind, bits, per_pixel, seed=0):
    rng = np.random.default_rng(seed)
    shape = (H, W) if per_pixel == 1 else (H, W, per_pixel)
    if kind in "fc":
        return rng.normal(size=shape).astype(f"{kind}{bits // 8}")
    size = max(8, 1 << (bits - 1).bit_length()) // 8
    low, high = (0, 2**bits - 1) if kind == "u" else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
    return rng.integers(low, high, shape, endpoint=True, dtype=f"{kind}{size}")


def meaning(samples, bits, photometric, palette=None):
    """Grey levels that samples stand for, black the lowest, as `read_pixels` promises them."""
    samples = samples[..., 0] if samples.ndim == 3 and samples.shape[2] == 1 else samples
    if photometric in (0, 1):
        if samples.dtype.kind == "f":
            return samples if photometric else max(1, samples.max()) - samples
        levels = samples if photometric else (2**bits - 1 - samples.astype(np.int64)).astype(samples.dtype)
        return levels * (255 // (2**bits - 1)) if bits < 8 else levels
    if photometric == 3:
        samples = palette[samples]
    if photometric == 5:
        samples = (255 - samples[..., :3].astype(float)) * (255 - samples[..., 3:]) / 255
    return (samples >> 8 if bits == 16 else samples) @ LUMA


def attempt(path):
    """Pixels and "", or None and the words of the refusal; anything but a `DataError` passes through."""
    try:
        return read_pixels(path), ""
    except DataError as refused:
        return None, str(refused)


def layouts(kind, bits, per_pixel):
    """The product of what else a file of such samples can say; orientation and layout take turns."""
    predictors = {"u": (1, 2), "i": (1, 2), "f": (1, 3), "c": (1,)}[kind] if bits in (8, 16, 32, 64) else (1,)
    turns = itertools.cycle(itertools.product(({}, {"RowsPerStrip": 8}, {"TileWidth": 16, "TileLength": 32}), UPRIGHT))
    for order, fill, (compression, predictor), planar, big in itertools.product(
        "<>", (1, 2), [(1, 1), *((8, each) for each in predictors)], (1, 2)[: min(per_pixel, 2)], (False, True)
    ):
        layout, orientation = next(turns)
        yield (
            {"order": order, "big": big},
            layout
            | {"Orientation": orientation, "FillOrder": fill, "Compression": compression, "Predictor": predictor}
            | {"PlanarConfiguration": planar},
        )


def always_read(kind, bits, photometric):
    """Whether such samples are read wherever the file is little-endian, of one plane, with the bits in common order."""
    if photometric == 1:
        return kind != "c" and (kind, bits) != ("f", 16) and bits not in (12, 64)
    whole = {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (4, 8), 5: (8,)}.get(photometric, ())
    return bits in whole if kind == "u" else (kind, bits, photometric) == ("f", 32, 0)


@pytest.mark.parametrize(("kind", "bits", "photometric", "per_pixel"), SAMPLES)
def test_a_tiff_is_read_as_tifffile_reads_it_or_refused_by_the_tags_name(tmp_path, kind, bits, photometric, per_pixel):
    samples, path = drawn(kind, bits, per_pixel), tmp_path / "x.tif"
    palette = np.random.default_rng(1).integers(0, 256, (2 ** min(bits, 8), 3))
    colours = {"ColorMap": (palette.T.ravel() * 257).tolist()} if photometric == 3 else {}
    for form, tags in layouts(kind, bits, per_pixel):
        write_tiff(path, samples, bits, photometric, **form, **tags, **colours)
        found, refusal = attempt(path)
        if found is None:
            common = form["order"] == "<" and tags["FillOrder"] == 1 and tags["PlanarConfiguration"] == 1
            assert not (common and always_read(kind, bits, photometric)), refusal
            named = [
                name
                for name in (*tags, "BitsPerSample", "SampleFormat", "PhotometricInterpretation")
                if name in refusal
            ]
            assert named, refusal
            assert refusal.count("x.tif") == 1
            continue
        stored = samples
        if bits not in (2, 4, 12) and tags["Predictor"] != 3:  # these need more than tifffile alone
            with tifffile.TiffFile(path) as file:
                stored = file.pages[0].asarray()
            stored = np.moveaxis(stored, 0, -1) if tags["PlanarConfiguration"] == 2 and per_pixel > 1 else stored
            stored = stored.astype(samples.dtype)  # tifffile's of 1 bit are bool
        expected = UPRIGHT[tags["Orientation"]](meaning(stored, bits, photometric, palette))
        assert found.shape == expected.shape, tags
        if photometric in (0, 1):
            assert np.array_equal(found, expected), (form, tags)
            assert found.dtype.kind == kind, (form, tags)
        else:
            assert np.abs(found - expected).max() <= 1.01, (form, tags)


@pytest.mark.parametrize("compression", ["tiff_lzw", "packbits", "lzma", "zstd", "tiff_deflate", "tiff_adobe_deflate"])
@pytest.mark.parametrize("samples", [("u", 8, 1), ("u", 16, 1), ("i", 32, 1), ("f", 32, 1), ("u", 8, 3)])
def test_what_libtiff_wrote_losslessly_comes_back(tmp_path, compression, samples):
    levels = drawn(*samples)
    for orientation, predictor in itertools.product((1, 6), (1, 2) if compression != "packbits" else (1,)):
        info = {274: orientation} | ({317: predictor} if compression not in ("packbits", "tiff_deflate") else {})
        Image.fromarray(levels).save(tmp_path / "x.tif", compression=compression, tiffinfo=info)
        found, expected = read_pixels(tmp_path / "x.tif"), UPRIGHT[orientation](levels)
        assert np.abs(found - (expected if levels.ndim == 2 else expected @ LUMA)).max() <= (levels.ndim == 3)


@pytest.mark.parametrize("compression", ["tiff_ccitt", "group3", "group4"])
def test_fax(tmp_path, compression):
    white = drawn("u", 1, 1).astype(bool)
    for orientation in UPRIGHT:
        Image.fromarray(white).save(tmp_path / "x.tif", compression=compression, tiffinfo={274: orientation})
        assert np.array_equal(read_pixels(tmp_path / "x.tif"), UPRIGHT[orientation](white) * 255)


@pytest.mark.parametrize("mode", ["L", "RGB", "YCbCr", "CMYK"])
def test_jpeg_in_tiff(tmp_path, mode):
    smooth = np.add.outer(np.arange(64) * 2, np.arange(48) * 2).astype(np.uint8)
    for orientation in UPRIGHT:
        image = Image.fromarray(smooth).convert(mode)
        image.save(tmp_path / "x.tif", compression="jpeg", quality=95, tiffinfo={274: orientation})
        assert np.abs(read_pixels(tmp_path / "x.tif").astype(int) - UPRIGHT[orientation](smooth)).max() <= 3


@pytest.mark.parametrize("mode", ["LA", "RGBA"])
def test_alpha_lies_over_black(tmp_path, mode):
    samples = drawn("u", 8, 2 if mode == "LA" else 4)
    colour, alpha = samples[..., :-1].astype(float), samples[..., -1:] / 255
    luma = np.array([1.0]) if mode == "LA" else LUMA
    photometric = 1 if mode == "LA" else 2
    write_tiff(tmp_path / "x.tif", samples, photometric=photometric, ExtraSamples=2)
    assert np.abs(read_pixels(tmp_path / "x.tif") - colour * alpha @ luma).max() <= 2
    samples[..., :-1] = np.minimum(samples[..., :-1], samples[..., -1:])  # associated: it has been laid over black
    write_tiff(tmp_path / "x.tif", samples, photometric=photometric, ExtraSamples=1)
    assert np.abs(read_pixels(tmp_path / "x.tif") - samples[..., :-1].astype(float) @ luma).max() <= 2


@pytest.mark.parametrize(
    ("tags", "words"),
    [
        ({"PhotometricInterpretation": 8}, r"PhotometricInterpretation 8 \(CIELab\) is not read; expected one of 0, 1"),
        ({"PhotometricInterpretation": None}, "a TIFF without PhotometricInterpretation is not read"),
        ({"Compression": 34712}, r"Compression 34712 \(JPEG 2000\)"),
        ({"Compression": 6}, r"Compression 6 \(old JPEG\)"),
        ({"Orientation": 0}, "Orientation 0"),
        ({"Orientation": 9}, "Orientation 9"),
        ({"FillOrder": 3}, "FillOrder 3"),
        ({"Predictor": 2}, r"Predictor 2, Compression 1 \(none\)"),
        ({"SampleFormat": 4}, r"SampleFormat 4 \(undefined\)"),
        ({"SampleFormat": [1, 2]}, "SampleFormat 1"),
        ({"ExtraSamples": 0}, r"ExtraSamples 0 \(unspecified\)"),
        ({"ExtraSamples": 2}, "SamplesPerPixel 1, .*expected SamplesPerPixel 2"),
        ({"SamplesPerPixel": 2}, "SamplesPerPixel 2"),
        ({"PhotometricInterpretation": 3}, "a ColorMap that is missing"),
        ({"PhotometricInterpretation": 3, "ColorMap": [7] * 768}, "of 8 bits"),
        ({"ImageDepth": 4}, "ImageDepth 4"),
        ({"ImageWidth": None}, "without a size"),
        ({"ImageLength": 20_000, "ImageWidth": 20_000}, "400 megapixels"),
        ({"TileWidth": 30_000, "TileLength": 30_000, "TileOffsets": 8, "TileByteCounts": 8}, "or both"),
        ({"RowsPerStrip": 0}, "strips or tiles of 0 x 53"),
        ({"StripOffsets": None}, "0 StripOffsets and 1 StripByteCounts"),
        ({"RowsPerStrip": 4, "StripOffsets": [8, 220, 432], "StripByteCounts": [212] * 3}, "are 10 of 4 x 53"),
        ({"StripOffsets": 0}, "has a 0"),
        ({"StripOffsets": 3000}, "is truncated: 2"),
        ({"StripByteCounts": 1000}, "StripByteCounts 1000 is too short for 37 rows of 53 bytes"),
        ({"NewSubfileType": 0, "ImageDescription": b"ImageJ=1.53t\nimages=4\nslices=4\n"}, "ImageDescription"),
        ({"ImageDescription": b'{"shape": [4, 37, 53], "truncated": true}'}, "ImageDescription"),
    ],
)  # fmt: skip
def test_tags_that_are_not_read_or_not_true_are_named(tmp_path, tags, words):
    write_tiff(tmp_path / "x.tif", drawn("u", 8, 1), lies=tags)
    with pytest.raises(DataError, match=rf"x\.tif: .*{words}"):
        read_radiograph(tmp_path / "x.tif")


def test_a_tag_of_each_kind_in_a_sound_file_changes_nothing(tmp_path):
    levels = drawn("u", 8, 1)
    for tags in ({"RowsPerStrip": 2**32 - 1}, {"ImageDescription": b"ImageJ=1.53t\nimages=1\n"}, {"NewSubfileType": 2}):
        assert np.array_equal(read_pixels(write_tiff(tmp_path / "x.tif", levels, **tags)), levels)
    tifffile.imwrite(tmp_path / "x.tif", levels)
    assert np.array_equal(read_pixels(tmp_path / "x.tif"), levels)


def pages(*kinds):
    """A page for each word: the picture, others of its size, and smaller ones."""
    found = []
    for number, word in enumerate(kinds):
        samples = drawn("u", 8, 1, number)
        small = samples[::4, ::4].copy()
        found.append(
            {
                "picture": (samples, tags_of(samples)),
                "thumbnail": (small, tags_of(small, NewSubfileType=1)),
                "old thumbnail": (small, tags_of(small, SubfileType=2)),
                "mask": (samples, tags_of(samples, NewSubfileType=4)),
            }[word]
        )
    return found


@pytest.mark.parametrize("big", [False, True])
@pytest.mark.parametrize(
    ("kinds", "number", "words"),
    [
        (["picture", "thumbnail", "old thumbnail"], 0, ""),
        (["thumbnail", "picture"], 1, ""),
        (["old thumbnail", "thumbnail", "picture"], 2, ""),
        (["thumbnail"], 0, ""),  # there is nothing else in it
        (["picture", "picture"], None, "holds 2 pages; expected one image a file"),
        (["thumbnail", "picture", "picture"], None, "holds 2 pages"),
        (["picture", "mask"], None, "holds 2 pages"),
        (["thumbnail", "thumbnail"], None, r"holds 2 thumbnails \(NewSubfileType 1\) and nothing else"),
        (["picture"] + ["thumbnail"] * 64, None, "holds more than 64 pages"),
    ],
)
def test_the_one_page_that_is_no_thumbnail_is_read(tmp_path, big, kinds, number, words):
    path, found = tmp_path / "x.tif", pages(*kinds)
    path.write_bytes(tiff_of(*found, big=big))
    for read in (read_radiograph, read_mask):
        if number is None:
            with pytest.raises(DataError, match=rf"x\.tif: {words}"):
                read(path)
    if number is not None:
        assert np.array_equal(read_pixels(path), found[number][0])


@pytest.mark.parametrize(("kind", "words"), [("thumbnail", "lies in SubIFDs"), ("picture", "holds 2 pages")])
def test_a_picture_beside_the_chain_counts_too(tmp_path, kind, words):
    (samples, tags), (other, others) = pages("picture", kind)
    alone = tiff_of((samples, tags))
    place = struct.unpack_from("<I", alone, 4)[0]
    whole = bytearray(tiff_of((samples, tags), (other, others | {"SubIFDs": place})))
    struct.pack_into(
        "<I", whole, 4, struct.unpack_from("<I", whole, len(alone) - 4)[0]
    )  # the chain is the second alone
    (tmp_path / "x.tif").write_bytes(whole)
    with pytest.raises(DataError, match=rf"x\.tif: .*{words}"):
        read_pixels(tmp_path / "x.tif")


@pytest.mark.parametrize("big", [False, True])
def test_pages_that_lead_back_and_tags_without_end_take_no_time(tmp_path, big):
    (samples, tags), path = pages("picture")[0], tmp_path / "x.tif"
    whole = bytearray(tiff_of((samples, tags), big=big))
    form, at = ("<Q", 8) if big else ("<I", 4)
    struct.pack_into(form, whole, len(whole) - struct.calcsize(form), struct.unpack_from(form, whole, at)[0])
    path.write_bytes(whole)
    with pytest.raises(DataError, match="leads back to itself"):
        read_pixels(path)
    count = "<Q" if big else "<H"
    place = struct.unpack_from(form, whole, at)[0]
    for number in (2 ** (8 * struct.calcsize(count)) - 1, 1000):
        struct.pack_into(count, whole, place, number)
        path.write_bytes(whole)
        tracemalloc.start()
        began = time.perf_counter()
        with pytest.raises(DataError, match=r"x\.tif: is (damaged|truncated)"):
            read_pixels(path)
        assert time.perf_counter() - began < 1
        assert tracemalloc.get_traced_memory()[1] < 5e6
        tracemalloc.stop()


def test_white_is_zero_is_the_same_mask_and_the_same_radiograph(tmp_path):
    for kind, bits, top in (("u", 1, 1), ("u", 8, 255), ("u", 16, 65535), ("f", 32, 1), ("f", 32, 900)):
        mask = drawn("u", 1, 1).astype(bool)
        levels = (mask * top).astype(f"{kind}{max(bits // 8, 1)}")
        black = write_tiff(tmp_path / "black.tif", levels, bits, 1)
        white = write_tiff(tmp_path / "white.tif", top - levels, bits, 0)
        assert np.array_equal(read_mask(white), mask)
        assert np.array_equal(read_mask(black), mask)
        assert np.array_equal(read_radiograph(white), read_radiograph(black))


def test_whole_numbers_beyond_24_bits_keep_their_differences(tmp_path):
    for dtype, first in ((np.uint32, 2**32 - 60), (np.int32, -(2**31)), (np.int32, 2**31 - 60)):
        ramp = np.tile(np.arange(50, dtype=np.int64) + first, (50, 1)).astype(dtype)
        x = read_radiograph(write_tiff(tmp_path / "x.tif", ramp))[0]
        assert np.abs(x[0] - np.arange(50) / 49).max() < 0.01


def test_a_mask_with_negative_values_is_refused(tmp_path):
    path = write_tiff(tmp_path / "x.tif", np.array([[0, -1], [0, -1]], np.int8))
    with pytest.raises(DataError, match=r"x\.tif: a mask with negative values"):
        read_mask(path)
