"""What many prompts were replied to: a grid of any length, read from the database where one looks. Knows sessions' answers, no page.

Rows are read in blocks when they come into sight, and blocks that were not looked at for long are forgotten, so that ten thousand prompts
take no longer to open than ten.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any

from PySide6.QtCore import QAbstractTableModel, QModelIndex, QObject, QPersistentModelIndex, Qt, QTimer, Signal
from PySide6.QtGui import QColor, QPainter
from PySide6.QtWidgets import QAbstractItemView, QStyledItemDelegate, QStyleOptionViewItem, QTableView, QWidget

from playground.gui import theme
from playground.gui.widgets.table_columns import side
from playground.gui.widgets.table_head import plain_table
from playground.history.records import Column, PromptRow, ResultRow

Index = QModelIndex | QPersistentModelIndex
Row = tuple[PromptRow, dict[str, ResultRow]]
BLOCK = 64
KEPT = 48
"""blocks in memory"""
LINE = 160
"""characters of a cell that are shown in one line"""


class SetModel(QAbstractTableModel):
    """Number, prompt, and a reply for each column. `read(indices, answer)` is asked for rows, and calls `answer` with them later."""

    def __init__(
        self, read: Callable[[Sequence[int], Callable[[list[Row]], None]], None], parent: QObject | None = None
    ) -> None:
        super().__init__(parent)
        self._read = read
        self._columns: tuple[Column, ...] = ()
        self._indices: Sequence[int] = ()
        self._blocks: OrderedDict[int, list[Row] | None] = OrderedDict()
        """by number; None while it is being read"""
        self._early: list[ResultRow] = []
        """replies to prompts whose rows are being read: what is read may not have them yet"""
        self._turn = 0

    # -- what it is told

    def show_set(self, columns: Sequence[Column], indices: Sequence[int]) -> None:
        """Another set, or another choice of its prompts."""
        self.beginResetModel()
        self._turn += 1
        self._columns, self._indices = tuple(columns), indices
        self._blocks.clear()
        self._early.clear()
        self.endResetModel()

    def put(self, result: ResultRow) -> None:
        """A cell has been replied to: shown if its row is in memory."""
        place = self._place_of(result.index)
        block = self._blocks.get(place // BLOCK) if place >= 0 else None
        if block is None and place // BLOCK in self._blocks:
            self._early.append(result)
        if not block or place % BLOCK >= len(block):
            return
        block[place % BLOCK][1][result.column_id] = result
        for number, column in enumerate(self._columns):
            if column.id == result.column_id:
                index = self.index(place, 2 + number)
                self.dataChanged.emit(index, index)

    def row(self, place: int) -> Row | None:
        """A row if it has been read."""
        block = self._blocks.get(place // BLOCK)
        return block[place % BLOCK] if block and place % BLOCK < len(block) else None

    def column_at(self, section: int) -> Column | None:
        return self._columns[section - 2] if section >= 2 else None

    def _place_of(self, index: int) -> int:
        if isinstance(self._indices, range):
            return index if index in self._indices else -1
        place = bisect_left(self._indices, index)
        return place if place < len(self._indices) and self._indices[place] == index else -1

    # -- reading

    def _want(self, number: int) -> None:
        self._blocks[number] = None
        turn = self._turn
        wanted = list(self._indices[number * BLOCK : (number + 1) * BLOCK])
        self._read(wanted, lambda rows: self._take(turn, number, rows))

    def _take(self, turn: int, number: int, rows: list[Row]) -> None:
        if turn != self._turn:
            return  # another set is shown by now
        self._blocks[number] = rows
        while len(self._blocks) > KEPT:
            self._blocks.popitem(last=False)
        first = number * BLOCK
        self.dataChanged.emit(self.index(first, 0), self.index(first + max(0, len(rows) - 1), self.columnCount() - 1))
        early, self._early = self._early, []
        for each in early:
            self.put(each)

    # -- Qt

    def rowCount(self, parent: Index | None = None) -> int:
        return 0 if parent is not None and parent.isValid() else len(self._indices)

    def columnCount(self, parent: Index | None = None) -> int:
        return 2 + len(self._columns) if self._columns else 0

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        if orientation != Qt.Orientation.Horizontal:
            return None
        if role == Qt.ItemDataRole.DisplayRole:
            return (
                "#"
                if section == 0
                else "Prompt"
                if section == 1
                else self._columns[section - 2].label or f"Column {section - 1}"
            )
        if role == Qt.ItemDataRole.TextAlignmentRole:
            return side(section == 0)
        return None

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        if role not in (Qt.ItemDataRole.DisplayRole, Qt.ItemDataRole.ToolTipRole, Qt.ItemDataRole.AccessibleTextRole):
            return None
        number = index.row() // BLOCK
        if number not in self._blocks:
            self._want(number)
        row = self.row(index.row())
        if index.column() == 0:
            return f"{self._indices[index.row()] + 1:,}"
        if row is None:
            return ""
        prompt, results = row
        if index.column() == 1:
            text = prompt.prompt
        else:
            result = results.get(self._columns[index.column() - 2].id)
            text = "" if result is None else result.error or result.text
        return text[:2000] if role == Qt.ItemDataRole.ToolTipRole else " ".join(text[: 2 * LINE].split())[:LINE]

    def result(self, index: Index) -> ResultRow | None:
        row = self.row(index.row())
        return row[1].get(self._columns[index.column() - 2].id) if row is not None and index.column() >= 2 else None


class _Cells(QStyledItemDelegate):
    """A reply that is still to come is a dot, one that failed is told by its colour and a word."""

    def __init__(self, table: SetGrid) -> None:
        super().__init__(table)
        self._table = table

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: Index) -> None:
        colors = theme.palette()
        table = self._table
        rect = option.rect
        here = index.row() == table.currentIndex().row()
        if here:
            painter.fillRect(
                rect, QColor(colors.accent_soft if index.column() == table.currentIndex().column() else colors.hover)
            )
        text = index.data()
        ink = colors.text if index.column() else colors.muted
        if index.column() >= 2:
            result = table.rows.result(index)
            if result is None:
                text, ink = "·", colors.faint
            elif result.state == "failed":
                text, ink = f"failed: {result.error}", colors.bad
            elif not text:
                text, ink = "(empty)", colors.muted
        inner = rect.adjusted(12, 0, -8, 0)
        painter.setPen(QColor(ink))
        shown = option.fontMetrics.elidedText(text or "", Qt.TextElideMode.ElideRight, inner.width())
        painter.drawText(inner, side(index.column() == 0).value, shown)


class SetGrid(QTableView):
    """`opened(row, section)` when another cell is chosen. Object name: `compare.sets.grid`."""

    opened = Signal(int, int)

    def __init__(self, model: SetModel, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("compare.sets.grid")
        self.setAccessibleName("Prompts and replies")
        self.setToolTip("")
        self.rows = model
        self.setModel(model)
        self.setItemDelegate(_Cells(self))
        head = plain_table(self, 32)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectItems)  # a reply, not its whole row
        self.setHorizontalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        head.setSectionsClickable(False)
        head.setMinimumSectionSize(56)
        model.modelReset.connect(lambda: QTimer.singleShot(0, self, self.share_width))

    def share_width(self) -> None:
        """The prompt and the replies share what there is, none below what can be read."""
        count = self.rows.columnCount() - 2
        if count < 1:
            return
        self.setColumnWidth(0, 64)
        each = max(200, (self.viewport().width() - 64) // (count + 1))
        for section in range(1, count + 2):
            self.setColumnWidth(section, each)

    def currentChanged(self, current: QModelIndex, previous: QModelIndex) -> None:
        super().currentChanged(current, previous)
        self.viewport().update()
        if current.isValid():
            self.opened.emit(current.row(), current.column())

    def resizeEvent(self, event: Any) -> None:
        super().resizeEvent(event)
        self.share_width()
