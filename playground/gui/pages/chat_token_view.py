"""The token view of the Chat page: carries what it asks for to the session, and the answers back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from playground.gui.widgets.token_view import TokenView
from playground.protocol import ChatMessage, ScoredToken

if TYPE_CHECKING:
    from playground.gui.pages.chat import ChatPage


class ChatTokenView:
    """`panel` is the widget."""

    def __init__(self, page: ChatPage) -> None:
        self._page = page
        self._asks = 0
        self.panel = TokenView()
        self.panel.edited.connect(self._tokenize)
        self.panel.score_wanted.connect(self._score)

    def show_message(self, message_id: str) -> None:
        """A message with everything before it, token for token as the model has read it where that is on record."""
        page = self._page
        message = page.conversation.message(message_id) if page.conversation else None
        if message is None:
            return
        self.panel.set_text(message.content)
        if message.role == "assistant":
            self._ask(lambda: page.desk.session.lab.score_message(message_id), self._scored, reading=True)
        else:
            self._score(message.content, self.panel.as_chat.isChecked())

    def _tokenize(self, text: str, as_chat: bool) -> None:
        if not text and not as_chat:
            self.panel.show_scored(())
            return
        lab = self._page.desk.session.lab
        self._ask(lambda: lab.tokenize(messages=_messages(text)) if as_chat else lab.tokenize(text), self._cut)

    def _score(self, text: str, as_chat: bool) -> None:
        lab = self._page.desk.session.lab
        self._ask(lambda: lab.score(messages=_messages(text)) if as_chat else lab.score(text), self._scored, reading=True)

    def _ask(self, ask: Any, show: Any, reading: bool = False) -> None:
        page = self._page
        info = page.desk.session.model.info
        self.panel.set_window(info.context if info is not None else 0)
        self._asks += 1
        number = self._asks

        def done(found: Any) -> None:
            if number == self._asks:
                self.panel.set_busy(False)
                show(found)

        def failed(error: BaseException) -> None:
            if number == self._asks:
                self.panel.set_busy(False)
                self.panel.show_note(f"{getattr(error, 'message', error)} {getattr(error, 'hint', '')}".strip())

        self.panel.set_busy(reading)
        try:
            future = ask()
        except Exception as error:
            failed(error)
            return
        page.desk.when_done(future, page, done, failed)

    def _cut(self, found: Any) -> None:
        self.panel.show_scored(
            [
                ScoredToken(
                    token.token_id,
                    token.text,
                    piece or token.text.encode("utf-8", "replace").hex() * token.special,
                    token.special,
                )
                for token, piece in zip(found.tokens, found.pieces, strict=True)
            ]
        )

    def _scored(self, found: Any) -> None:
        self.panel.show_scored(found.tokens)


def _messages(text: str) -> tuple[ChatMessage, ...]:
    return (ChatMessage("user", text),)
