"""The rail at the left: one button a page, the menu above them, the settings at the foot. Knows ids and titles, no page."""

from __future__ import annotations

from PySide6.QtCore import QSize, Qt, Signal
from PySide6.QtWidgets import QButtonGroup, QFrame, QToolButton, QVBoxLayout, QWidget

from playground.gui import theme


class Rail(QFrame):
    """`chosen(page id)` when a page's button is pressed, `menu_wanted` for the one at the top."""

    chosen = Signal(str)
    menu_wanted = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("rail")
        self.setFixedWidth(theme.RAIL)
        theme.mark(self, surface="window")
        self._buttons: dict[str, QToolButton] = {}
        self._icons: dict[str, str] = {}
        self._group = QButtonGroup(self)
        self._column = QVBoxLayout(self)
        self._column.setContentsMargins(4, 8, 4, 8)
        self._column.setSpacing(4)
        self.menu_button = QToolButton()
        self.menu_button.setObjectName("rail.menu")
        self.menu_button.setAccessibleName("Menu")
        self.menu_button.setToolTip("Everything that can be done (F10)")
        self.menu_button.setFixedSize(QSize(theme.RAIL - 8, 40))
        theme.bind_icon(self.menu_button, "menu", "muted", 20)
        self.menu_button.clicked.connect(self.menu_wanted)
        self._column.addWidget(self.menu_button)
        self._foot = 1
        self._column.addStretch(1)

    def add(self, page: str, title: str, icon: str, key: str, foot: bool = False) -> None:
        """A button for a page, below those before it."""
        button = QToolButton()
        button.setObjectName(f"rail.{page}")
        button.setText(title)
        button.setAccessibleName(title)
        button.setToolTip(f"{title} ({key})" if key else title)
        button.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextUnderIcon)
        button.setCheckable(True)
        button.setFixedSize(QSize(theme.RAIL - 8, 56))
        theme.mark(button, role="rail")
        theme.bind_icon(button, icon, "muted", 20)
        button.clicked.connect(lambda: self.chosen.emit(page))
        self._group.addButton(button)
        self._buttons[page], self._icons[page] = button, icon
        if foot:
            self._column.addWidget(button)
        else:
            self._column.insertWidget(self._foot, button)
            self._foot += 1

    def show_page(self, page: str) -> None:
        """Marks the page that is open."""
        for name, button in self._buttons.items():
            button.setChecked(name == page)
            theme.bind_icon(button, self._icons[name], "accent" if name == page else "muted", 20)
