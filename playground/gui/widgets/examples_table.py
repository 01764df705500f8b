"""A small table of examples, input and output: typed, pasted as rows, dragged into another order by the numbers at the left.

Knows examples and no prompt. Object name `builder.examples`.
"""

from __future__ import annotations

from collections.abc import Iterable

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QGuiApplication, QKeyEvent, QKeySequence
from PySide6.QtWidgets import QAbstractItemView, QHeaderView, QTableWidget, QTableWidgetItem, QWidget

from playground.decoding.prompt_drafts import Example, read_examples
from playground.errors import DataError


class ExamplesTable(QTableWidget):
    """`changed` after every change by hand; `refused(sentence)` when what was pasted is no table."""

    changed = Signal()
    refused = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(0, 2, parent)
        self.setObjectName("builder.examples")
        self.setAccessibleName("Examples")
        self.setToolTip("Drag the numbers to reorder (Alt+Up, Alt+Down); Ctrl+V pastes rows of a table; Delete removes")
        self.setHorizontalHeaderLabels(["Input", "Output"])
        self.horizontalHeader().setSectionResizeMode(QHeaderView.ResizeMode.Stretch)
        self.horizontalHeader().setHighlightSections(False)
        self.horizontalHeader().setDefaultAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)
        rows = self.verticalHeader()
        rows.setSectionsMovable(True)
        rows.setDefaultSectionSize(36)
        rows.setMinimumWidth(32)
        rows.setHighlightSections(False)
        rows.sectionMoved.connect(lambda *_: self._moved())
        self.setSelectionMode(QAbstractItemView.SelectionMode.ContiguousSelection)
        self.setTabKeyNavigation(False)
        self.setWordWrap(False)
        self.itemChanged.connect(lambda _item: self.changed.emit())

    def examples(self) -> tuple[Example, ...]:
        """In the order that is shown; rows without a word are none."""
        rows = [self.verticalHeader().logicalIndex(place) for place in range(self.rowCount())]
        found = [Example(self._text(row, 0), self._text(row, 1)) for row in rows]
        return tuple(each for each in found if each.input.strip() or each.output.strip())

    def show_examples(self, examples: Iterable[Example]) -> None:
        """Others in place of what there was; tells nobody."""
        listed = list(examples)
        self.blockSignals(True)
        self.verticalHeader().blockSignals(True)
        self.clearContents()
        self.setRowCount(0)
        self.setRowCount(len(listed))
        for row, each in enumerate(listed):
            self.setItem(row, 0, _item(each.input))
            self.setItem(row, 1, _item(each.output))
        self.verticalHeader().blockSignals(False)
        self.blockSignals(False)
        self.viewport().update()
        self.verticalHeader().viewport().update()

    def add(self, examples: Iterable[Example] = (Example("", ""),)) -> None:
        """More of them, at the end."""
        before = self.examples()
        more = list(examples)
        self.show_examples([*before, *more])
        if len(more) == 1 and not more[0].input:
            self.setCurrentCell(self.rowCount() - 1, 0)
            if (cell := self.item(self.rowCount() - 1, 0)) is not None:
                self.editItem(cell)
        self.changed.emit()

    def remove_chosen(self) -> None:
        rows = {index.row() for index in self.selectedIndexes()}
        if rows:
            order = [self.verticalHeader().logicalIndex(place) for place in range(self.rowCount())]
            self.show_examples([Example(self._text(row, 0), self._text(row, 1)) for row in order if row not in rows])
            self.changed.emit()

    def move_chosen(self, by: int) -> None:
        """The row that has the cursor, up (-1) or down (1)."""
        rows = self.verticalHeader()
        place = rows.visualIndex(self.currentRow())
        if self.currentRow() >= 0 and 0 <= place + by < self.rowCount():
            rows.moveSection(place, place + by)

    def paste(self) -> None:
        try:
            self.add(read_examples(QGuiApplication.clipboard().text()))
        except DataError as error:
            self.refused.emit(f"{error.message} {error.hint}")

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.matches(QKeySequence.StandardKey.Paste):
            self.paste()
        elif event.key() == Qt.Key.Key_Delete:
            self.remove_chosen()
        elif event.modifiers() & Qt.KeyboardModifier.AltModifier and event.key() in (Qt.Key.Key_Up, Qt.Key.Key_Down):
            self.move_chosen(-1 if event.key() == Qt.Key.Key_Up else 1)
        else:
            super().keyPressEvent(event)

    def _moved(self) -> None:
        self.changed.emit()

    def _text(self, row: int, column: int) -> str:
        item = self.item(row, column)
        return item.text().replace("⏎", "\n") if item is not None else ""


def _item(text: str) -> QTableWidgetItem:
    """A line break is shown as a sign, since a cell has one line; it becomes one again."""
    item = QTableWidgetItem(text.replace("\n", "⏎"))
    item.setToolTip(text)
    return item
