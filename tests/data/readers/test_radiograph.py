import struct
import warnings
import zlib

import numpy as np
import pytest
from PIL import Image

from pneumo_ad.data.phantom import draw_phantom
from pneumo_ad.data.readers.radiograph import read_mask, read_pixels, read_radiograph
from pneumo_ad.data.readers.window import apply_window, displayed, intensity_window
from pneumo_ad.errors import DataError

RAMP = np.tile(np.arange(256, dtype=np.uint8), (64, 1))
LUMA = np.array([0.299, 0.587, 0.114])  # ITU-R 601-2


def colours(seed=0):
    return np.random.default_rng(seed).integers(0, 256, (20, 30, 3), dtype=np.uint8)


def saved(folder, image, name="file.png", **options):
    image = Image.fromarray(image) if isinstance(image, np.ndarray) else image
    image.save(folder / name, **options)
    return folder / name


def write_png(path, shape, bits, colour, rows, *chunks):
    """A PNG by hand: `rows` as they are deflated, each behind the number of its filter."""
    header = struct.pack(">IIBBBBB", shape[1], shape[0], bits, colour, 0, 0, 0)
    content = b"\x89PNG\r\n\x1a\n"
    for kind, data in ((b"IHDR", header), *chunks, (b"IDAT", zlib.compress(rows)), (b"IEND", b"")):
        content += struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    path.write_bytes(content)
    return path


def attempt(path):
    """Pixels and "", or None and the words of the refusal; anything but a `DataError` passes through."""
    try:
        return read_pixels(path), ""
    except DataError as refused:
        return None, str(refused)


def test_every_radiograph_is_one_channel_of_float32_in_unit_range(tmp_path):
    for name, image in {
        "grey.png": Image.fromarray(RAMP),
        "colour.png": Image.fromarray(colours()),
        "deep.png": Image.fromarray(RAMP.astype(np.uint16) * 16),
        "grey.tif": Image.fromarray(RAMP.astype(np.float32) - 1000),
        "grey.bmp": Image.fromarray(RAMP),
        "grey.webp": Image.fromarray(RAMP),
        "grey.jpg": Image.fromarray(RAMP),
    }.items():
        x = read_radiograph(saved(tmp_path, image, name))
        assert x.dtype == np.float32
        assert x.shape == (1, image.height, image.width)
        assert 0 <= x.min() < x.max() <= 1


def test_eight_bit_grey_keeps_its_levels(tmp_path):
    assert np.array_equal(read_radiograph(saved(tmp_path, RAMP))[0], RAMP / np.float32(255))


def test_colour_becomes_luminance(tmp_path):
    rgb = colours()
    found = read_pixels(saved(tmp_path, rgb)).astype(float)
    assert np.abs(found - rgb @ LUMA).max() <= 1


def test_opaque_alpha_changes_nothing_and_transparency_lies_over_black(tmp_path):
    rgb, alpha = colours(), np.full((20, 30, 1), 255, dtype=np.uint8)
    alpha[:, :15] = 0
    found = read_pixels(saved(tmp_path, np.concatenate([rgb, alpha], axis=2))).astype(float)
    assert np.abs(found[:, 15:] - (rgb @ LUMA)[:, 15:]).max() <= 1
    assert (found[:, :15] == 0).all()


def test_grey_with_alpha(tmp_path):
    grey = np.stack([RAMP, np.full_like(RAMP, 128)], axis=2)
    found = read_pixels(saved(tmp_path, Image.fromarray(grey, "LA"))).astype(float)
    assert np.abs(found - RAMP * (128 / 255)).max() <= 1


def test_cmyk_is_not_inverted(tmp_path):
    # Little ink is bright; JPEG is the format that CMYK radiographs come in.
    ink = np.zeros((32, 32, 4), dtype=np.uint8)
    ink[:, 16:, 3] = 255
    found = read_pixels(saved(tmp_path, Image.fromarray(ink, "CMYK"), "file.jpg", quality=100)).astype(float)
    assert found[:, :14].mean() > 245
    assert found[:, 18:].mean() < 10


@pytest.mark.parametrize("transparent", [False, True])
def test_palette_gives_the_colours_behind_the_numbers(tmp_path, transparent):
    numbers = np.arange(4, dtype=np.uint8).repeat(8)[None].repeat(8, axis=0)
    image = Image.fromarray(numbers, "P")
    image.putpalette([250, 250, 250, 100, 100, 100, 30, 30, 30, 180, 180, 180])
    path = saved(tmp_path, image, **({"transparency": 0} if transparent else {}))
    levels = read_pixels(path)[0, ::8].tolist()
    assert levels == [0 if transparent else 250, 100, 30, 180]


def test_one_bit_becomes_black_and_white(tmp_path):
    found = read_radiograph(saved(tmp_path, RAMP > 100))
    assert np.array_equal(found[0], (RAMP > 100).astype(np.float32))


def test_twelve_bits_in_sixteen_fill_the_range(tmp_path):
    ramp = np.tile(np.arange(4096, dtype=np.uint16), (4, 1))
    x = read_radiograph(saved(tmp_path, ramp))[0]
    assert x.min() == 0
    assert x.max() == 1
    assert (np.diff(x[0]) >= 0).all()
    assert len(np.unique(x)) > 4000  # the depth is kept: 256 levels would be 8 bit
    assert np.abs(x[0] - np.linspace(0, 1, 4096)).max() < 0.01


def test_a_few_hot_pixels_do_not_darken_a_deep_radiograph(tmp_path):
    deep = np.tile(np.linspace(500, 1500, 200).astype(np.uint16), (100, 1))
    deep[0, :3] = 65535
    x = read_radiograph(saved(tmp_path, deep))[0]
    assert np.median(x) == pytest.approx(0.5, abs=0.02)


def test_a_flat_deep_radiograph_is_finite(tmp_path):
    x = read_radiograph(saved(tmp_path, np.full((8, 8), 700, dtype=np.uint16)))
    assert np.isfinite(x).all()


@pytest.mark.parametrize(("dtype", "name"), [(np.float32, "f.tif"), (np.int32, "i.tif"), (np.uint16, "u.tif")])
def test_deep_tiff_is_stretched(tmp_path, dtype, name):
    x = read_radiograph(saved(tmp_path, np.tile(np.arange(0, 3000, 3), (8, 1)).astype(dtype), name))[0]
    assert np.abs(x[0] - np.linspace(0, 1, 1000)).max() < 0.01


def test_values_that_are_not_finite_are_refused(tmp_path):
    path = saved(tmp_path, np.array([[0.0, np.nan]], dtype=np.float32), "nan.tif")
    with pytest.raises(DataError, match=r"nan\.tif: holds values that are not finite"):
        read_radiograph(path)


def test_a_rotated_photograph_stands_upright(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees clockwise
    x = read_radiograph(saved(tmp_path, RAMP, "turned.jpg", exif=exif, quality=95))[0]
    assert x.shape == (256, 64)
    assert np.abs(x - np.rot90(RAMP, -1) / 255).max() < 0.05


def test_one_pixel_is_an_image(tmp_path):
    assert read_radiograph(saved(tmp_path, np.array([[51]], dtype=np.uint8))).tolist() == [[[np.float32(0.2)]]]


@pytest.mark.parametrize("content", [b"", b"this is text, not a picture", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xe0"])
def test_what_is_no_image_is_named(tmp_path, content):
    path = tmp_path / "strange.png"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"strange\.png: cannot be decoded as an image"):
        read_radiograph(path)


def test_a_missing_file_and_a_folder_are_named(tmp_path):
    with pytest.raises(DataError, match=r"absent\.png: no such file"):
        read_radiograph(tmp_path / "absent.png")
    with pytest.raises(DataError, match="cannot be decoded"):
        read_radiograph(tmp_path)


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")  # Pillow warns of what it then refuses
@pytest.mark.parametrize("name", ["cut.jpg", "cut.png", "cut.tif", "cut.bmp", "cut.webp"])
def test_a_file_cut_anywhere_is_named_and_never_half_black(tmp_path, name):
    grey = np.random.default_rng(0).integers(0, 256, (40, 40), dtype=np.uint8)
    path = saved(tmp_path, grey, name)
    whole, pixels = path.read_bytes(), read_pixels(path)
    for length in np.linspace(0, len(whole) - 1, 60).astype(int):
        path.write_bytes(whole[:length])
        found, refusal = attempt(path)
        assert found is not None or name in refusal
        # Where it is read, only bytes behind the picture were lost.
        assert found is None or np.array_equal(found, pixels), f"{length} of {len(whole)} bytes gave another picture"


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
def test_damaged_files_raise_nothing_but_data_errors(tmp_path):
    rng = np.random.default_rng(0)
    for name in ("a.png", "a.jpg", "a.tif", "a.bmp", "a.webp"):
        whole = np.frombuffer(saved(tmp_path, colours(), name).read_bytes(), dtype=np.uint8)
        for _ in range(60):
            damaged = whole.copy()
            damaged[rng.integers(0, len(whole), 5)] = rng.integers(0, 256, 5)
            (tmp_path / name).write_bytes(damaged.tobytes())
            found, refusal = attempt(tmp_path / name)
            assert found is not None or name in refusal


def test_intensity_window_of_deep_files_is_recorded_in_their_own_levels():
    low, high = intensity_window(np.tile(np.arange(4096, dtype=np.uint16), (4, 1)))
    assert 0 <= low < 20
    assert 4075 < high <= 4095


@pytest.mark.parametrize("top", [1, 255])
def test_masks_of_ones_or_of_255_are_the_same(tmp_path, top):
    mask = RAMP > 100
    assert np.array_equal(read_mask(saved(tmp_path, (mask * top).astype(np.uint8))), mask)


def test_masks_survive_jpeg_and_empty_ones_stay_empty(tmp_path):
    mask = np.zeros((64, 64), dtype=bool)
    mask[16:48, 8:40] = True
    assert np.array_equal(read_mask(saved(tmp_path, (mask * 255).astype(np.uint8), "m.jpg", quality=90)), mask)
    assert np.array_equal(read_mask(saved(tmp_path, mask, "m.png")), mask)
    assert not read_mask(saved(tmp_path, np.zeros((5, 5), dtype=np.uint8), "e.png")).any()


@pytest.mark.parametrize("mode", ["1", "L", "RGB", "P", "I;16"])
def test_a_transparent_level_is_laid_over_black_in_every_mode(tmp_path, mode):
    levels = np.repeat(np.array([[60, 60, 200, 200]], dtype=np.uint8), 8, axis=0)
    given = {"1": levels > 100, "I;16": levels.astype(np.uint16)}.get(mode)
    image = Image.fromarray(levels).convert(mode) if given is None else Image.fromarray(given)
    clear = {"1": 255, "RGB": (200,) * 3, "P": 200}.get(mode, 200)
    opaque = read_pixels(saved(tmp_path, image, "opaque.png"))
    found = read_pixels(saved(tmp_path, image, "clear.png", transparency=clear))
    assert found.dtype == opaque.dtype
    assert (found[:, 2:] == 0).all()
    assert np.array_equal(found[:, :2], opaque[:, :2])
    assert opaque[:, 2:].all()


def test_percentiles_of_16_bits_need_no_copy_in_floating_point():
    for seed in range(20):
        deep = np.random.default_rng(seed).integers(0, 65536, (37, 41)).astype(np.uint16)
        expected = np.percentile(deep.astype(np.float64), (0.1, 99.9))
        assert intensity_window(deep) == tuple(expected)


def bordered(levels):
    levels[:, :100] = 0
    levels[:30] = 4095
    return levels


def striped(levels):
    levels[:, ::2] = levels.max()  # a sample of every other column would see one level
    return levels


@pytest.mark.parametrize("shape", [(300, 317), (512, 512), (90_000, 1)])
@pytest.mark.parametrize("change", [lambda levels: levels, bordered, striped, lambda levels: levels // 5000 * 5000])
def test_percentiles_of_many_pixels_are_those_of_all_pixels(shape, change):
    for seed, most in enumerate((2, 4096, 65536)):
        deep = change(np.random.default_rng(seed).integers(0, most, shape).astype(np.uint16))
        low, high = np.percentile(deep.astype(np.float64), (0.1, 99.9))
        assert intensity_window(deep) == (low, high if high > low else low + 1)


def test_percentiles_are_found_where_the_sample_saw_nothing_of_the_tails():
    deep = np.full(8192 * 9, 1000, dtype=np.uint16)
    unseen = np.setdiff1d(np.arange(deep.size), np.arange(0, deep.size, 9))
    deep[unseen[:500]], deep[unseen[-500:]] = 3, 4000
    assert intensity_window(deep[None]) == tuple(np.percentile(deep.astype(np.float64), (0.1, 99.9))) == (3, 4000)
    deep = np.full(8192 * 9, 1000, dtype=np.uint16)
    deep[::9][:40], deep[::9][-40:] = 3, 4000  # so few are no tail, though they are one of the sample
    assert np.percentile(deep, (0.1, 99.9)).tolist() == [1000, 1000]
    assert intensity_window(deep[None]) == (1000, 1001)


@pytest.mark.parametrize("mode", ["I;16", "I;16B", "I", "F"])
@pytest.mark.parametrize("height", [1, 63, 64, 130])
def test_deep_pixels_are_those_that_pillow_gives(tmp_path, mode, height):
    levels = np.random.default_rng(height).integers(0, 65536, (height, 50))
    kind = {"I;16": "<u2", "I;16B": ">u2", "I": "<i4", "F": "<f4"}[mode]
    path = saved(tmp_path, Image.frombytes(mode, (50, height), levels.astype(kind).tobytes()), "deep.tif")
    found = read_pixels(path)
    with Image.open(path) as image:
        assert image.mode == mode
        assert found.dtype == np.asarray(image).dtype
    assert np.array_equal(found, levels)


@pytest.mark.parametrize("options", [{}, {"quality": 95, "subsampling": 0}, {"progressive": True}])
def test_a_grey_jpeg_that_was_saved_in_colour_gives_the_same_levels(tmp_path, options):
    grey = (draw_phantom(0, pneumonia=True, size=128).image,) * 3
    path = saved(tmp_path, np.stack(grey, axis=2), "colour.jpg", **options)
    with Image.open(path) as image:
        assert image.mode == "RGB"
        assert np.array_equal(read_pixels(path), np.asarray(image.convert("L")))


def test_a_jpeg_in_colour_gives_its_luminance(tmp_path):
    y, x = np.mgrid[60:188:2, 60:188:2]
    smooth = np.stack([x, y, np.full_like(x, 99)], axis=2)
    path = saved(tmp_path, smooth.astype(np.uint8), "colour.jpg", quality=95)
    with Image.open(path) as image:
        assert np.abs(read_pixels(path).astype(int) - np.asarray(image.convert("L"))).max() <= 1


@pytest.mark.parametrize(("side", "mode"), [(20_000, "L"), (20_000, "1"), (10_001, "L")])
def test_a_picture_far_too_large_is_refused_before_it_is_decoded(tmp_path, side, mode):
    # Some kilobytes on disk: a PNG whose header says so and that then ends.
    path = write_png(tmp_path / "huge.png", (side, side), 1 if mode == "1" else 8, 0, b"\0" * 1000)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(DataError, match=r"huge\.png: .*megapixels"):
            read_radiograph(path)


@pytest.mark.parametrize("shape", [(1, 5), (64, 9), (150, 33)])
@pytest.mark.parametrize("window", [(100.0, 3000.5), (4000.0, 0.0)])
def test_what_is_displayed_band_by_band_is_the_whole_through_its_window(shape, window):
    deep = np.random.default_rng(0).integers(0, 4096, shape).astype(np.uint16)
    expected = np.clip((deep - window[0]) / (window[1] - window[0]), 0, 1)
    shown = np.asarray(displayed(deep, window))
    assert shown.dtype == np.float32
    assert np.array_equal(shown, apply_window(deep, window))
    assert np.abs(shown - expected).max() < 1e-6


@pytest.mark.parametrize("bits", [2, 4])
def test_a_transparent_level_of_few_bits_is_laid_over_black(tmp_path, bits):
    # Four levels in a row: 0, 1, 2, 3 of 2 bits, or of 4.
    row = bytes([0b00011011]) if bits == 2 else bytes([0x01, 0x23])
    for clear in (None, 1, 3):
        chunks = [] if clear is None else [(b"tRNS", struct.pack(">H", clear))]
        path = write_png(tmp_path / "x.png", (2, 4), bits, 0, (b"\0" + row) * 2, *chunks)
        expected = np.arange(4) * (255 // (2**bits - 1)) * (np.arange(4) != (-1 if clear is None else clear))
        assert np.array_equal(read_pixels(path), [expected] * 2)


@pytest.mark.parametrize(("colour", "samples"), [(2, 3), (4, 2), (6, 4)])
def test_colour_of_16_bits_that_8_would_empty_is_refused(tmp_path, colour, samples):
    def written(top, *chunks):
        levels = np.full((2, 4, samples), top, dtype=">u2")
        if samples != 3:
            levels[..., -1] = 65535  # opaque
        rows = b"".join(b"\0" + row.tobytes() for row in levels)
        return write_png(tmp_path / "x.png", (2, 4), 16, colour, rows, *chunks)

    assert (read_pixels(written(51_400)) == 200).all()  # 200 * 257
    for top, *chunks in [(4095,), (51_400, (b"tRNS", b"\0\1" * 3))][: 1 + (colour == 2)]:
        with pytest.raises(DataError, match=r"x\.png: colour of 16 bits is read at 8"):
            read_pixels(written(top, *chunks))


def frames(number):
    return [Image.fromarray(np.roll(RAMP, 50 * each, axis=1)) for each in range(number)]


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "GIF", "MPO", "TIFF"])
@pytest.mark.parametrize("name", ["x.png", "x.jpg", "x.tif", "x.webp"])
def test_more_than_one_frame_is_refused_whatever_the_suffix(tmp_path, kind, name):
    # A second frame is a second picture, however the file is called; a file of one is read.
    one, *others = frames(3)
    path = tmp_path / name
    one.save(path, kind, **({"lossless": True} if kind == "WEBP" else {}))
    assert np.abs(read_pixels(path).astype(int) - RAMP).max() <= 3
    one.save(path, kind, save_all=True, append_images=others)
    for read in (read_radiograph, read_mask):
        with pytest.raises(DataError, match=rf"{name}: holds (3 pages|more than one frame \({kind}\)); expected one"):
            read(path)


def test_the_still_beside_an_animation_is_a_second_picture(tmp_path):
    one, other = frames(2)
    one.save(tmp_path / "x.png", save_all=True, append_images=[other], default_image=True)
    with pytest.raises(DataError, match="more than one frame"):
        read_pixels(tmp_path / "x.png")


def test_thumbnails_of_a_camera_are_no_second_picture(tmp_path):
    one, other = frames(2)
    path = tmp_path / "x.jpg"
    one.save(path, "MPO", save_all=True, append_images=[other], quality=95)
    whole = path.read_bytes()
    # The second entry of the index, 16 bytes behind the first, begins with its kind: now a large thumbnail.
    at = whole.index(b"MPF\0") + 4 + 50 + 16
    path.write_bytes(whole[:at] + struct.pack("<I", 0x010001) + whole[at + 4 :])
    with Image.open(path) as image:
        assert image.n_frames == 2
    assert np.abs(read_pixels(path).astype(int) - RAMP).max() <= 3


@pytest.mark.parametrize("kind", ["PPM", "EPS", "ICO", "TGA"])
def test_formats_that_were_not_asked_for_are_refused(tmp_path, kind):
    # Some start other programs.
    Image.fromarray(RAMP).convert("RGB").save(tmp_path / "x.png", kind)
    with pytest.raises(DataError, match=r"x\.png: cannot be decoded as an image \(expected BMP, GIF, JPEG, PNG"):
        read_pixels(tmp_path / "x.png")


@pytest.mark.parametrize("kind", ["jpg", "png", "webp"])
@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_every_orientation_of_exif_comes_upright(tmp_path, kind, mode):
    y, x = np.mgrid[:40, :64]
    levels = (3 * x + y).astype(np.uint8)
    turns = [lambda a: a, lambda a: a[:, ::-1], lambda a: a[::-1, ::-1], lambda a: a[::-1]]
    turns += [lambda a, turn=turn: turn(a.T) for turn in (turns[0], turns[1], turns[2], turns[3])]
    for orientation, turn in zip((1, 2, 3, 4, 5, 6, 7, 8), turns, strict=True):
        exif = Image.Exif()
        exif[0x0112] = orientation
        image = Image.fromarray(levels).convert(mode)
        image.save(tmp_path / f"x.{kind}", exif=exif, **({"lossless": True} if kind == "webp" else {}))
        found = read_pixels(tmp_path / f"x.{kind}").astype(int)
        assert found.shape == turn(levels).shape
        assert np.abs(found - turn(levels)).max() <= (6 if kind == "jpg" else 0)


@pytest.mark.parametrize("top_down", [False, True])
@pytest.mark.parametrize("bits", [8, 16, 24, 32])
def test_bmp_in_either_direction(tmp_path, top_down, bits):
    levels = np.random.default_rng(bits).integers(0, 256, (10, 8), dtype=np.uint8)
    rows, masks, compression = levels if top_down else levels[::-1], b"", 0
    if bits == 8:
        coded, masks = rows.tobytes(), b"".join(bytes([n, n, n, 0]) for n in range(256))
    elif bits == 16:  # bit fields 5-6-5
        five, six = (rows >> 3).astype("<u2"), (rows >> 2).astype("<u2")
        coded, masks, compression = (
            (five << 11 | six << 5 | five).tobytes(),
            struct.pack("<III", 0xF800, 0x7E0, 0x1F),
            3,
        )
    else:
        coded = np.repeat(rows[..., None], bits // 8, axis=2).tobytes()
    head = struct.pack("<IiiHHIIiiII", 40, 8, -10 if top_down else 10, 1, bits, compression, len(coded), 0, 0, 0, 0)
    start = 14 + len(head) + len(masks)
    (tmp_path / "x.bmp").write_bytes(struct.pack("<2sIII", b"BM", start + len(coded), 0, start) + head + masks + coded)
    assert np.abs(read_pixels(tmp_path / "x.bmp").astype(int) - levels).max() <= (8 if bits == 16 else 0)
