"""The session: intents in, events out.

The window and the command line are two faces of this class. Intents return at once (or a `Future`); what comes of them arrives as
`events` on the subscribers, in order, on one thread of the session's own. What a listener is told was written to the database before,
or the listener was told that it could not be.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import TYPE_CHECKING, Any

from playground import events, protocol
from playground.errors import NotFoundError, PlaygroundError
from playground.history import export
from playground.history.records import Chat, FitRow, GenerationRow, SearchHit, SessionRow, TokenRow, new_id
from playground.history.store import Store
from playground.params import ContextSettings, SamplingSettings
from playground.paths import Home, existing, starter
from playground.session import replay
from playground.session.parts import Parts
from playground.session.replies import change, put
from playground.session.reply_tokens import reply_tokens
from playground.session.tree import Tree, title_of

if TYPE_CHECKING:
    from playground.session.drafts import Drafts


class Session(Parts):
    """The program without a face. Cheap to make; `start` does the work, `close` ends it."""

    def __init__(self, home: Home) -> None:
        super().__init__(home)
        self._last_load: tuple[Path, ContextSettings, str] | None = None

    # -- model

    def load(
        self, model: str | Path, context: ContextSettings | None = None, adapter: str | Path = ""
    ) -> Future[protocol.ModelInfo]:
        """Loads a model (`starter`, a path or a name), replacing the one that is loaded, and puts an adapter on if one is named.

        `ModelState` events follow; the future gives `ModelInfo` or the error.
        """
        path = self.find_model(model)
        put_on = str(self.find_adapter(adapter)) if str(adapter) else ""
        settings = context or ContextSettings()
        self._last_load = (path, settings, put_on)
        return self._engine.load(path, settings, put_on)

    def reload(self) -> Future[protocol.ModelInfo]:
        """Loads again what was loaded last, after its worker died."""
        if self._last_load is None:
            return self.load("starter")
        return self.load(*self._last_load)

    def unload(self) -> None:
        self._engine.unload()

    @property
    def model(self) -> events.ModelState:
        return self._engine.state

    def find_model(self, model: str | Path) -> Path:
        """The file that a name stands for: `starter`, a path, or a name of the library.

        NotFoundError with a way out, ModelFileError for what lies in a folder that may not be entered.
        """
        if str(model) == "starter":
            return starter()
        if (path := existing(model)) is not None:
            from playground.models.places import check_reachable

            check_reachable(path)
            return path
        from playground.models import library  # reads folders: only for a name that is no path

        return library.resolve(self.home, str(model))

    def find_adapter(self, adapter: str | Path) -> Path:
        """The folder or file that an adapter's name stands for: a path, or a name of ours or of the library. NotFoundError with a way out."""
        from playground.models import adapters

        return adapters.resolve(self.home, str(adapter))

    # -- chat

    def send(self, chat_id: str, text: str, reply_start: str = "") -> str:
        """Adds a user message at the tip of a chat (an empty `chat_id` begins a new one) and asks for the reply. Returns the chat's id.

        Refused while a reply is being written or no model is there: nothing is stored then, and the text is still the caller's.
        """
        self._replies.refuse_if_busy()
        if not text.strip() and not reply_start:
            raise PlaygroundError("There is nothing to send.", "Write a message first.")
        chat_id = chat_id or self.new_chat()

        def go(tree: Tree) -> None:
            fields: dict[str, Any] = {}
            if not tree.session.title:
                fields["title"] = title_of(text)
            user = tree.add("user", text, tree.session.tip)
            put(self._ledger, tree, user, **fields)
            self._replies.reply(tree, user.id, reply_start)

        self._with_tree(chat_id, go)
        return chat_id

    def regenerate(self, chat_id: str, message_id: str) -> None:
        """Another version of an assistant's message, beside the old one."""
        self._replies.refuse_if_busy()

        def go(tree: Tree) -> None:
            old = tree.message(message_id)
            self._replies.reply(tree, old.parent_id, old.reply_start)

        self._with_tree(chat_id, go)

    def edit(self, chat_id: str, message_id: str, text: str) -> None:
        """Another version of a message, beside the old one: of the user's with a reply to it, of the model's as it stands."""
        self._replies.refuse_if_busy()

        def go(tree: Tree) -> None:
            old = tree.message(message_id)
            new = tree.add(old.role, text, old.parent_id)
            put(self._ledger, tree, new)
            if new.role == "user":
                self._replies.reply(tree, new.id, "")

        self._with_tree(chat_id, go)

    def fork(self, chat_id: str, message_id: str, generation_id: str, index: int, token_id: int) -> None:
        """Another version of a reply, beside it: its recorded tokens before `index` of a generation, then `token_id`, then what follows."""
        self._replies.refuse_if_busy()

        def read(store: Store) -> tuple[GenerationRow, list[TokenRow], int, str]:
            row = store.generation(generation_id)
            found = {(each.generation_id, each.row.index): each for each in reply_tokens(store, row.message_id)}
            if (generation_id, index) not in found:
                raise NotFoundError("That token is not in this reply any more.", "Open the chat again.")
            return row, store.tokens(generation_id)[:index], found[generation_id, index].offset, row.message_id

        def go(tree: Tree, answer: Future[tuple[GenerationRow, list[TokenRow], int, str]]) -> None:
            row, tokens, offset, of = answer.result()
            if tree.message(of).parent_id != tree.message(message_id).parent_id:
                raise PlaygroundError("That token belongs to another reply.", "Open the chat again.")
            self._replies.refuse_if_busy()
            self._replies.fork(tree, tree.message(of), (row, tokens, offset), token_id)

        def done(answer: Future[tuple[GenerationRow, list[TokenRow], int, str]]) -> None:
            try:
                self._with_tree(chat_id, lambda tree: go(tree, answer))
            except PlaygroundError as error:
                self._ledger.tell_now(events.Notice("error", error.message, error.hint, key="reply"))

        self._ledger.read(read).add_done_callback(done)

    def continue_reply(self, chat_id: str, message_id: str) -> None:
        """Goes on with a reply that was stopped, cut off or interrupted, in the same message."""
        self._replies.refuse_if_busy()
        self._with_tree(chat_id, lambda tree: self._replies.continue_reply(tree, message_id))

    def select_version(self, chat_id: str, message_id: str) -> None:
        """Shows the branch through this message (its newest descendants below it)."""
        self._with_tree(chat_id, lambda tree: change(self._ledger, tree, tip=tree.leaf_below(message_id)))

    def stop(self) -> None:
        """Stops the running completion at the next token, or takes back one that waits for the model."""
        self._replies.stop()

    @property
    def busy(self) -> bool:
        """Whether a completion is being written or waits for the model."""
        return self._replies.running is not None or self._replies.elsewhere()

    # -- steering

    @property
    def sampling(self) -> SamplingSettings:
        return self._replies.sampling

    def set_sampling(self, settings: SamplingSettings, chat_id: str = "") -> None:
        """Settings for what comes; in force for the next token if a completion is running. Kept with the chat, if one is named."""
        self._replies.set_sampling(settings)
        if chat_id:
            self._with_tree(chat_id, lambda tree: change(self._ledger, tree, sampling=settings))

    @property
    def pace(self) -> float:
        return self._replies.pace

    def set_pace(self, tokens_per_s: float) -> None:
        """At most this many tokens a second, 0 for as fast as the engine goes; acts on a running completion too."""
        self._replies.set_pace(tokens_per_s)

    # -- chats

    def new_chat(self, system: str = "") -> str:
        """A chat without messages. Returns its id."""
        now = time.time()
        model = self.model
        row = SessionRow(new_id(), "chat", "", model.path, model.name, system, self.sampling, created=now, updated=now)
        with self._lock:
            self._trees[row.id] = Tree(Chat(row))
            self._ledger.write(lambda store: store.add_session(row))
            self._ledger.tell(events.SessionChanged(row))
        return row.id

    def rename(self, chat_id: str, title: str) -> None:
        self._with_tree(chat_id, lambda tree: change(self._ledger, tree, title=title.strip()))

    def set_system(self, chat_id: str, text: str) -> None:
        self._with_tree(chat_id, lambda tree: change(self._ledger, tree, system=text))

    def delete(self, chat_id: str) -> None:
        """Throws a chat away; `undelete` takes it back."""
        self._with_tree(chat_id, lambda tree: change(self._ledger, tree, deleted=time.time()))

    def undelete(self, chat_id: str) -> None:
        self._with_tree(chat_id, lambda tree: change(self._ledger, tree, deleted=None))

    # -- reading

    @property
    def drafts(self) -> Drafts:
        """Prompts in the making."""
        from playground.session.drafts import Drafts

        return Drafts(self._ledger, self.new_chat, self._with_tree)

    def left_prompt_sets(self) -> Future[list[tuple[SessionRow, int, int]]]:
        """As `prompt_sets.unfinished`, for the window's start: what that needs is imported only if there is a set, and not on this thread."""

        def read(store: Store) -> list[tuple[SessionRow, int, int]]:
            if not store.sessions(kind="prompts"):
                return []
            from playground.session.prompt_sets import unfinished

            return unfinished(store)

        return self._ledger.read(read)

    def chats(self) -> Future[list[SessionRow]]:
        """All chats, the last used first."""
        return self._ledger.read(lambda store: store.sessions())

    def chat(self, chat_id: str) -> Future[Chat]:
        """All of a chat; a reply that is being written as far as it has come."""
        answer: Future[Chat] = Future()
        self._with_tree(chat_id, lambda tree: answer.set_result(self._replies.snapshot(tree)), answer.set_exception)
        return answer

    def search(self, words: str, limit: int = 50) -> Future[list[SearchHit]]:
        return self._ledger.read(lambda store: store.search(words, limit))

    def generations(self, limit: int = 1000, offset: int = 0) -> Future[list[GenerationRow]]:
        """The newest first."""
        return self._ledger.read(lambda store: store.generations(limit, offset))

    def generation(self, generation_id: str) -> Future[GenerationRow]:
        return self._ledger.read(lambda store: store.generation(generation_id))

    def tokens(self, generation_id: str) -> Future[list[TokenRow]]:
        return self._ledger.read(lambda store: store.tokens(generation_id))

    def fits(self, model_path: str = "", limit: int = 50) -> Future[list[FitRow]]:
        """Predicted against measured, the newest first; of one model if its path is given."""
        return self._ledger.read(lambda store: store.fits(limit, model_path))

    def export(self, chat_id: str, form: str) -> Future[str]:
        """A chat as text: `md` is the visible branch to read, `json` everything there is; of a comparison `csv` is a row a column."""
        if form == "csv":
            from playground.session import comparison_export

            return self._ledger.read(lambda store: comparison_export.as_csv(store, chat_id))
        if form == "md":
            return self._ledger.read(lambda store: export.to_markdown(store.chat(chat_id)))
        return self._ledger.read(lambda store: export.to_json(store, chat_id))

    def replay(self, generation_id: str, on_progress: Callable[[float], None] | None = None) -> Future[events.ReplayResult]:
        """Decodes a generation again from its record and compares, token for token.

        In the loaded model if it is the same one under the same settings, else in a worker of its own.
        """
        self._replies.refuse_if_busy(model_needed=False)

        def work() -> events.ReplayResult:
            one, group = self._ledger.read(lambda store: replay.recorded(store, generation_id)).result()
            return replay.replay(one, group, self._engine, on_progress or (lambda fraction: None), self._hold)

        return self._replays.submit(work)
