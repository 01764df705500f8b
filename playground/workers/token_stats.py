"""What one row of logits says by itself: the likeliest tokens, log-probabilities, entropy. A whole vocabulary in tenths of milliseconds.

Knows no sampler: this is the model's own opinion.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

_BLOCK = 64


class Row:
    """Statistics of rows of one length; buffers are kept between rows. `read` it, then ask."""

    def __init__(self, n_vocab: int) -> None:
        self._shifted = np.empty(n_vocab, np.float32)
        self._weights = np.empty(n_vocab, np.float32)
        self._whole = n_vocab // _BLOCK * _BLOCK
        self.logits = self._shifted
        self.entropy = 0.0
        """nats"""
        self._peak = 0.0
        self._log_sum = 0.0

    def read(self, logits: NDArray[np.float32]) -> bool:
        """Takes a row (a view is enough: it is used until the next). False if it holds no distribution: NaN, +inf or only -inf."""
        self.logits = logits
        peak = float(logits.max())
        if not math.isfinite(peak):
            return False
        shifted, weights = self._shifted, self._weights
        np.subtract(logits, np.float32(peak), out=shifted)
        np.exp(shifted, out=weights)
        total = float(weights.sum())
        with np.errstate(invalid="ignore"):
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

    def likeliest(self, count: int) -> list[int]:
        """The tokens with the highest logits, highest first, the lower id first among equals.

        Looks at the blocks with the highest maxima only: no other block can hold one of the `count` highest.
        """
        logits = self.logits
        if count <= 0:
            return []
        if len(logits) > 4096 and count <= 64:
            peaks = logits[: self._whole].reshape(-1, _BLOCK).max(axis=1)
            least = np.partition(peaks, len(peaks) - count)[len(peaks) - count]
            blocks = np.flatnonzero(peaks >= least)
            if len(blocks) <= 16 * count:
                places = (blocks[:, None] * _BLOCK + np.arange(_BLOCK)).ravel()
                places = np.concatenate((places, np.arange(self._whole, len(logits))))
                return _highest(places, logits[places], count)
        if len(logits) > 4 * count:
            least = np.partition(logits, len(logits) - count)[len(logits) - count]
            places = np.flatnonzero(logits >= least)
            return _highest(places, logits[places], count)
        return _highest(np.arange(len(logits)), logits, count)


def _highest(places: NDArray[np.intp], values: NDArray[np.float32], count: int) -> list[int]:
    order = np.argsort(-values, kind="stable")[:count]
    return [int(each) for each in places[order]]
