"""The tokens of a reply as the window marks them: where each stands in the message, and how surprising it was. Pure: no widget.

Degrees, not shades: a token is surprising in one of six, which colour and the weight of a line under it both show, so that no hue alone
carries the meaning.
"""

from __future__ import annotations

import bisect
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

MODES = ("off", "probability", "entropy")
DEGREES = 6
PROBABILITY_EDGES = (0.9, 0.6, 0.3, 0.1, 0.02)
"""a token at least so likely (as it was drawn) is of degree 0, 1, ...; below all of the last"""
ENTROPY_EDGES = (0.5, 1.0, 2.0, 3.5, 5.0)
"""bits; at most so many are degree 0, 1, ...; above all the last"""
SHARES = (1.0, 0.78, 0.55, 0.34, 0.16, 0.0)
"""the probability whose tint in the theme's table a degree has"""
WEIGHTS = (0.0, 0.0, 1.0, 1.5, 2.0, 3.0)
"""pixels of the line under a token, by degree"""


@dataclass(frozen=True, eq=False)
class TokenMark:
    """`start` and `end` are characters of the message; `token` is a `TokenInfo` or `TokenRow`, recorded as `index` of a generation."""

    start: int
    end: int
    token: Any
    generation_id: str
    index: int

    @property
    def candidates(self) -> list[tuple[int, str, float, float]]:
        """(id, text, the model's own probability, that under the settings then in force), the likeliest first; the drawn one is among them."""
        token = self.token
        rows = [
            each if isinstance(each, tuple) else (each.token_id, each.text, each.logprob, each.probability)
            for each in token.alternatives
        ]
        if all(number != token.token_id for number, *_ in rows):
            rows.append((token.token_id, token.text, token.logprob, token.probability))
        rows.sort(key=lambda row: (row[3], row[2]), reverse=True)
        return [(number, text, math.exp(min(0.0, logprob)), chance) for number, text, logprob, chance in rows]

    @property
    def surprisal(self) -> float:
        """Bits: how unlikely the model itself found what was drawn."""
        return -min(0.0, float(self.token.logprob)) / math.log(2)

    @property
    def entropy(self) -> float:
        """Bits."""
        return float(self.token.entropy) / math.log(2)


def degree(mark: TokenMark, mode: str) -> int:
    """How surprising a token is, from 0 to 5: by its probability under the settings, or by how undecided the model was."""
    if mode == "entropy":
        return bisect.bisect_left(ENTROPY_EDGES, mark.entropy)
    probability = float(mark.token.probability)
    return next((place for place, edge in enumerate(PROBABILITY_EDGES) if probability >= edge), DEGREES - 1)


def legend(mode: str) -> tuple[str, ...]:
    """What each degree stands for; entropy in bits."""
    if mode == "entropy":
        return (*(f"≤{edge:g}" for edge in ENTROPY_EDGES), f">{ENTROPY_EDGES[-1]:g}")
    return (*(f"≥{edge:.0%}" for edge in PROBABILITY_EDGES), f"<{PROBABILITY_EDGES[-1]:.0%}")


def within(marks: Sequence[TokenMark], start: int, end: int) -> list[TokenMark]:
    """Those that stand in a stretch of the message, in part at least. `marks` are in the order of the text."""
    first = bisect.bisect_right(marks, start, key=lambda each: each.start) - 1
    while first > 0 and marks[first - 1].end > start:
        first -= 1
    found = []
    for mark in marks[max(0, first) :]:
        if mark.start >= end:
            break
        if mark.end > start:
            found.append(mark)
    return found


def of_reply(tokens: Iterable[Any]) -> list[TokenMark]:
    """From the session's `ReplyToken`s."""
    return [TokenMark(each.offset, each.offset + each.length, each.row, each.generation_id, each.row.index) for each in tokens]


def common_start(one: str, other: str) -> int:
    """The length of the longest common beginning of two texts."""
    low, high = 0, min(len(one), len(other))
    while low < high:
        middle = (low + high + 1) // 2
        if one[low:middle] == other[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low


def align(source: str, shown: str, known: Sequence[int] = (), start: int = 0) -> list[int]:
    """For each character of a Markdown source, and its end: where it is in the text that was made of it.

    What the source has besides (marks, addresses) falls on the next character shown; what the shown text has besides (line ends, marks of
    ours) is passed over. White space is taken for white space. `known`: what was found for the same text up to `start`, to go on from there.
    """
    at, end, size = known[start] if start else 0, len(shown), len(source)
    to = [*known[:start], *[0] * (size + 1 - start)]
    place = start
    while place < size:
        if source[place : place + 64] == shown[at : at + 64] and place + 64 <= size:
            to[place : place + 64] = range(at, at + 64)
            place, at = place + 64, at + 64
            continue
        character = source[place]
        if character.isspace():
            to[place] = at
            if at < end and shown[at].isspace():
                at += 1
            place += 1
            continue
        there = at
        while there < end and shown[there].isspace():
            there += 1
        if there < end and shown[there] == character:
            to[place], at = there, there + 1
        elif there < end and source.find(shown[there], place + 1, place + 200) < 0:
            ahead = shown.find(character, there + 1, there + 80)  # what stands here was put in: go on behind it
            if ahead >= 0:
                at = ahead
                continue
            to[place] = at
        else:
            to[place] = at
        place += 1
    to[size] = at
    return to
