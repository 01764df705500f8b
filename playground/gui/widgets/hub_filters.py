"""What is searched for on the hub: words, formats, size, licence, access, order. Gives a `Query`, asks nothing itself."""

from __future__ import annotations

from typing import Any

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QComboBox, QGridLayout, QHBoxLayout, QLineEdit, QToolButton, QVBoxLayout, QWidget

from playground.gui import theme

SIZES: tuple[tuple[str, int, int], ...] = (
    ("Any size", 0, 0),
    ("Up to 1B", 0, 1_000_000_000),
    ("1B to 4B", 1_000_000_000, 4_000_000_000),
    ("4B to 9B", 4_000_000_000, 9_000_000_000),
    ("9B to 16B", 9_000_000_000, 16_000_000_000),
    ("16B to 40B", 16_000_000_000, 40_000_000_000),
    ("Over 40B", 40_000_000_000, 0),
)
LICENCES: tuple[tuple[str, str], ...] = (
    ("Any licence", ""),
    ("Apache 2.0", "apache-2.0"),
    ("MIT", "mit"),
    ("Llama 3", "llama3"),
    ("Llama 3.2", "llama3.2"),
    ("Gemma", "gemma"),
    ("CC BY 4.0", "cc-by-4.0"),
    ("CC BY-NC 4.0", "cc-by-nc-4.0"),
)
ACCESS: tuple[tuple[str, bool | None], ...] = (("Open and gated", None), ("Open only", False), ("Gated only", True))
SORTS = (("Most downloads", "downloads"), ("Most likes", "likes"), ("Recently changed", "recent"))


class HubFilters(QWidget):
    """Object names: `models.search`, `models.gguf`, `models.safetensors`, `models.size`, `models.licence`, `models.access`, `models.sort`."""

    typed = Signal()
    """the words have changed"""
    changed = Signal()
    """anything else has"""
    entered = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(8)
        self.words = QLineEdit()
        self.words.setObjectName("models.search")
        self.words.setAccessibleName("Search the hub")
        self.words.setToolTip("Words of a model's name, or its address on the hub")
        self.words.setPlaceholderText("Search models on the hub")
        self.words.setClearButtonEnabled(True)
        self._search_icon = self.words.addAction(theme.icon("search", "muted", 16), QLineEdit.ActionPosition.LeadingPosition)
        self.words.textChanged.connect(lambda _text: self.typed.emit())
        self.words.returnPressed.connect(self.entered)
        column.addWidget(self.words)
        formats = QHBoxLayout()
        formats.setSpacing(4)
        self.gguf = self._toggle("models.gguf", "GGUF", "Files that llama.cpp runs", True)
        self.safetensors = self._toggle("models.safetensors", "Safetensors", "Folders for training and conversion", False)
        formats.addWidget(self.gguf)
        formats.addWidget(self.safetensors)
        formats.addStretch(1)
        column.addLayout(formats)
        self.parameters = self._combo("models.size", "Size", "How many parameters", [each[0] for each in SIZES])
        self.licence = self._combo("models.licence", "Licence", "What you may do with it", [each[0] for each in LICENCES])
        self.access = self._combo(
            "models.access", "Access", "Gated models ask for a login and an agreement", [each[0] for each in ACCESS]
        )
        self.sort = self._combo("models.sort", "Order", "What comes first", [each[0] for each in SORTS])
        grid = QGridLayout()
        grid.setSpacing(8)
        for place, combo in enumerate((self.parameters, self.licence, self.access, self.sort)):
            grid.addWidget(combo, place // 2, place % 2)
        column.addLayout(grid)
        theme.notifier().changed.connect(self._tint)

    def _toggle(self, name: str, text: str, tip: str, checked: bool) -> QToolButton:
        button = QToolButton()
        button.setObjectName(name)
        button.setText(text)
        button.setAccessibleName(text)
        button.setToolTip(tip)
        button.setCheckable(True)
        button.setChecked(checked)
        button.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        theme.mark(button, role="segment")
        button.toggled.connect(lambda _on: self.changed.emit())
        return button

    def _combo(self, name: str, said: str, tip: str, items: list[str]) -> QComboBox:
        combo = QComboBox()
        combo.setObjectName(name)
        combo.setAccessibleName(said)
        combo.setToolTip(tip)
        combo.addItems(items)
        combo.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        combo.setMinimumContentsLength(8)
        theme.mark(combo, compact=True)
        combo.currentIndexChanged.connect(lambda _place: self.changed.emit())
        return combo

    def query(self) -> Any:
        """The `Query` that these controls stand for."""
        from playground.models.hub import Query

        formats = tuple(name for name, button in (("gguf", self.gguf), ("safetensors", self.safetensors)) if button.isChecked())
        _, smallest, largest = SIZES[self.parameters.currentIndex()]
        order: Any = SORTS[self.sort.currentIndex()][1]
        return Query(
            self.words.text().strip(),
            formats,
            smallest,
            largest,
            LICENCES[self.licence.currentIndex()][1],
            ACCESS[self.access.currentIndex()][1],
            "",
            order,
        )

    def _tint(self) -> None:
        self._search_icon.setIcon(theme.icon("search", "muted", 16))
