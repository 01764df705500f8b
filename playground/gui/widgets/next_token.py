"""The candidates for one token as bars, painted by hand: thick is the chance under the settings, thin what the model itself gave it.

Takes a `TokenInfo` or `TokenRow`; repaints at most once a frame however fast tokens come.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from PySide6.QtCore import QEvent, QRectF, QSize, Qt, QTimer
from PySide6.QtGui import QColor, QHelpEvent, QPainter, QPaintEvent
from PySide6.QtWidgets import QSizePolicy, QToolTip, QWidget

from playground.gui import theme
from playground.history.records import TokenRow
from playground.protocol import TokenInfo

ROW = 22
ROWS = 8
FRAME_MS = 33


@dataclass(frozen=True)
class _Bar:
    text: str
    now: float
    own: float
    drawn: bool


class NextToken(QWidget):
    """Room for eight candidates is kept, whatever there is to show. Object name: `sampling.next_token`."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("sampling.next_token")
        self.setAccessibleName("Next token")
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.setToolTip("What the model weighed for this token, and what your settings made of it")
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self._token: TokenInfo | TokenRow | None = None
        self._bars: tuple[_Bar, ...] = ()
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(FRAME_MS)
        self._timer.timeout.connect(self._refresh)

    def show_token(self, token: TokenInfo | TokenRow | None) -> None:
        """Shows the candidates of a token; None shows that there is none."""
        self._token = token
        if not self._timer.isActive():
            self._timer.start()

    def bars(self) -> tuple[tuple[str, float, float], ...]:
        """What is on screen: (text, chance under the settings, the model's own)."""
        return tuple((bar.text, bar.now, bar.own) for bar in self._bars)

    def _refresh(self) -> None:
        self._bars = _bars(self._token)
        said = ", ".join(f"{readable(bar.text)} {bar.now:.2f}" for bar in self._bars[:3])
        self.setAccessibleDescription(said)
        self.update()

    def sizeHint(self) -> QSize:
        return QSize(theme.PANEL - 32, ROWS * ROW)

    def minimumSizeHint(self) -> QSize:
        return QSize(160, ROWS * ROW)

    def event(self, event: QEvent) -> bool:
        if isinstance(event, QHelpEvent):
            place = event.pos().y() // ROW
            if 0 <= place < len(self._bars):
                bar = self._bars[place]
                text = f"{readable(bar.text)}\n{bar.now:.1%} under your settings\n{bar.own:.1%} by the model itself"
                QToolTip.showText(event.globalPos(), text, self)
                return True
        return super().event(event)

    def paintEvent(self, event: QPaintEvent) -> None:
        colors = theme.palette()
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        if self.hasFocus():
            painter.setPen(QColor(colors.accent))
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.drawRoundedRect(QRectF(self.rect()).adjusted(0.5, 0.5, -0.5, -0.5), 4, 4)
        if not self._bars:
            self._paint_empty(painter)
            return
        name_width, number_width = 92.0, 40.0
        track = self.width() - name_width - number_width
        for place, bar in enumerate(self._bars):
            top = place * ROW
            painter.setFont(theme.font("mono_small"))
            painter.setPen(QColor(colors.text if bar.now > 0 else colors.faint))
            text = painter.fontMetrics().elidedText(readable(bar.text), Qt.TextElideMode.ElideRight, int(name_width) - 14)
            painter.drawText(QRectF(8, top, name_width - 8, ROW), Qt.AlignmentFlag.AlignVCenter, text)
            painter.setPen(Qt.PenStyle.NoPen)
            if bar.drawn:
                painter.setBrush(QColor(colors.accent))
                painter.drawRoundedRect(QRectF(0, top + 6, 3, ROW - 12), 1.5, 1.5)
            painter.setBrush(QColor(colors.sunken))
            painter.drawRoundedRect(QRectF(name_width, top + 6, track, 8), 2, 2)
            if bar.now > 0:
                painter.setBrush(QColor(colors.accent if bar.drawn else colors.muted))
                painter.drawRoundedRect(QRectF(name_width, top + 6, max(2.0, track * bar.now), 8), 2, 2)
            painter.setBrush(QColor(colors.text))
            painter.drawRect(QRectF(name_width, top + 15.5, max(1.0, track * bar.own), 1))
            painter.setFont(theme.font("small"))
            painter.setPen(QColor(colors.text if bar.now > 0 else colors.faint))
            number = f"{bar.now:.2f}" if bar.now > 0 else "cut"
            area = QRectF(self.width() - number_width, top, number_width - 2, ROW)
            painter.drawText(area, Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignRight, number)

    def _paint_empty(self, painter: QPainter) -> None:
        colors = theme.palette()
        painter.setPen(Qt.PenStyle.NoPen)
        for place in range(ROWS):
            tone = QColor(colors.sunken)
            tone.setAlphaF(1.0 - 0.11 * place)
            painter.setBrush(tone)
            painter.drawRoundedRect(QRectF(0, place * ROW + 6, self.width() * 0.86 ** (place + 1), 8), 2, 2)
        painter.setFont(theme.font("small"))
        painter.setPen(QColor(colors.muted))
        area = QRectF(0, ROW * 4.5, self.width(), ROW * 3)
        text = "What the model weighs for each token\nshows here while it writes."
        painter.drawText(area, Qt.AlignmentFlag.AlignHCenter | Qt.AlignmentFlag.AlignTop, text)


def readable(text: str) -> str:
    """A token's text with its white space made visible."""
    if not text:
        return "∅"
    return (
        text.replace("\n", "⏎").replace("\t", "→").replace(" ", "·")
        if text.isspace() or text[0] == " "
        else text.replace("\n", "⏎")
    )


def _bars(token: Any) -> tuple[_Bar, ...]:
    if token is None:
        return ()
    found = []
    for each in token.alternatives:
        if isinstance(each, tuple):  # as the database keeps them
            number, text, logprob, now = each
        else:
            number, text, logprob, now = each.token_id, each.text, each.logprob, each.probability
        found.append(_Bar(text, now, math.exp(min(0.0, logprob)), number == token.token_id))
    if not any(bar.drawn for bar in found):
        found.append(_Bar(token.text, token.probability, math.exp(min(0.0, token.logprob)), True))
    found.sort(key=lambda bar: (bar.now, bar.own), reverse=True)
    kept = found[:ROWS]
    drawn = next(bar for bar in found if bar.drawn)
    return tuple(kept if drawn in kept else [*kept[:-1], drawn])
