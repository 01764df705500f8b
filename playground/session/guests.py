"""Engines beside the loaded one: for the columns of a comparison that have a model of their own.

The last one stays loaded until another is wanted, so that a second run does not load it again. What does not fit beside the loaded model
is refused before a byte of it is read.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from pathlib import Path

from playground.errors import MemoryShortError, NotFoundError, PlaygroundError
from playground.params import ContextSettings
from playground.session.engine import EngineHost, display_name

log = logging.getLogger(__name__)


class Guests:
    """At most one is loaded at a time. `load` blocks; the rest returns at once, but for `close`."""

    def __init__(self, hashed: Callable[[str, str], None], known_hash: Callable[[Path], str]) -> None:
        self._hashed = hashed
        self._known_hash = known_hash
        self._lock = threading.Lock()
        self._host: EngineHost | None = None
        self._loaded: tuple[str, ContextSettings] | None = None
        self._closed = False

    def plan(self, path: str, settings: ContextSettings) -> str:
        """A sentence on what the model will take beside the loaded one; MemoryShortError if that is more than there is."""
        from playground.memory.words import amount
        from playground.session import fitting  # reads headers

        if not Path(path).exists():
            raise NotFoundError(f"There is no model {path}.", "Choose another one for this column.")
        if self._loaded == (path, settings):
            return f"{display_name(Path(path))} is loaded already."
        found, _ = fitting.estimate(fitting.of_path(Path(path)), settings)
        if found.verdict == "does not fit":
            raise MemoryShortError(
                f"{display_name(Path(path))} does not fit beside the loaded model: {found.why}",
                "Load a smaller model, or compare these two after one another.",
            )
        return f"{display_name(Path(path))} is loaded beside the other and takes {amount(found.total)}; its columns come after theirs."

    def load(self, path: str, settings: ContextSettings) -> EngineHost:
        """The engine with this model, ready. Errors as loading has them."""
        with self._lock:
            if self._closed:
                raise PlaygroundError("The program is closing.")
            host = self._host
            if host is not None and self._loaded == (path, settings) and host.state.state == "ready":
                return host
            if host is not None:
                host.close()
            self._host = host = EngineHost(lambda state: None, self._hashed, self._known_hash)
            self._loaded = path, settings
        host.load(Path(path), settings).result()
        return host

    def close(self) -> None:
        with self._lock:
            self._closed = True
            host, self._host, self._loaded = self._host, None, None
        if host is not None:
            host.close()
