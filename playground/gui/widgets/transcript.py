"""The conversation, scrolled: widgets only for what is near the window's view, heights for the rest.

Messages are blocks of rows (`transcript_blocks`). A row gets a widget when it comes near the view, a few milliseconds' worth at a time,
what is in view first, the newest before the older; far from the view the widget goes back into a pool. What the reader looks at stays
where it is, whatever grows above it; at the bottom the view follows what is written until the reader scrolls up. New text is taken in at
most 30 times a second. It shows entries and says what was pressed; it knows no session.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import Any

from PySide6.QtCore import QEvent, QPoint, QRectF, Qt, QTimer, Signal
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QAbstractScrollArea, QFrame, QWidget

from playground.gui import theme
from playground.gui.widgets import transcript_paint
from playground.gui.widgets.code_highlight import Lexing
from playground.gui.widgets.conversation import Entry
from playground.gui.widgets.newest_button import NewestButton
from playground.gui.widgets.row_pool import RowPool
from playground.gui.widgets.transcript_blocks import Block, Row, estimate, leftovers, measure, plan
from playground.gui.widgets.transcript_keys import TranscriptKeys
from playground.gui.widgets.transcript_stack import NARROW, Eye, Stack, column_of
from playground.gui.widgets.transcript_tokens import TranscriptTokens

TICK_MS = 33
BUDGET_S = 0.010
"""for laying out rows in one turn of the event loop"""
LIVE = 1.0
"""how many views above and below are kept ready"""


class Transcript(TranscriptTokens, TranscriptKeys, QAbstractScrollArea):
    """See the module's docstring."""

    pressed = Signal(str, str)
    """an action of `message_foot` and the message's id"""
    edited = Signal(str, str)
    """a message's id and its new text"""
    token_selected = Signal(str, object)
    """a message's id and the `TokenMark` that is looked at now, None for none"""
    forked = Signal(str, object, int)
    """a message's id, a `TokenMark` of it, and the token that is to stand there instead"""
    look_wanted = Signal(str, object)
    """a message's id and a `TokenMark` of it: what the model looked at there"""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setObjectName("chat.transcript")
        self.setAccessibleName("Conversation")
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOn)  # its room is reserved: no line breaks anew
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.viewport().setMouseTracking(True)
        self.busy = False
        """a reply is being written: nothing else can be begun"""
        self.loading = ""
        """what a waiting reply waits for"""
        self.stack = Stack()
        self._live: dict[str, Block] = {}
        """blocks that have widgets"""
        self.eye = Eye(self.stack)
        self._guard = False
        self._width = 0
        self._dirty: dict[str, Entry] = {}
        self._last_tick = 0.0
        self._lexing = Lexing(self)
        self._lexing.done.connect(self._colours_found)
        self.pool = RowPool(self.viewport(), self)
        self._tick = QTimer(self, singleShot=True)
        self._tick.setTimerType(Qt.TimerType.PreciseTimer)
        self._tick.timeout.connect(self._take_in)
        self._later = QTimer(self, singleShot=True, interval=0)
        self._later.timeout.connect(self._arrange)
        self._down = NewestButton(self)
        self._down.clicked.connect(self.follow)
        self.verticalScrollBar().setSingleStep(28)
        self.verticalScrollBar().valueChanged.connect(self._scrolled)
        theme.notifier().changed.connect(self._restyle)
        self.init_keys()
        self.init_tokens()
        self._restyle()

    # -- what is shown

    def show_entries(self, entries: Sequence[Entry], *, fresh: bool = False) -> None:
        """Shows a branch of a conversation. `fresh`: another chat, seen from its end; else what is the same stays where it is."""
        self._dirty.clear()
        if fresh:
            self._drop_all()
        before = self.stack.by_id
        blocks = []
        width, narrow = self._text_width(), self._narrow
        for entry in entries:
            block = before.get(entry.id)
            if block is None:
                block = Block(entry, track=self.token_mode != "off" and entry.role == "assistant")
                estimate(block, width, narrow)
            elif block.entry != entry:
                self._set_entry(block, entry)
            blocks.append(block)
        kept = {block.id for block in blocks}
        for block in self.blocks:
            if block.id not in kept:
                self._release(block.rows or ())
        self.stack.fill(blocks)
        if fresh:
            self.eye.follow()
        self._arrange()

    def update_entry(self, entry: Entry) -> None:
        """Shows a message that is different now, at the next tick."""
        if entry.id in self.stack.by_id:
            self._dirty[entry.id] = entry
            if not self._tick.isActive():
                wait = TICK_MS - (time.perf_counter() - self._last_tick) * 1000
                self._tick.start(max(0, round(wait)))

    def refresh(self) -> None:
        """Takes in at once what waits for the next tick."""
        self._tick.stop()
        self._take_in()

    def set_busy(self, busy: bool, loading: str = "") -> None:
        if (busy, loading) != (self.busy, self.loading):
            self.busy, self.loading = busy, loading
            for _block, row, _y in self._live_rows():
                if row.kind in ("foot", "wait"):
                    row.stale = True
            self._arrange()

    def follow(self) -> None:
        """Goes to the end and follows it."""
        self.eye.follow()
        self._arrange()

    def reveal(self, message_id: str) -> None:
        """Brings a message to the top of the view and makes it the current one."""
        block = self.stack.by_id.get(message_id)
        if block is not None:
            self.eye.look_at(message_id)
            self.set_current(message_id)
            self._arrange()

    def begin_edit(self, message_id: str) -> None:
        """Opens a message's text where it stands."""
        block = self.stack.by_id.get(message_id)
        if block is None or block.editing or self.busy:
            return
        for other in self.blocks:
            if other.editing:
                self.end_edit(other.id)
        self.eye.hold()
        block.editing = True
        self._replan(block)
        self._arrange()
        row = block.rows[0] if block.rows else None
        if row is not None and row.widget is not None:
            row.widget.begin(block.entry.message.content, block.entry.role)
            self._row_resized(row.widget)

    def end_edit(self, message_id: str) -> None:
        block = self.stack.by_id.get(message_id)
        if block is not None and block.editing:
            block.editing = False
            self._replan(block)
            self._arrange()
            self.setFocus()

    def block_of(self, widget: QWidget) -> Block | None:
        """The message that a row's widget belongs to."""
        return next((block for block, row, _y in self._live_rows() if row.widget is widget), None)

    def toPlainText(self) -> str:
        """The visible conversation's text: names and contents."""
        entries = [self._dirty.get(block.id, block.entry) for block in self.blocks]
        return "\n\n".join(f"{'You' if each.role == 'user' else 'Model'}\n{each.message.content}" for each in entries)

    @property
    def blocks(self) -> list[Block]:
        """The messages, the oldest first."""
        return self.stack.blocks

    @property
    def live_documents(self) -> int:
        """How many rows have a widget."""
        return sum(1 for _ in self._live_rows())

    @property
    def settled(self) -> bool:
        """Whether everything in and near the view is laid out and up to date."""
        return not self._later.isActive() and not self._tick.isActive() and not self._dirty

    @property
    def at_end(self) -> bool:
        return self.eye.at_end

    # -- taking in

    def _take_in(self) -> None:
        self._last_tick = time.perf_counter()
        dirty, self._dirty = self._dirty, {}
        for entry in dirty.values():
            block = self.stack.by_id.get(entry.id)
            if block is not None:
                self._set_entry(block, entry)
        self._arrange()

    def _set_entry(self, block: Block, entry: Entry) -> None:
        same_text = (block.entry.message.content, block.entry.streaming) == (entry.message.content, entry.streaming)
        marks_moved = block.entry.marks != entry.marks
        block.entry = entry
        if block.rows is None:
            estimate(block, self._text_width(), self._narrow)
            self.stack.changed(block)
            return
        if same_text and not marks_moved:
            for row in block.rows:
                if row.kind in ("foot", "wait"):
                    row.stale = True
            return
        if not block.editing:
            self._replan(block)
            for row in block.rows if marks_moved else block.rows[-3:]:
                row.stale = True

    def _replan(self, block: Block) -> None:
        old = block.rows
        plan(block, self._text_width(), self._narrow)
        self.stack.changed(block)
        self._release(leftovers(old, block.rows))

    # -- where everything is

    @property
    def _narrow(self) -> bool:
        return self.viewport().width() < NARROW

    def column_in(self, width: int) -> tuple[int, int]:
        """Left and width of the text, were this widget so wide."""
        return column_of(width - self.verticalScrollBar().sizeHint().width())

    def _column(self) -> tuple[int, int]:
        return column_of(self.viewport().width())

    def _text_width(self) -> int:
        return self._column()[1]

    def _live_rows(self) -> Iterator[tuple[Block, Row, float]]:
        for block in self._live.values():
            top = self.stack.top(block)
            for row in block.rows or ():
                if row.widget is not None:
                    yield block, row, top + row.y

    # -- arranging

    def _arrange(self) -> None:
        """Lays out what is in or near the view, for some milliseconds; the rest follows after painting."""
        self._later.stop()
        if self._column()[1] != self._width:
            self._reflow()
        high = self.viewport().height()
        ends = time.perf_counter() + BUDGET_S
        more = True
        while more:
            self.stack.sum_up()
            self.eye.settle(high)
            found = self._next_to_do(high)
            if found is None:
                more = False
            elif time.perf_counter() >= ends:
                self._later.start()
                break
            else:
                self._do(*found)
        self._place(high)

    def _next_to_do(self, high: float) -> tuple[Block, Row | None] | None:
        """What to lay out next: in view before near it; at the end of the conversation the newest first."""
        for reach in (0.0, LIVE * high):
            waiting = [
                (block, row)
                for block, row in self.stack.rows_between(self.eye.offset - reach, self.eye.offset + high + reach)
                if row is None or row.widget is None or not row.exact or row.stale
            ]
            if waiting:
                return waiting[-1] if self.eye.at_end else waiting[0]
        return None

    def _do(self, block: Block, row: Row | None) -> None:
        if row is None:
            plan(block, self._text_width(), self._narrow)
            self.stack.changed(block)
            return
        self._live[block.id] = block
        before = block.height
        self.pool.show(row, block, self._text_width())
        measure(block)
        if block.height != before:
            self.stack.changed(block)
        if row.kind == "code" and not (block.entry.streaming and row.part and not row.part.closed):
            row.widget.ask_for_colours(self._lexing, row.widget)

    def _place(self, high: float) -> None:
        """Moves the widgets to where they belong, and gives back those that are far away."""
        left, width = self._column()
        low_end, high_end = self.eye.offset - 2 * LIVE * high, self.eye.offset + high + 2 * LIVE * high
        for block, row, y in list(self._live_rows()):
            if (y + row.height < low_end or y > high_end) and not self.pool.in_use(row):
                self._release([row])
                continue
            top = round(y - self.eye.offset)
            geometry = (left, top, width, round(row.height))
            if row.widget.geometry().getRect() != geometry:
                row.widget.setGeometry(*geometry)
            if row.exact and row.widget.isHidden():
                row.widget.show()
            if row.kind == "foot":
                row.widget.set_active(self.is_active(block), self.is_reachable(block))
        for name in [name for name, block in self._live.items() if not any(row.widget for row in block.rows or ())]:
            del self._live[name]
        self._order_tabs()
        self._set_bar(high)
        self.viewport().update()

    def _set_bar(self, high: float) -> None:
        bar = self.verticalScrollBar()
        self._guard = True
        bar.setRange(0, max(0, round(self.stack.total - high)))
        bar.setEnabled(bar.maximum() > 0)
        bar.setPageStep(round(high))
        bar.setValue(round(self.eye.offset))
        self._guard = False
        far = self.stack.total - high - self.eye.offset >= 40
        self._down.stand(*self._column(), self.height(), not self.eye.at_end and far)

    def _reflow(self) -> None:
        """The column has another width: all heights are guesses again."""
        self._width = self._column()[1]
        self.stack.changed()
        narrow = self._narrow
        for block in self.blocks:
            if block.id not in self._live:
                block.rows = None  # to be cut up again when somebody comes near
                estimate(block, self._width, narrow)
                continue
            self._replan(block)
            for row in block.rows or ():
                row.exact = row.exact and row.kind == "foot"
                row.stale = True

    def _release(self, rows: Sequence[Row]) -> None:
        for row in rows:
            if row.widget is not None:
                self.pool.give_back(row)

    def _drop_all(self) -> None:
        for block in self.blocks:
            self._release(block.rows or ())
        self.stack.fill([])
        self._live = {}
        self.forget_current()
        self.select_token("", None)

    def _row_resized(self, widget: QWidget) -> None:
        """A row's own height is another one now (an editor that grows)."""
        block = self.block_of(widget)
        for row in block.rows or () if block else ():
            if row.widget is widget:
                row.exact = False
        self.eye.hold()
        self._arrange()

    def _colours_found(self, widget: Any, lines: Any) -> None:
        if self.block_of(widget) is not None:
            widget.set_colours(lines)

    # -- events

    def _scrolled(self, value: int) -> None:
        if self._guard:
            return
        self.eye.scroll_to(float(value), at_end=value >= self.verticalScrollBar().maximum() - 2)
        self._arrange()

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        if not self.eye.held:
            self.eye.hold()
        self._arrange()
        if event.size().width() != event.oldSize().width():
            self.place_alternatives()

    def scrollContentsBy(self, dx: int, dy: int) -> None:
        """The widgets are placed by `_arrange`."""

    def viewportEvent(self, event: QEvent) -> bool:
        if event.type() == QEvent.Type.Paint:
            transcript_paint.paint(self, event)
            return True
        return super().viewportEvent(event)

    def visible_blocks(self) -> Iterator[tuple[Block, QRectF]]:
        """The messages in view, with where they are."""
        left, width = self._column()
        for block, top in self.stack.blocks_between(self.eye.offset, self.eye.offset + self.viewport().height()):
            yield block, QRectF(left, top - self.eye.offset, width, block.height)

    def block_at(self, point: QPoint) -> Block | None:
        """The message at a point of the viewport."""
        return next((block for block, rect in self.visible_blocks() if rect.top() <= point.y() < rect.bottom()), None)

    def _restyle(self) -> None:
        self.pool.restyle()
        for block, row, _y in self._live_rows():
            row.stale, row.exact = True, row.kind == "foot"
            del block
        self._arrange()
