"""A real window on a real session with a real engine in its worker, driven by object names."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

import psutil
import pytest

from playground.paths import Home

PATIENCE_MS = 60_000


class Driver:
    """What a person can do: find things by name, type, press, move sliders, look."""

    def __init__(self, window: Any, qtbot: Any, home: Home) -> None:
        self.window = window
        self.qtbot = qtbot
        self.home = home

    def find(self, name: str) -> Any:
        from PySide6.QtWidgets import QWidget

        found = self.window.findChild(QWidget, name)
        assert found is not None, f"nothing is called {name}"
        return found

    def until(self, condition: Callable[[], object], patience_ms: int = PATIENCE_MS) -> None:
        self.qtbot.waitUntil(lambda: bool(condition()), timeout=patience_ms)

    def click(self, name: str) -> None:
        from PySide6.QtCore import Qt

        self.qtbot.mouseClick(self.find(name), Qt.MouseButton.LeftButton)

    def say(self, text: str) -> None:
        """Sends a prompt, once sending is possible."""
        self.find("chat.input").setPlainText(text)
        self.until(lambda: self.find("chat.send").isEnabled())
        self.click("chat.send")

    def shown(self) -> str:
        return str(self.find("chat.transcript").toPlainText())

    def rows(self, query: str) -> list[Any]:
        """The database as any other program sees it."""
        if not self.home.database.exists():
            return []
        with sqlite3.connect(f"file:{self.home.database}?mode=ro", uri=True) as database:
            return database.execute(query).fetchall()

    def engines(self) -> list[psutil.Process]:
        """Worker processes of this one that live."""
        found = []
        for each in psutil.Process().children():
            with contextlib.suppress(psutil.NoSuchProcess):  # it has ended meanwhile, or waits to be buried
                if "resource_tracker" not in " ".join(each.cmdline()):
                    found.append(each)
        return found

    def close(self) -> None:
        """Closes the window and its session; once more does no harm."""
        self.window.close()
        self.window.session.close()


Opens = Callable[[Home], Driver]
"""see `open_window`"""


@pytest.fixture(scope="module", autouse=True)
def _collected_here(qapp: Any) -> Iterator[None]:
    """As in the window: what a test leaves in cycles is not destroyed on a thread of the next one."""
    from playground.gui.collector import collected_here

    with collected_here():
        yield


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    monkeypatch.setenv("PLAYGROUND_HOME", str(tmp_path / "home"))
    return Home(tmp_path / "home")


@pytest.fixture
def open_window(qapp: Any, qtbot: Any) -> Iterator[Opens]:
    """Opens the window on a data folder. All that were opened are closed at the end, also where the test failed."""
    from PySide6.QtCore import QEvent

    drivers: list[Driver] = []

    def forget() -> None:
        """Real windows are held by what real threads have kept of them; dozens of them would make every later style sheet a slow one."""
        for each in qapp.topLevelWidgets():
            each.deleteLater()
        qapp.sendPostedEvents(None, QEvent.Type.DeferredDelete)

    def open_on(home: Home) -> Driver:
        from playground.gui.app import make_window

        driver = Driver(make_window(home=home), qtbot, home)
        drivers.append(driver)
        closing.callback(driver.close)
        driver.window.show()
        return driver

    with contextlib.ExitStack() as closing:
        closing.callback(forget)
        closing.callback(lambda: drivers and drivers[-1].until(lambda: not drivers[-1].engines()))
        yield open_on


@pytest.fixture
def driver(open_window: Opens, home: Home) -> Driver:
    """The window after its first paint, with the starter loaded, as at a first start."""
    driver = open_window(home)
    driver.until(lambda: driver.window.session.model.state == "ready")
    return driver
