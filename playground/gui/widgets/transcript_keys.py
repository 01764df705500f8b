"""Mouse and keyboard in the transcript: the current message, hovering, selections across rows, menus.

A mixin of `Transcript`, apart from it only to keep both readable.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QPoint, Qt
from PySide6.QtGui import QFocusEvent, QGuiApplication, QKeyEvent, QKeySequence, QMouseEvent, QTextCursor
from PySide6.QtWidgets import QMenu, QWidget

from playground.gui.widgets import message_foot as foot
from playground.gui.widgets.reading_view import ReadingView
from playground.gui.widgets.transcript_blocks import Block, Row

if TYPE_CHECKING:
    from playground.gui.widgets.transcript import Transcript

_KEYS = {
    Qt.Key.Key_C: foot.COPY,
    Qt.Key.Key_E: foot.EDIT,
    Qt.Key.Key_R: foot.REGENERATE,
    Qt.Key.Key_Left: foot.PREVIOUS,
    Qt.Key.Key_Right: foot.NEXT,
}


class TranscriptKeys:
    """See the module's docstring."""

    def init_keys(self: Transcript) -> None:
        self._current = ""
        self._hovered = ""
        self._selecting: ReadingView | None = None
        self._tabbed: tuple[QWidget, ...] = ()

    # -- the current message

    def is_current(self: Transcript, block: Block) -> bool:
        return block.id == self._current

    def is_active(self: Transcript, block: Block) -> bool:
        """Whether the message shows its buttons."""
        return block.id in (self._current, self._hovered) or block is self.blocks[-1]

    def is_reachable(self: Transcript, block: Block) -> bool:
        """Whether the Tab key comes by its buttons."""
        return block.id == self._current or block is self.blocks[-1]

    def set_current(self: Transcript, message_id: str) -> None:
        self._current = message_id
        block = self.stack.by_id.get(message_id)
        if block is not None:
            who = "You" if block.entry.role == "user" else "Model"
            self.setAccessibleDescription(f"{who}: {block.entry.message.content[:500]}")
        self._show_active()

    def forget_current(self: Transcript) -> None:
        self._current = self._hovered = ""
        self._selecting = None

    def set_hovered(self: Transcript, block: Block | None) -> None:
        name = block.id if block is not None else ""
        if name != self._hovered:
            self._hovered = name
            self._show_active()

    def _show_active(self: Transcript) -> None:
        for block, row, _y in self._live_rows():
            if row.kind == "foot":
                row.widget.set_active(self.is_active(block), self.is_reachable(block))
        self._order_tabs()
        self.viewport().update()

    def _order_tabs(self: Transcript) -> None:
        """The buttons of the current and of the last message come right behind the transcript, in the order in which they stand."""
        feet = [(y, row.widget) for block, row, y in self._live_rows() if row.kind == "foot" and self.is_reachable(block)]
        found = tuple(widget for _y, widget in sorted(feet, key=lambda each: each[0]))
        if found == self._tabbed:
            return
        self._tabbed = found
        before: QWidget = self
        for widget in found:
            for button in widget.buttons():
                QWidget.setTabOrder(before, button)
                before = button

    def _step(self: Transcript, by: int) -> None:
        """Makes the message before or after the current one the current one, and brings it into view."""
        if not self.blocks:
            return
        current = self.stack.by_id.get(self._current)
        index = len(self.blocks) - 1 if current is None else max(0, min(len(self.blocks) - 1, current.index + by))
        block = self.blocks[index]
        self.set_current(block.id)
        top, height = self.stack.top(block), block.height
        high = self.viewport().height()
        if top < self.eye.offset or top + height > self.eye.offset + high:
            wanted = top if height > high or top < self.eye.offset else top + height - high
            self.verticalScrollBar().setValue(round(wanted))

    # -- keys

    def keyPressEvent(self: Transcript, event: QKeyEvent) -> None:
        key, control = event.key(), bool(event.modifiers() & Qt.KeyboardModifier.ControlModifier)
        bar = self.verticalScrollBar()
        if self.token_key(event):
            return
        if event.matches(QKeySequence.StandardKey.Copy):
            if not self.copy_selection() and self._current:
                self.pressed.emit(foot.COPY, self._current)
        elif event.matches(QKeySequence.StandardKey.SelectAll):
            self._select_all()
        elif key in (Qt.Key.Key_Up, Qt.Key.Key_Down) and control:
            self._step(-1 if key == Qt.Key.Key_Up else 1)
        elif key in (Qt.Key.Key_Up, Qt.Key.Key_Down):
            bar.setValue(bar.value() + (-40 if key == Qt.Key.Key_Up else 40))
        elif key in (Qt.Key.Key_PageUp, Qt.Key.Key_PageDown, Qt.Key.Key_Space):
            up = key == Qt.Key.Key_PageUp or (key == Qt.Key.Key_Space and event.modifiers() & Qt.KeyboardModifier.ShiftModifier)
            bar.setValue(bar.value() + (-1 if up else 1) * max(40, self.viewport().height() - 60))
        elif key == Qt.Key.Key_Home:
            bar.setValue(0)
        elif key == Qt.Key.Key_End:
            self.follow()
        elif self._current and key in _KEYS and not control:
            self.pressed.emit(_KEYS[Qt.Key(key)], self._current)
        elif key == Qt.Key.Key_Menu or (key == Qt.Key.Key_F10 and event.modifiers() & Qt.KeyboardModifier.ShiftModifier):
            self._current_menu()
        else:
            event.ignore()

    def _current_menu(self: Transcript) -> None:
        for block, row, _y in self._live_rows():
            if row.kind == "foot" and self.is_current(block):
                row.widget.menu(row.widget.mapToGlobal(QPoint(0, row.widget.height())))

    def focusInEvent(self: Transcript, event: QFocusEvent) -> None:
        if not self._current and self.blocks and event.reason() != Qt.FocusReason.MouseFocusReason:
            self.set_current(self.blocks[-1].id)
        self.viewport().update()

    def focusOutEvent(self: Transcript, event: QFocusEvent) -> None:
        self.viewport().update()

    # -- mouse

    def mouseMoveEvent(self: Transcript, event: QMouseEvent) -> None:
        self.set_hovered(self.block_at(event.position().toPoint()))

    def mousePressEvent(self: Transcript, event: QMouseEvent) -> None:
        self._clear_selections(None)
        block = self.block_at(event.position().toPoint())
        self.set_current(block.id if block is not None else "")

    def leaveEvent(self: Transcript, event: Any) -> None:
        self.set_hovered(None)

    # -- what the rows tell

    def foot_pressed(self: Transcript, widget: QWidget, action: str) -> None:
        block = self.block_of(widget)
        if block is not None:
            self.pressed.emit(action, block.id)

    def edit_kept(self: Transcript, widget: QWidget, text: str) -> None:
        block = self.block_of(widget)
        if block is not None:
            self.end_edit(block.id)
            if text != block.entry.message.content or block.entry.role == "user":
                self.edited.emit(block.id, text)

    def edit_left(self: Transcript, widget: QWidget) -> None:
        block = self.block_of(widget)
        if block is not None:
            self.end_edit(block.id)

    def text_menu(self: Transcript, view: ReadingView, widget: QWidget, where: QPoint) -> None:
        """What can be done with a text that was clicked with the right button."""
        block = self.block_of(widget)
        if block is None:
            return
        menu = QMenu(self)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        selected = menu.addAction("Copy the selection")
        selected.setEnabled(any(self.pool.selected_text(row) for _b, row, _y in self._live_rows()))
        selected.triggered.connect(lambda: self.copy_selection())
        menu.addAction("Copy the message").triggered.connect(lambda: self.pressed.emit(foot.COPY, block.id))
        menu.addSeparator()
        for text, action in (("Edit", foot.EDIT), ("Write another version", foot.REGENERATE)):
            if action == foot.EDIT or block.entry.role == "assistant":
                added = menu.addAction(text)
                added.setEnabled(not self.busy)
                added.triggered.connect(lambda _checked=False, name=action: self.pressed.emit(name, block.id))
        menu.popup(where)

    # -- selections across rows: each row selects its own share

    def selection_begun(self: Transcript, view: ReadingView) -> None:
        self._selecting = view
        self._clear_selections(view)
        block = self.block_of(view) or self.block_of(view.parentWidget() or view)
        if block is not None:
            self.set_current(block.id)

    def selection_drawn(self: Transcript, view: ReadingView, where: QPoint) -> None:
        """The mouse is at a point of the screen, drawing a selection that began in `view`."""
        views = self._views()
        if view is not self._selecting or view not in views:
            return
        start = views.index(view)
        y = where.y()
        tops = [each.mapToGlobal(QPoint(0, 0)).y() for each in views]
        end = max((i for i, top in enumerate(tops) if top <= y), default=0)
        for index, other in enumerate(views):
            if index == start:
                continue
            cursor = other.textCursor()
            cursor.clearSelection()
            if min(start, end) < index < max(start, end):
                cursor.select(QTextCursor.SelectionType.Document)
            elif index == end:
                reached = other.cursorForPosition(other.viewport().mapFromGlobal(where)).position()
                cursor.movePosition(QTextCursor.MoveOperation.Start if end > start else QTextCursor.MoveOperation.End)
                cursor.setPosition(reached, QTextCursor.MoveMode.KeepAnchor)
            other.setTextCursor(cursor)

    def _views(self: Transcript) -> list[ReadingView]:
        found: list[tuple[float, ReadingView]] = []
        for _block, row, y in self._live_rows():
            view = self._row_view(row)
            if view is not None:
                found.append((y, view))
        return [view for _y, view in sorted(found, key=lambda each: each[0])]

    def _row_view(self: Transcript, row: Row) -> ReadingView | None:
        return self.pool.view(row)

    def copy_selection(self: Transcript) -> bool:
        """What is selected, across rows, goes to the clipboard. False if nothing is."""
        rows = sorted(self._live_rows(), key=lambda each: each[2])
        texts = [text for _block, row, _y in rows if (text := self.pool.selected_text(row))]
        if texts:
            QGuiApplication.clipboard().setText("\n\n".join(texts))
        return bool(texts)

    def _clear_selections(self: Transcript, but: ReadingView | None) -> None:
        for view in self._views():
            if view is not but and view.textCursor().hasSelection():
                cursor = view.textCursor()
                cursor.clearSelection()
                view.setTextCursor(cursor)

    def _select_all(self: Transcript) -> None:
        for view in self._views():
            view.selectAll()
