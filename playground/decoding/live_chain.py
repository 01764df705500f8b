"""The sampler chain over one row of logits while its settings move: only what a setting changes is computed again, at screen rate.

Gives what `chain.stages` gives, the same survivors and the same probabilities. As long as candidates are many they are a beginning of one
sorted order, of which sums and ends are known; once they are few, `chain` itself goes on. Orders of stages for which that does not hold
(penalties behind a cut that left thousands) go through `chain` from there on: right, and slower. Knows no vocabulary and no widget.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from playground.decoding import chain
from playground.decoding.chain import Floats, Ids, Stage
from playground.decoding.logit_order import Buffers, Order, sort
from playground.params import SamplingSettings

FEW = 2048
"""candidates from which on `chain` is quick enough"""

_PENALTIES = ("repetition_penalty", "frequency_penalty", "presence_penalty", "repeat_last_n")


@dataclass(frozen=True, eq=False)
class Step:
    """One stage as the lab shows it. `entropy` in nats of the distribution if the chain ended here, `mass` the share of the model's own."""

    name: str
    kept: int
    mass: float
    entropy: float
    _of: Stage | _Many
    _model: Stage

    @property
    def perplexity(self) -> float:
        return math.exp(self.entropy)

    def probabilities(self, ids: Sequence[int]) -> list[float]:
        """Of these tokens; 0 for those that were cut off."""
        return self._of.chances(ids) if isinstance(self._of, _Many) else _chances(self._of, ids)

    def likeliest(self, count: int) -> list[tuple[int, float]]:
        """As `Stage.likeliest`."""
        if isinstance(self._of, Stage):
            return self._of.likeliest(count)
        ids = self._of.order.ids[: min(count, self.kept)].tolist()
        return list(zip(ids, self._of.chances(ids), strict=True))

    def survivors(self) -> Ids:
        """The tokens left, by id."""
        found: Ids = np.sort(self._of.ids if isinstance(self._of, Stage) else self._of.order.ids[: self.kept])
        return found


class LiveChain:
    """`tokens` are those before, prompt included. Making one sorts the logits once; what `steps` gives is good until its next call."""

    def __init__(self, logits: Floats, tokens: Sequence[int] = ()) -> None:
        self.model = chain.model_stage(logits)
        self.tokens = list(tokens)
        logits = self.model.logits
        self._buffers = Buffers(len(logits))
        self._base = sort(logits, self._buffers)
        self._memo: dict[int, tuple[Any, Any]] = {}
        self._steps: dict[int, tuple[Any, Step]] = {}

    def steps(self, settings: SamplingSettings) -> tuple[Step, ...]:
        """The model's own distribution first, then one for each stage in the settings' order."""
        node: Stage | _Many = _Many(self._base, len(self.model), self._buffers)
        node = self._kept(0, (), lambda: node)
        found = [self._step(0, "model", node)]
        greedy_after = max(settings.stages.index("penalties"), settings.stages.index("temperature"))
        for place, name in enumerate(settings.stages):
            rest = settings.stages[place + 1 :]
            cuts_follow = any(each in rest and _is_on(each, settings) for each in ("top_k", "top_p", "min_p", "penalties"))
            greedy = settings.greedy and place == greedy_after
            key = (id(node), name, _values(name, settings), greedy, cuts_follow and name in ("penalties", "temperature"))
            node = self._kept(
                place + 1, (key, node), lambda name=name, node=node, more=cuts_follow: self._apply(name, node, settings, more)
            )
            if greedy:
                node = _greedy(node)
            found.append(self._step(place + 1, name, node))
        return tuple(found)

    def _kept(self, place: int, key: Any, make: Any) -> Any:
        """What was found for this place of the chain with the same settings before it; a change makes all behind it be found anew."""
        known = self._memo.get(place)
        if known is None or known[0] != key:
            known = self._memo[place] = (key, make())
        return known[1]

    def _step(self, place: int, name: str, node: Stage | _Many) -> Step:
        known = self._steps.get(place)
        if known is not None and known[0] is node and known[1].name == name:
            return known[1]
        if isinstance(node, Stage):
            kept, mass, entropy = len(node), _mass(self.model, node.ids), _entropy(node)
        else:
            kept, entropy = node.count, node.entropy()
            mass = 1.0
            if kept < len(self.model):
                out = self._buffers.get("mass")[:kept]
                shares = np.take(self.model.probabilities, node.order.ids[:kept], out=out, mode="clip")
                mass = min(1.0, float(shares.sum(dtype=np.float64)))
        step = Step(name, kept, mass, entropy, node, self.model)
        self._steps[place] = (node, step)
        return step

    # -- stages

    def _apply(self, name: str, node: Stage | _Many, settings: SamplingSettings, more: bool) -> Stage | _Many:
        if not _is_on(name, settings):
            return node
        if isinstance(node, Stage):
            return chain._apply(name, node, settings, self.tokens)
        if name == "penalties":
            if node.count < len(self.model) or node.is_sorted:
                return chain._apply(name, node.stage(), settings, self.tokens)
            return self._penalties(node, settings)
        if name == "temperature":
            return self._temperature(node, settings.temperature, more)
        if name == "top_k":
            return node.first(min(settings.top_k, node.count), True)
        if name == "top_p":
            return node.first(node.reaching(settings.top_p), True)
        return node.first(node.at_least(settings.min_p), node.is_sorted)

    def _penalties(self, node: _Many, settings: SamplingSettings) -> Stage | _Many:
        recent = self.tokens[-settings.repeat_last_n :]
        before = node.order
        used = np.unique(np.asarray([each for each in recent if 0 <= each < len(before.by_id)], np.int64))
        if not len(used):
            return node
        mine = Stage("", used.astype(np.int32), before.by_id[used], before.by_id[used])
        after = chain._apply("penalties", mine, settings, recent).logits
        by_id = self._buffers.get("penalties")
        np.copyto(by_id, before.by_id)
        by_id[used] = after
        order = before.changed(used, after, by_id)
        return _Many(order, node.count, self._buffers, sums=_moved(node, mine.logits, after, order.logits[0]))

    def _temperature(self, node: _Many, temperature: float, more: bool) -> Stage | _Many:
        by_id = np.divide(node.order.by_id, np.float32(temperature), out=self._buffers.get("tempered"))
        if not more:
            return _Many(node.order, node.count, self._buffers, node.is_sorted, np.float32(temperature), by_id)
        if node.count < len(self.model) or node.is_sorted:
            return chain._apply("temperature", node.stage(), SamplingSettings(temperature=temperature), self.tokens)
        return _Many(node.order.divided(np.float32(temperature), by_id), node.count, self._buffers)


class _Many:
    """The first `count` tokens of an order, at a temperature that did not change which they are."""

    def __init__(
        self,
        order: Order,
        count: int,
        buffers: Buffers,
        is_sorted: bool = False,
        temperature: np.float32 | None = None,
        tempered: Floats | None = None,
        sums: tuple[float, float] | None = None,
    ) -> None:
        """`is_sorted`: whether `chain` would have its arrays in this order by now, rather than by id."""
        self.order = order
        self.count = count
        self.is_sorted = is_sorted
        self._buffers = buffers
        self._temperature = temperature
        self._tempered = tempered
        self._sums = sums
        self._reached: Floats | None = None

    def first(self, count: int, is_sorted: bool) -> Stage | _Many:
        """The likeliest so many of them."""
        if count > FEW:
            return _Many(self.order, count, self._buffers, is_sorted)
        places = np.arange(count) if is_sorted else np.argsort(self.order.ids[:count])
        ids, logits = self.order.ids[:count][places], self.order.logits[:count][places]
        return Stage("", ids, logits, chain.softmax(logits), is_sorted)

    def stage(self) -> Stage:
        """As `chain` would have it."""
        ids = self.order.ids[: self.count] if self.is_sorted else np.sort(self.order.ids[: self.count])
        logits = (self._tempered if self._tempered is not None else self.order.by_id)[ids]
        return Stage("", ids, logits, chain.softmax(logits), self.is_sorted)

    def reaching(self, p: float) -> int:
        """How many of the likeliest together reach p, summed as `chain` sums; all if none do."""
        if self._reached is None:
            weights = self.order.weights[: self.count]
            name = f"reached of {self.order.name}"
            if self.is_sorted:
                total = np.cumsum(weights, dtype=np.float32, out=self._buffers.get("sum")[: self.count])[-1]
            else:  # in the order of ids; what was cut off adds nothing
                scattered = self._buffers.get("scattered")
                if self.count < len(scattered):
                    scattered[:] = 0
                scattered[self.order.ids[: self.count]] = weights
                total = np.cumsum(scattered, dtype=np.float32, out=self._buffers.get("sum"))[-1]
            shares = np.divide(weights, total, out=self._buffers.get("shares")[: self.count])
            self._reached = np.cumsum(shares, dtype=np.float32, out=self._buffers.get(name)[: self.count])
        place = int(np.searchsorted(self._reached, np.float32(p)))
        return min(place + 1, self.count)

    def at_least(self, p: float) -> int:
        """How many have at least p times the likeliest one's probability."""
        logits = self.order.logits[: self.count]
        return int(np.count_nonzero(logits >= logits[0] + np.float32(math.log(np.float32(p)))))

    def sums(self) -> tuple[float, float]:
        """Of the weights, and of the weights times how far their logits are below the highest."""
        if self._sums is None:
            logits, weights = self.order.logits[: self.count], self.order.weights[: self.count]
            if self._temperature is not None:
                logits = np.divide(logits, self._temperature, out=self._buffers.get("divided")[: self.count])
                weights = self._buffers.exponentials(logits, logits[0], "tempered weights")
            below = self._buffers.get("below")[: self.count]
            with np.errstate(over="ignore", invalid="ignore"):
                np.subtract(logits, logits[0], out=below)
            total = float(weights.sum(dtype=np.float64))
            if not np.isfinite(below[-1]):  # 0 * -inf
                below[weights == 0] = 0
            self._sums = total, float(np.dot(weights, below))
        return self._sums

    def entropy(self) -> float:
        total, below = self.sums()
        return max(0.0, math.log(total) - below / total)

    def chances(self, ids: Sequence[int]) -> list[float]:
        wanted = np.asarray(ids, np.int64)
        if not len(wanted):
            return []
        logits, last = self.order.by_id[wanted], self.count - 1
        least, last_id = self.order.logits[last], self.order.ids[last]
        inside = (logits > least) | ((logits == least) & (wanted <= last_id))
        peak = self.order.logits[0]
        if self._tempered is not None:
            logits, peak = self._tempered[wanted], peak / self._temperature
        weights = np.exp((logits - peak).astype(np.float64)) / self.sums()[0]
        return [float(each) for each in np.where(inside, weights, 0.0).astype(np.float32)]


def _moved(before: _Many, old: Floats, new: Floats, peak: np.float32) -> tuple[float, float] | None:
    """The sums after some logits have changed, from those before; None where too little would be left of them to be exact."""
    total, below = before.sums()
    was = float(before.order.logits[0])
    for logits, sign in ((old, -1.0), (new, 1.0)):
        away = logits[np.isfinite(logits)].astype(np.float64) - was
        if len(away) and away.max() > 50:
            return None
        weights = np.exp(away)
        total += sign * float(weights.sum())
        below += sign * float(np.dot(weights, away))
    up = was - float(peak)
    if total < 1e-6 * before.sums()[0] or abs(up) > 10:
        return None
    return total * math.exp(up), math.exp(up) * (below + up * total)


def _is_on(name: str, settings: SamplingSettings) -> bool:
    if name == "penalties":
        return settings.repeat_last_n > 0 and (
            settings.repetition_penalty != 1 or settings.frequency_penalty != 0 or settings.presence_penalty != 0
        )
    if name == "temperature":
        return settings.temperature not in (0, 1)
    value = getattr(settings, name)
    return bool(value < 1 if name == "top_p" else value > 0)


def _values(name: str, settings: SamplingSettings) -> Any:
    return tuple(getattr(settings, each) for each in (_PENALTIES if name == "penalties" else (name,)))


def _greedy(node: Stage | _Many) -> Stage:
    if isinstance(node, Stage):
        return chain._greedy(node)
    return Stage("", node.order.ids[:1].copy(), node.order.logits[:1].copy(), np.ones(1, np.float32), True)


def _chances(stage: Stage, ids: Sequence[int]) -> list[float]:
    known = dict(zip(stage.ids.tolist(), stage.probabilities.tolist(), strict=True)) if len(stage) <= FEW else None
    return [stage.probability(each) if known is None else known.get(each, 0.0) for each in ids]


def _mass(model: Stage, ids: Ids) -> float:
    return min(1.0, float(model.probabilities[ids].sum(dtype=np.float64)))


def _entropy(stage: Stage) -> float:
    probabilities = stage.probabilities[stage.probabilities > 0].astype(np.float64)
    return max(0.0, -float(np.dot(probabilities, np.log(probabilities))))
