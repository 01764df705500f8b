"""What can be wrong with a row, in one place: a code, what is done about it unless the user says otherwise, and a sentence of its own.

Knows neither formats nor tokens.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

Fix = Literal["skip", "trim", "keep"]
"""leave the row out, take away what is wrong with it, use it as it is"""


@dataclass(frozen=True)
class Kind:
    """A kind of problem: its title, the fixes that it allows (the first is what happens by itself), and what the user can do."""

    title: str
    fixes: tuple[Fix, ...]
    hint: str
    warning: bool = False


KINDS: dict[str, Kind] = {
    "unreadable": Kind("Not readable", ("skip",), "Mend this line in the file, or leave it out."),
    "encoding": Kind("Not UTF-8", ("skip", "trim"), "Read the file in another encoding, or replace the characters that cannot be read."),
    "cells": Kind("Other number of cells", ("skip",), "Mend this row in the file: a cell with the separator in it needs quotes."),
    "columns": Kind("Column missing", ("skip",), "Choose which column holds the question and which the answer, or leave the row out."),
    "type": Kind("Not text", ("skip",), "Choose another column, or write a text there."),
    "role": Kind("Unknown role", ("skip", "trim"), "Leave the row out, or only this message."),
    "no question": Kind("Answer without a question", ("skip",), "Write the question, or leave the row out."),
    "empty answer": Kind("Empty answer", ("skip",), "Write the answer, or leave the row out."),
    "starts with an answer": Kind("Starts with an answer", ("trim", "skip"), "The answer is left away, or the row is."),
    "ends with a question": Kind("Ends with a question", ("trim", "skip"), "What nobody answers is left away, or the row is."),
    "same role twice": Kind("Same speaker twice", ("trim", "skip"), "The messages are joined, or the row is left out."),
    "disliked": Kind("Marked as a bad answer", ("skip", "keep"), "Training would teach it: leave it out, unless the mark means something else."),
    "near-empty": Kind("Hardly anything", ("skip", "keep"), "Leave it out, or keep it if it is meant."),
    "duplicate": Kind("Duplicate", ("skip", "keep"), "The first is kept. Keep all to give it more weight."),
    "near duplicate": Kind("Almost a duplicate", ("keep", "skip"), "Both are kept, on one side of the split; leave it out if you like.", True),
    "secret": Kind("Secret", ("keep", "skip"), "A model can repeat what it was trained on: take it out of the file, or leave the row out.", True),
    "e-mail address": Kind("E-mail address", ("keep", "skip"), "A model can repeat what it was trained on: take it out, or leave the row out.", True),
    "control token": Kind("Control token in the text", ("keep", "skip"), "It counts as the token, not as text: or leave the row out.", True),
    "too long": Kind("Too long", ("keep", "skip"), "It is cut. Raise the sequence length to train on all of it.", True),
    "not learnable": Kind("Nothing to learn from", ("skip",), "Raise the sequence length, or leave the row out."),
}  # fmt: skip


@dataclass(frozen=True)
class Problem:
    """A problem of one row. `row` as `Row.number`, `field` the column or `messages[2].content`; `what` is a sentence without them."""

    kind: str
    row: int
    field: str
    what: str
    file: str = ""
    """where the data is a folder: the file's name"""

    @property
    def about(self) -> Kind:
        return KINDS[self.kind]

    @property
    def hint(self) -> str:
        return self.about.hint

    @property
    def fix(self) -> Fix:
        """What happens unless the user says otherwise."""
        return self.about.fixes[0]

    @property
    def place(self) -> str:
        where = f"row {self.row}" + (f" of {self.file}" if self.file else "")
        return f"{where}, {self.field}" if self.field else where

    def __str__(self) -> str:
        return f"{self.place[0].upper()}{self.place[1:]}: {self.what} {self.hint}"

    def to_dict(self) -> dict[str, Any]:
        return asdict(self) | {"fix": self.fix, "hint": self.hint}
