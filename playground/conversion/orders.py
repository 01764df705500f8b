"""Rows of weight matrices in the order that llama.cpp wants them. Pure numpy on blocks of rows; a bias is a matrix of one column.

Every function takes an array [rows, columns] of any number format and gives back the same elements in another order.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def interleave(block: Array, head: int, rotated: int = 0) -> Array:
    """Rows of whole heads of `head` rows each, from "halves" to "pairs".

    Transformers rotates element i of a head together with element i + rotated / 2, llama.cpp's NORM kind of RoPE rotates neighbours: the
    same mathematics once the rows of queries and keys are reordered. `rotated` is the part of a head that is rotated, 0 for all of it.
    """
    rotated = rotated or head
    heads = block.reshape(-1, head, block.shape[-1])
    pairs = heads[:, :rotated].reshape(len(heads), 2, rotated // 2, -1).swapaxes(1, 2)
    if rotated == head:
        return pairs.reshape(block.shape)
    return np.concatenate([pairs.reshape(len(heads), rotated, -1), heads[:, rotated:]], axis=1).reshape(block.shape)


def transposed(block: Array) -> Array:
    """A whole matrix the other way round: GPT-2 stores [inputs, outputs]."""
    return block.T


def ungrouped(block: Array, groups: int, head: int, queries: int) -> Array:
    """A whole fused matrix that has for each group its query heads, then a key and a value head: all queries, then keys, then values.

    `groups` is the number of key heads, `queries` that of query heads in a group. GPT-NeoX and Falcon store their attention so.
    """
    parts = block.reshape(groups, queries + 2, head, block.shape[-1])
    columns = block.shape[-1]
    return np.concatenate(
        [
            parts[:, :queries].reshape(-1, columns),
            parts[:, queries].reshape(-1, columns),
            parts[:, queries + 1].reshape(-1, columns),
        ]
    )
