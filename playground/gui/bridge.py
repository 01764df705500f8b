"""From the session's threads to the window's: events and futures, merged and measured out so that the window never stalls.

Knows the events only so far as to merge those that a reader would not tell apart. One wake-up at most is under way at a time, and what
has piled up is handed out for a few milliseconds a turn; in between the window paints and listens.
"""

from __future__ import annotations

import dataclasses
import importlib
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import CancelledError, Future
from typing import Any

import shiboken6
from PySide6.QtCore import QCoreApplication, QObject, Qt, QTimer, Signal

BUDGET_S = 0.008
"""handlers are called for this long in one turn of the event loop"""
GAP_S = 0.008
"""tokens are handed out at most this often: 120 times a second is more than a screen shows"""
MERGED_TOKENS = 256
"""a handler gets at most so many tokens in one event, to keep its work short"""


class Bridge(QObject):
    """Give `push` to `Session.subscribe`; `received` brings the events, in order, on the thread that made the bridge."""

    received = Signal(object)
    _woken = Signal()

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        # Not at the top: making a window must not wait for sixty dataclasses.
        self._events: Any = importlib.import_module("playground.events")
        self._waiting: deque[Any] = deque()
        self._awake = False
        self._last = 0.0
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setTimerType(Qt.TimerType.PreciseTimer)
        self._timer.timeout.connect(self._drain)
        self._woken.connect(self._wake, Qt.ConnectionType.QueuedConnection)

    def push(self, event: Any) -> None:
        """Takes an event, on any thread; returns at once."""
        self._waiting.append(event)
        if not self._awake:
            self._awake = True
            self._woken.emit()

    def flush(self) -> None:
        """Hands out everything that waits, however long it takes: before closing, and in tests."""
        while self._waiting:
            self._hand_out(self._next())

    def _wake(self) -> None:
        if self._timer.isActive():
            return
        rest = GAP_S - (time.perf_counter() - self._last)
        if rest > 0 and self._waiting and isinstance(self._waiting[0], self._events.GenerationTokens):
            self._timer.start(max(1, round(rest * 1000)))
        else:
            self._drain()

    def _drain(self) -> None:
        self._awake = False  # before the queue is read: what comes from now on wakes us again
        ends = time.perf_counter() + BUDGET_S
        while self._waiting:
            self._hand_out(self._next())
            if time.perf_counter() >= ends:
                break
        self._last = time.perf_counter()
        if self._waiting:  # painting and input come first, then we go on
            self._awake = True
            self._timer.start(1)

    def _hand_out(self, event: Any) -> None:
        self.received.emit(event)

    def _next(self) -> Any:
        """The first event that waits, merged with those right behind it that say the same thing."""
        event = self._waiting.popleft()
        if isinstance(event, self._events.GenerationTokens):
            return self._merged_tokens(event)
        if isinstance(event, self._events.PrefillProgress):
            while self._waiting and _same(self._waiting[0], event, "generation_id"):
                event = self._waiting.popleft()
        elif isinstance(event, self._events.ModelState) and event.state == "loading":
            while self._waiting and _same(self._waiting[0], event, "path") and self._waiting[0].state == "loading":
                event = self._waiting.popleft()
        return event

    def _merged_tokens(self, first: Any) -> Any:
        tokens, used, waiting = list(first.tokens), first.used, self._waiting
        while waiting and len(tokens) < MERGED_TOKENS:
            following = waiting[0]
            if not _same(following, first, "generation_id") or following.index != first.index + len(tokens):
                break
            waiting.popleft()
            tokens += following.tokens
            used = following.used
        if len(tokens) == len(first.tokens):
            return first
        return dataclasses.replace(first, tokens=tuple(tokens), used=used)


def _same(one: Any, other: Any, name: str) -> bool:
    return type(one) is type(other) and getattr(one, name) == getattr(other, name)


class _Courier(QObject):
    """Carries calls to the thread it lives in."""

    arrived = Signal(object)

    def __init__(self) -> None:
        super().__init__()
        self.arrived.connect(lambda job: job(), Qt.ConnectionType.QueuedConnection)
        application = QCoreApplication.instance()
        if application is not None:
            self.moveToThread(application.thread())


_courier: _Courier | None = None


def on_window_thread(job: Callable[[], None]) -> None:
    """Runs `job` on the window's thread, soon. The first call must come from that thread (`app` sees to it)."""
    global _courier
    if _courier is None or not shiboken6.isValid(_courier):
        _courier = _Courier()
    _courier.arrived.emit(job)


def when_done(
    future: Future[Any],
    receiver: QObject,
    callback: Callable[[Any], None],
    on_error: Callable[[BaseException], None] | None = None,
) -> None:
    """Calls `callback(result)` on the window's thread when `future` is done, unless `receiver` was deleted by then.

    A failure goes to `on_error`; where there is none it is raised on the window's thread, for the excepthook. A cancelled future is
    dropped.
    """
    waiting = [(receiver, callback, on_error)]

    def deliver() -> None:
        # Taken out here: the future must not be the last to hold the receiver, which would then be destroyed on the future's thread.
        receiver, callback, on_error = waiting.pop()
        if not shiboken6.isValid(receiver):
            return
        try:
            result = future.result()
        except CancelledError:
            return
        except BaseException as error:
            if on_error is None:
                raise
            on_error(error)
            return
        callback(result)

    def done(_future: Future[Any]) -> None:
        on_window_thread(deliver)

    if _courier is None:
        on_window_thread(lambda: None)
    future.add_done_callback(done)
