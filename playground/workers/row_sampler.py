"""One sequence's sampler chain in numpy over a row of logits, for engines whose library has none of its own.

Only what a draw needs is computed: a chain that begins with a cut to the k likeliest works on those few, and no distribution is made of a
stage that does not ask for one. `decoding.chain` defines what must come out; where a sum decides which tokens stay (top-p), it is added up
exactly as there. The draw takes one number of its generator for every drawn token and none for a greedy one, whatever changes before it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from playground.params import SamplingSettings
from playground.workers.token_stats import Row

Floats = NDArray[np.float32]

_FEW = 4096
"""Up to so many candidates are picked from the row's likeliest instead of looking at the whole vocabulary."""
_DEPTHS = (1, 2, 4, 6, 8, 12)
"""How far below the highest logit top-p looks before it sorts all."""


@dataclass(frozen=True, slots=True)
class Draw:
    """A token, its probability under the settings in force, and all that survived the chain."""

    token: int
    probability: float
    ids: NDArray[Any]
    weights: Floats
    """of the survivors, before they are divided by their sum"""
    total: float

    @property
    def probabilities(self) -> NDArray[np.float64]:
        return self.weights.astype(np.float64) / self.total


class RowSampler:
    """`tokens` is the sequence's whole text so far, prompt included; the caller appends what was drawn."""

    def __init__(self, n_vocab: int, settings: SamplingSettings, tokens: list[int]) -> None:
        self._n_vocab = n_vocab
        self._tokens = tokens
        self._bits = np.random.PCG64(settings.seed)
        self.settings = settings
        self.change(settings)

    def change(self, settings: SamplingSettings) -> SamplingSettings:
        """Takes other settings from the next token on, and gives back those in force: the seed stays what it was."""
        self.settings = settings = replace(settings, seed=self.settings.seed)
        self._stages = active_stages(settings)
        self._window = settings.repeat_last_n if "penalties" in self._stages else 0
        self.few = self._needed()
        """how many of the likeliest tokens a draw needs; 0: the whole vocabulary"""
        return settings

    def draw(self, row: Row) -> Draw:
        """The next token, from a row of logits that was read."""
        if self.settings.greedy and not self._stages:
            return _only(int(row.likeliest(1)[0]))
        ids, logits, is_sorted = self._candidates(row)
        for stage in self._stages:
            if stage == "penalties":
                logits, is_sorted = self._penalised(ids, logits), False
            elif stage == "temperature":
                logits = _cooled(logits, np.float32(self.settings.temperature))
            else:
                places, is_sorted = self._kept(stage, logits, is_sorted)
                ids, logits = ids[places], logits[places]
        if self.settings.greedy:
            return _only(int(ids[logits.argmax()]))
        with np.errstate(over="ignore"):
            weights = np.exp(logits - logits.max())
        sums = np.cumsum(weights.astype(np.float64))  # converted first: five times as fast
        total = float(sums[-1])
        place = int(np.searchsorted(sums, min(self._chance() * total, np.nextafter(total, 0)), "right"))
        return Draw(int(ids[place]), float(weights[place]) / total, ids, weights, total)

    def probabilities(self, draw: Draw, ids: Sequence[int], likeliest: bool = False) -> list[float]:
        """What tokens could have been drawn with; 0 for those that the chain had cut off."""
        if self.settings.greedy:
            return [1.0 if each == draw.token else 0.0 for each in ids]
        found = np.flatnonzero(np.isin(draw.ids, ids))
        known = dict(zip(draw.ids[found].tolist(), draw.weights[found].tolist(), strict=True))
        return [known.get(each, 0.0) / draw.total for each in ids]

    def accept(self, token: int) -> None:
        """The penalties look at `tokens` themselves."""

    def close(self) -> None: ...

    def _chance(self) -> float:
        """A number from 0 to below 1; a bit generator's stream is the same in every version of numpy, its distributions' are not."""
        return float(int(self._bits.random_raw()) >> 11) * 2.0**-53

    def _needed(self) -> int:
        """A chain that begins with top-k needs the k likeliest; if penalties stand before it, also those, and as many more to replace
        the penalised ones. So does a greedy one, with k = 1.
        """
        stages, settings = self._stages, self.settings
        behind = stages[1:] if stages[:1] == ["penalties"] else stages
        first = self._window if behind is not stages else 0
        if behind[:1] == ["top_k"]:
            needed = settings.top_k + first
        elif settings.greedy and not behind:
            needed = 1 + first
        else:
            return 0
        return needed if needed <= min(_FEW, self._n_vocab) else 0

    def _candidates(self, row: Row) -> tuple[NDArray[Any], Floats, bool]:
        if not self.few:
            return np.arange(self._n_vocab), row.logits, False
        ids: NDArray[Any] = row.likeliest(self.few)
        is_sorted = True
        if self._window:
            ids, is_sorted = np.union1d(ids, self._tokens[-self._window :]), False
        return ids, row.logits[ids], is_sorted

    def _penalised(self, ids: NDArray[Any], logits: Floats) -> Floats:
        settings = self.settings
        used, counts = np.unique(self._tokens[-self._window :], return_counts=True)
        hit = np.flatnonzero(np.isin(ids, used))
        value = logits[hit]
        count = counts[np.searchsorted(used, ids[hit])].astype(np.float32)
        factor = np.float32(settings.repetition_penalty)
        value = np.where(value <= 0, value * factor, value / factor)
        logits = logits.copy()
        logits[hit] = value - (count * np.float32(settings.frequency_penalty) + np.float32(settings.presence_penalty))
        return logits

    def _kept(self, stage: str, logits: Floats, is_sorted: bool) -> tuple[Any, bool]:
        """The places that a cut leaves, and whether they now stand with the highest logit first."""
        settings = self.settings
        if stage == "top_k":
            count = min(settings.top_k, len(logits))
            return (slice(0, count) if is_sorted else highest(logits, count)), True
        if stage == "top_p":
            return _nucleus(logits, settings.top_p, is_sorted), True
        least = logits.max() + np.float32(math.log(np.float32(settings.min_p)))
        return np.flatnonzero(logits >= least), is_sorted


def active_stages(settings: SamplingSettings) -> list[str]:
    """The stages that do anything, in their order. Of a greedy chain, only what stands before the penalties can change the choice."""
    penalties = (settings.repetition_penalty, settings.frequency_penalty, settings.presence_penalty)
    on = {
        "penalties": settings.repeat_last_n > 0 and penalties != (1, 0, 0),
        "top_k": settings.top_k > 0,
        "top_p": settings.top_p < 1,
        "min_p": settings.min_p > 0,
        "temperature": settings.temperature not in (0, 1),
    }
    order = [stage for stage in settings.stages if on[stage]]
    if settings.greedy:
        order = order[: order.index("penalties") + 1] if "penalties" in order else []
    return order


def highest(values: Floats, count: int) -> NDArray[np.intp]:
    """The places of the `count` highest values, highest first, earlier ones first among equals."""
    if 4 * count < len(values):
        least = np.partition(values, len(values) - count)[len(values) - count]
        places = np.flatnonzero(values >= least)
        return places[np.argsort(-values[places], kind="stable")[:count]]
    return np.argsort(-values, kind="stable")[:count]


def _cooled(logits: Floats, temperature: np.float32) -> Floats:
    with np.errstate(over="ignore"):
        scaled: Floats = logits / temperature
        if not np.isfinite(scaled.max()):  # numbers too large to be divided: their differences are what counts
            scaled = (logits - logits.max()) / temperature
    return scaled


def _nucleus(logits: Floats, p: float, is_sorted: bool) -> Any:
    with np.errstate(over="ignore"):
        weights = np.exp((logits - logits.max()).astype(np.float64)).astype(np.float32)
    shares = weights / np.cumsum(weights, dtype=np.float32)[-1]
    order: Any = np.arange(len(logits))
    if not is_sorted:
        order = _at_least(logits, shares, p)
        order = order[np.argsort(-logits[order], kind="stable")]
    reached = np.cumsum(shares[order], dtype=np.float32) >= np.float32(p)
    return order[: int(reached.argmax()) + 1] if reached.any() else order


def _at_least(logits: Floats, shares: Floats, p: float) -> NDArray[np.intp]:
    """The places of the highest logits, as many as surely hold the share `p` (with room for rounding), in order of place."""
    if len(logits) > _FEW:
        peak = logits.max()
        for depth in _DEPTHS:
            above = logits >= peak - np.float32(depth)
            if float(shares[above].sum(dtype=np.float64)) > p + 1e-3:
                return np.flatnonzero(above)
    return np.arange(len(logits))


def _only(token: int) -> Draw:
    return Draw(token, 1.0, np.array([token]), np.ones(1, np.float32), 1.0)
