"""The inside of a fake session: a real folder of captures, and captures that are made at once of the words of a text."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from attention_made import written

from playground.errors import Cancelled
from playground.inside import store
from playground.inside.capture import Capture, header_of
from playground.inside.store import Entry


class FakeInside:
    """`hold()` keeps the next capture under way until it is stopped or `let_go` is called; `fail` is what the next one ends with."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.limit = store.LIMIT
        self.asked: list[Any] = []
        self.fail: Exception | None = None
        self._numbers = itertools.count()
        self._held: list[tuple[Future[Entry], Any]] = []
        self._holding = False
        self._lock = threading.Lock()

    def hold(self) -> None:
        self._holding = True

    def let_go(self) -> None:
        with self._lock:
            held, self._held, self._holding = self._held, [], False
        for future, request in held:
            future.set_result(self.made(request.text.split()))

    def made(self, words: list[str], **more: Any) -> Entry:
        """A capture in the folder."""
        number = next(self._numbers)
        target = store.path_of(self.folder, f"20261122-{number:06}-made")
        target.parent.mkdir(parents=True, exist_ok=True)
        written(target, ["<s>", *(f" {word}" for word in words)], **({"created": 1000.0 + number} | more))
        stat = target.stat()
        return Entry(target.name.removesuffix(".attention"), target, stat.st_size, stat.st_mtime, header_of(target))

    def capture(self, request: Any, on_progress: Callable[[float], None] | None = None) -> Future[Entry]:
        self.asked.append(request)
        future: Future[Entry] = Future()
        error, self.fail = self.fail, None
        if error is not None:
            future.set_exception(error)
            return future
        if on_progress is not None:
            on_progress(0.5)
        if self._holding:
            with self._lock:
                self._held.append((future, request))
        else:
            future.set_result(self.made(request.text.split()))
        return future

    def stop(self) -> None:
        with self._lock:
            held, self._held, self._holding = self._held, [], False
        for future, _ in held:
            future.set_exception(Cancelled("The capture was stopped."))

    def list(self) -> list[Entry]:
        return store.entries(self.folder)

    def open(self, capture_id: str) -> Capture:
        return Capture(store.path_of(self.folder, capture_id))

    def delete(self, capture_id: str) -> None:
        store.delete(self.folder, capture_id)

    def parts(self, capture_id: str) -> dict[str, Entry]:
        return {}

    def size(self, tokens: int, layers: int = 0, heads: int = 0, exact: bool = False, model: str = "") -> int:
        return tokens * tokens * (layers or 3) * (heads or 4) * (4 if exact else 1)
