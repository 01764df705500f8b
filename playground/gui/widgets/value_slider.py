"""A slider whose value is the setting's own: `setValue(0.2)` is a temperature of 0.2, `value()` gives it back.

Inside it counts in whole positions, as every `QSlider` does (screen readers see those); a `Travel` says which value lies where. Painted by
hand: a thin track, filled up to the value, a tick at the default, and a catch at the value that turns the setting off.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from PySide6.QtCore import QEvent, QPointF, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QColor, QFocusEvent, QKeyEvent, QMouseEvent, QPainter, QPaintEvent, QPen, QWheelEvent
from PySide6.QtWidgets import QSizePolicy, QSlider, QWidget

from playground.gui import theme

POSITIONS = 1000
CATCH = 4
"""pixels within which the default and the off value catch a dragged handle"""
HANDLE = 7


@dataclass(frozen=True)
class Travel:
    """Which value lies at which part (0 to 1) of the track."""

    minimum: float
    maximum: float
    step: float = 1.0
    log: bool = False
    ends_in_zero: bool = False
    """the value 0 (no limit) lies beyond the maximum, at the right end"""

    def value(self, part: float) -> float:
        part = min(1.0, max(0.0, part))
        if self.ends_in_zero:
            if part > 0.97:
                return 0.0
            part /= 0.97
        span = self.maximum - self.minimum
        raw = self.minimum + (math.expm1(part * math.log1p(span)) if self.log else part * span)
        return self.clean(raw)

    def part(self, value: float) -> float:
        if self.ends_in_zero and value <= 0:
            return 1.0
        value = min(self.maximum, max(self.minimum, value))
        span = self.maximum - self.minimum
        part = math.log1p(value - self.minimum) / math.log1p(span) if self.log else (value - self.minimum) / span
        return part * 0.97 if self.ends_in_zero else part

    def clean(self, value: float) -> float:
        """The nearest value on the grid of steps, within the range, without the noise of binary fractions."""
        if self.ends_in_zero and value <= 0:
            return 0.0
        value = min(self.maximum, max(self.minimum, value))
        steps = round((value - self.minimum) / self.step)
        return min(self.maximum, round(self.minimum + steps * self.step, 6))

    def moved(self, value: float, steps: int) -> float:
        """The value some steps further: of equal size on a linear scale, growing with the value on a logarithmic one."""
        if self.ends_in_zero and value <= 0:
            return self.maximum if steps < 0 else 0.0
        if self.ends_in_zero and steps > 0 and value >= self.maximum:
            return 0.0
        size = self.step
        if self.log:
            while size * 100 <= abs(value):
                size *= 10
        low = max(self.minimum, self.step) if self.ends_in_zero else self.minimum
        return self.clean(max(low, value + steps * size))


class ValueSlider(QSlider):
    """See the module's docstring. `valueChanged(float)` tells of every change, `moved(float)` only of those by hand."""

    valueChanged = Signal(float)  # type: ignore[assignment]  # in the setting's unit, in place of QSlider's positions
    moved = Signal(float)
    reset_wanted = Signal()

    def __init__(
        self, travel: Travel, default: float | None = None, off: float | None = None, parent: QWidget | None = None
    ) -> None:
        super().__init__(Qt.Orientation.Horizontal, parent)
        self.travel = travel
        self._default = default
        self._off = off
        self._value = travel.clean(travel.minimum if default is None else default)
        self._fine = False
        QSlider.setRange(self, 0, POSITIONS)
        QSlider.setValue(self, self._position())
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        self.setAttribute(Qt.WidgetAttribute.WA_Hover)

    # -- the value, in the setting's unit

    def value(self) -> float:  # type: ignore[override]
        return self._value

    def setValue(self, value: float) -> None:
        value = self.travel.clean(float(value))
        if value == self._value:
            return
        self._value = value
        QSlider.setValue(self, self._position())
        self.update()
        self.valueChanged.emit(value)

    def minimum(self) -> float:  # type: ignore[override]
        return 0.0 if self.travel.ends_in_zero else self.travel.minimum

    def maximum(self) -> float:  # type: ignore[override]
        return self.travel.maximum

    def _position(self) -> int:
        return round(self.travel.part(self._value) * POSITIONS)

    def _by_hand(self, value: float) -> None:
        before = self._value
        self.setValue(value)
        if self._value != before:
            self.moved.emit(self._value)

    # -- mouse and keys

    def mousePressEvent(self, event: QMouseEvent) -> None:
        if event.button() != Qt.MouseButton.LeftButton:
            event.ignore()
            return
        self.setSliderDown(True)
        self._drag(event)

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        if self.isSliderDown():
            self._drag(event)

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        self.setSliderDown(False)
        self.update()

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        self.reset_wanted.emit()

    def _drag(self, event: QMouseEvent) -> None:
        x = event.position().x()
        free = event.modifiers() & Qt.KeyboardModifier.ShiftModifier  # Shift: nothing catches
        for caught in (self._off, self._default):
            if caught is not None and not free and abs(self._x(caught) - x) <= CATCH:
                self._by_hand(caught)
                return
        left, right = self._ends()
        self._by_hand(self.travel.value((x - left) / max(1.0, right - left)))

    def keyPressEvent(self, event: QKeyEvent) -> None:
        key = Qt.Key(event.key())
        steps = {
            Qt.Key.Key_Left: -1,
            Qt.Key.Key_Down: -1,
            Qt.Key.Key_Right: 1,
            Qt.Key.Key_Up: 1,
            Qt.Key.Key_PageDown: -10,
            Qt.Key.Key_PageUp: 10,
        }
        if key in steps:
            self._by_hand(self.travel.moved(self._value, steps[key]))
        elif key == Qt.Key.Key_Home:
            self._by_hand(self.travel.value(0.0))
        elif key == Qt.Key.Key_End:
            self._by_hand(self.travel.value(1.0))
        elif key in (Qt.Key.Key_Delete, Qt.Key.Key_Backspace):
            self.reset_wanted.emit()
        else:
            event.ignore()

    def wheelEvent(self, event: QWheelEvent) -> None:
        if not self.hasFocus():  # the panel scrolls; a slider passed over must not move
            event.ignore()
            return
        self._by_hand(self.travel.moved(self._value, 1 if event.angleDelta().y() > 0 else -1))

    def focusInEvent(self, event: QFocusEvent) -> None:
        super().focusInEvent(event)
        self.update()

    def changeEvent(self, event: QEvent) -> None:
        super().changeEvent(event)
        self.update()

    # -- paint

    def sizeHint(self) -> QSize:
        return QSize(160, 20)

    def minimumSizeHint(self) -> QSize:
        return QSize(48, 20)

    def _ends(self) -> tuple[float, float]:
        return HANDLE - 1.0, self.width() - HANDLE + 1.0

    def _x(self, value: float) -> float:
        left, right = self._ends()
        return left + self.travel.part(value) * (right - left)

    def paintEvent(self, event: QPaintEvent) -> None:
        colors = theme.palette()
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        middle = self.height() / 2
        x = self._x(self._value)
        enabled = self.isEnabled()
        painter.setBrush(QColor(colors.line if enabled else colors.sunken))
        painter.drawRoundedRect(QRectF(0, middle - 2, self.width(), 4), 2, 2)
        idle = self._off is not None and self._value == self._off
        painter.setBrush(QColor(colors.faint if idle or not enabled else colors.accent))
        origin = 0.0
        if self._off is not None and self._off == self._default and self.travel.minimum < self._off < self.travel.maximum:
            origin = self._x(self._off)  # both ways from where it does nothing
        painter.drawRoundedRect(QRectF(min(origin, x), middle - 2, abs(x - origin), 4), 2, 2)
        if self._default is not None:
            tick = self._x(self._default)
            painter.setBrush(QColor(colors.faint))
            painter.drawRoundedRect(QRectF(tick - 0.75, middle + 5, 1.5, 3.5), 0.75, 0.75)
        hot = enabled and (self.underMouse() or self.isSliderDown())
        if self.hasFocus() and enabled:
            painter.setPen(QPen(QColor(colors.accent), 1.5))
            painter.setBrush(QColor(colors.accent_soft))
            painter.drawEllipse(QPointF(x, middle), HANDLE + 0.5, HANDLE + 0.5)
            painter.setPen(Qt.PenStyle.NoPen)
        radius = HANDLE - 0.5 if hot else HANDLE - 1.5
        painter.setBrush(QColor(colors.accent if enabled and not idle else colors.faint if not enabled else colors.muted))
        painter.drawEllipse(QPointF(x, middle), radius, radius)
        painter.setBrush(QColor(colors.raised))
        painter.drawEllipse(QPointF(x, middle), radius - 2.5, radius - 2.5)
