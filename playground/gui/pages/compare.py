"""The Compare page: one prompt, two to eight columns with settings of their own, written side by side.

Puts the widgets together and carries what they ask for to `Session.compare`, and the session's events to them. What a comparison has
replied is `compare_state`'s knowledge; how it looks, the widgets'.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from typing import Any

from PySide6.QtCore import Qt, QTimer
from PySide6.QtGui import QKeyEvent, QKeySequence, QShortcut
from PySide6.QtWidgets import QWidget

from playground import events
from playground.decoding.sweeps import MOST
from playground.errors import PlaygroundError
from playground.gui.pages import Desk
from playground.gui.pages.compare_columns import CompareColumns
from playground.gui.pages.compare_layout import CompareLayout
from playground.gui.pages.compare_sessions import CompareSessions
from playground.gui.widgets.compare_state import Comparing, Reply, labels

SETTLE_MS = 400
DOUBT_MS = 3000
"""after which a run that nothing came of is taken for lost"""


class ComparePage(CompareColumns, CompareSessions, QWidget):
    """See the module's docstring. An empty `comparison_id` is a draft: it is stored when it is first run."""

    title = "Compare"
    icon = "columns-3"

    def __init__(self, desk: Desk, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.desk = desk
        self.comparison_id = ""
        self.session_row = None
        self.columns = []
        self.comparing = Comparing(())
        self.votes = ()
        self.asked = ""
        """the prompt that the replies answer"""
        self.running = False
        self._model = desk.session.model
        self._order = []
        self._words = ""
        self.ui = CompareLayout(self, desk)
        self.setFocusProxy(self.ui.prompt)
        self._settle = QTimer(self, singleShot=True, interval=SETTLE_MS)
        self._settle.timeout.connect(self._keep_columns)
        self._doubt = QTimer(self, singleShot=True, interval=DOUBT_MS)
        self._doubt.timeout.connect(self._ask_whether_running)
        self._clock = QTimer(self, interval=500)
        self._clock.timeout.connect(self._show_state)
        self._connect()
        self.ui.votes.blind.setChecked(bool(desk.preferences.get("compare.blind", False)))
        self._show_draft()
        self._show_model(self._model)
        self.reopen()

    def _connect(self) -> None:
        ui = self.ui
        ui.prompt.sent.connect(self.run)
        ui.prompt.textChanged.connect(self._prompt_typed)
        ui.system.changed.connect(lambda text: self._tell(lambda compare: compare.set_system(self.comparison_id, text)))
        ui.run.clicked.connect(lambda: self.run())
        ui.stop.clicked.connect(self.stop)
        ui.add.clicked.connect(self.add_column)
        ui.sweep.clicked.connect(self.open_sweep)
        ui.many.clicked.connect(self.open_many)
        ui.start.chosen.connect(self.begin_with)
        ui.start.model_wanted.connect(self.desk.ask_for_model)
        ui.model.clicked.connect(self.desk.ask_for_model)
        ui.colours.currentIndexChanged.connect(lambda _place: self._show_colours())
        ui.diff_button.toggled.connect(lambda _on: self._show_view())
        ui.votes.voted.connect(self.vote)
        ui.votes.blind_changed.connect(self._blind_changed)
        ui.board.sampling_changed.connect(self._sampling_changed)
        ui.board.field_changed.connect(self._field_changed)
        ui.board.asked.connect(self._column_asks)
        ui.board.move_wanted.connect(self.move_column)
        ui.board.token_pressed.connect(self.show_alternatives)
        self.connect_sessions()
        self._escape = QShortcut(QKeySequence(Qt.Key.Key_Escape), self)  # only while it writes: fields have a use for it too
        self._escape.setContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
        self._escape.activated.connect(self.stop)

    # -- events

    def handle(self, event: Any) -> None:
        """An event of the session."""
        if self._opening:
            self._missed.append(event)
        if isinstance(event, events.ModelState):
            self._show_model(event)
        elif isinstance(event, events.StoreReady):
            self.reopen()
        elif isinstance(event, events.ComparisonChanged):
            self._row_changed(event.session)
        elif isinstance(event, events.VotesChanged):
            if event.session_id == self.comparison_id:
                self.votes = event.votes
                self._show_columns()
        else:
            self._follow(event)

    def _started(self, event: events.ComparisonStarted) -> None:
        self._doubt.stop()
        starts = {column.id: column.reply_start for column in self.columns}  # one may have been removed since it was asked
        replies = [Reply(column, message, made, starts[column]) for column, made, message in event.columns if column in starts]
        self.comparing.begin(replies, self.columns)
        self._begun = min(self._begun, time.monotonic()) if self._begun else time.monotonic()
        self.ui.board.show_replies(self.comparing, [reply.column_id for reply in replies])
        self._set_running(True)

    def _follow(self, event: Any) -> None:
        """What concerns a run, or a reply that is shown."""
        if isinstance(event, events.ComparisonStarted):
            if event.session_id == self.comparison_id:
                self._started(event)
            return
        if isinstance(event, events.ComparisonFinished):
            if event.session_id == self.comparison_id:
                self.comparing.apply(event)
                if event.last:
                    self._set_running(False)
                self._show_state()
            return
        before = self.comparing.reply_of(event)
        count, state = (len(before.tokens), before.state) if before is not None else (0, "")
        for number in self.comparing.apply(event):
            reply = self.comparing.replies[number]
            self.ui.board.add_tokens(number, reply.tokens[count:] if before is reply else ())
            if reply.state != state or not isinstance(event, events.GenerationTokens):
                self.ui.board.show_state(number)
                self._show_state()

    # -- running

    def run(self, column_ids: Sequence[str] = ()) -> None:
        """Asks the prompt of all columns, or of some."""
        if self.running or not self.ui.run.isEnabled():
            return
        if not self.columns or (self.ui.stack.currentWidget() is self.ui.start and len(self.columns) < 2):
            self.begin_with("temperature")
        self.ui.system.commit()
        prompt = self.ui.prompt.toPlainText().strip()
        if self.comparison_id:
            self._tell(lambda compare: compare.set_prompt(self.comparison_id, prompt))
            self._keep_columns()
        else:
            self.ensure_stored()
        if not self.comparison_id or not self._try(lambda: self.desk.session.compare.run(self.comparison_id, column_ids)):
            return
        asked = [column for column in self.columns if not column_ids or column.id in column_ids]
        anew = prompt != self.asked or len(asked) == len(self.columns)
        if prompt != self.asked:  # what answers another prompt is in the log
            self.comparing = Comparing(self.columns)
        self.comparing.finished, self.comparing.prefills, self._words = [], 0, ""
        self.asked, self._begun, self.votes = prompt, 0.0, ()
        self.comparing.begin([Reply(column.id, "", "", column.reply_start) for column in asked], self.columns)
        self._order = [column.id for column in self.columns]
        random.shuffle(self._order)
        self.ui.board.show_replies(self.comparing, None if anew else [each.id for each in asked])
        self.ui.diff_button.setChecked(False)
        self._set_running(True)
        self._show_columns()
        self._doubt.start()

    def stop(self) -> None:
        if self.running:
            self._tell(lambda compare: compare.stop(self.comparison_id))

    def _ask_whether_running(self) -> None:
        """A run came to nothing without a word: the page must not wait for ever."""
        if self.running and self.desk.session.compare.running != self.comparison_id:
            self._set_running(False)
            self._show_state()

    def _set_running(self, running: bool) -> None:
        self.running = running
        self._escape.setEnabled(running)
        self._clock.start() if running else self._clock.stop()
        self.ui.show_running(running)
        self._show_can_run()
        self._show_votes()
        self._show_view()

    # -- votes

    @property
    def verdict(self) -> tuple[str, set[str]]:
        """What was thought of the replies that are shown, and the ids of the columns that were found better."""
        shown = {reply.message_id: number for number, reply in self.comparing.replies.items() if reply.message_id}
        votes = [vote for vote in self.votes if vote.better_id in shown and vote.worse_id in shown]
        if not votes:
            return "", set()
        return votes[-1].verdict, {shown[vote.better_id] for vote in votes if vote.verdict == "better"}

    @property
    def hidden(self) -> bool:
        """Whether it is not to be seen which column is which."""
        return self.ui.votes.blind.isChecked() and bool(self.comparing.replies) and not self.verdict[0]

    def vote(self, verdict: str, number: int = 0) -> None:
        """`number` of the column that is better, as it is shown; the same vote once more takes it back."""
        if not self._can_vote() or number > len(self.ui.board.views):
            return
        winners = [self.ui.board.views[number - 1].column.id] if verdict == "better" else []
        if self.verdict == (verdict, set(winners)):
            verdict, winners = "", []
        if verdict == "better" and winners[0] not in self.comparing.replies:
            return
        self._tell(lambda compare: compare.vote(self.comparison_id, verdict, winners))

    def _can_vote(self) -> bool:
        return not self.running and len([each for each in self.comparing.replies.values() if each.message_id]) > 1

    def _blind_changed(self, blind: bool) -> None:
        self.desk.preferences.set("compare.blind", blind)
        if blind and not self._order:
            self._order = [column.id for column in self.columns]
            random.shuffle(self._order)
        self._show_columns()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        text = event.text().lower()
        if event.modifiers() in (Qt.KeyboardModifier.NoModifier, Qt.KeyboardModifier.KeypadModifier):
            if text.isdigit() and 1 <= int(text) <= len(self.columns):
                self.vote("better", int(text))
                return
            if text in ("t", "b"):
                self.vote({"t": "tie", "b": "both_bad"}[text])
                return
        super().keyPressEvent(event)

    # -- showing

    def _show_columns(self) -> None:
        order = {number: place for place, number in enumerate(self._order)}
        shown = sorted(self.columns, key=lambda each: order.get(each.id, MOST)) if self.hidden else self.columns
        self.ui.board.models = self._models()
        adapter = self._model.info is not None and bool(self._model.info.adapter)
        self.ui.board.show_columns(shown, ["" for _ in shown], self.hidden, adapter)
        self._show_titles()
        for view in self.ui.board.views:
            reply = self.comparing.replies.get(view.column.id)
            view.show_reply(reply)
            view.show_numbers(reply)
        self.ui.board.wake()
        self._show_colours()
        self._show_votes()
        self._show_can_run()
        self._show_view()

    def _show_titles(self) -> None:
        words = dict(
            zip(
                (each.id for each in self.columns), labels(self.columns, self._model_words) if self.columns else [], strict=True
            )
        )
        self.ui.board.show_titles([words[view.column.id] for view in self.ui.board.views], self.hidden)

    def _show_votes(self) -> None:
        verdict, won = self.verdict
        numbers = {view.number for view in self.ui.board.views if view.column.id in won}
        self.ui.votes.show_votes(len(self.columns), self._can_vote(), self.hidden, verdict, numbers)
        for view in self.ui.board.views:
            view.set_winner(verdict == "better" and view.column.id in won)

    def _show_colours(self) -> None:
        self.ui.board.set_colours("plain" if self.hidden else self.ui.colours.currentData())
        self.ui.colours.setEnabled(not self.hidden)

    def _show_view(self, board: bool = False) -> None:
        compared = [each for each in self.comparing.replies.values() if each.tokens]
        self.ui.diff_button.setEnabled(not self.running and not self.hidden and len(compared) > 1)
        if not self.ui.diff_button.isEnabled():
            self.ui.diff_button.setChecked(False)
        if self.ui.diff_button.isChecked():
            if self.ui.stack.currentWidget() is not self.ui.diff:
                self.ui.diff.set_sources(self._sources())
                self.ui.show_view(self.ui.diff)
        elif board or self.comparison_id or self.ui.stack.currentWidget() is not self.ui.start:
            self.ui.show_view(self.ui.board)

    def _sources(self) -> list[tuple[str, list[str]]]:
        found = []
        for view in self.ui.board.views:
            reply = self.comparing.replies.get(view.column.id)
            if reply is not None:
                found.append((view.title.text(), [reply.start, *(token.text for token in reply.tokens)]))
        return found

    def _prompt_typed(self) -> None:
        self._show_can_run()
        self._show_state()

    def _show_can_run(self) -> None:
        state = self._model.state
        empty = not self.ui.prompt.toPlainText().strip() and not any(each.reply_start for each in self.columns)
        why = "Choose a model first" if state in ("none", "failed") else "Load the model again first" if state == "lost" else ""
        why = why or ("Write a prompt first" if empty else "")
        self.ui.run.setEnabled(not why and not self.running)
        self.ui.run.setToolTip(why or "Asks all columns at once (Enter)")
        self.ui.add.setEnabled(len(self.columns) < MOST and not self.hidden)
        self.ui.sweep.setEnabled(not self.hidden)

    def _show_model(self, state: events.ModelState) -> None:
        adapter = self._model.info.adapter if self._model.info else ""
        self._model = state
        loading = f"Loading {state.name}…"
        self.ui.model.setText({"none": "Choose a model", "loading": loading}.get(state.state, state.name))
        self.ui.start.show_state(state)
        if adapter != (state.info.adapter if state.info else "") and state.state != "loading":
            self._show_columns()
        self._show_can_run()

    def _show_state(self) -> None:
        """One line: what is being done, or what it came to."""
        replies = list(self.comparing.replies.values())
        writing = [each for each in replies if not each.ended]
        tokens = sum(len(each.tokens) for each in replies)
        prompt = max((each.prompt_tokens for each in replies), default=0)
        words = []
        if self.running and not any(each.tokens for each in replies):
            loading = self._model.state == "loading"
            words.append(f"Waiting for {self._model.name} to be loaded…" if loading else "Reading the prompt…")
        elif replies and tokens:
            times = "1 prefill" if self.comparing.prefills == 1 else f"{self.comparing.prefills} prefills"
            words.append(f"{times} of {prompt} tokens" if prompt else times)
            words.append(f"{len(writing)} of {len(replies)} writing" if writing else f"{len(replies)} columns")
            if rate := self._rate(tokens):
                words.append(f"{rate:,.0f} tokens/s in all")
            if self.asked != self.ui.prompt.toPlainText().strip() and not self.running:
                words.append("the prompt has changed since")
        if self._words and not self.running:
            words.append(self._words)
        self.ui.state.setText("  ·  ".join(words))

    def _rate(self, tokens: int) -> float:
        """Of all columns; 0 where it cannot be said: of a run that was opened on the way."""
        finished = self.comparing.finished
        if finished and not self.running:
            seconds = sum(each.decode_s for each in finished)
            return sum(each.tokens for each in finished) / seconds if seconds > 0 else 0.0
        if self.running and self._begun:
            return tokens / max(0.001, time.monotonic() - self._begun)
        seconds = max((each.decode_s for each in self.comparing.replies.values()), default=0.0)
        return tokens / seconds if seconds > 0 and not self.running else 0.0

    # -- small parts

    _begun = 0.0

    def _tell(self, intent: Callable[[Any], None]) -> None:
        """Something for the session, if the comparison is stored."""
        if self.comparison_id:
            self._try(lambda: intent(self.desk.session.compare))

    def _try(self, intent: Callable[[], Any]) -> bool:
        try:
            intent()
        except PlaygroundError as error:
            self.desk.notify(error.message, error.hint, "warning")
            return False
        return True
