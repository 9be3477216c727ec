"""Checks that the tags of a TIFF page have supported values, and agree with the file.

Each check raises a `DataError` that names the file, the tag with its value, and what was expected.
"""

from __future__ import annotations

from math import ceil
from pathlib import Path

from pneumo_ad.data.readers.limits import check_size
from pneumo_ad.errors import DataError

SAVE_AS = "Save it as PNG, or as a little-endian TIFF, grey, of 8 or 16 bits"

# TIFF 6.0 (Adobe, 1992); ImageDepth is from SGI's supplement.
TAGS = {
    254: "NewSubfileType", 255: "SubfileType", 256: "ImageWidth", 257: "ImageLength", 258: "BitsPerSample",
    259: "Compression", 262: "PhotometricInterpretation", 266: "FillOrder", 273: "StripOffsets", 274: "Orientation",
    277: "SamplesPerPixel", 278: "RowsPerStrip", 279: "StripByteCounts", 284: "PlanarConfiguration", 317: "Predictor",
    320: "ColorMap", 322: "TileWidth", 323: "TileLength", 324: "TileOffsets", 325: "TileByteCounts", 330: "SubIFDs",
    332: "InkSet", 338: "ExtraSamples", 339: "SampleFormat", 32997: "ImageDepth",
}  # fmt: skip

# Supported values; the first of each is the format's default.
_READ = {
    "Compression": (1, 2, 3, 4, 5, 7, 8, 32773, 32946, 34925, 50000),
    "SampleFormat": (1, 2, 3),
    "Orientation": tuple(range(1, 9)),
    "PlanarConfiguration": (1, 2),
    "FillOrder": (1, 2),
    "Predictor": (1, 2, 3),
    "InkSet": (1,),
    "ImageDepth": (1,),
}
_GRANTED = {name: values[0] for name, values in _READ.items()} | {
    "NewSubfileType": 0,
    "SubfileType": 1,
    "BitsPerSample": 1,
    "SamplesPerPixel": 1,
    "RowsPerStrip": 2**32 - 1,
}
_PREDICTED = (5, 8, 32946, 34925, 50000)  # compressions that may have a predictor

# PhotometricInterpretation -> samples of a pixel; SampleFormat -> supported bits per sample; bits supported with alpha.
_SAMPLES: dict[int, tuple[int, dict[int, tuple[int, ...]], tuple[int, ...]]] = {
    0: (1, {1: (1, 2, 4, 8, 16), 3: (32,)}, ()),
    1: (1, {1: (1, 2, 4, 8, 12, 16, 32), 2: (8, 16, 32), 3: (32,)}, (8,)),
    2: (3, {1: (8, 16)}, (8, 16)),
    3: (1, {1: (1, 2, 4, 8)}, ()),
    5: (4, {1: (8,)}, ()),
    6: (3, {1: (8,)}, ()),
}
_NAMES = {
    "Compression": {
        1: "none", 2: "CCITT run lengths", 3: "CCITT group 3", 4: "CCITT group 4", 5: "LZW", 6: "old JPEG", 7: "JPEG",
        8: "deflate", 32773: "PackBits", 32946: "deflate", 34661: "JBIG", 34712: "JPEG 2000", 34887: "LERC",
        34925: "LZMA", 50000: "zstd", 50001: "WebP", 50002: "JPEG XL",
    },
    "PhotometricInterpretation": {
        0: "WhiteIsZero", 1: "BlackIsZero", 2: "RGB", 3: "palette", 4: "transparency mask", 5: "CMYK", 6: "YCbCr",
        8: "CIELab", 9: "ICCLab", 10: "ITULab", 32803: "colour filter array", 32844: "LogL", 32845: "LogLuv",
        34892: "LinearRaw",
    },
    "SampleFormat": {1: "unsigned", 2: "signed", 3: "float", 4: "undefined", 5: "complex integer", 6: "complex float"},
    "ExtraSamples": {0: "unspecified", 1: "associated alpha", 2: "alpha"},
}  # fmt: skip


class Tags(dict[str, tuple[int, ...]]):
    """Tags of a page: name -> values.

    >>> print(Tags({"BitsPerSample": (16,), "PhotometricInterpretation": (0,)}))
    BitsPerSample 16, SampleFormat 1 (unsigned), PhotometricInterpretation 0 (WhiteIsZero), Compression 1 (none)
    """

    def first(self, name: str) -> int:
        """Return the first value of a tag; if it is missing, the format's default, or -1."""
        return self[name][0] if name in self else _GRANTED.get(name, -1)

    def words(self, *names: str) -> str:
        """Describe tags by name, first value, and the name of that value."""
        values = ((name, self.first(name), _NAMES.get(name, {}).get(self.first(name))) for name in names)
        return ", ".join(f"{name} {value}" + (f" ({word})" if word else "") for name, value, word in values)

    def __str__(self) -> str:
        given = [name for name in ("Predictor", "FillOrder", "PlanarConfiguration", "ExtraSamples") if name in self]
        return self.words("BitsPerSample", "SampleFormat", "PhotometricInterpretation", "Compression", *given)


def check_tags(path: str | Path, tags: Tags) -> None:
    """Check that the values of the tags, and their combination, are supported.

    Args:
        path: File to name in the messages.
        tags: Tags of the page.
    """

    def refuse(what: str, expected: str) -> DataError:
        return DataError(f"{path}: {what} is not read; expected {expected}. {SAVE_AS}")

    if min(tags.first("ImageWidth"), tags.first("ImageLength")) < 1:
        raise DataError(f"{path}: is a TIFF without a size ({tags.words('ImageWidth', 'ImageLength')})")
    check_size(path, tags.first("ImageLength"), tags.first("ImageWidth"))
    for name, read in _READ.items():
        if len(set(tags.get(name, ()))) > 1 or tags.first(name) not in read:
            raise refuse(tags.words(name), f"one of {', '.join(map(str, read))}")
    colour, bits, form = (tags.first(name) for name in ("PhotometricInterpretation", "BitsPerSample", "SampleFormat"))
    if colour not in _SAMPLES:
        missing = "a TIFF without PhotometricInterpretation" if colour < 0 else tags.words("PhotometricInterpretation")
        raise refuse(missing, f"one of {', '.join(map(str, _SAMPLES))}")
    samples, depths, with_alpha = _SAMPLES[colour]
    extra = tags.get("ExtraSamples", ())
    if extra and (extra not in ((1,), (2,)) or bits not in with_alpha):
        raise refuse(tags.words("ExtraSamples", "BitsPerSample", "PhotometricInterpretation"), "grey or RGB with alpha")
    if tags.first("SamplesPerPixel") != samples + len(extra):
        raise refuse(
            tags.words("SamplesPerPixel", "PhotometricInterpretation", *["ExtraSamples"] * bool(extra)),
            f"SamplesPerPixel {samples + len(extra)}",
        )
    if len(set(tags.get("BitsPerSample", ()))) > 1 or bits not in depths.get(form, ()):
        known = "; ".join(
            f"{_NAMES['SampleFormat'][each]} of {', '.join(map(str, some))} bits" for each, some in depths.items()
        )
        raise refuse(tags.words("BitsPerSample", "SampleFormat", "PhotometricInterpretation"), known)
    compression, planar = tags.first("Compression"), tags.first("PlanarConfiguration")
    if colour == 6 and compression != 7:
        raise refuse(tags.words("PhotometricInterpretation", "Compression"), "JPEG")
    if tags.first("Predictor") != 1 and compression not in _PREDICTED:
        raise refuse(tags.words("Predictor", "Compression"), "Predictor 1")
    if planar == 2 and compression == 1 and (bits != 8 or tags.first("FillOrder") == 2):
        raise refuse(tags.words("PlanarConfiguration", "BitsPerSample", "FillOrder", "Compression"), "one plane")
    if colour == 3 and max(tags.get("ColorMap", (0,))) < 256:
        raise refuse("a ColorMap that is missing, black or of 8 bits", "one of 16 bits")


def check_segments(path: str | Path, tags: Tags, size: int) -> None:
    """Check that strips or tiles make up the picture, each within the file, and that uncompressed ones are long enough.

    Args:
        path: File to name in the messages.
        tags: Tags of the page, checked by `check_tags`.
        size: Size of the file in bytes.
    """
    height, width, samples = (tags.first(name) for name in ("ImageLength", "ImageWidth", "SamplesPerPixel"))
    kind = "Tile" if "TileOffsets" in tags else "Strip"
    rows, columns = min(tags.first("RowsPerStrip"), height), width
    if kind == "Tile":
        rows, columns = tags.first("TileLength"), tags.first("TileWidth")
    if rows < 1 or columns < 1 or (kind == "Tile" and "StripOffsets" in tags):
        raise DataError(f"{path}: has strips or tiles of {rows} x {columns} pixels, or both, in its tags")
    check_size(path, rows, columns)
    planes = samples if tags.first("PlanarConfiguration") == 2 else 1
    number = ceil(height / rows) * ceil(width / columns) * planes
    starts, lengths = tags.get(f"{kind}Offsets", ()), tags.get(f"{kind}ByteCounts", ())
    if not len(starts) == len(lengths) == number:
        raise DataError(
            f"{path}: has {len(starts)} {kind}Offsets and {len(lengths)} {kind}ByteCounts; {height} x {width} pixels "
            f"are {number} of {rows} x {columns}"
        )
    if min(starts) < 8 or min(lengths) < 1:
        raise DataError(f"{path}: {kind}Offsets or {kind}ByteCounts has a 0: a part of the picture is missing")
    beyond = max(start + length for start, length in zip(starts, lengths, strict=True)) - size
    if beyond > 0:
        raise DataError(f"{path}: is truncated: {beyond} bytes of its {kind.lower()}s are missing")
    if tags.first("Compression") != 1:
        return
    bits = tags.first("BitsPerSample") * samples // planes * columns
    if kind == "Tile" and bits % 8:
        raise DataError(f"{path}: TileWidth {columns} makes rows that are no whole bytes, which is not read")
    row = ceil(bits / 8)
    for number, length in enumerate(lengths):
        inside = rows if kind == "Tile" else min(rows, height - number % ceil(height / rows) * rows)
        if length < row * inside:
            raise DataError(f"{path}: {kind}ByteCounts {length} is too short for {inside} rows of {row} bytes")
