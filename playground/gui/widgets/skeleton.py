"""What stands where a page will be in a moment: its surfaces, so that nothing jumps when it comes."""

from __future__ import annotations

from PySide6.QtCore import QRectF, QSize, Qt
from PySide6.QtGui import QColor, QPainter, QPaintEvent
from PySide6.QtWidgets import QStackedWidget, QWidget

from playground.gui import palette, theme

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
        painter.fillRect(0, 0, palette.LIST, high, QColor(colors.window))
        painter.fillRect(wide - palette.PANEL, 0, palette.PANEL, high, QColor(colors.window))
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor(colors.sunken))
        middle = QRectF(palette.LIST + 32, high - FIELD - 24, wide - palette.PANEL - palette.LIST - 64, FIELD)
        painter.drawRoundedRect(middle, 8, 8)


class Stack(QStackedWidget):
    """Pages of any width: each makes do with what it gets, so that none of them keeps the window from being made smaller."""

    def minimumSizeHint(self) -> QSize:
        return QSize(0, 0)
