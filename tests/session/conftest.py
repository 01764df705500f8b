"""A started session on an empty data folder, with its events in a queue."""

from __future__ import annotations

import queue
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from playground import events, protocol
from playground.paths import Home
from playground.session import Session

PATIENCE = 120.0
"""seconds after which a test gives up waiting for an event"""
HELD = 0.01
"""tokens a second: what is written stands still after its first tokens, until `Listening.step` or another pace lets it go on"""


class Listening:
    """A session and what it told so far."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.told: list[events.Event] = []
        self._queue: queue.Queue[events.Event] = queue.Queue()
        session.subscribe(self._queue.put)

    def until(self, wanted: type | Callable[[events.Event], bool]) -> Any:
        """The next event of a class, or the next for which a function says yes."""
        while True:
            event = self._queue.get(timeout=PATIENCE)
            self.told.append(event)
            if isinstance(event, wanted) if isinstance(wanted, type) else wanted(event):
                return event

    def step(self, pace: float = HELD) -> None:
        """Lets what the model is writing, a reply or all columns, go on: by a token, or at another pace from now on."""
        for request in list(self.session._engine._handlers):
            self.session._engine.tell(protocol.SetPace(request, pace))

    def reply(self) -> events.GenerationFinished:
        finished: events.GenerationFinished = self.until(events.GenerationFinished)
        return finished


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    monkeypatch.setenv("PLAYGROUND_HOME", str(tmp_path / "home"))
    return Home(tmp_path / "home")


@pytest.fixture
def listening(home: Home) -> Iterator[Listening]:
    session = Session(home)
    listening = Listening(session)
    session.start()
    yield listening
    session.close()


@pytest.fixture
def starter(listening: Listening) -> Listening:
    """The same with the starter model loaded."""
    listening.session.load("starter").result(PATIENCE)
    return listening
