"""What every layer would have said next, as a table: layers down, the tokens of the text across, in each cell the likeliest token on its probability.

Only the cells that are seen are painted. Knows a reading, and no session.
"""

from __future__ import annotations

from PySide6.QtCore import QEvent, QPointF, QRect, QRectF, Qt, Signal
from PySide6.QtGui import QColor, QFontMetricsF, QHelpEvent, QKeyEvent, QMouseEvent, QPainter, QPaintEvent, QPen, QResizeEvent
from PySide6.QtWidgets import QAbstractScrollArea, QToolTip, QWidget

from playground.gui import theme
from playground.gui.widgets.heat_paint import step_of
from playground.gui.widgets.next_token import readable
from playground.inside.lens import LensReading

LEFT, TOP = 56, 32
WIDE, HIGH = 80, 24
PAD = 4
LISTED = 8
PAGE = 8
"""rows that a page key moves by"""


class LensGrid(QAbstractScrollArea):
    """Object name `inside.lens`. `picked` and `pointed` say a place in the text and a row; `mode` is `likeliest` or `next`."""

    picked = Signal(int)
    """a place in the text, by a click or a key"""
    pointed = Signal(int, int)
    """row and place in the text under the pointer or chosen by a key; -1, -1 for none"""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("inside.lens")
        self.setAccessibleName("Layers as predictions")
        self.setToolTip("")
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setFrameShape(QAbstractScrollArea.Shape.NoFrame)
        self.viewport().setMouseTracking(True)
        self.horizontalScrollBar().setSingleStep(WIDE)
        self.verticalScrollBar().setSingleStep(HIGH)
        self.reading: LensReading | None = None
        self.mode = "likeliest"
        self.current = (0, 0)
        """row and column of the cell that keys have chosen"""
        self._token: int | None = None
        theme.notifier().changed.connect(self.viewport().update)

    def show_reading(self, reading: LensReading | None) -> None:
        self.reading = reading
        self.current = (reading.layers, 0) if reading is not None else (0, 0)
        self._fit_bars()
        self.verticalScrollBar().setValue(self.verticalScrollBar().maximum())
        self.viewport().update()

    def set_mode(self, mode: str) -> None:
        self.mode = mode
        self.viewport().update()

    def set_token(self, token: int | None) -> None:
        """Marks a token's column, and brings it into view."""
        self._token = token
        column = self._column_of(token)
        if column is not None:
            self.current = (self.current[0], column)
            self._show_current()
        self.viewport().update()

    # -- cells

    def cell(self, row: int, column: int) -> tuple[str, float]:
        """What stands in a cell, and how strongly it is shaded, from 0 to 1: the likeliest token, or the rank of the one that came next."""
        reading = self.reading
        assert reading is not None
        each = reading.at(row, int(reading.positions[column]))
        if self.mode == "next":
            return (f"{each.rank:,}" if each.rank else ""), 0.0 if each.rank == 0 else each.probability
        return readable(each.top[0][1]), each.top[0][2]

    def words(self, row: int, column: int) -> str:
        """A cell in words: the likeliest tokens, the entropy, and what came next."""
        reading = self.reading
        assert reading is not None
        position = int(reading.positions[column])
        each = reading.at(row, position)
        said = [f"{_name(row, reading.layers)}, after {readable(reading.tokens[position].text)}"]
        said += [f"{chance:7.1%}  {readable(text)}" for _, text, chance in each.top[:LISTED]]
        said.append(f"entropy {each.entropy:.2f} nats")
        if each.rank:
            said.append(f"next {readable(reading.tokens[position + 1].text)}: rank {each.rank:,}, {each.probability:.2%}")
        return "\n".join(said)

    def rect_of(self, row: int, column: int) -> QRect:
        """Where a cell is in the viewport."""
        x = LEFT + column * WIDE - self.horizontalScrollBar().value()
        return QRect(x, TOP + row * HIGH - self.verticalScrollBar().value(), WIDE, HIGH)

    def cell_at(self, position: QPointF) -> tuple[int, int] | None:
        if self.reading is None or position.x() < LEFT or position.y() < TOP:
            return None
        column = int(position.x() - LEFT + self.horizontalScrollBar().value()) // WIDE
        row = int(position.y() - TOP + self.verticalScrollBar().value()) // HIGH
        return (row, column) if row <= self.reading.layers and column < len(self.reading.positions) else None

    def _column_of(self, token: int | None) -> int | None:
        if self.reading is None or token is None:
            return None
        found = self.reading.positions.tolist()
        return found.index(token) if token in found else None

    def _fit_bars(self) -> None:
        rows, columns = (self.reading.layers + 1, len(self.reading.positions)) if self.reading is not None else (0, 0)
        room = self.viewport().size()
        for bar, size, all_of_it in (
            (self.horizontalScrollBar(), room.width(), LEFT + columns * WIDE),
            (self.verticalScrollBar(), room.height(), TOP + rows * HIGH + PAD),
        ):
            bar.setRange(0, max(0, all_of_it - size))
            bar.setPageStep(max(1, size))

    def _show_current(self) -> None:
        rect, room = self.rect_of(*self.current), self.viewport().rect().adjusted(LEFT, TOP, 0, 0)
        across, down = self.horizontalScrollBar(), self.verticalScrollBar()
        across.setValue(across.value() + min(0, rect.left() - room.left()) + max(0, rect.right() - room.right()))
        down.setValue(down.value() + min(0, rect.top() - room.top()) + max(0, rect.bottom() - room.bottom()))

    # -- painting

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self.viewport())
        colors, room = theme.palette(), self.viewport().rect()
        painter.fillRect(room, QColor(colors.surface))
        reading = self.reading
        if reading is None:
            return
        painter.setFont(theme.font("small"))
        metrics = QFontMetricsF(painter.font())
        left, top = self.horizontalScrollBar().value(), self.verticalScrollBar().value()
        columns = range(left // WIDE, min(len(reading.positions), (left + room.width() - LEFT) // WIDE + 1))
        rows = range(top // HIGH, min(reading.layers + 1, (top + room.height() - TOP) // HIGH + 1))
        following = reading.tokens[1:]
        painter.setClipRect(room.adjusted(LEFT, TOP, 0, 0))
        for row in rows:
            for column in columns:
                text, shade = self.cell(row, column)
                inside = QRectF(self.rect_of(row, column)).adjusted(0, 0, -1, -1)
                color = theme.probability_color(shade)
                painter.fillRect(inside, color)
                painter.setPen(readable_on(color))
                room_for = inside.adjusted(PAD, 0, -PAD, 0)
                shown = metrics.elidedText(text, Qt.TextElideMode.ElideRight, room_for.width())
                painter.drawText(room_for, Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignLeft, shown)
                place = int(reading.positions[column])
                if place < len(following) and int(reading.top_ids[row, column, 0]) == following[place].id:
                    painter.setPen(QPen(painter.pen().color(), 1.5))
                    painter.drawLine(inside.bottomLeft() + QPointF(PAD, -2), inside.bottomRight() + QPointF(-PAD, -2))
        painter.setBrush(Qt.BrushStyle.NoBrush)
        if self.hasFocus():
            painter.setPen(QPen(QColor(colors.accent), 2))
            painter.drawRect(QRectF(self.rect_of(*self.current)).adjusted(1, 1, -2, -2))
        self._paint_axes(painter, reading, rows, columns, metrics)

    def _paint_axes(self, painter: QPainter, reading: LensReading, rows: range, columns: range, metrics: QFontMetricsF) -> None:
        colors, room = theme.palette(), self.viewport().rect()
        chosen = self._column_of(self._token)
        painter.setClipRect(room.adjusted(LEFT, 0, 0, 0))
        for column in columns:
            x = self.rect_of(0, column).left()
            head = QRectF(x, 0, WIDE - 1, TOP - 2)
            if column == chosen:
                painter.fillRect(head, QColor(colors.accent_soft))
                painter.fillRect(QRectF(x, TOP - 3, WIDE - 1, 2), QColor(colors.accent))
            token = reading.tokens[int(reading.positions[column])]
            painter.setPen(QColor(colors.muted if token.special else colors.text))
            shown = metrics.elidedText(readable(token.text), Qt.TextElideMode.ElideRight, WIDE - 2 * PAD)
            painter.drawText(head.adjusted(PAD, 0, -PAD, 0), Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignLeft, shown)
        painter.setClipRect(room.adjusted(0, TOP, 0, 0))
        painter.setPen(QColor(colors.muted))
        for row in rows:
            side = QRectF(0, self.rect_of(row, 0).top(), LEFT - PAD, HIGH)
            name = "model" if row == reading.layers else "input" if row == 0 else str(row)
            painter.drawText(side, Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignRight, name)
        painter.setClipping(False)

    # -- pointer and keys

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._fit_bars()

    def mousePressEvent(self, event: QMouseEvent) -> None:
        found = self.cell_at(event.position())
        if self.reading is not None and found is not None and event.button() == Qt.MouseButton.LeftButton:
            self._choose(*found)
        elif self.reading is not None and event.position().y() < TOP:
            under = self.cell_at(QPointF(event.position().x(), TOP))
            if under is not None:
                self._choose(self.current[0], under[1])

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        self._tell(self.cell_at(event.position()))

    def leaveEvent(self, event: QEvent) -> None:
        self._tell(None)
        super().leaveEvent(event)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        step = step_of(event.key(), PAGE, len(self.reading.positions)) if self.reading is not None else None
        if self.reading is None or step is None:
            super().keyPressEvent(event)
            return
        row = min(self.reading.layers, max(0, self.current[0] + step[0]))
        column = min(len(self.reading.positions) - 1, max(0, self.current[1] + step[1]))
        self._choose(row, column)

    def _choose(self, row: int, column: int) -> None:
        assert self.reading is not None
        self.current = (row, column)
        self._show_current()
        self.setAccessibleDescription(self.words(row, column))
        self._tell(self.current)
        self.picked.emit(int(self.reading.positions[column]))
        self.viewport().update()

    def _tell(self, found: tuple[int, int] | None) -> None:
        if found is None or self.reading is None:
            self.pointed.emit(-1, -1)
        else:
            self.pointed.emit(found[0], int(self.reading.positions[found[1]]))

    def viewportEvent(self, event: QEvent) -> bool:
        if event.type() == QEvent.Type.ToolTip and isinstance(event, QHelpEvent):
            found = self.cell_at(QPointF(event.pos()))
            QToolTip.showText(event.globalPos(), self.words(*found) if found is not None else "", self.viewport())
            return True
        return super().viewportEvent(event)


def _name(row: int, layers: int) -> str:
    return "Before the first layer" if row == 0 else f"After layer {row} of {layers}" if row < layers else "The model's own"


def readable_on(color: QColor) -> QColor:
    """White or black, whichever is better read on a colour: by relative luminance, as WCAG 2 has it."""

    def linear(part: float) -> float:
        return part / 12.92 if part <= 0.04045 else float(((part + 0.055) / 1.055) ** 2.4)

    light = 0.2126 * linear(color.redF()) + 0.7152 * linear(color.greenF()) + 0.0722 * linear(color.blueF())
    return QColor("#ffffff" if light < 0.18 else "#000000")
