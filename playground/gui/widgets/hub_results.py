"""Results of a search on the hub: a list of two lines each, painted here, that asks for more when its end comes in sight.

Knows `Found` rows and nothing of how they were found.
"""

from __future__ import annotations

from typing import Any

from PySide6.QtCore import QAbstractListModel, QEvent, QModelIndex, QObject, QPersistentModelIndex, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QColor, QPainter
from PySide6.QtWidgets import QAbstractItemView, QListView, QStyle, QStyledItemDelegate, QStyleOptionViewItem, QWidget

from playground.gui import theme
from playground.gui.widgets.amounts import count

Index = QModelIndex | QPersistentModelIndex
FOUND = Qt.ItemDataRole.UserRole + 1
HIGH = 60


class ResultsModel(QAbstractListModel):
    """`show_results` begins anew, `add` goes on; `more_wanted` when the end is near and there is more."""

    more_wanted = Signal()

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._rows: list[Any] = []
        self.ended = True
        self._waiting = False

    def show_results(self, rows: Any, ended: bool) -> None:
        self.beginResetModel()
        self._rows, self.ended, self._waiting = list(rows), ended, False
        self.endResetModel()

    def add(self, rows: Any, ended: bool) -> None:
        self._waiting, self.ended = False, ended
        known = {row.repo for row in self._rows}
        new = [row for row in rows if row.repo not in known]
        if new:
            self.beginInsertRows(QModelIndex(), len(self._rows), len(self._rows) + len(new) - 1)
            self._rows += new
            self.endInsertRows()

    def row(self, place: int) -> Any:
        return self._rows[place]

    def place_of(self, repo: str) -> int:
        return next((place for place, row in enumerate(self._rows) if row.repo == repo), -1)

    def rowCount(self, parent: Index | None = None) -> int:
        return 0 if parent is not None and parent.isValid() else len(self._rows)

    def canFetchMore(self, parent: Index) -> bool:
        return not self.ended and not self._waiting

    def fetchMore(self, parent: Index) -> None:
        if self.canFetchMore(parent):
            self._waiting = True
            self.more_wanted.emit()

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        row = self._rows[index.row()]
        if role == Qt.ItemDataRole.DisplayRole:
            return row.repo
        if role == FOUND:
            return row
        if role == Qt.ItemDataRole.AccessibleTextRole:
            gated = ", gated" if row.gated else ""
            return f"{row.repo}, {count(row.parameters)} parameters, {row.downloads:,} downloads, {row.licence}{gated}"
        if role == Qt.ItemDataRole.ToolTipRole:
            return f"{row.repo}\n{row.downloads:,} downloads, {row.likes:,} likes, changed {row.modified}"
        return None


class _Delegate(QStyledItemDelegate):
    def sizeHint(self, option: QStyleOptionViewItem, index: Index) -> QSize:
        return QSize(200, HIGH)

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: Index) -> None:
        colors = theme.palette()
        row = index.data(FOUND)
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        box = QRectF(option.rect).adjusted(0, 1, 0, -1)
        selected = bool(option.state & QStyle.StateFlag.State_Selected)
        if selected or option.state & QStyle.StateFlag.State_MouseOver:
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(QColor(colors.accent_soft if selected else colors.hover))
            painter.drawRoundedRect(box, theme.RADIUS, theme.RADIUS)
        inner = box.adjusted(12, 8, -12, -8)
        owner, _, name = row.repo.rpartition("/")
        middle = Qt.AlignmentFlag.AlignVCenter
        first = QRectF(inner.left(), inner.top(), inner.width(), 20)
        second = QRectF(inner.left(), inner.top() + 23, inner.width(), 18)
        strong = theme.font("body")
        strong.setWeight(strong.Weight.DemiBold)
        painter.setFont(strong)
        metrics = painter.fontMetrics()
        shown = metrics.elidedText(name, Qt.TextElideMode.ElideMiddle, int(inner.width() - (20 if row.gated else 0)))
        painter.setPen(QColor(colors.text))
        painter.drawText(first, middle | Qt.AlignmentFlag.AlignLeft, shown)
        if row.gated:
            x = first.left() + metrics.horizontalAdvance(shown) + 6
            theme.icon("lock", "warn", 14).paint(painter, int(x), int(first.center().y() - 7), 14, 14)
        self._second_line(painter, second, row, owner)
        painter.restore()

    def _second_line(self, painter: QPainter, line: QRectF, row: Any, owner: str) -> None:
        """Size, owner and licence; likes and downloads at the right."""
        middle = Qt.AlignmentFlag.AlignVCenter
        painter.setFont(theme.font("small"))
        painter.setPen(QColor(theme.palette().muted))
        metrics = painter.fontMetrics()
        x = line.right()
        for icon, number in (("heart", row.likes), ("download", row.downloads)):
            text = count(number) or "0"
            wide = metrics.horizontalAdvance(text)
            painter.drawText(QRectF(x - wide, line.top(), wide, 18), middle, text)
            theme.icon(icon, "muted", 12).paint(painter, int(x - wide - 16), int(line.center().y() - 6), 12, 12)
            x -= max(wide, 30) + 24
        left = "  ·  ".join(each for each in (count(row.parameters), owner, row.licence) if each)
        room = max(0.0, x - line.left())
        elided = metrics.elidedText(left, Qt.TextElideMode.ElideRight, int(room))
        painter.drawText(QRectF(line.left(), line.top(), room, 18), middle, elided)


class HubResults(QListView):
    """Object name: `models.results`. `chosen(Found)` when one is selected."""

    chosen = Signal(object)

    def __init__(self, model: ResultsModel, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("models.results")
        self.setAccessibleName("Results")
        self.setModel(model)
        self._rows = model
        self.setItemDelegate(_Delegate(self))
        self.setUniformItemSizes(True)
        self.setMouseTracking(True)
        self.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.selectionModel().selectionChanged.connect(self._tell)
        theme.notifier().changed.connect(self.viewport().update)

    def found(self) -> Any:
        """The selected result, None if there is none."""
        places = self.selectionModel().selectedRows()
        return self._rows.row(places[0].row()) if places else None

    def _tell(self, *_: Any) -> None:
        if (found := self.found()) is not None:
            self.chosen.emit(found)

    def event(self, event: QEvent) -> bool:
        if event.type() == QEvent.Type.FontChange:
            self.viewport().update()
        return super().event(event)
