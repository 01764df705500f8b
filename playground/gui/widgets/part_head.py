"""The head of a part of a page that is opened over another: the way back, a title, a few facts. Knows neither part."""

from __future__ import annotations

from PySide6.QtCore import QEvent, Qt, Signal
from PySide6.QtGui import QKeySequence, QShortcut
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QScrollArea, QSizePolicy, QVBoxLayout, QWidget

from playground.gui import theme
from playground.gui.widgets.elided_label import ElidedLabel
from playground.gui.widgets.icon_button import icon_button

HIGH = 48


class PartHead(QFrame):
    """The button back is `<name>.close`, and Escape anywhere in the part does the same; `row` takes what stands at the right."""

    closed = Signal()

    def __init__(self, name: str, back: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        theme.mark(self, surface="surface", line="bottom")
        self.setFixedHeight(HIGH)
        self.row = QHBoxLayout(self)
        self.row.setContentsMargins(16, 0, 24, 0)
        self.row.setSpacing(8)
        button = icon_button(f"{name}.close", "arrow-left", back)
        button.clicked.connect(self.closed)
        self.row.addWidget(button)
        self.title = QLabel()
        self.title.setObjectName(f"{name}.title")
        self.title.setTextFormat(Qt.TextFormat.PlainText)
        self.title.setSizePolicy(QSizePolicy.Policy.Maximum, QSizePolicy.Policy.Preferred)
        self.title.setMinimumWidth(80)
        theme.mark(self.title, role="strong")
        self.row.addWidget(self.title)
        self.facts = ElidedLabel()
        self.facts.setObjectName(f"{name}.facts")
        theme.mark(self.facts, role="muted")
        self.row.addSpacing(4)
        self.row.addWidget(self.facts, 1)

    def changeEvent(self, event: QEvent) -> None:
        super().changeEvent(event)
        part = self.parentWidget()
        if event.type() == QEvent.Type.ParentChange and part is not None:
            key = QShortcut(QKeySequence(Qt.Key.Key_Escape), part)
            key.setContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
            key.activated.connect(self.closed)

    def show_title(self, title: str, facts: str = "") -> None:
        self.title.setText(title)
        self.facts.setText(facts)


def scrolled(widget: QWidget, right: int = 20) -> QScrollArea:
    """A widget that scrolls up and down, with room for the bar."""
    area, column = scroll_column(None, right)
    column.addWidget(widget)
    return area


def scroll_column(parent: QWidget | None, right: int = 20) -> tuple[QScrollArea, QVBoxLayout]:
    """A place that scrolls up and down, with room for the bar, and the column of what stands in it."""
    area = QScrollArea(parent)
    area.setWidgetResizable(True)
    area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
    area.setFocusPolicy(Qt.FocusPolicy.NoFocus)
    holder = QWidget(area.viewport())
    area.setWidget(holder)
    theme.mark(holder, scrolled=True)
    column = QVBoxLayout(holder)
    column.setContentsMargins(0, 0, right, 8)
    return area, column
