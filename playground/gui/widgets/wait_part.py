"""The place of a reply before its first token: a pulse, and how far the prompt has been read."""

from __future__ import annotations

import math
import time

from PySide6.QtCore import QRectF, Qt, QTimer
from PySide6.QtGui import QColor, QHideEvent, QPainter, QPaintEvent, QShowEvent
from PySide6.QtWidgets import QWidget

from playground.gui import theme
from playground.gui.widgets.conversation import Live


class WaitPart(QWidget):
    """As high as one line of text, so that the first word finds its place."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._text = ""
        self._timer = QTimer(self)
        self._timer.setInterval(66)
        self._timer.timeout.connect(self.update)

    def show_live(self, live: Live | None, loading: str = "") -> None:
        """`loading`: what the reply waits for before its prompt can be read."""
        if live is None or live.phase == "waiting":
            text = loading or "waiting for the model…"
        elif live.phase == "reading":
            text = f"reading the prompt… {live.fraction * 100:.0f} %" if live.fraction > 0 else "reading the prompt…"
        else:
            text = "writing…"
        if text != self._text:
            self._text = text
            self.setAccessibleName(text)
            self.update()

    def height_for(self, width: int) -> int:
        return theme.pixels("body") + 8

    def showEvent(self, event: QShowEvent) -> None:
        self._timer.start()
        super().showEvent(event)

    def hideEvent(self, event: QHideEvent) -> None:
        self._timer.stop()
        super().hideEvent(event)

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        high = theme.pixels("body")
        middle = self.height() / 2
        color = QColor(theme.palette().accent)
        color.setAlphaF(0.45 + 0.55 * (0.5 + 0.5 * math.cos(time.monotonic() * 5)))
        painter.setBrush(color)
        painter.drawRoundedRect(QRectF(0, middle - high / 2, 7, high), 2, 2)
        painter.setPen(QColor(theme.palette().muted))
        painter.setFont(theme.font("small"))
        painter.drawText(
            self.rect().adjusted(18, 0, 0, 0), Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignLeft, self._text
        )
