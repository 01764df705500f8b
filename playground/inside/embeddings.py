"""Words in a token table: what is near them, how like each other they are, and a picture in two dimensions.

Likeness is the cosine of the angle between two rows. Early tables are not words' meanings alone: frequency and spelling are in them too, and two
random rows of many models have a cosine well above 0. Pure numpy; knows no file and no tokenizer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from playground.errors import Cancelled

Floats = NDArray[np.float32]


def unit(rows: Floats) -> Floats:
    """Rows of length 1; a row of zeroes, or with something that is no number in it, becomes zeroes."""
    with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
        found = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    found[~np.isfinite(found).all(axis=1)] = 0
    return np.asarray(found, np.float32)


def nearest(
    blocks: Iterable[tuple[int, Floats]],
    words: Floats,
    count: int,
    but: Sequence[Sequence[int]],
    stop: Callable[[], bool] = lambda: False,
    on_row: Callable[[int], None] = lambda row: None,
) -> tuple[NDArray[np.int64], Floats]:
    """The tokens nearest to each word: ids and cosines, both [words, count], the nearest first, the lower id first among equals.

    `blocks`: rows of the table in turn, of which one block is held at a time. `words` [words, width]; `but`: tokens that do not count for each word,
    its own. Where the table has fewer rows, the last ids are -1. Cancelled.
    """
    wanted = unit(words)
    ids = np.full((len(words), count), -1, np.int64)
    best = np.full((len(words), count), -np.inf, np.float32)
    for start, rows in blocks:
        if stop():
            raise Cancelled("The search was stopped.")
        found = wanted @ unit(rows).T  # [words, rows]
        numbers = np.arange(start, start + len(rows))
        for place, own in enumerate(but):
            mine = [each - start for each in own if start <= each < start + len(rows)]
            found[place, mine] = -np.inf
        both = np.concatenate([best, found], axis=1)
        named = np.concatenate([ids, np.broadcast_to(numbers, (len(words), len(rows)))], axis=1)
        order = np.argsort(-both, axis=1, kind="stable")[:, :count]
        best, ids = np.take_along_axis(both, order, 1), np.take_along_axis(named, order, 1)
        on_row(start + len(rows))
    ids[best == -np.inf] = -1
    return ids, best


def similarities(words: Floats) -> Floats:
    """The cosines of each word and each, [words, words]."""
    units = unit(words)
    found = np.clip(units @ units.T, -1, 1)
    return np.asarray(found, np.float32)


def projection(rows: Floats) -> tuple[Floats, tuple[float, float]]:
    """Principal components of rows made as long as each other: places [rows, 2], and the share of the variance along each axis.

    Source: Pearson 1901; by a singular value decomposition of the rows less their mean. Each axis points where its largest place is positive.
    """
    centred = unit(rows).astype(np.float64)
    centred -= centred.mean(axis=0)
    left, sizes, _ = np.linalg.svd(centred, full_matrices=False)
    places = np.zeros((len(rows), 2))
    kept = min(2, len(sizes))
    places[:, :kept] = left[:, :kept] * sizes[:kept]
    for axis in range(2):
        if places[np.abs(places[:, axis]).argmax(), axis] < 0:
            places[:, axis] *= -1
    total = float((sizes**2).sum())
    shares = [float(each**2) / total if total > 0 else 0.0 for each in sizes[:2]] + [0.0, 0.0]
    return places.astype(np.float32), (shares[0], shares[1])
