"""Colours under the tokens of a text that is read, where each of them is, and which one is under the mouse.

Painted under the letters: the document itself stays as it is, so that nothing is laid out anew when colours come, go or change. Neighbours
of one degree are one block. Belongs to one `ReadingView`; knows no message.
"""

from __future__ import annotations

import bisect
from collections.abc import Sequence

from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QPainter, QPen, QTextLine
from PySide6.QtWidgets import QTextBrowser

from playground.gui import theme
from playground.gui.widgets.token_marks import SHARES, WEIGHTS, TokenMark, align, degree

Span = tuple[int, int, TokenMark]
"""start and end in the text that was rendered, and the token"""


class TokenLayer:
    """See the module's docstring."""

    def __init__(self, view: QTextBrowser) -> None:
        self._view = view
        self._source = ""
        self._spans: Sequence[Span] = ()
        self._mode = "off"
        self._found: list[tuple[int, int, TokenMark]] | None = None
        self._revision = -1
        self.focused: TokenMark | None = None
        """the token that is outlined"""

    def set(self, source: str, spans: Sequence[Span], mode: str) -> None:
        """Tokens of the source that is shown; none to take them away."""
        if (
            mode == self._mode
            and source == self._source
            and len(spans) == len(self._spans)
            and list(spans) == list(self._spans)
        ):
            return
        self._source, self._spans, self._mode = source, spans, mode
        self._found = None
        if self.focused is not None and all(mark is not self.focused for _, _, mark in spans):
            self.focused = None
        self._view.viewport().update()

    # -- where they are

    def places(self) -> list[tuple[int, int, TokenMark]]:
        """Start and end in the document, in order."""
        document = self._view.document()
        if self._found is None or self._revision != document.revision():
            self._revision = document.revision()
            self._found = self._find() if self._spans else []
        return self._found

    def _find(self) -> list[tuple[int, int, TokenMark]]:
        from playground.gui.widgets.reading_view import chips

        document = self._view.document()
        shown = document.toPlainText()
        wide = [place for place, each in enumerate(shown) if ord(each) > 0xFFFF] if not shown.isascii() else []
        for start, end in chips(document):
            start, end = start - _wide_before(wide, start), end - _wide_before(wide, end)
            shown = shown[:start] + " " * (end - start) + shown[end:]
        to = align(self._source, shown)
        found = []
        last = len(self._source)
        for start, end, mark in self._spans:
            first, behind = to[min(max(0, start), last)], to[min(max(0, end), last)]
            if wide:
                first, behind = first + bisect.bisect_left(wide, first), behind + bisect.bisect_left(wide, behind)
            found.append((first, max(first, behind), mark))
        return found

    def at(self, point: QPointF) -> TokenMark | None:
        """The token under a point of the viewport."""
        if not self._spans:
            return None
        view = self._view
        point = QPointF(point.x() + view.horizontalScrollBar().value(), point.y())
        layout = view.document().documentLayout()
        position = layout.hitTest(point, Qt.HitTestAccuracy.FuzzyHit)
        if position < 0:
            return None
        block = view.document().findBlock(position)
        corner = layout.blockBoundingRect(block).topLeft()
        inner = point - corner
        for number in range(block.layout().lineCount()):
            line = block.layout().lineAt(number)
            if line.y() <= inner.y() <= line.y() + line.height() and -2 <= inner.x() - line.x() <= line.naturalTextWidth() + 2:
                on: int = line.xToCursor(inner.x(), QTextLine.CursorPosition.CursorOnCharacter)
                return self._holding(block.position() + on)
        return None

    def _holding(self, position: int) -> TokenMark | None:
        places = self.places()
        found = bisect.bisect_right(places, position, key=lambda each: each[0]) - 1
        while found >= 0 and places[found][0] == places[found][1]:  # tokens without text of their own
            found -= 1
        return places[found][2] if found >= 0 and places[found][0] <= position < places[found][1] else None

    def rect_of(self, mark: TokenMark) -> QRectF | None:
        """Where a token's (first) letters are in the viewport; None if it is not in this text."""
        for start, end, each in self.places():
            if each is mark:
                rects = self._rects(start, max(end, start + 1), whole=True)
                return rects[0] if rects else None
        return None

    def _rects(self, start: int, end: int, whole: bool = False, clip: QRectF | None = None) -> list[QRectF]:
        """The places of a stretch of the document, a rectangle for each line."""
        view = self._view
        document, shift = view.document(), view.horizontalScrollBar().value()
        layout = document.documentLayout()
        found: list[QRectF] = []
        block = document.findBlock(start)
        while block.isValid() and block.position() < end:
            corner = layout.blockBoundingRect(block).topLeft()
            inside = block.layout()
            low, high = max(0, start - block.position()), min(block.length() - 1, end - block.position())
            line = inside.lineForTextPosition(low)
            number = line.lineNumber() if line.isValid() else inside.lineCount()
            while number < inside.lineCount():
                line = inside.lineAt(number)
                begin, stop = line.textStart(), line.textStart() + line.textLength()
                if begin >= high and not (whole and begin == low):
                    break
                if (
                    not whole
                    and block.text()[max(low, begin) : min(high, stop)].isspace()
                    and stop < block.length() - 1
                    and high >= stop
                ):
                    number += 1  # the space that a line ends with
                    continue
                left: float = line.cursorToX(max(low, begin))[0]  # type: ignore[index]
                right: float = line.cursorToX(min(high, stop))[0]  # type: ignore[index]
                base = corner.y() + line.y() + line.ascent()
                rect = QRectF(
                    corner.x() + left - shift, base - line.ascent() * 0.92, max(right - left, 2.0 if whole else 0.0), 0
                )
                rect.setBottom(base + 4)
                if rect.width() > 0 and (clip is None or clip.intersects(rect)):
                    found.append(rect)
                number += 1
            block = block.next()
        return found

    # -- painting

    def paint(self, painter: QPainter, clip: QRectF) -> None:
        """The blocks behind the letters, and the outline of the token that has the focus."""
        if self._mode != "off" and self._spans:
            self._paint_blocks(painter, clip)
        if self.focused is not None:
            rect = self.rect_of(self.focused)
            if rect is not None:
                painter.setBrush(Qt.BrushStyle.NoBrush)
                painter.setPen(QPen(QColor(theme.palette().accent), 1.5))
                painter.drawRoundedRect(rect.adjusted(-1, -1, 1, 2), 3, 3)

    def _paint_blocks(self, painter: QPainter, clip: QRectF) -> None:
        painter.setPen(Qt.PenStyle.NoPen)
        tints = [theme.probability_tint(each) for each in SHARES]
        line = QColor(theme.palette().text)
        line.setAlphaF(0.55)
        for start, end, level in self._runs(clip):
            for rect in self._rects(start, end, clip=clip):
                painter.fillRect(rect, tints[level])
                if WEIGHTS[level]:
                    painter.fillRect(QRectF(rect.left() + 0.5, rect.bottom() - 1, rect.width() - 1, WEIGHTS[level]), line)

    def _runs(self, clip: QRectF) -> list[tuple[int, int, int]]:
        """Neighbours of one degree as one; degree 0 has no colour."""
        layout = self._view.document().documentLayout()
        low = layout.hitTest(QPointF(0, clip.top()), Qt.HitTestAccuracy.FuzzyHit)
        high = layout.hitTest(QPointF(1e6, clip.bottom()), Qt.HitTestAccuracy.FuzzyHit)
        places = self.places()
        first = max(0, bisect.bisect_right(places, low, key=lambda each: each[0]) - 1)
        runs: list[tuple[int, int, int]] = []
        for start, end, mark in places[first:]:
            if start > high >= 0:
                break
            level = degree(mark, self._mode)
            if not level or end <= start:
                continue
            if runs and runs[-1][2] == level and runs[-1][1] == start:
                runs[-1] = (runs[-1][0], end, level)
            else:
                runs.append((start, end, level))
        return runs


def _wide_before(wide: Sequence[int], units: int) -> int:
    """How many characters of two units stand before a place that is counted in units."""
    count = 0
    for place in wide:
        if place + count >= units:
            break
        count += 1
    return count
