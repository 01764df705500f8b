"""How child processes are started here. Knows nothing of what they do."""

from __future__ import annotations

import multiprocessing.spawn
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import resource_tracker
from typing import Any

_spawning = threading.Lock()


@contextmanager
def apart(forked: bool = False) -> Iterator[None]:
    """While it holds, spawned children do not import the parent's `__main__`, and Ctrl+C in the terminal does not concern them.

    A worker needs nothing of that module, it may be slow (pytest) or unguarded (a script), and it would run in every worker. And whom the
    terminal interrupts while Python itself still starts, says so at length on the parent's stderr: children have that signal blocked.
    `forked`: they are copies of this process.
    """
    with _spawning:
        original = multiprocessing.spawn.get_preparation_data

        def shortened(name: str) -> dict[str, Any]:
            data = original(name)
            return {key: value for key, value in data.items() if not key.startswith("init_main")}

        multiprocessing.spawn.get_preparation_data = shortened
        try:
            with _uninterrupted(forked):
                yield
        finally:
            multiprocessing.spawn.get_preparation_data = original


@contextmanager
def _uninterrupted(forked: bool) -> Iterator[None]:
    """Blocks SIGINT in this thread, and so in what it starts. An interrupt of this process comes a moment later, or on another thread."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    if not forked:  # which would start it, and let the signal through again
        resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
