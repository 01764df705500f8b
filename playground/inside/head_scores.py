"""What a head does, as six numbers from 0 to 1, each a mean over rows of its map. Added up row by row while a text is captured.

previous     weight on the token just before: mean of A[i, i-1] over i >= 1.
             Previous-token heads: Elhage et al. 2021, A Mathematical Framework for Transformer Circuits.
sink         weight on the first token: mean of A[i, 0] over i >= 1.
             Attention sinks: Xiao et al. 2023, Efficient Streaming Language Models with Attention Sinks (arXiv 2309.17453).
induction    weight on tokens that followed an earlier occurrence of this token: mean, over the rows i that have such a place, of the sum of
             A[i, j+1] over all j with j + 1 < i and token[j] = token[i].
             The prefix-matching score of Olsson et al. 2022, In-context Learning and Induction Heads (arXiv 2209.11895), on the text at hand
             instead of on random tokens said twice: only a text that repeats itself can show it.
duplicate    weight on earlier occurrences of the same token: mean, over rows that have one, of the sum of A[i, j] over j < i with
             token[j] = token[i]. Duplicate-token heads: Wang et al. 2022, Interpretability in the Wild (arXiv 2211.00593).
local        weight within the nearest tokens: mean, over rows with more than LOCAL tokens in sight, of the sum of A[i, j] over |i - j| < LOCAL.
             Local or diagonal patterns: Kovaleva et al. 2019, Revealing the Dark Secrets of BERT (arXiv 1908.08593); the width is ours.
uniform      how evenly a row is spread: mean over rows of the entropy -sum A ln A, divided by ln n, its greatest value over the n tokens in sight;
             1 is uniform, 0 a single token. Entropy of heads: Clark et al. 2019, What Does BERT Look At? (arXiv 1906.04341).

A score that no row of the text has a say in is NaN. In sight are the tokens up to i, or all of them in an encoder; a window that hides some
more of them counts as weight 0 there. Of a cross attention, whose rows and columns are two texts, only `sink` and `uniform` mean anything; the
other scores are NaN.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

NAMES = ("previous", "sink", "induction", "duplicate", "local", "uniform")
LOCAL = 8
"""tokens that are near, the token itself among them"""

_PART = 1 << 20
"""cells whose entropy is computed at a time"""


class HeadScores:
    """Adds up the rows of all heads of a layer. The order of calls does not matter; every row once."""

    def __init__(self, tokens: Sequence[int], heads: int, causal: bool, cross: bool = False) -> None:
        """`tokens` of the rows. `cross`: the columns are another text's."""
        self._causal, self._cross = causal, cross
        self._sums = np.zeros((heads, len(NAMES)))
        self._rows = np.zeros(len(NAMES))
        self._tokens = np.array(tokens, np.int64)

    def add(self, start: int, weights: NDArray[np.float32]) -> None:
        """Rows `start` and following: weights of shape [heads, rows, columns]; a causal one's may end at the last row's own."""
        _, count, length = weights.shape
        rows = np.arange(start, start + count)
        seen = rows + 1 if self._causal else np.full(count, length)
        if self._cross:
            if length > 1:
                self._add(1, weights[:, :, 0], count)
                self._add_entropy(seen, weights)
            return
        at = np.flatnonzero(rows >= 1)
        self._add(0, weights[:, at, rows[at] - 1], len(at))
        self._add(1, weights[:, at, 0], len(at))
        # Places where the row's token has been before: [rows, columns].
        again = self._tokens[rows, None] == self._tokens[: rows[-1]]
        places, columns = np.nonzero(again & (np.arange(rows[-1]) < rows[:, None]))
        self._add_pairs(3, weights, places, columns)
        behind = columns + 1 < rows[places]
        self._add_pairs(2, weights, places[behind], columns[behind] + 1)
        near = np.flatnonzero(seen > LOCAL)
        columns = rows[near, None] + np.arange(-LOCAL + 1, 1 if self._causal else LOCAL)
        places, which = np.nonzero((columns >= 0) & (columns < length))
        self._add(4, weights[:, near[places], columns[places, which]], len(near))
        self._add_entropy(seen, weights)

    def _add(self, which: int, weights: NDArray[np.float32], rows: int) -> None:
        self._sums[:, which] += weights.sum(axis=1, dtype=np.float64)
        self._rows[which] += rows

    def _add_pairs(
        self, which: int, weights: NDArray[np.float32], places: NDArray[np.int64], columns: NDArray[np.int64]
    ) -> None:
        self._add(which, weights[:, places, columns], len(np.unique(places)))

    def _add_entropy(self, seen: NDArray[np.int64], weights: NDArray[np.float32]) -> None:
        heads, count, length = weights.shape
        first = int(seen[0] == 1)  # a row that sees one token has no entropy to speak of
        most = np.log(seen[first:])
        step = max(1, _PART // max(1, count * length))
        for head in range(0, heads if len(most) else 0, step):
            part = np.maximum(weights[head : head + step, first:], np.float32(1e-30))
            entropy = -np.einsum("hrc,hrc->hr", part, np.log(part))
            self._sums[head : head + step, 5] += (entropy / most).sum(axis=1, dtype=np.float64)
        self._rows[5] += len(most)

    def scores(self) -> NDArray[np.float32]:
        """[heads, scores], in the order of `NAMES`."""
        with np.errstate(invalid="ignore"):
            return (self._sums / np.where(self._rows > 0, self._rows, np.nan)).astype(np.float32)


def of_map(tokens: Sequence[int], weights: NDArray[np.float32], causal: bool = True) -> dict[str, float]:
    """The scores of one map [tokens, tokens], by name."""
    found = HeadScores(tokens, 1, causal)
    found.add(0, weights[None])
    return {name: float(value) for name, value in zip(NAMES, found.scores()[0], strict=True)}
