"""A message being edited where it stands. Ctrl+Enter keeps it, Esc leaves it as it was."""

from __future__ import annotations

from PySide6.QtCore import QEvent, QObject, Qt, Signal
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import QHBoxLayout, QLabel, QPlainTextEdit, QPushButton, QVBoxLayout, QWidget

from playground.gui import theme

TALLEST = 320


class MessageEdit(QWidget):
    """A field with two buttons under it."""

    kept = Signal(str)
    left = Signal()
    resized = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.field = QPlainTextEdit()
        self.field.setObjectName("chat.edit")
        self.field.setAccessibleName("Edit the message")
        self.field.setTabChangesFocus(True)
        self.field.installEventFilter(self)
        self.field.textChanged.connect(self.resized)
        self.keep = QPushButton()
        self.keep.setObjectName("chat.edit.keep")
        theme.mark(self.keep, role="primary")
        self.leave = QPushButton("Cancel")
        self.leave.setObjectName("chat.edit.leave")
        theme.mark(self.leave, role="quiet")
        self.leave.setToolTip("Leaves the message as it was (Esc)")
        self._hint = QLabel()
        theme.mark(self._hint, role="muted")
        row = QHBoxLayout()
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self._hint, 1)
        row.addWidget(self.leave)
        row.addWidget(self.keep)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(theme.GRID)
        column.addWidget(self.field, 1)
        column.addLayout(row)
        self.keep.clicked.connect(self._keep)
        self.leave.clicked.connect(self.left)

    def begin(self, text: str, role: str) -> None:
        """Fills the field and takes the keyboard."""
        self.field.setPlainText(text)
        self.keep.setText("Send" if role == "user" else "Save")
        self.keep.setToolTip(
            "Sends the new version and has it answered (Ctrl+Enter)"
            if role == "user"
            else "Keeps the text as another version (Ctrl+Enter)"
        )
        self._hint.setText("The earlier version stays.")
        self.field.moveCursor(self.field.textCursor().MoveOperation.End)
        self.field.setFocus()

    def height_for(self, width: int) -> int:
        """Grows with its text up to a limit."""
        metrics = self.field.fontMetrics()
        lines = 0
        for line in self.field.toPlainText().split("\n"):
            lines += 1 + metrics.horizontalAdvance(line) // max(1, width - 32)
            if lines > 20:
                break
        return min(TALLEST, max(2, lines) * metrics.lineSpacing() + 20) + theme.GRID + theme.CONTROL + 4

    def _keep(self) -> None:
        if self.field.toPlainText().strip():
            self.kept.emit(self.field.toPlainText())

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if watched is self.field and isinstance(event, QKeyEvent) and event.type() == QEvent.Type.KeyPress:
            if event.key() == Qt.Key.Key_Escape:
                self.left.emit()
                return True
            if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter) and event.modifiers() & Qt.KeyboardModifier.ControlModifier:
                self._keep()
                return True
        return super().eventFilter(watched, event)
