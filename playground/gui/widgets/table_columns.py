"""What tables of records have in common: columns that say how a record reads and sorts, and heads that say what they are. Knows no record."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, Protocol, TypeVar

from PySide6.QtCore import QAbstractTableModel, QModelIndex, QPersistentModelIndex, Qt

Record = TypeVar("Record")


@dataclass(frozen=True)
class Column(Generic[Record]):
    title: str
    help: str
    text: Callable[[Record], str]
    sort: Callable[[Record], Any]
    width: int
    number: bool = False
    """stands at the right, under others of its kind"""


class Head(Protocol):
    """What the head of a column is made of."""

    @property
    def title(self) -> str: ...
    @property
    def help(self) -> str: ...
    @property
    def number(self) -> bool: ...


class ColumnsModel(QAbstractTableModel):
    """A model of the columns that its class names."""

    columns: ClassVar[Sequence[Head]]

    def columnCount(self, parent: QModelIndex | QPersistentModelIndex | None = None) -> int:
        return len(self.columns)

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        if orientation != Qt.Orientation.Horizontal:
            return None
        column = self.columns[section]
        if role == Qt.ItemDataRole.DisplayRole:
            return column.title
        if role == Qt.ItemDataRole.ToolTipRole:
            return column.help
        if role == Qt.ItemDataRole.TextAlignmentRole:
            return side(column.number)
        return None


def side(number: bool) -> Qt.AlignmentFlag:
    """Where cells stand: numbers at the right."""
    return (Qt.AlignmentFlag.AlignRight if number else Qt.AlignmentFlag.AlignLeft) | Qt.AlignmentFlag.AlignVCenter
