"""The messages of an open chat, in memory: a tree whose tip the user sees.

The database gets every change as well, but what the next prompt is made of never waits for a disk.
"""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

from playground.errors import NotFoundError
from playground.history.records import Chat, GenerationRow, MessageRow, SessionRow, new_id
from playground.protocol import ChatMessage

TITLE = 60
"""characters of the first message that become a chat's title"""


class Tree:
    """A chat that can be added to. Not thread-safe: the session holds its lock around every call."""

    def __init__(self, chat: Chat) -> None:
        self.session = chat.session
        self._messages = {message.id: message for message in chat.messages}
        self.generations = dict(chat.generations)

    def snapshot(self) -> Chat:
        return Chat(self.session, tuple(self._messages.values()), dict(self.generations))

    def message(self, message_id: str) -> MessageRow:
        try:
            return self._messages[message_id]
        except KeyError:
            raise NotFoundError("That message is not in this chat.", "Open the chat again.") from None

    def add(
        self, role: str, content: str, parent_id: str, state: str = "complete", reply_start: str = "", at_tip: bool = True
    ) -> MessageRow:
        """A new message, which becomes the tip unless told otherwise."""
        message = MessageRow(new_id(), self.session.id, parent_id, role, content, state, time.time(), reply_start)
        self._messages[message.id] = message
        if at_tip:
            self.change_session(tip=message.id)
        return message

    def change(self, message_id: str, **fields: Any) -> MessageRow:
        message = replace(self.message(message_id), **fields)
        self._messages[message_id] = message
        return message

    def change_session(self, **fields: Any) -> SessionRow:
        self.session = replace(self.session, updated=time.time(), **fields)
        return self.session

    def put_generation(self, generation: GenerationRow) -> None:
        self.generations[generation.message_id] = generation

    def path_to(self, message_id: str) -> tuple[MessageRow, ...]:
        """From the first message to this one; nothing for an empty id."""
        found = []
        step = self._messages.get(message_id)
        while step is not None:
            found.append(step)
            step = self._messages.get(step.parent_id)
        return tuple(reversed(found))

    def leaf_below(self, message_id: str) -> str:
        """The end of the newest branch through a message."""
        step = self.message(message_id)
        while children := [each for each in self._messages.values() if each.parent_id == step.id]:
            step = max(children, key=lambda each: (each.created, each.id))
        return step.id

    def prompt(self, message_id: str) -> tuple[ChatMessage, ...]:
        """What the chat template gets for the reply to this message: the system prompt and the branch that ends with it."""
        system = (ChatMessage("system", self.session.system),) if self.session.system.strip() else ()
        return system + tuple(ChatMessage(each.role, each.content) for each in self.path_to(message_id))


def title_of(text: str) -> str:
    """A chat's title from its first message: one line, cut at a word."""
    line = " ".join(text.split())
    if len(line) <= TITLE:
        return line
    return line[:TITLE].rsplit(" ", 1)[0] + " …"
