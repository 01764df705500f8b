"""What a gated model asks for: one sentence, the way to its page, and a field for the hub's token. The token is shown nowhere."""

from __future__ import annotations

from PySide6.QtCore import QUrl, Signal
from PySide6.QtGui import QDesktopServices
from PySide6.QtWidgets import QFrame, QLabel, QLineEdit, QPushButton, QVBoxLayout, QWidget

from playground.gui import theme
from playground.gui.form import line


class TokenField(QFrame):
    """Object names: `<name>.gate`, `<name>.token`, `<name>.token.save`, `<name>.gate.page`. `entered(token)` when one is to be kept."""

    entered = Signal(str)

    def __init__(self, name: str = "models", parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName(f"{name}.gate")
        theme.mark(self, notice="warning")
        self._address = ""
        column = QVBoxLayout(self)
        column.setContentsMargins(16, 12, 16, 12)
        column.setSpacing(8)
        self.sentence = QLabel()
        self.sentence.setObjectName(f"{name}.gate.sentence")
        self.sentence.setWordWrap(True)
        column.addWidget(self.sentence)
        self.field = QLineEdit()
        self.field.setObjectName(f"{name}.token")
        self.field.setAccessibleName("Hugging Face token")
        self.field.setToolTip(
            "From huggingface.co/settings/tokens; it goes into the system's keyring, and into no log or database"
        )
        self.field.setPlaceholderText("Hugging Face token")
        self.field.setEchoMode(QLineEdit.EchoMode.Password)
        self.field.setMaximumWidth(280)
        self.field.returnPressed.connect(self._enter)
        self.save = QPushButton("Use this token")
        self.save.setObjectName(f"{name}.token.save")
        self.save.setToolTip("Keeps the token and asks again")
        self.save.clicked.connect(self._enter)
        self.page = QPushButton("Open its page")
        self.page.setObjectName(f"{name}.gate.page")
        self.page.setToolTip("Opens the model's page in the browser, where its terms are accepted")
        theme.mark(self.page, role="link")
        self.page.clicked.connect(lambda: QDesktopServices.openUrl(QUrl(self._address)))
        row = line(self.field, self.save, self.page, 1)
        row.setStretch(0, 1)
        column.addLayout(row)
        self.hide()

    def ask(self, sentence: str, address: str) -> None:
        """Shows what is missing, and where it is to be had."""
        self._address = address
        self.sentence.setText(sentence)
        self.page.setVisible(address.startswith("https://"))
        self.show()

    def say(self, sentence: str) -> None:
        """What became of the token."""
        self.sentence.setText(sentence)
        self.save.setEnabled(True)

    def _enter(self) -> None:
        token = self.field.text().strip()
        if token:
            self.field.clear()
            self.save.setEnabled(False)
            self.entered.emit(token)
