"""Attention through all layers at once, and the difference of two maps.

Rollout (Abnar & Zuidema 2020, Quantifying Attention Flow in Transformers, arXiv 2005.00928, section 3): of each layer the mean of its heads, half of
it replaced by the identity for the residual connection, rows made to sum to 1 again; the product of these matrices up to a layer says how
much of each input token is in each place. It takes attention for the only way that information flows, which it is not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
from numpy.typing import NDArray

from playground.errors import DataError

Map = NDArray[np.float32]


def with_residual(mean: Map) -> Map:
    """A layer's mean [tokens, tokens] with the residual connection in it, rows summing to 1."""
    found = mean * np.float32(0.5)
    found[np.diag_indices_from(found)] += np.float32(0.5)
    found /= found.sum(axis=1, keepdims=True)
    return found


def rollout(means: Iterable[Map]) -> Map:
    """Of the means of layers, the first layer first: [tokens, tokens], rows summing to 1."""
    found: Map | None = None
    for mean in means:
        layer = with_residual(mean)
        found = layer if found is None else layer @ found
    if found is None:
        raise DataError("There is no layer to follow attention through.", "Capture all layers.")
    return found


def rollout_row(mean: Callable[[int], Map], layers: int, row: int) -> Map:
    """One row of the rollout through layers 0 to `layers` - 1, [tokens]: a vector goes down, which is a hundredth of the work."""
    if layers < 1:
        raise DataError("There is no layer to follow attention through.", "Capture all layers.")
    found = with_residual(mean(layers - 1))[row]
    for layer in range(layers - 2, -1, -1):
        found = found @ with_residual(mean(layer))
    return np.asarray(found, np.float32)


def difference(one: Map, other: Map) -> Map:
    """`other - one`, from -1 to 1. DataError where the texts have different lengths."""
    if one.shape != other.shape:
        raise DataError(
            f"The two maps are of texts with {len(one):,} and {len(other):,} tokens: they have no difference.",
            "Compare captures of the same tokens.",
        )
    return other - one
