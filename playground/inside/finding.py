"""Heads found by what they do: their scores as rows of a table, and a filter in words. Pure; the scores themselves are `head_scores`."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from playground.errors import Cancelled
from playground.inside.capture import Capture, Stop, never
from playground.inside.head_scores import NAMES, of_map
from playground.inside.layout import Header


@dataclass(frozen=True)
class HeadRow:
    """A head, by the model's numbers, and its scores by name; NaN where the text cannot tell. Of a difference: B's minus A's."""

    layer: int
    head: int
    scores: dict[str, float]

    @property
    def name(self) -> str:
        return f"{self.layer}.{self.head}"


Keeps = Callable[[HeadRow], bool]


def heads(one: Capture, other: Capture | None = None) -> list[HeadRow]:
    """All captured heads in the model's order. With `other`, which has the same heads and as long a text: its scores minus those of `one`."""
    return _rows(one.header, one.scores if other is None else other.scores - one.scores)


def heads_of_beginning(one: Capture, other: Capture, count: int, stop: Stop = never) -> list[HeadRow]:
    """As `heads` of two, but of the first `count` tokens of either, whose scores are computed anew from their maps. Cancelled."""
    return _rows(one.header, _of_beginning(other, count, stop) - _of_beginning(one, count, stop))


def _of_beginning(capture: Capture, count: int, stop: Stop) -> NDArray[np.float32]:
    header, found = capture.header, np.zeros_like(capture.scores)
    tokens = [each.id for each in header.tokens[:count]]
    for place, layer in enumerate(header.layers):
        for at, head in enumerate(header.heads):
            if stop():
                raise Cancelled("Nobody waits for these scores any more.")
            scores = of_map(tokens, capture.map(layer, head)[:count, :count], header.causal)
            found[place, at] = [scores[name] for name in header.score_names]
    return found


TELLING = ("previous", "induction", "duplicate")
"""scores of what heads are known for; a high one of another is nothing to look at first"""


def telling_head(capture: Capture) -> tuple[int, int] | None:
    """The head that shows one of these patterns most, by the model's numbers. None where the text cannot tell, as of two texts."""
    found = [capture.score(name) for name in TELLING if name in capture.header.score_names]
    best = np.nan_to_num(np.array(found), nan=-1.0).max(axis=0, initial=-1.0)
    layer, head = np.unravel_index(int(best.argmax()), best.shape)
    return (capture.header.layers[layer], capture.header.heads[head]) if best[layer, head] > 0 else None


def _rows(header: Header, values: NDArray[np.float32]) -> list[HeadRow]:
    return [
        HeadRow(layer, head, {name: float(values[i, j, k]) for k, name in enumerate(header.score_names)})
        for i, layer in enumerate(header.layers)
        for j, head in enumerate(header.heads)
    ]


_COMPARE: dict[str, Callable[[float, float], bool]] = {
    ">": lambda value, bound: value > bound,
    ">=": lambda value, bound: value >= bound,
    "<": lambda value, bound: value < bound,
    "<=": lambda value, bound: value <= bound,
    "=": lambda value, bound: abs(value - bound) < 0.005,
}
_TERM = re.compile(r"([a-z]+)\s*(<=|>=|<|>|=)?\s*([+\-−]?\d*\.?\d+)?")
_HEAD = re.compile(r"(\d+)\.(\d+)")


def read_filter(text: str) -> tuple[Keeps, str]:
    """What a filter keeps, and what of it could not be read (nothing of that is kept to).

    Parts apart by commas: `3.5` a head; `layer 2`, `head < 4`; `induction > 0.3`; a score's name alone for at least 0.3 (its beginning does).
    Heads by name are one or the other, everything else is all at once.
    """
    wanted: list[tuple[int, int]] = []
    terms: list[Keeps] = []
    for part in (each.strip() for each in re.split(r"[,;]|\band\b", text.lower())):
        if not part:
            continue
        if found := _HEAD.fullmatch(part):
            wanted.append((int(found[1]), int(found[2])))
        elif (found := _TERM.fullmatch(part)) and (term := _term(*found.groups())):
            terms.append(term)
        else:
            return lambda row: True, part
    return lambda row: (not wanted or (row.layer, row.head) in wanted) and all(keeps(row) for keeps in terms), ""


def _term(name: str, sign: str | None, number: str | None) -> Keeps | None:
    value = float(number.replace("−", "-")) if number else None
    if name in ("layer", "l", "head", "h"):
        if value is None:
            return None
        compare = _COMPARE[sign or "="]
        if name[0] == "l":
            return lambda row: compare(row.layer, value)
        return lambda row: compare(row.head, value)
    score = score_named(name)
    if score is None or (sign is not None and value is None):
        return None
    bound = 0.3 if value is None else value
    compare = _COMPARE[sign or ">="]

    def keeps(row: HeadRow) -> bool:
        value = row.scores.get(score, math.nan)
        return not math.isnan(value) and compare(value, bound)

    return keeps


def score_named(beginning: str) -> str | None:
    """The score whose name begins so; None for none, or several."""
    found = [name for name in NAMES if name.startswith(beginning)]
    return found[0] if len(found) == 1 else None


def to_csv(rows: Sequence[HeadRow], names: Sequence[str] = NAMES) -> str:
    """Layer, head and scores with all their digits, one head a line; nothing where the text cannot tell."""
    lines = [",".join(("layer", "head", *names))]
    for row in rows:
        values = (row.scores.get(name, math.nan) for name in names)
        lines.append(",".join((str(row.layer), str(row.head), *("" if np.isnan(each) else repr(each) for each in values))))
    return "\n".join(lines) + "\n"
