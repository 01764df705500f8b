"""The captured text as it reads, shaded token by token, with arcs from one token to others. Painted by hand: only what is on the screen is drawn.

What it is told: the pieces, a shade from -1 to 1 for each token, arcs, which token is chosen and which is pointed at. What it says: where the
mouse is, what was clicked, which way the keys went. Knows no capture.

A shade is a wash behind the letters and a bar below them that grows with it, so that no hue alone carries it; of a difference, more is orange over
a full bar, less is blue over an open one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QPoint, QPointF, QRectF, QSize, Qt, QTimer, Signal
from PySide6.QtGui import QColor, QKeyEvent, QMouseEvent, QPainter, QPainterPath, QPaintEvent, QPen, QResizeEvent
from PySide6.QtWidgets import QAbstractScrollArea, QFrame, QWidget

from playground.gui import theme
from playground.gui.widgets.flow_lines import FlowLines
from playground.inside.spelling import Piece

MARGIN, TOP = 24, 40
"""around the text, and above it, where bows over the first line need room"""
SEEN = 0.02
"""shades below it are not drawn"""
SETTLE_MS = 60
"""after which a new width is wrapped to, while a window is being resized"""
MORE, LESS = ("#b35806", "#f0a35c"), ("#2166ac", "#6fa8dc")
"""what a difference is shaded in, in light and in dark: more and less"""
FAR = 48
"""pixels off the screen beyond which an arc is not followed"""
_BAR = 4.0


@dataclass(frozen=True)
class Arc:
    """From one token to another; `level` from -1 to 1 is how strong it is."""

    start: int
    end: int
    level: float


def shade(level: float, signed: bool = False) -> QColor:
    """The wash behind a token: `level` from 0 to 1, or from -1 to 1 of a difference. The one place that turns levels into colours here."""
    dark = theme.palette().dark
    if signed:
        color = QColor((MORE if level > 0 else LESS)[dark])
    else:
        color = QColor("#5b8fd6" if dark else "#3f78c9")
    color.setAlphaF((0.62 if dark else 0.5) * min(1.0, abs(level)))
    return color


class InsideFlow(QAbstractScrollArea):
    """Object name: `inside.text`."""

    pointed = Signal(object)
    """a token, or None"""
    picked = Signal(object)
    """a token was clicked or reached by a key; None: none is wanted"""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("inside.text")
        self.setAccessibleName("The captured text")
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.viewport().setMouseTracking(True)
        self._flow = FlowLines()
        self._lines: Sequence[Sequence[Piece]] = ()
        self._count = 0
        self._levels: NDArray[np.float32] | None = None
        self._weights: NDArray[np.float32] | None = None
        self._signed = False
        self._arcs: Sequence[Arc] = ()
        self._chosen: int | None = None
        self._marked: int | None = None
        self._under: int | None = None
        self._settle = QTimer(self, singleShot=True, interval=SETTLE_MS)
        self._settle.timeout.connect(self._wrap)
        theme.notifier().changed.connect(self._restyle)

    # -- what it shows

    def set_lines(self, lines: Sequence[Sequence[Piece]], count: int) -> None:
        """Another text, of `count` tokens."""
        self._lines, self._count = lines, count
        self._levels, self._weights, self._arcs = None, None, ()
        self._chosen = self._marked = self._under = None
        self._restyle()
        self.verticalScrollBar().setValue(0)

    def set_levels(
        self,
        levels: NDArray[np.float32] | None,
        signed: bool = False,
        weights: NDArray[np.float32] | None = None,
        start: int = 0,
    ) -> None:
        """How strongly tokens are shaded and the weights that this stands for, both of the tokens from `start` on; None for no shade at all."""
        self._levels = None if levels is None else np.zeros(self._count, np.float32)
        if levels is not None and self._levels is not None:
            self._levels[start : start + len(levels)] = levels
        self._signed, self._weights = signed, weights
        self.viewport().update()

    def set_arcs(self, arcs: Sequence[Arc]) -> None:
        self._arcs = arcs
        self.viewport().update()

    def set_chosen(self, token: int | None, marked: int | None = None) -> None:
        """The token whose weights are seen, and another one that is pointed at."""
        if (token, marked) != (self._chosen, self._marked):
            self._chosen, self._marked = token, marked
            self.viewport().update()

    # what is on the screen, for whoever wants to check it

    def weights(self) -> NDArray[np.float32] | None:
        """The numbers behind the shades, [tokens]; None while no token is looked at."""
        return self._weights

    def levels(self) -> NDArray[np.float32]:
        """How strongly each token is shaded, [tokens], from -1 to 1."""
        return self._levels if self._levels is not None else np.zeros(self._count, np.float32)

    def colours(self) -> list[QColor]:
        """The wash behind each token, as it is drawn."""
        return [shade(float(each), self._signed) for each in self.levels()]

    def arcs(self) -> Sequence[Arc]:
        return self._arcs

    def rect_of(self, token: int) -> QRectF | None:
        """Where (the first part of) a token is in the viewport; None for one that there is not."""
        boxes = self._flow.boxes_of(token) if 0 <= token < self._count else []
        return boxes[0].rect.translated(self._corner()) if boxes else None

    def token_at(self, point: QPoint | QPointF) -> int | None:
        return self._flow.token_at(QPointF(point) - self._corner())

    def reveal(self, token: int) -> None:
        """Scrolls so that a token can be seen."""
        rect = self.rect_of(token)
        if rect is None:
            return
        bar, high = self.verticalScrollBar(), self.viewport().height()
        if rect.top() < MARGIN:
            bar.setValue(round(bar.value() + rect.top() - high / 3))
        elif rect.bottom() > high - MARGIN:
            bar.setValue(round(bar.value() + rect.bottom() - high * 2 / 3))

    # -- laying out

    def _corner(self) -> QPointF:
        return QPointF(MARGIN, TOP - self.verticalScrollBar().value())

    def _restyle(self) -> None:
        self._flow.set_lines(self._lines, theme.font("body"), QColor(theme.palette().muted))
        self._wrap()

    def _wrap(self) -> None:
        self._settle.stop()
        self._flow.wrap(max(120, self.viewport().width() - 2 * MARGIN))
        bar = self.verticalScrollBar()
        bar.setRange(0, max(0, round(self._flow.height + TOP + MARGIN) - self.viewport().height()))
        bar.setPageStep(self.viewport().height())
        bar.setSingleStep(round(self._flow.pitch))
        self.viewport().update()

    def sizeHint(self) -> QSize:
        return QSize(480, 320)

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        if self._count > 2000 and self.isVisible():
            self._settle.start()
        else:
            self._wrap()

    # -- painting

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self.viewport())
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        colors = theme.palette()
        painter.fillRect(event.rect(), QColor(colors.surface))
        corner = self._corner()
        top, bottom = event.rect().top() - corner.y(), event.rect().bottom() - corner.y()
        self._paint_shades(painter, corner, top, bottom)
        painter.setPen(QColor(colors.text))
        self._flow.draw(painter, corner, top, bottom)
        self._paint_arcs(painter)
        self._outline(painter, self._marked, colors.muted, 1.0)
        self._outline(painter, self._chosen, colors.accent, 2.0)
        painter.end()

    def _paint_shades(self, painter: QPainter, corner: QPointF, top: float, bottom: float) -> None:
        colors = theme.palette()
        levels, ink = self._levels, QColor(colors.text)
        ink.setAlphaF(0.65)
        edge = QPen(QColor(colors.line), 1)
        for box in self._flow.boxes(top, bottom):
            rect = box.rect.translated(corner)
            level = float(levels[box.token]) if levels is not None else 0.0
            if abs(level) >= SEEN:
                painter.fillRect(rect, shade(level, self._signed))
                high = max(1.0, _BAR * abs(level))
                bar = QRectF(rect.left() + 0.5, rect.bottom() - high, rect.width() - 1, high)
                if level > 0:
                    painter.fillRect(bar, ink)
                else:
                    painter.setPen(QPen(ink, 1))
                    painter.setBrush(Qt.BrushStyle.NoBrush)
                    painter.drawRect(bar.adjusted(0.5, -1.0, -0.5, -0.5))
            if box.kind == "special":
                painter.setPen(edge)
                painter.setBrush(Qt.BrushStyle.NoBrush)
                painter.drawRoundedRect(rect.adjusted(0.5, 1.5, -0.5, -1.5), 4, 4)

    def _outline(self, painter: QPainter, token: int | None, color: str, width: float) -> None:
        if token is None or token >= self._count:
            return
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.setPen(QPen(QColor(color), width))
        for box in self._flow.boxes_of(token):
            painter.drawRoundedRect(box.rect.translated(self._corner()).adjusted(-1, 0, 1, 0), 3, 3)

    def _paint_arcs(self, painter: QPainter) -> None:
        view = QRectF(self.viewport().rect())
        painter.setBrush(Qt.BrushStyle.NoBrush)
        for arc in sorted(self._arcs, key=lambda each: abs(each.level)):
            start, end = self.rect_of(arc.start), self.rect_of(arc.end)
            if start is None or end is None or not view.intersects(start.united(end)):
                continue
            ink = (
                QColor((MORE if arc.level > 0 else LESS)[theme.palette().dark])
                if self._signed
                else QColor(theme.palette().accent)
            )
            ink.setAlphaF(0.3 + 0.6 * min(1.0, abs(arc.level)))
            pen = QPen(ink, 1.0 + 2.5 * min(1.0, abs(arc.level)))
            pen.setCapStyle(Qt.PenCapStyle.RoundCap)
            if arc.level < 0:
                pen.setStyle(Qt.PenStyle.DashLine)
            painter.setPen(pen)
            painter.drawPath(_bow(*_nearer(start, end, view)))
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(ink)
            painter.drawEllipse(QPointF(end.center().x(), end.top() + 1), 2.5, 2.5)
            painter.setBrush(Qt.BrushStyle.NoBrush)

    # -- mouse and keys

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        self._point(self.token_at(event.position()))

    def leaveEvent(self, event: Any) -> None:
        super().leaveEvent(event)
        self._point(None)

    def _point(self, token: int | None) -> None:
        if token != self._under:
            self._under = token
            self.viewport().setCursor(Qt.CursorShape.ArrowCursor if token is None else Qt.CursorShape.PointingHandCursor)
            self.pointed.emit(token)

    def mousePressEvent(self, event: QMouseEvent) -> None:
        if event.button() == Qt.MouseButton.LeftButton:
            token = self.token_at(event.position())
            self.picked.emit(None if token == self._chosen else token)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        key, at = event.key(), self._chosen
        if not self._count or event.modifiers() & ~Qt.KeyboardModifier.KeypadModifier:
            super().keyPressEvent(event)
            return
        steps = {
            Qt.Key.Key_Left: 0 if at is None else at - 1,
            Qt.Key.Key_Right: 0 if at is None else at + 1,
            Qt.Key.Key_Home: 0,
            Qt.Key.Key_End: self._count - 1,
        }
        if key in steps:
            self._go(steps[Qt.Key(key)])
        elif key in (Qt.Key.Key_Up, Qt.Key.Key_Down):
            self._go(self._above(at, -1 if key == Qt.Key.Key_Up else 1))
        elif key == Qt.Key.Key_Escape and at is not None:
            self.picked.emit(None)
        else:
            super().keyPressEvent(event)

    def _go(self, token: int) -> None:
        token = max(0, min(self._count - 1, token))
        self.picked.emit(token)
        self.reveal(token)

    def _above(self, token: int | None, step: int) -> int:
        """The token on the line before or after, about in the same place."""
        if token is None:
            return 0
        boxes = self._flow.boxes_of(token)
        if not boxes:
            return token
        x, y = boxes[0].rect.center().x(), boxes[0].rect.center().y() + step * self._flow.pitch
        on = list(self._flow.boxes(y, y))
        return min(on, key=lambda each: abs(each.rect.center().x() - x)).token if on else token


def _nearer(start: QRectF, end: QRectF, view: QRectF) -> tuple[QRectF, QRectF]:
    """The same bow with its ends no farther off the screen than can be told: a stroke of ten thousand pixels takes its time."""
    one, other = start.center(), end.center()
    low, high = view.top() - FAR, view.bottom() + FAR
    if low <= min(one.y(), other.y()) and max(one.y(), other.y()) <= high:
        return start, end

    def drawn_in(rect: QRectF, here: QPointF, there: QPointF) -> QRectF:
        y = max(low, min(high, here.y()))
        part = (y - here.y()) / (there.y() - here.y()) if y != here.y() else 0.0
        return rect.translated((there.x() - here.x()) * part, y - here.y())

    return drawn_in(start, one, other), drawn_in(end, other, one)


def _bow(start: QRectF, end: QRectF) -> QPainterPath:
    """A bow over the text, from the top of one token to the top of another."""
    one, other = QPointF(start.center().x(), start.top() + 1), QPointF(end.center().x(), end.top() + 1)
    path = QPainterPath(one)
    rise = min(44.0, 10 + abs(one.x() - other.x()) * 0.14)
    if abs(one.y() - other.y()) > 4:
        rise = min(rise, 26.0)
    lift = QPointF(0, -rise)
    path.cubicTo(one + lift, other + lift, other)
    return path
