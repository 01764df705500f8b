"""The tokens with the greatest weights as a list: place, text, a bar, the number. Knows weights, no capture."""

from __future__ import annotations

from typing import Any

from PySide6.QtCore import QAbstractListModel, QModelIndex, QPersistentModelIndex, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QColor, QKeyEvent, QPainter, QPen
from PySide6.QtWidgets import QAbstractItemView, QFrame, QListView, QStyle, QStyledItemDelegate, QStyleOptionViewItem, QWidget

from playground.gui import theme
from playground.gui.widgets.inside_flow import shade
from playground.gui.widgets.next_token import readable

ROW = 24
Index = QModelIndex | QPersistentModelIndex
NOWHERE = QModelIndex()
TOKEN, WEIGHT = Qt.ItemDataRole.UserRole, Qt.ItemDataRole.UserRole + 1
Row = tuple[int, str, float, float]
"""place in the text, text, weight, and its shade from -1 to 1"""


def weight_text(weight: float, signed: bool = False) -> str:
    """A weight with as many digits for all, so that they can be compared by eye."""
    if not signed:
        return f"{weight:.4f}" if weight >= 0.00005 or weight == 0 else "< 0.0001"
    return f"{weight:+.4f}".replace("-", "−")


class AttendedModel(QAbstractListModel):
    """Rows as they are shown; `data(TOKEN)` and `data(WEIGHT)` are the place and the exact weight."""

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        self.rows: list[Row] = []
        self.signed = False

    def set_rows(self, rows: list[Row], signed: bool) -> None:
        self.beginResetModel()
        self.rows, self.signed = rows, signed
        self.endResetModel()

    def rowCount(self, parent: Index = NOWHERE) -> int:
        return 0 if parent.isValid() else len(self.rows)

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        place, text, weight, _ = self.rows[index.row()]
        if role == TOKEN:
            return place
        if role == WEIGHT:
            return weight
        if role == Qt.ItemDataRole.DisplayRole:
            return readable(text)
        if role in (Qt.ItemDataRole.ToolTipRole, Qt.ItemDataRole.AccessibleTextRole):
            return (
                f"Token {place:,}, {readable(text)}: {weight:+.6f}"
                if self.signed
                else f"Token {place:,}, {readable(text)}: {weight:.6f}"
            )
        return None


class Attended(QListView):
    """Object name: `inside.attended`."""

    pointed = Signal(object)
    """the token whose row the mouse or the keys are on, or None"""
    picked = Signal(int)
    """a token was asked for: by click or Return"""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("inside.attended")
        self.setAccessibleName("Tokens with the greatest weights")
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.viewport().setAutoFillBackground(False)
        self.setStyleSheet("background: transparent")
        self.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setUniformItemSizes(True)
        self.setMouseTracking(True)
        self.rows = AttendedModel(self)
        self.setModel(self.rows)
        self.setItemDelegate(_Painter(self))
        self.entered.connect(lambda index: self.pointed.emit(index.data(TOKEN)))
        self.clicked.connect(lambda index: self.picked.emit(index.data(TOKEN)))
        self.selectionModel().currentChanged.connect(
            lambda now, _: self.pointed.emit(now.data(TOKEN)) if now.isValid() else None
        )
        theme.notifier().changed.connect(self._repaint)

    def _repaint(self) -> None:
        self.viewport().update()

    def show_rows(self, rows: list[Row], signed: bool) -> None:
        self.rows.set_rows(rows, signed)

    def leaveEvent(self, event: Any) -> None:
        super().leaveEvent(event)
        self.pointed.emit(None)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter, Qt.Key.Key_Space) and self.currentIndex().isValid():
            self.picked.emit(self.currentIndex().data(TOKEN))
        else:
            super().keyPressEvent(event)


class _Painter(QStyledItemDelegate):
    def sizeHint(self, option: QStyleOptionViewItem, index: Index) -> QSize:
        return QSize(200, ROW)

    def paint(self, painter: QPainter, option: Any, index: Index) -> None:
        view = self.parent()
        assert isinstance(view, Attended)
        place, text, weight, level = view.rows.rows[index.row()]
        signed = view.rows.signed
        colors, area = theme.palette(), QRectF(option.rect)
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        if option.state & (QStyle.StateFlag.State_MouseOver | QStyle.StateFlag.State_Selected):
            painter.setBrush(QColor(colors.hover))
            painter.drawRoundedRect(area, 5, 5)
        painter.setFont(theme.font("small"))
        painter.setPen(QColor(colors.muted))
        painter.drawText(
            area.adjusted(0, 0, 36 - area.width(), 0), Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignRight, f"{place:,}"
        )
        painter.setFont(theme.font("mono_small"))
        painter.setPen(QColor(colors.text))
        wide = min(104.0, area.width() * 0.36)
        name = painter.fontMetrics().elidedText(readable(text), Qt.TextElideMode.ElideRight, round(wide))
        painter.drawText(area.adjusted(46, 0, 0, 0), Qt.AlignmentFlag.AlignVCenter, name)
        left = area.left() + 46 + wide + 8
        track = max(8.0, area.right() - left - 68)
        bar = QRectF(left, area.top() + 8, max(1.5, track * abs(level)), 8)
        wash = shade(-1.0 if level < 0 else 1.0, signed)
        wash.setAlphaF(0.8)
        if level < 0:
            painter.setPen(QPen(wash, 1.2))
            painter.setBrush(Qt.BrushStyle.NoBrush)
        else:
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(wash)
        painter.drawRoundedRect(bar, 2, 2)
        painter.setFont(theme.font("small"))
        painter.setPen(QColor(colors.text))
        painter.drawText(
            area.adjusted(0, 0, -8, 0), Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignRight, weight_text(weight, signed)
        )
        painter.restore()
