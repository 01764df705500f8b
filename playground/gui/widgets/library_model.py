"""The rows of the library as a table: batches come in while a scan goes on, sorted and filtered here, kept apart by path.

Knows rows and how they read, no shelf. Two thousand rows come in without a stall: texts are made when they are painted, and a batch is one
insertion and one rearrangement.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QModelIndex, QObject, QPersistentModelIndex, Qt
from PySide6.QtGui import QColor

from playground.gui import theme
from playground.gui.widgets.amounts import count, size, tokens
from playground.gui.widgets.table_columns import Column, ColumnsModel, side
from playground.models.places import NAMES

if TYPE_CHECKING:
    from playground.models.library import Row

Index = QModelIndex | QPersistentModelIndex
ROW = Qt.ItemDataRole.UserRole + 1
VERDICT = Qt.ItemDataRole.UserRole + 2
RANK = {"fits": 0, "tight": 1, "partly on CPU": 2, "does not fit": 3, "": 4, "…": 5, "damaged": 6}
KINDS = {"adapter": "adapter", "mmproj": "projector"}


COLUMNS: tuple[Column[Row], ...] = (
    Column("Name", "The file's or the repository's name", lambda r: r.name, lambda r: r.name.lower(), 280),
    Column("Architecture", "The model's family", lambda r: r.architecture, lambda r: r.architecture.lower(), 104),
    Column("Parameters", "How many numbers it has learned", lambda r: count(r.parameters), lambda r: r.parameters, 88, True),
    Column(
        "Format",
        "The number format of its weights",
        lambda r: KINDS.get(r.kind, "") if r.kind == "adapter" else f"{r.quantization} {KINDS.get(r.kind, '')}".strip(),
        lambda r: r.quantization,
        96,
    ),
    Column("Context", "The context it was trained for, in tokens", lambda r: tokens(r.context), lambda r: r.context, 76, True),
    Column("Size", "On disk", lambda r: size(r.size), lambda r: r.size, 80, True),
    Column("Place", "Who keeps it where it is", lambda r: NAMES[r.place], lambda r: NAMES[r.place], 128),
    Column("Fit", "Whether it fits this machine's free memory, at a context of 4,096 tokens", lambda r: "", lambda r: 0, 124),
)
NAME, ARCHITECTURE, PARAMETERS, FORMAT, CONTEXT, SIZE, PLACE, FIT = range(len(COLUMNS))

STRONG = (NAME, SIZE)
"""columns that are read first"""


class LibraryModel(ColumnsModel):
    """`merge` takes rows as they are found, `settle` the whole; `set_verdicts` the chips."""

    columns = COLUMNS

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._all: dict[str, Row] = {}
        self._shown: list[Row] = []
        self._place: dict[str, int] | None = {}
        self._texts: dict[str, tuple[Row, list[str]]] = {}
        self._verdicts: dict[str, Any] = {}
        self._words: list[str] = []
        self._column, self._order = NAME, Qt.SortOrder.AscendingOrder

    # -- rows

    def merge(self, rows: Iterable[Row]) -> None:
        """Rows that are new or have changed."""
        changed, new = [], []
        for row in rows:
            before = self._all.get(row.path)
            if before == row:
                continue
            self._all[row.path] = row
            if before is not None:
                self._verdicts.pop(row.path, None)
            place = self.place_of(row.path) if before is not None else -1
            if place >= 0:
                self._shown[place] = row
                changed.append(place)
            elif self._matches(row):
                new.append(row)
        if changed:
            self.dataChanged.emit(self.index(min(changed), 0), self.index(max(changed), len(COLUMNS) - 1))
        if new:
            first = len(self._shown)
            self.beginInsertRows(QModelIndex(), first, first + len(new) - 1)
            self._shown += new
            self._place = None
            self.endInsertRows()
        if new or changed:
            self._arrange()

    def settle(self, rows: Iterable[Row]) -> None:
        """All rows that there are: what is not among them is gone."""
        rows = tuple(rows)
        there = {row.path for row in rows}
        for place in reversed(range(len(self._shown))):
            if self._shown[place].path not in there:
                self.beginRemoveRows(QModelIndex(), place, place)
                del self._shown[place]
                self._place = None
                self.endRemoveRows()
        self._all = {path: row for path, row in self._all.items() if path in there}
        self.merge(rows)

    def set_verdicts(self, verdicts: dict[str, Any]) -> None:
        """Verdicts by path."""
        self._verdicts |= verdicts
        places = [place for path in verdicts if (place := self.place_of(path)) >= 0]
        if places:
            self.dataChanged.emit(self.index(min(places), FIT), self.index(max(places), FIT), [VERDICT])
            if self._column == FIT:
                self._arrange()

    def forget_verdicts(self) -> None:
        """What is free is another amount now."""
        self._verdicts.clear()

    def set_words(self, text: str) -> None:
        """Keeps the rows that have all these words in any column."""
        words = text.lower().split()
        if words == self._words:
            return
        self.beginResetModel()
        self._words = words
        self._shown = [row for row in self._all.values() if self._matches(row)]
        self._shown.sort(key=self._key, reverse=self._order == Qt.SortOrder.DescendingOrder)
        self._place = None
        self.endResetModel()

    def row(self, place: int) -> Row:
        return self._shown[place]

    def texts(self, place: int) -> list[str]:
        """What the columns of a row say."""
        row = self._shown[place]
        found = self._texts.get(row.path)
        if found is None or found[0] is not row:
            found = row, [column.text(row) for column in COLUMNS]
            self._texts[row.path] = found
        return found[1]

    def rows(self) -> tuple[Row, ...]:
        """All rows, shown or not."""
        return tuple(self._all.values())

    def row_at(self, path: str) -> Row | None:
        """The row of this path, shown or not."""
        return self._all.get(path)

    def place_of(self, path: str) -> int:
        if self._place is None:
            self._place = {row.path: place for place, row in enumerate(self._shown)}
        return self._place.get(path, -1)

    def verdict_of(self, row: Row) -> Any:
        """A `Verdict`, or None while it is not known."""
        return self._verdicts.get(row.path)

    @property
    def total(self) -> int:
        return len(self._all)

    def bytes(self) -> int:
        """All models together, on disk."""
        return sum(row.size for row in self._all.values())

    def _matches(self, row: Row) -> bool:
        if not self._words:
            return True
        text = f"{row.name} {row.repo} {row.title} {row.architecture} {row.quantization} {row.kind} {NAMES[row.place]}".lower()
        return all(word in text for word in self._words)

    def _key(self, row: Row) -> Any:
        if self._column == FIT:
            return RANK.get(self.word(row), 4), row.size
        return COLUMNS[self._column].sort(row)

    def word(self, row: Row) -> str:
        """What the chip of a row says: a verdict, `damaged`, or `…` while it is not known; nothing for what fits if its model does."""
        if row.problem:
            return "damaged"
        if row.kind in KINDS:
            return ""
        found = self._verdicts.get(row.path)
        return "…" if found is None else str(found.verdict)

    # -- Qt

    def sort(self, column: int, order: Qt.SortOrder = Qt.SortOrder.AscendingOrder) -> None:
        self._column, self._order = column, order
        self._arrange()

    def _arrange(self) -> None:
        """Sorts what is shown; selection and scroll stay with their rows."""
        ordered = sorted(self._shown, key=self._key, reverse=self._order == Qt.SortOrder.DescendingOrder)
        if all(one is other for one, other in zip(ordered, self._shown, strict=True)):
            return
        self.layoutAboutToBeChanged.emit()
        before = self.persistentIndexList()
        rows = [self._shown[index.row()] for index in before]
        self._shown = ordered
        self._place = None
        after = [self.index(self.place_of(row.path), index.column()) for row, index in zip(rows, before, strict=True)]
        self.changePersistentIndexList(before, after)
        self.layoutChanged.emit()

    def rowCount(self, parent: Index | None = None) -> int:
        return 0 if parent is not None and parent.isValid() else len(self._shown)

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        row, column = self._shown[index.row()], index.column()
        if role == Qt.ItemDataRole.DisplayRole:
            return COLUMNS[column].text(row)
        if role == ROW:
            return row
        if role == VERDICT:
            return self.word(row) if column == FIT else None
        if role == Qt.ItemDataRole.TextAlignmentRole:
            return side(COLUMNS[column].number)
        if role == Qt.ItemDataRole.ForegroundRole:
            colors = theme.palette()
            return QColor(colors.text if column in STRONG else colors.muted)
        if role == Qt.ItemDataRole.ToolTipRole:
            if row.problem:
                return f"{row.problem} {row.hint}".strip()
            if column == FIT:
                found = self._verdicts.get(row.path)
                return found.why if found is not None else None
            return row.path if column == NAME else None
        if role == Qt.ItemDataRole.AccessibleTextRole:
            return self.word(row) if column == FIT else COLUMNS[column].text(row)
        return None
