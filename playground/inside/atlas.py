"""All heads of a capture as one picture: a row of thumbnails for each layer, gaps between them. Knows pixels, no Qt.

A thumbnail that is larger than its place is halved by maximum, so that none of its bright cells is lost; one that is smaller is repeated.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from playground.inside.look import NO_DIFFERENCE, signed_pyramid
from playground.inside.pooling import halved

Codes = NDArray[np.uint8]
Pixels = NDArray[np.uint32]


def fitted(thumbs: Codes, side: int, signed: bool = False) -> Codes:
    """Thumbnails [layers, heads, rows, columns], halved until neither side has more than `side` cells."""
    layers, heads = thumbs.shape[:2]
    found = thumbs
    while max(found.shape[2:]) > max(1, side):
        rows, columns = found.shape[2:]
        odd = ((0, 0), (0, 0), (0, rows % 2), (0, columns % 2))
        found = np.pad(found, odd, constant_values=NO_DIFFERENCE if signed else 0) if rows % 2 or columns % 2 else found
        # The even rows of one head follow those of the other, so all heads are halved as one map.
        rows, columns = found.shape[2:]
        flat = found.reshape(-1, columns)
        flat = signed_pyramid(flat, max(flat.shape) - 1)[1] if signed else halved(flat)
        found = flat.reshape(layers, heads, rows // 2, columns // 2)
    return found


def places_in(cells: int, pixels: int) -> NDArray[np.int64]:
    """Which of `cells` each of `pixels` shows: all of them where there are no more cells than pixels."""
    return (np.arange(pixels) * cells) // pixels


def compose(thumbs: Codes, colours: Pixels, side: int, gap: int, around: int, mask: int | None = None) -> Pixels:
    """[layers * (side + gap), heads * (side + gap)] pixels as 0xAARRGGBB.

    `thumbs` [layers, heads, rows, columns] of at most `side` cells; `colours` [256], or [layers, heads, 256] where each head has its own;
    `around` the colour of the gaps, `mask` that of cells above the diagonal, None where all are to be seen.
    """
    layers, heads, rows, columns = thumbs.shape
    if colours.ndim == 1:
        cells = colours[thumbs]
    else:
        cells = np.take_along_axis(colours, thumbs.reshape(layers, heads, -1), axis=2).reshape(thumbs.shape)
    if mask is not None:
        down, across = np.arange(rows)[:, None] / rows, np.arange(columns)[None] / columns
        cells[:, :, across > down + 1e-9] = mask
    found = np.full((layers, side + gap, heads, side + gap), around, np.uint32)
    pixels = cells[:, :, places_in(rows, side)][:, :, :, places_in(columns, side)]
    found[:, :side, :, :side] = pixels.transpose(0, 2, 1, 3)
    return found.reshape(layers * (side + gap), heads * (side + gap))
