"""Beam search: a prompt, its likeliest continuations, and the tree they come from. A page below Chat.

Carries the form's wishes to `Session.beams` and its events to the tree and the list. Object names `beam.*`.
"""

from __future__ import annotations

from typing import Any

from PySide6.QtCore import QSize, Qt, QTimer
from PySide6.QtWidgets import (
    QCheckBox,
    QHBoxLayout,
    QLabel,
    QListWidget,
    QListWidgetItem,
    QPlainTextEdit,
    QPushButton,
    QSplitter,
    QVBoxLayout,
    QWidget,
)

from playground import events
from playground.errors import PlaygroundError
from playground.gui import theme
from playground.gui.form import Form
from playground.gui.pages import Desk
from playground.gui.widgets.beam_tree import BeamTree, shown_text
from playground.gui.widgets.log_model import when_text
from playground.gui.widgets.part_head import PartHead, scrolled
from playground.history.beams import BeamSearchRow
from playground.history.records import SessionRow
from playground.params import BeamSettings
from playground.protocol import BeamNode

SIDE = 288
WHY = {
    "length": "every beam reached the limit",
    "better": "no living beam could overtake those that ended",
    "full": "as many as wanted have ended",
    "context": "the context window is full",
    "cancelled": "it was stopped",
}
REASONS = {"end": "ended by the model", "length": "cut by the limit", "context": "cut by the context window"}


class BeamPage(QWidget):
    """See the module's docstring."""

    title = "Beam search"
    icon = "flask-conical"

    def __init__(self, desk: Desk, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        theme.mark(self, surface="surface")
        self.desk = desk
        self.search: BeamSearchRow | None = None
        self._wanted = ""
        """the search that was asked for and is shown"""
        self._steps: list[tuple[BeamNode, ...]] = []
        self._settings = _kept(desk)
        self.head = PartHead("beam", "Back to the chat")
        self.head.show_title("Beam search", "The likeliest whole continuations, not one token at a time")
        self.head.closed.connect(lambda: desk.open_page("chat"))
        self.prompt = QPlainTextEdit()
        self.prompt.setObjectName("beam.prompt")
        self.prompt.setAccessibleName("Prompt")
        self.prompt.setPlaceholderText("A question with a short answer…")
        self.prompt.setTabChangesFocus(True)
        self.prompt.setFixedHeight(96)
        self.prompt.textChanged.connect(self._show_can_run)
        self.raw = QCheckBox("Continue the text as it stands")
        self.raw.setObjectName("beam.raw")
        self.raw.setToolTip("Without the chat template: the model goes on with these words, in place of answering them")
        self.form = Form(
            self._settings, "beam", ("width", "max_tokens", "length_penalty", "early_stopping", "arithmetic"), sliders=False
        )
        self.form.changed.connect(self._settings_changed)
        self.run = QPushButton("Search")
        self.run.setObjectName("beam.run")
        self.run.clicked.connect(self.search_or_stop)
        self.earlier = QListWidget()
        self.earlier.setObjectName("beam.earlier")
        self.earlier.setAccessibleName("Earlier searches")
        self.earlier.setToolTip("Press one to see it again, with its tree")
        self.earlier.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        theme.mark(self.earlier, floating=True)
        self.earlier.itemClicked.connect(lambda item: self.open(session_id=item.data(Qt.ItemDataRole.UserRole)))
        self.earlier.itemActivated.connect(lambda item: self.open(session_id=item.data(Qt.ItemDataRole.UserRole)))
        self.tree = BeamTree()
        self.tree.picked.connect(self._picked)
        self.state = QLabel("Write a prompt and search: the tree grows here, a column for every token.")
        self.state.setObjectName("beam.state")
        theme.mark(self.state, role="muted")
        self.beams = QListWidget()
        self.beams.setObjectName("beam.beams")
        self.beams.setAccessibleName("Continuations, the best first")
        self.beams.setToolTip("Press one to see its way through the tree")
        theme.mark(self.beams, floating=True)
        self.beams.currentRowChanged.connect(self._chosen)
        self.chat = QPushButton("Continue in chat")
        self.chat.setObjectName("beam.chat")
        self.chat.setToolTip("Begins a chat with this prompt, whose reply begins with what is chosen")
        self.chat.clicked.connect(self.continue_in_chat)
        self._node = -1
        self._build()
        self.setFocusProxy(self.prompt)
        self._show_can_run()
        QTimer.singleShot(0, self, self._read_earlier)

    def _build(self) -> None:
        side = QWidget()
        side.setFixedWidth(SIDE)
        left = QVBoxLayout(side)
        left.setContentsMargins(16, 16, 0, 16)
        left.setSpacing(8)
        inner = QWidget()
        column = QVBoxLayout(inner)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(8)
        column.addWidget(theme.mark(QLabel("Prompt"), role="heading"))
        column.addWidget(self.prompt)
        column.addWidget(self.raw)
        column.addSpacing(8)
        column.addWidget(self.form)
        column.addSpacing(8)
        column.addWidget(self.run)
        column.addSpacing(16)
        column.addWidget(theme.mark(QLabel("Earlier searches"), role="heading"))
        self.earlier.setMinimumHeight(120)
        column.addWidget(self.earlier, 1)
        left.addWidget(scrolled(inner, 16))
        lower = QWidget()
        below = QVBoxLayout(lower)
        below.setContentsMargins(8, 8, 16, 12)
        below.setSpacing(4)
        row = QHBoxLayout()
        row.addWidget(self.state, 1)
        row.addWidget(self.chat)
        below.addLayout(row)
        below.addWidget(self.beams, 1)
        split = QSplitter(Qt.Orientation.Vertical)
        split.addWidget(self.tree)
        split.addWidget(lower)
        split.setSizes([400, 250])
        split.setStretchFactor(0, 1)
        split.setChildrenCollapsible(False)
        across = QHBoxLayout()
        across.setSpacing(0)
        across.addWidget(side)
        across.addWidget(split, 1)
        whole = QVBoxLayout(self)
        whole.setContentsMargins(0, 0, 0, 0)
        whole.setSpacing(0)
        whole.addWidget(self.head)
        whole.addLayout(across, 1)

    # -- what is asked for

    def open(self, prompt: str = "", session_id: str = "") -> None:
        """With a prompt to search from, or an earlier search to see."""
        if prompt:
            self.prompt.setPlainText(prompt)
        if session_id:
            self._wanted = session_id
            self.desk.when_done(self.desk.session.beams.get(session_id), self, self._opened)

    def search_or_stop(self) -> None:
        beams = self.desk.session.beams
        if beams.running:
            beams.stop()
            return
        try:
            self._wanted = beams.search(self.prompt.toPlainText(), self._settings, raw=self.raw.isChecked())
        except PlaygroundError as error:
            self.desk.notify(error.message, error.hint, "warning", key="beam")
        self._show_can_run()

    def continue_in_chat(self) -> None:
        """A new chat whose reply begins with the chosen beam, or with the tree as far as the chosen token."""
        search = self.search
        if search is None or search.raw:
            return
        text = search.reply_start + self._chosen_text()
        try:
            chat_id = self.desk.session.send("", search.prompt, text)
        except PlaygroundError as error:
            self.desk.notify(error.message, error.hint, "warning", key="beam")
            return
        self.desk.open_page("chat", chat_id=chat_id)

    def _chosen_text(self) -> str:
        search, place = self.search, self.beams.currentRow()
        assert search is not None
        if 0 <= place < len(search.beams) and search.beams[place].node == self._node:
            return search.beams[place].text
        return self.tree.text(self._node)

    # -- events

    def handle(self, event: Any) -> None:
        """An event of the session."""
        if isinstance(event, events.BeamsChanged):
            if event.search.session_id == self._wanted:
                self._follow(event)
            if event.search.state != "running":
                self._read_earlier()
            self._show_can_run()
        elif isinstance(event, events.ModelState):
            self._show_can_run()
        elif isinstance(event, events.StoreReady):
            self._read_earlier()

    def _follow(self, event: events.BeamsChanged) -> None:
        search = event.search
        if self.search is None or self.search.session_id != search.session_id:
            self._steps = []
            self.tree.show_steps(())
            self.beams.clear()
            self._node = -1  # behind that: a list that is cleared tells of rows as they go
        self.search = search
        self._steps += event.steps
        self.tree.add(event.steps)
        if search.state == "running":
            self.state.setText(f"Searching, step {len(self._steps)}…" if self._steps else "Reading the prompt…")
        else:
            self._show_end(search)

    def _opened(self, search: BeamSearchRow) -> None:
        if search.session_id != self._wanted:
            return
        self.search, self._steps, self._node = search, list(search.steps), -1
        self.prompt.setPlainText(search.prompt)
        self.raw.setChecked(search.raw)
        self._settings = search.settings
        self.form.set_value(search.settings)
        self.tree.show_steps(search.steps)
        self._show_end(search)

    def _show_end(self, search: BeamSearchRow) -> None:
        self.beams.clear()
        for beam in search.beams:
            words = f"{beam.score:.4f}   {shown_text(beam.text.strip())[:400].replace('·', ' ')}"
            item = QListWidgetItem(
                f"{words}\n{len(beam.token_ids)} tokens, {REASONS[beam.reason]}, sum of logprobs {beam.total:.4f}"
            )
            item.setSizeHint(QSize(0, 44))
            item.setToolTip(beam.text)
            self.beams.addItem(item)
        self.tree.show_found(each.node for each in search.beams)
        if search.state == "failed" or (search.error and not search.beams):
            self.state.setText(f"{search.error} {search.hint}".strip())
        else:
            rounding = "without rounding (f32)" if search.arithmetic == "f32" else "in the engine's arithmetic"
            ended = {"interrupted": "The search was interrupted."}.get(
                search.state, f"Ended: {WHY.get(search.why, search.why)}."
            )
            self.state.setText(
                f"{ended}  {len(search.steps)} steps, {search.tokens} tokens in {search.decode_s:.2f} s, {rounding}"
            )
        theme.mark(self.state, role="bad" if search.state == "failed" else "muted")
        if search.beams:
            self.beams.setCurrentRow(0)
        self._show_can_run()

    # -- choosing

    def _chosen(self, place: int) -> None:
        if self.search is not None and 0 <= place < len(self.search.beams):
            self._node = self.search.beams[place].node
            self.tree.choose(self._node)
        self._show_can_run()

    def _picked(self, number: int) -> None:
        """A token of the tree: the beam it ends, or the way as far as it."""
        search = self.search
        place = next((at for at, beam in enumerate(search.beams if search else ()) if beam.node == number), -1)
        self.beams.setCurrentRow(place)
        self._node = number
        self.tree.choose(number)
        node = self.tree.node(number)
        if node is not None:
            self.state.setText(self.tree.tip(node).replace("\n", "  ·  "))
        self._show_can_run()

    # -- small parts

    def _settings_changed(self, settings: Any) -> None:
        self._settings = settings
        from playground.params import to_dict

        self.desk.preferences.set("beam.settings", to_dict(settings))

    def _show_can_run(self) -> None:
        running = bool(self.desk.session.beams.running)
        ready = self.desk.session.model.state == "ready"
        text = bool(self.prompt.toPlainText().strip())
        self.run.setText("Stop" if running else "Search")
        theme.mark(self.run, role="plain" if running else "primary")
        self.run.setEnabled(running or (ready and text))
        why = "" if ready else "Choose a model first"
        self.run.setToolTip("Stops here; what has ended stays" if running else why or ("" if text else "Write a prompt first"))
        search = self.search
        self.chat.setEnabled(search is not None and not search.raw and not running and self._node >= 0 and ready)

    def _read_earlier(self) -> None:
        try:
            future = self.desk.session.beams.all()
        except PlaygroundError:  # the store is not open yet: `StoreReady` will bring us here again
            return
        self.desk.when_done(future, self, self._show_earlier, lambda error: None)

    def _show_earlier(self, rows: list[SessionRow]) -> None:
        self.earlier.clear()
        for row in rows[:200]:
            item = QListWidgetItem(f"{row.title}\n{row.model_name} · {when_text(row.updated)}")
            item.setData(Qt.ItemDataRole.UserRole, row.id)
            item.setSizeHint(QSize(0, 44))
            item.setToolTip(row.prompt[:400])
            self.earlier.addItem(item)


def _kept(desk: Desk) -> BeamSettings:
    from playground.params import from_dict

    kept = desk.preferences.get("beam.settings", {})
    try:
        return from_dict(BeamSettings, kept) if isinstance(kept, dict) else BeamSettings()
    except (PlaygroundError, TypeError):
        return BeamSettings()
