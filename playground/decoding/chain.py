"""The one definition of the sampler chain: from a model's logits to the distribution that the next token is drawn from, stage by stage.

Engines sample with their own fast means and are tested against this. The arithmetic is that of llama.cpp (float32, sums in the order
of the candidates), so that the same tokens survive:

    penalties    logit / r (times r, if not positive) - count * frequency - presence, for tokens among the last `repeat_last_n`
    top_k        the k highest logits stay
    top_p        the likeliest that together reach p stay (the one that reaches it included)
    min_p        those with at least p times the likeliest one's probability stay
    temperature  logits / T

At least one token always stays. Of equal logits at a cut, the lower ids stay here; llama.cpp leaves open which. Temperature 0 is
greedy: the likeliest after the penalties has probability 1, wherever the stages stand. Knows no engine, no vocabulary and no chance.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from playground.params import SamplingSettings

Floats = NDArray[np.float32]
Ids = NDArray[np.int32]

_STEPS = (256, 4096)
"""How many of the likeliest top-p looks at before it sorts all."""


@dataclass(frozen=True)
class Stage:
    """The candidates after one stage, and the distribution over them if the chain ended there.

    `name` is `model` for the raw logits, then those of `settings.stages`. `ids`, `logits` and `probabilities` go together, in the order
    of ids until a stage had to sort, then the likeliest first (as long as `sorted`).
    """

    name: str
    ids: Ids
    logits: Floats
    probabilities: Floats
    sorted: bool = False

    def __len__(self) -> int:
        return len(self.ids)

    def probability(self, token: int) -> float:
        """Of one token; 0 if it was cut off."""
        found = np.flatnonzero(self.ids == token)
        return float(self.probabilities[found[0]]) if len(found) else 0.0

    def likeliest(self, count: int) -> list[tuple[int, float]]:
        """The `count` likeliest tokens with their probabilities, the likeliest first, the lower id first among equals."""
        order = _highest(self.logits, min(count, len(self)))
        return [(int(self.ids[place]), float(self.probabilities[place])) for place in order]


def model_stage(logits: Floats) -> Stage:
    """The softmax of raw logits (float32 [vocabulary]): what `stages` begins with, to be kept while settings move."""
    logits = np.ascontiguousarray(logits, np.float32)
    if not len(logits) or not np.isfinite(peak := logits.max()) or np.isnan(peak):
        raise ValueError("logits must hold a finite maximum and no NaN")
    return Stage("model", np.arange(len(logits), dtype=np.int32), logits, softmax(logits))


def stages(logits: Floats | Stage, settings: SamplingSettings, tokens: Sequence[int] = ()) -> tuple[Stage, ...]:
    """The distribution of a model's logits (float32 [vocabulary], or their `model_stage`), and after each stage of the settings.

    `tokens` are those before, prompt included: the penalties look at the last `repeat_last_n` of them. A stage that is off leaves all
    as it was. The last one is what the token is drawn from.
    """
    found = [logits if isinstance(logits, Stage) else model_stage(logits)]
    greedy_after = max(settings.stages.index("penalties"), settings.stages.index("temperature"))
    for place, name in enumerate(settings.stages):
        after = _apply(name, found[-1], settings, tokens)
        if settings.greedy and place == greedy_after:
            after = _greedy(after)
        found.append(Stage(name, after.ids, after.logits, after.probabilities, after.sorted))
    return tuple(found)


def distribution(logits: Floats | Stage, settings: SamplingSettings, tokens: Sequence[int] = ()) -> Stage:
    """What the next token is drawn from: the last of `stages`."""
    return stages(logits, settings, tokens)[-1]


def softmax(logits: Floats) -> Floats:
    """Probabilities, float32; exponentials correctly rounded, as the C library's are."""
    weights = _weights(logits)
    probabilities: Floats = (weights / weights.sum(dtype=np.float64)).astype(np.float32)
    return probabilities


def _apply(name: str, before: Stage, settings: SamplingSettings, tokens: Sequence[int]) -> Stage:
    if name == "penalties":
        return _penalties(before, settings, tokens)
    if name == "top_k":
        return _top_k(before, settings.top_k)
    if name == "top_p":
        return _top_p(before, settings.top_p)
    if name == "min_p":
        return _min_p(before, settings.min_p)
    return _temperature(before, settings.temperature)


def _penalties(before: Stage, settings: SamplingSettings, tokens: Sequence[int]) -> Stage:
    repetition, frequency, presence = settings.repetition_penalty, settings.frequency_penalty, settings.presence_penalty
    recent = np.asarray(tokens[-settings.repeat_last_n :] if settings.repeat_last_n else (), np.int64)
    if not len(recent) or (repetition == 1 and frequency == 0 and presence == 0):
        return before
    used, counts = np.unique(recent, return_counts=True)
    hit = np.flatnonzero(np.isin(before.ids, used))
    if not len(hit):
        return before
    logits = before.logits.copy()
    value = logits[hit]
    count = counts[np.searchsorted(used, before.ids[hit])].astype(np.float32)
    factor = np.float32(repetition)
    value = np.where(value <= 0, value * factor, value / factor)
    logits[hit] = value - (count * np.float32(frequency) + np.float32(presence))
    return Stage("", before.ids, logits, softmax(logits), False)


def _top_k(before: Stage, k: int) -> Stage:
    if k <= 0:
        return before
    k = min(k, len(before))
    return _kept(before, np.arange(k) if before.sorted else _highest(before.logits, k), True)


def _top_p(before: Stage, p: float) -> Stage:
    if p >= 1:
        return before
    weights = _weights(before.logits)
    probabilities = weights / np.cumsum(weights, dtype=np.float32)[-1]
    order = np.arange(len(before))
    for count in (*(step for step in _STEPS if 4 * step < len(before)), len(before)):
        if not before.sorted:
            order = _highest(before.logits, count)
        reached = np.cumsum(probabilities[order], dtype=np.float32) >= np.float32(p)
        if reached.any():
            order = order[: int(reached.argmax()) + 1]
            break
    return _kept(before, order, True)


def _min_p(before: Stage, p: float) -> Stage:
    if p <= 0:
        return before
    least = before.logits.max() + np.float32(math.log(np.float32(p)))
    return _kept(before, np.flatnonzero(before.logits >= least), before.sorted)


def _temperature(before: Stage, temperature: float) -> Stage:
    if temperature in (0, 1):
        return before
    logits = before.logits / np.float32(temperature)
    return Stage("", before.ids, logits, softmax(logits), before.sorted)


def _greedy(before: Stage) -> Stage:
    return _kept(before, np.array([int(before.logits.argmax())]), True)


def _kept(before: Stage, places: NDArray[np.intp], is_sorted: bool) -> Stage:
    logits = before.logits[places]
    return Stage("", before.ids[places], logits, softmax(logits), is_sorted)


def _weights(logits: Floats) -> Floats:
    with np.errstate(over="ignore"):
        shifted = logits - logits.max()
    weights: Floats = np.exp(shifted.astype(np.float64)).astype(np.float32)
    return weights


def _highest(values: Floats, count: int) -> NDArray[np.intp]:
    """The places of the `count` highest values, highest first, earlier ones first among equals."""
    if 4 * count < len(values):
        least = np.partition(values, len(values) - count)[len(values) - count]
        places = np.flatnonzero(values >= least)
        return places[np.argsort(-values[places], kind="stable")[:count]]
    return np.argsort(-values, kind="stable")[:count]
