"""What the list of chats asks for: all of them, a search, a rename, a delete with its way back, an export.

A mixin of `ChatPage`, apart from it only to keep both readable.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from playground.gui.widgets import chat_export

if TYPE_CHECKING:
    from playground.gui.pages.chat import ChatPage


class ChatSessions:
    """See the module's docstring."""

    def connect_list(self: ChatPage) -> None:
        self._searches = 0
        chats = self.chats
        chats.new_wanted.connect(self.new_chat)
        chats.opened.connect(self.open_chat)
        chats.searched.connect(self._search)
        chats.renamed.connect(lambda chat_id, title: self.attempt(lambda: self.desk.session.rename(chat_id, title)))
        chats.deleted.connect(self.delete)
        chats.export_wanted.connect(self.export)
        self.ui.menu_wanted.connect(self._chat_menu)

    def _read_chats(self: ChatPage) -> None:
        try:
            future = self.desk.session.chats()
        except Exception:  # the store is not open yet: `StoreReady` will bring us here again
            return
        self.desk.when_done(future, self, self.chats.model.set_sessions, lambda error: None)

    def delete(self: ChatPage, chat_id: str) -> None:
        """Throws a chat away; the notice has the way back."""
        row = self.chats.model.session(chat_id)
        title = (row.title if row else "") or "New chat"
        if self._busy and self.conversation is not None and self.conversation.running and chat_id == self.chat_id:
            self.desk.session.stop()
        if self.attempt(lambda: self.desk.session.delete(chat_id)):
            short = title if len(title) <= 40 else title[:38] + "…"
            self.desk.notify(
                f"“{short}” was deleted.", action="Undo", key=f"deleted:{chat_id}", run=lambda: self._undelete(chat_id)
            )

    def _undelete(self: ChatPage, chat_id: str) -> None:
        if self.attempt(lambda: self.desk.session.undelete(chat_id)):
            self.desk.notify("", key=f"deleted:{chat_id}")
            self.open_chat(chat_id)

    def export(self: ChatPage, chat_id: str, form: str) -> None:
        row = self.chats.model.session(chat_id)
        chat_export.ask_and_write(self, self.desk, chat_id, (row.title if row else "") or "chat", form)

    def _chat_menu(self: ChatPage, where: Any) -> None:
        index = self.chats.model.index_of(self.chat_id)
        if index.isValid():
            self.chats.menu(index, where)

    def _search(self: ChatPage, words: str) -> None:
        self._searches += 1
        number = self._searches
        if not words:
            self.chats.model.set_hits(None)
            self.chats.show_empty()
            return

        def show(hits: Any) -> None:
            if number == self._searches:
                self.chats.model.set_hits(hits)
                self.chats.show_empty()

        self.desk.when_done(self.desk.session.search(words), self, show)
