"""The legend below a map: the colours with their weights, and what else is seen that is no weight. Knows no map."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PySide6.QtCore import QRectF, QSize, Qt
from PySide6.QtGui import QColor, QFontMetricsF, QImage, QPainter, QPaintEvent
from PySide6.QtWidgets import QSizePolicy, QWidget

from playground.gui import theme
from playground.gui.palette import Palette
from playground.gui.widgets import heat_paint as paint

HIGH = 40
BAR, BAR_HIGH = 248.0, 10.0
SWATCH = 14.0


def draw(
    painter: QPainter,
    left: float,
    top: float,
    room: float,
    colours: np.ndarray,
    ticks: Sequence[tuple[float, str]],
    notes: Sequence[str],
    text: str,
    colors: Palette,
    ratio: float = 1.0,
) -> None:
    """Colours and ticks, a hatched square for each of `notes`, then `text`, on a line of `room` pixels."""
    font = theme.font("small")
    metrics = QFontMetricsF(font)
    bar = QRectF(left, top + 4, min(BAR, room * 0.5), BAR_HIGH)
    paint.paint_legend(painter, bar, colours, ticks, font, QColor(colors.muted))
    painter.setFont(font)
    x, middle = bar.right() + 24, bar.center().y()
    for note in notes:
        swatch = QRectF(x, middle - SWATCH / 2, SWATCH, SWATCH)
        painter.drawImage(swatch.topLeft(), _hatched(colors, ratio))
        painter.setPen(QColor(colors.line))
        painter.drawRect(swatch)
        painter.setPen(QColor(colors.muted))
        x = _write(painter, metrics, note, x + SWATCH + 6, middle, left + room) + 16
    if text:
        # Below the others: it comes and goes with the zoom, and pushes nothing.
        painter.setPen(QColor(colors.muted))
        _write(painter, metrics, text, bar.right() + 24, middle + metrics.height() + 2, left + room)


def _hatched(colors: Palette, ratio: float) -> QImage:
    """As a picture: an SVG knows no brush of pictures."""
    size = round(SWATCH * ratio)
    found = QImage(size, size, QImage.Format.Format_RGB32)
    found.setDevicePixelRatio(ratio)
    painter = QPainter(found)
    painter.fillRect(QRectF(0, 0, SWATCH, SWATCH), paint.hatch(colors, ratio))
    painter.end()
    return found


def _write(painter: QPainter, metrics: QFontMetricsF, text: str, x: float, middle: float, end: float) -> float:
    said = metrics.elidedText(text, Qt.TextElideMode.ElideRight, max(0.0, end - x))
    painter.drawText(
        QRectF(x, middle - metrics.height() / 2, end - x, metrics.height()), int(Qt.AlignmentFlag.AlignVCenter), said
    )
    return x + metrics.horizontalAdvance(said)


class HeatLegend(QWidget):
    """Object name `inside.legend`; what it says is its accessible description too."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("inside.legend")
        self.setAccessibleName("Legend")
        self.setFixedHeight(HIGH)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.colours: np.ndarray | None = None
        self.ticks: Sequence[tuple[float, str]] = ()
        self.notes: Sequence[str] = ()
        self.text = ""
        theme.notifier().changed.connect(self.update)

    def show_scale(self, colours: np.ndarray | None, ticks: Sequence[tuple[float, str]], notes: Sequence[str]) -> None:
        """[256, 3] colours in their order, (place, weight) below them, what hatched cells are. None: there is nothing to explain."""
        self.colours, self.ticks, self.notes = colours, ticks, notes
        self._tell()

    def show_text(self, text: str) -> None:
        """What is to be known of the picture as it is now."""
        if text != self.text:
            self.text = text
            self._tell()

    def _tell(self) -> None:
        scale = " to ".join((self.ticks[0][1], self.ticks[-1][1])) if self.ticks else ""
        said = ". ".join(each for each in (scale and f"Weights from {scale}", *self.notes, self.text) if each)
        self.setAccessibleDescription(said)
        self.setToolTip(self.text)
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        if self.colours is not None:
            painter = QPainter(self)
            colors = theme.palette()
            ratio = self.devicePixelRatioF()
            draw(painter, 1, 0, self.width() - 2, self.colours, self.ticks, self.notes, self.text, colors, ratio)

    def sizeHint(self) -> QSize:
        return QSize(480, HIGH)
