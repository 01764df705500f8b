"""One stretch of a message as text: Markdown that may still grow, or the user's words as they were typed.

Knows how to show a `Part` and how high it is at a width; where it stands and to whom it belongs is the transcript's business.
"""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QRectF, Qt
from PySide6.QtGui import QColor, QPainter, QPaintEvent, QTextBlockFormat, QTextCursor, QTextFormat
from PySide6.QtWidgets import QTextEdit, QWidget

from playground.gui import theme
from playground.gui.widgets.markdown_stream import LINE_HEIGHT, Mark, MarkdownStream
from playground.gui.widgets.reading_view import ReadingView
from playground.gui.widgets.reply_parts import Part


class TextPart(ReadingView):
    """A part of prose or plain text."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._stream = MarkdownStream(self.document())
        self._shown: tuple[str, bool, tuple[Mark, ...]] | None = None
        self.setLineWrapMode(QTextEdit.LineWrapMode.WidgetWidth)

    def show_part(self, part: Part, marks: Sequence[Mark] = (), *, streaming: bool = False) -> None:
        """Shows a part, which may be the last one with more text. `streaming`: it will grow further."""
        wanted = (part.text, not streaming, tuple(marks))
        self.caret = streaming
        if wanted == self._shown:
            return
        before = self._shown
        anchor, position = self.textCursor().anchor(), self.textCursor().position()
        if before is None or before[2][: len(wanted[2])] != wanted[2][: len(before[2])]:
            self._stream = MarkdownStream(self.document())  # a mark in what is finished says something else now
        if before is None:
            self.document().setDefaultFont(theme.font("body"))
        self._shown = wanted
        self.chipped = bool(marks)
        if part.kind == "plain":
            self._show_plain(part.text)
        else:
            self._stream.show(part.text, final=not streaming, marks=marks)
        if anchor != position:
            self._select(anchor, position)
        self.setAccessibleName(part.text[:2000])
        self.viewport().update()

    def restyle(self) -> None:
        """After a change of theme: the next `show_part` renders anew."""
        self._shown = None
        self._stream = MarkdownStream(self.document())

    def height_for(self, width: int) -> int:
        """Lays the text out at a width and says how high it is."""
        if self.width() != width:
            self.resize(width, self.height())
        if int(self.document().textWidth()) != width:
            self.document().setTextWidth(width)
        return max(self.text_height(), theme.pixels("body") + 8)

    def _show_plain(self, text: str) -> None:
        self.setPlainText(text)
        form = QTextBlockFormat()
        form.setLineHeight(LINE_HEIGHT, QTextBlockFormat.LineHeightTypes.ProportionalHeight.value)
        cursor = QTextCursor(self.document())
        cursor.select(QTextCursor.SelectionType.Document)
        cursor.mergeBlockFormat(form)

    def _select(self, anchor: int, position: int) -> None:
        end = self.document().characterCount() - 1
        cursor = self.textCursor()
        cursor.setPosition(min(anchor, end))
        cursor.setPosition(min(position, end), QTextCursor.MoveMode.KeepAnchor)
        self.setTextCursor(cursor)

    def paint_below(self, painter: QPainter, event: QPaintEvent) -> None:
        colors = theme.palette()
        painter.setPen(Qt.PenStyle.NoPen)
        if self._shown and self._shown[2]:
            painter.setBrush(QColor(colors.accent_soft))
            for rect in self.chip_rects():
                painter.drawRoundedRect(rect, 4, 4)
        if self._shown and ">" in self._shown[0]:
            self._paint_quotes(painter)

    def _paint_quotes(self, painter: QPainter) -> None:
        layout = self.document().documentLayout()
        painter.setBrush(QColor(theme.palette().faint))
        block = self.document().begin()
        top = bottom = -1.0
        while True:
            quoted = block.isValid() and block.blockFormat().hasProperty(QTextFormat.Property.BlockQuoteLevel)
            if quoted:
                rect = layout.blockBoundingRect(block)
                top = rect.top() if top < 0 else top
                bottom = rect.bottom()
            elif top >= 0:
                painter.drawRoundedRect(QRectF(0, top, 3, bottom - top), 1.5, 1.5)
                top = -1.0
            if not block.isValid():
                return
            block = block.next()
