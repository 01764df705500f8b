"""Work off the caller's thread that nobody waits for at the end: daemon threads, and a newer question drops the older ones.

A hub that does not answer must not keep the program from closing, so these are not the threads of `concurrent.futures`, which are joined
at exit. Knows nothing of what it runs.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

from playground.errors import PlaygroundError

T = TypeVar("T")


class Lane:
    """A queue with its threads, which start with the first job."""

    def __init__(self, name: str, threads: int = 1) -> None:
        self._name, self._threads = name, threads
        self._waiting: deque[tuple[str, Future[Any], Callable[[], Any]]] = deque()
        self._some = threading.Condition()
        self._started = 0
        self._idle = 0
        self._closed = False

    def submit(self, job: Callable[[], T], newest: str = "") -> Future[T]:
        """Runs a job. Those of the same `newest` that still wait are cancelled: only the last question counts."""
        answer: Future[T] = Future()
        with self._some:
            if self._closed:
                answer.set_exception(PlaygroundError("The program is closing."))
                return answer
            dropped = [entry for entry in self._waiting if newest and entry[0] == newest]
            for entry in dropped:
                self._waiting.remove(entry)
            self._waiting.append((newest, answer, job))
            if not self._idle and self._started < self._threads:
                self._started += 1
                threading.Thread(target=self._run, name=f"{self._name}-{self._started}", daemon=True).start()
            self._some.notify()
        for _, stale, _ in dropped:
            stale.cancel()
        return answer

    def close(self) -> None:
        """Drops what waits; what runs ends by itself and is not waited for."""
        with self._some:
            self._closed = True
            dropped = list(self._waiting)
            self._waiting.clear()
            self._some.notify_all()
        for _, stale, _ in dropped:
            stale.cancel()

    def _run(self) -> None:
        while True:
            with self._some:
                self._idle += 1
                while not self._waiting and not self._closed:
                    self._some.wait()
                self._idle -= 1
                if self._closed:
                    return
                _, answer, job = self._waiting.popleft()
            if not answer.set_running_or_notify_cancel():
                continue
            try:
                answer.set_result(job())
            except BaseException as error:
                answer.set_exception(error)
