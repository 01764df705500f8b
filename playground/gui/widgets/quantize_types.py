"""The types a model could be quantized to, as a table: size, bits, whether it fits, and what to expect of it.

A newcomer sees the few that are usually right; `show_all` brings the rest. Knows `TypeRow`s and no workshop.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from PySide6.QtCore import QModelIndex, QObject, QPersistentModelIndex, QRect, QRectF, Qt, Signal
from PySide6.QtGui import QColor, QFont, QKeyEvent, QPainter, QResizeEvent
from PySide6.QtWidgets import QAbstractItemView, QHeaderView, QStyledItemDelegate, QStyleOptionViewItem, QTableView, QWidget

from playground.gui import theme
from playground.gui.widgets import fit_chip
from playground.gui.widgets.amounts import size
from playground.gui.widgets.table_columns import ColumnsModel, side
from playground.gui.widgets.table_head import plain_table

if TYPE_CHECKING:
    from playground.session.workshop_jobs import TypeRow

Index = QModelIndex | QPersistentModelIndex
FIRST = ("Q8_0", "Q6_K", "Q5_K_M", "Q4_K_M", "IQ4_XS", "Q3_K_M")
"""what is shown of a GGUF file before all types are asked for, with the recommended one"""
FIRST_OF_FOLDER = "NF4"
"""and of a folder, beside the plain conversion: the type for transformers and QLoRA"""


class _Head(NamedTuple):
    title: str
    help: str
    number: bool


HEADS = (
    _Head("Type", "The number format: the digit says about how many bits a weight takes", False),
    _Head("Size", "Of the file that will be made", True),
    _Head("Bits", "Bits a weight, scales and unquantized tensors included", True),
    _Head("Fit", "Whether it fits this machine's free memory", False),
    _Head(
        "Perplexity",
        "How much more a text surprises it than the original, as measured elsewhere on a model of 8 billion weights",
        True,
    ),
    _Head("What to expect", "In words; the quality report measures it for this model", False),
)
TYPE, SIZE, BITS, FIT, LOSS, QUALITY = range(len(HEADS))
WRITTEN = {"nf4": "NF4"}
_WIDTHS = (136, 92, 68, 112, 108, 200)
_NEEDED = ((LOSS, 780), (BITS, 480))


class TypesModel(ColumnsModel):
    """`show_rows` sets all types; `show_all` says whether all are shown."""

    columns = HEADS

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._all: tuple[TypeRow, ...] = ()
        self._shown: list[TypeRow] = []
        self._everything = False
        self._first = frozenset(FIRST)

    def show_rows(self, rows: Sequence[TypeRow], folder: str = "") -> None:
        """The types of a plan, the largest first. `folder`: the number format of a model folder, empty for a file."""
        self.beginResetModel()
        self._all = tuple(sorted(rows, key=lambda row: -row.size))
        plain = "BF16" if folder == "BF16" else "F16"
        self._first = frozenset((*FIRST, FIRST_OF_FOLDER, plain) if folder else FIRST)
        self._choose()
        self.endResetModel()

    def show_all(self, everything: bool) -> None:
        self.beginResetModel()
        self._everything = everything
        self._choose()
        self.endResetModel()

    def _choose(self) -> None:
        few = [row for row in self._all if row.name.upper() in self._first or row.recommended]
        self._shown = list(self._all) if self._everything or not few else few

    @property
    def total(self) -> int:
        return len(self._all)

    @property
    def everything(self) -> bool:
        """Whether all there are are shown."""
        return len(self._shown) == len(self._all)

    def row(self, place: int) -> TypeRow:
        return self._shown[place]

    def rows(self) -> list[TypeRow]:
        """Those that are shown."""
        return list(self._shown)

    def place_of(self, name: str) -> int:
        return next((place for place, row in enumerate(self._shown) if row.name == name), -1)

    def recommended(self) -> TypeRow | None:
        return next((row for row in self._all if row.recommended), None)

    def text(self, row: TypeRow, column: int) -> str:
        """What a cell says."""
        if column == TYPE:
            return WRITTEN.get(row.name, row.name)
        if column == SIZE:
            return size(row.size) if row.exact else f"≈ {size(row.size)}"
        if column == BITS:
            return f"{row.bits_per_weight:.2f}" if row.bits_per_weight else ""
        if column == FIT:
            return fit_chip.WORDS.get(row.verdict, row.verdict)
        if column == LOSS:
            return "" if row.loss < 0 else f"+{row.loss:.2g} %" if row.loss else "none"
        return row.quality

    # -- Qt

    def rowCount(self, parent: Index | None = None) -> int:
        return 0 if parent is not None and parent.isValid() else len(self._shown)

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        row, column = self._shown[index.row()], index.column()
        if role == Qt.ItemDataRole.DisplayRole:
            return self.text(row, column)
        if role == Qt.ItemDataRole.AccessibleTextRole:
            return f"{row.name}, recommended" if column == TYPE and row.recommended else self.text(row, column)
        if role == Qt.ItemDataRole.ToolTipRole:
            if column == FIT:
                return row.why or None
            loss = f"Perplexity {self.text(row, LOSS)} on a model of 8 billion weights." if row.loss >= 0 else ""
            return "\n".join(each for each in (f"{row.quality}.", loss, *row.notes) if each)
        if role == Qt.ItemDataRole.TextAlignmentRole:
            return side(HEADS[column].number)
        return None


class _Cells(QStyledItemDelegate):
    def __init__(self, table: TypesTable, model: TypesModel) -> None:
        super().__init__(table)
        self._table, self._model = table, model

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: QModelIndex | QPersistentModelIndex) -> None:
        colors = theme.palette()
        row, column, rect = self._model.row(index.row()), index.column(), option.rect
        chosen = index.row() in self._table.places()
        if chosen:
            painter.fillRect(rect, QColor(colors.accent_soft))
        if column == FIT:
            if row.verdict:
                fit_chip.paint(painter, QRectF(rect).adjusted(8, 0, -4, 0), row.verdict)
            return
        rect.adjust(11, 0, -10, 0)
        painter.save()
        if column == TYPE:
            if row.recommended:
                theme.icon("star", "accent", 14).paint(painter, QRect(rect.left(), rect.center().y() - 6, 14, 14))
            rect.adjust(22, 0, 0, 0)
            if row.recommended:
                font = QFont(painter.font())
                font.setWeight(QFont.Weight.DemiBold)
                painter.setFont(font)
        painter.setPen(QColor(colors.text if column in (TYPE, SIZE) or chosen else colors.muted))
        text = self._model.text(row, column)
        if column == QUALITY:
            text = painter.fontMetrics().elidedText(text, Qt.TextElideMode.ElideRight, rect.width())
        painter.drawText(rect, side(HEADS[column].number).value, text)
        painter.restore()


class TypesTable(QTableView):
    """`chosen(names)` tells of another selection, `opened` of a double click or Return. Object name: `quantize.types`."""

    chosen = Signal(object)
    opened = Signal()

    def __init__(self, model: TypesModel, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("quantize.types")
        self.setAccessibleName("Types")
        self.setModel(model)
        self.rows = model
        self.setItemDelegate(_Cells(self, model))
        head = plain_table(self)
        self.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        head.setSectionsClickable(False)
        for place, wide in enumerate(_WIDTHS):
            head.setSectionResizeMode(place, QHeaderView.ResizeMode.Fixed)
            self.setColumnWidth(place, wide)
        head.setSectionResizeMode(QUALITY, QHeaderView.ResizeMode.Stretch)
        self.selectionModel().selectionChanged.connect(self._selected)
        self.doubleClicked.connect(lambda _index: self.opened.emit())

    def places(self) -> set[int]:
        """The rows that are selected."""
        return {index.row() for index in self.selectionModel().selectedRows()}

    def names(self) -> tuple[str, ...]:
        """The selected types, in the order of the table."""
        return tuple(self.rows.row(place).name for place in sorted(self.places()))

    def choose(self, name: str) -> None:
        """Selects a type alone."""
        place = self.rows.place_of(name)
        if place >= 0:
            self.selectRow(place)
            self.scrollTo(self.rows.index(place, TYPE))

    def _selected(self, *_: object) -> None:
        self.viewport().update()
        self.chosen.emit(self.names())

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            self.opened.emit()
        else:
            super().keyPressEvent(event)

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        for place, needed in _NEEDED:
            self.setColumnHidden(place, self.viewport().width() < needed)
