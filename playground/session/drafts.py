"""Prompts in the making: kept as sessions of kind `builder`, each one document, and turned into chats.

Knows drafts (`decoding.prompt_drafts`) and the database; what a prompt is good for, the chat or the comparison finds out.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future

from playground.decoding import prompt_drafts
from playground.decoding.prompt_drafts import Draft
from playground.history.records import SessionRow, new_id
from playground.history.store import Store
from playground.session.ledger import Ledger
from playground.session.replies import put
from playground.session.tree import Tree

KIND = "builder"

WithTree = Callable[[str, Callable[[Tree], None]], None]


class Drafts:
    """`Session.drafts`."""

    def __init__(self, ledger: Ledger, new_chat: Callable[[str], str], with_tree: WithTree) -> None:
        self._ledger = ledger
        self._new_chat = new_chat
        self._with_tree = with_tree

    def keep(self, draft: Draft, draft_id: str = "") -> str:
        """Writes a draft, a new one or in place of what it was. Returns its id."""
        now, data = time.time(), prompt_drafts.to_dict(draft)
        name = draft_id or new_id()

        def write(store: Store) -> None:
            with store.atomic():
                if draft_id:
                    store.update_session(name, title=draft.title, updated=now)
                else:
                    store.add_session(SessionRow(name, KIND, draft.title, created=now, updated=now))
                store.put_document(name, data)

        self._ledger.write(write)
        return name

    def all(self) -> Future[list[tuple[str, Draft]]]:
        """All drafts with their ids, the last used first."""
        return self._ledger.read(
            lambda store: [(row.id, prompt_drafts.from_dict(store.document(row.id))) for row in store.sessions(kind=KIND)]
        )

    def throw_away(self, draft_id: str) -> None:
        """`take_back` undoes it."""
        self._ledger.write(lambda store: store.delete_session(draft_id))

    def take_back(self, draft_id: str) -> None:
        self._ledger.write(lambda store: store.undelete_session(draft_id))

    def as_chat(self, system: str, turns: Sequence[tuple[str, str]]) -> str:
        """A chat in which these questions were asked and answered. Returns its id; the next question is sent to it as to any chat."""
        chat_id = self._new_chat(system)

        def add(tree: Tree) -> None:
            for question, answer in turns:
                put(self._ledger, tree, tree.add("user", question, tree.session.tip))
                put(self._ledger, tree, tree.add("assistant", answer, tree.session.tip))

        self._with_tree(chat_id, add)
        return chat_id
