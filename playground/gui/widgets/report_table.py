"""What each quantization costs and what it loses, as a table that sorts by any column. Knows measured rows and no report.

Numbers stand under numbers, with as many digits as were measured; a mark before the name says what lies on the Pareto front, the same as in
the picture.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from PySide6.QtCore import QModelIndex, QObject, QPersistentModelIndex, QPointF, QRectF, Qt, Signal
from PySide6.QtGui import QColor, QPainter, QPen
from PySide6.QtWidgets import QHeaderView, QStyledItemDelegate, QStyleOptionViewItem, QTableView, QWidget

from playground.gui import theme
from playground.gui.widgets.amounts import amount, size
from playground.gui.widgets.table_columns import Column, ColumnsModel, side
from playground.gui.widgets.table_head import plain_table
from playground.protocol import QualityRow

Index = QModelIndex | QPersistentModelIndex


_figure = partial(Column[QualityRow], number=True)

COLUMNS: tuple[Column[QualityRow], ...] = (
    Column(
        "Model",
        "Its file or folder; a full disc: nothing here is both smaller and nearer to the original",
        lambda r: shown_name(r),
        lambda r: shown_name(r).lower(),
        200,
        False,
    ),
    Column("Type", "The number format of its weights", lambda r: r.quantization, lambda r: r.quantization.lower(), 92, False),
    _figure("Size", "On disk", lambda r: size(r.size), lambda r: r.size, 88),
    _figure(
        "Bits",
        "Bits a weight, scales and unquantized tensors included",
        lambda r: f"{r.bits_per_weight:.2f}" if r.bits_per_weight else "",
        lambda r: r.bits_per_weight,
        68,
    ),
    _figure(
        "Perplexity",
        "How surprised it is by the text, and the standard error: 1 would be a model that knows every next token",
        lambda r: _pair(r.perplexity, r.perplexity_error),
        lambda r: r.perplexity,
        132,
    ),
    _figure(
        "KL divergence",
        "How far its next-token distribution is from the original's, in nats, mean over the text: the loss to go by",
        lambda r: _nats(r.kl_divergence),
        lambda r: r.kl_divergence,
        124,
    ),
    _figure(
        "Worst 1 %",
        "The KL divergence that one position in a hundred exceeds, in nats",
        lambda r: _nats(r.kl_p99),
        lambda r: r.kl_p99,
        96,
    ),
    _figure(
        "Same top-1",
        "How often both find the same token likeliest",
        lambda r: f"{r.top1_agreement * 100:.1f} %",
        lambda r: r.top1_agreement,
        108,
    ),
    _figure(
        "Writing",
        "Tokens a second while writing, on this machine",
        lambda r: _rate(r.decode_tokens_per_s),
        lambda r: r.decode_tokens_per_s,
        96,
    ),
    _figure(
        "Reading",
        "Tokens a second while reading a prompt, on this machine",
        lambda r: _rate(r.prompt_tokens_per_s),
        lambda r: r.prompt_tokens_per_s,
        96,
    ),
    _figure("Memory", "Main memory that it took", lambda r: amount(r.resident) if r.resident else "", lambda r: r.resident, 96),
)
MODEL, TYPE, SIZE, BITS, PERPLEXITY, KL, WORST, TOP1, DECODE, PROMPT, MEMORY = range(len(COLUMNS))
_NEEDED = ((WORST, 1160), (PROMPT, 1060), (MEMORY, 960), (BITS, 860), (DECODE, 760))
"""a column, and the width of the table that it is shown from"""


def shown_name(row: QualityRow) -> str:
    """What a model is called here: its file's name, since all versions have the same name inside; a folder's own."""
    path = Path(row.path)
    return path.stem if path.suffix.lower() == ".gguf" else row.name or path.name


def _nats(value: float) -> str:
    """With as many digits for all, so that they can be compared by eye."""
    return "0" if value == 0 else "< 0.00001" if abs(value) < 0.000005 else f"{value:.5f}"


def _pair(value: float, error: float) -> str:
    digits = 1 if value >= 100 else 2 if value >= 10 else 3
    return f"{value:.{digits}f} ± {error:.{digits}f}" if error else f"{value:.{digits}f}"


def _rate(value: float) -> str:
    return "" if value <= 0 else f"{value:.0f} tok/s" if value >= 10 else f"{value:.1f} tok/s"


class ReportModel(ColumnsModel):
    """`show_rows` sets the rows; the first is the original's."""

    columns = COLUMNS

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._rows: list[QualityRow] = []
        self._front: frozenset[str] = frozenset()
        self._original = ""
        self._column, self._order = SIZE, Qt.SortOrder.DescendingOrder

    def show_rows(self, rows: Sequence[QualityRow], front: frozenset[str], original: str) -> None:
        """Rows of a report; `front` are the paths on the Pareto front, `original` is the path that all are compared with."""
        self.beginResetModel()
        self._rows, self._front, self._original = list(rows), front, original
        self._arrange()
        self.endResetModel()

    def rows(self) -> list[QualityRow]:
        """As they are sorted."""
        return list(self._rows)

    def row(self, place: int) -> QualityRow:
        return self._rows[place]

    def place_of(self, path: str) -> int:
        return next((place for place, row in enumerate(self._rows) if row.path == path), -1)

    def mark_of(self, place: int) -> str:
        """`original`, `front` or nothing."""
        path = self._rows[place].path
        return "original" if path == self._original else "front" if path in self._front else ""

    def _arrange(self) -> None:
        self._rows.sort(key=COLUMNS[self._column].sort, reverse=self._order == Qt.SortOrder.DescendingOrder)

    # -- Qt

    def sort(self, column: int, order: Qt.SortOrder = Qt.SortOrder.AscendingOrder) -> None:
        self.layoutAboutToBeChanged.emit()
        before = self.persistentIndexList()
        paths = [self._rows[index.row()].path for index in before]
        self._column, self._order = column, order
        self._arrange()
        after = [self.index(self.place_of(path), index.column()) for path, index in zip(paths, before, strict=True)]
        self.changePersistentIndexList(before, after)
        self.layoutChanged.emit()

    def rowCount(self, parent: Index | None = None) -> int:
        return 0 if parent is not None and parent.isValid() else len(self._rows)

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        row, column = self._rows[index.row()], COLUMNS[index.column()]
        if role == Qt.ItemDataRole.DisplayRole:
            return column.text(row)
        if role == Qt.ItemDataRole.TextAlignmentRole:
            return side(column.number)
        if role == Qt.ItemDataRole.ToolTipRole:
            return row.path if index.column() == MODEL else None
        if role == Qt.ItemDataRole.AccessibleTextRole:
            mark = {"original": "original, ", "front": "on the Pareto front, "}.get(self.mark_of(index.row()), "")
            return f"{mark}{column.text(row)}" if index.column() == MODEL else column.text(row)
        return None


class _Cells(QStyledItemDelegate):
    def __init__(self, table: ReportTable, model: ReportModel) -> None:
        super().__init__(table)
        self._table, self._model = table, model

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: QModelIndex | QPersistentModelIndex) -> None:
        colors = theme.palette()
        rect, column = option.rect, index.column()
        chosen = index.row() == self._table.place()
        if chosen:
            painter.fillRect(rect, QColor(colors.accent_soft))
        mark = self._model.mark_of(index.row())
        if column == MODEL:
            self._mark(painter, QRectF(rect.left() + 11, rect.center().y() - 5, 11, 11), mark)
            rect.adjust(20, 0, 0, 0)
        rect.adjust(11, 0, -10, 0)
        strong = column in (TYPE, SIZE, KL) or chosen or mark == "front"
        painter.setPen(QColor(colors.text if strong else colors.muted))
        text = COLUMNS[column].text(self._model.row(index.row()))
        if column == MODEL:
            text = option.fontMetrics.elidedText(text, Qt.TextElideMode.ElideMiddle, rect.width())
        painter.drawText(rect, side(COLUMNS[column].number).value, text)

    def _mark(self, painter: QPainter, box: QRectF, mark: str) -> None:
        colors = theme.palette()
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        ink = QColor(colors.accent if mark == "front" else colors.muted)
        painter.setPen(QPen(ink, 1.6, Qt.PenStyle.DashLine if mark == "original" else Qt.PenStyle.SolidLine))
        if mark == "original":
            painter.drawLine(QPointF(box.center().x(), box.top() - 2), QPointF(box.center().x(), box.bottom() + 2))
        else:
            painter.setBrush(ink if mark == "front" else Qt.BrushStyle.NoBrush)
            radius = 4.6 if mark == "front" else 3.4
            painter.drawEllipse(box.center(), radius, radius)
        painter.restore()


class ReportTable(QTableView):
    """`picked(path)` tells of a selection by hand. Object name: `report.table`."""

    picked = Signal(str)

    def __init__(self, model: ReportModel, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("report.table")
        self.setAccessibleName("Quality, side by side")
        self.setModel(model)
        self.rows = model
        self.setItemDelegate(_Cells(self, model))
        head = plain_table(self, 32)
        head.setMinimumSectionSize(48)
        for place, column in enumerate(COLUMNS):
            self.setColumnWidth(place, column.width)
        head.setSectionResizeMode(MODEL, QHeaderView.ResizeMode.Stretch)
        self.setSortingEnabled(True)
        self.sortByColumn(SIZE, Qt.SortOrder.DescendingOrder)
        self.selectionModel().selectionChanged.connect(self._selected)

    def place(self) -> int:
        """The selected row, -1 for none."""
        found = self.selectionModel().selectedRows()
        return found[0].row() if found else -1

    def choose(self, path: str) -> None:
        """Selects a row, telling nobody."""
        place = self.rows.place_of(path)
        self.selectionModel().blockSignals(True)
        try:
            if place < 0:
                self.clearSelection()
            else:
                self.selectRow(place)
        finally:
            self.selectionModel().blockSignals(False)
        if place >= 0:
            self.scrollTo(self.rows.index(place, MODEL))
        self.viewport().update()

    def _selected(self, *_: object) -> None:
        self.viewport().update()
        place = self.place()
        if place >= 0:
            self.picked.emit(self.rows.row(place).path)

    def resizeEvent(self, event: Any) -> None:
        super().resizeEvent(event)
        for place, needed in _NEEDED:
            self.setColumnHidden(place, self.viewport().width() < needed)


# -- as text


def to_csv(rows: Sequence[QualityRow]) -> str:
    """All figures with all their digits, one row a model."""
    import csv
    import dataclasses
    import io

    text = io.StringIO()
    names = [each.name for each in dataclasses.fields(QualityRow)]
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(names)
    writer.writerows([getattr(row, name) for name in names] for row in rows)
    return text.getvalue()


def to_markdown(rows: Sequence[QualityRow]) -> str:
    """The table as it is read."""
    heads = "| " + " | ".join(column.title for column in COLUMNS) + " |"
    rule = "| " + " | ".join("---:" if column.number else "---" for column in COLUMNS) + " |"
    lines = ["| " + " | ".join(column.text(row).replace("|", "\\|") for column in COLUMNS) + " |" for row in rows]
    return "\n".join([heads, rule, *lines]) + "\n"
