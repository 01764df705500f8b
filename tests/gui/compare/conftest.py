"""A Compare page with a fake session, in a window of its own."""

from __future__ import annotations

import pytest

from playground.gui.bridge import Bridge, on_window_thread
from playground.gui.pages import Desk
from playground.gui.preferences import Preferences

PROMPT = "Tell me about a fox."


class Bench:
    """A page, and what a test wants to know of its surroundings."""

    def __init__(self, qtbot, session, home) -> None:
        from playground.gui.pages.compare import ComparePage

        on_window_thread(lambda: None)
        self.session, self.qtbot, self.compare = session, qtbot, session.compare
        self.notices: list[tuple] = []
        self.opened: list[tuple] = []
        self.bridge = Bridge()
        self.preferences = Preferences(home.settings)
        desk = Desk(session, self.preferences, home, self._notify, self._open, lambda: self.opened.append(("picker",)))
        self.page = ComparePage(desk)
        qtbot.addWidget(self.page)
        self.bridge.received.connect(self.page.handle)
        self._leave = session.subscribe(self.bridge.push)
        self.page.resize(1400, 860)
        with qtbot.waitExposed(self.page):
            self.page.show()

    def _notify(self, message, hint="", level="info", action="", key="", run=None):
        self.notices.append((message, hint))

    def _open(self, page, **arguments):
        self.opened.append((page, arguments))

    def child(self, name):
        from PySide6.QtWidgets import QWidget

        found = self.page.findChild(QWidget, name)
        assert found is not None, f"there is no {name}"
        return found

    def names(self):
        from PySide6.QtWidgets import QWidget

        return {each.objectName() for each in self.page.findChildren(QWidget)}

    def wait(self, condition):
        self.qtbot.waitUntil(lambda: bool(condition()))

    def settle(self):
        """Until nothing is written any more and everything that came is shown."""
        self.wait(lambda: not self.page.running and self.page.ui.board.settled)

    def run(self, prompt=PROMPT, wait=True):
        self.child("compare.prompt").setPlainText(prompt)
        self.child("compare.run").click()
        if wait:
            self.wait(lambda: self.page.comparing.replies)
            self.settle()

    def text(self, number):
        return self.child(f"compare.column.{number}.text").toPlainText()

    def columns(self, *settings, **fields):
        """Columns of one's own."""
        from playground.history.records import Column, new_id

        self.page.set_columns([Column(new_id(), each, **fields) for each in settings])
        self.page._show_view(board=True)

    def calls(self, name):
        return [call for call in self.session.calls if call[0] == name]

    def close(self):
        self.page._leave()
        self.preferences.save(wait=True)
        self._leave()
        self.page.close()


@pytest.fixture
def make_bench(qtbot, dressed, session, home):
    """Makes a page; a second one finds what the first one left."""
    return lambda: Bench(qtbot, session, home)


@pytest.fixture
def bench(make_bench, session):
    """A page whose session has been started."""
    made = make_bench()
    session.start()
    made.wait(lambda: made.page._model.state == "ready")
    return made
