"""What stands in the place of the conversation while there is none: what to do next, for each state of the model."""

from __future__ import annotations

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QHBoxLayout, QLabel, QProgressBar, QPushButton, QVBoxLayout, QWidget

from playground.events import ModelState
from playground.gui import theme

EXAMPLES = ("Tell me a story about a fox.", "Repeat: red green blue", "What can you do?")


class ChatWelcome(QWidget):
    """Empty, loading, no model, failed."""

    example = Signal(str)
    action = Signal(str)
    """`choose_model` or `reload`"""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._action = "choose_model"
        self.title = QLabel()
        theme.mark(self.title, role="title")
        self.words = QLabel()
        self.words.setWordWrap(True)
        self.words.setMinimumWidth(420)
        theme.mark(self.words, role="muted")
        self.bar = QProgressBar()
        self.bar.setTextVisible(False)
        self.bar.setFixedWidth(280)
        self.bar.setAccessibleName("Loading the model")
        self.button = QPushButton()
        self.button.setObjectName("chat.welcome.action")
        theme.mark(self.button, role="primary")
        self.button.clicked.connect(lambda: self.action.emit(self._action))
        self.chips = []
        column = QVBoxLayout()
        column.setSpacing(theme.GRID)
        for widget in (self.title, self.words, self.bar):
            column.addWidget(widget, 0, Qt.AlignmentFlag.AlignLeft)
        column.addSpacing(theme.GRID)
        column.addWidget(self.button, 0, Qt.AlignmentFlag.AlignLeft)
        for number, text in enumerate(EXAMPLES):
            chip = QPushButton(text)
            chip.setObjectName(f"chat.example.{number}")
            chip.setToolTip("Puts this into the field below")
            chip.setCursor(Qt.CursorShape.PointingHandCursor)
            theme.mark(chip, role="example")
            chip.clicked.connect(lambda _checked=False, text=text: self.example.emit(text))
            self.chips.append(chip)
            column.addWidget(chip, 0, Qt.AlignmentFlag.AlignLeft)
        across = QHBoxLayout()
        across.addStretch(1)
        across.addLayout(column)
        across.addStretch(1)
        outer = QVBoxLayout(self)
        outer.setContentsMargins(24, 24, 24, 24)
        outer.addStretch(5)
        outer.addLayout(across)
        outer.addStretch(6)

    def show_state(self, model: ModelState) -> None:
        """Says what is the matter with the model, or that it is time to begin."""
        state = model.state
        ready, loading = state == "ready", state == "loading"
        name = model.name or "the model"
        if ready:
            words = f"{name} is loaded and answers on this computer. Move a slider while it writes: the next token obeys."
            self._say("What shall it write?", words)
        elif loading:
            self._say(f"Loading {name}…", "You can write already: a message waits until the model is there.")
        elif state == "failed":
            self._say("The model could not be loaded", " ".join(each for each in (model.message, model.hint) if each))
        elif state == "lost":
            self._say("The model's engine has stopped", " ".join(each for each in (model.message, model.hint) if each))
        else:
            self._say(
                "No model is loaded",
                "Choose one to talk to. The starter is small, comes with Playground and needs no download.",
            )
        self.bar.setVisible(loading)
        if loading:
            self.bar.setRange(0, 0 if model.fraction < 0 else 100)
            self.bar.setValue(max(0, round(model.fraction * 100)))
        self._action = "reload" if state == "lost" else "choose_model"
        self.button.setText("Load again" if state == "lost" else "Choose a model")
        self.button.setToolTip(
            "Loads the last model again" if state == "lost" else "Shows the starter and the models used lately"
        )
        self.button.setVisible(not ready and not loading)
        for chip in self.chips:
            chip.setVisible(ready or loading)

    def _say(self, title: str, words: str) -> None:
        self.title.setText(title)
        self.words.setText(words)
