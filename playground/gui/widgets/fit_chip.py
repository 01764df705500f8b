"""A verdict as a small chip: a sign, a word and a shade, never the colour alone. Painted the same by itself and in a table."""

from __future__ import annotations

from PySide6.QtCore import QPointF, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QFontMetrics, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QSizePolicy, QWidget

from playground.gui import theme

WORDS = {
    "fits": "Fits",
    "tight": "Tight",
    "partly on CPU": "Partly on CPU",
    "does not fit": "Too large",
    "": "Not known",
    "damaged": "Damaged",
    "…": "…",
}
_ROLES = {"fits": "good", "tight": "warn", "partly on CPU": "warn", "does not fit": "bad", "damaged": "bad"}
HIGH = 20
_ROOM = 14
"""for the sign"""


def color(verdict: str) -> QColor:
    """The colour that a verdict has on every page."""
    return QColor(getattr(theme.palette(), _ROLES.get(verdict, "muted")))


def width(verdict: str) -> int:
    metrics = QFontMetrics(theme.font("small"))
    return metrics.horizontalAdvance(WORDS.get(verdict, verdict)) + _ROOM + 16


def paint(painter: QPainter, rect: QRectF, verdict: str) -> None:
    """Paints a chip at the left of `rect`, in its middle; nothing for a verdict that is not wanted (None is for callers)."""
    chip = QRectF(rect.left(), rect.center().y() - HIGH / 2, min(rect.width(), width(verdict)), HIGH)
    ink = color(verdict)
    wash = QColor(ink)
    wash.setAlphaF(0.18 if theme.palette().dark else 0.11)
    painter.save()
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.setPen(Qt.PenStyle.NoPen)
    if verdict not in ("", "…"):
        painter.setBrush(wash)
        painter.drawRoundedRect(chip, HIGH / 2, HIGH / 2)
    _sign(painter, QPointF(chip.left() + 12, chip.center().y()), verdict, ink)
    painter.setFont(theme.font("small"))
    painter.setPen(ink)
    text = chip.adjusted(8 + _ROOM if verdict not in ("", "…") else 8, 0, -4, 0)
    shown = painter.fontMetrics().elidedText(WORDS.get(verdict, verdict), Qt.TextElideMode.ElideRight, int(text.width()) + 1)
    painter.drawText(text, Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignLeft, shown)
    painter.restore()


def _sign(painter: QPainter, at: QPointF, verdict: str, ink: QColor) -> None:
    """A tick, a half disc or a cross: told apart without colour."""
    painter.setBrush(Qt.BrushStyle.NoBrush)
    painter.setPen(QPen(ink, 1.6, Qt.PenStyle.SolidLine, Qt.PenCapStyle.RoundCap, Qt.PenJoinStyle.RoundJoin))
    x, y = at.x(), at.y()
    if verdict == "fits":
        painter.drawPolyline([QPointF(x - 3.5, y), QPointF(x - 1, y + 2.5), QPointF(x + 3.5, y - 2.5)])
    elif verdict == "tight":
        painter.drawLine(QPointF(x, y - 3.5), QPointF(x, y + 0.5))
        painter.drawPoint(QPointF(x, y + 3.5))
    elif verdict == "partly on CPU":
        painter.drawEllipse(at, 3.5, 3.5)
        painter.setBrush(ink)
        painter.drawPie(QRectF(x - 3.5, y - 3.5, 7, 7), 90 * 16, 180 * 16)
    elif verdict in ("does not fit", "damaged"):
        painter.drawLine(QPointF(x - 2.5, y - 2.5), QPointF(x + 2.5, y + 2.5))
        painter.drawLine(QPointF(x - 2.5, y + 2.5), QPointF(x + 2.5, y - 2.5))


class FitChip(QWidget):
    """The chip as a widget. `show_verdict(None)` keeps its room and shows nothing."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._verdict: str | None = None
        self.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)
        theme.notifier().changed.connect(self.update)

    def show_verdict(self, verdict: str | None, why: str = "") -> None:
        self._verdict = verdict
        word = "" if verdict is None else WORDS.get(verdict, verdict)
        self.setAccessibleName(f"Fit: {word}")
        self.setAccessibleDescription(why)
        self.setToolTip(why)
        self.updateGeometry()
        self.update()

    def verdict(self) -> str | None:
        return self._verdict

    def sizeHint(self) -> QSize:
        return QSize(width(self._verdict if self._verdict is not None else "does not fit"), HIGH)

    def paintEvent(self, event: QPaintEvent) -> None:
        if self._verdict is not None:
            paint(QPainter(self), QRectF(self.rect()), self._verdict)
