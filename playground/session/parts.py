"""What the session's door stands on: how it is made, started and closed, and the parts that are made when they are first wanted.

Knows no intents; `door.Session` adds them.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Generic, Protocol, Self, TypeVar, overload

from playground import events
from playground.errors import PlaygroundError
from playground.history.recorder import StoreTrouble
from playground.history.records import Chat
from playground.history.store import Store
from playground.paths import Home
from playground.session.engine import EngineHost
from playground.session.ledger import Ledger, Listener
from playground.session.measuring import Measuring
from playground.session.replies import Replies
from playground.session.shelf_lane import Lane
from playground.session.tree import Tree

if TYPE_CHECKING:
    from playground.session.beams import BeamSearches
    from playground.session.compare import Comparisons
    from playground.session.datasets import Datasets
    from playground.session.guests import Guests
    from playground.session.inside import Inside
    from playground.session.lab import Lab
    from playground.session.prompt_sets import PromptSets
    from playground.session.publishing import Publishing
    from playground.session.shelf import Shelf
    from playground.session.training import Training
    from playground.session.workshop import Workshop

log = logging.getLogger(__name__)

KEPT_S = 30 * 24 * 3600
"""how long a chat that was thrown away can be taken back, in seconds"""


class Part(Protocol):
    """Something of the session's that ends with it."""

    def close(self) -> None: ...


P = TypeVar("P", bound=Part)


class made_once(Generic[P]):  # noqa: N801  used as `property` is
    """A part that is made when it is first wanted, under the session's lock, and closed with it.

    A method under this decorator makes it, and imports what it takes inside: not at the window's start.
    """

    def __init__(self, make: Callable[..., P]) -> None:
        self.__doc__ = make.__doc__
        self._make = make
        self._name = make.__name__

    @overload
    def __get__(self, host: None, owner: type) -> Self: ...

    @overload
    def __get__(self, host: Parts, owner: type) -> P: ...

    def __get__(self, host: Parts | None, owner: type) -> P | Self:
        if host is None:
            return self
        with host._lock:
            if (part := self.of(host)) is None:
                part = self._make(host)
                host.__dict__[self._name] = part  # found there before this is asked, from now on
                host._made.append(part)
            return part

    def of(self, host: Parts) -> P | None:
        """The part if it has been made."""
        return host.__dict__.get(self._name)


class Parts:
    """A session without intents."""

    def __init__(self, home: Home) -> None:
        self.home = home
        self._lock = threading.RLock()
        self._ledger = Ledger()
        self._measuring = Measuring(self._ledger)
        self._engine = EngineHost(
            self._model_changed, self._measuring.hashed, self._measuring.known_hash, self._measuring.memory_used
        )
        self._replies = Replies(self._lock, self._ledger, self._engine, self._measuring)
        self._side = ThreadPoolExecutor(1, thread_name_prefix="session-side")
        self._replays = Lane("replay")
        self._replaying: EngineHost | None = None
        """what a replay has loaded for itself"""
        self._trees: dict[str, Tree] = {}
        self._made: list[Part] = []
        """in the order of their making"""
        self._measured = ""
        self._closed = False

    # -- life

    def start(self) -> None:
        """Opens the database on its own thread; `StoreReady` follows."""

        def first(store: Store) -> None:
            store.mark_interrupted()
            store.purge_deleted(time.time() - KEPT_S)

        self._ledger.start(self.home.database, first)

    def close(self) -> bool:
        """Stops what runs, writes what is pending, ends the workers. Returns within a few seconds, whatever hangs.

        False if something that was said could not be written.
        """
        if self._closed:
            return True
        self._closed = True
        running = self._replies.running
        compare = Parts.compare.of(self)
        for part in reversed(tuple(self._made)):  # a part may use those before it
            if part is not compare:  # ends like a reply: when no token can come any more
                part.close()
        self._measuring.close()
        self._replays.close()
        with self._lock:
            replaying = self._replaying
        if replaying is not None:
            replaying.close()
        self._engine.close()
        if running is not None:
            running.interrupt()
        if compare is not None:
            compare.close()
        self._side.shutdown(wait=False, cancel_futures=True)
        return self._ledger.close()

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        """Calls `listener` with every event from now on; the returned function ends that."""
        return self._ledger.subscribe(listener)

    @property
    def storage_trouble(self) -> StoreTrouble | None:
        """Why nothing is being saved; None while all is well."""
        return self._ledger.trouble

    # -- parts, each made when it is first wanted

    @made_once
    def shelf(self) -> Shelf:
        """Models on this computer and on the hub, downloads, estimates."""
        from playground.session.shelf import Shelf  # reads headers and asks the hub

        return Shelf(self.home, self._ledger.tell_now, lambda: self._ledger.read(lambda store: store.fits(50)))

    @made_once
    def compare(self) -> Comparisons:
        """One prompt under several settings at once."""
        from playground.session.compare import Comparisons

        return Comparisons(self._lock, self._ledger, self._engine, self._guests(), self._replies, self._trees, self._with_tree)

    @made_once
    def prompt_sets(self) -> PromptSets:
        """Many prompts through the columns of a comparison, in the background."""
        from playground.session.prompt_sets import PromptSets

        return PromptSets(self._ledger, self._engine, self.compare)

    @made_once
    def lab(self) -> Lab:
        """What comes next, and what the model thinks of a text."""
        from playground.session.lab import Lab

        return Lab(self._lock, self._ledger, self._engine, self._replies, self._with_tree, self.home)

    @made_once
    def inside(self) -> Inside:
        """Captures of attention."""
        from playground.session.inside import Inside  # numpy, and files that are mapped

        _ = self.lab  # first: each puts its own way of giving way to a reply behind the other's
        return Inside(self._lock, self._ledger, self._engine, self._guests(), self._replies, self.home)

    @made_once
    def beams(self) -> BeamSearches:
        """Beam searches with their trees."""
        from playground.session.beams import BeamSearches

        return BeamSearches(self._ledger, self._engine, self._replies)

    @made_once
    def workshop(self) -> Workshop:
        """Models made of models: quantizing, converting, merging, reports."""
        from playground.session.quality import Remembered
        from playground.session.workshop import Workshop  # reads headers

        return Workshop(self.home, self._ledger.tell_now, self._model_made, Remembered(self._ledger))

    @made_once
    def datasets(self) -> Datasets:
        """Training data: looked at, imported, shown as tokens."""
        from playground.models import library
        from playground.session.datasets import Datasets
        from playground.session.training_folders import training_folder

        return Datasets(self.home, self._ledger, lambda name: training_folder(library.resolve(self.home, name)))

    @made_once
    def training(self) -> Training:
        """Runs that train a model on a dataset."""
        from playground.models import library
        from playground.session.training import Training  # reads headers

        def merge(*what: Any) -> str:
            return self.workshop.merge(*what)

        return Training(
            self.home,
            self._ledger,
            lambda name: library.resolve(self.home, name),
            lambda name: self.datasets.resolve(name),
            merge,
            self._model_made,
        )

    @made_once
    def publishing(self) -> Publishing:
        """Adapters and models that go to the hub, by somebody's explicit wish."""
        from playground.session.publishing import Publishing, find

        return Publishing(self.home, lambda name: find(self.home, name))

    def _guests(self) -> Guests:
        """A place for an engine beside the loaded one."""
        from playground.session.guests import Guests

        return Guests(self._measuring.hashed, self._measuring.known_hash)

    def _model_made(self) -> None:
        if (shelf := Parts.shelf.of(self)) is not None:
            shelf.refresh()

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
        if state.state != "loading" and not self._closed:
            # Not here: the engine's lock is held, and whoever holds the session's may be waiting for that one.
            self._side.submit(self._go_on)

    def _go_on(self) -> None:
        """Sends what was waiting for the model."""
        for waits in (self._replies, Parts.compare.of(self)):
            if waits is not None and (queued := waits.waiting()) is not None:
                queued()

    # -- small parts

    def _hold(self, replaying: EngineHost | None) -> None:
        with self._lock:
            self._replaying = replaying
        if replaying is not None and self._closed:
            replaying.close()

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
