"""The pages of the window, one file each, and the shape they all have.

A page is a `QWidget` (object name `page.<id>`) made as `Page(desk)` when it is first opened. It knows its `desk` and nothing of the
window around it; the window gives every event of the session to `handle` of every page that has been made.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from concurrent.futures import Future

    from PySide6.QtCore import QObject

    from playground.gui.actions import Action
    from playground.gui.preferences import Preferences
    from playground.paths import Home
    from playground.session import Session


@dataclass(frozen=True)
class Desk:
    """What a page works with."""

    session: Session
    preferences: Preferences
    home: Home
    notify: Callable[..., None]
    """notify(message, hint="", level="info", action="", key="", run=None): one sentence over the page, with a button if `action` (its
    text, with `run` what it does; or `reload`, `choose_model`)"""
    open_page: Callable[..., None]
    """open_page("chat", chat_id=...): shows a page and calls its `open(**arguments)` if there are any"""
    ask_for_model: Callable[[], None]
    """opens the model picker"""

    def when_done(
        self,
        future: Future[Any],
        receiver: QObject,
        callback: Callable[[Any], None],
        on_error: Callable[[BaseException], None] | None = None,
    ) -> None:
        """A future's result on the window's thread, unless `receiver` is gone by then; errors are notified where nobody takes them."""
        from playground.gui.bridge import when_done

        when_done(future, receiver, callback, on_error or self._tell)

    def _tell(self, error: BaseException) -> None:
        self.notify(getattr(error, "message", "") or str(error) or type(error).__name__, getattr(error, "hint", ""), "error")


class Page(Protocol):
    """What the window asks of a page; everything but `title` and `icon` may be left out."""

    title: str
    icon: str
    """a file of resources/icons, without its ending"""

    def handle(self, event: Any) -> None:
        """An event of the session (`playground.events`), on the window's thread, merged where many came at once."""

    def actions(self) -> Sequence[Action]:
        """What the page adds to the menus and keys while it is shown: `actions.Action` records whose `slot` is a method of the page."""

    def open(self, **arguments: Any) -> None:
        """Shows something particular: a chat, a generation."""
