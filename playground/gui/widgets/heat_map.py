"""One map, zoomed and panned: what each token (a row) looks at (the columns). Knows codes, colours and names, no capture.

The wheel zooms where the pointer is, dragging pans, a double click or 0 shows all of it; the keys are in the tooltip. `image()` of the last
painting is kept, so that the pointer's cross costs nothing but itself.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PySide6.QtCore import QEvent, QPointF, QRectF, QSize, Qt, Signal
from PySide6.QtGui import (
    QColor,
    QImage,
    QKeyEvent,
    QMouseEvent,
    QPainter,
    QPaintEvent,
    QPen,
    QPixmap,
    QResizeEvent,
    QWheelEvent,
)
from PySide6.QtWidgets import QApplication, QSizePolicy, QWidget

from playground.gui import theme
from playground.gui.widgets import heat_paint as paint
from playground.gui.widgets.heat_paint import Frame

NAMES = 104
"""pixels that names of tokens may take"""
LARGEST = 64.0
"""pixels of a cell, at most"""
ZOOM = 1.25
EDGE = 8
TIP = (
    "Row: a token; columns: what it looks at. Wheel or + and - zooms, dragging pans, a double click or 0 shows all of it; "
    "arrows move the chosen cell, a click or Enter chooses a row, Escape lets go of it."
)


class HeatMap(QWidget):
    """Object name `inside.map`."""

    pointed = Signal(object)
    """(row, column) under the pointer, or None"""
    picked = Signal(int, int)
    """a cell was pressed, or chosen by keys: row, column"""
    let_go = Signal()
    """nothing is to be chosen any more"""
    framed = Signal()
    """another part of the map is seen, or another halving of it"""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("inside.map")
        self.setAccessibleName("Attention map")
        self.setToolTip(TIP)
        self.setMouseTracking(True)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setMinimumSize(240, 200)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self._levels: list[np.ndarray] = []
        self._images: list[QImage] = []
        self._coarse: QImage | None = None
        self._coarse_codes: np.ndarray | None = None
        self._rows: Sequence[str] = ()
        self._columns: Sequence[str] = ()
        self._causal = self._hidden = False
        self._table = [0xFF000000] * 256
        self._room = 0.0
        self._cell = 0.0
        """0: all of it is shown, whatever the size"""
        self._at = QPointF(0, 0)
        """the cell at the left and top of what is seen, in cells"""
        self._cursor: tuple[int, int] | None = None
        self._row: int | None = None
        self._column: int | None = None
        self._grip: tuple[QPointF, QPointF] | None = None
        self._dragged = False
        self._base: QPixmap | None = None
        self._axes: QPixmap | None = None
        theme.notifier().changed.connect(self._redraw)

    # -- what is shown

    def set_names(self, rows: Sequence[str], columns: Sequence[str], causal: bool) -> None:
        """Another text: names of rows and columns (their number is the map's size). All of it is shown then."""
        if (rows, columns, causal) != (self._rows, self._columns, self._causal):
            self._rows, self._columns, self._causal = rows, columns, causal
            self._cursor = None
            self._measure()
            self.fit()

    def set_levels(self, levels: Sequence[np.ndarray]) -> None:
        """The codes and their halvings. What is seen of them stays what is seen."""
        self._levels = list(levels)
        self._images = paint.images(levels)
        self._coarse = None
        self._dress()

    def set_coarse(self, codes: np.ndarray | None) -> None:
        """In the place of a map that is being computed: its thumbnail, or nothing."""
        self._levels, self._images = [], []
        self._coarse_codes = None if codes is None else np.ascontiguousarray(codes)
        self._coarse = None if self._coarse_codes is None else paint.images([self._coarse_codes])[0]
        self._dress()

    def set_table(self, colours: np.ndarray) -> None:
        """[256, 3]: the colour of each code."""
        self._table = paint.table_of(colours)
        self._dress()

    def set_hidden_sink(self, hidden: bool) -> None:
        """Whether the first column is covered."""
        if hidden != self._hidden:
            self._hidden = hidden
            self._redraw()

    def choose(self, row: int | None, column: int | None = None) -> None:
        """Marks a row, a column, both or none."""
        if (row, column) != (self._row, self._column):
            self._row, self._column = row, column
            self.update()

    def point(self, cell: tuple[int, int] | None) -> None:
        """Puts the cross on a cell, as the pointer does, and tells nobody."""
        if cell != self._cursor:
            self._cursor = cell
            self.update()

    @property
    def cursor_cell(self) -> tuple[int, int] | None:
        return self._cursor

    @property
    def factor(self) -> int:
        """How many cells along a side are shown as one, as their maximum; 1 where every cell is itself, 0 for a thumbnail."""
        if not self._images:
            return 0
        return 1 << paint.level_of(self.frame(), len(self._images), self.devicePixelRatioF())

    # -- where it is

    def frame(self) -> Frame:
        """What is seen, where."""
        area = self._area()
        rows, columns = len(self._rows), len(self._columns)
        fit = self._fit_cell(area)
        cell = self._cell or fit
        left = area.left() - self._at.x() * cell if self._cell else area.left()
        top = area.top() - self._at.y() * cell if self._cell else area.top()
        return Frame(area, rows, columns, cell, left, top)

    def fit(self) -> None:
        """Shows all of it."""
        self._cell, self._at = 0.0, QPointF(0, 0)
        self._redraw()
        self.framed.emit()

    def zoom(self, factor: float, around: QPointF | None = None) -> None:
        """Larger or smaller, keeping what is at `around` (the middle) where it is."""
        frame = self.frame()
        fit = self._fit_cell(frame.area)
        if not frame.rows:
            return
        wanted = min(max(LARGEST, fit), max(fit, frame.cell * factor))
        around = frame.area.center() if around is None else around
        row, column = (around.y() - frame.top) / frame.cell, (around.x() - frame.left) / frame.cell
        if wanted <= fit * 1.001:
            self.fit()
            return
        self._cell = wanted
        self._at = QPointF(column - (around.x() - frame.area.left()) / wanted, row - (around.y() - frame.area.top()) / wanted)
        self._keep_within()
        self._redraw()
        self.framed.emit()

    def pan(self, right: float, down: float) -> None:
        """Moves what is seen by pixels."""
        if not self._cell:
            return
        self._at += QPointF(right / self._cell, down / self._cell)
        self._keep_within()
        self._redraw()
        self.framed.emit()

    def show_cell(self, row: int, column: int) -> None:
        """Moves what is seen so that a cell is in it."""
        frame = self.frame()
        rect = frame.rect(row, column)
        if not self._cell or frame.area.contains(rect):
            return
        self.pan(
            min(0.0, rect.left() - frame.area.left()) + max(0.0, rect.right() - frame.area.right()),
            min(0.0, rect.top() - frame.area.top()) + max(0.0, rect.bottom() - frame.area.bottom()),
        )

    def _area(self) -> QRectF:
        room = self._room + paint.GAP
        return QRectF(self.rect()).adjusted(room, room, -EDGE, -EDGE)

    def _fit_cell(self, area: QRectF) -> float:
        if not self._rows or not self._columns:
            return 1.0
        return max(1e-3, min(area.width() / len(self._columns), area.height() / len(self._rows), LARGEST))

    def _keep_within(self) -> None:
        area = self._area()
        x = min(max(0.0, self._at.x()), max(0.0, len(self._columns) - area.width() / self._cell))
        y = min(max(0.0, self._at.y()), max(0.0, len(self._rows) - area.height() / self._cell))
        self._at = QPointF(x, y)

    def _measure(self) -> None:
        font = theme.font("mono_small")
        step = max(1, len(self._rows) // 256)
        names = [
            paint.label(names, place, step) for names in (self._rows, self._columns) for place in range(0, len(names), step)
        ]
        self._room = paint.label_room(names, font, NAMES)

    # -- painting

    def _dress(self) -> None:
        for image in (*self._images, *([self._coarse] if self._coarse is not None else [])):
            image.setColorTable(self._table)
        self._redraw_cells()

    def _redraw(self) -> None:
        self._base = self._axes = None
        self.update()

    def _redraw_cells(self) -> None:
        """Other cells in the same place: the names beside them stay."""
        self._base = None
        self.update()

    def image(self) -> QImage:
        """What is painted but for marks, at the screen's resolution."""
        return self._painted().toImage()

    def _painted(self) -> QPixmap:
        ratio = self.devicePixelRatioF()
        wanted = self.size() * ratio
        if self._base is not None and self._base.size() == wanted:
            return self._base
        colors = theme.palette()
        frame = self.frame()
        there = bool(frame.rows and frame.columns and (self._images or self._coarse is not None))
        if not there:
            base = QPixmap(wanted)
            base.setDevicePixelRatio(ratio)
            base.fill(QColor(colors.surface))
            self._base = base
            return base
        if self._axes is None or self._axes.size() != wanted:
            self._axes = QPixmap(wanted)
            self._axes.setDevicePixelRatio(ratio)
            self._axes.fill(QColor(colors.surface))
            painter = QPainter(self._axes)
            font, color = theme.font("mono_small"), QColor(colors.muted)
            paint.paint_axes(painter, frame, self._rows, self._columns, font, color, self._room)
            painter.end()
        # Cells, the mask and what is hidden cover the same place each time, so they may go over the last ones.
        base = self._axes
        painter = QPainter(base)
        painter.fillRect(frame.shown, QColor(colors.surface))
        if self._images:
            paint.paint_cells(painter, frame, self._images, ratio)
        elif self._coarse is not None:
            paint.paint_coarse(painter, frame, self._coarse)
        brush = paint.hatch(colors, ratio)
        if self._hidden:
            paint.paint_hidden_column(painter, frame, brush)
        if self._causal:
            paint.paint_mask(painter, frame, brush)
        painter.end()
        self._base = base
        return base

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.drawPixmap(0, 0, self._painted())
        frame = self.frame()
        if not frame.rows or not (self._images or self._coarse is not None):
            return
        colors = theme.palette()
        painter.setFont(theme.font("mono_small"))
        marks = [(False, self._row, colors.accent), (True, self._column, colors.accent)]
        if self._cursor is not None:
            marks += [(False, self._cursor[0], colors.text), (True, self._cursor[1], colors.text)]
        for across, place, color in marks:
            names = self._columns if across else self._rows
            if place is not None and place < len(names):
                paint.paint_mark(painter, frame, across, place, names, self._room, QColor(color), QColor(colors.surface))
        if self.hasFocus():
            painter.setPen(QPen(QColor(colors.accent), 1))
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.drawRect(frame.shown.adjusted(-1, -1, 0, 0))

    # -- mouse and keys

    def _point_at(self, position: QPointF) -> None:
        cell = self.frame().cell_at(position.x(), position.y())
        if cell != self._cursor:
            self._cursor = cell
            self.update()
            self.pointed.emit(cell)

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        position = event.position()
        if self._grip is None:
            self._point_at(position)
            return
        start, at = self._grip
        if not self._dragged and (position - start).manhattanLength() < QApplication.startDragDistance():
            return
        self._dragged = True
        if self._cell:
            self.setCursor(Qt.CursorShape.ClosedHandCursor)
            self._at = at - (position - start) / self._cell
            self._keep_within()
            self._redraw()
            self.framed.emit()

    def mousePressEvent(self, event: QMouseEvent) -> None:
        if event.button() == Qt.MouseButton.LeftButton:
            self._grip = event.position(), QPointF(self._at)
            self._dragged = False

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        if self._grip is None or event.button() != Qt.MouseButton.LeftButton:
            return
        self._grip = None
        self.unsetCursor()
        cell = self.frame().cell_at(event.position().x(), event.position().y())
        if not self._dragged:
            if cell is not None:
                self.picked.emit(*cell)
            else:
                self.let_go.emit()
        self._point_at(event.position())

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        self.fit()

    def wheelEvent(self, event: QWheelEvent) -> None:
        turns = event.angleDelta().y() / 120
        if turns:
            self.zoom(ZOOM**turns, event.position())
            self._point_at(event.position())
        event.accept()

    def leaveEvent(self, event: QEvent) -> None:
        if self._cursor is not None:
            self._cursor = None
            self.update()
            self.pointed.emit(None)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        key, rows, columns = event.key(), len(self._rows), len(self._columns)
        step = paint.step_of(key, 10, columns)
        if key in (Qt.Key.Key_Plus, Qt.Key.Key_Equal, Qt.Key.Key_Minus):
            middle = None if self._cursor is None else self.frame().rect(*self._cursor).center()
            self.zoom(1 / ZOOM if key == Qt.Key.Key_Minus else ZOOM, middle)
        elif key == Qt.Key.Key_0:
            self.fit()
        elif step is not None and rows and columns:
            row, column = self._cursor or (self._row or 0, self._column or 0)
            row, column = row + step[0], column + step[1]
            cell = min(max(0, row), rows - 1), min(max(0, column), columns - 1)
            self.show_cell(*cell)
            self.point(cell)
            self.pointed.emit(cell)
        elif key in (Qt.Key.Key_Return, Qt.Key.Key_Enter, Qt.Key.Key_Space) and self._cursor is not None:
            self.picked.emit(*self._cursor)
        elif key == Qt.Key.Key_Escape and (self._row is not None or self._column is not None):
            self.let_go.emit()
        else:
            super().keyPressEvent(event)

    # -- Qt

    def focusInEvent(self, event: QEvent) -> None:
        self.update()

    def focusOutEvent(self, event: QEvent) -> None:
        self.update()

    def resizeEvent(self, event: QResizeEvent) -> None:
        if self._cell:
            fit = self._fit_cell(self._area())
            if self._cell <= fit:
                self._cell, self._at = 0.0, QPointF(0, 0)
            else:
                self._keep_within()
        self._redraw()
        self.framed.emit()

    def sizeHint(self) -> QSize:
        return QSize(560, 520)
