"""Rows of a head computed again from queries and keys: softmax over what a token may see, as the engines define it.

    x = first * (q . k);  x = cap * tanh(x / cap) where there is a cap;  x = last * x;  weights = exp(x) / (sum of exp(x) + exp(sink))

over the keys from `bounds[i, 0]` to `bounds[i, 1]`, both included: the causal mask, a sliding window, chunks or everything. `first * last` is
the scale 1/sqrt(d_k) or the model's own. Caps: Gemma 2 (arXiv 2408.00118); a learned sink takes weight that no token gets (gpt-oss).
Source of the plain form: Vaswani et al. 2017, Attention Is All You Need, equation 1.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Rule:
    """How products of queries and keys become weights, in one layer."""

    first: float
    cap: float = 0.0
    """0 for none"""
    last: float = 1.0


def weights(queries: Floats, keys: Floats, rule: Rule, bounds: NDArray[np.int32], sink: float | None = None) -> Floats:
    """Rows of one head: queries [rows, width], keys [tokens, width], bounds [rows, 2] -> weights [rows, tokens]. `sink`: its logit."""
    x = queries.astype(np.float32, copy=False) @ keys.astype(np.float32, copy=False).T
    x *= np.float32(rule.first)
    if rule.cap:
        x /= np.float32(rule.cap)
        np.tanh(x, out=x)
        x *= np.float32(rule.cap)
    if rule.last != 1:
        x *= np.float32(rule.last)
    columns = np.arange(len(keys), dtype=np.int32)
    left, right = int(bounds[:, 0].max()), int(bounds[:, 1].min()) + 1  # between them lies what every row sees
    x[:, :left][columns[:left] < bounds[:, :1]] = -np.inf
    x[:, right:][columns[right:] > bounds[:, 1:]] = -np.inf
    peak = x.max(axis=1, keepdims=True)
    if sink is not None:
        peak = np.maximum(peak, np.float32(sink))
    x -= peak
    np.exp(x, out=x)
    total = x.sum(axis=1, keepdims=True, dtype=np.float32)
    if sink is not None:
        total += np.exp(np.float32(sink) - peak)
    x /= total
    return x


def bounds_of(seen: NDArray[np.bool_]) -> NDArray[np.int32] | None:
    """The first and last column that each row of a mask sees, [rows, 2]; None where a row sees nothing, or has a gap between them."""
    count = seen.sum(axis=1)
    low = seen.argmax(axis=1)
    high = seen.shape[1] - 1 - seen[:, ::-1].argmax(axis=1)
    if not count.all() or (high - low + 1 != count).any():
        return None
    return np.stack([low, high], axis=1).astype(np.int32)
