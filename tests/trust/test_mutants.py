"""Damaged files of every kind: each is read, or named once; none hangs, ends the process or takes memory.

$PNEUMO_AD_MUTANTS sets how many; they are the same ones each time.
"""

import os
import resource
import struct
import time
import warnings

import numpy as np
import pytest
from dicoms import SYNTAXES, compress, write_dicom
from drawn import radiograph
from PIL import Image
from tiffs import tags_of, tiff_of, write_tiff

from pneumo_ad.data.readers.radiograph import read_radiograph
from pneumo_ad.errors import DataError

MUTANTS = int(os.environ.get("PNEUMO_AD_MUTANTS", 1000))


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    """Files that are read, one for each format, depth and compression."""
    folder = tmp_path_factory.mktemp("sound")
    grey = radiograph(0, 96, 80)
    deep = grey.astype(np.uint16) * 16
    colour = np.stack([grey] * 3, axis=2)
    for name in ("g.png", "g.jpg", "g.bmp", "g.webp", "g.gif"):
        Image.fromarray(grey).save(folder / name)
    for name in ("c.png", "c.jpg", "c.webp"):
        Image.fromarray(colour).save(folder / name)
    Image.fromarray(deep).save(folder / "d.png")
    for compression in ("tiff_lzw", "packbits", "tiff_deflate", "jpeg", "zstd"):
        Image.fromarray(grey).save(folder / f"{compression}.tif", compression=compression)
    Image.fromarray(grey > 99).save(folder / "group4.tif", compression="group4")
    write_tiff(folder / "strips.tif", deep, RowsPerStrip=16)
    write_tiff(folder / "tiles.tif", deep, TileWidth=32, TileLength=32, Compression=8, Predictor=2, big=True)
    small = grey[::4, ::4].copy()
    pages = (grey, tags_of(grey)), (small, tags_of(small, NewSubfileType=1))
    (folder / "pages.tif").write_bytes(tiff_of(*pages, order=">"))
    plain = write_dicom(folder / "plain.dcm", deep, 12)
    for name in SYNTAXES:
        compress(write_dicom(folder / "plain8.dcm", grey) if name == "jpeg" else plain, folder / f"{name}.dcm", name)
    return sorted(folder.iterdir())


def damaged(whole, rng):
    """Bits turned, the end cut, a piece gone, or a number that lies."""
    content = bytearray(whole)
    # Half of the damage lies where headers are.
    place = int(rng.integers(0, min(len(content), 400) if rng.random() < 0.5 else len(content)))
    kind = rng.choice(["bits", "cut", "gone", "lie"])
    if kind == "bits":
        for _ in range(rng.integers(1, 6)):
            content[min(place + int(rng.integers(0, 8)), len(content) - 1)] ^= 1 << int(rng.integers(0, 8))
    elif kind == "cut":
        del content[place:]
    elif kind == "gone":
        del content[place : place + int(rng.integers(1, 64))]
    else:
        number = int(rng.choice([0, 1, 2, 255, 2**15, 2**16 - 1, 2**31 - 1, 2**31, 2**32 - 1, 40_000]))
        content[place : place + 4] = struct.pack(str(rng.choice(["<I", ">I"])), number)
    return bytes(content)


def attempt(path):
    """The radiograph and "", or None and the words of the refusal; anything but a `DataError` passes through."""
    try:
        return read_radiograph(path), ""
    except DataError as refused:
        return None, str(refused)


def test_mutants_are_read_or_named_once(sound, tmp_path, capfd):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for path in sound:
            read_radiograph(path)
        kept = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        outcomes, longest = {"read": 0, "refused": 0}, 0.0
        for number in range(MUTANTS):
            rng = np.random.default_rng(number)
            original = sound[number % len(sound)]
            path = tmp_path / f"mutant{original.suffix}"
            path.write_bytes(damaged(original.read_bytes(), rng))
            began = time.perf_counter()
            x, words = attempt(path)
            outcomes["refused" if x is None else "read"] += 1
            assert words.count(path.name) == (x is None), words
            assert "\n" not in words
            assert x is None or (np.isfinite(x).all() and 0 <= x.min() <= x.max() <= 1), (number, original)
            longest = max(longest, time.perf_counter() - began)
    assert min(outcomes.values()) > MUTANTS / 10, outcomes
    assert longest < 5
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss < 1.5 * kept
    assert "Traceback" not in capfd.readouterr().err
