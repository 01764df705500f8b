"""One of a few: buttons side by side, of which one is in."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QButtonGroup, QHBoxLayout, QToolButton, QWidget

from playground.gui import theme


class Segments(QWidget):
    """Object name as given, of the buttons `<name>.<value>`. `choices`: (value, text, what it does)."""

    changed = Signal(str)
    """by hand"""

    def __init__(self, name: str, title: str, choices: Sequence[tuple[str, str, str]], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName(name)
        self.setAccessibleName(title)
        self._group = QButtonGroup(self)
        self.buttons: dict[str, QToolButton] = {}
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(2)
        for value, text, tip in choices:
            button = QToolButton()
            button.setObjectName(f"{name}.{value}")
            button.setText(text)
            button.setAccessibleName(f"{title}: {text}")
            button.setToolTip(tip)
            button.setCheckable(True)
            theme.mark(button, role="segment")
            button.clicked.connect(lambda _checked=False, it=value: self.changed.emit(it))
            self._group.addButton(button)
            row.addWidget(button)
            self.buttons[value] = button
        next(iter(self.buttons.values())).setChecked(True)

    def value(self) -> str:
        return next((value for value, button in self.buttons.items() if button.isChecked()), "")

    def set_value(self, value: str) -> None:
        """Puts one in, telling nobody."""
        self.buttons[value].setChecked(True)


def tabs(name: str, choices: Sequence[tuple[str, str, str]], owner: QWidget, **marks: bool) -> QButtonGroup:
    """The buttons between views, for a layout: the first one is in, ids are places, object names `<name>.<value>`. `choices` as above."""
    group = QButtonGroup(owner)
    for place, (value, text, tip) in enumerate(choices):
        button = QToolButton(owner)
        button.setObjectName(f"{name}.{value}")
        button.setText(text)
        button.setAccessibleName(text)
        button.setToolTip(tip)
        button.setCheckable(True)
        theme.mark(button, role="segment", **marks)
        group.addButton(button, place)
    group.button(0).setChecked(True)
    return group
