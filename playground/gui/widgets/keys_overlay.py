"""The list of keys over a dimmed window. It goes with Escape or a click beside it."""

from __future__ import annotations

from collections.abc import Iterable

from PySide6.QtCore import QEvent, QObject, Qt
from PySide6.QtGui import QColor, QKeyEvent, QKeySequence, QMouseEvent, QPainter, QPaintEvent
from PySide6.QtWidgets import QFrame, QGridLayout, QLabel, QVBoxLayout, QWidget

from playground.gui import theme
from playground.gui.actions import CONTROLS, Action


class KeysOverlay(QWidget):
    """Object name: `keys`."""

    def __init__(self, actions: Iterable[Action], parent: QWidget) -> None:
        super().__init__(parent)
        self.setObjectName("keys")
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setAccessibleName("List of keys")
        self.setToolTip("")
        centre = QVBoxLayout(self)
        card = QFrame()
        theme.mark(card, card=True)
        centre.addWidget(card, 0, Qt.AlignmentFlag.AlignCenter)
        column = QVBoxLayout(card)
        column.setContentsMargins(32, 24, 32, 32)
        column.setSpacing(16)
        title = QLabel("Keys")
        theme.mark(title, role="title")
        column.addWidget(title)
        grid = QGridLayout()
        grid.setHorizontalSpacing(16)
        grid.setVerticalSpacing(8)
        column.addLayout(grid)
        listed = [(key_text(action.key), action.text) for action in actions if action.key] + list(CONTROLS)
        half = (len(listed) + 1) // 2
        for place, (key, text) in enumerate(listed):
            side, row = (0, place) if place < half else (3, place - half)
            cap = QLabel(key)
            theme.mark(cap, role="key")
            grid.addWidget(cap, row, side, Qt.AlignmentFlag.AlignRight)
            what = QLabel(text.rstrip("…"))
            theme.mark(what, role="small")
            grid.addWidget(what, row, side + 1)
        grid.setColumnMinimumWidth(2, 32)
        parent.installEventFilter(self)
        self.setGeometry(parent.rect())

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if event.type() == QEvent.Type.Resize and isinstance(watched, QWidget):
            self.setGeometry(watched.rect())
        return False

    def keyPressEvent(self, event: QKeyEvent) -> None:
        self.close()

    def mousePressEvent(self, event: QMouseEvent) -> None:
        self.close()

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        veil = QColor("#000000")
        veil.setAlphaF(0.5 if theme.palette().dark else 0.28)
        painter.fillRect(self.rect(), veil)


def key_text(key: str) -> str:
    """A key as the platform writes it."""
    return (
        QKeySequence(key).toString(QKeySequence.SequenceFormat.NativeText).replace("Return", "Enter").replace("Escape", "Esc")
    )
