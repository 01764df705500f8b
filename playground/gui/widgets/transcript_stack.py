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
