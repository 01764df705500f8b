"""What is written and what is told, in one order: an event comes after everything that was written before it.

Joins the recorder's and the reader's threads with one thread of its own, on which listeners are called. Knows no chat and no engine.
"""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable
from concurrent.futures import CancelledError, Future
from pathlib import Path
from typing import TypeVar

from playground import events
from playground.errors import PlaygroundError
from playground.history import recorder
from playground.history.reader import Reader
from playground.history.store import Store
from playground.history.work import nothing

log = logging.getLogger(__name__)

Listener = Callable[[events.Event], None]
T = TypeVar("T")


class Ledger:
    """Cheap to make; `start` opens the database."""

    def __init__(self) -> None:
        self._listeners: list[Listener] = []
        self._told: queue.SimpleQueue[events.Event | None] = queue.SimpleQueue()
        self._teller = threading.Thread(target=self._tell_all, name="session-events", daemon=True)
        self._recorder: recorder.Recorder | None = None
        self._reader: Reader | None = None

    def start(self, database: Path, first: Callable[[Store], object]) -> None:
        """Opens the database on its own thread and does `first` there; `StoreReady` follows."""
        self._teller.start()
        self._recorder = opened = recorder.Recorder(database, self._trouble)
        self._reader = opened.reader()
        opened.submit(first)
        opened.submit(nothing, lambda: self.tell_now(events.StoreReady(opened.trouble is None)))

    def close(self) -> bool:
        """Writes what is pending and tells what is left to tell; a few seconds at most. False if something could not be written."""
        saved = True
        if self._reader is not None:
            self._reader.close()
        if self._recorder is not None:
            saved = self._recorder.close()
            self._told.put(None)
            self._teller.join(2)
        return saved

    @property
    def trouble(self) -> recorder.StoreTrouble | None:
        """Why the database cannot be used now; None while it can."""
        return self._open().trouble

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        """Calls `listener` with every event from now on; the returned function ends that."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener) if listener in self._listeners else None

    def write(self, job: Callable[[Store], object], then: Callable[[], None] | None = None) -> Future[object]:
        """Queues work for the database; `then` is called once it is written, or once somebody was told that it could not be."""
        return self._open().submit(job, then)

    def read(self, job: Callable[[Store], T]) -> Future[T]:
        """Reads after everything that was written before, without standing in the way of what is written next."""
        writes, reader = self._open(), self._reader
        assert reader is not None
        answer: Future[T] = Future()

        def settle(found: Future[T]) -> None:
            if not answer.set_running_or_notify_cancel():
                return
            error = CancelledError() if found.cancelled() else found.exception()
            if isinstance(error, CancelledError):
                error = PlaygroundError("The program is closing.")
            if error is not None:
                answer.set_exception(error)
            else:
                answer.set_result(found.result())

        def refused(turn: Future[None]) -> None:
            if (turn.cancelled() or turn.exception() is not None) and answer.set_running_or_notify_cancel():
                answer.set_exception(PlaygroundError("The program is closing."))

        turn = writes.submit(nothing, lambda: reader.read(job).add_done_callback(settle))
        turn.add_done_callback(refused)
        return answer

    def tell(self, event: events.Event) -> None:
        """Tells it after everything that was written before it."""
        self._open().submit(nothing, lambda: self.tell_now(event))

    def tell_now(self, event: events.Event) -> None:
        """Tells what has nothing to do with the database."""
        self._told.put(event)

    def _open(self) -> recorder.Recorder:
        if self._recorder is None:
            raise PlaygroundError("The database is not open yet.", "Try again in a moment.")
        return self._recorder

    def _trouble(self, trouble: recorder.StoreTrouble | None) -> None:
        if trouble is None:
            self.tell_now(events.Notice("info", "", key="storage"))
        else:
            self.tell_now(events.Notice("error", trouble.message, trouble.hint, key="storage"))

    def _tell_all(self) -> None:
        while (event := self._told.get()) is not None:
            for listener in tuple(self._listeners):
                try:
                    listener(event)
                except Exception:
                    log.exception("a listener failed on %s", type(event).__name__)
