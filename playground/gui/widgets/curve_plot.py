"""Curves over the steps of a run: smoothed, zoomed, read off. Knows curves and no run.

The wheel zooms at the mouse, dragging moves, a double click (or Home) shows everything again; plots that share their steps are tied
together by `view_changed` and `set_view`. A smoothed curve has what was measured behind it as a pale line: what is drawn strongly is an
average, and that is seen. Curves are told apart by colour, dash and the name at their end.
Painted by hand: pyqtgraph takes a second to import, on the window's thread or against it, and one painter serves screen, PNG and SVG.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PySide6.QtCore import QEvent, QPointF, QRectF, QSize, Qt, Signal
from PySide6.QtGui import (
    QColor,
    QFontMetricsF,
    QImage,
    QKeyEvent,
    QMouseEvent,
    QPainter,
    QPaintEvent,
    QPen,
    QPolygonF,
    QWheelEvent,
)
from PySide6.QtWidgets import QSizePolicy, QWidget

from playground.gui import theme
from playground.gui.palette import CURVES
from playground.gui.widgets.curve_math import Floats, limits, log_ticks, round_ticks, smoothed, thinned, tick_text

_LEFT, _TOP, _RIGHT, _BOTTOM = 56, 30, 16, 24
_DASHES = (Qt.PenStyle.SolidLine, Qt.PenStyle.DashLine, Qt.PenStyle.DotLine, Qt.PenStyle.DashDotLine)
PICTURE = QSize(960, 480)


@dataclass
class Curve:
    """One line. x [n] rising, y [n]; `smooth` tells whether smoothing is for it (a validation loss of ten points is not averaged)."""

    key: str
    label: str
    x: Floats = field(default_factory=lambda: np.empty(0))
    y: Floats = field(default_factory=lambda: np.empty(0))
    smooth: bool = True
    dots: bool = False
    color: int = 0
    """its place in the table of colours, and of dashes"""
    dashed: bool = False


class CurvePlot(QWidget):
    """`show_curves` sets them; `view_changed(low, high)` tells of zooming and moving, `hovered(x)` of the step under the mouse."""

    view_changed = Signal(float, float)
    hovered = Signal(float)

    def __init__(
        self,
        name: str,
        title: str,
        write: Callable[[float], str] = lambda value: f"{value:.4g}",
        log: bool = False,
        ticks: Callable[[float, float], str] = tick_text,
        parent: QWidget | None = None,
    ) -> None:
        """`write` puts a value into words, `ticks` one of the axis with its distance to the next."""
        super().__init__(parent)
        self.setObjectName(name)
        self.setAccessibleName(title)
        self.setToolTip(f"{title}. The wheel zooms, dragging moves, a double click shows all of it.")
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.setMinimumHeight(112)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setMouseTracking(True)
        self._title, self._write, self._ticks, self._log = title, write, ticks, log
        self._curves: tuple[Curve, ...] = ()
        self._shown: list[tuple[Curve, Floats]] = []
        self._smoothing = 0.0
        self._view: tuple[float, float] | None = None
        self._end = 0.0
        self._at = math.nan
        self._drag: tuple[float, tuple[float, float]] | None = None
        theme.notifier().changed.connect(self.update)

    # -- what is shown

    def show_curves(self, curves: Sequence[Curve], end: float = 0.0) -> None:
        """The curves, and how far the run will go: the axis reaches there from the beginning, so that nothing moves while it fills."""
        self._curves, self._end = tuple(curves), end
        self._smooth()

    def curves(self) -> tuple[Curve, ...]:
        return self._curves

    def drawn(self, key: str) -> tuple[Floats, Floats]:
        """A curve as it is drawn strongly, smoothing and all: x [n], y [n]."""
        return next((each.x, y) for each, y in self._shown if each.key == key)

    def set_smoothing(self, weight: float) -> None:
        """0 draws what was measured; towards 1 an ever longer average."""
        if weight != self._smoothing:
            self._smoothing = weight
            self._smooth()

    def set_log(self, log: bool) -> None:
        self._log = log
        self.update()

    def view(self) -> tuple[float, float]:
        """The steps from the left edge to the right one."""
        return self._view or self._whole()

    def zoomed(self) -> bool:
        return self._view is not None

    def set_view(self, low: float, high: float) -> None:
        """Shows these steps; everything when `high` is not above `low`."""
        self._view = (low, high) if high > low else None
        self.update()

    def set_hover(self, x: float) -> None:
        """Marks a step (no number: none)."""
        if x != self._at and not (math.isnan(x) and math.isnan(self._at)):
            self._at = x
            self.update()

    def _smooth(self) -> None:
        self._shown = [(each, smoothed(each.y, self._smoothing) if each.smooth else each.y) for each in self._curves]
        last = [f"{each.label} {self._write(float(y[-1]))}" for each, y in self._shown if len(y)]
        self.setAccessibleDescription(", ".join(last) or "Nothing yet")
        self.update()

    def _whole(self) -> tuple[float, float]:
        ends = [float(each.x[-1]) for each in self._curves if len(each.x)]
        begins = [float(each.x[0]) for each in self._curves if len(each.x)]
        low, high = min(begins, default=0.0), max([*ends, self._end])
        low = min(low, 0.0) if self._end else low
        return (low, high) if high > low else (low, low + 1)

    # -- pictures

    def save(self, file: str | Path) -> bool:
        """Writes the picture as it is shown, in a fixed size, as SVG or PNG by the file's ending."""
        file, area = str(file), QRectF(0, 0, PICTURE.width(), PICTURE.height())
        ground = QColor(theme.palette().surface)
        if file.lower().endswith(".svg"):
            from PySide6.QtSvg import QSvgGenerator

            made = QSvgGenerator()
            made.setFileName(file)
            made.setSize(PICTURE)
            made.setViewBox(area)
            made.setTitle(self._title)
            painter = QPainter()
            if not painter.begin(made):
                return False
            painter.fillRect(area, ground)
            self._draw(painter, area)
            return painter.end()
        image = QImage(PICTURE * 2, QImage.Format.Format_RGB32)
        image.setDevicePixelRatio(2)
        image.fill(ground)
        painter = QPainter(image)
        self._draw(painter, area)
        painter.end()
        return image.save(file, "PNG")  # type: ignore[call-overload, no-any-return]

    # -- paint

    def sizeHint(self) -> QSize:
        return QSize(480, 200)

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        self._draw(painter, QRectF(self.rect()))
        if self.hasFocus():
            painter.setPen(QPen(QColor(theme.palette().accent), 1))
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.drawRoundedRect(QRectF(self.rect()).adjusted(0.5, 0.5, -0.5, -0.5), theme.RADIUS, theme.RADIUS)

    def _draw(self, painter: QPainter, area: QRectF) -> None:
        colors = theme.palette()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setFont(theme.font("small"))
        frame = self._frame(area)
        self._axes(painter, frame)
        painter.save()
        painter.setClipRect(frame.inner.adjusted(-4, -4, 4, 4))
        for each, y in self._shown:
            ink = QColor(CURVES[each.color % len(CURVES)][colors.dark])
            if self._smoothing > 0 and each.smooth:
                pale = QColor(ink)
                pale.setAlphaF(0.28)
                self._line(painter, frame, each.x, each.y, QPen(pale, 1))
            style = _DASHES[each.color % len(_DASHES)] if each.dashed else Qt.PenStyle.SolidLine
            self._line(painter, frame, each.x, y, QPen(ink, 1.8, style))
            if each.dots or np.count_nonzero(np.isfinite(y)) == 1:
                painter.setPen(QPen(ink, 1.6))
                painter.setBrush(QColor(colors.surface))
                for place in frame.places(each.x, y):
                    painter.drawEllipse(place, 2.8, 2.8)
                painter.setBrush(Qt.BrushStyle.NoBrush)
        if not math.isnan(self._at):
            painter.setPen(QPen(QColor(colors.muted), 1))
            x = round(frame.x(self._at)) + 0.5
            painter.drawLine(QPointF(x, frame.inner.top()), QPointF(x, frame.inner.bottom()))
        painter.restore()
        self._legend(painter, frame)

    def _line(self, painter: QPainter, frame: _Frame, x: Floats, y: Floats, pen: QPen) -> None:
        pen.setJoinStyle(Qt.PenJoinStyle.RoundJoin)
        painter.setPen(pen)
        x, y = thinned(x, y, *frame.view, max(1, int(frame.inner.width())))
        breaks = np.flatnonzero(~np.isfinite(y) | ((y <= 0) if self._log else False))
        for part in np.split(np.arange(len(x)), breaks):
            part = part[np.isfinite(y[part])]
            if self._log:
                part = part[y[part] > 0]
            if len(part) > 1:
                painter.drawPolyline(QPolygonF(frame.places(x[part], y[part])))

    def _axes(self, painter: QPainter, frame: _Frame) -> None:
        colors = theme.palette()
        metrics = QFontMetricsF(painter.font())
        inner, ink = frame.inner, QColor(colors.muted)
        most = max(2, int(inner.height() / 28))
        ticks = log_ticks(*frame.range, most) if self._log else round_ticks(*frame.range, most)
        step = 0.0 if self._log or len(ticks) < 2 else ticks[1] - ticks[0]
        for value in ticks:
            y = round(frame.y(value)) + 0.5
            painter.setPen(QPen(QColor(colors.line), 1))
            painter.drawLine(QPointF(inner.left(), y), QPointF(inner.right(), y))
            painter.setPen(ink)
            text = self._ticks(value, step or value)
            painter.drawText(QRectF(frame.area.left(), y - 10, _LEFT - 8, 20), _RIGHT_MIDDLE, text)
        across = round_ticks(*frame.view, max(2, int(inner.width() / 72)))
        step = across[1] - across[0] if len(across) > 1 else 1.0
        for value in across:
            x = round(frame.x(value)) + 0.5
            text = tick_text(value, step)
            wide = metrics.horizontalAdvance(text) + 4
            left = min(max(x - wide / 2, frame.area.left()), frame.area.right() - wide)
            painter.drawText(QRectF(left, inner.bottom() + 4, wide, 16), _CENTRE, text)
        painter.setPen(QPen(QColor(colors.faint), 1))
        painter.drawLine(inner.bottomLeft(), inner.bottomRight())

    def _legend(self, painter: QPainter, frame: _Frame) -> None:
        """The title at the left; at the right each curve's name with its value at the marked step, or its last one."""
        colors = theme.palette()
        metrics = QFontMetricsF(painter.font())
        top, right = frame.area.top() + 6, frame.area.right() - 8
        title = metrics.horizontalAdvance(self._title) + 8
        for each, y in reversed(self._shown):
            value = self._value(each, y)
            text = "  ".join(part for part in (each.label, value) if part)
            wide = metrics.horizontalAdvance(text)
            if right - wide - 28 < frame.area.left() + 8 + title:
                break
            painter.setPen(QColor(colors.text))
            painter.drawText(QRectF(right - wide, top, wide + 1, 16), _LEFT_MIDDLE, text)
            style = _DASHES[each.color % len(_DASHES)] if each.dashed else Qt.PenStyle.SolidLine
            painter.setPen(QPen(QColor(CURVES[each.color % len(CURVES)][colors.dark]), 2, style))
            painter.drawLine(QPointF(right - wide - 22, top + 8.5), QPointF(right - wide - 6, top + 8.5))
            right -= wide + 36
        painter.setPen(QColor(colors.muted))
        text = self._title if math.isnan(self._at) else f"{self._title}, step {self._at:,.0f}"
        room = right - frame.area.left() - 8
        painter.drawText(
            QRectF(frame.area.left() + 8, top, max(room, title), 16),
            _LEFT_MIDDLE,
            text if metrics.horizontalAdvance(text) <= room else self._title,
        )

    def _value(self, each: Curve, y: Floats) -> str:
        if not len(y):
            return ""
        place = len(y) - 1 if math.isnan(self._at) else int(np.argmin(np.abs(each.x - self._at)))
        return self._write(float(y[place])) if math.isfinite(y[place]) else "no number"

    def _frame(self, area: QRectF) -> _Frame:
        view = self.view()
        seen = []
        for each, y in self._shown:
            for values in (y, each.y) if self._smoothing > 0 and each.smooth else (y,):
                inside = (each.x >= view[0]) & (each.x <= view[1])
                seen.append(values[inside])
        return _Frame(area, view, limits(seen, self._log), self._log)

    # -- mouse and keys

    def wheelEvent(self, event: QWheelEvent) -> None:
        turns = event.angleDelta().y() / 120
        if not turns:
            event.ignore()
            return
        self._zoom(0.8**turns, self._frame(QRectF(self.rect())).step_at(event.position().x()))
        event.accept()

    def _zoom(self, factor: float, at: float) -> None:
        low, high = self.view()
        self._move(at - (at - low) * factor, at + (high - at) * factor)

    def _move(self, low: float, high: float) -> None:
        """To these steps, kept within what there is; wider than that is everything."""
        first, last = self._whole()
        if high - low >= last - first:
            self._view = None
        else:
            wide = max(high - low, min(4.0, last - first))
            low = min(max(low, first), last - wide)
            self._view = (low, low + wide)
        self.update()
        self.view_changed.emit(*(self._view or (0.0, 0.0)))

    def mousePressEvent(self, event: QMouseEvent) -> None:
        if event.button() == Qt.MouseButton.LeftButton:
            self._drag = (event.position().x(), self.view())

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        self._drag = None
        self.unsetCursor()

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        self._drag = None
        self._move(*self._whole())

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        frame = self._frame(QRectF(self.rect()))
        if self._drag is not None and event.buttons() & Qt.MouseButton.LeftButton:
            begin, (low, high) = self._drag
            if abs(event.position().x() - begin) > 3:
                self.setCursor(Qt.CursorShape.ClosedHandCursor)
            by = (begin - event.position().x()) / max(1.0, frame.inner.width()) * (high - low)
            if self.zoomed():
                self._move(low + by, high + by)
            return
        at = frame.step_at(event.position().x())
        steps = [float(each.x[np.argmin(np.abs(each.x - at))]) for each in self._curves if len(each.x)]
        self.set_hover(min(steps, key=lambda step: abs(step - at), default=math.nan))
        self.hovered.emit(self._at)

    def leaveEvent(self, event: QEvent) -> None:
        self.set_hover(math.nan)
        self.hovered.emit(math.nan)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        low, high = self.view()
        key, part = Qt.Key(event.key()), (high - low) / 8
        if key in (Qt.Key.Key_Plus, Qt.Key.Key_Equal):
            self._zoom(0.8, (low + high) / 2)
        elif key == Qt.Key.Key_Minus:
            self._zoom(1.25, (low + high) / 2)
        elif key == Qt.Key.Key_Home:
            self._move(*self._whole())
        elif key in (Qt.Key.Key_Left, Qt.Key.Key_Right):
            by = part if key == Qt.Key.Key_Right else -part
            self._move(low + by, high + by)
        else:
            super().keyPressEvent(event)


class _Frame:
    """From steps and values to pixels of `area`."""

    def __init__(self, area: QRectF, view: tuple[float, float], values: tuple[float, float], log: bool) -> None:
        self.area, self.view, self.range, self._log = area, view, values, log
        self.inner = area.adjusted(_LEFT, _TOP, -_RIGHT, -_BOTTOM)

    def x(self, step: float) -> float:
        low, high = self.view
        return self.inner.left() + (step - low) / (high - low) * self.inner.width()

    def y(self, value: float) -> float:
        low, high = self.range
        shown = math.log10(value) if self._log else value
        return self.inner.bottom() - (shown - low) / (high - low) * self.inner.height()

    def step_at(self, x: float) -> float:
        low, high = self.view
        return low + (x - self.inner.left()) / max(1.0, self.inner.width()) * (high - low)

    def places(self, x: Floats, y: Floats) -> list[QPointF]:
        good = np.isfinite(y) & ((y > 0) if self._log else True)
        return [QPointF(self.x(a), self.y(b)) for a, b in zip(x[good].tolist(), y[good].tolist(), strict=True)]


_CENTRE = int(Qt.AlignmentFlag.AlignCenter)
_LEFT_MIDDLE = int(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)
_RIGHT_MIDDLE = int(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
