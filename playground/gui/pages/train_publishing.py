"""What the Train page does to publish a result: shows all of it first, and sends it when the button is pressed, never before.

Asks `Session.publishing`, and the shelf for the hub's token. Knows no run.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import shiboken6
from PySide6.QtCore import QObject
from PySide6.QtWidgets import QStackedWidget

from playground.errors import GatedError
from playground.gui.bridge import on_window_thread
from playground.gui.pages import Desk
from playground.gui.pages.train_data import sentence

if TYPE_CHECKING:
    from playground.gui.widgets.train_publish import TrainPublish

SOMEWHERE = "owner/name"
"""what a plan is made for while nobody has said where it goes"""


class TrainPublishing(QObject):
    """`shelf` gives who keeps the hub's token, None as long as there is nobody."""

    def __init__(self, stack: QStackedWidget, desk: Desk, shelf: Callable[[], Any], back: Callable[[], None]) -> None:
        super().__init__(stack)
        self._stack, self._desk, self._shelf, self._back = stack, desk, shelf, back
        self._part: TrainPublish | None = None
        self._path = ""
        self._asked = 0
        self._sending = False

    @property
    def part(self) -> TrainPublish:
        """The part that shows it; made when it is first needed."""
        if self._part is None:
            from playground.gui.widgets.train_publish import TrainPublish

            part = self._part = TrainPublish(self._stack)
            self._stack.addWidget(part)
            part.changed.connect(self._plan)
            part.sent.connect(self._send)
            part.cancelled.connect(self._desk.session.publishing.cancel)
            part.closed.connect(self._back)
            part.gate.entered.connect(self._take_token)
        return self._part

    def open(self, path: str) -> None:
        """Shows what of an adapter or a model would be sent; what is being sent just now goes on."""
        if not self._sending:
            self._path = path
            self.part.begin(Path(path).name, "")
            if (shelf := self._shelf()) is not None:
                self._desk.when_done(shelf.has_token(), self, self._know_token, lambda error: None)
        self._stack.setCurrentWidget(self.part)
        self.part.repo.setFocus()

    # -- token

    def _know_token(self, source: str) -> None:
        if source == "none":
            self.part.ask_token()

    def _take_token(self, token: str) -> None:
        def take(name: str) -> None:
            self.part.token_is_there()
            if not self.part.repo.text():
                self.part.repo.setText(f"{name}/{Path(self._path).name}")

        def fail(error: BaseException) -> None:
            told = sentence(error)
            self.part.gate.say(f"{told.message} {told.hint}".strip())

        self._desk.when_done(self._shelf().set_token(token), self, take, fail)

    # -- plan

    def _plan(self) -> None:
        part = self.part
        self._asked += 1
        number, repo = self._asked, part.repo.text().strip()
        ready = bool(repo)
        future = self._desk.session.publishing.plan(
            self._path, repo or SOMEWHERE, private=part.private.isChecked(), base=part.base.text().strip(), card=part.text()
        )

        def fail(error: BaseException) -> None:
            if number == self._asked:
                told = sentence(error)
                part.show_problem(told.message, told.hint)

        self._desk.when_done(future, self, lambda plan: part.show_plan(plan, ready) if number == self._asked else None, fail)

    # -- sending

    def _send(self) -> None:
        part, plan = self.part, self.part.plan()
        if plan is None or self._sending:
            return
        self._sending = True

        def tell(fraction: float, what: str) -> None:
            on_window_thread(lambda: part.show_sending(fraction, what) if shiboken6.isValid(part) and self._sending else None)

        def take(done: Any) -> None:
            self._sending = False
            part.show_sent(done)
            if not part.isVisible():
                self._notify_sent(done.url)

        def fail(error: BaseException) -> None:
            self._sending = False
            told = sentence(error)
            if isinstance(error, GatedError) and self._shelf() is not None:
                part.ask_token()
            part.show_failed(told.message, told.hint)
            if not part.isVisible():
                self._desk.notify(told.message, told.hint, "error", key="train.publishing")

        part.show_sending(-1.0, "Connecting")
        self._desk.when_done(self._desk.session.publishing.publish(plan, tell), self, take, fail)

    def _notify_sent(self, url: str) -> None:
        from playground.gui.widgets.train_publish import open_page

        self._desk.notify(f"Published: {url}", "", "info", "Open its page", "train.publishing", lambda: open_page(url))
