"""Heads and their pattern scores as a table that sorts by any column and keeps what a filter keeps. Knows rows (`inside.finding`), no capture.

A score is a number over a wash that grows with it, as in the text; where the text cannot tell there is a dash, and such heads sort last.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from PySide6.QtCore import QAbstractTableModel, QModelIndex, QObject, QPersistentModelIndex, QRect, QRectF, Qt, Signal
from PySide6.QtGui import QColor, QFont, QPainter, QPixmap
from PySide6.QtWidgets import QHeaderView, QStyle, QStyledItemDelegate, QStyleOptionViewItem, QTableView, QWidget

from playground.gui import theme
from playground.gui.widgets.inside_flow import shade
from playground.gui.widgets.table_head import plain_table
from playground.inside.finding import HeadRow, Keeps

Index = QModelIndex | QPersistentModelIndex
NOWHERE = QModelIndex()


@dataclass(frozen=True)
class Column:
    """A score by its name in the file; the first column, without one, is the head's own name."""

    score: str
    title: str
    short: str
    """over the column, which is narrow in a small window"""
    help: str


COLUMNS = (
    Column("", "Head", "Head", "Layer and head, as the model counts them, from 0"),
    Column("previous", "Previous token", "Previous", "Weight on the token just before"),
    Column("sink", "First-token sink", "Sink", "Weight on the first token"),
    Column("induction", "Induction", "Induction", "Weight on what followed earlier occurrences of the same token"),
    Column("duplicate", "Duplicate token", "Duplicate", "Weight on earlier occurrences of the same token"),
    Column("local", "Local", "Local", "Weight on the nearest eight tokens"),
    Column("uniform", "Uniform", "Uniform", "How evenly the weight is spread: entropy, 1 is all tokens alike"),
)
HEAD, HEAD_WIDE = 0, 64
INDUCTION = 3
_DRAWN = 500
"""pictures of numbers that are kept, of some 17 kB each"""


def score_text(value: float, signed: bool = False) -> str:
    """Two digits for all; a dash where the text cannot tell."""
    if math.isnan(value):
        return "–"
    if abs(value) < 0.005:
        return "0.00"
    return (f"{value:+.2f}" if signed else f"{value:.2f}").replace("-", "−")


class HeadModel(QAbstractTableModel):
    """`show_rows` sets the heads, `keep` which of them are seen."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._all: list[HeadRow] = []
        self._rows: list[HeadRow] = []
        self._keeps: Keeps = lambda row: True
        self.signed = False
        self._column, self._order = HEAD, Qt.SortOrder.AscendingOrder

    def show_rows(self, rows: Sequence[HeadRow], signed: bool = False) -> None:
        self.beginResetModel()
        self._all, self.signed = list(rows), signed
        self._arrange()
        self.endResetModel()

    def keep(self, keeps: Keeps) -> None:
        self.beginResetModel()
        self._keeps = keeps
        self._arrange()
        self.endResetModel()

    def rows(self) -> list[HeadRow]:
        """Those that are seen, as they are sorted."""
        return list(self._rows)

    def row_at(self, place: int) -> HeadRow:
        return self._rows[place]

    @property
    def total(self) -> int:
        return len(self._all)

    def place_of(self, layer: int, head: int) -> int:
        return next((place for place, row in enumerate(self._rows) if (row.layer, row.head) == (layer, head)), -1)

    def _arrange(self) -> None:
        rows = sorted((row for row in self._all if self._keeps(row)), key=lambda row: (row.layer, row.head))
        falling = self._order == Qt.SortOrder.DescendingOrder
        score = COLUMNS[self._column].score
        if score:
            told = [row for row in rows if not math.isnan(row.scores.get(score, math.nan))]
            told.sort(key=lambda row: -row.scores[score] if falling else row.scores[score])
            rows = told + [row for row in rows if math.isnan(row.scores.get(score, math.nan))]
        elif falling:
            rows.reverse()
        self._rows = rows

    # -- Qt

    def sort(self, column: int, order: Qt.SortOrder = Qt.SortOrder.AscendingOrder) -> None:
        self.layoutAboutToBeChanged.emit()
        before = self.persistentIndexList()
        kept = [self._rows[index.row()] for index in before]
        self._column, self._order = column, order
        self._arrange()
        after = [
            self.index(self.place_of(row.layer, row.head), index.column()) for row, index in zip(kept, before, strict=True)
        ]
        self.changePersistentIndexList(before, after)
        self.layoutChanged.emit()

    def rowCount(self, parent: Index = NOWHERE) -> int:
        return 0 if parent.isValid() else len(self._rows)

    def columnCount(self, parent: Index = NOWHERE) -> int:
        return len(COLUMNS)

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        if orientation != Qt.Orientation.Horizontal:
            return None
        if role == Qt.ItemDataRole.DisplayRole:
            return COLUMNS[section].short
        if role == Qt.ItemDataRole.ToolTipRole:
            return f"{COLUMNS[section].title}: {COLUMNS[section].help}"
        if role == Qt.ItemDataRole.TextAlignmentRole:
            return _side(section)
        return None

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        row, column = self._rows[index.row()], COLUMNS[index.column()]
        value = row.scores.get(column.score, math.nan)
        if role == Qt.ItemDataRole.DisplayRole:
            return score_text(value, self.signed) if column.score else row.name
        if role == Qt.ItemDataRole.UserRole:
            return value if column.score else row
        if role == Qt.ItemDataRole.TextAlignmentRole:
            return _side(index.column())
        if role == Qt.ItemDataRole.ToolTipRole:
            if not column.score:
                return f"Layer {row.layer}, head {row.head}"
            if math.isnan(value):
                return "This text cannot tell: no row of it has a say, as where no token comes twice"
            return f"{column.title}: {value:.5f}. {column.help}"
        return None


def _side(column: int) -> Qt.AlignmentFlag:
    return (Qt.AlignmentFlag.AlignRight if column else Qt.AlignmentFlag.AlignLeft) | Qt.AlignmentFlag.AlignVCenter


_SIDES = (_side(0).value, _side(1).value)


class _Cells(QStyledItemDelegate):
    """A table that goes to another head is painted whole, some two hundred cells at once: each number is drawn once and then copied."""

    def __init__(self, rows: HeadModel, parent: QWidget) -> None:
        super().__init__(parent)
        self._rows = rows
        self._drawn: dict[tuple[str, bool, bool, int, int, float], QPixmap] = {}
        """numbers as they look: what is said, whether signed and in a chosen row, size, pixels a point"""
        theme.notifier().changed.connect(self._drawn.clear)

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: Index) -> None:
        rect, chosen = option.rect, bool(option.state & QStyle.StateFlag.State_Selected)
        row, score = self._rows.row_at(index.row()), COLUMNS[index.column()].score
        colors = theme.palette()
        if not score:
            if chosen:
                painter.fillRect(rect, QColor(colors.accent_soft))
            painter.setPen(QColor(colors.text))
            painter.drawText(rect.adjusted(11, 0, -10, 0), _SIDES[False], row.name)
            return
        value, signed, scale = row.scores.get(score, math.nan), self._rows.signed, painter.device().devicePixelRatioF()
        said = score_text(value, signed)
        key = said, signed, chosen, rect.width(), rect.height(), scale
        if key not in self._drawn:
            if len(self._drawn) >= _DRAWN:
                self._drawn.clear()
            self._drawn[key] = self._draw(said, value, chosen, scale, rect, painter.font())
        painter.drawPixmap(rect.topLeft(), self._drawn[key])

    def _draw(self, said: str, value: float, chosen: bool, scale: float, rect: QRect, font: QFont) -> QPixmap:
        """A number, `said` with two digits, over its wash."""
        colors = theme.palette()
        picture = QPixmap(rect.size() * scale)
        picture.setDevicePixelRatio(scale)
        picture.fill(QColor(colors.accent_soft if chosen else colors.surface))
        painter, box = QPainter(picture), QRectF(0, 0, rect.width(), rect.height())
        painter.setFont(font)
        told = not math.isnan(value)
        if told and not chosen:
            painter.fillRect(box.adjusted(2, 2, -2, -2), shade(value, self._rows.signed))
        if told:
            # The number's bar, so that the hue is not alone.
            wide = (box.width() - 22) * min(1.0, abs(value))
            ink = QColor(colors.text)
            ink.setAlphaF(0.6)
            painter.fillRect(QRectF(box.right() - 11 - wide, box.bottom() - 5, wide, 2), ink)
        painter.setPen(QColor(colors.text if told else colors.muted))
        painter.drawText(box.adjusted(11, 0, -10, 0), _SIDES[True], said)
        painter.end()
        return picture


class HeadTable(QTableView):
    """`picked(layer, head)` tells of a selection by hand. Object name: `inside.finder`."""

    picked = Signal(int, int)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("inside.finder")
        self.setAccessibleName("Heads by what they do")
        self.rows = HeadModel(self)
        self.setModel(self.rows)
        self.setItemDelegate(_Cells(self.rows, self))
        head = plain_table(self, 28)
        head.setMinimumSectionSize(56)
        head.setSectionResizeMode(QHeaderView.ResizeMode.Stretch)
        head.setSectionResizeMode(HEAD, QHeaderView.ResizeMode.Fixed)
        head.resizeSection(HEAD, HEAD_WIDE)
        self.setSortingEnabled(True)
        self.sortByColumn(HEAD, Qt.SortOrder.AscendingOrder)
        self.selectionModel().selectionChanged.connect(self._selected)
        self._quiet = False
        theme.notifier().changed.connect(self._repaint)

    def _repaint(self) -> None:
        self.viewport().update()

    def place(self) -> int:
        """The selected row, -1 for none."""
        found = self.selectionModel().selectedRows()
        return found[0].row() if found else -1

    def choose(self, layer: int, head: int) -> None:
        """Selects a head, telling nobody; none where it is not seen."""
        place = self.rows.place_of(layer, head)
        if place == self.place():
            return
        self._quiet = True
        self.setAutoScroll(False)  # a table that nobody sees yet would scroll there when it is shown, whatever was said since
        try:
            if place < 0:
                self.clearSelection()
            else:
                self.selectRow(place)
                self.scrollTo(self.rows.index(place, HEAD))
        finally:
            self.setAutoScroll(True)
            self._quiet = False

    def _selected(self, *_: object) -> None:
        place = self.place()
        if place >= 0 and not self._quiet:
            row = self.rows.rows()[place]
            self.picked.emit(row.layer, row.head)
