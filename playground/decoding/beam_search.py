"""Beam search, defined once: which of the continuations live on, which have ended and how they are ranked.

Given, step by step, the likeliest next tokens of every beam that lives; what computes them is not known here. Semantics and scores are
those of transformers' `generate(num_beams=width, do_sample=False)` (`GenerationMixin._beam_search` of version 5): of all continuations the
best by summed log-probability are taken, those that end count if they are among the first `width`, and a finished one is scored

    sum of its tokens' log-probabilities / length ** length_penalty

with the token that ended it counted in the sum and in the length.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from playground.params import BeamSettings

ROOT = -1
"""the parent of a first token: the prompt"""


@dataclass(frozen=True)
class Candidate:
    """A token that may follow; `logprob` is the model's own (natural logarithm), `ends` whether it ends a text."""

    token: int
    logprob: float
    ends: bool = False


@dataclass(frozen=True)
class Node:
    """A token in the tree. `total`: summed log-probability from the prompt to here; `length` in tokens.

    `state`: `kept` (a beam went on from here), `pruned` (it fell out at once), `ended` (the model ended it, and it counts), `cut` (the
    limit ended it, and it counts).
    """

    id: int
    parent: int
    token: int
    logprob: float
    total: float
    length: int
    state: str


@dataclass(frozen=True)
class Beam:
    """A finished continuation, as the search ranks it."""

    node: Node
    score: float


def enough(candidates: Sequence[Candidate], width: int) -> bool:
    """Whether these likeliest tokens of one beam are all that a step may need: so many that end nothing, whatever else there is."""
    return sum(not each.ends for each in candidates) >= width


class BeamSearch:
    """`step` it while not `done`. `running` are the beams that live, the best first; `finished` what has ended, the best first."""

    def __init__(self, settings: BeamSettings, limit: int) -> None:
        """`limit`: the most tokens of a continuation, `settings.max_tokens` or what the context window leaves of it."""
        self._settings = settings
        self._limit = limit
        self._made = 0
        self.running: list[Node | None] = [None]
        """None stands for the prompt, which nothing was added to yet"""
        self.finished: list[Beam] = []
        self.steps = 0
        self.why = ""
        """why it is done: `length`, `better` (no living beam can overtake those that ended), `full` (as many as wanted have ended), `context`"""

    @property
    def done(self) -> bool:
        return bool(self.why)

    def step(self, candidates: Sequence[Sequence[Candidate]]) -> list[Node]:
        """Takes the likeliest next tokens of each living beam, the likeliest first (see `enough`). Returns the nodes that were looked at, the
        best first: twice as many as the width, and all that counts among them.
        """
        width = self._settings.width
        self.steps += 1
        last = self.steps >= self._limit
        ranked = sorted(
            (
                (-(before.total if before else 0.0) - each.logprob, place, rank, each)
                for place, before in enumerate(self.running)
                for rank, each in enumerate(candidates[place])
            ),
            key=lambda entry: entry[:3],
        )
        kept: list[Node | None] = []
        ended: list[Node] = []
        seen: list[Node] = []
        for rank, (_, place, _, each) in enumerate(ranked):
            if rank >= 2 * width and (last or len(kept) >= width):
                break
            if last or each.ends:
                state = "pruned" if rank >= width else "ended" if each.ends else "cut"
            else:
                state = "kept" if len(kept) < width else "pruned"
            node = self._node(self.running[place], each, state)
            seen.append(node)
            if state == "kept":
                kept.append(node)
            elif state != "pruned":
                ended.append(node)
        self._finish(ended)
        self.running = kept
        self._judge(last)
        return seen

    def stop(self) -> None:
        """There is no room for another token: the beams that live are taken as they are."""
        self._finish([each for each in self.running if each is not None])
        self.running = []
        self.why = "context"

    # -- parts

    def _node(self, before: Node | None, each: Candidate, state: str) -> Node:
        number, self._made = self._made, self._made + 1
        total = (before.total if before else 0.0) + each.logprob
        parent, length = (before.id, before.length) if before else (ROOT, 0)
        return Node(number, parent, each.token, each.logprob, total, length + 1, state)

    def _score(self, total: float, length: int) -> float:
        return float(total / length**self._settings.length_penalty)

    def _finish(self, nodes: Sequence[Node]) -> None:
        """The best of those that ended before and those that end now; of equal ones the earlier."""
        found = [Beam(each, self._score(each.total, each.length)) for each in nodes]
        self.finished = sorted([*self.finished, *found], key=lambda each: -each.score)[: self._settings.width]

    def _judge(self, last: bool) -> None:
        settings = self._settings
        full = len(self.finished) >= settings.width
        if last or not self.running:
            self.why = "length"
        elif full and settings.early_stopping == "on":
            self.why = "full"
        elif full and self._best_possible() <= self.finished[-1].score:
            self.why = "better"

    def _best_possible(self) -> float:
        """What the best living beam is taken to be able to reach: its score as it stands, or (`never`) with no further loss at full length."""
        best = self.running[0]
        assert best is not None
        if self._settings.early_stopping == "never" and self._settings.length_penalty > 0:
            return self._score(best.total, self._limit) if math.isfinite(best.total) else -math.inf
        return self._score(best.total, self.steps)
