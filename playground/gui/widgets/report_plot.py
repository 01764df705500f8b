"""Size against loss: each quantization a point, and through those that nothing beats on both the Pareto front.

Knows points and no report. What is on the front is told by the shape of its mark and by the line through it, not by colour alone: full discs on the
line, small rings off it. The loss is drawn on a logarithmic axis; the original, which loses nothing, is a line at its size.
Painted by hand: one painter serves the screen, PNG and SVG.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PySide6.QtCore import QEvent, QPointF, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QColor, QFont, QFontMetricsF, QImage, QKeyEvent, QMouseEvent, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QSizePolicy, QToolTip, QWidget

from playground.gui import theme
from playground.gui.widgets.amounts import size

LEAST = 1e-7
"""nats: what is measured below this is rounding, and is drawn at the foot"""
_LEFT, _TOP, _RIGHT, _BOTTOM = 64, 28, 24, 40
_REACH = 14.0
"""how near the mouse must come, in pixels"""
PICTURE = QSize(960, 600)


@dataclass(frozen=True)
class Point:
    """One model in the picture. `loss` is the mean KL divergence in nats, `error` its standard error, `bytes` the size on disk."""

    key: str
    label: str
    bytes: int
    loss: float
    error: float = 0.0
    front: bool = False
    tip: str = ""


class ReportPlot(QWidget):
    """`show_points` sets it, `picked(key)` tells of a click or an arrow key. Object name: `report.plot`."""

    picked = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("report.plot")
        self.setAccessibleName("Size against loss")
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.setMinimumHeight(200)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setMouseTracking(True)
        self._points: tuple[Point, ...] = ()
        self._original: tuple[str, int] = ("", 0)
        self._chosen = self._hovered = ""
        theme.notifier().changed.connect(self.update)

    # -- what is shown

    def show_points(self, points: Sequence[Point], original: tuple[str, int] = ("", 0)) -> None:
        """Points, and the original's name and size in bytes (0: not drawn)."""
        self._points = tuple(sorted(points, key=lambda each: each.bytes))
        self._original = original
        if self._chosen not in {each.key for each in self._points}:
            self._chosen = ""
        self._hovered = ""
        front = ", ".join(f"{each.label} {size(each.bytes)} {loss_text(each.loss)}" for each in self._points if each.front)
        self.setAccessibleDescription(f"On the Pareto front: {front}" if front else "Nothing measured yet")
        self.update()

    def points(self) -> tuple[Point, ...]:
        return self._points

    def choose(self, key: str) -> None:
        """Marks a point, telling nobody."""
        self._chosen = key
        self.update()

    def chosen(self) -> str:
        return self._chosen

    def place_of(self, key: str) -> QPointF:
        """Where a point is, in pixels of the widget."""
        frame = _Frame(self._points, self._original[1], QRectF(self.rect()))
        return next(frame.place(each) for each in self._points if each.key == key)

    # -- pictures

    def save(self, file: str | Path) -> bool:
        """Writes the picture as it is shown, in a fixed size, as SVG or PNG by the file's ending."""
        file = str(file)
        area = QRectF(0, 0, PICTURE.width(), PICTURE.height())
        if file.lower().endswith(".svg"):
            from PySide6.QtSvg import QSvgGenerator

            made = QSvgGenerator()
            made.setFileName(file)
            made.setSize(PICTURE)
            made.setViewBox(area)
            made.setTitle("Size against loss")
            painter = QPainter()
            if not painter.begin(made):
                return False
            self._draw(painter, area, QColor(theme.palette().surface))
            painter.end()
            return True
        image = QImage(PICTURE * 2, QImage.Format.Format_RGB32)
        image.setDevicePixelRatio(2)
        painter = QPainter(image)
        self._draw(painter, area, QColor(theme.palette().surface))
        painter.end()
        return image.save(file, "PNG")  # type: ignore[call-overload, no-any-return]

    # -- paint

    def sizeHint(self) -> QSize:
        return QSize(560, 320)

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        self._draw(painter, QRectF(self.rect()), None)
        if self.hasFocus():
            painter.setPen(QPen(QColor(theme.palette().accent), 1))
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.drawRoundedRect(QRectF(self.rect()).adjusted(0.5, 0.5, -0.5, -0.5), theme.RADIUS, theme.RADIUS)

    def _draw(self, painter: QPainter, area: QRectF, ground: QColor | None) -> None:
        if ground is not None:
            painter.fillRect(area, ground)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setFont(theme.font("small"))
        frame = _Frame(self._points, self._original[1], area)
        self._axes(painter, frame)
        if not self._points:
            return
        colors = theme.palette()
        front = [frame.place(each) for each in self._points if each.front]
        painter.setPen(QPen(QColor(colors.accent), 1.8))
        painter.setBrush(Qt.BrushStyle.NoBrush)
        for before, after in itertools.pairwise(front):  # a step: between two of them nothing can be had
            painter.drawPolyline([before, QPointF(after.x(), before.y()), after])
        for each in sorted(self._points, key=lambda point: point.front):
            self._mark(painter, frame, each)
        self._labels(painter, frame)

    def _axes(self, painter: QPainter, frame: _Frame) -> None:
        colors = theme.palette()
        metrics = QFontMetricsF(painter.font())
        grid, ink = QPen(QColor(colors.line), 1), QColor(colors.muted)
        for value in frame.ticks_y():
            y = round(frame.y(value)) + 0.5
            painter.setPen(grid)
            painter.drawLine(QPointF(frame.inner.left(), y), QPointF(frame.inner.right(), y))
            painter.setPen(ink)
            box = QRectF(0, y - 10, frame.inner.left() - 8, 20)
            painter.drawText(box.translated(frame.area.topLeft()), _RIGHT_MIDDLE, tick_text(value))
        for value in frame.ticks_x():
            x = round(frame.x(value)) + 0.5
            painter.setPen(grid)
            painter.drawLine(QPointF(x, frame.inner.bottom()), QPointF(x, frame.inner.bottom() + 4))
            painter.setPen(ink)
            text = size(value)
            wide = metrics.horizontalAdvance(text) + 4
            painter.drawText(QRectF(x - wide / 2, frame.inner.bottom() + 5, wide, 16), _CENTRE, text)
        painter.setPen(QPen(QColor(colors.faint), 1))
        painter.drawLine(frame.inner.bottomLeft(), frame.inner.bottomRight())
        painter.setPen(ink)
        painter.drawText(
            QRectF(frame.area.left() + 8, frame.area.top() + 4, 360, 18), _LEFT_MIDDLE, "KL divergence, nats (log)"
        )
        foot = QRectF(frame.inner.left(), frame.area.bottom() - 18, frame.inner.width(), 16)
        painter.drawText(foot, _RIGHT_MIDDLE, "size on disk")
        if self._original[1] and self._points:
            x = round(frame.x(self._original[1])) + 0.5
            painter.setPen(QPen(QColor(colors.faint), 1, Qt.PenStyle.DashLine))
            painter.drawLine(QPointF(x, frame.inner.top()), QPointF(x, frame.inner.bottom()))
            painter.setPen(ink)
            text = f"original, {self._original[0]}" if self._original[0] else "original"
            wide = metrics.horizontalAdvance(text) + 2
            left = x - wide - 6 if x + wide + 6 > frame.area.right() else x + 6
            painter.drawText(QRectF(left, frame.inner.top() - 2, wide, 16), _LEFT_MIDDLE, text)

    def _mark(self, painter: QPainter, frame: _Frame, each: Point) -> None:
        colors = theme.palette()
        at = frame.place(each)
        ink = QColor(colors.accent if each.front else colors.muted)
        if each.error > 0 and each.loss > LEAST:
            painter.setPen(QPen(ink, 1))
            high, low = frame.y(each.loss + each.error), frame.y(max(LEAST, each.loss - each.error))
            painter.drawLine(QPointF(at.x(), high), QPointF(at.x(), low))
        if each.key == self._chosen or each.key == self._hovered:
            halo = QColor(ink)
            halo.setAlphaF(0.22)
            painter.setPen(QPen(ink, 1.5) if each.key == self._chosen else Qt.PenStyle.NoPen)
            painter.setBrush(halo)
            painter.drawEllipse(at, 10, 10)
        painter.setPen(QPen(ink, 1.6))
        painter.setBrush(ink if each.front else QColor(colors.surface))
        radius = 5.0 if each.front else 3.8
        painter.drawEllipse(at, radius, radius)

    def _labels(self, painter: QPainter, frame: _Frame) -> None:
        """Names beside the marks: the front's first, each where it covers nothing, none where there is no room."""
        colors = theme.palette()
        taken = [QRectF(frame.place(each).x() - 6, frame.place(each).y() - 6, 12, 12) for each in self._points]
        front = [frame.place(each) for each in self._points if each.front]
        for before, after in itertools.pairwise(front):
            taken.append(QRectF(before.x(), before.y() - 1, after.x() - before.x(), 2))
            taken.append(QRectF(after.x() - 1, before.y(), 2, after.y() - before.y()))
        for each in sorted(self._points, key=lambda point: (point.key != self._chosen, not point.front)):
            font = QFont(theme.font("small"))
            font.setWeight(QFont.Weight.DemiBold if each.front else QFont.Weight.Normal)
            painter.setFont(font)
            metrics = QFontMetricsF(font)
            wide, high = metrics.horizontalAdvance(each.label) + 2, 15.0
            at = frame.place(each)
            spots = (
                QPointF(at.x() + 9, at.y() - 17),
                QPointF(at.x() + 10, at.y() - 7),
                QPointF(at.x() + 9, at.y() + 3),
                QPointF(at.x() - wide - 9, at.y() + 3),
                QPointF(at.x() - wide - 10, at.y() - 7),
                QPointF(at.x() - wide / 2, at.y() - 24),
                QPointF(at.x() - wide / 2, at.y() + 10),
                QPointF(at.x() - wide - 6, at.y() + 8),
            )
            room = frame.inner.adjusted(2, -14, _RIGHT - 4, -1)
            for spot in spots:
                box = QRectF(spot, QPointF(spot.x() + wide, spot.y() + high))
                if room.contains(box) and not any(box.intersects(other) for other in taken):
                    taken.append(box)
                    painter.setPen(QColor(colors.text if each.front or each.key == self._chosen else colors.muted))
                    painter.drawText(box, _LEFT_MIDDLE, each.label)
                    break

    # -- mouse and keys

    def _near(self, at: QPointF) -> Point | None:
        frame = _Frame(self._points, self._original[1], QRectF(self.rect()))
        found = [(math.hypot(*(frame.place(each) - at).toTuple()), each) for each in self._points]  # type: ignore[misc]
        distance, nearest = min(found, key=lambda pair: pair[0], default=(math.inf, None))
        return nearest if distance <= _REACH else None

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        near = self._near(event.position())
        key = near.key if near is not None else ""
        if key != self._hovered:
            self._hovered = key
            self.setCursor(Qt.CursorShape.PointingHandCursor if key else Qt.CursorShape.ArrowCursor)
            self.update()
            if near is not None:
                QToolTip.showText(event.globalPosition().toPoint(), near.tip or near.label, self)
            else:
                QToolTip.hideText()

    def leaveEvent(self, event: QEvent) -> None:
        self._hovered = ""
        self.update()

    def mousePressEvent(self, event: QMouseEvent) -> None:
        near = self._near(event.position())
        if near is not None:
            self._pick(near.key)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        step = {Qt.Key.Key_Left: -1, Qt.Key.Key_Right: 1}.get(Qt.Key(event.key()))
        if step is None or not self._points:
            super().keyPressEvent(event)
            return
        keys = [each.key for each in self._points]
        if self._chosen not in keys:
            self._pick(keys[0] if step > 0 else keys[-1])
        else:
            self._pick(keys[max(0, min(len(keys) - 1, keys.index(self._chosen) + step))])

    def _pick(self, key: str) -> None:
        self.choose(key)
        self.picked.emit(key)


class _Frame:
    """From bytes and nats to pixels of `area`."""

    def __init__(self, points: Sequence[Point], original: int, area: QRectF) -> None:
        self.area = area
        self.inner = area.adjusted(_LEFT, _TOP, -_RIGHT, -_BOTTOM)
        sizes = [each.bytes for each in points] + ([original] if original and points else [])
        low, high = (min(sizes), max(sizes)) if sizes else (0, 1 << 30)
        room = max((high - low) * 0.06, high * 0.02, 1)
        self._low, self._high = max(0.0, low - room), high + room
        seen = [max(LEAST, value) for each in points for value in (each.loss, each.loss + each.error)]
        bottom, top = (min(seen), max(seen)) if seen else (1e-3, 1.0)
        self._bottom, self._top = math.log10(bottom) - 0.18, math.log10(top) + 0.18
        if self._top - self._bottom < 1.0:  # at least a decade, so that small differences look small
            middle = (self._top + self._bottom) / 2
            self._bottom, self._top = middle - 0.5, middle + 0.5

    def x(self, nbytes: float) -> float:
        return self.inner.left() + (nbytes - self._low) / (self._high - self._low) * self.inner.width()

    def y(self, loss: float) -> float:
        part = (math.log10(max(loss, LEAST)) - self._bottom) / (self._top - self._bottom)
        return self.inner.bottom() - max(0.0, min(1.0, part)) * self.inner.height()

    def place(self, each: Point) -> QPointF:
        return QPointF(self.x(each.bytes), self.y(each.loss))

    def ticks_y(self) -> list[float]:
        """Powers of ten, with 2 and 5 between them where there are few."""
        few = self._top - self._bottom < 2.2
        found = [
            part * 10.0**power
            for power in range(math.floor(self._bottom), math.ceil(self._top) + 1)
            for part in ((1, 2, 5) if few else (1,))
        ]
        return [value for value in found if self._bottom <= math.log10(value) <= self._top]

    def ticks_x(self) -> list[float]:
        """Round sizes, at most one in 96 pixels."""
        span = self._high - self._low
        wanted = max(2.0, self.inner.width() / 96)
        rough = 10.0 ** math.floor(math.log10(span / wanted))
        step = next(part * rough for part in (1, 2, 5, 10, 20) if span / (part * rough) <= wanted)
        first = math.ceil(self._low / step)
        return [place * step for place in range(first, math.floor(self._high / step) + 1)]


def loss_text(loss: float) -> str:
    """A KL divergence as it is read: three digits that count, `0` for what is rounding."""
    if loss < LEAST:
        return "0"
    return f"{loss:.3g}" if loss >= 1e-4 else f"{loss:.1e}"


def tick_text(value: float) -> str:
    return f"{value:g}" if value >= 1e-4 else f"{value:.0e}".replace("e-0", "e-")


_CENTRE = int(Qt.AlignmentFlag.AlignCenter)
_LEFT_MIDDLE = int(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)
_RIGHT_MIDDLE = int(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
