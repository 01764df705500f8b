"""Fixtures of the window's tests: offscreen, a home of their own, a fake session, and nothing left running."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
sys.path.insert(0, str(Path(__file__).parent))

import pytest
from fake_session import FakeSession
from pytestqt.qtbot import QtBot

from playground.paths import Home

PATIENCE_MS = 60_000
"""What is waited for comes of threads, workers, files and timers, and the machine may have other work."""


class PatientBot(QtBot):
    """Waits longer than five seconds, unless it is told otherwise."""

    def waitUntil(self, callback: Any, *, timeout: int = PATIENCE_MS) -> None:
        super().waitUntil(callback, timeout=timeout)

    def waitSignal(self, signal: Any, *, timeout: int = PATIENCE_MS, **more: Any) -> Any:
        return super().waitSignal(signal, timeout=timeout, **more)

    def waitExposed(self, widget: Any, *, timeout: int = PATIENCE_MS) -> Any:
        return super().waitExposed(widget, timeout=timeout)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The offscreen platform says of a popup what is true of the platform only."""
    for item in items:
        item.add_marker(pytest.mark.qt_log_ignore("^This plugin does not support grabbing the keyboard", extend=True))


@pytest.fixture(scope="module", autouse=True)
def _collected_here(qapp: Any) -> Iterator[None]:
    """As in the window: what a test leaves in cycles is not destroyed on a thread of the next one."""
    from playground.gui.collector import collected_here

    with collected_here():
        yield


@pytest.fixture(scope="module", autouse=True)
def _clipboard(qapp: Any) -> Iterator[None]:
    """The offscreen platform keeps what was copied until the process has ended; what Python made must not be there any more then."""
    yield
    qapp.clipboard().clear()


@pytest.fixture
def qtbot(qapp: Any, request: pytest.FixtureRequest) -> PatientBot:
    return PatientBot(request)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """A data folder that nobody else uses."""
    return Home(tmp_path / "home")


@pytest.fixture
def session(home: Home) -> Iterator[FakeSession]:
    """A fake session, not started; closed after the test."""
    made = FakeSession(home, rate=0, prefill_s=0, load_s=0)
    yield made
    made.close()


@pytest.fixture
def dressed(qapp: Any) -> Any:
    """The application with the theme on."""
    from playground.gui import theme

    theme.apply(qapp, "light")
    return qapp


@pytest.fixture
def preferences(home: Home) -> Any:
    from playground.gui.preferences import Preferences

    return Preferences(home.settings)


@pytest.fixture
def window(dressed: Any, qtbot: Any, home: Home, session: FakeSession) -> Iterator[Any]:
    """A whole window on a fake session, shown and started."""
    from playground.gui.app import make_window

    made = make_window(session, home)
    qtbot.addWidget(made)
    with qtbot.waitSignal(made.painted):
        made.show()
    qtbot.waitUntil(lambda: ("start",) in session.calls)
    yield made
    made.close()


@pytest.fixture
def desk(window: Any) -> Any:
    """What a page is given."""
    return window._desk
