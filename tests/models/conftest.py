"""What the tests of this room share: a hub of their own, a data folder and a cache, and workers that get models."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from playground.paths import Home
from playground.process import Exit, WorkerProcess
from playground.protocol import Download, Failed, Finished, Message
from tests.loopback_hub import LoopbackHub

PATIENCE = 120
"""Seconds after which a test gives up: a net for a hang, never a measure."""


@pytest.fixture(autouse=True)
def _alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test sees this machine's models, logins or keyring, or leaves anything behind."""
    monkeypatch.setenv("HOME", str(tmp_path / "user"))
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setenv("HF_TOKEN_PATH", str(tmp_path / "hf" / "token"))
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "keyring.backends.fail.Keyring")
    monkeypatch.setenv("PLAYGROUND_HOME", str(tmp_path / "home"))
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_HUB_OFFLINE", "OLLAMA_MODELS", "PLAYGROUND_HF_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    from playground.models import hub_client

    constants = hub_client.library().constants
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "hf" / "token"))
    monkeypatch.setattr(constants, "HF_STORED_TOKENS_PATH", str(tmp_path / "hf" / "stored_tokens"))


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home")


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    """The Hugging Face cache in force."""
    return tmp_path / "hub"


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[LoopbackHub]:
    with LoopbackHub() as server:
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        yield server


class Getter:
    """A download worker, its events, and waits for what it says."""

    def __init__(self) -> None:
        self.events: list[Message | Exit] = []
        self._arrived = threading.Condition()
        self.worker = WorkerProcess("playground.workers.download", self._hear, self._hear, "download")
        self.worker.start()

    def _hear(self, event: Any) -> None:
        with self._arrived:
            self.events.append(event)
            self._arrived.notify_all()

    def until(self, wanted: Callable[[Any], bool]) -> Any:
        """The first event like that."""
        with self._arrived:
            assert self._arrived.wait_for(lambda: any(wanted(each) for each in self.events), PATIENCE), self.events
            return next(each for each in self.events if wanted(each))

    def ended(self) -> Any:
        """`Finished`, `Failed`, or the worker's `Exit`, whichever comes first."""
        return self.until(lambda event: isinstance(event, (Finished, Failed, Exit)))

    def all(self, kind: type) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind)]


@pytest.fixture
def get(home: Home) -> Iterator[Callable[..., Getter]]:
    """Starts a download in a worker of its own: `get("acme/tiny", "tiny-Q4_K_M.gguf")`."""
    started: queue.SimpleQueue[Getter] = queue.SimpleQueue()

    def start(repo: str = "", *files: str, **more: Any) -> Getter:
        getter = Getter()
        started.put(getter)
        getter.worker.send(Download(1, str(home.root), repo, tuple(files), **more))
        return getter

    yield start
    while not started.empty():
        started.get().worker.stop(0.2)
