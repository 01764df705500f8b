"""The presets of the sampling panel: choose, save under a name, rename, delete. The shipped ones stay as they are."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from PySide6.QtCore import QPoint, Qt, Signal
from PySide6.QtGui import QAction, QKeyEvent
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QLineEdit, QMenu, QPushButton, QVBoxLayout, QWidget

from playground.gui import theme
from playground.gui.preferences import APART, Preferences
from playground.params import PRESETS, SamplingSettings

HINTS = {
    "Balanced": "A good start for talk",
    "Precise": "Facts, code, short answers",
    "Creative": "Stories and ideas",
}


class NamePopup(QFrame):
    """Asks for a name, in place: nothing modal."""

    def __init__(self, title: str, name: str, taken: Callable[[str], str], parent: QWidget) -> None:
        super().__init__(parent, Qt.WindowType.Popup)
        self.setLayoutDirection(Qt.LayoutDirection.LeftToRight)
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        theme.mark(self, surface="raised")
        self._taken = taken
        self.accepted: Callable[[str], None] = lambda name: None
        column = QVBoxLayout(self)
        column.setContentsMargins(16, 12, 16, 16)
        column.setSpacing(8)
        column.addWidget(theme.mark(QLabel(title), role="strong"))
        self.field = QLineEdit(name)
        self.field.setObjectName("sampling.preset.name")
        self.field.setAccessibleName("Name of the preset")
        self.field.setToolTip("A name for these settings")
        self.field.setPlaceholderText("Name")
        self.field.setMaxLength(40)
        self.field.setMinimumWidth(220)
        self.field.selectAll()
        self.field.textChanged.connect(self._check)
        column.addWidget(self.field)
        row = QHBoxLayout()
        self.problem = QLabel(" ")
        theme.mark(self.problem, role="bad")
        row.addWidget(self.problem, 1)
        self.save = QPushButton("Save")
        self.save.setToolTip("Keeps it under this name")
        self.save.setAccessibleName("Save preset")
        theme.mark(self.save, role="primary")
        self.save.clicked.connect(self._accept)
        row.addWidget(self.save)
        column.addLayout(row)
        self._check(name)

    def _check(self, name: str) -> None:
        problem = self._taken(name.strip())
        self.problem.setText(problem or " ")
        self.save.setEnabled(bool(name.strip()) and not problem)

    def _accept(self) -> None:
        if self.save.isEnabled():
            name = self.field.text().strip()
            self.close()
            self.accepted(name)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            self._accept()
        elif event.key() == Qt.Key.Key_Escape:
            self.close()
        else:
            super().keyPressEvent(event)


class PresetPicker(QPushButton):
    """Shows which preset the settings are, or "Custom". `chosen(SamplingSettings)` when one is taken from the menu."""

    chosen = Signal(object)

    def __init__(self, preferences: Preferences, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._preferences = preferences
        self._settings = SamplingSettings()
        self._name = ""
        self.setObjectName("sampling.preset")
        self.setAccessibleName("Preset")
        self.setToolTip("Takes over a whole set of sampling settings at once, or keeps the present ones under a name")
        theme.mark(self, role="quiet")
        theme.bind_icon(self, "chevron-down", "muted")
        self.setLayoutDirection(Qt.LayoutDirection.RightToLeft)  # the arrow stands behind the name
        self.clicked.connect(self.open_menu)
        self.show_settings(self._settings)

    def show_settings(self, settings: SamplingSettings) -> None:
        """Finds out which preset these settings are."""
        self._settings = settings
        self._name = self._preferences.preset_of(settings)
        self.setText(self._name or "Custom")

    def menu_of(self) -> QMenu:
        """The menu as it would open now."""
        menu = QMenu(self)
        menu.setLayoutDirection(Qt.LayoutDirection.LeftToRight)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        menu.setToolTipsVisible(True)
        own = self._preferences.presets()
        for name, settings in PRESETS.items():
            self._offer(menu, name, settings, HINTS.get(name, ""))
        if own:
            menu.addSeparator()
            for name, settings in own.items():
                self._offer(menu, name, settings, "")
        menu.addSeparator()
        menu.addAction(theme.icon("save", "muted"), "Save as preset…", self.save_as)
        if self._name in own:
            menu.addAction(theme.icon("pencil", "muted"), f"Rename “{self._name}”…", self.rename)
            menu.addAction(theme.icon("trash-2", "muted"), f"Delete “{self._name}”", self.delete)
        return menu

    def _offer(self, menu: QMenu, name: str, settings: SamplingSettings, hint: str) -> None:
        action = QAction(f"{name}\t{hint}" if hint else name, menu)
        if name == self._name:
            action.setIcon(theme.icon("check", "accent"))
        action.triggered.connect(lambda: self._choose(settings))
        menu.addAction(action)

    def open_menu(self) -> None:
        menu = self.menu_of()
        menu.popup(self.mapToGlobal(QPoint(self.width() - menu.sizeHint().width(), self.height() + 4)))

    def _choose(self, preset: SamplingSettings) -> None:
        kept = {name: getattr(self._settings, name) for name in APART}  # a preset is a manner, not a length or a seed
        self.chosen.emit(dataclasses.replace(preset, **kept))

    # -- save, rename, delete

    def _taken(self, name: str, mine: str = "") -> str:
        if any(name.lower() == each.lower() for each in PRESETS):
            return "This one ships with the program."
        if name != mine and name in self._preferences.presets() and mine:
            return "There is one of this name."
        return ""

    def save_as(self) -> None:
        popup = NamePopup("Save as preset", "", lambda name: self._taken(name), self)
        popup.accepted = self.save
        self._place(popup)

    def save(self, name: str) -> None:
        """Keeps the present settings under a name; one of that name is replaced."""
        self._preferences.set_preset(name, self._settings)
        self.show_settings(self._settings)

    def rename(self) -> None:
        mine = self._name
        popup = NamePopup("Rename preset", mine, lambda name: self._taken(name, mine), self)
        popup.accepted = lambda name: self.rename_to(mine, name)
        self._place(popup)

    def rename_to(self, old: str, new: str) -> None:
        self._preferences.rename_preset(old, new)
        self.show_settings(self._settings)

    def delete(self) -> None:
        self._preferences.delete_preset(self._name)
        self.show_settings(self._settings)

    def _place(self, popup: NamePopup) -> None:
        popup.adjustSize()
        popup.move(self.mapToGlobal(QPoint(self.width() - popup.width(), self.height() + 4)))
        popup.show()
        popup.field.setFocus()
