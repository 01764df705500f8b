"""Which adapter is on the loaded model: none, one that is at hand, or a folder to be chosen. Knows paths and no session."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QComboBox, QVBoxLayout, QWidget

from playground.gui import theme
from playground.gui.widgets.glossary import known

NONE, OTHER = "None", "Open an adapter folder…"
_TIP = Qt.ItemDataRole.ToolTipRole


class AdapterChoice(QWidget):
    """`chosen(path)` tells of another adapter (empty: taken off), `other_wanted` of the wish for a dialog. Object name: `models.adapter`."""

    chosen = Signal(str)
    other_wanted = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._on = ""
        column = QVBoxLayout(self)
        column.setContentsMargins(8, 4, 8, 8)
        column.setSpacing(4)
        column.addWidget(known("lora_adapter", "Adapter"))
        self.box = QComboBox()
        self.box.setObjectName("models.adapter")
        self.box.setAccessibleName("Adapter")
        self.box.setToolTip("Puts an adapter on the loaded model, or takes it off; the model is loaded anew")
        self.box.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        theme.mark(self.box, compact=True)
        self.box.activated.connect(self._take)
        column.addWidget(self.box)
        self.show_adapters((), "")

    def show_adapters(self, paths: Sequence[str], on: str) -> None:
        """Adapters at hand, and the one that is on (empty for none)."""
        self._on = on
        self.box.blockSignals(True)
        self.box.clear()
        self.box.addItem(NONE, "")
        for path in dict.fromkeys([*([on] if on else []), *paths]):
            self.box.addItem(adapter_name(path), path)
            self.box.setItemData(self.box.count() - 1, path, _TIP)
        self.box.addItem(OTHER, None)
        self.box.setCurrentIndex(max(0, self.box.findData(on)))
        self.box.blockSignals(False)

    def on(self) -> str:
        return self._on

    def paths(self) -> list[str]:
        """Those that can be chosen."""
        found = [self.box.itemData(place) for place in range(self.box.count())]
        return [path for path in found if path]

    def _take(self, place: int) -> None:
        path = self.box.itemData(place)
        if path is None:
            self.box.setCurrentIndex(max(0, self.box.findData(self._on)))
            self.other_wanted.emit()
        elif path != self._on:
            self.chosen.emit(path)


def adapter_name(path: str) -> str:
    """What an adapter is called: its folder, or its file without the ending."""
    where = Path(path)
    return where.stem if where.suffix.lower() == ".gguf" else where.name
