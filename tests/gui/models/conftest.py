"""A models page on a fake shelf that answers when it is told to, and events as the session tells them."""

from __future__ import annotations

from concurrent.futures import Future
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from playground.gui.pages import Desk
from playground.models.files import Choice, RepoFile
from playground.models.hub import Found, ModelPage
from playground.models.library import Row


def row(name: str, **more: Any) -> Row:
    """A row of the library."""
    facts: dict[str, Any] = {"architecture": "llama", "parameters": 8_000_000_000, "quantization": "Q4_K_M", "context": 8192}
    facts |= {"kind": "gguf", "place": "own", "size": 4_900_000_000, "changed": 1.0, "removable": True, **more}
    path = facts.pop("path", f"/models/{name}.gguf")
    return Row(name=name, path=path, files=(path,), **facts)


def found(repo: str, **more: Any) -> Found:
    return Found(repo, **{"downloads": 10, "likes": 2, "parameters": 8_000_000_000, "formats": ("gguf",), **more})


def choice(name: str, size: int = 4_900_000_000, **more: Any) -> Choice:
    file = f"model-{name}.gguf"
    return Choice(name, "gguf", file, (RepoFile(file, size),), name, 4.85, "good", **more)


def page(repo: str, *choices: Choice, access: str = "open") -> ModelPage:
    files = tuple(file for each in choices for file in each.files)
    return ModelPage(found(repo), "main", "c" * 40, files, choices, access)  # type: ignore[arg-type]


class FakeFits:
    """Notes what is asked; `answer` settles the oldest question of a kind."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, tuple[Any, ...], Future[Any]]] = []
        self.listed: list[Any] = []

    def _ask(self, kind: str, *arguments: Any) -> Future[Any]:
        future: Future[Any] = Future()
        self.asked.append((kind, arguments, future))
        return future

    def of_row(self, row: Row) -> Future[Any]:
        return self._ask("of_row", row)

    def of_choice(self, page: Any, choice: Any) -> Future[Any]:
        return self._ask("of_choice", page, choice)

    def fit(self, *arguments: Any) -> Future[Any]:
        return self._ask("fit", *arguments)

    def largest(self, *arguments: Any) -> Future[Any]:
        return self._ask("largest", *arguments)

    def dry_run(self, *arguments: Any) -> Future[Any]:
        return self._ask("dry_run", *arguments)

    def training(self, *arguments: Any) -> Future[Any]:
        return self._ask("training", *arguments)

    def choices(self, *arguments: Any) -> Future[Any]:
        return self._ask("choices", *arguments)

    def verdicts(self, rows: Any, held: Any = None) -> None:
        self.listed.append(list(rows))


class FakeShelf:
    """The shelf's surface without disk or network."""

    def __init__(self) -> None:
        self.fits = FakeFits()
        self.calls: list[tuple[Any, ...]] = []
        self.futures: dict[str, list[Future[Any]]] = {}
        self.list: tuple[Any, ...] = ()
        self.library: tuple[Row, ...] = ()

    def _future(self, name: str, *arguments: Any) -> Future[Any]:
        self.calls.append((name, *arguments))
        future: Future[Any] = Future()
        self.futures.setdefault(name, []).append(future)
        return future

    def rows(self) -> tuple[Row, ...]:
        return self.library

    def refresh(self) -> None:
        self.calls.append(("refresh",))

    def watch(self, wanted: bool) -> None: ...

    def downloads(self) -> tuple[Any, ...]:
        return self.list

    def __getattr__(self, name: str) -> Any:
        if name in ("search", "more", "page", "card", "details", "add", "remove", "set_token"):
            return lambda *arguments: self._future(name, *arguments)
        if name in ("pause", "resume", "cancel", "forget", "download"):
            return lambda *arguments, **more: self.calls.append((name, *arguments, *more.values()))
        raise AttributeError(name)


class Bench:
    """A page, its shelf, and what it told its surroundings."""

    def __init__(self, qtbot: Any, session: Any, preferences: Any, home: Any) -> None:
        from playground.gui.bridge import on_window_thread
        from playground.gui.pages.models import ModelsPage

        on_window_thread(lambda: None)
        self.shelf = session.shelf = FakeShelf()
        self.session, self.qtbot = session, qtbot
        self.notices: list[str] = []
        self.opened: list[str] = []
        self.offers: dict[str, Any] = {}
        """what the buttons of notices do, by their text"""
        desk = Desk(session, preferences, home, self._notify, lambda name, **more: self.opened.append(name), lambda: None)
        self.workshop = session.workshop
        self.workshop._tell = lambda event: self.page.handle(event)
        self.page = ModelsPage(desk)
        qtbot.addWidget(self.page)
        self.page.resize(1200, 700)
        with qtbot.waitExposed(self.page):
            self.page.show()
        qtbot.waitUntil(lambda: ("refresh",) in self.shelf.calls)

    def _notify(
        self, message: str, hint: str = "", level: str = "info", action: str = "", key: str = "", run: Any = None
    ) -> None:
        if message:
            self.notices.append(message)
        if run is not None:
            self.offers[action] = run

    def find(self, name: str) -> Any:
        """A control by its object name."""
        from PySide6.QtWidgets import QWidget

        found = self.page.findChild(QWidget, name)
        assert found is not None, name
        return found

    def rows(self, *rows: Row, complete: bool = True, notices: tuple[str, ...] = ()) -> None:
        from playground.session.shelf import LibraryChanged

        self.shelf.library = rows if complete else self.shelf.library
        self.page.handle(LibraryChanged(rows, notices, complete))

    def asked(self, kind: str) -> list[tuple[tuple[Any, ...], Future[Any]]]:
        return [(arguments, future) for name, arguments, future in self.shelf.fits.asked if name == kind]


@pytest.fixture
def bench(dressed: Any, qtbot: Any, session: Any, preferences: Any, home: Any) -> Bench:
    return Bench(qtbot, session, preferences, home)


@pytest.fixture
def subject(tmp_path: Path) -> Any:
    """A real model's shape, small, and the devices that an estimate is made for."""
    from playground.memory.devices import Device
    from playground.session import fitting
    from tests.models_made import random_model

    file = random_model(tmp_path / "small.gguf", "Q8_0", context=8192)
    devices = (Device("CPU", "a processor", 16 << 30, 8 << 30),)
    return SimpleNamespace(subject=fitting.of_path(file), devices=devices)
