"""A field for a file or folder with a button that asks for it. Knows paths and nothing of what lies there."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QDragEnterEvent, QDropEvent
from PySide6.QtWidgets import QFileDialog, QHBoxLayout, QLineEdit, QToolButton, QWidget

from playground.gui import theme


class PathRow(QWidget):
    """Object names: `name` is the field, `<name>.browse` the button. Files can be dropped on it. `changed(text)` tells of every change."""

    changed = Signal(str)

    def __init__(
        self,
        name: str,
        said: str,
        tip: str,
        mode: QFileDialog.FileMode = QFileDialog.FileMode.ExistingFile,
        kinds: str = "",
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self._mode, self._kinds, self._said = mode, kinds, said
        self.setAcceptDrops(True)
        self.field = QLineEdit()
        self.field.setObjectName(name)
        self.field.setAccessibleName(said)
        self.field.setToolTip(tip)
        self.field.setAcceptDrops(False)
        self.field.textChanged.connect(self.changed)
        theme.mark(self.field, compact=True)
        self.browse = QToolButton()
        self.browse.setObjectName(f"{name}.browse")
        self.browse.setAccessibleName(f"Choose: {said}")
        self.browse.setToolTip("Chooses it in a dialog")
        self.browse.setFixedSize(28, 28)
        theme.bind_icon(self.browse, "folder-open", "muted")
        self.browse.clicked.connect(self.ask)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(4)
        row.addWidget(self.field, 1)
        row.addWidget(self.browse)
        self.setFocusProxy(self.field)

    def text(self) -> str:
        return self.field.text().strip()

    def set_text(self, text: str) -> None:
        self.field.setText(text)

    def set_hint(self, text: str) -> None:
        """What stands there while it is empty."""
        self.field.setPlaceholderText(text)

    def ask(self) -> None:
        """Opens the dialog; nothing waits for it."""
        start = Path(self.text()).expanduser() if self.text() else Path.home()
        dialog = QFileDialog(self.window(), self._said, str(start if start.is_dir() else start.parent), self._kinds)
        dialog.setObjectName(f"{self.field.objectName()}.dialog")
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.setFileMode(self._mode)
        if self._mode == QFileDialog.FileMode.AnyFile:
            dialog.setAcceptMode(QFileDialog.AcceptMode.AcceptSave)
        dialog.fileSelected.connect(self.set_text)
        dialog.open()

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        if any(url.isLocalFile() for url in event.mimeData().urls()):
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent) -> None:
        for url in event.mimeData().urls():
            if url.isLocalFile():
                event.acceptProposedAction()
                self.set_text(url.toLocalFile())
                return
