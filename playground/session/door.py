"""The session: intents in, events out.

The window and the command line are two faces of this class. Intents return at once (or a `Future`); what comes of them arrives as
`events` on the subscribers, in order, on one thread of the session's own. What a listener is told was written to the database before,
or the listener was told that it could not be.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from playground import events, protocol
from playground.errors import PlaygroundError
from playground.history import export
from playground.history.owner import owner
from playground.history.records import Chat, FitRow, GenerationRow, MessageRow, SearchHit, SessionRow, TokenRow, new_id
from playground.history.store import Store
from playground.params import ContextSettings, SamplingSettings, to_dict
from playground.paths import Home, starter
from playground.session import replay
from playground.session.engine import EngineHost
from playground.session.ledger import Ledger, Listener
from playground.session.measuring import Measuring
from playground.session.running import Running
from playground.session.tree import Tree, title_of

if TYPE_CHECKING:
    from playground.session.shelf import Shelf

log = logging.getLogger(__name__)

ALTERNATIVES = 8
"""candidates recorded with every token"""

KEPT_S = 30 * 24 * 3600
"""how long a chat that was thrown away can be taken back, in seconds"""


class Session:
    """The program without a face. Cheap to make; `start` does the work, `close` ends it."""

    def __init__(self, home: Home) -> None:
        self.home = home
        self._lock = threading.RLock()
        self._ledger = Ledger()
        self._measuring = Measuring(self._ledger)
        self._engine = EngineHost(
            self._model_changed, self._measuring.hashed, self._measuring.known_hash, self._measuring.memory_used
        )
        self._side = ThreadPoolExecutor(1, thread_name_prefix="session-side")
        self._trees: dict[str, Tree] = {}
        self._running: Running | None = None
        self._queued: Callable[[], None] | None = None
        self._last_load: tuple[Path, ContextSettings] | None = None
        self._sampling = SamplingSettings()
        self._pace = 0.0
        self._shelf: Shelf | None = None
        self._measured = ""
        self._closed = False

    # -- life

    def start(self) -> None:
        """Opens the database on its own thread; `StoreReady` follows."""

        def first(store: Store) -> None:
            store.mark_interrupted()
            store.purge_deleted(time.time() - KEPT_S)

        self._ledger.start(self.home.database, first)

    def close(self) -> None:
        """Stops what runs, writes what is pending, ends the workers. Returns within a few seconds, whatever hangs."""
        if self._closed:
            return
        self._closed = True
        running = self._running
        self._measuring.close()
        if self._shelf is not None:
            self._shelf.close()
        self._engine.close()
        if running is not None:
            running.interrupt()
        self._side.shutdown(wait=False, cancel_futures=True)
        self._ledger.close()

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        """Calls `listener` with every event from now on; the returned function ends that."""
        return self._ledger.subscribe(listener)

    @property
    def shelf(self) -> Shelf:
        """Models on this computer and on the hub, downloads, estimates. Made when it is first wanted."""
        with self._lock:
            if self._shelf is None:
                from playground.session.shelf import Shelf  # reads headers and asks the hub: not at the window's start

                self._shelf = Shelf(self.home, self._ledger.tell_now, self.fits)
            return self._shelf

    # -- model

    def load(self, model: str | Path, context: ContextSettings | None = None) -> Future[protocol.ModelInfo]:
        """Loads a model (`starter`, or a path), replacing the one that is loaded. `ModelState` events follow; the future gives
        `ModelInfo` or the error.
        """
        path = self.find_model(model)
        settings = context or ContextSettings()
        self._last_load = (path, settings)
        return self._engine.load(path, settings)

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
        """The file that a name stands for: `starter`, a path, or a name of the library. NotFoundError with a way out."""
        if str(model) == "starter":
            return starter()
        path = Path(model).expanduser()
        if path.exists():
            return path.absolute()
        from playground.models import library  # reads folders: only for a name that is no path

        return library.resolve(self.home, str(model))

    # -- chat

    def send(self, chat_id: str, text: str, reply_start: str = "") -> str:
        """Adds a user message at the tip of a chat (an empty `chat_id` begins a new one) and asks for the reply. Returns the chat's id.

        Refused while a reply is being written or no model is there: nothing is stored then, and the text is still the caller's.
        """
        self._refuse_if_busy()
        if not text.strip() and not reply_start:
            raise PlaygroundError("There is nothing to send.", "Write a message first.")
        chat_id = chat_id or self.new_chat()

        def go(tree: Tree) -> None:
            fields: dict[str, Any] = {}
            if not tree.session.title:
                fields["title"] = title_of(text)
            user = tree.add("user", text, tree.session.tip)
            self._store_message(tree, user, **fields)
            self._reply(tree, user.id, reply_start)

        self._with_tree(chat_id, go)
        return chat_id

    def regenerate(self, chat_id: str, message_id: str) -> None:
        """Another version of an assistant's message, beside the old one."""
        self._refuse_if_busy()

        def go(tree: Tree) -> None:
            old = tree.message(message_id)
            self._reply(tree, old.parent_id, old.reply_start)

        self._with_tree(chat_id, go)

    def edit(self, chat_id: str, message_id: str, text: str) -> None:
        """Another version of a message, beside the old one: of the user's with a reply to it, of the model's as it stands."""
        self._refuse_if_busy()

        def go(tree: Tree) -> None:
            old = tree.message(message_id)
            new = tree.add(old.role, text, old.parent_id)
            self._store_message(tree, new)
            if new.role == "user":
                self._reply(tree, new.id, "")

        self._with_tree(chat_id, go)

    def continue_reply(self, chat_id: str, message_id: str) -> None:
        """Goes on with a reply that was stopped, cut off or interrupted, in the same message."""
        self._refuse_if_busy()
        self._with_tree(chat_id, lambda tree: self._continue(tree, message_id))

    def select_version(self, chat_id: str, message_id: str) -> None:
        """Shows the branch through this message (its newest descendants below it)."""
        self._with_tree(chat_id, lambda tree: self._change_session(tree, tip=tree.leaf_below(message_id)))

    def stop(self) -> None:
        """Stops the running completion at the next token, or takes back one that waits for the model."""
        with self._lock:
            running = self._running
            if running is not None and running.request == 0:
                self._queued = None
                running.take(protocol.Finished(0, "cancelled"))
            elif running is not None:
                self._engine.cancel(running.request)

    @property
    def busy(self) -> bool:
        """Whether a completion is being written or waits for the model."""
        return self._running is not None

    # -- steering

    @property
    def sampling(self) -> SamplingSettings:
        return self._sampling

    def set_sampling(self, settings: SamplingSettings, chat_id: str = "") -> None:
        """Settings for what comes; in force for the next token if a completion is running. Kept with the chat, if one is named."""
        with self._lock:
            self._sampling = settings
            if (running := self._running) is not None and running.request:
                seeded = replace(settings, seed=running.generation.settings.seed)
                self._engine.tell(protocol.SetSampling(running.request, seeded))
        if chat_id:
            self._with_tree(chat_id, lambda tree: self._change_session(tree, sampling=settings))

    @property
    def pace(self) -> float:
        return self._pace

    def set_pace(self, tokens_per_s: float) -> None:
        """At most this many tokens a second, 0 for as fast as the engine goes; acts on a running completion too."""
        with self._lock:
            self._pace = tokens_per_s
            if (running := self._running) is not None and running.request:
                self._engine.tell(protocol.SetPace(running.request, tokens_per_s))

    # -- chats

    def new_chat(self, system: str = "") -> str:
        """A chat without messages. Returns its id."""
        now = time.time()
        model = self.model
        row = SessionRow(new_id(), "chat", "", model.path, model.name, system, self._sampling, created=now, updated=now)
        with self._lock:
            self._trees[row.id] = Tree(Chat(row))
            self._ledger.write(lambda store: store.add_session(row))
            self._ledger.tell(events.SessionChanged(row))
        return row.id

    def rename(self, chat_id: str, title: str) -> None:
        self._with_tree(chat_id, lambda tree: self._change_session(tree, title=title.strip()))

    def set_system(self, chat_id: str, text: str) -> None:
        self._with_tree(chat_id, lambda tree: self._change_session(tree, system=text))

    def delete(self, chat_id: str) -> None:
        """Throws a chat away; `undelete` takes it back."""
        self._with_tree(chat_id, lambda tree: self._change_session(tree, deleted=time.time()))

    def undelete(self, chat_id: str) -> None:
        self._with_tree(chat_id, lambda tree: self._change_session(tree, deleted=None))

    # -- reading

    def chats(self) -> Future[list[SessionRow]]:
        """All chats, the last used first."""
        return self._ledger.read(lambda store: store.sessions())

    def chat(self, chat_id: str) -> Future[Chat]:
        answer: Future[Chat] = Future()
        self._with_tree(chat_id, lambda tree: answer.set_result(tree.snapshot()), answer.set_exception)
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
        """A chat as text: `md` is the visible branch to read, `json` everything there is."""
        if form == "md":
            return self._ledger.read(lambda store: export.to_markdown(store.chat(chat_id)))
        return self._ledger.read(lambda store: export.to_json(store, chat_id))

    def replay(self, generation_id: str, on_progress: Callable[[float], None] | None = None) -> Future[events.ReplayResult]:
        """Decodes a generation again from its record and compares, token for token.

        In the loaded model if it is the same one under the same settings, else in a worker of its own.
        """
        self._refuse_if_busy(model_needed=False)

        def work() -> events.ReplayResult:
            row, tokens = self._ledger.read(
                lambda store: (store.generation(generation_id), store.tokens(generation_id))
            ).result()
            return replay.replay(row, tokens, self._engine, on_progress or (lambda fraction: None))

        return self._side.submit(work)

    # -- the way of a reply

    def _reply(self, tree: Tree, parent_id: str, reply_start: str) -> None:
        """A new assistant's message below `parent_id`, and the command that fills it."""
        prompt = tree.prompt(parent_id)
        message = tree.add("assistant", reply_start, parent_id, "streaming", reply_start)
        self._store_message(tree, message)
        sampling = self._sampling
        pace = self._pace
        self._begin(
            tree,
            message,
            0,
            lambda request: protocol.Generate(
                request, (sampling,), prompt, reply_start=reply_start, alternatives=ALTERNATIVES, pace=pace
            ),
        )

    def _continue(self, tree: Tree, message_id: str) -> None:
        """From the recorded tokens where they are this model's and make up the message, else from its text."""
        message = tree.message(message_id)
        if message.role != "assistant":
            raise PlaygroundError("Only a reply can be continued.", "Choose one of the model's messages.")
        before = tree.generations.get(message_id)
        if before is None or before.model_path != self.model.path:
            self._continue_with(tree, message, None, [])
            return

        def found(answer: Future[tuple[GenerationRow, list[TokenRow]]]) -> None:
            whole: GenerationRow | None = None
            tokens: list[TokenRow] = []
            try:
                whole, tokens = answer.result()
            except Exception:  # its text is still there to go on from
                log.exception("could not read generation %s", before.id)
            with self._lock:
                self._continue_with(tree, message, whole, tokens)

        self._ledger.read(lambda store: (store.generation(before.id), store.tokens(before.id))).add_done_callback(found)

    def _continue_with(self, tree: Tree, message: MessageRow, before: GenerationRow | None, tokens: list[TokenRow]) -> None:
        text = "".join(token.text for token in tokens)
        prompt = tree.prompt(message.parent_id)
        sampling, pace = self._sampling, self._pace
        message = tree.change(message.id, state="streaming")
        self._ledger.write(lambda store: store.update_message(message.id, state="streaming"))
        self._ledger.tell(events.MessageChanged(message))
        if before is not None and before.prompt_ids and tokens and message.content.endswith(text):
            ids = tuple(token.token_id for token in tokens)
            head = before.prompt_ids[: len(before.prompt_ids) - before.continued]
            tail = before.prompt_ids[len(head) :] + ids
            self._begin(
                tree,
                message,
                len(tail),
                lambda request: protocol.Generate(
                    request, (sampling,), prompt_ids=head, continued=tail, alternatives=ALTERNATIVES, pace=pace
                ),
            )
        else:
            self._begin(
                tree,
                message,
                0,
                lambda request: protocol.Generate(
                    request, (sampling,), prompt, reply_start=message.content, alternatives=ALTERNATIVES, pace=pace
                ),
            )

    def _begin(self, tree: Tree, message: MessageRow, continued: int, command: Callable[[int], protocol.Generate]) -> None:
        """Stores a generation and, once that is written, sends its command; waits for a model that is being loaded."""
        row = GenerationRow(
            new_id(),
            tree.session.id,
            message.id,
            "",
            "",
            "",
            "",
            "",
            "",
            continued=continued,
            settings=self._sampling,
            owner=owner(),
            started=time.time(),
        )
        running = Running(row, message, self._ledger.write, self._ledger.tell, lambda ended: self._ended(tree, ended))
        self._running = running

        def go() -> None:
            with self._lock:
                if self._running is not running or running.request:
                    return
                state = self.model
                if state.state == "loading":
                    self._queued = go
                    return
                if state.info is None:
                    running.take(protocol.Failed(0, "WorkerError", state.message or "No model is loaded.", state.hint))
                    return
                running.generation = self._with_model(running.generation)
                started = running.generation
                tree.put_generation(started)
                self._ledger.write(lambda store: store.add_generation(started))
                self._ledger.tell(events.GenerationStarted(started.id, started.session_id, message.id, started.settings))
                self._ledger.write(lambda store: None, ask)

        def ask() -> None:
            with self._lock:
                if self._running is not running:
                    return
                try:
                    running.request = self._engine.ask(command, running.take)
                except PlaygroundError as error:
                    running.take(protocol.Failed(0, error.kind, error.message, error.hint))

        go()

    def _with_model(self, row: GenerationRow) -> GenerationRow:
        info = self.model.info
        assert info is not None
        if not info.sha256:
            self._measuring.wants_hash(row.id)
        context = to_dict(self._engine.context) | {"context": info.context}
        return replace(
            row,
            model_path=info.path,
            model_name=info.name,
            model_sha256=info.sha256,
            engine=info.engine,
            engine_build=info.engine_build,
            device=info.device,
            context=context,
            settings=self._sampling,
        )

    def _ended(self, tree: Tree, running: Running) -> None:
        with self._lock:
            if self._running is running:
                self._running = None
            tree.put_generation(running.generation)
            tree.change(running.message.id, content=running.message.content, state=running.message.state)
            problem = running.problem
            if problem is None or problem.kind == "WorkerError":  # the model's own notice says that
                return
            if problem.kind == "Bug":
                log.error("generation failed: %s\n%s", problem.message, problem.details)
            self._ledger.tell(events.Notice("error", problem.message, problem.hint, key="reply"))

    def _refuse_if_busy(self, model_needed: bool = True) -> None:
        if self._running is not None:
            raise PlaygroundError("A reply is still being written.", "Stop it first, or wait for its end.")
        if model_needed and self.model.state in ("none", "failed", "lost"):
            raise PlaygroundError("No model is loaded.", "Choose one, or load the last one again.")

    # -- what the engine says

    def _model_changed(self, state: events.ModelState) -> None:
        self._ledger.tell_now(state)
        if state.state == "loading":
            self._measured = ""
        if state.state == "ready":
            self._ledger.tell_now(events.Notice("info", "", key="engine"))
            if state.info is not None and state.info.path != self._measured:
                self._measured = state.info.path  # told again when the file's hash is known
                self._measuring.loaded(state.info, self._engine.context)
        if state.state == "lost":
            self._ledger.tell_now(events.Notice("error", state.message, state.hint, "reload", "engine"))
        if state.state != "loading":
            with self._lock:
                queued, self._queued = self._queued, None
            if queued is not None:
                self._side.submit(queued)

    # -- small parts

    def _with_tree(
        self, chat_id: str, use: Callable[[Tree], None], failed: Callable[[BaseException], None] | None = None
    ) -> None:
        """Calls `use` with the chat, under the lock: at once if it is in memory, else when it has been read."""
        with self._lock:
            tree = self._trees.get(chat_id)
            if tree is not None:
                use(tree)
                return

        def found(answer: Future[Chat]) -> None:
            try:
                chat = answer.result()
                with self._lock:
                    use(self._trees.setdefault(chat_id, Tree(chat)))
            except Exception as error:
                if failed is not None:
                    failed(error)
                elif isinstance(error, PlaygroundError):
                    self._ledger.tell_now(events.Notice("error", error.message, error.hint))
                else:
                    log.exception("an intent on chat %s failed", chat_id)

        self._ledger.read(lambda store: store.chat(chat_id)).add_done_callback(found)

    def _store_message(self, tree: Tree, message: MessageRow, **session_fields: Any) -> None:
        """A new message at the tip: written, then told."""
        self._ledger.write(lambda store: store.add_message(message))
        self._change_session(tree, tip=message.id, **session_fields)
        self._ledger.tell(events.MessageAdded(message))

    def _change_session(self, tree: Tree, **fields: Any) -> None:
        row = tree.change_session(**fields)
        self._ledger.write(lambda store: store.update_session(row.id, updated=row.updated, **fields))
        self._ledger.tell(events.SessionChanged(row))
