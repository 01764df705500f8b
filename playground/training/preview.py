"""What rows come to as a model's tokens: shown exactly as they are trained, measured, and checked for what only a tokenizer can tell."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from playground.errors import DataError
from playground.training.encode import Encoded, EncodeSettings, Tokenizer, encode_text
from playground.training.problems import Problem
from playground.training.rows import Row

NAMED = 500


@dataclass
class Previewed:
    """`shown`: the wanted rows' sequences (or why there are none). Lengths in tokens, of sequences as trained."""

    shown: list[tuple[Row, list[Encoded], str]] = field(default_factory=list)
    lengths: list[int] = field(default_factory=list)
    learned: list[int] = field(default_factory=list)
    whole: list[int] = field(default_factory=list)
    """lengths before anything was cut"""
    cut: int = 0
    problems: list[Problem] = field(default_factory=list)


def previewed(
    rows: Iterable[Row],
    tokenizer: Tokenizer,
    template: str | None,
    settings: EncodeSettings,
    start: int = 0,
    count: int = 20,
    limit: int = 2000,
    going: Callable[[int], None] = lambda done: None,
) -> Previewed:
    """Encodes the first `limit` rows with what trains them, keeping the tokens of `count` rows from `start` on."""
    found = Previewed()
    control = _control(tokenizer)
    for place, row in enumerate(rows):
        wanted = start <= place < start + count
        if place >= limit and not wanted:
            if place >= start + count:
                break
            continue
        going(place)
        encoded, why = _encoded(row, tokenizer, template, settings, wanted, found)
        if wanted:
            found.shown.append((row, encoded, why))
        for each in encoded:
            found.lengths.append(len(each))
            found.whole.append(len(each) + each.cut)
            found.learned.append(each.learned)
        if control is not None:
            _find_control(row, control, found)
    return found


def _encoded(
    row: Row, tokenizer: Tokenizer, template: str | None, settings: EncodeSettings, wanted: bool, found: Previewed
) -> tuple[list[Encoded], str]:
    try:
        encoded = encode_text(row, tokenizer, template, settings, pieces=wanted)
    except DataError as error:
        _tell(found, Problem("not learnable", row.number, "", _after_name(error.message)))
        return [], str(error)
    if cut := sum(each.cut for each in encoded):
        found.cut += 1
        _tell(found, Problem("too long", row.number, "", f"it is {cut:,} tokens longer than a sequence."))
    return encoded, ""


def _after_name(message: str) -> str:
    """A sentence about a row without the row's name, which a problem says itself."""
    return re.sub(r"^(?:Row \d+|The row):? ", lambda name: "" if name[0].endswith(": ") else "it ", message)


def _control(tokenizer: Tokenizer) -> re.Pattern[str] | None:
    names = [re.escape(each) for each in sorted(tokenizer.marks.specials, key=len, reverse=True) if len(each) > 2]
    return re.compile("|".join(names)) if names else None


def _find_control(row: Row, control: re.Pattern[str], found: Previewed) -> None:
    parts = [("text", row.text), *((f"messages[{at}].content", each.content) for at, each in enumerate(row.messages))]
    for name, text in parts:
        if token := control.search(text):
            _tell(found, Problem("control token", row.number, name, f"it holds {token[0]}, which is a token of the model's."))


def _tell(found: Previewed, problem: Problem) -> None:
    if len(found.problems) < NAMED:
        found.problems.append(problem)
