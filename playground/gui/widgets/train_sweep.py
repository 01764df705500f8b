"""A small sweep: ranks and learning rates, every pair a run of its own. Knows numbers and no session.

Object names: `train.sweep` (the switch), `train.sweep.ranks`, `train.sweep.rates`.
"""

from __future__ import annotations

import itertools
from typing import Any

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QCheckBox, QGridLayout, QLabel, QLineEdit, QVBoxLayout, QWidget

from playground.errors import SettingError
from playground.gui import theme
from playground.params import from_pairs
from playground.training.settings import TrainSettings

MOST = 24
"""runs in a sweep; more would be a list of days"""
FIELDS = {
    "rank": ("ranks", "Ranks", "8, 32", "Widths of the adapter, between commas"),
    "learning_rate": ("rates", "Learning rates", "2e-4, 8e-4", "Highest learning rates, between commas"),
}


class TrainSweep(QWidget):
    """`changed` when another sweep is meant; `runs()` is what it comes to."""

    changed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.wanted = QCheckBox("Queue a sweep")
        self.wanted.setObjectName("train.sweep")
        self.wanted.setToolTip("Several runs one after another: every rank with every learning rate")
        self.wanted.toggled.connect(self._toggle)
        self.part = QWidget()
        grid = QGridLayout(self.part)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setHorizontalSpacing(16)
        grid.setVerticalSpacing(8)
        grid.setColumnStretch(1, 1)
        self.fields: dict[str, QLineEdit] = {}
        for place, (name, (role, title, usual, tip)) in enumerate(FIELDS.items()):
            field = self.fields[name] = QLineEdit(usual)
            field.setObjectName(f"train.sweep.{role}")
            field.setAccessibleName(title)
            field.setToolTip(tip)
            theme.mark(field, compact=True)
            field.textChanged.connect(lambda _text: self._say())
            label = QLabel(title)
            label.setBuddy(field)
            theme.mark(label, role="small")
            grid.addWidget(label, place, 0)
            grid.addWidget(field, place, 1)
        self.said = QLabel()
        self.said.setObjectName("train.sweep.said")
        self.said.setWordWrap(True)
        grid.addWidget(self.said, len(FIELDS), 0, 1, 2)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(8)
        column.addWidget(self.wanted)
        column.addWidget(self.part)
        self.part.hide()
        self._say()

    def runs(self) -> list[dict[str, Any]]:
        """Wishes of each run, none where no sweep is wanted. SettingError for what is no number, out of range or too much."""
        if not self.wanted.isChecked():
            return []
        values = {name: _numbers(field.text(), name) for name, field in self.fields.items()}
        found = [dict(zip(values, each, strict=True)) for each in itertools.product(*values.values())]
        if len(found) > MOST:
            raise SettingError(f"{len(found)} runs are too many.", f"Choose at most {MOST}.")
        return found

    def _toggle(self, wanted: bool) -> None:
        self.part.setVisible(wanted)
        self.changed.emit()

    def _say(self) -> None:
        try:
            values = {name: _numbers(field.text(), name) for name, field in self.fields.items()}
            count = len(values["rank"]) * len(values["learning_rate"])
            self.said.setText(f"{count} runs, one after another; choose them in the table to compare them.")
            theme.mark(self.said, role="muted")
        except SettingError as error:
            self.said.setText(f"{error.message} {error.hint}")
            theme.mark(self.said, role="bad")
        self.changed.emit()


def _numbers(text: str, name: str) -> list[Any]:
    """The values between commas, each once. SettingError for one that the setting cannot be."""
    parts = [part.strip() for part in text.replace(";", ",").split(",") if part.strip()]
    if not parts:
        raise SettingError("A sweep needs numbers.", "Write them between commas, such as 8, 32.")
    return list(dict.fromkeys(getattr(from_pairs(TrainSettings, {name: part}, TrainSettings()), name) for part in parts))
