"""What one row of logits says by itself: the likeliest tokens, log-probabilities, entropy. A whole vocabulary in tenths of milliseconds.

Knows no sampler: this is the model's own opinion.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

_BLOCK = 64
_NOTHING = np.empty(0, np.intp)


Exponentials = Callable[[NDArray[np.float32], float, NDArray[np.float32]], float]
"""`(logits, peak, out)`: writes exp(logits - peak) to `out` and gives back their sum."""


def exponentials(logits: NDArray[np.float32], peak: float, out: NDArray[np.float32]) -> float:
    """In numpy; the engine's library may have something faster."""
    np.subtract(logits, np.float32(peak), out=out)
    np.exp(out, out=out)
    return float(out.sum())


class Row:
    """Statistics of rows of one length; buffers are kept between rows. `read` it, then ask."""

    def __init__(self, n_vocab: int, exponentials: Exponentials = exponentials) -> None:
        self._exponentials = exponentials
        self._weights = np.empty(n_vocab, np.float32)
        self._count = n_vocab // _BLOCK
        """of blocks; block b holds the tokens b, b + count, b + 2 count, ..., so that their maxima are found row by row"""
        self._peaks = np.empty(0, np.float32)
        self._order = _NOTHING
        self.logits = self._weights
        self.entropy = 0.0
        """nats"""
        self._peak = 0.0
        self._log_sum = 0.0

    def read(self, logits: NDArray[np.float32]) -> bool:
        """Takes a row (a view is enough: it is used until the next). False if it holds no distribution: NaN, +inf or only -inf."""
        self.logits = logits
        self._order = _NOTHING
        whole = self._count * _BLOCK
        self._peaks = logits[:whole].reshape(_BLOCK, -1).max(axis=0)
        peak = max(float(each.max()) for each in (self._peaks, logits[whole:]) if len(each))
        with np.errstate(over="ignore", invalid="ignore"):
            total = self._exponentials(logits, peak, self._weights)
            if not (math.isfinite(peak) and math.isfinite(total) and total > 0):
                return False
            mean = float(np.dot(self._weights, logits)) / total - peak if abs(peak) < 1000 else math.nan
            if (
                mean != mean
            ):  # 0 * -inf, for tokens that the model itself rules out, and numbers too large to subtract afterwards
                shifted = np.where(self._weights > 0, logits - np.float32(peak), np.float32(0))
                mean = float(np.dot(self._weights, shifted)) / total
        self._peak = peak
        self._log_sum = math.log(total)
        self.entropy = max(0.0, self._log_sum - mean)
        return True

    def logprob(self, token: int) -> float:
        """The natural logarithm of the token's probability under the raw logits."""
        return float(self.logits[token]) - self._peak - self._log_sum

    def likeliest(self, count: int) -> NDArray[np.intp]:
        """The tokens with the highest logits, highest first, the lower id first among equals. Asked for once, fewer cost nothing.

        Of a long row, only the blocks with the highest maxima are looked at: no other block can hold one of the `count` highest.
        """
        if count <= len(self._order):
            return self._order[:count]
        logits, blocks = self.logits, self._count
        self._order = _NOTHING
        if 8 * count < blocks:
            least = np.partition(self._peaks, blocks - count)[blocks - count]
            chosen = np.flatnonzero(self._peaks >= least)
            if len(chosen) <= 2 * count:  # more only if many are equal
                places = (np.arange(0, blocks * _BLOCK, blocks)[:, None] + chosen).ravel()
                places = np.concatenate((places, np.arange(blocks * _BLOCK, len(logits))))
                self._order = places[_sorted(logits[places], count)]
        if not len(self._order):
            self._order = _sorted(logits, count)
        return self._order


def _sorted(values: NDArray[np.float32], count: int) -> NDArray[np.intp]:
    if 4 * count < len(values):
        least = np.partition(values, len(values) - count)[len(values) - count]
        places = np.flatnonzero(values >= least)
        return places[np.argsort(-values[places], kind="stable")[:count]]
    return np.argsort(-values, kind="stable")[:count]
