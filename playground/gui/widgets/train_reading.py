"""How a file of data is read, as a guess that can be corrected: its format, and which column holds what. Knows guesses and no file.

Object names: `train.rows.form`, `.encoding`, `.delimiter`, `.header`, `.schema`, and for each part of a row `train.rows.column.<part>`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QCheckBox, QComboBox, QGridLayout, QLabel, QVBoxLayout, QWidget

from playground.gui import theme
from playground.training.columns import TITLES
from playground.training.scan import Guess

FORMS = {"jsonl": "JSON Lines", "json": "JSON", "csv": "CSV", "tsv": "TSV", "parquet": "Parquet", "text": "Plain text"}
ENCODINGS = {
    "utf-8": "UTF-8",
    "utf-8-sig": "UTF-8 with a mark",
    "utf-16": "UTF-16",
    "windows-1252": "Windows-1252",
    "latin-1": "Latin-1",
}
DELIMITERS = {",": "Comma", ";": "Semicolon", "\t": "Tab", "|": "Bar"}
PARTS = {
    "messages": ("Messages", "The column with the list of messages, each with who speaks and what"),
    "system": ("System prompt", "A column with a system prompt for its row"),
    "question": ("Question", "The column with what is asked: the prompt, the instruction"),
    "input": ("Input", "A column with a text that the question is about"),
    "answer": ("Answer", "The column with what is to be learned"),
    "rejected": ("Rejected", "The column with the answer that was liked less"),
    "text": ("Text", "The column with the text that is learned as it stands"),
}
OF = {
    "chat": ("messages", "system"),
    "answers": ("question", "input", "answer", "system"),
    "pairs": ("question", "answer", "rejected", "system"),
    "text": ("text",),
}
NEEDED = {"chat": ("messages",), "answers": ("question", "answer"), "pairs": ("answer", "rejected"), "text": ("text",)}


class RowsReading(QWidget):
    """`show_guess` sets what is shown; `corrected(guess)` tells of a change by hand, once it says enough to read by.

    It is whole when `make_columns` was called: a dozen boxes at once would be a long step.
    """

    corrected = Signal(object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._guess: Guess | None = None
        self._quiet = False
        self.form = self._combo("train.rows.form", "Format", "How the file is written", FORMS)
        self.encoding = self._combo("train.rows.encoding", "Encoding", "Which bytes stand for which letters", ENCODINGS)
        self.delimiter = self._combo(
            "train.rows.delimiter", "Separator", "What stands between the cells of a table", DELIMITERS
        )
        self.header = QCheckBox("Names in the first row", self)
        self.header.setObjectName("train.rows.header")
        self.header.setToolTip("Otherwise it is a row like all others")
        self.header.toggled.connect(lambda _on: self._read_anew())
        kinds = {schema: title for schema, title in TITLES.items() if schema}
        self.schema = self._combo("train.rows.schema", "Rows are", "What a row holds", kinds)
        for box in (self.form, self.encoding, self.delimiter):
            box.activated.connect(lambda _place: self._read_anew())
        self.schema.activated.connect(lambda _place: self._kind_chosen())
        self.columns: dict[str, QComboBox] = {}
        self._rows: dict[QComboBox, QLabel] = {}
        self._grid = grid = QGridLayout()
        grid.setHorizontalSpacing(16)
        grid.setVerticalSpacing(8)
        grid.setColumnStretch(1, 1)
        for box in (self.form, self.encoding, self.delimiter):
            self._place(box)
        grid.addWidget(self.header, 3, 1)
        self._place(self.schema)
        self.notes = QLabel(self)
        self.notes.setObjectName("train.rows.notes")
        self.notes.setWordWrap(True)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(8)
        column.addLayout(grid)
        column.addWidget(self.notes)

    def make_columns(self) -> None:
        """A box for each part of a row: which column holds it."""
        for part, (title, tip) in PARTS.items():
            box = self.columns[part] = self._combo(f"train.rows.column.{part}", title, tip, {})
            box.activated.connect(lambda _place: self._columns_chosen())
            self._place(box)

    def _place(self, box: QComboBox) -> None:
        """Its line, below those that are there."""
        at = len(self._rows) if len(self._rows) < 3 else len(self._rows) + 1
        label = self._rows[box] = QLabel(box.accessibleName(), self)
        label.setBuddy(box)
        theme.mark(label, role="small")
        self._grid.addWidget(label, at, 0)
        self._grid.addWidget(box, at, 1)

    def _combo(self, name: str, said: str, tip: str, items: dict[str, str]) -> QComboBox:
        box = QComboBox(self)
        box.setObjectName(name)
        box.setAccessibleName(said)
        box.setToolTip(tip)
        box.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        box.setMinimumContentsLength(8)
        theme.mark(box, compact=True)
        for value, text in items.items():
            box.addItem(text, value)
        return box

    def show_guess(self, guess: Guess) -> None:
        self._quiet = True
        self._guess = guess
        reading = guess.reading
        for box, value in (
            (self.form, reading.form),
            (self.encoding, reading.encoding),
            (self.delimiter, reading.delimiter),
            (self.schema, guess.schema),
        ):
            if value and box.findData(value) < 0:
                box.addItem(value, value)
            box.setCurrentIndex(box.findData(value))
        self.header.setChecked(reading.header)
        for part, box in self.columns.items():
            box.clear()
            if part not in NEEDED.get(guess.schema, ()):
                box.addItem("none", "")
            for name in guess.columns:
                box.addItem(name, name)
            box.setCurrentIndex(box.findData(guess.names.get(part, "")))
        self._show_rows(guess.schema)
        self._say(guess.notes if guess.schema else ("Nothing tells which column is to be learned: choose what the rows are.",))
        theme.mark(self.notes, role="muted" if guess.sure else "warn")
        self._quiet = False

    def _show_rows(self, schema: str) -> None:
        """What there is to choose: columns of what has columns, a separator of tables."""
        table, plain = self.form.currentData() in ("csv", "tsv"), self.form.currentData() == "text"
        self._show(self.delimiter, self.form.currentData() == "csv")
        self.header.setVisible(table)
        self._show(self.encoding, self.form.currentData() != "parquet")
        self._show(self.schema, not plain)
        for part, box in self.columns.items():
            self._show(box, part in OF.get(schema, ()) and not plain)

    def _show(self, box: QComboBox, wanted: bool) -> None:
        box.setVisible(wanted)
        self._rows[box].setVisible(wanted)

    def _say(self, notes: Sequence[str]) -> None:
        self.notes.setText("\n".join(notes))
        self.notes.setVisible(bool(notes))

    # -- corrections

    def _read_anew(self) -> None:
        """Another way to read: the columns may be others, and are recognised again."""
        if self._quiet or self._guess is None:
            return
        form: Any = self.form.currentData()
        delimiter = "\t" if form == "tsv" else str(self.delimiter.currentData() or ",")
        encoding = str(self.encoding.currentData() or "utf-8")
        reading = replace(
            self._guess.reading, form=form, encoding=encoding, delimiter=delimiter, header=self.header.isChecked()
        )
        self.corrected.emit(replace(self._guess, reading=reading, schema="", names={}, columns=()))

    def _kind_chosen(self) -> None:
        """Columns keep what they hold where the new kind has such a part; what is missing waits for the user."""
        if self._guess is None:
            return
        schema = str(self.schema.currentData())
        names = {part: name for part, name in self._guess.names.items() if part in OF[schema]}
        free = [name for name in self._guess.columns if name not in names.values()]
        for part in NEEDED[schema]:
            if part not in names and free:
                names[part] = free.pop(0)
        self._take(replace(self._guess, schema=schema, names=names, sure=True))

    def _columns_chosen(self) -> None:
        if self._guess is None or self._quiet:
            return
        chosen = {part: str(box.currentData() or "") for part, box in self.columns.items() if part in OF[self._guess.schema]}
        self._take(replace(self._guess, names={part: name for part, name in chosen.items() if name}, sure=True))

    def _take(self, guess: Guess) -> None:
        guess = replace(guess, notes=tuple(each for each in guess.notes if "check them" not in each))
        self.show_guess(guess)
        missing = [PARTS[part][0].lower() for part in NEEDED[guess.schema] if part not in guess.names]
        if missing:
            self._say((f"Choose the column for: {', '.join(missing)}.",))
        else:
            self.corrected.emit(guess)
