"""How replies differ, in numbers: what they begin with together, where they part, how much each repeats itself, how sure the model was.

Pure functions over token ids and log-probabilities; knows no engine, no text and no widget. Logarithms are natural, entropies in nats.
"""

from __future__ import annotations

import difflib
import math
from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Literal


def common_prefix(*sequences: Sequence[Hashable]) -> int:
    """The length of the longest common beginning of all; 0 for none at all."""
    if not sequences:
        return 0
    shortest = min(map(len, sequences))
    first = sequences[0]
    for place in range(shortest):
        if any(each[place] != first[place] for each in sequences[1:]):
            return place
    return shortest


@dataclass(frozen=True)
class Candidate:
    """A token that could have stood at a place, with the probability it was (or could have been) drawn with."""

    key: Hashable
    """its id; its text where several models' tokens are compared"""
    text: str
    probability: float


@dataclass(frozen=True)
class Parting:
    """Where two replies part. `left` and `right` are what they went on with, None for one that had ended there.

    `left_of_right` is the probability that the left reply's settings gave to the right one's token at that place, None where it is not
    known (it was not among the recorded alternatives); `right_of_left` the other way round.
    """

    index: int
    left: Candidate | None
    right: Candidate | None
    left_of_right: float | None = None
    right_of_left: float | None = None


Place = tuple[Hashable, str, float, Sequence[tuple[Hashable, float]]]
"""a token as `parting` reads it: key (its id, or its text), text, the probability it was drawn with, and (key, probability) of its alternatives"""


def parting(left: Sequence[Place], right: Sequence[Place]) -> Parting | None:
    """The first place at which two replies differ; None if they are equal."""
    index = common_prefix([place[0] for place in left], [place[0] for place in right])
    if index == len(left) == len(right):
        return None
    ours = left[index] if index < len(left) else None
    theirs = right[index] if index < len(right) else None
    return Parting(
        index,
        _candidate(ours),
        _candidate(theirs),
        _chance(ours, theirs),
        _chance(theirs, ours),
    )


def _candidate(place: Place | None) -> Candidate | None:
    return None if place is None else Candidate(place[0], place[1], place[2])


def _chance(here: Place | None, of: Place | None) -> float | None:
    if here is None or of is None:
        return None
    return dict(here[3]).get(of[0])


def distinct_n(tokens: Sequence[Hashable], n: int) -> float:
    """Distinct n-grams over all n-grams, from 0 to 1; NaN where there are none.

    Li et al. 2016, "A Diversity-Promoting Objective Function for Neural Conversation Models", section 5 (distinct-1, distinct-2), there
    over a whole set of replies and divided by the number of tokens; here, as is usual since, over one reply and its n-grams.
    """
    grams = _grams(tokens, n)
    return len(set(grams)) / len(grams) if grams else math.nan


def repetition_rate(tokens: Sequence[Hashable], n: int = 4) -> float:
    """The share of n-grams that occurred before in the same reply, from 0 to 1; NaN where there are none. It is 1 - distinct-n.

    "seq-rep-n" of Welleck et al. 2020, "Neural Text Generation with Unlikelihood Training", section 6.1, with n = 4 as there.
    """
    return 1.0 - distinct_n(tokens, n)


def repeated_context_rate(tokens: Sequence[Hashable], window: int = 64) -> float:
    """The share of tokens that occur among the `window` before them, from 0 to 1; NaN for no token.

    "rep/l" of Welleck et al. 2020, section 6.1, over the drawn tokens instead of the likeliest ones.
    """
    if not tokens:
        return math.nan
    recent: Counter[Hashable] = Counter()
    repeated = 0
    for place, token in enumerate(tokens):
        repeated += recent[token] > 0
        recent[token] += 1
        if place >= window:
            recent[tokens[place - window]] -= 1
    return repeated / len(tokens)


def _grams(tokens: Sequence[Hashable], n: int) -> list[tuple[Hashable, ...]]:
    if n < 1:
        raise ValueError("an n-gram has at least one token")
    return [tuple(tokens[start : start + n]) for start in range(len(tokens) - n + 1)]


def mean_logprob(logprobs: Sequence[float]) -> float:
    """The mean log-probability of the tokens; NaN for none. Its negative is the cross-entropy, `exp` of that the perplexity."""
    return math.fsum(logprobs) / len(logprobs) if logprobs else math.nan


def perplexity(logprobs: Sequence[float]) -> float:
    """exp(-mean log-probability): of how many equally likely tokens the model seemed to choose. NaN for none.

    Jelinek et al. 1977, "Perplexity: a measure of the difficulty of speech recognition tasks".
    """
    mean = mean_logprob(logprobs)
    try:
        return math.exp(-mean)
    except OverflowError:
        return math.inf


def mean_entropy(entropies: Sequence[float]) -> float:
    """The mean over places of the entropy of the model's own distribution there, in nats; NaN for none."""
    return math.fsum(entropies) / len(entropies) if entropies else math.nan


@dataclass(frozen=True)
class Summary:
    """What can be said of one reply by its numbers; see the functions of the same names."""

    tokens: int
    distinct_1: float
    distinct_2: float
    repetition: float
    mean_logprob: float
    perplexity: float
    entropy: float


def summary(tokens: Sequence[Hashable], logprobs: Sequence[float], entropies: Sequence[float]) -> Summary:
    """All of it for one reply; a number that cannot be had is NaN."""
    return Summary(
        len(tokens),
        distinct_n(tokens, 1),
        distinct_n(tokens, 2),
        repetition_rate(tokens),
        mean_logprob(logprobs),
        perplexity(logprobs),
        mean_entropy(entropies),
    )


class Tally:
    """`summary` of a reply that is still written, each token counted once however often one asks."""

    def __init__(self) -> None:
        self._tokens = 0
        self._last: tuple[Hashable, ...] = ()
        self._seen: dict[int, set[tuple[Hashable, ...]]] = {1: set(), 2: set(), 4: set()}
        self._logprob = 0.0
        self._entropy = 0.0

    def __len__(self) -> int:
        return self._tokens

    def add(self, token: Hashable, logprob: float, entropy: float) -> None:
        self._tokens += 1
        self._last = (*self._last[-3:], token)
        for n, seen in self._seen.items():
            if self._tokens >= n:
                seen.add(self._last[-n:])
        self._logprob += logprob
        self._entropy += entropy

    def summary(self) -> Summary:
        """As `summary` of all tokens so far, to rounding."""
        count = self._tokens
        if not count:
            return summary((), (), ())
        distinct = {n: len(seen) / (count - n + 1) if count >= n else math.nan for n, seen in self._seen.items()}
        mean = self._logprob / count
        return Summary(count, distinct[1], distinct[2], 1.0 - distinct[4], mean, perplexity((mean,)), self._entropy / count)


@dataclass(frozen=True)
class Piece:
    """A stretch of a diff: `left[left_start:left_end]` became `right[right_start:right_end]`."""

    kind: Literal["same", "left", "right", "changed"]
    """`left` and `right`: only there"""
    left_start: int
    left_end: int
    right_start: int
    right_end: int


_KINDS: dict[str, Literal["same", "left", "right", "changed"]] = {
    "equal": "same",
    "delete": "left",
    "insert": "right",
    "replace": "changed",
}


def diff(left: Sequence[Hashable], right: Sequence[Hashable]) -> list[Piece]:
    """The stretches that two sequences have in common and those that only one has, in order, without gaps.

    Ratcliff and Obershelp's matching (longest common stretch first, then left and right of it), as `difflib` does it; no token is
    passed over for being frequent.
    """
    matcher = difflib.SequenceMatcher(None, left, right, autojunk=False)
    return [Piece(_KINDS[kind], *places) for kind, *places in matcher.get_opcodes()]


def similarity(left: Sequence[Hashable], right: Sequence[Hashable]) -> float:
    """Twice the tokens in common (by `diff`) over all tokens of both, from 0 to 1; 1 for two that are empty."""
    return difflib.SequenceMatcher(None, left, right, autojunk=False).ratio()
