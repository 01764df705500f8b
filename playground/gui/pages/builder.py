"""Prompt builder: an instruction, examples and a question become a prompt, seen as the model will get it. A page below Chat.

What a draft comes to is `decoding.prompt_drafts`' knowledge; drafts are kept as they are typed. Object names `builder.*`.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from PySide6.QtCore import Qt, QTimer
from PySide6.QtWidgets import (
    QCheckBox,
    QComboBox,
    QFileDialog,
    QFormLayout,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QPlainTextEdit,
    QProgressBar,
    QPushButton,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from playground import events
from playground.decoding.prompt_drafts import CUE, READY, Draft, Rendered, read_examples, render, variables_of
from playground.errors import DataError, PlaygroundError
from playground.gui import theme
from playground.gui.pages import Desk
from playground.gui.widgets.examples_table import ExamplesTable
from playground.gui.widgets.number_box import NumberBox
from playground.gui.widgets.part_head import PartHead, scrolled
from playground.protocol import ChatMessage

KEEP_MS, COUNT_MS = 500, 250
OPEN = "builder.open"


class BuilderPage(QWidget):
    """See the module's docstring. A ready-made draft is stored only once it was changed."""

    title = "Prompt builder"
    icon = "list-plus"

    def __init__(self, desk: Desk, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        theme.mark(self, surface="surface")
        self.desk = desk
        self.draft = READY[0]
        self.draft_id = ""
        self._quiet = False
        self._kept: list[tuple[str, Draft]] = []
        self._asked = 0
        self._fields: dict[str, QLineEdit] = {}
        self.head = PartHead("builder", "Back to the chat")
        self.head.show_title("Prompt builder", "What examples in the prompt do: zero-shot, one-shot, few-shot")
        self.head.closed.connect(lambda: desk.open_page("chat"))
        self._make()
        self._build()
        self._keep = QTimer(self, singleShot=True, interval=KEEP_MS)
        self._keep.timeout.connect(self.keep_now)
        self._count = QTimer(self, singleShot=True, interval=COUNT_MS)
        self._count.timeout.connect(self._ask_count)
        self.setFocusProxy(self.query)
        self.show_draft(READY[0], remember=False)
        QTimer.singleShot(0, self, self._read_kept)

    def _make(self) -> None:
        self.choice = QComboBox()
        self.choice.setObjectName("builder.template")
        self.choice.setAccessibleName("Drafts and ready-made prompts")
        self.choice.setToolTip("Your drafts, and ready-made prompts to begin with")
        self.choice.activated.connect(self._choose)
        self.remove = self._tool("remove", "trash-2", "Throws this draft away")
        self.remove.clicked.connect(self.throw_away)
        self.name = self._line("title", "Title", "What this draft is called")
        self.instruction = self._field("instruction", "Instruction", "What to do, with {variables} in braces", 60)
        self.input_pattern = self._line("input_pattern", "Input pattern", "How an input is written: {input} stands for it")
        self.output_pattern = self._line("output_pattern", "Output pattern", "How an output is written: {output} stands for it")
        self.examples = ExamplesTable()
        self.examples.setMinimumHeight(190)
        self.examples.changed.connect(self._edited)
        self.examples.refused.connect(lambda said: self.desk.notify(said, "", "warning", key="builder"))
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
        self.cot.toggled.connect(lambda _on: self._edited())
        self.query = self._field("query", "Question", "The input that is asked about", 60)
        self.form = QComboBox()
        self.form.setObjectName("builder.form")
        self.form.setAccessibleName("Form of the prompt")
        self.form.setToolTip("Examples as questions and answers of a conversation, or everything in one message")
        self.form.addItem("Examples as chat turns", True)
        self.form.addItem("Everything in one message", False)
        self.form.currentIndexChanged.connect(lambda _place: self._edited())
        self.preview = QPlainTextEdit()
        self.preview.setObjectName("builder.preview")
        self.preview.setAccessibleName("The prompt as the model gets it")
        self.preview.setReadOnly(True)
        self.preview.setFont(theme.font("mono_small"))
        self.said = QLabel()
        self.said.setObjectName("builder.count")
        theme.mark(self.said, role="muted")
        self.gauge = QProgressBar()
        self.gauge.setObjectName("builder.gauge")
        self.gauge.setAccessibleName("Share of the context window")
        self.gauge.setTextVisible(False)
        self.gauge.setFixedWidth(120)
        self.chat = QPushButton("Ask in chat")
        self.chat.setObjectName("builder.chat")
        theme.mark(self.chat, role="primary")
        self.chat.clicked.connect(self.use_in_chat)
        self.compare = QPushButton("Use in Compare")
        self.compare.setObjectName("builder.compare")
        self.compare.setToolTip("A comparison with this prompt, everything in one message")
        self.compare.clicked.connect(self.use_in_compare)

    def _tool(self, name: str, icon: str, tip: str) -> QToolButton:
        button = QToolButton()
        button.setObjectName(f"builder.{name}")
        button.setAccessibleName(tip)
        button.setToolTip(tip)
        button.setFixedSize(32, 32)
        theme.bind_icon(button, icon, "muted", 16)
        return button

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

    def _field(self, name: str, words: str, tip: str, high: int) -> QPlainTextEdit:
        field = QPlainTextEdit()
        field.setObjectName(f"builder.{name}")
        field.setAccessibleName(words)
        field.setToolTip(tip)
        field.setTabChangesFocus(True)
        field.setFixedHeight(high)
        field.textChanged.connect(self._edited)
        return field

    def _build(self) -> None:
        inner = QWidget()
        column = QVBoxLayout(inner)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(8)
        top = QHBoxLayout()
        top.addWidget(self.choice, 1)
        top.addWidget(self.remove)
        column.addLayout(top)
        rows = QFormLayout()
        rows.setHorizontalSpacing(12)
        rows.setVerticalSpacing(8)
        rows.addRow("Title", self.name)
        rows.addRow("Instruction", self.instruction)
        rows.addRow("Input", self.input_pattern)
        rows.addRow("Output", self.output_pattern)
        column.addLayout(rows)
        self.variables = QFormLayout()
        self.variables.setHorizontalSpacing(12)
        column.addLayout(self.variables)
        tools = QHBoxLayout()
        tools.addWidget(_heading("Examples"))
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
        column.addWidget(_heading("Question"))
        column.addWidget(self.query)
        left = QVBoxLayout()
        left.setContentsMargins(24, 16, 8, 16)
        left.addWidget(scrolled(inner, 16))
        right = QVBoxLayout()
        right.setContentsMargins(8, 16, 24, 16)
        right.setSpacing(8)
        bar = QHBoxLayout()
        bar.addWidget(_heading("The prompt as the model gets it"))
        bar.addStretch(1)
        bar.addWidget(self.form)
        right.addLayout(bar)
        right.addWidget(self.preview, 1)
        facts = QHBoxLayout()
        facts.addWidget(self.gauge)
        facts.addWidget(self.said, 1)
        facts.addWidget(self.compare)
        facts.addWidget(self.chat)
        right.addLayout(facts)
        across = QHBoxLayout()
        across.addLayout(left, 1)
        across.addLayout(right, 1)
        whole = QVBoxLayout(self)
        whole.setContentsMargins(0, 0, 0, 0)
        whole.setSpacing(0)
        whole.addWidget(self.head)
        whole.addLayout(across, 1)

    # -- the draft

    def show_draft(self, draft: Draft, draft_id: str = "", remember: bool = True) -> None:
        """Another draft; what was typed into the one before is kept first."""
        self.keep_now()
        self._quiet = True
        self.draft, self.draft_id = draft, draft_id
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
        self.form.setCurrentIndex(0 if draft.as_turns else 1)
        self._quiet = False
        if remember:
            self.desk.preferences.set(OPEN, draft_id)
        self._show_variables()
        self._show_prompt()
        self._show_choice()

    def _edited(self) -> None:
        if self._quiet:
            return
        draft = self.read()
        if draft == self.draft:
            return
        self.draft = draft
        self._show_variables()
        self._show_prompt()
        self._keep.start()

    def read(self) -> Draft:
        """What stands in the fields."""
        self.cue.setEnabled(self.cot.isChecked())
        return replace(
            self.draft,
            title=self.name.text(),
            instruction=self.instruction.toPlainText(),
            input_pattern=self.input_pattern.text(),
            output_pattern=self.output_pattern.text(),
            examples=self.examples.examples(),
            shots=int(self.shots.value()),
            cue=(self.cue.text() or CUE) if self.cot.isChecked() else "",
            query=self.query.toPlainText(),
            as_turns=bool(self.form.currentData()),
            variables={**self.draft.variables, **{name: field.text() for name, field in self._fields.items()}},
        )

    def keep_now(self) -> None:
        """Writes what was changed; a ready-made one becomes a draft of one's own by that."""
        if hasattr(self, "_keep") and self._keep.isActive():
            self._keep.stop()
            try:
                self.draft_id = self.desk.session.drafts.keep(self.draft, self.draft_id)
            except PlaygroundError as error:
                self.desk.notify(error.message, error.hint, "warning", key="builder")
                return
            self.desk.preferences.set(OPEN, self.draft_id)
            self._read_kept(open_too=False)

    def throw_away(self) -> None:
        if not self.draft_id:
            return
        self._keep.stop()
        drafts, name, draft = self.desk.session.drafts, self.draft_id, self.draft
        drafts.throw_away(name)

        def undo() -> None:
            drafts.take_back(name)
            self.show_draft(draft, name)
            self._read_kept(open_too=False)

        self.show_draft(READY[0])
        self._read_kept(open_too=False)
        self.desk.notify(f"“{draft.title}” was thrown away.", "", "info", "Undo", "builder", undo)

    def _read_kept(self, open_too: bool = True) -> None:
        try:
            future = self.desk.session.drafts.all()
        except PlaygroundError:  # the store is not open yet: `StoreReady` will bring us here again
            return

        def found(kept: list[tuple[str, Draft]]) -> None:
            self._kept = kept
            wanted = self.desk.preferences.get(OPEN, "")
            mine = next((draft for name, draft in kept if name == wanted), None)
            if open_too and mine is not None and not self.draft_id and not self._keep.isActive():
                self.show_draft(mine, wanted)
            self._show_choice()

        self.desk.when_done(future, self, found, lambda error: None)

    def _show_choice(self) -> None:
        self.choice.blockSignals(True)
        self.choice.clear()
        for name, draft in self._kept:
            self.choice.addItem(draft.title or "Untitled", ("kept", name))
        if self._kept:
            self.choice.insertSeparator(self.choice.count())
        for place, draft in enumerate(READY):
            self.choice.addItem(f"Ready-made: {draft.title}", ("ready", place))
        self.choice.addItem("Empty", ("empty", 0))
        wanted = ("kept", self.draft_id)
        if not self.draft_id:
            ready = next((place for place, draft in enumerate(READY) if draft.title == self.draft.title), -1)
            wanted = ("ready", ready) if ready >= 0 else ("empty", 0)  # type: ignore[assignment]
        self.choice.setCurrentIndex(
            next((place for place in range(self.choice.count()) if self.choice.itemData(place) == wanted), -1)
        )
        self.choice.blockSignals(False)
        self.remove.setEnabled(bool(self.draft_id))

    def _choose(self, place: int) -> None:
        kind, which = self.choice.itemData(place)
        self.keep_now()
        if kind == "kept":
            draft = next((draft for name, draft in self._kept if name == which), None)
            if draft is not None:
                self.show_draft(draft, which)
        else:
            self.show_draft(READY[which] if kind == "ready" else Draft("Untitled"))

    # -- what is shown

    def _show_variables(self) -> None:
        """A field for every variable that the texts name."""
        wanted = variables_of(self.draft)
        if tuple(self._fields) == wanted:
            for name, field in self._fields.items():
                if field.text() != self.draft.variables.get(name, ""):
                    field.setText(self.draft.variables.get(name, ""))
            return
        while self.variables.rowCount():
            self.variables.removeRow(0)
        self._fields = {}
        for name in wanted:
            field = QLineEdit(self.draft.variables.get(name, ""))
            field.setObjectName(f"builder.variable.{name}")
            field.setAccessibleName(f"Value of {name}")
            field.setToolTip(f"What stands in place of {{{name}}}")
            field.textChanged.connect(lambda _text: self._edited())
            self.variables.addRow(f"{{{name}}}", field)
            self._fields[name] = field

    def _show_prompt(self) -> None:
        self.cue.setEnabled(self.cot.isChecked())
        if not self.preview.toPlainText() or self.desk.session.model.state != "ready":
            self.preview.setPlainText(render(self.draft).text)
        self._count.start()
        self._show_can_use()

    def _ask_count(self) -> None:
        """The prompt through the model's own template and tokenizer."""
        if self.desk.session.model.state != "ready":
            self.said.setText("Choose a model to see its tokens")
            self.preview.setPlainText(render(self.draft).text)
            return
        self._asked += 1
        turn, found = self._asked, render(self.draft)
        try:
            future = self.desk.session.lab.tokenize(messages=_messages(found), reply_start=found.reply_start)
        except PlaygroundError as error:
            self.said.setText(error.message)
            return
        self.desk.when_done(
            future, self, lambda answer: self._show_count(turn, answer), lambda error: self._no_count(turn, error)
        )

    def _show_count(self, turn: int, answer: Any) -> None:
        if turn != self._asked:
            return
        place = self.preview.verticalScrollBar().value()
        self.preview.setPlainText(answer.text)
        self.preview.verticalScrollBar().setValue(place)
        info = self.desk.session.model.info
        window, count = info.context if info else 0, len(answer.tokens)
        over = bool(window) and count >= window
        shots = len(self.draft.shown)
        kind = "zero-shot" if shots == 0 else "one-shot" if shots == 1 else f"{shots}-shot"
        missing = render(self.draft).missing
        words = f"{count:,} of {window:,} tokens, {kind}"
        if missing:
            words += f"; no value for {', '.join(missing)}"
        self.said.setText(f"{words}; it does not fit" if over else words)
        theme.mark(self.said, role="bad" if over else "warn" if missing else "muted")
        self.gauge.setRange(0, max(1, window))
        self.gauge.setValue(min(window, count))
        self._show_can_use(over)

    def _no_count(self, turn: int, error: BaseException) -> None:
        if turn == self._asked:
            self.said.setText(getattr(error, "message", str(error)))

    def _show_can_use(self, over: bool = False) -> None:
        ready = self.desk.session.model.state == "ready"
        asked = bool(self.draft.query.strip())
        why = (
            "Choose a model first"
            if not ready
            else "Write a question first"
            if not asked
            else "The prompt does not fit"
            if over
            else ""
        )
        self.chat.setEnabled(not why)
        self.chat.setToolTip(why or "A new chat with these turns before it, and the question asked")
        self.compare.setEnabled(asked)

    # -- use

    def use_in_chat(self) -> None:
        self.keep_now()
        found = render(self.draft)
        session = self.desk.session
        try:
            chat_id = session.drafts.as_chat(found.system, found.turns)
            session.send(chat_id, found.prompt, found.reply_start)
        except PlaygroundError as error:
            self.desk.notify(error.message, error.hint, "warning", key="builder")
            return
        self.desk.open_page("chat", chat_id=chat_id)

    def use_in_compare(self) -> None:
        """A comparison asks one message: examples are part of it."""
        self.keep_now()
        found = render(replace(self.draft, as_turns=False))
        comparison = self.desk.session.compare.new(found.prompt, title=self.draft.title)
        self.desk.open_page("compare", comparison_id=comparison)

    def _choose_file(self) -> None:
        name, _ = QFileDialog.getOpenFileName(self, "A table of examples", "", "Tables (*.csv *.tsv *.txt);;All files (*)")
        if name:
            self.import_file(Path(name))

    def import_file(self, path: Path) -> None:
        """Adds the examples of a CSV file."""
        try:
            self.examples.add(read_examples(path.read_text(encoding="utf-8-sig")))
        except (OSError, UnicodeDecodeError) as error:
            self.desk.notify(f"{path.name} cannot be read: {error}.", "Choose a text file in UTF-8.", "warning", key="builder")
        except DataError as error:
            self.desk.notify(f"{path.name}: {error.message}", error.hint, "warning", key="builder")

    # -- events

    def handle(self, event: Any) -> None:
        """An event of the session."""
        if isinstance(event, events.ModelState) and event.state in ("ready", "none", "lost", "failed"):
            self._count.start()
            self._show_can_use()
        elif isinstance(event, events.StoreReady):
            self._read_kept()

    def hideEvent(self, event: Any) -> None:
        super().hideEvent(event)
        self.keep_now()


def _messages(found: Rendered) -> list[ChatMessage]:
    turns = [(role, text) for pair in found.turns for role, text in zip(("user", "assistant"), pair, strict=True)]
    head = [ChatMessage("system", found.system)] if found.system else []
    return [*head, *(ChatMessage(role, text) for role, text in turns), ChatMessage("user", found.prompt)]


def _heading(text: str) -> QLabel:
    label = QLabel(text)
    label.setAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)
    theme.mark(label, role="heading")
    return label
