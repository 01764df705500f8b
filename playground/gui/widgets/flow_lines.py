"""Where the tokens of a text stand when it wraps at a width: lines laid out with Qt's text layout, a paragraph at a time. Paints nothing of meaning.

Knows pieces (`inside.spelling`), a font and a width. Rectangles are in the coordinates of the whole text, from its top left corner, and are
found when a paragraph is first looked at: of a text of some thousand tokens only what is on the screen costs anything after the wrapping.
"""

from __future__ import annotations

import bisect
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from PySide6.QtCore import QPointF, QRectF
from PySide6.QtGui import QColor, QFont, QFontMetricsF, QPainter, QTextCharFormat, QTextLayout, QTextOption

from playground.inside.spelling import Piece

GAP = "\u2009"
"""the narrow space on both sides of a special token"""


class Box(NamedTuple):
    """A rectangle of a token on a line."""

    token: int
    rect: QRectF
    kind: str


class _Paragraph:
    def __init__(self, pieces: Sequence[Piece], font: QFont, faint: QColor) -> None:
        self.spans: list[tuple[int, int, Piece]] = []
        text, formats = [], []
        at = 0
        for piece in pieces:
            shown = f"{GAP}{piece.text}{GAP}" if piece.kind == "special" else piece.text
            wide = len(shown) if shown.isascii() else len(shown.encode("utf-16-le")) // 2
            if piece.kind:
                mark = QTextLayout.FormatRange()
                mark.start, mark.length = at, wide
                look = QTextCharFormat()
                look.setForeground(faint)
                look.setFontItalic(piece.kind == "special")
                mark.format = look
                formats.append(mark)
            self.spans.append((at, at + wide, piece))
            text.append(shown)
            at += wide
        self.layout = QTextLayout("".join(text), font)
        option = QTextOption()
        option.setWrapMode(QTextOption.WrapMode.WrapAtWordBoundaryOrAnywhere)
        option.setFlags(QTextOption.Flag.IncludeTrailingSpaces)
        self.layout.setTextOption(option)
        self.layout.setFormats(formats)
        self.layout.setCacheEnabled(True)
        self.top = 0.0
        self.lines = 0
        self.boxes: list[list[Box]] | None = None
        """by line"""
        self.by_token: dict[int, list[Box]] = {}
        self.tokens = (self.spans[0][2].token, self.spans[-1][2].token) if self.spans else (-1, -1)

    def wrap(self, width: float, top: float, pitch: float, drop: float) -> int:
        """Breaks the paragraph into lines; how many."""
        self.top, self.boxes = top, None
        self.layout.beginLayout()
        count = 0
        while True:
            line = self.layout.createLine()
            if not line.isValid():
                break
            line.setLineWidth(width)
            line.setPosition(QPointF(0, count * pitch + drop))
            count += 1
        self.layout.endLayout()
        self.lines = max(1, count)
        return self.lines

    def find_boxes(self, pitch: float, drop: float, high: float) -> list[list[Box]]:
        if self.boxes is None:
            self.boxes, self.by_token = [[] for _ in range(self.lines)], {}
            for start, end, piece in self.spans:
                for number, box in self._of_span(start, end, piece, pitch, drop, high):
                    self.boxes[number].append(box)
                    self.by_token.setdefault(box.token, []).append(box)
        return self.boxes

    def _of_span(self, start: int, end: int, piece: Piece, pitch: float, drop: float, high: float) -> Iterator[tuple[int, Box]]:
        line = self.layout.lineForTextPosition(start)
        number = line.lineNumber() if line.isValid() else self.layout.lineCount()
        while number < self.layout.lineCount():
            line = self.layout.lineAt(number)
            begin, stop = line.textStart(), line.textStart() + line.textLength()
            if begin >= end:
                return
            one: float = line.cursorToX(max(start, begin))[0]  # type: ignore[index]
            other: float = line.cursorToX(min(end, stop))[0]  # type: ignore[index]
            top = self.top + number * pitch + drop - 3
            yield number, Box(piece.token, QRectF(min(one, other), top, max(abs(other - one), 3.0), high + 5), piece.kind)
            number += 1


class FlowLines:
    """`set_lines`, then `wrap`; `boxes` of a stretch of heights, `first_box` of a token, `token_at` a point."""

    def __init__(self) -> None:
        self._paragraphs: list[_Paragraph] = []
        self._tops: list[float] = []
        self._first: list[int] = []
        self.height = 0.0
        self.pitch = 28.0
        self._drop, self._high = 6.0, 17.0

    def set_lines(self, lines: Sequence[Sequence[Piece]], font: QFont, faint: QColor) -> None:
        """Another text, or the same one in another font or colour."""
        metrics = QFontMetricsF(font)
        self._high = metrics.height()
        self.pitch = round(self._high * 1.7)
        self._drop = round((self.pitch - self._high) / 2)
        self._paragraphs = [_Paragraph(pieces, font, faint) for pieces in lines]
        # A line can be without tokens: the last one, and the one between two texts.
        self._first, last = [], 0
        for each in self._paragraphs:
            last = each.tokens[0] if each.spans else last + 1
            self._first.append(last)
            last = each.tokens[1] if each.spans else last

    def wrap(self, width: float) -> None:
        top, self._tops = 0.0, []
        for each in self._paragraphs:
            self._tops.append(top)
            top += each.wrap(width, top, self.pitch, self._drop) * self.pitch
        self.height = top

    def boxes(self, top: float, bottom: float) -> Iterator[Box]:
        """What stands between two heights, line by line."""
        for each in self._within(top, bottom):
            lines = each.find_boxes(self.pitch, self._drop, self._high)
            first = max(0, int((top - each.top) // self.pitch))
            last = max(0, int((bottom - each.top) // self.pitch))
            for line in lines[first : last + 1]:
                yield from line

    def draw(self, painter: QPainter, corner: QPointF, top: float, bottom: float) -> None:
        """The letters of what stands between two heights, in the painter's pen."""
        for each in self._within(top, bottom):
            clip = QRectF(corner.x(), corner.y() + top, 100_000, bottom - top)
            each.layout.draw(painter, QPointF(corner.x(), corner.y() + each.top), [], clip)

    def boxes_of(self, token: int) -> list[Box]:
        """All places of a token, in the order of the text."""
        place = bisect.bisect_right(self._first, token) - 1
        while place > 0 and self._first[place] == token:
            place -= 1
        found: list[Box] = []
        for each in self._paragraphs[max(0, place) :]:
            if each.spans and each.tokens[0] > token:
                break
            if each.spans and each.tokens[0] <= token <= each.tokens[1]:
                each.find_boxes(self.pitch, self._drop, self._high)
                found += each.by_token.get(token, ())
        return found

    def token_at(self, point: QPointF) -> int | None:
        """The token at a point of the text; None between lines and behind their ends."""
        for box in self.boxes(point.y(), point.y()):
            if box.rect.contains(point):
                return box.token
        return None

    def _within(self, top: float, bottom: float) -> Sequence[_Paragraph]:
        first = max(0, bisect.bisect_right(self._tops, top) - 1)
        last = bisect.bisect_left(self._tops, bottom, first)
        return self._paragraphs[first : max(last, first + 1)]
