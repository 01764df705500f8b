"""A Chat page with a fake session, in a window of its own."""

from __future__ import annotations

import pytest

from playground.gui.bridge import Bridge, on_window_thread
from playground.gui.pages import Desk
from playground.gui.preferences import Preferences


class Bench:
    """A page, and what a test wants to know of its surroundings."""

    def __init__(self, qtbot, session, home) -> None:
        from playground.gui.pages.chat import ChatPage

        on_window_thread(lambda: None)
        self.session, self.qtbot = session, qtbot
        self.notices: list[tuple] = []
        self.opened: list[tuple] = []
        self.runs: dict[str, object] = {}
        self.bridge = Bridge()
        desk = Desk(
            session, Preferences(home.settings), home, self._notify, self._open, lambda: self.opened.append(("picker",))
        )
        self.page = ChatPage(desk)
        qtbot.addWidget(self.page)
        self.bridge.received.connect(self.page.handle)
        session.subscribe(self.bridge.push)
        self.page.resize(1200, 760)
        with qtbot.waitExposed(self.page):
            self.page.show()

    def _notify(self, message, hint="", level="info", action="", key="", run=None):
        self.notices.append((message, action))
        if run is not None:
            self.runs[message] = run

    def _open(self, page, **arguments):
        self.opened.append((page, arguments))

    def child(self, name):
        from PySide6.QtWidgets import QWidget

        found = self.page.findChild(QWidget, name)
        assert found is not None, f"there is no {name}"
        return found

    def wait(self, condition):
        self.qtbot.waitUntil(condition)

    def settle(self):
        """Until nothing is written any more and everything near the view is laid out."""
        self.wait(lambda: not self.page._busy and not self.page.opening and self.page.transcript.settled)

    def say(self, text):
        self.child("chat.input").setPlainText(text)
        self.child("chat.send").click()
        self.settle()

    def open(self, chat_id):
        self.page.open_chat(chat_id)
        self.wait(lambda: self.page.chat_id == chat_id)
        self.settle()


@pytest.fixture
def bench(qtbot, dressed, session, home):
    """A page whose session has been started."""
    made = Bench(qtbot, session, home)
    session.start()
    made.wait(lambda: made.page._model.state == "ready")
    return made


@pytest.fixture
def make_bench(qtbot, dressed, session, home):
    """Makes a page, when the test is ready for it."""
    return lambda: Bench(qtbot, session, home)


@pytest.fixture
def unstarted(make_bench):
    """A page whose session has not been started yet: chats can still be put into its history."""
    return make_bench()
