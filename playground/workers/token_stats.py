"""What one row of logits says by itself: the likeliest tokens, log-probabilities, entropy. A whole vocabulary in tenths of milliseconds.

Knows no sampler: this is the model's own opinion.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

_BLOCK = 64
_IN_BLOCK = np.arange(_BLOCK)
_NOTHING = np.empty(0, np.intp)


class Row:
    """Statistics of rows of one length; buffers are kept between rows. `read` it, then ask."""

    def __init__(self, n_vocab: int) -> None:
        self._shifted = np.empty(n_vocab, np.float32)
        self._weights = np.empty(n_vocab, np.float32)
        self._order = _NOTHING
        self.logits = self._shifted
        self.entropy = 0.0
        """nats"""
        self._peak = 0.0
        self._log_sum = 0.0

    def read(self, logits: NDArray[np.float32]) -> bool:
        """Takes a row (a view is enough: it is used until the next). False if it holds no distribution: NaN, +inf or only -inf."""
        self.logits = logits
        self._order = _NOTHING
        peak = float(logits.max())
        if not math.isfinite(peak):
            return False
        shifted, weights = self._shifted, self._weights
        with np.errstate(over="ignore", invalid="ignore"):
            np.subtract(logits, np.float32(peak), out=shifted)
            np.exp(shifted, out=weights)
            total = float(weights.sum())
            mean = float(np.dot(weights, shifted))
        if mean != mean:  # 0 * -inf: tokens that the model itself rules out add nothing
            mean = float(np.dot(weights, np.where(weights > 0, shifted, np.float32(0))))
        self._peak = peak
        self._log_sum = math.log(total)
        self.entropy = max(0.0, self._log_sum - mean / total)
        return True

    def logprob(self, token: int) -> float:
        """The natural logarithm of the token's probability under the raw logits."""
        return float(self.logits[token]) - self._peak - self._log_sum

    def likeliest(self, count: int) -> NDArray[np.intp]:
        """The tokens with the highest logits, highest first, the lower id first among equals. Asked for once, fewer cost nothing."""
        if count > len(self._order):
            self._order = _highest(self.logits, count)
        return self._order[:count]


def _highest(logits: NDArray[np.float32], count: int) -> NDArray[np.intp]:
    """The places of the `count` highest values.

    Of a long row, only the blocks with the highest maxima are looked at: no other block can hold one of the `count` highest.
    """
    whole = len(logits) // _BLOCK * _BLOCK
    if 8 * _BLOCK * count < len(logits):
        peaks = logits[:whole].reshape(-1, _BLOCK).max(axis=1)
        least = np.partition(peaks, len(peaks) - count)[len(peaks) - count]
        blocks = np.flatnonzero(peaks >= least)
        if len(blocks) <= 2 * count:  # more only if many are equal
            places = (blocks[:, None] * _BLOCK + _IN_BLOCK).ravel()
            if whole < len(logits):
                places = np.concatenate((places, np.arange(whole, len(logits))))
            return places[_sorted(logits[places], count)]
    return _sorted(logits, count)


def _sorted(values: NDArray[np.float32], count: int) -> NDArray[np.intp]:
    if 4 * count < len(values):
        least = np.partition(values, len(values) - count)[len(values) - count]
        places = np.flatnonzero(values >= least)
        return places[np.argsort(-values[places], kind="stable")[:count]]
    return np.argsort(-values, kind="stable")[:count]
