"""Tokens in the transcript: their colours, the list of alternatives by the mouse or the keys, the surprise track, the token in focus.

A mixin of `Transcript`, apart from it only to keep both readable. What a reply's tokens are it asks of whoever owns it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QPoint, QPointF, QRect, Qt, QTimer
from PySide6.QtGui import QCursor, QKeyEvent
from PySide6.QtWidgets import QWidget

from playground.gui.widgets.reading_view import ReadingView
from playground.gui.widgets.token_layer import TokenLayer
from playground.gui.widgets.token_marks import TokenMark, within
from playground.gui.widgets.transcript_blocks import Block, Row

if TYPE_CHECKING:
    from playground.gui.widgets.alternatives import Alternatives
    from playground.gui.widgets.transcript import Transcript

SHOW_MS = 140
HIDE_MS = 260


class TranscriptTokens:
    """See the module's docstring."""

    def init_tokens(self: Transcript) -> None:
        self.token_mode = "off"
        self.marks_of: Callable[[str], Sequence[TokenMark]] = lambda message_id: ()
        """a reply's tokens in the order of its text; asked whenever they are painted, so it may find them out by and by"""
        self._token: tuple[str, TokenMark] | None = None
        self._under: tuple[ReadingView, str, TokenMark] | None = None
        self._popup: Alternatives | None = None
        self._show_timer = QTimer(self, singleShot=True, interval=SHOW_MS)
        self._show_timer.timeout.connect(self._show_hovered)
        self._hide_timer = QTimer(self, singleShot=True, interval=HIDE_MS)
        self._hide_timer.timeout.connect(self._hide_hovered)

    # -- what is coloured

    def set_token_mode(self: Transcript, mode: str) -> None:
        """`off`, `probability` or `entropy`. With colours comes the surprise track."""
        if mode == self.token_mode:
            return
        self.eye.hold()
        self.token_mode = mode
        if mode == "off":
            self.select_token("", None)
        for block in self.blocks:
            self.set_track(block)
        self._stale_all()

    def set_track(self: Transcript, block: Block) -> None:
        """Gives a reply its surprise track, or takes it away."""
        wanted = self.token_mode != "off" and block.entry.role == "assistant"
        if block.track != wanted:
            block.track = wanted
            if block.rows is not None:
                self._replan(block)
            self.stack.changed(block)

    def tokens_changed(self: Transcript, message_id: str) -> None:
        """More is known of a reply's tokens than when it was painted."""
        block = self._live.get(message_id)
        for row in (block.rows or ()) if block else ():
            row.stale = True
        self._arrange()

    def _stale_all(self: Transcript) -> None:
        for _block, row, _y in self._live_rows():
            row.stale = True
        self._arrange()

    def fill_tokens(self: Transcript, row: Row, block: Block) -> None:
        """Colours a row that was just filled."""
        if row.kind == "track":
            focused = self._token[1] if self._token is not None and self._token[0] == block.id else None
            row.widget.show_marks(self.marks_of(block.id), focused)
            return
        view = self._row_view(row)
        if view is None or row.part is None:
            return
        wanted = block.entry.role == "assistant" and (self.token_mode != "off" or self._is_focused(block))
        if not wanted:
            if view.tokens is not None:
                view.tokens.set("", (), "off")
            return
        if view.tokens is None:
            view.tokens = TokenLayer(view)
        start = row.part.lead if row.kind == "code" else row.part.start
        source = block.entry.message.content[start : row.part.end]
        marks = within(self.marks_of(block.id), start, row.part.end)
        view.tokens.set(source, [(mark.start - start, mark.end - start, mark) for mark in marks], self.token_mode)
        view.tokens.focused = self._token[1] if self._is_focused(block) and self._token and self._token[1] in marks else None

    def _is_focused(self: Transcript, block: Block) -> bool:
        return self._token is not None and self._token[0] == block.id

    # -- the token in focus

    @property
    def token(self: Transcript) -> tuple[str, TokenMark] | None:
        """The message and the token that is looked at."""
        return self._token

    def select_token(self: Transcript, message_id: str, mark: TokenMark | None) -> None:
        """Makes a token the one that is looked at; None: none."""
        before, self._token = self._token, None if mark is None else (message_id, mark)
        if before == self._token:
            return
        for name in {before[0] if before else "", message_id}:
            block = self._live.get(name)
            for row in (block.rows or ()) if block else ():
                if row.kind != "foot" and row.widget is not None:
                    self.fill_tokens(row, block) if block else None
                    (self._row_view(row) or row.widget).update()
                    if (view := self._row_view(row)) is not None:
                        view.viewport().update()
        if mark is not None:
            self._bring_into_view(message_id, mark)
            marks = self.marks_of(message_id)
            number = next((place for place, each in enumerate(marks) if each is mark), 0) + 1
            self.setAccessibleDescription(f"Token {number} of {len(marks)}: {mark.token.text!r}, {mark.token.probability:.1%}")
        self.token_selected.emit(message_id, mark)

    def _rect_of(self: Transcript, message_id: str, mark: TokenMark) -> QRect | None:
        """Of a token, in this widget."""
        block = self._live.get(message_id)
        for row in (block.rows or ()) if block else ():
            view = self._row_view(row) if row.widget is not None else None
            if view is not None and view.tokens is not None and (rect := view.tokens.rect_of(mark)) is not None:
                corner = view.viewport().mapTo(self, rect.topLeft().toPoint())
                return QRect(corner, rect.size().toSize())
        return None

    def _bring_into_view(self: Transcript, message_id: str, mark: TokenMark) -> None:
        rect = self._rect_of(message_id, mark)
        if rect is None:
            return
        bar, high = self.verticalScrollBar(), self.viewport().height()
        if rect.top() < 8:
            bar.setValue(bar.value() + rect.top() - 40)
        elif rect.bottom() > high - 8:
            bar.setValue(bar.value() + rect.bottom() - high + 40)

    # -- keys

    def token_key(self: Transcript, event: QKeyEvent) -> bool:
        """Whether a key was about tokens: T begins at the current reply, arrows step, Enter lists, Esc ends."""
        if event.modifiers() & ~Qt.KeyboardModifier.KeypadModifier:
            return False
        key = event.key()
        if self._token is None:
            block = self.stack.by_id.get(self._current) or (self.blocks[-1] if self.blocks else None)
            if key != Qt.Key.Key_T or block is None or block.entry.role != "assistant":
                return False
            marks = self.marks_of(block.id)
            if marks:
                self.set_current(block.id)
                self.select_token(block.id, marks[0])
            return True
        message_id, mark = self._token
        marks = self.marks_of(message_id)
        place = next((number for number, each in enumerate(marks) if each is mark), -1)
        steps = {Qt.Key.Key_Left: place - 1, Qt.Key.Key_Right: place + 1, Qt.Key.Key_Home: 0, Qt.Key.Key_End: len(marks) - 1}
        if key in steps and marks:
            self.select_token(message_id, marks[max(0, min(len(marks) - 1, steps[Qt.Key(key)]))])
        elif key in (Qt.Key.Key_Return, Qt.Key.Key_Enter, Qt.Key.Key_Space):
            self.open_alternatives(message_id, mark)
        elif key in (Qt.Key.Key_Escape, Qt.Key.Key_T):
            self.select_token("", None)
        else:
            return False
        return True

    # -- alternatives

    @property
    def alternatives(self: Transcript) -> Alternatives:
        """The floating list, made when it is first wanted."""
        if self._popup is None:
            from playground.gui.widgets.alternatives import Alternatives

            self._popup = Alternatives(self)
            self._popup.chosen.connect(self._chosen)
            self._popup.left.connect(lambda: self.setFocus())
            self._popup.look_wanted.connect(lambda mark: self.look_wanted.emit(self._popup_of, mark))
            self._popup.hovered.connect(lambda inside: self._hide_timer.stop() if inside else self._hide_timer.start())
        return self._popup

    def open_alternatives(self: Transcript, message_id: str, mark: TokenMark, *, pin: bool = True) -> None:
        """Shows what else could have stood there. `pin`: takes the keys and stays until it is left."""
        rect = self._rect_of(message_id, mark)
        if rect is None:
            return
        marks = self.marks_of(message_id)
        number = next((place for place, each in enumerate(marks) if each is mark), 0) + 1
        self._popup_of = message_id
        self.alternatives.show_mark(mark, rect, number, can_fork=True, pin=pin)

    def place_alternatives(self: Transcript) -> None:
        """At another width the token stands elsewhere: the list follows it if it is to stay, and goes if it is not."""
        popup = self._popup
        if popup is None or popup.mark is None or not popup.isVisible():
            return
        if popup.pinned and self._rect_of(self._popup_of, popup.mark) is not None:
            self.open_alternatives(self._popup_of, popup.mark)
        else:
            popup.put_away()

    def _chosen(self: Transcript, mark: TokenMark, token: int) -> None:
        self.setFocus()
        self.forked.emit(self._popup_of, mark, token)

    # -- mouse, as the views of the rows tell it

    def token_moved(self: Transcript, view: ReadingView, widget: QWidget, point: QPoint) -> None:
        if self.token_mode == "off" or view.tokens is None:
            return
        mark = view.tokens.at(QPointF(point))
        block = self.block_of(widget)
        popup = self._popup
        if mark is None or block is None:
            self._under = None
            self._show_timer.stop()
            if popup is not None and popup.isVisible() and not popup.pinned:
                self._hide_timer.start()
            return
        if self._under is None or self._under[2] is not mark:
            self._under = (view, block.id, mark)
            self._show_timer.start()
        if popup is not None and popup.mark is mark:
            self._hide_timer.stop()

    def token_left(self: Transcript) -> None:
        self._under = None
        self._show_timer.stop()
        if self._popup is not None and self._popup.isVisible() and not self._popup.pinned:
            self._hide_timer.start()

    def token_clicked(self: Transcript, view: ReadingView, widget: QWidget, point: QPoint) -> None:
        block = self.block_of(widget)
        if self.token_mode == "off" or view.tokens is None or block is None:
            return
        mark = view.tokens.at(QPointF(point))
        if mark is not None:
            self._show_timer.stop()
            self.select_token(block.id, mark)
            self.open_alternatives(block.id, mark)

    def track_picked(self: Transcript, widget: QWidget, mark: Any) -> None:
        block = self.block_of(widget)
        if block is not None:
            self.setFocus()
            self.select_token(block.id, mark)
            self.open_alternatives(block.id, mark, pin=False)

    def _show_hovered(self: Transcript) -> None:
        popup = self._popup
        if self._under is None or (popup is not None and popup.pinned and popup.isVisible()):
            return
        view, message_id, mark = self._under
        if view.isVisible() and view.viewport().rect().contains(view.viewport().mapFromGlobal(QCursor.pos())):
            self._hide_timer.stop()
            self.open_alternatives(message_id, mark, pin=False)

    def _hide_hovered(self: Transcript) -> None:
        if self._popup is not None and not self._popup.pinned:
            self._popup.put_away()
