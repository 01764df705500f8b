"""How a heat map is painted, on the screen and into files: cells, the mask, tokens along the axes, a legend. Knows no capture and no state.

Cells are an indexed image over the codes, so that another scale is another colour table. Where more than one cell would fall on a pixel, a
halving by maximum is drawn instead (`pooling.pyramid`): no bright cell is lost.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QBrush, QColor, QFont, QFontMetricsF, QImage, QPainter, QPen, QPixmap, QPolygonF

from playground.gui.palette import Palette
from playground.gui.widgets.beam_tree import shown_text
from playground.inside.pooling import level_for

GAP = 6
"""pixels between an axis and its tokens"""
STEPS = (1, 2, 5)
_CONTROLS = {code: chr(0x2400 + code) for code in range(32)}
_CONTROLS |= dict.fromkeys((0x7F, 0x85, 0x2028, 0x2029, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A)), "�")


@dataclass(frozen=True)
class Frame:
    """Which part of a map is where: `cell` pixels a cell; cell (0, 0) begins at `left`, `top`; what is outside of `area` is not seen."""

    area: QRectF
    rows: int
    columns: int
    cell: float
    left: float
    top: float

    def cell_at(self, x: float, y: float) -> tuple[int, int] | None:
        """(row, column) of a point, None where there is none."""
        if not self.area.contains(x, y):
            return None
        row, column = math.floor((y - self.top) / self.cell), math.floor((x - self.left) / self.cell)
        return (row, column) if 0 <= row < self.rows and 0 <= column < self.columns else None

    def rect(self, row: int, column: int, rows: int = 1, columns: int = 1) -> QRectF:
        """Where some cells are."""
        return QRectF(self.left + column * self.cell, self.top + row * self.cell, columns * self.cell, rows * self.cell)

    @property
    def shown(self) -> QRectF:
        """What of the map is seen, in pixels"""
        return self.rect(0, 0, self.rows, self.columns).intersected(self.area)

    def span(self, across: bool) -> tuple[int, int]:
        """The first cell that is seen along an axis, and the one behind the last."""
        start, size, count = (
            (self.left, (self.area.left(), self.area.right()), self.columns)
            if across
            else (self.top, (self.area.top(), self.area.bottom()), self.rows)
        )
        first = max(0, math.floor((size[0] - start) / self.cell))
        return first, min(count, math.ceil((size[1] - start) / self.cell))


def images(levels: Sequence[np.ndarray]) -> list[QImage]:
    """Codes as images that share their memory: keep the arrays."""
    found = []
    for codes in levels:
        rows, columns = codes.shape
        wide = -(-columns // 4) * 4
        if wide != columns or not codes.flags.c_contiguous:  # scanlines begin at multiples of 4 bytes
            padded = np.zeros((rows, wide), np.uint8)
            padded[:, :columns] = codes
            codes = padded
        found.append(QImage(codes.data, columns, rows, wide, QImage.Format.Format_Indexed8))
        found[-1].setColorCount(256)
    return found


def table_of(colours: np.ndarray) -> list[int]:
    """[256, 3] as a colour table."""
    wide = colours.astype(np.uint32)
    return [int(each) for each in 0xFF000000 | wide[:, 0] << 16 | wide[:, 1] << 8 | wide[:, 2]]


def level_of(frame: Frame, levels: int, ratio: float = 1.0) -> int:
    """Which of so many halvings is drawn, with `ratio` device pixels a pixel."""
    return min(levels - 1, level_for(1.0, frame.cell * ratio))


def paint_cells(painter: QPainter, frame: Frame, pictures: Sequence[QImage], ratio: float = 1.0) -> None:
    """The map, from the halving that fits."""
    level = level_of(frame, len(pictures), ratio)
    picture, factor = pictures[level], 1 << level
    first_row, end_row = frame.span(False)
    first_column, end_column = frame.span(True)
    if end_row <= first_row or end_column <= first_column:
        return
    x0, y0 = first_column // factor, first_row // factor
    x1, y1 = min(picture.width(), -(-end_column // factor)), min(picture.height(), -(-end_row // factor))
    painter.save()
    painter.setClipRect(frame.shown)
    painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform, False)
    target = frame.rect(y0 * factor, x0 * factor, (y1 - y0) * factor, (x1 - x0) * factor)
    painter.drawImage(target, picture, QRectF(x0, y0, x1 - x0, y1 - y0))
    painter.restore()


def paint_coarse(painter: QPainter, frame: Frame, picture: QImage) -> None:
    """A thumbnail in the place of a map that is not there yet."""
    painter.save()
    painter.setClipRect(frame.shown)
    painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform, False)
    painter.drawImage(frame.rect(0, 0, frame.rows, frame.columns), picture, QRectF(picture.rect()))
    painter.restore()


def hatch(colors: Palette, ratio: float = 1.0) -> QBrush:
    """What stands for cells that are no weights: nothing of a colour table looks like it."""
    size = 8
    tile = QPixmap(round(size * ratio), round(size * ratio))
    tile.setDevicePixelRatio(ratio)
    tile.fill(QColor(colors.surface))
    painter = QPainter(tile)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.setPen(QPen(QColor(colors.line), 1))
    for shift in (-size, 0, size):
        painter.drawLine(QPointF(shift, size), QPointF(shift + size, 0))
    painter.end()
    return QBrush(tile)


def paint_mask(painter: QPainter, frame: Frame, brush: QBrush) -> None:
    """The cells above the diagonal, which no token sees."""
    first, end = frame.span(False)
    if frame.cell < 2:  # steps below two pixels are a line, which leaves the diagonal free: it has what many heads look at
        free = max(2.0, 2 * frame.cell)
        right, bottom = frame.left + frame.columns * frame.cell, frame.top + frame.rows * frame.cell
        corners = [QPointF(frame.left + free, frame.top), QPointF(right, frame.top), QPointF(right, bottom - free)]
    else:
        right = frame.left + frame.columns * frame.cell
        corners = [QPointF(right, frame.top + end * frame.cell), QPointF(right, frame.top + first * frame.cell)]
        for row in range(first, end):
            x, y = frame.left + (row + 1) * frame.cell, frame.top + row * frame.cell
            corners += [QPointF(x, y), QPointF(x, y + frame.cell)]
    painter.save()
    painter.setClipRect(frame.shown)
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(brush)
    painter.drawPolygon(QPolygonF(corners))
    painter.restore()


def paint_hidden_column(painter: QPainter, frame: Frame, brush: QBrush) -> None:
    """The first column, where it is left out."""
    painter.save()
    painter.setClipRect(frame.shown)
    rect = frame.rect(0, 0, frame.rows, 1)
    rect.setWidth(max(2.0, rect.width()))
    painter.fillRect(rect, brush)
    painter.restore()


def step_of(key: int, page: int, across: int) -> tuple[int, int] | None:
    """What a key moves by in a table of `across` columns, as (rows, columns): arrows, a `page` of rows, the ends of a row. None for others."""
    steps: dict[int, tuple[int, int]] = {
        Qt.Key.Key_Left: (0, -1),
        Qt.Key.Key_Right: (0, 1),
        Qt.Key.Key_Up: (-1, 0),
        Qt.Key.Key_Down: (1, 0),
        Qt.Key.Key_PageUp: (-page, 0),
        Qt.Key.Key_PageDown: (page, 0),
        Qt.Key.Key_Home: (0, -across),
        Qt.Key.Key_End: (0, across),
    }
    return steps.get(key)


# -- tokens along the axes


def token_name(text: str) -> str:
    """A token on one line: white space and control characters are seen, and none of them turns or breaks what stands beside it."""
    shown = shown_text(text)
    return shown if shown.isprintable() else shown.translate(_CONTROLS)


def label_step(cell: float, room: float) -> int:
    """Every how-manyth token has its name, so that each has `room` pixels: 1, 2, 5, 10, 20, ..."""
    power = 1
    while True:
        for each in STEPS:
            if each * power * cell >= room:
                return each * power
        power *= 10


def label_room(labels: Sequence[str], font: QFont, most: float, step: int = 1) -> float:
    """Pixels that the longest label takes, at most `most`."""
    metrics = QFontMetricsF(font)
    wide = max((metrics.horizontalAdvance(each) for each in labels[::step]), default=0.0)
    return min(most, wide + 2)


def label(labels: Sequence[str], place: int, step: int) -> str:
    """Where not all have names, those that have them have their numbers too."""
    return labels[place] if step == 1 else f"{place} {labels[place]}"


def paint_axes(
    painter: QPainter, frame: Frame, rows: Sequence[str], columns: Sequence[str], font: QFont, color: QColor, room: float
) -> None:
    """Names left of the map and above it, `room` pixels of them at most, as many as there is place for."""
    painter.save()
    painter.setFont(font)
    painter.setPen(color)
    metrics = QFontMetricsF(font)
    high = metrics.height()
    step = label_step(frame.cell, high)
    for across, labels in ((False, rows), (True, columns)):
        first, end = frame.span(across)
        for place in range(-(-first // step) * step, end, step):
            middle = (frame.left if across else frame.top) + (place + 0.5) * frame.cell
            low, most = (frame.area.left(), frame.area.right()) if across else (frame.area.top(), frame.area.bottom())
            if low <= middle <= most:
                paint_name(painter, frame, across, place, label(labels, place, step), metrics, room)
    painter.restore()


def paint_name(
    painter: QPainter, frame: Frame, across: bool, place: int, text: str, metrics: QFontMetricsF, room: float
) -> None:
    """One name beside its row or above its column, in the painter's font and colour."""
    text = metrics.elidedText(text, Qt.TextElideMode.ElideRight, room)
    high = metrics.height()
    if not across:
        middle = frame.top + (place + 0.5) * frame.cell
        rect = QRectF(frame.area.left() - GAP - room, middle - high / 2, room, high)
        painter.drawText(rect, int(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter), text)
        return
    middle = frame.left + (place + 0.5) * frame.cell
    painter.save()
    painter.translate(middle, frame.area.top() - GAP)
    painter.rotate(-90)
    painter.drawText(QRectF(0, -high / 2, room, high), int(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter), text)
    painter.restore()


def paint_mark(
    painter: QPainter,
    frame: Frame,
    across: bool,
    place: int,
    names: Sequence[str],
    room: float,
    color: QColor,
    surface: QColor,
) -> None:
    """Lines around a row or a column, and its name over those of others, in the painter's font. Nothing where it is out of sight."""
    shown = frame.shown
    rect = frame.rect(0, place, frame.rows, 1) if across else frame.rect(place, 0, 1, frame.columns)
    middle = rect.center().x() if across else rect.center().y()
    low, high = (shown.left(), shown.right()) if across else (shown.top(), shown.bottom())
    if not low <= middle <= high:
        return
    painter.save()
    painter.setBrush(Qt.BrushStyle.NoBrush)
    painter.setClipRect(shown.adjusted(-2, -2, 2, 2))
    around = QColor(surface)
    around.setAlpha(150)
    for pen in (QPen(around, 3), QPen(color, 1)):  # told apart from every colour of a map
        painter.setPen(pen)
        painter.drawRect(rect.intersected(shown).adjusted(-0.5, -0.5, 0.5, 0.5))
    painter.setClipping(False)
    metrics = QFontMetricsF(painter.font())
    tall = metrics.height()
    step = label_step(frame.cell, tall)
    text = metrics.elidedText(label(names, place, step), Qt.TextElideMode.ElideRight, room)
    # A name that this one would cover in part goes as a whole.
    before = place // step * step
    apart = [(each - place) * frame.cell for each in (before, before + step)]
    up, down = min(0.0, *(each for each in apart if -tall < each)), max(0.0, *(each for each in apart if each < tall))
    low, size = middle - tall / 2 + up, tall + down - up
    if across:
        cover = QRectF(low, frame.area.top() - GAP - room, size, room + 2)
    else:
        cover = QRectF(frame.area.left() - GAP - room, low, room + 2, size)
    painter.fillRect(cover, surface)
    painter.setPen(color)
    paint_name(painter, frame, across, place, text, metrics, room)
    painter.restore()


# -- the legend


def paint_legend(
    painter: QPainter, bar: QRectF, colours: np.ndarray, marks: Sequence[tuple[float, str]], font: QFont, color: QColor
) -> None:
    """The table of colours from left to right in `bar`, and below it names at places from 0 to 1."""
    strip = images([np.arange(256, dtype=np.uint8)[None]])[0]
    strip.setColorTable(table_of(colours))
    painter.save()
    painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform, False)
    painter.drawImage(bar, strip, QRectF(0, 0, 256, 1))
    painter.setFont(font)
    painter.setPen(color)
    metrics = QFontMetricsF(font)
    ends = bar.right() - metrics.horizontalAdvance(marks[-1][1]) if marks else bar.right()
    free = bar.left()
    for number, (place, text) in enumerate(marks):
        x = bar.left() + place * bar.width()
        wide = metrics.horizontalAdvance(text)
        painter.drawLine(QPointF(x, bar.bottom()), QPointF(x, bar.bottom() + 3))
        start = min(max(x - wide / 2, bar.left()), bar.right() - wide)
        last = number == len(marks) - 1
        if not last and (start < free or start + wide + 4 > ends):
            continue  # a mark without its number is better than two numbers in one place
        free = start + wide + 4
        painter.drawText(QPointF(start, bar.bottom() + 4 + metrics.ascent()), text)
    painter.restore()
