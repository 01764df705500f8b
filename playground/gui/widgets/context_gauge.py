"""How full the context window is: used, of that cached, and the limit."""

from __future__ import annotations

from PySide6.QtCore import QRectF, QSize, Qt
from PySide6.QtGui import QColor, QPainter, QPaintEvent
from PySide6.QtWidgets import QSizePolicy, QWidget

from playground.gui import theme

BAR = 72


class ContextGauge(QWidget):
    """A bar and `412 / 2,048`."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("chat.context")
        self.used = self.cached = self.limit = 0
        self.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)
        theme.notifier().changed.connect(self.update)
        self.set_values(0, 0, 0)

    def set_values(self, used: int, cached: int, limit: int) -> None:
        """Tokens in the window, how many of the prompt's were in the cache already, and how many there is room for."""
        wider = len(f"{used:,}{limit:,}") != len(f"{self.used:,}{self.limit:,}")
        self.used, self.cached, self.limit = used, min(cached, used), limit
        self.setVisible(limit > 0)
        text = f"Context window: {used:,} of {limit:,} tokens used ({used / limit:.0%})" if limit else "No model is loaded"
        self.setAccessibleName(text)
        room = max(0, limit - used)
        self.setToolTip(
            f"{text}\n{self.cached:,} of the last prompt's tokens were in the cache and did not have to be read again\n"
            f"Room for {room:,} more. The model sees nothing beyond it; a full window ends the reply."
        )
        if wider:
            self.updateGeometry()
        self.update()

    def _text(self) -> str:
        return f"{self.used:,} / {self.limit:,}"

    def sizeHint(self) -> QSize:
        widest = max(self._text(), f"{self.limit:,} / {self.limit:,}", key=len)
        from PySide6.QtGui import QFontMetrics

        return QSize(BAR + 10 + QFontMetrics(theme.font("small")).horizontalAdvance(widest) + 2, 20)

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        colors = theme.palette()
        share = min(1.0, self.used / self.limit) if self.limit else 0.0
        track = QRectF(0, self.height() / 2 - 3, BAR, 6)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor(colors.sunken))
        painter.drawRoundedRect(track, 3, 3)
        fill = colors.bad if share > 0.95 else colors.warn if share > 0.8 else colors.accent
        painter.setClipRect(QRectF(track.left(), track.top(), track.width() * share, track.height()))
        painter.setBrush(QColor(fill))
        painter.drawRoundedRect(track, 3, 3)
        if self.limit and self.cached:  # what was in the cache is paler: it cost nothing
            painter.setClipRect(
                QRectF(track.left(), track.top(), track.width() * min(share, self.cached / self.limit), track.height())
            )
            pale = QColor(colors.surface)
            pale.setAlphaF(0.45)
            painter.setBrush(pale)
            painter.drawRoundedRect(track, 3, 3)
        painter.setClipping(False)
        painter.setFont(theme.font("small"))
        painter.setPen(QColor(fill if share > 0.8 else colors.muted))
        painter.drawText(
            self.rect().adjusted(BAR + 10, 0, 0, 0), Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignLeft, self._text()
        )
