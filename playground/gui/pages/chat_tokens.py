"""What the Chat page knows of tokens: those of the replies that are shown, their colours, and replies that fork at one of them.

A mixin of `ChatPage`, apart from it only to keep both readable.
"""

from __future__ import annotations

import bisect
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from playground import events
from playground.gui.widgets.token_marks import MODES, TokenMark, of_reply

if TYPE_CHECKING:
    from playground.gui.pages.chat import ChatPage


class ChatTokens:
    """See the module's docstring."""

    def init_tokens(self: ChatPage) -> None:
        self._marks: dict[str, list[TokenMark]] = {}
        self._asked: set[str] = set()
        self._fork: tuple[str, TokenMark, int] | None = None
        """a fork that waits for the reply that is being written to stop"""
        self.transcript.marks_of = self.marks_of
        self.transcript.forked.connect(self.fork)
        self.transcript.look_wanted.connect(self.look_inside)
        self.ui.legend.mode_changed.connect(self.set_colours)
        self.ui.colours_button.clicked.connect(lambda: self.toggle_colours())
        mode = str(self.desk.preferences.get("chat.colours", "off"))
        self._last_mode = str(self.desk.preferences.get("chat.colours_last", "probability"))
        self._show_colours(mode if mode in MODES else "off")

    # -- colours

    def toggle_colours(self: ChatPage) -> None:
        """Colours on, as they were last, or off."""
        self.set_colours("off" if self.transcript.token_mode != "off" else self._last_mode)

    def set_colours(self: ChatPage, mode: str) -> None:
        """`off`, `probability` or `entropy`; kept for the next start."""
        if mode != "off":
            self._last_mode = mode
            self.desk.preferences.set("chat.colours_last", mode)
        self.desk.preferences.set("chat.colours", mode)
        self._show_colours(mode)

    def _show_colours(self: ChatPage, mode: str) -> None:
        self.ui.colours_button.setChecked(mode != "off")
        self.ui.legend.setVisible(mode != "off")
        self.ui.legend.show_mode(mode)
        self.transcript.set_token_mode(mode)

    # -- tokens

    def marks_of(self: ChatPage, message_id: str) -> Sequence[TokenMark]:
        """Of a reply; what is not known yet is read, and the transcript told."""
        known = self._marks.get(message_id)
        if known is not None and (message_id in self._asked or not known or known[0].start == self._begins(message_id)):
            return known
        message = self.conversation.message(message_id) if self.conversation is not None else None
        if known is None and message is not None and message.state == "streaming":
            return ()  # they come with its text
        if message_id not in self._asked:
            self._asked.add(message_id)
            self._read_marks(message_id)
        return known or ()

    def _begins(self: ChatPage, message_id: str) -> int:
        message = self.conversation.message(message_id) if self.conversation else None
        return len(message.reply_start) if message is not None else 0

    def _read_marks(self: ChatPage, message_id: str) -> None:
        def found(tokens: Any) -> None:
            marks = of_reply(tokens)
            end = marks[-1].end if marks else 0
            index = (marks[-1].generation_id, marks[-1].index) if marks else ("", -1)
            for each in self._marks.get(message_id, ()):  # what has come since it was read
                if each.start >= end and (each.generation_id != index[0] or each.index > index[1]):
                    marks.append(each)
            self._marks[message_id] = marks
            self.transcript.tokens_changed(message_id)

        self.desk.when_done(self.desk.session.lab.reply_tokens(message_id), self, found, lambda error: None)

    def follow_tokens(self: ChatPage, event: Any) -> None:
        """Tokens as they come, before the transcript is told of their text."""
        if isinstance(event, events.GenerationTokens):
            conversation = self.conversation
            if conversation is None or conversation.message(event.message_id) is None:
                return
            marks = self._marks.setdefault(event.message_id, [])
            at = event.offset
            if marks and marks[-1].end > at:  # the message is written anew from there on
                del marks[bisect.bisect_left(marks, at, key=lambda each: each.start) :]
            for place, token in enumerate(event.tokens):
                marks.append(TokenMark(at, at + len(token.text), token, event.generation_id, event.index + place))
                at += len(token.text)
        elif isinstance(event, events.GenerationFinished):
            self._asked.discard(event.message.id)
            marks = self._marks.get(event.message.id, [])
            if not marks or marks[0].start != self._begins(event.message.id) or event.generation.continued:
                self._marks.pop(event.message.id, None)  # the rest of it is on record
                self.transcript.tokens_changed(event.message.id)
            self._fork_now()

    def forget_tokens(self: ChatPage) -> None:
        """Another chat is shown."""
        self._marks.clear()
        self._asked.clear()
        self._fork = None

    # -- what the model looked at

    def look_inside(self: ChatPage, message_id: str, mark: TokenMark | None = None) -> None:
        """Opens the Inside page at a message, or at a token of a reply: its attention is captured if it was not before."""
        if mark is None:
            self.desk.open_page("inside", message_id=message_id, tab="text")
            return

        def found(where: tuple[str, int]) -> None:
            generation, place = where
            of = {"generation_id": generation} if generation else {"message_id": message_id}
            self.desk.open_page("inside", **of, token=place, tab="text")

        self.desk.when_done(self.desk.session.inside.place_of(message_id, mark.generation_id, mark.index), self, found)

    # -- forks

    def fork(self: ChatPage, message_id: str, mark: TokenMark, token: int) -> None:
        """Another version of a reply, with another token in one place. A reply that is still being written is stopped first."""
        self._fork = (message_id, mark, token)
        if self._busy:
            self.desk.session.stop()
        else:
            self._fork_now()

    def _fork_now(self: ChatPage) -> None:
        fork, self._fork = self._fork, None
        if fork is None:
            return
        message_id, mark, token = fork
        self.transcript.select_token("", None)
        self._set_busy(False)
        intent = lambda: self.desk.session.fork(self.chat_id, message_id, mark.generation_id, mark.index, token)  # noqa: E731
        if self._ask(intent):
            self.transcript.follow()
