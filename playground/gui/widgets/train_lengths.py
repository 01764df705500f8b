"""How long the rows are: a bar for each range of tokens, and the sequence length as a line. Knows numbers only."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PySide6.QtCore import QEvent, QPointF, QRectF, QSize, Qt
from PySide6.QtGui import QBrush, QColor, QFontMetricsF, QHelpEvent, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QSizePolicy, QToolTip, QWidget

from playground.gui import theme
from playground.gui.palette import CURVES
from playground.gui.widgets.curve_math import round_ticks

BARS = 40


class RowLengths(QWidget):
    """`show_lengths` sets them: tokens of each row before anything is cut. Rows beyond the line are hatched."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("train.rows.lengths")
        self.setAccessibleName("Lengths of the rows")
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setFixedHeight(96)
        self._lengths = np.zeros(0, np.int64)
        self._most = 0
        theme.notifier().changed.connect(self.update)

    def show_lengths(self, lengths: Sequence[int], most: int) -> None:
        """`most`: the sequence length, in tokens."""
        self._lengths, self._most = np.asarray(lengths, np.int64), most
        over = int((self._lengths > most).sum())
        said = "No rows"
        if len(self._lengths):
            middle = int(np.median(self._lengths))
            said = (
                f"{middle:,} tokens in the middle, {int(self._lengths.max()):,} at most; {over:,} rows are longer than {most:,}"
            )
        self.setAccessibleDescription(said)
        self.update()

    def counts(self) -> tuple[np.ndarray, np.ndarray]:  # type: ignore[type-arg]
        """Rows in each bar [n], edges [n + 1] in tokens."""
        end = max(int(self._lengths.max(initial=0)), self._most, 1)
        width = max(1, -(-end // BARS))
        edges = np.arange(0, end + width + 1, width)
        return np.histogram(self._lengths, edges)[0], edges

    def sizeHint(self) -> QSize:
        return QSize(320, 96)

    def paintEvent(self, event: QPaintEvent) -> None:
        if not len(self._lengths):
            return
        colors = theme.palette()
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setFont(theme.font("small"))
        counts, edges = self.counts()
        inner = QRectF(self.rect()).adjusted(4, 20, -4, -18)
        across = lambda tokens: inner.left() + tokens / edges[-1] * inner.width()  # noqa: E731
        ink = QColor(CURVES[0][colors.dark])
        for count, begin, end in zip(counts, edges, edges[1:], strict=False):
            if not count:
                continue
            high = max(2.0, float(count / counts.max()) * inner.height())
            bar = QRectF(across(begin) + 0.5, inner.bottom() - high, max(1.0, across(end) - across(begin) - 1), high)
            painter.fillRect(bar, QBrush(ink, Qt.BrushStyle.BDiagPattern) if begin >= self._most else QBrush(ink))
        painter.setPen(QColor(colors.muted))
        metrics = QFontMetricsF(painter.font())
        for value in round_ticks(0.0, float(edges[-1]), 5):
            text = f"{value:,.0f}"
            wide = metrics.horizontalAdvance(text)
            x = min(max(across(value) - wide / 2, inner.left()), inner.right() - wide)
            painter.drawText(QPointF(x, self.height() - 4.0), text)
        x = across(self._most)
        painter.setPen(QPen(QColor(colors.text), 1.5, Qt.PenStyle.DashLine))
        painter.drawLine(QPointF(x, inner.top() - 2), QPointF(x, inner.bottom()))
        text = f"cut at {self._most:,}"
        wide = metrics.horizontalAdvance(text)
        painter.setPen(QColor(colors.text))
        painter.drawText(QPointF(x - wide - 6 if x - wide > 140 else x + 6, 14.0), text)
        painter.setPen(QColor(colors.muted))
        painter.drawText(QPointF(4.0, 14.0), "Tokens in a row")

    def event(self, event: QEvent) -> bool:
        if event.type() == QEvent.Type.ToolTip and isinstance(event, QHelpEvent) and len(self._lengths):
            counts, edges = self.counts()
            place = int((event.pos().x() - 4) / max(1, self.width() - 8) * edges[-1] // edges[1])
            if 0 <= place < len(counts):
                QToolTip.showText(
                    event.globalPos(), f"{edges[place]:,} to {edges[place + 1] - 1:,} tokens: {counts[place]:,} rows", self
                )
            return True
        return super().event(event)
