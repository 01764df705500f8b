"""Logits from the highest down: sorted once, and kept in order while some of them change. What `live_chain` cuts its candidates from.

An order whose logits have changed is made from the one before, by moving what changed, in arrays that are used again. Knows no stage of a
chain.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from playground.decoding.chain import Floats, Ids


class Buffers:
    """Arrays as long as the vocabulary, used again: fresh ones cost more than what is computed in them."""

    def __init__(self, length: int) -> None:
        self._length = length
        self._known: dict[tuple[str, Any], Any] = {}

    def get(self, name: str, dtype: Any = np.float32) -> Any:
        known = self._known.get((name, dtype))
        if known is None:
            known = self._known[name, dtype] = np.empty(self._length, dtype)
        return known

    def exponentials(self, logits: Floats, peak: np.float32, name: str) -> Floats:
        """exp(logit - peak) as `chain` rounds it, in a buffer."""
        count = len(logits)
        out, wide = self.get(name)[:count], self.get("wide", np.float64)[:count]
        with np.errstate(over="ignore", invalid="ignore"):
            np.subtract(logits, peak, out=out)
        np.copyto(wide, out)
        np.exp(wide, out=wide)
        np.copyto(out, wide, casting="same_kind")
        result: Floats = out
        return result


class Order:
    """All tokens from the highest logit down, the lower id first among equals. `name` tells its buffers from others'."""

    def __init__(
        self, by_id: Floats, ids: Ids, logits: Floats, buffers: Buffers, name: str = "model", weights: Floats | None = None
    ) -> None:
        self.by_id = by_id
        self.ids = ids
        self.logits = logits
        self.name = name
        self._buffers = buffers
        self._weights = weights
        self._places: Ids | None = None
        self._negative: Floats | None = None

    @property
    def weights(self) -> Floats:
        """exp(logit - highest), in this order."""
        if self._weights is None:
            self._weights = self._buffers.exponentials(self.logits, self.logits[0], f"weights of {self.name}")
        return self._weights

    def changed(self, used: NDArray[np.int64], logits: Floats, by_id: Floats) -> Order:
        """The order after some tokens' logits have changed: what lies between their old and new places moves as it is.

        `used` and `logits`: which tokens, and what they have now; `by_id`: all logits, the changed ones among them.
        """
        turn = np.lexsort((used, -logits))
        used, logits = used[turn], logits[turn]
        entering = self._above(logits, used)
        leaving = np.sort(self._standing()[used]).astype(np.int64)
        ids, values = self._buffers.get("merged ids", np.int32), self._buffers.get("merged logits")
        # The weights of the others stay as they are while the highest logit does.
        same_peak = bool(logits[0] <= self.logits[0] and leaving[0] > 0)
        weights: Floats | None = self._buffers.get("merged weights") if same_peak else None
        moved = ((ids, self.ids, used), (values, self.logits, logits))
        if weights is not None:
            with np.errstate(over="ignore", invalid="ignore"):
                mine = np.exp((logits - self.logits[0]).astype(np.float64)).astype(np.float32)
            moved = (*moved, (weights, self.weights, mine))  # type: ignore[assignment]
        # Events by their place in the old order: 0 an arrival before it, 1 a departure at it.
        events = sorted([*((place, 0) for place in entering.tolist()), *((place, 1) for place in leaving.tolist())])
        source = target = arrived = 0
        for place, departure in [*events, (len(self.ids), 2)]:
            count = place - source
            if count > 0:
                for new, old, _ in moved:
                    new[target : target + count] = old[source:place]
                source, target = place, target + count
            if departure == 0:
                for new, _, extra in moved:
                    new[target] = extra[arrived]
                target, arrived = target + 1, arrived + 1
            elif departure == 1:
                source = place + 1
        return Order(by_id, ids, values, self._buffers, "penalties", weights)

    def divided(self, temperature: np.float32, by_id: Floats) -> Order:
        """The order of quotients: different logits may have become equal, which later cuts break by id. `by_id`: all the quotients."""
        values = np.divide(self.logits, temperature, out=self._buffers.get("divided logits"))
        ids = self._buffers.get("divided ids", np.int32)
        np.copyto(ids, self.ids)
        equal = values[1:] == values[:-1]
        if bool((equal & (ids[:-1] > ids[1:])).any()):
            tied = np.zeros(len(ids), np.bool_)
            tied[1:] = equal
            tied[:-1] |= equal
            places = np.flatnonzero(tied)
            runs = np.cumsum(~np.concatenate(([False], equal)))[places]
            ids[places] = ids[places][np.lexsort((ids[places], runs))]
        return Order(by_id, ids, values, self._buffers, "tempered")

    def _standing(self) -> Ids:
        """Of every token, by id, where it stands in this order."""
        if self._places is None:
            self._places = self._buffers.get(f"places of {self.name}", np.int32)
            self._places[self.ids] = np.arange(len(self.ids), dtype=np.int32)
        return self._places

    def _above(self, logits: Floats, ids: NDArray[np.int64]) -> NDArray[np.int64]:
        """How many tokens of this order would stand before each of these."""
        if self._negative is None:
            self._negative = np.negative(self.logits, out=self._buffers.get(f"negative of {self.name}"))
        low = np.searchsorted(self._negative, -logits, side="left")
        high = np.searchsorted(self._negative, -logits, side="right")
        return np.array(
            [
                start + int(np.searchsorted(self.ids[start:end], each))
                for start, end, each in zip(low.tolist(), high.tolist(), ids.tolist(), strict=True)
            ],
            np.int64,
        )


def sort(logits: Floats, buffers: Buffers) -> Order:
    """Logits by id, sorted: one sort of 64-bit keys, several times as fast as by index."""
    bits = (logits + np.float32(0)).view(np.uint32)  # -0 is 0
    keys = np.where(bits >> 31, bits, ~bits & np.uint32(0x7FFFFFFF)).astype(np.uint64) << np.uint64(32)
    keys |= np.arange(len(logits), dtype=np.uint64)
    keys.sort()
    ids: Ids = (keys & np.uint64(0xFFFFFFFF)).astype(np.int32)
    return Order(logits, ids, logits[ids], buffers)
