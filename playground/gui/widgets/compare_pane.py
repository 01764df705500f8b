"""The text of one reply while it is written, token by token: what all replies share is dim, where they part is marked.

The text stands as it came, without Markdown: every character belongs to a token, so that colours, marks and the mouse find it. Takes
tokens at once and shows them when it is told to (`flush`): with eight of these in a window, somebody has to take turns.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence
from typing import Any

from PySide6.QtCore import QMimeData, QPoint, QRect, QRectF, Qt, Signal
from PySide6.QtGui import (
    QColor,
    QFont,
    QHelpEvent,
    QMouseEvent,
    QPainter,
    QPaintEvent,
    QResizeEvent,
    QTextBlockFormat,
    QTextCharFormat,
    QTextCursor,
    QTextDocumentFragment,
)
from PySide6.QtWidgets import QFrame, QTextEdit, QToolTip, QWidget

from playground.gui import theme
from playground.gui.widgets.soft_breaks import SoftBreaks, select_paragraph, without_breaks
from playground.gui.widgets.token_marks import DEGREES, SHARES, WEIGHTS, TokenMark, degree

LINE_HEIGHT = 142
PLAIN, PROBABILITY, ENTROPY = "plain", "probability", "entropy"
LN2 = math.log(2)


class ReplyPane(QTextEdit):
    """See the module's docstring. `marks` are (token index, tooltip), `changes` the indexes from which on other settings held."""

    token_pressed = Signal(int)
    """the mouse was pressed on a token, and nothing was selected with it"""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setReadOnly(True)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setUndoRedoEnabled(False)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        # Always there: a bar that comes when the text grows would make every line of it break anew.
        self.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOn)
        bar = self.verticalScrollBar()
        bar.setEnabled(False)
        bar.rangeChanged.connect(lambda low, high: bar.setEnabled(high > low))
        self.setTabChangesFocus(True)
        self.setTextInteractionFlags(
            Qt.TextInteractionFlag.TextSelectableByMouse | Qt.TextInteractionFlag.TextSelectableByKeyboard
        )
        self.document().setDocumentMargin(0)
        self.viewport().setAutoFillBackground(False)
        theme.mark(self, role="reply")
        self.colours = PLAIN
        self.writing = False
        self._start = ""
        self._tokens: list[Any] = []
        self._waiting: list[Any] = []
        self._places: list[int] = []
        """where in the text each token begins"""
        self._breaks = SoftBreaks(self.document())
        self._end = 0
        self._common = 0
        self._marks: tuple[tuple[int, str], ...] = ()
        self._changes: tuple[tuple[int, str], ...] = ()
        self._stale = False
        self._overlay_stale = False
        self._cut: str | None = None
        self._washes: list[QTextCharFormat] | None = None
        theme.notifier().changed.connect(self.restyle)
        self._rebuild()

    # -- what it shows

    def clear_reply(self, start: str = "") -> None:
        """Nothing but what the reply has to begin with."""
        if not (start or self._start or self._tokens or self._waiting or self._marks or self._changes or self._stale):
            return
        self._start, self._cut = start, None
        self._tokens, self._waiting, self._places = [], [], []
        self._common, self._marks, self._changes = 0, (), ()
        self._rebuild()

    def add(self, tokens: Sequence[Any]) -> None:
        """More tokens at the end; shown with the next `flush`."""
        self._waiting += tokens

    def set_overlay(self, common: int, marks: Sequence[tuple[int, str]]) -> None:
        """How many tokens are dim, and which ones are marked; shown with the next `flush`."""
        if (common, tuple(marks)) != (self._common, self._marks):
            self._common, self._marks = common, tuple(marks)
            self._overlay_stale = True

    def set_changes(self, changes: Sequence[tuple[int, str]]) -> None:
        if tuple(changes) != self._changes:
            self._changes = tuple(changes)
            self.viewport().update()

    def set_colours(self, colours: str) -> None:
        """`plain`, or every token washed by its probability or by the model's entropy; shown with the next `flush`."""
        if colours != self.colours:
            self.colours = colours
            self._stale = True

    def set_writing(self, writing: bool) -> None:
        if writing != self.writing:
            self.writing = writing
            self.viewport().update()

    def settle(self, text: str) -> None:
        """The reply has ended and is `text`: a stop string that was begun has been taken away again."""
        self._cut = text
        self._stale = self._stale or len(text) < self._length() + sum(len(token.text) for token in self._waiting)

    @property
    def behind(self) -> bool:
        """Whether `flush` has something to do."""
        return bool(self._waiting) or self._stale or self._overlay_stale

    def flush(self) -> None:
        """Shows what has come."""
        if not self.behind:
            return
        bar = self.verticalScrollBar()
        follow = bar.value() >= bar.maximum() - 4
        if self._stale:
            self._tokens += self._waiting
            self._waiting = []
            kept = bar.value()
            self._rebuild()
            bar.setValue(kept)
        elif self._waiting:
            new, self._waiting = self._waiting, []
            self._append(new)
        if self._overlay_stale:
            self._show_overlay()
        if self.writing:
            self._breaks.split()
        if follow and self.writing:
            bar.setValue(bar.maximum())

    def restyle(self) -> None:
        """The colours or the size of text are others now."""
        self._washes = None
        self._stale = True
        self.flush()

    # -- the document

    def _rebuild(self) -> None:
        self._stale = False
        tokens, self._tokens, self._places = self._tokens, [], []
        self.document().setDefaultFont(theme.font("body"))
        self.clear()
        self._breaks.forget()
        form = QTextBlockFormat()
        form.setLineHeight(LINE_HEIGHT, QTextBlockFormat.LineHeightTypes.ProportionalHeight.value)
        cursor = QTextCursor(self.document())
        cursor.setBlockFormat(form)
        self._end = 0
        if self._start:
            given = QTextCharFormat()
            given.setFontItalic(True)
            given.setForeground(QColor(theme.palette().muted))
            given.setToolTip("The reply was made to begin with this")
            self._insert(cursor, self._start, given)
        self._append(tokens)
        if self._cut is not None and len(self._cut) < self._length():
            self._cut_to(self._cut)
        self._overlay_stale = True
        self._show_overlay()

    def _length(self) -> int:
        return len(self._start) + sum(len(token.text) for token in self._tokens)

    def _cut_to(self, text: str) -> None:
        cursor = QTextCursor(self.document())
        cursor.setPosition(min(_units(text), self._end))
        cursor.movePosition(QTextCursor.MoveOperation.End, QTextCursor.MoveMode.KeepAnchor)
        cursor.removeSelectedText()
        self._end = min(_units(text), self._end)

    def _append(self, tokens: Sequence[Any]) -> None:
        cursor = QTextCursor(self.document())
        cursor.movePosition(QTextCursor.MoveOperation.End)
        cursor.beginEditBlock()
        if self.colours == PLAIN:
            place = self._end
            for token in tokens:
                self._places.append(place)
                place += _units(token.text)
            self._insert(cursor, "".join(token.text for token in tokens), QTextCharFormat())
        else:
            for token in tokens:
                self._places.append(self._end)
                self._insert(cursor, token.text, self._wash(token))
        cursor.endEditBlock()
        self._breaks.written()
        self._tokens += tokens

    def _insert(self, cursor: QTextCursor, text: str, form: QTextCharFormat) -> None:
        if text:
            cursor.insertText(text.replace("\r", "\n"), form)
            self._end += _units(text)

    def _wash(self, token: Any) -> QTextCharFormat:
        """As in a chat: a wash by how surprising the token is, and a line below it, so that no hue alone carries the meaning."""
        if self._washes is None:
            self._washes = [_wash_of(each) for each in range(DEGREES)]
        return self._washes[degree(TokenMark(0, 0, token, "", 0), self.colours)]

    def _show_overlay(self) -> None:
        self._overlay_stale = False
        colors = theme.palette()
        found = []
        if self._common and self._places:
            last = min(self._common, len(self._places))
            dim = QTextCharFormat()
            dim.setForeground(QColor(colors.muted))
            found.append(self._selection(0, self._place(last), dim))
        for index, _tip in self._marks:
            if index < len(self._places):
                mark = QTextCharFormat()
                mark.setBackground(QColor(colors.accent_soft))
                mark.setForeground(QColor(colors.accent))
                mark.setFontUnderline(True)
                mark.setFontWeight(QFont.Weight.DemiBold)
                found.append(self._selection(self._place(index), self._place(index + 1), mark))
        self.setExtraSelections(found)

    def _selection(self, start: int, end: int, form: QTextCharFormat) -> Any:
        made = QTextEdit.ExtraSelection()
        cursor = QTextCursor(self.document())
        last = self.document().characterCount() - 1
        cursor.setPosition(min(self._breaks.to_document(start), last))
        cursor.setPosition(min(self._breaks.to_document(end), last), QTextCursor.MoveMode.KeepAnchor)
        cursor.setKeepPositionOnInsert(True)  # else what is written next becomes part of it
        made.cursor = cursor  # type: ignore[attr-defined]
        made.format = form  # type: ignore[attr-defined]
        return made

    def _place(self, index: int) -> int:
        return self._places[index] if index < len(self._places) else self._end

    # -- the text, as if its paragraphs were whole

    def toPlainText(self) -> str:
        return without_breaks(QTextDocumentFragment(self.document())).toPlainText()

    def createMimeDataFromSelection(self) -> QMimeData:
        chosen = without_breaks(self.textCursor().selection())
        data = QMimeData()
        data.setText(chosen.toPlainText())
        data.setHtml(chosen.toHtml())
        return data

    def resizeEvent(self, event: QResizeEvent) -> None:
        if event.size().width() != event.oldSize().width():
            self._breaks.join()
        super().resizeEvent(event)

    def mousePressEvent(self, event: QMouseEvent) -> None:
        super().mousePressEvent(event)
        cursor = self.textCursor()
        if select_paragraph(cursor):  # by the third click of three
            self.setTextCursor(cursor)

    # -- the mouse

    def token_at(self, point: QPoint) -> int:
        """The index of the token under a point of the viewport; -1: none."""
        cursor = self.cursorForPosition(point)
        rect = self.cursorRect(cursor)
        if not rect.adjusted(-24, -4, 24, 4).contains(point):
            return -1
        place = self._breaks.to_text(cursor.position()) - (1 if point.x() < rect.x() else 0)
        index = bisect_right(self._places, place) - 1
        while index > 0 and not self._tokens[index].text:
            index -= 1
        return index if place < self._end else -1

    def viewportEvent(self, event: Any) -> bool:
        if isinstance(event, QHelpEvent) and event.type() == QHelpEvent.Type.ToolTip:
            index = self.token_at(event.pos())
            if index >= 0:
                QToolTip.showText(event.globalPos(), self.tip(index), self.viewport())
            else:
                QToolTip.hideText()
            return True
        return super().viewportEvent(event)

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        super().mouseReleaseEvent(event)
        if event.button() == Qt.MouseButton.LeftButton and not self.textCursor().hasSelection():
            index = self.token_at(event.position().toPoint())
            if index >= 0:
                self.token_pressed.emit(index)

    def token_rect(self, index: int) -> QRect:
        """Where a token begins, in the viewport."""
        return self._rect_at(self._place(index)).toRect()

    def tip(self, index: int) -> str:
        """What is to be said of a token."""
        token = self._tokens[index]
        lines = [tip for place, tip in (*self._marks, *self._changes) if place == index]
        if lines:
            lines.append("")
        lines.append(f"Token {index + 1}: {_quoted(token.text)} drawn with {percent(token.probability)}")
        lines.append(f"Model's own log-probability {token.logprob:.2f}, entropy {token.entropy / LN2:.1f} bits")
        weighed = token.alternatives[:5]
        if weighed:
            lines.append("")
            lines += [f"{percent(each[3]):>7}   {_quoted(each[1])}" for each in weighed]
        return "\n".join(lines)

    # -- painting

    def paintEvent(self, event: QPaintEvent) -> None:
        super().paintEvent(event)
        if not self._changes and not self.writing:
            return
        painter = QPainter(self.viewport())
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor(theme.palette().accent))
        for index, _tip in self._changes:
            if index <= len(self._places):
                rect = self._rect_at(self._place(index))
                painter.drawRect(QRectF(rect.x() - 1, rect.y() - 1, 2, rect.height() + 2))
                painter.drawEllipse(QRectF(rect.x() - 3, rect.y() - 4, 6, 6))
        if self.writing:
            rect = self._rect_at(self._end)
            painter.drawRoundedRect(QRectF(rect.x() + 2, rect.y() + 1, 7, theme.pixels("body")), 2, 2)
        painter.end()

    def _rect_at(self, place: int) -> QRectF:
        cursor = QTextCursor(self.document())
        cursor.setPosition(min(self._breaks.to_document(place), self.document().characterCount() - 1))
        return QRectF(self.cursorRect(cursor))


def _wash_of(step: int) -> QTextCharFormat:
    form = QTextCharFormat()
    form.setBackground(theme.probability_tint(SHARES[step]))
    styles = QTextCharFormat.UnderlineStyle
    if WEIGHTS[step]:
        form.setUnderlineStyle({1.0: styles.DotLine, 1.5: styles.DashUnderline}.get(WEIGHTS[step], styles.SingleUnderline))
        form.setUnderlineColor(QColor(theme.palette().accent))
    return form


def percent(probability: float) -> str:
    """A probability as it is read: tenths below ten percent and near the whole."""
    return f"{probability:.1%}" if probability < 0.0995 or 0.9905 < probability < 0.9995 else f"{probability:.0%}"


def _quoted(text: str) -> str:
    shown = text.replace("\n", "⏎").replace("\t", "⇥")
    return f"“{shown}”"


def _units(text: str) -> int:
    """Its length in a text document, which counts in UTF-16."""
    return len(text) if text.isascii() else len(text.encode("utf-16-le", "surrogatepass")) // 2
