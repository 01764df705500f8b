"""A BPE's merges: read in both spellings, and looked through for what they lead to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..errors import ModelFileError

Pair = tuple[str, str]


def pairs(model: Mapping[str, Any]) -> list[Pair]:
    """The merges of tokenizer.json's model in their order. Raises ModelFileError."""
    given = model.get("merges") or []
    try:
        if given and isinstance(given[0], str):
            found = [(left, right) for left, right in (merge.split(" ") for merge in given)]
        else:
            found = [(left, right) for left, right in given]
        if not all(isinstance(left, str) and isinstance(right, str) and left and right for left, right in found):
            raise ValueError
    except (TypeError, ValueError, AttributeError, KeyError):
        raise ModelFileError("tokenizer.json is damaged: its merges make no sense.", "Download the model again.") from None
    return found


def spelled(found: Sequence[Pair]) -> list[str]:
    """As GGUF has them: the two parts with a space between. Raises ModelFileError for parts with a space of their own."""
    if any(" " in left or " " in right for left, right in found):
        raise ModelFileError(
            "The tokenizer merges across spaces, which GGUF cannot say.", "Use the folder with the transformers engine."
        )
    return [f"{left} {right}" for left, right in found]


def unreachable(vocab: Mapping[str, int], found: Sequence[Pair]) -> list[str]:
    """Tokens that merging their own letters does not give."""
    ranks = {pair: rank for rank, pair in enumerate(found)}
    return [token for token in vocab if len(token) > 1 and merged(token, ranks) != [token]]


def merged(word: str, ranks: Mapping[Pair, int]) -> list[str]:
    """What BPE makes of a word: again and again the pair of the lowest rank, the leftmost first."""
    parts = list(word)
    while len(parts) > 1:
        rank, place = min((ranks.get((parts[i], parts[i + 1]), len(ranks)), i) for i in range(len(parts) - 1))
        if rank == len(ranks):
            break
        parts[place : place + 2] = [parts[place] + parts[place + 1]]
    return parts
