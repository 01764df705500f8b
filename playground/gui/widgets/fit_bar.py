"""One device's memory as a stacked bar: what the model takes term by term, where the free memory ends, what others use.

The scale is the device's own memory, so that it does not jump while a slider moves; it grows only where the model is larger than that.
Knows bytes by name and no estimate.
"""

from __future__ import annotations

from collections.abc import Mapping

from PySide6.QtCore import QEvent, QPointF, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QHelpEvent, QPainter, QPainterPath, QPaintEvent, QPen
from PySide6.QtWidgets import QSizePolicy, QToolTip, QWidget

from playground.gui import theme
from playground.gui.widgets.amounts import amount

_NAMES = {"kv_cache": "KV cache"}
_TOP, _BAR = 26, 18


def term_name(name: str) -> str:
    return _NAMES.get(name, name.replace("_", " ").capitalize())


def term_color(name: str) -> QColor:
    """The colour of a memory term, the same on every page."""
    return QColor(theme.memory_color(name))


class FitBar(QWidget):
    """`show_device` sets it; hovering a part says what it rests on."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.name, self._label = "", ""
        self._terms: dict[str, int] = {}
        self._free = self._total = 0
        self._basis: Mapping[str, str] = {}
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setMouseTracking(True)
        theme.notifier().changed.connect(self.update)

    def show_device(
        self, name: str, label: str, terms: Mapping[str, int], free: int, total: int, basis: Mapping[str, str]
    ) -> None:
        """Bytes by term on one device, of which `free` are free and `total` there."""
        self.name, self._label, self._terms, self._free, self._total = name, label, dict(terms), free, total
        self._basis = basis
        parts = ", ".join(f"{term_name(key)} {amount(value)}" for key, value in self._terms.items() if value)
        self.setAccessibleName(f"Memory on {name}")
        self.setAccessibleDescription(f"{amount(self.taken())} of {amount(free)} free. {parts}")
        self.update()

    def taken(self) -> int:
        return sum(self._terms.values())

    def terms(self) -> dict[str, int]:
        """What is shown, in bytes."""
        return dict(self._terms)

    def sizeHint(self) -> QSize:
        return QSize(280, _TOP + _BAR + 10)

    def _scale(self) -> float:
        return self.width() / max(self._total, self.taken() * 1.04, 1)

    def _parts(self) -> list[tuple[str, QRectF]]:
        """Each term's place; a term that is there is never thinner than it can be seen."""
        scale, x, found = self._scale(), 0.0, []
        for name, nbytes in self._terms.items():
            if nbytes:
                wide = max(nbytes * scale, 1.5)
                found.append((name, QRectF(x, _TOP, wide, _BAR)))
                x += wide
        return found

    def event(self, event: QEvent) -> bool:
        if isinstance(event, QHelpEvent):
            QToolTip.showText(event.globalPos(), self.tip_at(event.pos().x(), event.pos().y()), self)
            return True
        return super().event(event)

    def tip_at(self, x: int, y: int) -> str:
        """What is to be said about a place: a term and what its figure rests on."""
        for name, rect in self._parts():
            if rect.adjusted(-1, -2, 1, 2).contains(QPointF(x, y)):
                return f"{term_name(name)}: {amount(self._terms[name])}\n{self._basis.get(name, '')}".strip()
        if y >= _TOP and x > (self._free or 0) * self._scale():
            return f"In use by other programs: {amount(self._total - self._free)}"
        return f"{self._label}: {amount(self._free)} of {amount(self._total)} free"

    def paintEvent(self, event: QPaintEvent) -> None:
        colors = theme.palette()
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        over = self.taken() > self._free
        painter.setFont(theme.font("small"))
        metrics = painter.fontMetrics()
        right = f"{amount(self.taken())} of {amount(self._free)} free"
        painter.setPen(QColor(colors.bad if over else colors.muted))
        painter.drawText(QRectF(0, 0, self.width(), 20), Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter, right)
        painter.setPen(QColor(colors.text))
        room = self.width() - metrics.horizontalAdvance(right) - 12
        title = metrics.elidedText(f"{self.name}  ·  {self._label}", Qt.TextElideMode.ElideRight, room)
        painter.drawText(QRectF(0, 0, room, 20), Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter, title)
        track = QRectF(0, _TOP, self.width(), _BAR)
        shape = QPainterPath()
        shape.addRoundedRect(track, 4, 4)
        painter.setClipPath(shape)
        painter.fillRect(track, QColor(colors.sunken))
        free_x = min(self._free * self._scale(), self.width() - 1.0)
        painter.fillRect(QRectF(free_x, _TOP, self.width() - free_x, _BAR), QColor(colors.line))
        for name, rect in self._parts():
            painter.fillRect(rect, term_color(name))
        painter.setClipping(False)
        painter.setPen(QPen(QColor(colors.bad if over else colors.text), 1.5))
        painter.drawLine(QPointF(free_x, _TOP - 3), QPointF(free_x, _TOP + _BAR + 3))
