"""TIFF files that the tests write themselves, tag by tag: whatever the format can say, and what it cannot."""

import struct
import zlib
from pathlib import Path

import numpy as np

_FORMATS = {"u": 1, "i": 2, "f": 3, "c": 6}  # SampleFormat by numpy's kind


def tags_of(samples, bits=None, photometric=1, **tags):
    """Names of tags -> numbers for (H, W) or (H, W, S) samples; a tag of None is left out."""
    kind, per_pixel = samples.dtype, samples.shape[2] if samples.ndim == 3 else 1
    values = {
        "ImageWidth": samples.shape[1], "ImageLength": samples.shape[0],
        "BitsPerSample": [bits or kind.itemsize * 8] * per_pixel, "Compression": 1,
        "PhotometricInterpretation": photometric, "SamplesPerPixel": per_pixel,
        "SampleFormat": [_FORMATS[kind.kind]] * per_pixel,
    }  # fmt: skip
    return {name: value for name, value in (values | tags).items() if value is not None}


_CODES = {
    "NewSubfileType": 254, "SubfileType": 255, "ImageWidth": 256, "ImageLength": 257, "BitsPerSample": 258,
    "Compression": 259, "PhotometricInterpretation": 262, "FillOrder": 266, "ImageDescription": 270,
    "StripOffsets": 273, "Orientation": 274, "SamplesPerPixel": 277, "RowsPerStrip": 278, "StripByteCounts": 279,
    "PlanarConfiguration": 284, "Predictor": 317, "ColorMap": 320, "TileWidth": 322, "TileLength": 323,
    "TileOffsets": 324, "TileByteCounts": 325, "SubIFDs": 330, "InkSet": 332, "ExtraSamples": 338, "SampleFormat": 339,
    "ImageDepth": 32997,
}  # fmt: skip


def _packed(rows, bits, order):
    """(h, w * S) samples to bytes, each row to a whole one."""
    if bits % 8 == 0:
        coded = rows.astype(rows.dtype.newbyteorder(order)).tobytes()
    else:
        powers = (rows.astype(np.int64)[..., None] >> np.arange(bits - 1, -1, -1)) & 1
        coded = np.packbits(powers.reshape(len(rows), -1).astype(np.uint8), axis=1).tobytes()
    return coded


def _differences(block, predictor, order):
    """A block of (h, w, S) as `Predictor` wants it."""
    if predictor == 2:
        before = np.zeros_like(block)
        before[:, 1:] = block[:, :-1]
        return block - before  # wraps
    if predictor == 3:  # bytes by their weight, the heaviest first, then differences along the row
        h, w, per_pixel = block.shape
        size = block.dtype.itemsize
        heavy = block.astype(block.dtype.newbyteorder(">")).view(np.uint8).reshape(h, w * per_pixel, size)
        flat = heavy.transpose(0, 2, 1).reshape(h, -1)
        before = np.zeros_like(flat)
        before[:, per_pixel:] = flat[:, :-per_pixel]
        return (flat - before).reshape(h, -1, 1)
    return block


def segments_of(samples, tags, order):
    """The bytes of each strip or tile, in the order of the format, uncompressed or deflated."""
    planes = samples.reshape(*samples.shape[:2], -1)
    planes = [planes] if tags.get("PlanarConfiguration", 1) == 1 else [planes[..., [s]] for s in range(planes.shape[2])]
    height, width = samples.shape[:2]
    tiled = "TileWidth" in tags
    rows, columns = (
        (tags["TileLength"], tags["TileWidth"]) if tiled else (min(tags.get("RowsPerStrip", height), height), width)
    )
    found = []
    for plane in planes:
        for top in range(0, height, rows):
            for left in range(0, width, columns):
                block = plane[top : top + rows, left : left + columns]
                if tiled:
                    block = np.pad(block, ((0, rows - block.shape[0]), (0, columns - block.shape[1]), (0, 0)), "edge")
                block = _differences(block, tags.get("Predictor", 1), order)
                coded = _packed(block.reshape(len(block), -1), tags["BitsPerSample"][0], order)
                if tags["Compression"] in (8, 32946):
                    coded = zlib.compress(coded)
                if tags.get("FillOrder", 1) == 2:  # of the bytes as they lie in the file
                    coded = np.packbits(np.unpackbits(np.frombuffer(coded, np.uint8)), bitorder="little").tobytes()
                found.append(coded)
    return found


def tiff_of(*pages, order="<", big=False, lies=None):
    """The bytes of a file of pages, each the samples and tags (`tags_of`) of one; `lies` are tags put in at last."""
    offset = "Q" if big else "I"
    mark = b"II" if order == "<" else b"MM"
    head = mark + struct.pack(order + ("HHHQ" if big else "HI"), *((43, 8, 0, 16) if big else (42, 8)))
    body, links = bytearray(head), [len(head) - (8 if big else 4)]
    for samples, tags in pages:
        tags = dict(tags)
        places = []
        pieces = segments_of(samples, tags, order)
        for piece in pieces:
            places.append(len(body))
            body += piece + b"\0" * (len(piece) % 2)
        kind = "Tile" if "TileWidth" in tags else "Strip"
        tags |= {kind + "Offsets": places, kind + "ByteCounts": [len(piece) for piece in pieces]} | (lies or {})
        entries = []
        for code, value in sorted((_CODES.get(name, name), value) for name, value in tags.items() if value is not None):
            if isinstance(value, bytes):
                form, count, content = 2, len(value), value
            else:
                values = value if isinstance(value, list) else [value]
                form = 3 if max(values) < 2**16 and code not in (273, 279, 324, 325) else 4
                count, content = len(values), struct.pack(f"{order}{len(values)}{'H' if form == 3 else 'I'}", *values)
            room = 8 if big else 4
            if len(content) > room:
                body += b"\0" * (len(body) % 2)
                place = len(body)
                body += content
                content = struct.pack(order + offset, place)
            entries.append(struct.pack(f"{order}HH{offset}", code, form, count) + content.ljust(room, b"\0"))
        body += b"\0" * (len(body) % 2)
        struct.pack_into(order + offset, body, links[-1], len(body))
        body += struct.pack(order + ("Q" if big else "H"), len(entries)) + b"".join(entries)
        links.append(len(body))
        body += struct.pack(order + offset, 0)
    return bytes(body)


def write_tiff(path, samples, bits=None, photometric=1, order="<", big=False, lies=None, **tags):
    """A file of one page."""
    page = (samples, tags_of(samples, bits, photometric, **tags))
    Path(path).write_bytes(tiff_of(page, order=order, big=big, lies=lies))
    return Path(path)
