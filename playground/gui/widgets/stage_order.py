"""The order of the sampler chain's stages: dragged, or moved with Alt+Up and Alt+Down. Says which stages do nothing now."""

from __future__ import annotations

from PySide6.QtCore import QSize, Qt, Signal
from PySide6.QtGui import QDropEvent, QKeyEvent
from PySide6.QtWidgets import QAbstractItemView, QListWidget, QListWidgetItem, QWidget

from playground.gui import theme
from playground.params import STAGES

NAMES = {
    "penalties": "Penalties",
    "top_k": "Top-k",
    "top_p": "Top-p",
    "min_p": "Min-p",
    "temperature": "Temperature",
}
ROW = 28


class StageOrder(QListWidget):
    """`changed(tuple of stages)` after a move by hand. Object name: `sampling.stages`."""

    changed = Signal(object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("sampling.stages")
        self.setAccessibleName("Order of stages")
        self.setToolTip("The order in which the stages are applied, from the top; drag, or Alt with the arrows")
        self.setDragDropMode(QAbstractItemView.DragDropMode.InternalMove)
        self.setDefaultDropAction(Qt.DropAction.MoveAction)
        self.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setFixedHeight(len(STAGES) * ROW + 8)
        self._told: tuple[str, ...] = ()
        self.set_value(STAGES)
        theme.mark(self, well=True)
        theme.notifier().changed.connect(self._tint)

    def value(self) -> tuple[str, ...]:
        return tuple(self.item(row).data(Qt.ItemDataRole.UserRole) for row in range(self.count()))

    def set_value(self, stages: tuple[str, ...]) -> None:
        """Shows another order without telling of it."""
        self._told = tuple(stages)
        if self.value() == self._told:
            return
        self.clear()
        for stage in stages:
            item = QListWidgetItem(theme.icon("grip-vertical", "faint"), NAMES[stage])
            item.setData(Qt.ItemDataRole.UserRole, stage)
            item.setSizeHint(QSize(0, ROW))
            item.setFlags(item.flags() & ~Qt.ItemFlag.ItemIsDropEnabled)
            self.addItem(item)

    def _tint(self) -> None:
        for row in range(self.count()):
            self.item(row).setIcon(theme.icon("grip-vertical", "faint"))

    def _tell(self) -> None:
        if self.value() != self._told:
            self._told = self.value()
            self.changed.emit(self._told)

    def dropEvent(self, event: QDropEvent) -> None:
        super().dropEvent(event)
        self._tell()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        step = {Qt.Key.Key_Up: -1, Qt.Key.Key_Down: 1}.get(Qt.Key(event.key()), 0)
        if step and event.modifiers() & Qt.KeyboardModifier.AltModifier:
            row = self.currentRow()
            if row >= 0 and 0 <= row + step < self.count():
                self.insertItem(row + step, self.takeItem(row))
                self.setCurrentRow(row + step)
                self._tell()
            return
        super().keyPressEvent(event)
