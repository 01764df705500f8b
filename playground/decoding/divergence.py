"""How far one model's next-token distributions are from another's, in numpy: KL divergence, perplexity, agreement. Natural logarithms.

Takes raw logits, row by row; knows no model and no text. Sums run in float64 over blocks of rows, so that a vocabulary of 152,000 takes
a few megabytes beside the logits themselves.

Definitions are those of llama.cpp's perplexity tool (tools/perplexity/perplexity.cpp: `perplexity`, `kl_divergence`): perplexity is
exp(mean of -log q(next token)); its standard error is perplexity * s / sqrt(n - 1) with s the standard deviation of -log q; KL is
sum of p * (log p - log q) over the vocabulary, p the original's; percentiles interpolate linearly. Two things are exact here that the tool
rounds: it keeps the original's log-probabilities in 16 bits, and leaves out tokens below exp(-16).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

BLOCK = 1 << 18
"""logits that are worked on at a time"""

Logits = NDArray[np.float32]
Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class Places:
    """One number for each predicted position: the negative log-probabilities of the token that came, the divergence, both models' agreement."""

    base_nll: Numbers
    nll: Numbers
    kl: Numbers
    same_top: NDArray[np.bool_]

    @property
    def usable(self) -> bool:
        """False if any logit was no number, or the token that came was impossible."""
        return bool(np.isfinite(self.nll).all() and np.isfinite(self.base_nll).all() and not np.isnan(self.kl).any())


@dataclass(frozen=True)
class Figures:
    """Means over `positions`, each error the standard error of its mean."""

    positions: int
    perplexity: float
    perplexity_error: float
    kl: float
    kl_error: float
    kl_p99: float
    top1_agreement: float
    log_ratio: float
    """ln(perplexity / perplexity of the original)"""
    log_ratio_error: float
    """of the differences position by position: far smaller than the two perplexities' own errors, which mostly are those of the text"""


def compare(base: Logits, mine: Logits, targets: NDArray[np.int64]) -> Iterator[Places]:
    """Compares logits of shape [positions, vocabulary], block by block; `targets` are the tokens that came. The same array twice is an
    original measured alone.
    """
    rows = max(1, BLOCK // max(1, base.shape[1]))
    for start in range(0, len(targets), rows):
        part = slice(start, start + rows)
        yield _compare(base[part], base[part] if mine is base else mine[part], targets[part])


def _compare(base: Logits, mine: Logits, targets: NDArray[np.int64]) -> Places:
    alone = mine is base
    place = np.arange(len(targets))
    with np.errstate(invalid="ignore", divide="ignore"):
        x = base.astype(np.float64)
        x -= x.max(axis=1, keepdims=True)
        p = np.exp(x)
        total = p.sum(axis=1)
        base_nll = np.log(total) - x[place, targets]
        top = base.argmax(axis=1)
        if alone:
            return Places(base_nll, base_nll, base_nll * 0.0, np.ones(len(targets), np.bool_))
        y = mine.astype(np.float64)
        y -= y.max(axis=1, keepdims=True)
        log_total = np.log(np.exp(y).sum(axis=1))
        nll = log_total - y[place, targets]
        x -= y
        if not np.isfinite(x).all():  # what the original rules out counts nothing, whatever the other says of it
            x = np.where(p > 0, x, 0.0)
        kl = np.einsum("ij,ij->i", p, x) / total - np.log(total) + log_total
    return Places(base_nll, nll, np.maximum(kl, 0.0), top == mine.argmax(axis=1))


def figures(places: list[Places]) -> Figures:
    """What the report says of them. ValueError for none."""
    if not sum(len(each.nll) for each in places):
        raise ValueError("no position was compared")
    nll = np.concatenate([each.nll for each in places])
    kl = np.concatenate([each.kl for each in places])
    differences = nll - np.concatenate([each.base_nll for each in places])
    perplexity = math.exp(nll.mean())
    return Figures(
        positions=len(nll),
        perplexity=perplexity,
        perplexity_error=perplexity * standard_error(nll),
        kl=float(kl.mean()),
        kl_error=standard_error(kl),
        kl_p99=float(np.quantile(kl, 0.99)),
        top1_agreement=float(np.concatenate([each.same_top for each in places]).mean()),
        log_ratio=float(differences.mean()),
        log_ratio_error=standard_error(differences),
    )


def standard_error(values: Numbers) -> float:
    """Of the mean: standard deviation / sqrt(n - 1), as llama.cpp's tool has it; 0 for a single value."""
    return float(values.std() / math.sqrt(len(values) - 1)) if len(values) > 1 else 0.0
