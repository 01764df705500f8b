"""The surprise track under a reply: a bar for each token, as high as the model was surprised. Hover names the token, a click selects it."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QEvent, QPoint, QRectF, Qt, QTimer, Signal
from PySide6.QtGui import QColor, QHelpEvent, QMouseEvent, QPainter, QPaintEvent, QPixmap, QResizeEvent
from PySide6.QtWidgets import QToolTip, QWidget

from playground.gui import theme
from playground.gui.widgets.next_token import readable
from playground.gui.widgets.token_marks import TokenMark

HEIGHT = 30
FULL = 8.0
"""bits at which a bar has its whole height: one chance in 256"""
WIDEST = 6.0


class TokenTrack(QWidget):
    """See the module's docstring. Where there are more tokens than pixels, a pixel shows the most surprising of its tokens."""

    picked = Signal(object)
    """the `TokenMark` that was clicked"""
    entered = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("chat.track")
        self.setAccessibleName("Surprise track")
        self.setFixedHeight(HEIGHT)
        self.setMouseTracking(True)
        self._marks: Sequence[TokenMark] = ()
        self._count = -1
        self._focused: TokenMark | None = None
        self._bits: list[float] = []
        self._later = QTimer(self, singleShot=True, interval=250)
        self._later.timeout.connect(self._renew)
        self._picture: QPixmap | None = None
        """the bars: a reply that grows moves the track, which must not paint them again each time"""
        theme.notifier().changed.connect(self._renew)

    def show_marks(self, marks: Sequence[TokenMark], focused: TokenMark | None = None) -> None:
        """Shows the tokens of a reply; the list may have grown since the last time."""
        if marks is not self._marks or len(marks) != self._count or focused is not self._focused:
            grown = marks is self._marks and focused is self._focused
            self._marks, self._count, self._focused = marks, len(marks), focused
            if not grown:
                self._bits.clear()
                self._renew()
            elif not self._later.isActive():
                self._later.start()  # while a reply is written: four times a second is enough

    def height_for(self, width: int) -> int:
        return HEIGHT

    def _step(self) -> float:
        return min(WIDEST, self.width() / max(1, len(self._marks)))

    def mark_at(self, x: float) -> TokenMark | None:
        """The token at a place; of several in one pixel the most surprising."""
        step = self._step()
        first = int(x / step)
        if not 0 <= first < len(self._marks):
            return None
        last = max(first + 1, int((x + 1) / step))
        return max(self._marks[first:last], key=lambda each: each.surprisal)

    def _renew(self) -> None:
        self._picture = None
        self.update()

    def resizeEvent(self, event: QResizeEvent) -> None:
        self._picture = None

    def paintEvent(self, event: QPaintEvent) -> None:
        if self._picture is None:
            ratio = self.devicePixelRatioF()
            self._picture = QPixmap((self.size().toSizeF() * ratio).toSize())
            self._picture.setDevicePixelRatio(ratio)
            self._picture.fill(Qt.GlobalColor.transparent)
            painter = QPainter(self._picture)
            self._paint_bars(painter)
            painter.end()
        painter = QPainter(self)
        painter.drawPixmap(0, 0, self._picture)

    def _paint_bars(self, painter: QPainter) -> None:
        colors = theme.palette()
        base = HEIGHT - 5
        painter.fillRect(QRectF(0, base, min(self.width(), max(24.0, self._step() * len(self._marks))), 1), QColor(colors.line))
        step = self._step()
        width = max(1.0, step - 1 if step >= 3 else step)
        quiet, loud = QColor(colors.faint), QColor(colors.accent)
        pixels: dict[int, tuple[float, TokenMark]] = {}
        if len(self._bits) > len(self._marks):
            self._bits.clear()
        self._bits += [mark.surprisal for mark in self._marks[len(self._bits) :]]
        self.setAccessibleDescription(f"{len(self._marks)} tokens")
        for place, (mark, bits) in enumerate(zip(self._marks, self._bits, strict=True)):
            left = int(place * step)
            known = pixels.get(left)
            if known is None or bits > known[0]:
                pixels[left] = (bits, mark)
        for left, (bits, mark) in pixels.items():
            high = max(1.0, min(1.0, bits / FULL) * (base - 3))
            painter.fillRect(QRectF(left, base - high, width, high), loud if bits >= 4 else quiet)
            if mark is self._focused:
                painter.fillRect(QRectF(left - 0.5, base + 2, width + 1, 2), loud)

    def event(self, event: QEvent) -> bool:
        if isinstance(event, QHelpEvent):
            mark = self.mark_at(event.pos().x())
            QToolTip.showText(
                event.globalPos(), self.tip(mark) if mark else "How surprised the model was, token by token", self
            )
            return True
        return super().event(event)

    def tip(self, mark: TokenMark) -> str:
        return f"{readable(mark.token.text)}   {mark.surprisal:.1f} bits, probability {2**-mark.surprisal:.2%}"

    def mousePressEvent(self, event: QMouseEvent) -> None:
        mark = self.mark_at(event.position().x())
        if mark is not None and event.button() == Qt.MouseButton.LeftButton:
            self.picked.emit(mark)

    def point_of(self, place: int) -> QPoint:
        """The middle of a token's bar."""
        return QPoint(int((place + 0.5) * self._step()), HEIGHT // 2)

    def enterEvent(self, event: QEvent) -> None:  # type: ignore[override]
        self.entered.emit()
