"""The system prompt of a chat: one line that opens into a field."""

from __future__ import annotations

from PySide6.QtCore import QEvent, QObject, Qt, QTimer, Signal
from PySide6.QtGui import QFocusEvent
from PySide6.QtWidgets import QHBoxLayout, QPlainTextEdit, QToolButton, QVBoxLayout, QWidget

from playground.gui import theme
from playground.gui.widgets.elided_label import ElidedLabel

SETTLE_MS = 600


class SystemPrompt(QWidget):
    """`changed` tells the text once it has settled. Object names: `<page>.system` and `<page>.system_toggle`."""

    changed = Signal(str)

    def __init__(self, parent: QWidget | None = None, page: str = "chat") -> None:
        super().__init__(parent)
        self._told = ""
        self.button = QToolButton()
        self.button.setObjectName(f"{page}.system_toggle")
        self.button.setText("System prompt")
        self.button.setToolTip("What the model is told before the conversation: who it is and how it shall answer")
        self.button.setCheckable(True)
        self.button.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        theme.mark(self.button, role="section")
        theme.bind_icon(self.button, "chevron-right", "muted", 14)
        self._preview = ElidedLabel()
        theme.mark(self._preview, role="muted")
        self.field = QPlainTextEdit()
        self.field.setObjectName(f"{page}.system")
        self.field.setAccessibleName("System prompt")
        self.field.setPlaceholderText("You are a patient teacher. Answer in two sentences.")
        self.field.setTabChangesFocus(True)
        self.field.setFixedHeight(84)
        self.field.hide()
        self.field.installEventFilter(self)
        row = QHBoxLayout()
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(theme.GRID)
        row.addWidget(self.button)
        row.addWidget(self._preview, 1)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(4)
        column.addLayout(row)
        column.addWidget(self.field)
        self._timer = QTimer(self, singleShot=True, interval=SETTLE_MS)
        self._timer.timeout.connect(self.commit)
        self.field.textChanged.connect(self._typed)
        self.button.toggled.connect(self._unfold)

    def text(self) -> str:
        return self.field.toPlainText().strip()

    def set_text(self, text: str) -> None:
        """Shows a chat's system prompt; tells nobody. What is being typed is not overwritten."""
        self._told = text.strip()
        if self.text() != self._told:
            self.field.blockSignals(True)
            self.field.setPlainText(text)
            self.field.blockSignals(False)
        self._timer.stop()
        self._show_preview()

    @property
    def editing(self) -> bool:
        """Whether there is something that was not told yet."""
        return self._timer.isActive()

    def commit(self) -> None:
        """Tells a change that has not been told."""
        self._timer.stop()
        if self.text() != self._told:
            self._told = self.text()
            self.changed.emit(self._told)

    def _typed(self) -> None:
        self._timer.start()
        self._show_preview()

    def _unfold(self, shown: bool) -> None:
        theme.bind_icon(self.button, "chevron-down" if shown else "chevron-right", "muted", 14)
        self.field.setVisible(shown)
        if shown:
            self.field.setFocus()
        self._show_preview()

    def _show_preview(self) -> None:
        self._preview.setText("" if self.button.isChecked() else " ".join(self.text().split())[:300] or "none")

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if watched is self.field and isinstance(event, QFocusEvent) and event.lostFocus():
            self.commit()
        if watched is self.field and event.type() == QEvent.Type.KeyPress and event.key() == Qt.Key.Key_Escape:  # type: ignore[attr-defined]
            self.button.setChecked(False)
            self.button.setFocus()
            return True
        return super().eventFilter(watched, event)
