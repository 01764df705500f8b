"""A new capture: of which text, with which model, which layers and heads; what it will take is said before it is begun. Knows no page."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from PySide6.QtCore import Qt, QTimer, Signal
from PySide6.QtWidgets import (
    QCheckBox,
    QComboBox,
    QFileDialog,
    QFrame,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QPlainTextEdit,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from playground.errors import PlaygroundError, SettingError
from playground.gui import theme
from playground.gui.pages import Desk
from playground.gui.widgets.amounts import size
from playground.gui.widgets.inside_state import InsideState
from playground.gui.widgets.part_head import PartHead

WIDE = 720
PAUSE_MS = 250
BYTES_A_TOKEN = 3.6
"""of a text whose tokens cannot be counted before its model is loaded: an English one's, roughly"""
_TIP = Qt.ItemDataRole.ToolTipRole


class InsideNew(QFrame):
    """Object names: `inside.new_text`, `inside.new_second`, `inside.new_model`, `inside.new_layers`, `inside.new_heads`, `inside.new_template`,
    `inside.new_exact`, `inside.new_size`, `inside.capture`, and those of its head, `inside.new_part`.
    """

    wanted = Signal(object)
    """a `CaptureRequest`"""
    closed = Signal()

    def __init__(self, desk: Desk, state: InsideState, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        theme.mark(self, surface="surface")
        self._desk, self._state = desk, state
        self._refused = ""
        self._counted = 0
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(PAUSE_MS)
        self._timer.timeout.connect(self._measure)
        self.head = PartHead("inside.new_part", "Back to the captures")
        self.head.show_title("New capture", "What the model looks at while it reads a text, in every layer and head")
        self.head.closed.connect(self.closed)
        self.text = QPlainTextEdit()
        self.text.setObjectName("inside.new_text")
        self.text.setAccessibleName("Text")
        self.text.setToolTip("Every token of it will be a row and a column of the maps")
        self.text.setPlaceholderText("A text. One that repeats itself shows induction heads: The cat sat. The cat sat.")
        self.text.setTabChangesFocus(True)
        self.model = QComboBox()
        self.model.setObjectName("inside.new_model")
        self.model.setAccessibleName("Model")
        self.model.setToolTip("The loaded model, or another one, which is loaded beside it for this; encoders too")
        self.second = QLineEdit()
        self.second.setObjectName("inside.new_second")
        self.second.setAccessibleName("Second text")
        self._second_heading = _heading("Second text", self.second)
        self.layers = self._line("inside.new_layers", "Layers")
        self.heads = self._line("inside.new_heads", "Heads")
        self.template = QCheckBox("As the first message of a chat")
        self.template.setObjectName("inside.new_template")
        self.template.setAccessibleName("As the first message of a chat")
        self.template.setToolTip("Puts the model's chat template around it; else the text is read as it stands")
        self.exact = QCheckBox("Keep the weights as they are computed")
        self.exact.setObjectName("inside.new_exact")
        self.exact.setAccessibleName("Keep the weights as they are computed")
        self.exact.setToolTip(
            "32 bits each, whatever that takes; else 8 bits in short texts, and queries and keys in long ones"
        )
        self.takes = QLabel()
        self.takes.setObjectName("inside.new_size")
        self.takes.setWordWrap(True)
        self.takes.setMinimumHeight(40)
        self.go = QPushButton("Capture")
        self.go.setObjectName("inside.capture")
        self.go.setAccessibleName("Capture")
        theme.mark(self.go, role="primary")
        self.go.clicked.connect(self._press)
        self._build()
        self.text.textChanged.connect(self._changed)
        self.model.activated.connect(self._model_chosen)
        for line in (self.layers, self.heads):
            line.textChanged.connect(self._changed)
        self.second.textChanged.connect(self._changed)
        for check in (self.template, self.exact):
            check.toggled.connect(self._changed)
        self.show_models()

    def _line(self, name: str, title: str) -> QLineEdit:
        line = QLineEdit()
        line.setObjectName(name)
        line.setAccessibleName(title)
        line.setPlaceholderText("all")
        line.setToolTip(f"{title} by their numbers, as 0, 4, 8-11; empty for all of them")
        return line

    def _build(self) -> None:
        inner = QWidget()
        inner.setMaximumWidth(WIDE)
        column = QVBoxLayout(inner)
        column.setContentsMargins(24, 16, 24, 16)
        column.setSpacing(8)
        column.addWidget(_heading("Text", self.text))
        column.addWidget(self.text, 1)
        column.addWidget(self._second_heading)
        column.addWidget(self.second)
        column.addWidget(self.template)
        column.addSpacing(8)
        grid = QGridLayout()
        grid.setHorizontalSpacing(16)
        grid.setVerticalSpacing(4)
        for place, (title, box, stretch) in enumerate(
            (("Model", self.model, 2), ("Layers", self.layers, 1), ("Heads", self.heads, 1))
        ):
            grid.addWidget(_heading(title, box), 0, place)
            grid.addWidget(box, 1, place)
            grid.setColumnStretch(place, stretch)
        column.addLayout(grid)
        column.addWidget(self.exact)
        column.addSpacing(8)
        foot = QHBoxLayout()
        foot.setSpacing(16)
        foot.addWidget(self.takes, 1)
        foot.addWidget(self.go)
        column.addLayout(foot)
        across = QHBoxLayout()
        across.addStretch(1)
        across.addWidget(inner, 1000)
        across.addStretch(1)
        whole = QVBoxLayout(self)
        whole.setContentsMargins(0, 0, 0, 0)
        whole.setSpacing(0)
        whole.addWidget(self.head)
        whole.addLayout(across, 1)

    # -- what can be chosen

    def show_models(self) -> None:
        """The loaded model, those used lately, and the way to others."""
        chosen = self.model.currentData()
        state = self._desk.session.model
        self.model.clear()
        self.model.addItem(f"{state.name} (loaded)" if state.state == "ready" else "The loaded model", "")
        for path in self._desk.preferences.get("recent_models"):
            if isinstance(path, str) and path not in (state.path, "starter") and Path(path).exists():
                self._add_model(path)
        self.model.addItem("A model folder…", None)
        self.model.setCurrentIndex(max(0, self.model.findData(chosen)) if chosen else 0)
        self._model_changed()

    def set_model(self, path: str) -> None:
        """Another model than the loaded one, by its path."""
        if self.model.findData(path) < 0:
            self._add_model(path, self.model.count() - 1)
        self.model.setCurrentIndex(self.model.findData(path))
        self._model_changed()

    def _add_model(self, path: str, place: int = -1) -> None:
        place = self.model.count() if place < 0 else place
        self.model.insertItem(place, Path(path).stem if Path(path).suffix == ".gguf" else Path(path).name, path)
        self.model.setItemData(place, path, _TIP)

    def _model_chosen(self, place: int) -> None:
        if self.model.itemData(place) is not None:
            self._model_changed()
            return
        self.model.setCurrentIndex(0)
        dialog = QFileDialog(self, "A model folder")
        dialog.setObjectName("inside.new_folder")
        dialog.setFileMode(QFileDialog.FileMode.Directory)
        dialog.fileSelected.connect(self.set_model)
        dialog.finished.connect(lambda _result: dialog.deleteLater())
        dialog.open()

    # -- what it will take

    def request(self) -> Any:
        """What is asked for. SettingError where layers or heads are none."""
        from playground.protocol import ChatMessage
        from playground.session.inside import CaptureRequest

        text = self.text.toPlainText()
        messages = (ChatMessage("user", text),) if self.template.isChecked() else ()
        return CaptureRequest(
            "" if messages else text,
            messages,
            layers=numbers(self.layers.text(), "layers"),
            heads=numbers(self.heads.text(), "heads"),
            exact=self.exact.isChecked(),
            model=self.model.currentData() or "",
            target_text=self.second.text() if not self.second.isHidden() else "",
        )

    def _changed(self) -> None:
        self._refused = ""
        self._counted = 0
        self._timer.start()
        self._show_can_go()

    def _model_changed(self) -> None:
        self._show_second()
        self._changed()

    def _show_second(self) -> None:
        """A model that reads may be given a second text: an encoder to compare, one that also writes what it is to have written."""
        from playground.session.reading_models import is_encoder, writes_another

        path = Path(self.model.currentData() or "")
        reads = path.is_dir() and bool(self.model.currentData()) and is_encoder(path)
        writes = reads and writes_another(path)
        self._second_heading.setVisible(reads)
        self.second.setVisible(reads)
        self.second.setPlaceholderText("what the model writes, word for word; empty: what it likes best" if writes else "none")
        self.second.setToolTip(
            "The text that the first is turned into" if writes else "Read after the first, as a pair of texts"
        )
        self.template.setVisible(not reads)
        if reads:
            self.template.setChecked(False)

    def _measure(self) -> None:
        """Counts the tokens where the loaded model is to read them, then asks what the capture will take."""
        text, model = self.text.toPlainText(), self._desk.session.model
        if not text:
            self._say("")
            return
        guess = max(1, round(len(text.encode("utf-8", "replace")) / BYTES_A_TOKEN))
        if self.model.currentData() or model.state != "ready" or self._desk.session.busy:
            self._ask_size(guess, True)
            return
        try:
            request = self.request()
            future = self._desk.session.lab.tokenize(request.text, request.messages)
        except PlaygroundError as error:
            self._refuse(error)
            return
        self._desk.when_done(
            future, self, lambda found: self._ask_size(len(found.tokens), False), lambda _error: self._ask_size(guess, True)
        )

    def _ask_size(self, tokens: int, guessed: bool) -> None:
        self._counted = 0 if guessed else tokens
        try:
            request = self.request()
        except SettingError as error:
            self._refuse(error)
            return
        inside = self._desk.session.inside

        def work() -> tuple[int, str]:
            from playground.inside.store import path_of, refuse_too_large

            found = inside.size(tokens, len(request.layers), len(request.heads), request.exact, request.model)
            try:
                refuse_too_large(path_of(inside.folder, "new"), found, inside.limit)
            except PlaygroundError as error:
                return found, f"{error.message} Take fewer layers or heads, or a shorter text."
            return found, ""

        self._state.ask("size", work, self, lambda found: self._show_size(tokens, guessed, *found), self._refuse, "disk")

    def _show_size(self, tokens: int, guessed: bool, found: int, refused: str) -> None:
        if not self.text.toPlainText():
            return
        room = self._desk.session.model.info.context if self._counted and self._desk.session.model.info else 0
        if room and tokens > room:
            refused = (
                f"The text has {tokens:,} tokens; the model was loaded with room for {room:,}. Shorten it, or load with more."
            )
        self._refused = refused
        about = "about " if guessed else ""
        takes = f"{about}{size(found)} on the disk" if found else "its size is known once the model is loaded"
        self._say(refused or f"{about.capitalize()}{tokens:,} tokens, {takes}", bool(refused))

    def _refuse(self, error: BaseException) -> None:
        message = getattr(error, "message", "")
        if not message:
            raise error
        self._refused = f"{message} {getattr(error, 'hint', '')}".strip()
        self._say(self._refused, True)

    def _say(self, text: str, bad: bool = False) -> None:
        self.takes.setText(text)
        theme.mark(self.takes, role="bad" if bad else "muted")
        self._show_can_go()

    def _show_can_go(self) -> None:
        session = self._desk.session
        ready = bool(self.model.currentData()) or session.model.state == "ready"
        text = bool(self.text.toPlainText())
        self.go.setEnabled(ready and text and not self._refused)
        why = "" if text else "Write a text first"
        self.go.setToolTip(self._refused or ("" if ready else "Choose a model first") or why or "Begins; the page can be left")

    def _press(self) -> None:
        try:
            self.wanted.emit(self.request())
        except SettingError as error:
            self._refuse(error)

    def handle_model(self) -> None:
        """Another model is loaded, or none."""
        self.show_models()


def numbers(text: str, what: str) -> tuple[int, ...]:
    """`0, 4, 8-11` as numbers, in their order, each once. SettingError for anything else."""
    found: set[int] = set()
    for part in filter(None, re.split(r"[\s,;]+", re.sub(r"\s*[-–]\s*", "-", text.strip()))):
        match = re.fullmatch(r"(\d{1,4})(?:-(\d{1,4}))?", part)
        if match is None or int(match[2] or match[1]) < int(match[1]):
            raise SettingError(f"'{part}' is no number of {what}.", f"Write {what} as 0, 4, 8-11, or nothing for all.")
        found.update(range(int(match[1]), int(match[2] or match[1]) + 1))
    return tuple(sorted(found))


def _heading(text: str, buddy: QWidget) -> QLabel:
    label = QLabel(text)
    label.setBuddy(buddy)
    theme.mark(label, role="heading")
    return label
