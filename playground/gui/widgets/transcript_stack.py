"""Where a transcript's blocks stand, one below the other, and what the reader's eye rests on. Pure arithmetic; knows no widget."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import accumulate

from playground.gui.widgets.transcript_blocks import Block, Row

Anchor = tuple[str, int, float]
"""a block, a row in it (-1: its beginning), and how far below that the view begins"""
FOOT = 16
"""room under the last message"""
COLUMN = 760
GUTTER = 72
NARROW = 620
"""width of a view below which names stand over their messages, not at their side"""
MARGIN = 24


def column_of(view: int) -> tuple[int, int]:
    """Left and width of the text in a view so wide."""
    room = view - 2 * MARGIN
    gutter = 0 if view < NARROW else GUTTER
    column = max(160, min(COLUMN + gutter, room))
    return MARGIN + max(0, (room - column) // 2) + gutter, column - gutter


class Stack:
    """The blocks in order, and the sums of their heights."""

    def __init__(self) -> None:
        self.blocks: list[Block] = []
        self.by_id: dict[str, Block] = {}
        self.tops: list[float] = [0.0]
        self._summed = 0
        """up to which block the tops are right"""

    def fill(self, blocks: Sequence[Block]) -> None:
        self.blocks = list(blocks)
        self.by_id = {block.id: block for block in blocks}
        for index, block in enumerate(self.blocks):
            block.index = index
        self.tops = [0.0]
        self._summed = 0

    def changed(self, block: Block | None = None) -> None:
        """A block (none: every one) has another height: what is below it stands elsewhere."""
        self._summed = min(self._summed, block.index) if block is not None else 0

    def sum_up(self) -> None:
        """Brings the tops up to date, from the first block that changed."""
        start = self._summed
        if start < len(self.blocks):
            heights = (block.height for block in self.blocks[start:])
            self.tops[start:] = accumulate(heights, initial=self.tops[start])
            self._summed = len(self.blocks)

    @property
    def total(self) -> float:
        return self.tops[-1] + FOOT

    def top(self, block: Block) -> float:
        return self.tops[min(block.index, len(self.tops) - 1)]

    def first_at(self, y: float) -> int:
        """The number of the block at a height."""
        return max(0, bisect_right(self.tops, y) - 1)

    def blocks_between(self, low: float, high: float) -> Iterator[tuple[Block, float]]:
        """Blocks that touch a stretch, with their tops."""
        index = self.first_at(low)
        while index < len(self.blocks) and self.tops[index] < high:
            yield self.blocks[index], self.tops[index]
            index += 1

    def rows_between(self, low: float, high: float) -> Iterator[tuple[Block, Row | None]]:
        """Rows that touch a stretch; None for a block that was not cut into rows yet."""
        for block, top in self.blocks_between(low, high):
            if block.rows is None:
                yield block, None
            for row in block.rows or ():
                if top + row.y + row.height >= low and top + row.y <= high:
                    yield block, row

    def anchor_at(self, offset: float) -> Anchor | None:
        """What stands at a height, so that it can be found again after everything has moved."""
        if not self.blocks:
            return None
        block = self.blocks[min(self.first_at(offset), len(self.blocks) - 1)]
        inside = offset - self.top(block)
        for number, row in enumerate(block.rows or ()):
            if row.y + row.height > inside:
                return block.id, number, inside - row.y
        return block.id, -1, inside

    def find(self, anchor: Anchor) -> float | None:
        """Where an anchor is now."""
        block_id, number, inside = anchor
        block = self.by_id.get(block_id)
        if block is None:
            return None
        rows = block.rows or []
        return self.top(block) + (rows[number].y if 0 <= number < len(rows) else 0.0) + inside


class Eye:
    """What the reader looks at: how far down a view begins, and what stays where it is while heights above it change."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self.offset = 0.0
        """where the view begins"""
        self.at_end = True
        """the view follows what is written"""
        self._anchor: Anchor | None = None

    @property
    def held(self) -> bool:
        """Whether something keeps the view where it is."""
        return self.at_end or self._anchor is not None

    def hold(self) -> None:
        """Notes what stands at the top of the view, to keep it there."""
        self._anchor = None if self.at_end else self._stack.anchor_at(self.offset)

    def follow(self) -> None:
        """To the end, and on with it."""
        self.at_end, self._anchor = True, None

    def look_at(self, block_id: str) -> None:
        """A block comes to the top of the view."""
        self.at_end, self._anchor = False, (block_id, -1, 0.0)

    def scroll_to(self, offset: float, at_end: bool) -> None:
        """The reader has scrolled."""
        self.offset, self.at_end = offset, at_end
        self.hold()

    def settle(self, high: float) -> None:
        """Where a view of this height begins now: at the end, or where what is held has come to stand."""
        most = max(0.0, self._stack.total - high)
        found = self._stack.find(self._anchor) if self._anchor is not None else None
        self.offset = most if self.at_end else min(max(0.0, self.offset if found is None else found), most)
