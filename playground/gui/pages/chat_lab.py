"""The decoding lab beside the conversation: at which place of the text it looks, and when it asks the model.

A mixin of `ChatPage`, apart from it only to keep both readable. The place is the end of the conversation (with what is typed, if wanted), or a
token of a reply. Sliders ask nobody: the panel has the logits. While a reply is written it shows the candidates that come with each token.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QTimer

from playground import events
from playground.gui.widgets.token_marks import TokenMark
from playground.params import SamplingSettings

if TYPE_CHECKING:
    from playground.gui.pages.chat import ChatPage
    from playground.gui.widgets.lab_panel import LabPanel

ASK_MS = 250
"""after which the end of the text is looked at, once nothing changes any more"""


class ChatLab:
    """See the module's docstring."""

    def init_lab(self: ChatPage) -> None:
        self.lab: LabPanel | None = None
        self._lab_asks = 0
        self._lab_mark: tuple[str, TokenMark] | None = None
        self._lab_scale = -1.0
        self._lab_later = QTimer(self, singleShot=True, interval=ASK_MS)
        self._lab_later.timeout.connect(self._look)
        self.ui.lab_button.clicked.connect(lambda: self.toggle_lab())
        self.transcript.token_selected.connect(self._token_selected)
        self.composer.input.textChanged.connect(self._typed)
        if self.desk.preferences.get("chat.lab_open", False):
            QTimer.singleShot(0, self, lambda: self.show_lab(True))

    # -- the panel

    def toggle_lab(self: ChatPage) -> None:
        """Shows or hides the lab."""
        self.show_lab(self.lab is None or self.lab.isHidden())

    def show_lab(self: ChatPage, shown: bool, tab: str = "") -> None:
        if shown and self.lab is None:
            self._make_lab()
        self.ui.lab_button.setChecked(shown)
        self.desk.preferences.set("chat.lab_open", shown)
        if self.lab is not None:
            self.lab.setVisible(shown)
            if shown and tab:
                self.lab.show_tab(tab)
        self.ui.fit(self.width())
        if shown:
            self._look_soon()

    def _make_lab(self: ChatPage) -> None:
        from playground.gui.widgets.lab_panel import LabPanel  # when it is first wanted: the first paint does not wait for it

        self.lab = LabPanel()
        self.ui.set_lab(self.lab)
        self.lab.set_settings(self.desk.session.sampling)
        self._lab_scale = self.desk.session.sampling.adapter_scale
        self.lab.wanted.connect(self._wanted)
        self.lab.chosen.connect(self._lab_chosen)
        self.lab.closed.connect(lambda: self.show_lab(False))
        self.lab.tab_changed.connect(self._tab_changed)

    def _lab_open(self: ChatPage) -> bool:
        return self.lab is not None and not self.lab.isHidden()

    # -- what happens

    def lab_settings(self: ChatPage, settings: SamplingSettings) -> None:
        """A slider has moved."""
        if self.lab is not None:
            self.lab.set_settings(settings)
            if settings.adapter_scale != self._lab_scale:  # another model, in a way: the logits are others
                self._lab_scale = settings.adapter_scale
                self._look_soon()

    def follow_lab(self: ChatPage, event: Any) -> None:
        """Takes what concerns the lab from the session's events."""
        if not self._lab_open() or self.lab is None:
            return
        if isinstance(event, events.GenerationTokens) and event.message_id in self._shown_ids() and self._lab_mark is None:
            token = event.tokens[-1]
            message = self.conversation.message(event.message_id) if self.conversation else None
            before = message.content[max(0, event.offset - 60) : event.offset] if message is not None else ""
            before += "".join(each.text for each in event.tokens[:-1])
            self._lab_asks += 1  # an answer that is on its way is of another place
            self.lab.show_token(
                token,
                f"Token {event.index + len(event.tokens):,}, as it was drawn",
                before,
                note="The whole vocabulary, stage by stage, is shown when the reply stands still: click a token then.",
            )
        elif isinstance(event, (events.GenerationFinished, events.ModelState)) or (
            isinstance(event, events.SessionChanged) and event.session.id == self.chat_id and not self._busy
        ):
            self._look_soon()

    def _shown_ids(self: ChatPage) -> set[str]:
        return {self.conversation.running} if self.conversation is not None else set()

    def _typed(self: ChatPage) -> None:
        if self._lab_open() and self.lab is not None and self.lab.typed.isChecked() and self._lab_mark is None:
            self._look_soon()

    def _token_selected(self: ChatPage, message_id: str, mark: TokenMark | None) -> None:
        self._lab_mark = None if mark is None else (message_id, mark)
        if self._lab_open():
            self._look_soon(0 if mark is not None else ASK_MS)

    def _wanted(self: ChatPage) -> None:
        self._lab_mark = None
        self.transcript.select_token("", None)
        self._look_soon(0)

    def lab_moved(self: ChatPage) -> None:
        """Another conversation is shown."""
        self._lab_mark = None
        self._look_soon()

    def _look_soon(self: ChatPage, after_ms: int = ASK_MS) -> None:
        if self._lab_open():
            self._lab_later.start(after_ms)

    # -- asking

    def _look(self: ChatPage) -> None:
        lab = self.lab
        if lab is None or lab.isHidden() or lab.tab != "next":
            return
        self._lab_asks += 1  # what was asked before is of another place
        if self._lab_mark is not None:
            self._look_at_token(*self._lab_mark)
            return
        if self._busy:
            return
        if self._model.state != "ready":
            lab.show_nothing(
                "Load a model to see what it would say next."
                if self._model.state != "loading"
                else "The model is being loaded…"
            )
            return
        typed = self.composer.input.toPlainText() if lab.typed.isChecked() else ""
        start = "" if self.composer.reply_start.isHidden() else self.composer.reply_start.text()
        begun = self.conversation is not None and bool(self.conversation.path())
        if not begun and not typed.strip():
            lab.show_nothing(
                "Say something, or type a message and tick “With input”: here stands what the model weighs for the next token."
            )
            return
        last = self.conversation.last_reply() if self.conversation else None
        place = "First token of the reply" if typed.strip() or last is None else "Behind the reply"
        ask = lambda: self.desk.session.lab.at_end(self.chat_id, typed, start, self.ui.system.text())  # noqa: E731
        self._show_answer(ask, place, -1, False)

    def _look_at_token(self: ChatPage, message_id: str, mark: TokenMark) -> None:
        lab = self.lab
        assert lab is not None
        marks = self.marks_of(message_id)
        number = next((place for place, each in enumerate(marks) if each is mark), 0) + 1
        place = f"Token {number:,} of the reply"
        message = self.conversation.message(message_id) if self.conversation else None
        before = message.content[max(0, mark.start - 60) : mark.start] if message is not None else ""
        lab.show_token(mark.token, place, before, can_choose=True)  # at once; the whole vocabulary follows
        if self._busy or self._model.state != "ready":
            lab.note.setText("These candidates are on record. The whole vocabulary is shown when the model is free.")
            return
        ask = lambda: self.desk.session.lab.at_token(mark.generation_id, mark.index)  # noqa: E731
        self._show_answer(ask, place, mark.token.token_id, True)

    def _show_answer(self: ChatPage, ask: Any, place: str, drawn: int, can_choose: bool) -> None:
        lab = self.lab
        assert lab is not None
        self._lab_asks += 1
        number = self._lab_asks

        def show(found: Any) -> None:
            if number == self._lab_asks:
                lab.show_logits(found, place, drawn, can_choose)

        def failed(error: BaseException) -> None:
            if number == self._lab_asks:
                message = getattr(error, "message", "") or str(error)
                if drawn < 0:
                    lab.show_nothing(f"{message} {getattr(error, 'hint', '')}".strip(), place)
                else:
                    lab.note.setText(f"{message} {getattr(error, 'hint', '')} These candidates are on record.".strip())

        try:
            future = ask()
        except Exception as error:
            failed(error)
            return
        self.desk.when_done(future, self, show, failed)

    def _lab_chosen(self: ChatPage, token: int) -> None:
        if self._lab_mark is not None:
            message_id, mark = self._lab_mark
            self.fork(message_id, mark, token)

    # -- the token view

    def _tab_changed(self: ChatPage, tab: str) -> None:
        lab = self.lab
        if lab is None:
            return
        if tab == "next":
            self._look_soon(0)
        elif lab.stack.count() < 2:
            from playground.gui.pages.chat_token_view import ChatTokenView

            self.token_view = ChatTokenView(self)
            lab.set_tokens_part(self.token_view.panel)

    def show_tokens_of(self: ChatPage, message_id: str) -> None:
        """Opens the token view with a message in it."""
        self.show_lab(True, "tokens")
        self.token_view.show_message(message_id)
