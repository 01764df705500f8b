"""The table of models on this computer, and what it says when there are none. Knows its model and no shelf.

`rows_seen(rows)` tells which rows are in sight, when it has settled, so that verdicts are asked for those only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QEvent, QModelIndex, QPersistentModelIndex, QRectF, Qt, QTimer, Signal
from PySide6.QtGui import QColor, QKeyEvent, QMouseEvent, QPainter, QResizeEvent
from PySide6.QtWidgets import (
    QHeaderView,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QTableView,
    QWidget,
)

from playground.gui import theme
from playground.gui.widgets import fit_chip
from playground.gui.widgets.library_model import (
    ARCHITECTURE,
    COLUMNS,
    CONTEXT,
    FIT,
    FORMAT,
    KINDS,
    NAME,
    PARAMETERS,
    PLACE,
    ROW,
    STRONG,
    LibraryModel,
)
from playground.gui.widgets.table_head import plain_table

if TYPE_CHECKING:
    from playground.models.library import Row

_NEEDED = ((PLACE, 860), (ARCHITECTURE, 800), (CONTEXT, 680), (PARAMETERS, 600), (FORMAT, 500))
"""a column, and the width of the table that it is shown from: what goes first is what the details say as well"""


class _CellDelegate(QStyledItemDelegate):
    """Paints a cell by hand: through the style sheet a table in sight takes fifty milliseconds to paint, so it takes three."""

    def __init__(self, table: LibraryTable, model: LibraryModel) -> None:
        super().__init__(table)
        self._table, self._model = table, model
        self._dark: bool | None = None
        self._inks: tuple[QColor, ...] = ()

    def _colors(self) -> tuple[QColor, ...]:
        """Text, muted, selected, hovered: made once for a theme, since a paint asks for them two hundred times."""
        colors = theme.palette()
        if self._dark is not colors.dark:
            self._dark = colors.dark
            self._inks = tuple(QColor(each) for each in (colors.text, colors.muted, colors.accent_soft, colors.hover))
        return self._inks

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: QModelIndex | QPersistentModelIndex) -> None:
        text_ink, muted, selected, hovered = self._colors()
        rect, column, place = option.rect, index.column(), index.row()
        chosen = place == self._table.place
        if chosen:
            painter.fillRect(rect, selected)
        elif place == self._table.hovered:
            painter.fillRect(rect, hovered)
        if column == FIT:
            row = self._model.row(place)
            if row.problem or row.kind not in KINDS:  # an adapter fits if its model does
                fit_chip.paint(painter, QRectF(rect).adjusted(8, 0, -4, 0), self._model.word(row))
            return
        rect.adjust(11, 0, -10, 0)
        text = self._model.texts(place)[column]
        if column == NAME:
            text = option.fontMetrics.elidedText(text, Qt.TextElideMode.ElideMiddle, rect.width())
        painter.setPen(text_ink if chosen or column in STRONG else muted)
        painter.drawText(rect, _RIGHT if COLUMNS[column].number else _LEFT, text)


_LEFT = int(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)
_RIGHT = int(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)


class LibraryTable(QTableView):
    """Object name: `models.list`."""

    chosen = Signal(object)
    """a row is selected (None: none is)"""
    opened = Signal(object)
    """a row was opened by a double click or Return"""
    rows_seen = Signal(object)

    def __init__(self, model: LibraryModel, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("models.list")
        self.setAccessibleName("Models on this computer")
        self.setModel(model)
        self._rows = model
        self.hovered = self.place = -1
        """rows under the mouse, and selected; -1 for none"""
        self.setItemDelegate(_CellDelegate(self, model))
        self.setMouseTracking(True)
        self.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        head = plain_table(self)
        head.setMinimumSectionSize(56)
        for place, column in enumerate(COLUMNS):
            head.setSectionResizeMode(place, QHeaderView.ResizeMode.Interactive)
            self.setColumnWidth(place, column.width)
        head.setSectionResizeMode(NAME, QHeaderView.ResizeMode.Stretch)
        self.setSortingEnabled(True)
        self.sortByColumn(NAME, Qt.SortOrder.AscendingOrder)
        self._settle = QTimer(self)
        self._settle.setSingleShot(True)
        self._settle.setInterval(120)
        self._settle.timeout.connect(self._tell_seen)
        self.verticalScrollBar().valueChanged.connect(lambda _value: self._settle.start())
        for signal in (model.rowsInserted, model.rowsRemoved, model.modelReset, model.layoutChanged):
            signal.connect(lambda *_: self._settle.start())
        self.selectionModel().selectionChanged.connect(self._selected)
        model.layoutChanged.connect(self._place_again)
        model.rowsRemoved.connect(self._place_again)
        model.modelReset.connect(self._place_again)
        self.doubleClicked.connect(lambda index: self.opened.emit(index.data(ROW)))

    def row(self) -> Row | None:
        """The selected row."""
        found = self.selectionModel().selectedRows()
        return self._rows.row(found[0].row()) if found else None

    def select(self, path: str) -> bool:
        """Selects a row and brings it in sight; whether it is there."""
        place = self._rows.place_of(path)
        if place < 0:
            return False
        self.selectRow(place)
        self.scrollTo(self._rows.index(place, NAME))
        return True

    def seen(self) -> list[Row]:
        """The rows in sight."""
        first = self.rowAt(0)
        last = self.rowAt(self.viewport().height() - 1)
        if first < 0:
            return []
        return [self._rows.row(place) for place in range(first, (last if last >= 0 else self._rows.rowCount() - 1) + 1)]

    def _place_again(self, *_: object) -> None:
        found = self.selectionModel().selectedRows()
        self.place = found[0].row() if found else -1

    def _selected(self, *_: object) -> None:
        self._place_again()
        self.chosen.emit(self.row())

    def _tell_seen(self) -> None:
        if self.isVisible():
            self.rows_seen.emit(self.seen())

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        super().mouseMoveEvent(event)
        self._hover(self.rowAt(event.position().toPoint().y()))

    def leaveEvent(self, event: QEvent) -> None:
        super().leaveEvent(event)
        self._hover(-1)

    def _hover(self, place: int) -> None:
        if place != self.hovered:
            self.hovered = place
            self.viewport().update()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter) and self.row() is not None:
            self.opened.emit(self.row())
        else:
            super().keyPressEvent(event)

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        for place, needed in _NEEDED:
            self.setColumnHidden(place, self.viewport().width() < needed)
        self._settle.start()
