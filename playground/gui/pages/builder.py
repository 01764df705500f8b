"""Prompt builder: an instruction, examples and a question become a prompt, seen as the model will get it. A page below Chat.

What a draft comes to is `decoding.prompt_drafts`' knowledge, how it is typed `draft_fields`'; drafts are kept as they are typed. Object
names `builder.*`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from PySide6.QtCore import QTimer
from PySide6.QtWidgets import (
    QComboBox,
    QHBoxLayout,
    QLabel,
    QPlainTextEdit,
    QProgressBar,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from playground import events
from playground.decoding.prompt_drafts import READY, Draft, Rendered, render
from playground.errors import PlaygroundError
from playground.gui import theme
from playground.gui.pages import Desk
from playground.gui.widgets.draft_fields import DraftFields
from playground.gui.widgets.icon_button import icon_button
from playground.gui.widgets.part_head import PartHead, scrolled
from playground.protocol import ChatMessage

KEEP_MS, COUNT_MS = 500, 250
OPEN = "builder.open"
FIELDS = 400
"""least width of the fields: nothing of them may be out of reach"""


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
        self._kept: list[tuple[str, Draft]] = []
        self._asked = 0
        self._keep = QTimer(self, singleShot=True, interval=KEEP_MS)
        self._keep.timeout.connect(self.keep_now)
        self._count = QTimer(self, singleShot=True, interval=COUNT_MS)
        self._count.timeout.connect(self._ask_count)
        self.head = PartHead("builder", "Back to the chat")
        self.head.show_title("Prompt builder", "What examples in the prompt do: zero-shot, one-shot, few-shot")
        self.head.closed.connect(lambda: desk.open_page("chat"))
        self.fields = DraftFields()
        self.fields.changed.connect(self._edited)
        self.fields.refused.connect(lambda said, hint: desk.notify(said, hint, "warning", key="builder"))
        self._make()
        self._build()
        self.setFocusProxy(self.fields.query)
        self.show_draft(READY[0], remember=False)
        QTimer.singleShot(0, self, self._read_kept)

    def _make(self) -> None:
        self.choice = QComboBox()
        self.choice.setObjectName("builder.template")
        self.choice.setAccessibleName("Drafts and ready-made prompts")
        self.choice.setToolTip("Your drafts, and ready-made prompts to begin with")
        self.choice.activated.connect(self._choose)
        self.remove = icon_button("builder.remove", "trash-2", "Throws this draft away", drawn=16)
        self.remove.clicked.connect(self.throw_away)
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

    def _build(self) -> None:
        inner = QWidget()
        column = QVBoxLayout(inner)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(8)
        top = QHBoxLayout()
        top.addWidget(self.choice, 1)
        top.addWidget(self.remove)
        column.addLayout(top)
        column.addWidget(self.fields, 1)
        left = QVBoxLayout()
        left.setContentsMargins(24, 16, 8, 16)
        area = scrolled(inner, 16)
        area.setMinimumWidth(FIELDS)
        left.addWidget(area)
        right = QVBoxLayout()
        right.setContentsMargins(8, 16, 24, 16)
        right.setSpacing(8)
        bar = QHBoxLayout()
        bar.addWidget(theme.mark(QLabel("The prompt as the model gets it"), role="heading"))
        bar.addStretch(1)
        bar.addWidget(self.form)
        right.addLayout(bar)
        right.addWidget(self.preview, 1)
        facts = QHBoxLayout()
        facts.addWidget(self.gauge)
        facts.addWidget(self.said, 1)
        right.addLayout(facts)
        ways = QHBoxLayout()  # a line of their own: beside the count they would leave the fields too little room
        ways.addStretch(1)
        ways.addWidget(self.compare)
        ways.addWidget(self.chat)
        right.addLayout(ways)
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
        self.draft, self.draft_id = draft, draft_id
        self.fields.show_draft(draft)
        self.form.blockSignals(True)
        self.form.setCurrentIndex(0 if draft.as_turns else 1)
        self.form.blockSignals(False)
        if remember:
            self.desk.preferences.set(OPEN, draft_id)
        self._show_prompt()
        self._show_choice()

    def _edited(self) -> None:
        draft = replace(self.fields.read(self.draft), as_turns=bool(self.form.currentData()))
        if draft == self.draft:
            return
        self.draft = draft
        self.fields.show_variables(draft)
        self._show_prompt()
        self._keep.start()

    def keep_now(self) -> None:
        """Writes what was changed; a ready-made one becomes a draft of one's own by that."""
        if self._keep.isActive():
            self._keep.stop()
            try:
                self.draft_id = self.desk.session.drafts.keep(self.draft, self.draft_id)
            except PlaygroundError as error:
                self._refused(error)
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

    def _show_prompt(self) -> None:
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
        turn, draft = self._asked, self.draft
        found = render(draft)
        try:
            future = self.desk.session.lab.tokenize(messages=_messages(found), reply_start=found.reply_start)
        except PlaygroundError as error:
            self.said.setText(error.message)
            return
        self.desk.when_done(
            future, self, lambda answer: self._show_count(turn, draft, answer), lambda error: self._no_count(turn, error)
        )

    def _show_count(self, turn: int, draft: Draft, answer: Any) -> None:
        """The tokens of the draft that was asked about: the fields may say something else by now, and are asked about next."""
        if turn != self._asked:
            return
        place = self.preview.verticalScrollBar().value()
        self.preview.setPlainText(answer.text)
        self.preview.verticalScrollBar().setValue(place)
        info = self.desk.session.model.info
        window, count = info.context if info else 0, len(answer.tokens)
        over = bool(window) and count >= window
        shots = len(draft.shown)
        kind = "zero-shot" if shots == 0 else "one-shot" if shots == 1 else f"{shots}-shot"
        missing = render(draft).missing
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
            self._refused(error)
            return
        self.desk.open_page("chat", chat_id=chat_id)

    def use_in_compare(self) -> None:
        """A comparison asks one message: examples are part of it."""
        self.keep_now()
        found = render(replace(self.draft, as_turns=False))
        try:
            comparison = self.desk.session.compare.new(found.prompt, title=self.draft.title)
        except PlaygroundError as error:
            self._refused(error)
            return
        self.desk.open_page("compare", comparison_id=comparison)

    def _refused(self, error: PlaygroundError) -> None:
        self.desk.notify(error.message, error.hint, "warning", key="builder")

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
