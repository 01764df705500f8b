"""All heads of a capture as one picture: a row of thumbnails for each layer, gaps between them. Knows pixels, no Qt.

A thumbnail that is larger than its place is halved by maximum, so that none of its bright cells is lost; one that is smaller is repeated.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from playground.inside import pooling
from playground.inside.look import NO_DIFFERENCE, farther

Codes = NDArray[np.uint8]
Pixels = NDArray[np.uint32]


def fitted(thumbs: Codes, side: int, signed: bool = False) -> Codes:
    """Thumbnails [layers, heads, rows, columns], halved along each axis until it has at most `side` cells."""
    found = thumbs
    for axis in (2, 3):
        while found.shape[axis] > max(1, side):
            if found.shape[axis] % 2:
                odd = [(0, int(each == axis)) for each in range(4)]
                found = np.pad(found, odd, constant_values=NO_DIFFERENCE if signed else 0)
            one, other = (found[:, :, each::2] if axis == 2 else found[..., each::2] for each in (0, 1))
            found = farther(one, other) if signed else np.maximum(one, other)
    return found


def beginning(thumbs: Codes, length: int, kept: int) -> Codes:
    """Thumbnails of a text of `length` tokens cut to its first `kept`: exact where the text is no longer than a thumbnail, else to a cell of it."""
    was, side = thumbs.shape[2], min(thumbs.shape[2], kept)
    edges, cells = pooling.thumb_edges(length, was), [*pooling.thumb_edges(kept, side), kept]
    first = np.searchsorted(edges, cells[:-1], "right") - 1
    last = np.searchsorted(edges, np.array(cells[1:]) - 1, "right")
    tall = np.stack([thumbs[:, :, low:high].max(2) for low, high in zip(first, last, strict=True)], axis=2)
    return np.stack([tall[..., low:high].max(3) for low, high in zip(first, last, strict=True)], axis=3)


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
