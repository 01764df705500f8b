"""What stands where a page will be in a moment: its surfaces, so that nothing jumps when it comes."""

from __future__ import annotations

from PySide6.QtCore import QRectF, Qt
from PySide6.QtGui import QColor, QPainter, QPaintEvent
from PySide6.QtWidgets import QWidget

from playground.gui import theme

LIST = 240
BAR = 56
FIELD = 56


class Skeleton(QWidget):
    """The shape of the chat page; `plain` for a page without one."""

    def __init__(self, plain: bool = False, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._plain = plain
        self.setAttribute(Qt.WidgetAttribute.WA_OpaquePaintEvent)

    def paintEvent(self, event: QPaintEvent) -> None:
        colors = theme.palette()
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.fillRect(self.rect(), QColor(colors.surface))
        if self._plain:
            return
        wide, high = self.width(), self.height()
        painter.fillRect(0, 0, LIST, high, QColor(colors.window))
        painter.fillRect(wide - theme.PANEL, 0, theme.PANEL, high, QColor(colors.window))
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor(colors.sunken))
        middle = QRectF(LIST + 32, high - FIELD - 24, wide - theme.PANEL - LIST - 64, FIELD)
        painter.drawRoundedRect(middle, 8, 8)
