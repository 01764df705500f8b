"""A desk for a page or a part by itself, over a real session: what would have been said and opened is written down."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from playground.gui.preferences import Preferences
from playground.session import Session


class Told:
    """A desk as far as the part needs one."""

    def __init__(self, session: Session) -> None:
        from playground.gui.bridge import Bridge

        self.session = session
        self.preferences = Preferences(session.home.settings)
        self.bridge = Bridge()
        session.subscribe(self.bridge.push)
        self.said: list[tuple[Any, ...]] = []
        self.opened: list[tuple[str, dict[str, Any]]] = []

    def notify(self, *said: Any, **more: Any) -> None:
        self.said.append(said)

    def open_page(self, page: str, **arguments: Any) -> None:
        self.opened.append((page, arguments))

    def when_done(self, future: Any, receiver: Any, callback: Callable[[Any], None], on_error: Any = None) -> None:
        from playground.gui.bridge import when_done

        when_done(future, receiver, callback, on_error)
