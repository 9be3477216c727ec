"""Duplicates: radiographs with the same pixels, or nearly the same after resizing, re-encoding or brightening.

Candidates come from a perceptual hash: low frequencies of the cosine transform against their median (Zauner 2010,
"Implementation and benchmarking of perceptual image hash functions"). At that scale all chest radiographs look alike,
so a candidate must agree in the finer structure of ribs and vessels too. Measured on 5,216 radiographs of children:
copies in JPEG of quality 30, at half size or brightened all correlate above 0.97, at a distance of at most 4 bits
(gamma 0.6: above 0.93, and 8 bits for 95 in 100), and no two that are not copies above 0.90. A copy that was cropped,
or moved by more than a few pixels, is not detected.
"""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from scipy import fft
from scipy.ndimage import gaussian_filter
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from torch.nn.functional import adaptive_avg_pool2d

from pneumo_ad.data.store.store import Store
from pneumo_ad.labels import SPLITS

MOST_BITS = 8  # largest Hamming distance of the hashes (63 bits) of near duplicates
LEAST_CORRELATION = 0.92  # least correlation of the fine structure of near duplicates

_SIDE = 64  # side of a thumbnail in pixels
_COARSE = 4.0  # sigma in pixels of the Gaussian whose result is subtracted to leave fine structure
_FLAT = 1.0  # grey levels, root mean square: a thumbnail of less fine structure is too flat to compare
_CHUNK = 1024  # radiographs whose distances to all others are in memory at once


@dataclass(frozen=True)
class Pair:
    """Pair of radiographs that are copies or near duplicates.

    Attributes:
        first: Row of the first; the lower number.
        second: Row of the second.
        kind: `same file`, `same pixels` or `near`.
        bits: Hamming distance of their hashes.
        correlation: Correlation of their fine structure, in [-1, 1].
    """

    first: int
    second: int
    kind: str
    bits: int
    correlation: float


def find_duplicates(images: npt.NDArray[np.uint8], digests: Sequence[str]) -> list[Pair]:
    """Find copies, each paired with the first radiograph it equals, and near duplicates among the others.

    Args:
        images: (N, H, W) uint8 fitted radiographs, may be memory-mapped.
        digests: N digests of the files (`file_digests`).

    Returns:
        Pairs, sorted by row.
    """
    first: dict[bytes, int] = {}
    copy_of = [
        first.setdefault(hashlib.blake2b(np.ascontiguousarray(x).data).digest(), i) for i, x in enumerate(images)
    ]
    pairs = [
        Pair(original, row, "same file" if digests[original] == digests[row] else "same pixels", 0, 1.0)
        for row, original in enumerate(copy_of)
        if row != original
    ]
    originals = np.unique(copy_of).astype(np.int64)
    for i, j, bits, correlation in near_pairs(thumbnails(images, originals)):
        pairs.append(Pair(int(originals[i]), int(originals[j]), "near", bits, correlation))
    return sorted(pairs, key=lambda pair: (pair.first, pair.second))


def thumbnails(images: npt.NDArray[np.uint8], rows: npt.NDArray[np.integer]) -> npt.NDArray[np.float32]:
    """Compute thumbnails, (I, 64, 64) float32 grey levels: means over boxes of pixels.

    Args:
        images: (N, H, W) uint8 fitted radiographs.
        rows: (I,) rows of `images`.
    """
    small = np.empty((len(rows), _SIDE, _SIDE), dtype=np.float32)
    for place, row in enumerate(rows):
        image = torch.from_numpy(np.array(images[row]))[None, None].float()
        small[place] = adaptive_avg_pool2d(image, _SIDE)[0, 0].numpy()
    return small


def hashes(small: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Hash (N, 64, 64) thumbnails to (N, 63) float32 of -1 and 1, by the signs of low frequencies.

    These are the lowest 63 besides the mean, each compared with their median.
    """
    waves = fft.dctn(small, axes=(1, 2), norm="ortho", workers=-1)[:, :8, :8].reshape(-1, 64)[:, 1:]
    return np.where(waves > np.median(waves, axis=1, keepdims=True), 1, -1).astype(np.float32)


def fine_structure(small: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Compute the fine structure of (N, 64, 64) thumbnails: (N, 4096) unit vectors; dot products are correlations.

    Flat thumbnails become zeros.
    """
    fine = (small - gaussian_filter(small, (0, _COARSE, _COARSE))).reshape(len(small), -1)
    fine -= fine.mean(axis=1, keepdims=True)
    length = np.linalg.norm(fine, axis=1, keepdims=True)
    shows = length > _FLAT * np.sqrt(fine.shape[1])
    return np.divide(fine, length, out=np.zeros_like(fine), where=shows)


def near_pairs(small: npt.NDArray[np.float32]) -> list[tuple[int, int, int, float]]:
    """Find near duplicates among (N, 64, 64) thumbnails: tuples of two indices, bits and correlation."""
    signs, fine = hashes(small), fine_structure(small)
    pairs = []
    for start in range(0, len(signs), _CHUNK):
        # Signs agree where their product is 1: one matrix product gives all distances.
        bits = (signs.shape[1] - signs[start : start + _CHUNK] @ signs[start:].T) / 2
        i, j = np.nonzero(np.triu(bits <= MOST_BITS, k=1))
        for begin in range(0, len(i), _CHUNK):
            a, b = i[begin : begin + _CHUNK], j[begin : begin + _CHUNK]
            correlation = np.einsum("ij,ij->i", fine[start + a], fine[start + b])
            for k in np.flatnonzero(correlation >= LEAST_CORRELATION):
                pairs.append((start + int(a[k]), start + int(b[k]), int(bits[a[k], b[k]]), float(correlation[k])))
    return pairs


def groups_of(pairs: list[Pair], count: int) -> npt.NDArray[np.int64]:
    """Group radiographs into connected components of pairs: (count,) int64 group of each; -1 for single ones.

    Args:
        pairs: Pairs of copies.
        count: Number of radiographs.

    >>> groups_of([Pair(0, 2, "near", 1, 0.99), Pair(2, 3, "same file", 0, 1.0)], 5).tolist()
    [0, -1, 0, 0, -1]
    """
    ends = np.array([(pair.first, pair.second) for pair in pairs], dtype=np.int64).reshape(-1, 2)
    graph = coo_matrix((np.ones(len(ends)), (ends[:, 0], ends[:, 1])), shape=(count, count))
    _, member = connected_components(graph, directed=False)
    group = np.full(count, -1, dtype=np.int64)
    paired = np.unique(ends)
    group[paired] = np.unique(member[paired], return_inverse=True)[1]
    return group


def file_digests(store: Store) -> list[str]:
    """Return the SHA-256 of each radiograph's file when it was decoded, row by row.

    Args:
        store: Open store.
    """
    images = store.contents[store.contents["kind"] == "image"].set_index("image")["sha256"]
    return images.loc[store.table["image"]].tolist()


def copies_across_splits(digests: Sequence[str], splits: Sequence[str]) -> list[list[int]]:
    """Find identical files in different splits: a list of radiograph indices for each such file.

    Args:
        digests: N digests of the files (`file_digests`).
        splits: N splits; radiographs in none of `SPLITS` are ignored.

    >>> copies_across_splits(["a", "b", "a", "b"], ["train", "val", "test", "val"])
    [[0, 2]]
    """
    places: dict[str, list[int]] = {}
    for place, (digest, split) in enumerate(zip(digests, splits, strict=True)):
        if split in SPLITS:
            places.setdefault(digest, []).append(place)
    return [same for same in places.values() if len({splits[place] for place in same}) > 1]


def warn_of_copies(store: Store) -> int:
    """Warn once, with count and an example, of copies in different splits, and return the number of such files.

    Args:
        store: Open store, with the splits of a run.
    """
    copies = copies_across_splits(file_digests(store), store.table["split"].tolist())
    if copies:
        names = [f"{row.image} ({row.split})" for row in store.table.iloc[copies[0]].itertuples()]
        warnings.warn(
            f"{len(copies)} files lie in more than one split as exact copies, for example {', '.join(names[:4])}: what "
            "is measured on test is known from training. Take the copies out, or name both as one patient in a csv; "
            "`pneumo-ad audit` lists them, and near copies too",
            stacklevel=3,
        )
    return len(copies)
