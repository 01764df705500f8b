"""How many cells of a KV cache sequences may come to need: one a token, those of a common prompt once. Knows no engine."""

from __future__ import annotations

from collections.abc import Sequence


def growth(window: int, shared: int, limits: Sequence[int], own: Sequence[int] = (), scales: Sequence[float] = ()) -> list[int]:
    """How many cells each of several sequences may need beside the `shared` tokens that all begin with.

    limits  the most tokens each may say, 0: until its window of `window` tokens is full
    own     prompt tokens of its own
    scales  of an adapter: what is shared is computed once for each
    """
    found = []
    for number, limit in enumerate(limits):
        mine = own[number] if own else 0
        rest = max(0, window - shared - mine)
        repeated = shared if scales and scales[number] not in scales[: max(1, number)] else 0
        found.append(mine + min(limit or rest, rest) + repeated)
    return found
