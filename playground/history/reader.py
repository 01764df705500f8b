"""The thread that reads the database. Knows nothing of what is read."""

from __future__ import annotations

import threading
from collections import deque
from concurrent.futures import Future
from typing import TYPE_CHECKING

from playground.errors import StorageError
from playground.history.store import Store
from playground.history.work import Job, T, Work

if TYPE_CHECKING:
    from playground.history.recorder import Recorder


class Reader:
    """Reads on a thread and a connection of its own, so that a search never waits for the writing, nor the writing for it.

    It sees what the recorder has told of. While the recorder keeps things in memory, it asks the recorder instead.
    """

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._changed = threading.Condition()
        self._waiting: deque[Work] = deque()
        self._closing = False
        self._store: Store | None = None
        self._thread = threading.Thread(target=self._live, name="reader", daemon=True)
        self._thread.start()

    def read(self, job: Job[T]) -> Future[T]:
        """Runs a reading job. `cancel` on the future spares a job that nobody waits for any more, if it has not begun."""
        work = Work(job, None)
        with self._changed:
            if not self._closing:
                self._waiting.append(work)
                self._changed.notify()
                return work.future
        work.future.set_exception(StorageError("The database is closed."))
        return work.future

    def close(self, timeout_s: float = 2.0) -> None:
        """What has not begun is cancelled."""
        with self._changed:
            self._closing = True
            for work in self._waiting:
                work.future.cancel()
            self._waiting.clear()
            self._changed.notify()
        self._thread.join(timeout_s)

    def _live(self) -> None:
        while (work := self._next()) is not None:
            if work.future.set_running_or_notify_cancel():
                try:
                    work.future.set_result(self._run(work.job))
                except Exception as error:
                    work.future.set_exception(error)
        if self._store is not None:
            self._store.close()

    def _next(self) -> Work | None:
        with self._changed:
            while not self._waiting and not self._closing:
                self._changed.wait()
            return self._waiting.popleft() if self._waiting else None

    def _run(self, job: Job[T]) -> T:
        self._recorder.ready.result()
        if self._recorder.path is None:
            return self._recorder.submit(job).result()
        there = self._recorder.read_here(job)
        if there is not None:
            return there.result()
        if self._store is None:
            self._store = Store(self._recorder.path, read_only=True)
        return job(self._store)
