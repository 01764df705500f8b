"""The terms of an estimate as a short list: colour, name, a bar for its part of the whole, bytes; beside them what was measured, if it was."""

from __future__ import annotations

from collections.abc import Mapping

from PySide6.QtCore import QEvent, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QHelpEvent, QPainter, QPaintEvent
from PySide6.QtWidgets import QSizePolicy, QToolTip, QWidget

from playground.gui import theme
from playground.gui.widgets.amounts import amount
from playground.gui.widgets.fit_bar import term_color, term_name

_ROW = 22
_AMOUNT = 76


class FitTerms(QWidget):
    """`show_terms(terms, basis, measured)`: bytes by term over all devices; hovering a row says what its figure rests on."""

    def __init__(self, parent: QWidget | None = None, heads: tuple[str, str] = ("Predicted", "Measured")) -> None:
        super().__init__(parent)
        self._heads = heads
        self._terms: dict[str, int] = {}
        self._measured: dict[str, int] = {}
        self._basis: Mapping[str, str] = {}
        self._total_name = "Total"
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        theme.notifier().changed.connect(self.update)

    def show_terms(self, terms: Mapping[str, int], basis: Mapping[str, str], measured: Mapping[str, int] | None = None) -> None:
        rows = len(self._terms), bool(self._measured)
        self._terms, self._basis, self._measured = dict(terms), basis, dict(measured or {})
        lines = [f"{term_name(name)} {amount(nbytes)}: {basis.get(name, '')}" for name, nbytes in terms.items()]
        self.setAccessibleName("Memory, term by term")
        self.setAccessibleDescription("; ".join(lines))
        if rows != (len(self._terms), bool(self._measured)):
            self.updateGeometry()
        self.update()

    def terms(self) -> dict[str, int]:
        return dict(self._terms)

    def measured(self) -> dict[str, int]:
        return dict(self._measured)

    def sizeHint(self) -> QSize:
        return QSize(280, _ROW * (len(self._terms) + 1 + bool(self._measured)))

    def event(self, event: QEvent) -> bool:
        if isinstance(event, QHelpEvent):
            place = event.pos().y() // _ROW - bool(self._measured)
            names = list(self._terms)
            said = ""
            if 0 <= place < len(names):
                said = f"{term_name(names[place])}\n{self._basis.get(names[place], '')}".strip()
            QToolTip.showText(event.globalPos(), said, self)
            return True
        return super().event(event)

    def paintEvent(self, event: QPaintEvent) -> None:
        colors = theme.palette()
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setFont(theme.font("small"))
        both = bool(self._measured)
        right = self.width() - (_AMOUNT if both else 0)
        y = 0.0
        middle = Qt.AlignmentFlag.AlignVCenter
        if both:
            painter.setPen(QColor(colors.muted))
            for text, edge in zip(self._heads, (right, self.width()), strict=True):
                painter.drawText(QRectF(edge - _AMOUNT, y, _AMOUNT, _ROW), middle | Qt.AlignmentFlag.AlignRight, text)
            y += _ROW
        largest = max([*self._terms.values(), 1])
        bar_left, bar_room = 104.0, right - _AMOUNT - 104.0 - 8
        for name, nbytes in self._terms.items():
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(term_color(name))
            painter.drawRoundedRect(QRectF(0, y + 6, 10, 10), 2.5, 2.5)
            if nbytes and bar_room > 24:
                painter.drawRoundedRect(QRectF(bar_left, y + 9, max(2.0, bar_room * nbytes / largest), 4), 2, 2)
            painter.setPen(QColor(colors.text))
            painter.drawText(QRectF(18, y, 90, _ROW), middle | Qt.AlignmentFlag.AlignLeft, term_name(name))
            self._number(painter, right, y, amount(nbytes))
            if both and name in self._measured:
                self._number(painter, self.width(), y, amount(self._measured[name]))
            y += _ROW
        bold = theme.font("small")
        bold.setWeight(bold.Weight.DemiBold)
        painter.setFont(bold)
        painter.drawText(QRectF(18, y, 90, _ROW), middle | Qt.AlignmentFlag.AlignLeft, self._total_name)
        self._number(painter, right, y, amount(sum(self._terms.values())))
        if both:
            self._number(painter, self.width(), y, amount(sum(self._measured.values())))

    def _number(self, painter: QPainter, right: float, y: float, text: str) -> None:
        where = QRectF(right - _AMOUNT, y, _AMOUNT, _ROW)
        painter.drawText(where, Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignRight, text)
