"""The fields of a prompt in the making: instruction, patterns, examples, question, and a value for every variable they name.

Shows a draft and says what stands in its fields; keeps none, and knows neither model nor session. Object names `builder.*`.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from PySide6.QtCore import Signal
from PySide6.QtWidgets import (
    QCheckBox,
    QFileDialog,
    QFormLayout,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QPlainTextEdit,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from playground.decoding.prompt_drafts import CUE, Draft, read_examples, variables_of
from playground.errors import DataError
from playground.gui import theme
from playground.gui.widgets.examples_table import ExamplesTable
from playground.gui.widgets.number_box import NumberBox


class DraftFields(QWidget):
    """See the module's docstring."""

    changed = Signal()
    refused = Signal(str, str)
    """examples that could not be taken: why, and a way out"""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._quiet = False
        self.variables: dict[str, QLineEdit] = {}
        self.name = self._line("title", "Title", "What this draft is called")
        self.instruction = self._text("instruction", "Instruction", "What to do, with {variables} in braces")
        self.input_pattern = self._line("input_pattern", "Input pattern", "How an input is written: {input} stands for it")
        self.output_pattern = self._line("output_pattern", "Output pattern", "How an output is written: {output} stands for it")
        self.examples = ExamplesTable()
        self.examples.setMinimumHeight(190)
        self.examples.changed.connect(self._edited)
        self.examples.refused.connect(lambda said: self.refused.emit(said, ""))
        self.add = self._button("add", "plus", "Add", "One more example")
        self.add.clicked.connect(lambda: self.examples.add())
        self.paste = self._button("paste", "copy", "Paste rows", "Rows copied from a table, two columns each")
        self.paste.clicked.connect(self.examples.paste)
        self.import_csv = self._button("import", "folder-open", "Import…", "A CSV file with two columns")
        self.import_csv.clicked.connect(self._choose_file)
        self.shots = NumberBox(-1, 999, 1, {-1: "all"})
        self.shots.setObjectName("builder.shots")
        self.shots.setAccessibleName("Examples shown")
        self.shots.setToolTip("How many of the examples the model sees: 0 is zero-shot, 1 one-shot")
        self.shots.setFixedWidth(72)
        theme.mark(self.shots, compact=True, filled=True)
        self.shots.valueChanged.connect(lambda _value: self._edited())
        self.cot = QCheckBox("Step by step")
        self.cot.setObjectName("builder.cot")
        self.cot.setToolTip("Chain of thought: the reply begins with this cue, so that the model writes its way to the answer")
        self.cue = self._line("cue", "Cue", CUE)
        self.cue.setPlaceholderText(CUE)
        self.cue.setEnabled(False)
        self.cot.toggled.connect(self.cue.setEnabled)
        self.cot.toggled.connect(lambda _on: self._edited())
        self.query = self._text("query", "Question", "The input that is asked about")
        self._build()

    def _button(self, name: str, icon: str, words: str, tip: str) -> QPushButton:
        button = QPushButton(words)
        button.setObjectName(f"builder.{name}")
        button.setAccessibleName(tip)
        button.setToolTip(tip)
        theme.mark(button, role="quiet")
        theme.bind_icon(button, icon, "text")
        return button

    def _line(self, name: str, words: str, tip: str) -> QLineEdit:
        field = QLineEdit()
        field.setObjectName(f"builder.{name}")
        field.setAccessibleName(words)
        field.setToolTip(tip)
        field.textChanged.connect(lambda _text: self._edited())
        return field

    def _text(self, name: str, words: str, tip: str) -> QPlainTextEdit:
        field = QPlainTextEdit()
        field.setObjectName(f"builder.{name}")
        field.setAccessibleName(words)
        field.setToolTip(tip)
        field.setTabChangesFocus(True)
        field.setFixedHeight(60)
        field.textChanged.connect(self._edited)
        return field

    def _build(self) -> None:
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(8)
        rows = QFormLayout()
        rows.setHorizontalSpacing(12)
        rows.setVerticalSpacing(8)
        rows.addRow("Title", self.name)
        rows.addRow("Instruction", self.instruction)
        rows.addRow("Input", self.input_pattern)
        rows.addRow("Output", self.output_pattern)
        column.addLayout(rows)
        self._values = QFormLayout()
        self._values.setHorizontalSpacing(12)
        column.addLayout(self._values)
        tools = QHBoxLayout()
        tools.addWidget(theme.mark(QLabel("Examples"), role="heading"))
        tools.addStretch(1)
        for each in (self.add, self.paste, self.import_csv):
            tools.addWidget(each)
        column.addLayout(tools)
        column.addWidget(self.examples, 1)
        lower = QHBoxLayout()
        lower.addWidget(QLabel("Show"))
        lower.addWidget(self.shots)
        lower.addSpacing(16)
        lower.addWidget(self.cot)
        lower.addWidget(self.cue, 1)
        column.addLayout(lower)
        column.addWidget(theme.mark(QLabel("Question"), role="heading"))
        column.addWidget(self.query)

    # -- the draft

    def show_draft(self, draft: Draft) -> None:
        """Another draft; `changed` is not told."""
        self._quiet = True
        self.name.setText(draft.title)
        self.instruction.setPlainText(draft.instruction)
        self.input_pattern.setText(draft.input_pattern)
        self.output_pattern.setText(draft.output_pattern)
        self.examples.show_examples(draft.examples)
        self.shots.setValue(draft.shots)
        self.cot.setChecked(bool(draft.cue))
        self.cue.setText(draft.cue)
        self.cue.setCursorPosition(0)
        self.query.setPlainText(draft.query)
        self.show_variables(draft)
        self._quiet = False

    def show_variables(self, draft: Draft) -> None:
        """A field for every variable that the texts name."""
        wanted = variables_of(draft)
        if tuple(self.variables) == wanted:
            for name, field in self.variables.items():
                if field.text() != draft.variables.get(name, ""):
                    field.setText(draft.variables.get(name, ""))
            return
        while self._values.rowCount():
            self._values.removeRow(0)
        self.variables = {}
        for name in wanted:
            field = QLineEdit(draft.variables.get(name, ""))
            field.setObjectName(f"builder.variable.{name}")
            field.setAccessibleName(f"Value of {name}")
            field.setToolTip(f"What stands in place of {{{name}}}")
            field.textChanged.connect(lambda _text: self._edited())
            self._values.addRow(f"{{{name}}}", field)
            self.variables[name] = field

    def read(self, draft: Draft) -> Draft:
        """A draft with what stands in the fields."""
        return replace(
            draft,
            title=self.name.text(),
            instruction=self.instruction.toPlainText(),
            input_pattern=self.input_pattern.text(),
            output_pattern=self.output_pattern.text(),
            examples=self.examples.examples(),
            shots=int(self.shots.value()),
            cue=(self.cue.text() or CUE) if self.cot.isChecked() else "",
            query=self.query.toPlainText(),
            variables={**draft.variables, **{name: field.text() for name, field in self.variables.items()}},
        )

    def _edited(self) -> None:
        if not self._quiet:
            self.changed.emit()

    # -- files

    def _choose_file(self) -> None:
        name, _ = QFileDialog.getOpenFileName(self, "A table of examples", "", "Tables (*.csv *.tsv *.txt);;All files (*)")
        if name:
            self.import_file(Path(name))

    def import_file(self, path: Path) -> None:
        """Adds the examples of a CSV file."""
        try:
            self.examples.add(read_examples(path.read_text(encoding="utf-8-sig")))
        except (OSError, UnicodeDecodeError) as error:
            self.refused.emit(f"{path.name} cannot be read: {error}.", "Choose a text file in UTF-8.")
        except DataError as error:
            self.refused.emit(f"{path.name}: {error.message}", error.hint)
