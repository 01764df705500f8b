"""A worker beside the engine that answers one kind of question: started when it is first asked, and again after it has died."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from typing import Any

from playground import protocol
from playground.process import WorkerProcess

Cancel = Callable[[], None]


class SideWorker:
    """One question at a time: its caller reads `inbox` until it is answered."""

    def __init__(self, role: str, what: str = "model") -> None:
        self._role, self._what = role, what
        self._lock = threading.Lock()
        self._worker: WorkerProcess | None = None
        self._requests = 0
        self.inbox: queue.SimpleQueue[Any] = queue.SimpleQueue()
        """events of the worker, and its `Exit`"""

    def ask(self, make: Callable[[int], protocol.Message]) -> tuple[int, Cancel]:
        """Sends what `make` makes of a request's number; gives that and what cancels it."""
        with self._lock:
            worker = self._worker
            if worker is None or not worker.alive:
                self.inbox = queue.SimpleQueue()
                worker = self._worker = WorkerProcess(self._role, self.inbox.put, self.inbox.put, self._what)
                worker.start()
            self._requests += 1
            number = self._requests
        worker.send(make(number))
        return number, lambda: worker.cancel(number)

    def stop(self) -> None:
        with self._lock:
            worker, self._worker = self._worker, None
        if worker is not None:
            worker.stop()
