"""The thread that writes the database.

What the window shows has been written: a job's `then` is called after the commit that holds the job. Jobs that wait together share a
commit, so that a fast model costs few of them. When the disk is full, another program keeps the database locked or the folder is
read-only, what cannot be written is kept in memory in its order and written as soon as it can be; somebody is told once, and `then`
is called all the same, so that the conversation goes on. Knows nothing of what is recorded.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path

from playground.errors import PlaygroundError, StorageError
from playground.history.reader import Reader
from playground.history.store import Store
from playground.history.work import Job, T, Work, run, settle, write

log = logging.getLogger(__name__)

_PATIENCE_S = 2.0
"""how long a commit may wait for another process before that is told"""
_IMPATIENCE_S = 0.1
"""the same once it was told: new work must not wait"""
_RETRY_S = (0.5, 10.0)
"""first and longest pause between attempts to write what is left"""
KEPT = "What is said is kept in memory, and written as soon as it can be."
_TOGETHER = 5000
"""most jobs in one commit"""


@dataclass(frozen=True)
class StoreTrouble:
    """Why what is said is kept in memory only, and what to do about it."""

    message: str
    hint: str
    unsaved: int
    """changes not written when this was told; `Recorder.unsaved` says how many it is now"""
    opened: bool = True
    """False: the database could not even be opened, so that older chats may be missing"""
    readable: bool = True
    """False: nothing of what was said before can be read"""


class Recorder:
    """Owns the writing `Store`, on a thread of its own that starts at once.

    `report` is called on that thread with a `StoreTrouble` when writing begins to fail, and with None when everything is written
    again. `path` None keeps everything in memory.
    """

    def __init__(self, path: Path | None, report: Callable[[StoreTrouble | None], None]) -> None:
        self.path = path
        self.ready: Future[bool] = Future()
        """done when jobs are being run: True if the database is open, False if memory stands in for it (`report` said why)"""
        self._report = report
        self._changed = threading.Condition()
        self._waiting: deque[Work] = deque()
        self._reads: deque[Work] = deque()
        self._retry_now = False
        self._closing = False
        self._file: Store | None = None
        self._memory: Store | None = None
        self._readable = True
        self._left: list[Work] = []
        self._trouble: StoreTrouble | None = None
        self._pause = _RETRY_S[0]
        self._retry_at = 0.0
        # A daemon, because a disk that hangs must not keep the program from ending; `close` is what waits.
        self._thread = threading.Thread(target=self._live, name="recorder", daemon=True)
        self._thread.start()

    def submit(self, job: Job[T], then: Callable[[], None] | None = None) -> Future[T]:
        """Runs a job in the order of submission, and `then` after its commit, both on the recorder's thread.

        The future is done when the job is in the database (or in the memory that stands in for one that cannot be opened), not while
        it is merely kept: wait for it only where that is meant. A job may be run more than once, so it touches nothing but the store.
        One that raises anything but a `StorageError` undoes only itself: its future has the error, and `then` is not called.
        """
        work = Work(job, then)
        with self._changed:
            if not self._closing:
                work.future.set_running_or_notify_cancel()  # what is to be written cannot be called back
                self._waiting.append(work)
                self._changed.notify()
                return work.future
        work.future.set_exception(StorageError("The database is closed."))
        return work.future

    def reader(self) -> Reader:
        """A reader of what this one writes."""
        return Reader(self)

    def retry(self) -> None:
        """Tries at once to write what is left: somebody says that there is space again."""
        with self._changed:
            self._retry_now = True
            self._changed.notify()

    @property
    def trouble(self) -> StoreTrouble | None:
        """What was reported last."""
        return self._trouble

    @property
    def unsaved(self) -> int:
        """Changes that are in memory only."""
        return len(self._left) + len(self._waiting)

    def close(self, timeout_s: float = 5.0) -> bool:
        """Writes what is waiting and ends the thread. False if something could not be written, or not in time."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join(timeout_s)
        return not self._thread.is_alive() and not self.unsaved

    # -- for the reader

    def read_here(self, job: Job[T]) -> Future[T] | None:
        """Runs a reading job on the recorder's thread while memory holds more than the file; None while it does not."""
        with self._changed:
            if self._trouble is None or self._closing:
                return None
            work = Work(job, None)
            self._reads.append(work)
            self._changed.notify()
            return work.future

    # -- the thread

    def _live(self) -> None:
        try:
            self._open()
            while self._turn():
                pass
        finally:
            self._end()

    def _open(self) -> None:
        try:
            self._file = Store(self.path, timeout_s=_PATIENCE_S)
        except Exception as error:
            self._memory = self._stand_in()
            self._begin_trouble(_sentence(error, self.path))
        self.ready.set_result(self._file is not None)

    def _stand_in(self) -> Store | None:
        if self.path is not None:
            try:
                return Store.copy_in_memory(self.path)
            except Exception as error:
                self._readable = False
                log.warning("nothing can be read of %s: %s", self.path, error)
        try:
            return Store(None)
        except Exception as error:  # an SQLite without full-text search
            log.warning("no database can be had in memory either: %s", error)
            return None

    def _turn(self) -> bool:
        """Does what there is to do, or waits for it. False at the end."""
        fresh, reads, closing, due = self._next()
        if self._trouble is None:
            if fresh:
                self._record(fresh)
        else:
            if fresh:
                self._keep(fresh)
            if due or closing:
                self._retry()
        for work in reads:
            self._read(work)
        return not closing or bool(fresh)

    def _next(self) -> tuple[list[Work], list[Work], bool, bool]:
        with self._changed:
            while not (self._waiting or self._reads or self._closing or self._retry_now):
                left = self._retry_at - time.monotonic() if self._trouble else None
                if left is not None and left <= 0:
                    break
                self._changed.wait(left)
            fresh = [self._waiting.popleft() for _ in range(min(len(self._waiting), _TOGETHER))]
            reads = list(self._reads)
            self._reads.clear()
            due = self._retry_now or time.monotonic() >= self._retry_at
            self._retry_now = False
            return fresh, reads, self._closing, due

    # -- writing

    def _record(self, fresh: list[Work]) -> None:
        assert self._file is not None
        try:
            outcomes = write(self._file, fresh)
        except Exception as error:
            self._left += fresh
            self._begin_trouble(_sentence(error, self.path))
            for work in fresh:
                work.tell()
        else:
            settle(fresh, outcomes)

    def _keep(self, fresh: list[Work]) -> None:
        """Work that cannot be written now. What fails in a copy of only a part may yet succeed in the file."""
        self._left += fresh
        if self._memory is not None:
            try:
                outcomes = write(self._memory, fresh)
            except StorageError as error:  # the copy in memory is of no use either
                log.warning("the copy in memory failed: %s", error)
                self._memory.close()
                self._memory = Store(None)
                outcomes = write(self._memory, fresh)
            settle(fresh, outcomes)
        else:
            for work in fresh:
                work.tell()

    def _retry(self) -> None:
        try:
            if self._file is None:
                self._file = Store(self.path, timeout_s=_IMPATIENCE_S)
            outcomes = write(self._file, self._left)
        except Exception as error:
            _sentence(error, self.path)
            if self._memory is not None and self._file is not None:
                self._file.close()
                self._file = None
            self._pause = min(self._pause * 2, _RETRY_S[1])
            self._retry_at = time.monotonic() + self._pause
            return
        written, self._left = self._left, []
        self._trouble = None
        self._file.wait_for_others(_PATIENCE_S)
        if self._memory is not None:
            self._memory.close()
            self._memory = None
        settle(written, outcomes)
        self._told(None)

    def _begin_trouble(self, error: PlaygroundError) -> None:
        self._pause = _RETRY_S[0]
        self._retry_at = time.monotonic() + self._pause
        self._trouble = StoreTrouble(
            error.message, f"{error.hint} {KEPT}".strip(), len(self._left), self._file is not None, self._readable
        )
        if self._file is not None:
            self._file.wait_for_others(_IMPATIENCE_S)
        self._told(self._trouble)

    def _told(self, trouble: StoreTrouble | None) -> None:
        try:
            self._report(trouble)
        except Exception:
            log.exception("telling of the database's trouble has failed")

    # -- reading while memory holds more than the file

    def _read(self, work: Work) -> None:
        if not work.future.set_running_or_notify_cancel():
            return
        try:
            work.future.set_result(self._read_all(work.job))
        except Exception as error:
            work.future.set_exception(error)

    def _read_all(self, job: Job[T]) -> T:
        store = self._memory or self._file
        if store is None:
            raise StorageError(self._trouble.message if self._trouble else "The database is closed.")
        if self._left and store is self._file:
            try:
                with store.rehearsal():
                    run(store, self._left)
                    return job(store)
            except StorageError:
                pass  # the file alone, then
        return job(store)

    # -- the end

    def _end(self) -> None:
        with self._changed:
            self._closing = True
            rest = [*self._waiting, *self._reads]
            self._reads.clear()
        if not self.ready.done():
            self.ready.set_exception(StorageError("The database is closed."))
        for work in [*self._left, *rest]:
            if not work.future.done():
                message = self._trouble.message if self._trouble else "The database is closed."
                work.future.set_exception(StorageError(message))
        for store in (self._file, self._memory):
            if store is not None:
                store.close()


def _sentence(error: Exception, path: Path | None) -> PlaygroundError:
    if isinstance(error, PlaygroundError):
        return error
    log.error("the database has failed", exc_info=error)
    return StorageError(f"{path or 'The database in memory'} cannot be used: {error}.", "The log file says more.")
