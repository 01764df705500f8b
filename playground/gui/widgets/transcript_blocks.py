"""The transcript's plan: which rows a message is made of, and how high they are (or probably are, before they were laid out).

Pure arithmetic over entries and parts; rows carry the widget that shows them, but nothing here touches it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from playground.gui.widgets import reply_parts
from playground.gui.widgets.conversation import Entry
from playground.gui.widgets.reply_parts import Part

ABOVE = 20
BELOW_QUESTION = 2
"""over a message of the user's, and over the reply to one: the foot between them is room enough"""
LABEL = 22
"""the line of the name, where there is no room for it at the side"""
BETWEEN = 10
BUBBLE = 9
BUBBLE_BELOW = 4
"""from the edge of the user's bubble to the text; a line has some room below its letters already"""
FOOT_GAP = 2
FOOT = 28
TRACK = 30.0
LINE = 20.0
CHARACTER = 7.1


@dataclass
class Row:
    """One widget's worth of a message: `prose`, `plain`, `code`, `wait`, `edit`, `track` or `foot`."""

    kind: str
    part: Part | None = None
    height: float = 0.0
    exact: bool = False
    gap: float = 0.0
    """room above it"""
    first: bool = True
    last: bool = True
    """of a block of code"""
    y: float = 0.0
    """below the top of its message"""
    widget: Any = None
    stale: bool = True
    """the widget shows something older"""


@dataclass
class Block:
    """A message and its rows; `rows` is None while nobody has come near it."""

    entry: Entry
    rows: list[Row] | None = None
    height: float = 0.0
    editing: bool = False
    parts: list[Part] = field(default_factory=list)
    index: int = 0
    """its place in the transcript"""
    track: bool = False
    """a surprise track stands over its foot"""

    @property
    def id(self) -> str:
        return self.entry.id


def plan(block: Block, width: float, narrow: bool) -> None:
    """Makes a block's rows anew, keeping the widgets of those that are still the same stretch of it."""
    entry = block.entry
    old = block.rows or []
    rows = [Row("edit")] if block.editing else _body(block)
    if block.track:
        rows.append(Row("track", height=TRACK, gap=FOOT_GAP))
    rows.append(Row("foot", height=FOOT, gap=FOOT_GAP + (BUBBLE_BELOW if entry.role == "user" and not block.editing else 0)))
    rows[0].gap = above(entry) + (LABEL if narrow else 0) + (BUBBLE if entry.role == "user" else 0)
    known = {_key(row): row for row in old}
    for row in rows:
        before = known.pop(_key(row), None)
        if before is not None:
            row.widget = before.widget
            same = before.part == row.part and (before.first, before.last) == (row.first, row.last)
            row.height, row.exact = before.height, before.exact and (same or row.widget is not None)
            row.stale = before.stale or not same
            if not same and row.widget is None:
                row.height, row.exact = guess(row, width), False
        elif row.kind not in ("foot", "track"):
            row.height = guess(row, width)
    if (
        old
        and len(rows) == (3 if block.track else 2)
        and known
        and (gone := next((row for row in known.values() if row.kind == "wait"), None))
    ):
        rows[0].height = max(rows[0].height, gone.height)
    block.rows = rows
    measure(block)


def leftovers(old: list[Row] | None, new: list[Row] | None) -> list[Row]:
    """Rows whose widget nobody shows any more."""
    kept = {id(row.widget) for row in new or () if row.widget is not None}
    return [row for row in old or () if row.widget is not None and id(row.widget) not in kept]


def above(entry: Entry) -> int:
    """Room over a message."""
    return ABOVE if entry.role == "user" else BELOW_QUESTION


def measure(block: Block) -> None:
    """Sums the heights up."""
    y = 0.0
    for row in block.rows or ():
        y += row.gap
        row.y = y
        y += row.height
    block.height = y


def estimate(block: Block, width: float, narrow: bool) -> None:
    """The height of a block that nobody has looked at."""
    text = block.entry.message.content
    lines = text.count("\n") * 0.6 + len(text) * CHARACTER / max(width, 100.0) + 1
    track = TRACK + FOOT_GAP if block.track else 0
    block.height = above(block.entry) + (LABEL if narrow else 0) + lines * LINE + FOOT_GAP + FOOT + 2 * BUBBLE + track


def guess(row: Row, width: float) -> float:
    """The height of a row that was not laid out."""
    if row.part is None:
        return LINE + 4
    if row.part.kind == "code":
        return (36 if row.first else 0) + (row.part.text.count("\n") + 1) * 17.5 + 12
    lines = row.part.text.count("\n") * 0.6 + len(row.part.text) * CHARACTER / max(width, 100.0) + 1
    return lines * LINE


def _key(row: Row) -> tuple[str, int]:
    return row.kind, row.part.start if row.part is not None else -1


def _body(block: Block) -> list[Row]:
    entry = block.entry
    content = entry.message.content
    if entry.role == "user":
        block.parts = reply_parts.plain(content)
    else:
        block.parts = split_on(block.parts, content, final=not entry.streaming)
    rows = []
    for place, part in enumerate(block.parts):
        row = Row(part.kind, part)
        before = block.parts[place - 1] if place else None
        after = block.parts[place + 1] if place + 1 < len(block.parts) else None
        row.first = before is None or before.block != part.block or part.kind != "code"
        row.last = after is None or after.block != part.block or part.kind != "code"
        joined = not row.first or (before is not None and before.kind == part.kind == "plain")
        row.gap = 0 if before is None or joined else BETWEEN
        rows.append(row)
    if not rows:
        rows.append(Row("wait" if entry.streaming else "prose", None if entry.streaming else Part("prose", 0, 0, 0, "")))
    return rows


def split_on(parts: list[Part], content: str, final: bool) -> list[Part]:
    """Parts of a content that has grown: what was cut off before stays, the last block is looked at again."""
    kept = list(parts)
    if kept:
        last = kept.pop()
        start = last.block if last.kind == "code" else last.start
        while kept and kept[-1].end > start:
            kept.pop()
        if start <= len(content) and (not kept or kept[-1].end <= len(content)):
            return kept + reply_parts.split(content, final=final, start=start, indent=last.indent)
    return reply_parts.split(content, final=final)
