"""Colours under the tokens of a text that is read, where each of them is, and which one is under the mouse.

Painted under the letters: the document itself stays as it is, so that nothing is laid out anew when colours come, go or change. Neighbours
of one degree are one block. Belongs to one `ReadingView`; knows no message.
"""

from __future__ import annotations

import bisect
import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QPainter, QPen, QTextBlock, QTextLine
from PySide6.QtWidgets import QTextBrowser

from playground.gui import theme
from playground.gui.widgets.token_marks import SHARES, WEIGHTS, TokenMark, align, common_start, degree

BACK = 64
"""characters that are looked at again before the place where a text has changed"""
Span = tuple[int, int, TokenMark]
"""start and end in the text that was rendered, and the token"""
_WIDE = re.compile("[\U00010000-\U0010ffff]")
_Piece = tuple[QRectF, QRectF | None, int]
"""a colour in one line, the line under it, and its degree"""


class TokenLayer:
    """See the module's docstring."""

    def __init__(self, view: QTextBrowser) -> None:
        self._view = view
        self._source = ""
        self._spans: Sequence[Span] = ()
        self._mode = "off"
        self._found: list[tuple[int, int, TokenMark]] | None = None
        self._revision = -1
        self._aligned: tuple[str, str, list[int]] = ("", "", [0])
        """the source and the shown text that were laid beside each other last, and how"""
        self._before: list[tuple[int, int, TokenMark]] = []
        """what `_find` found last"""
        self._painted: dict[int, tuple[tuple[object, ...], list[_Piece]]] = {}
        """by a block's position: what it looked like, and its colours, from its corner on"""
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
        if not spans:
            self._painted.clear()
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
        wide = [found.start() for found in _WIDE.finditer(shown)] if not shown.isascii() else []
        for start, end in chips(document) if getattr(self._view, "chipped", True) else ():
            start, end = start - _wide_before(wide, start), end - _wide_before(wide, end)
            shown = shown[:start] + " " * (end - start) + shown[end:]
        to, since = self._to(shown)
        last = len(self._source)
        # What lies before the change is where it was.
        same = bisect.bisect_left(self._spans, since, key=lambda each: each[1]) if since else 0
        if same > len(self._before) or (same and self._before[same - 1][2] is not self._spans[same - 1][2]):
            same = 0
        found = self._before[:same]
        for start, end, mark in self._spans[same:]:
            first, behind = to[min(max(0, start), last)], to[min(max(0, end), last)]
            if wide:
                first, behind = first + bisect.bisect_left(wide, first), behind + bisect.bisect_left(wide, behind)
            found.append((first, max(first, behind), mark))
        self._before = found
        return found

    def _to(self, shown: str) -> tuple[list[int], int]:
        """As `align`, from where the texts have changed: a reply that grows is not gone through again and again. And where that was."""
        source, before, known = self._aligned
        same_shown = common_start(before, shown)
        start = max(0, min(common_start(source, self._source), len(known) - 1) - BACK)
        while start > 0 and known[start] > same_shown - BACK:
            start = max(0, start - BACK)
        to = align(self._source, shown, known, start)
        self._aligned = (self._source, shown, to)
        return to, start

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

    def _rects(self, start: int, end: int, whole: bool = False) -> list[QRectF]:
        """The places of a stretch of the document in the viewport, a rectangle for each line."""
        document, shift = self._view.document(), self._view.horizontalScrollBar().value()
        layout = document.documentLayout()
        found: list[QRectF] = []
        block = document.findBlock(start)
        while block.isValid() and block.position() < end:
            corner = layout.blockBoundingRect(block).topLeft()
            low, high = max(0, start - block.position()), min(block.length() - 1, end - block.position())
            pieces = _pieces(_lines(block), block.text(), low, high, whole)
            found += [rect.translated(corner.x() - shift, corner.y()) for rect in pieces]
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
        document = self._view.document()
        layout, shift = document.documentLayout(), self._view.horizontalScrollBar().value()
        block = document.findBlock(max(0, layout.hitTest(QPointF(0, clip.top()), Qt.HitTestAccuracy.FuzzyHit)))
        while block.isValid():
            box = layout.blockBoundingRect(block)
            if box.top() > clip.bottom():
                break
            painter.save()
            painter.translate(box.left() - shift, box.top())
            top, bottom = clip.top() - box.top(), clip.bottom() - box.top()
            for rect, below, level in self._of_block(block):
                if rect.bottom() < top:
                    continue
                if rect.top() > bottom:
                    break
                painter.fillRect(rect, tints[level])
                if below is not None:
                    painter.fillRect(below, line)
            painter.restore()
            block = block.next()

    def _of_block(self, block: QTextBlock) -> list[_Piece]:
        """The colours of a block, in the order of its text, from its corner on; found again only when it looks different."""
        low, high = block.position(), block.position() + block.length()
        places = self.places()
        first = max(0, bisect.bisect_left(places, low, key=lambda each: each[1]))
        last = bisect.bisect_left(places, high, key=lambda each: each[0])
        key = (
            block.revision(),
            block.length(),
            self._view.document().textWidth(),
            self._mode,
            last - first,
            places[first][2] if first < last else None,
        )
        known = self._painted.get(low)
        if known is None or known[0] != key:
            found: list[_Piece] = []
            lines, text = _lines(block), block.text()
            for start, end, level in self._runs(places[first:last]):
                for rect in _pieces(lines, text, max(start - low, 0), min(end, high - 1) - low):
                    thick = WEIGHTS[level]
                    below = QRectF(rect.left() + 0.5, rect.bottom() - 1, rect.width() - 1, thick) if thick else None
                    found.append((rect, below, level))
            known = self._painted[low] = (key, found)
        return known[1]

    def _runs(self, places: Sequence[tuple[int, int, TokenMark]]) -> list[tuple[int, int, int]]:
        """Neighbours of one degree as one; degree 0 has no colour."""
        runs: list[tuple[int, int, int]] = []
        for start, end, mark in places:
            level = degree(mark, self._mode)
            if not level or end <= start:
                continue
            if runs and runs[-1][2] == level and runs[-1][1] == start:
                runs[-1] = (runs[-1][0], end, level)
            else:
                runs.append((start, end, level))
        return runs


class _Line(NamedTuple):
    """A line of a block, from the block's corner on: what it is of the text, and how high its letters reach."""

    start: int
    end: int
    top: float
    bottom: float
    shape: QTextLine


def _lines(block: QTextBlock) -> list[_Line]:
    found = []
    layout = block.layout()
    for number in range(layout.lineCount()):
        line = layout.lineAt(number)
        start, ascent = line.textStart(), line.ascent()
        base = line.y() + ascent
        found.append(_Line(start, start + line.textLength(), base - ascent * 0.92, base + 4, line))
    return found


def _pieces(lines: Sequence[_Line], text: str, low: int, high: int, whole: bool = False) -> Iterator[QRectF]:
    """Where a stretch of a block is, a rectangle for each line. The space that a line ends with is left out, unless it is `whole`."""
    number = max(0, bisect.bisect_right(lines, low, key=lambda each: each.start) - 1)
    for line in lines[number:]:
        if line.start >= high and not (whole and line.start == low):
            return
        first, last = max(low, line.start), min(high, line.end)
        # Places in a line are UTF-16 units and those in `text` are not: only white space within the first plane is looked for.
        if not whole and line is not lines[-1] and high >= line.end and text[first:last].isspace():
            continue
        left: float = line.shape.cursorToX(first)[0]  # type: ignore[index]
        right: float = line.shape.cursorToX(last)[0]  # type: ignore[index]
        wide = max(right - left, 2.0 if whole else 0.0)
        if wide > 0:
            yield QRectF(left, line.top, wide, line.bottom - line.top)


def _wide_before(wide: Sequence[int], units: int) -> int:
    """How many characters of two units stand before a place that is counted in units."""
    count = 0
    for place in wide:
        if place + count >= units:
            break
        count += 1
    return count
