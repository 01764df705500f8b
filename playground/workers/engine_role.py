"""What the roles that run a model have in common: one model at a time, its commands, its hash, the memory it really took.

Knows neither formats nor libraries; `llama` and `torch_engine` load the models.
"""

from __future__ import annotations

import logging
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from playground.errors import WorkerError
from playground.protocol import (
    Beam,
    Capture,
    Generate,
    Load,
    Loaded,
    MemoryUsed,
    ModelHashed,
    ModelInfo,
    NextToken,
    Progress,
    Score,
    Tokenize,
)
from playground.workers.base import Link
from playground.workers.engine import Engine
from playground.workers.machine import resident

log = logging.getLogger(__name__)

HASHED_AT_ONCE = 64 << 20
"""Up to this many bytes are hashed before `Loaded`, more beside the work."""


@dataclass(frozen=True)
class Opened:
    """A model that has been loaded."""

    engine: Engine
    info: Callable[[str], ModelInfo]
    """of its SHA-256, empty where that is not known yet"""
    hash: Callable[[], str]
    """computes the SHA-256. OSError"""
    hashed: int
    """bytes that this reads"""


class EngineRole(ABC):
    """The role. A second `Load` replaces the model."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._engine: Engine | None = None
        self._path = Path()
        self._before = 0
        self._measuring = False

    def commands(self) -> Mapping[type, Callable[[Any], None]]:
        return {
            Load: self.load,
            Generate: lambda command: self._ready().generate(command),
            Beam: self.beam,
            Tokenize: lambda command: self._ready().tokenize(command),
            NextToken: lambda command: self._ready().next_token(command),
            Score: lambda command: self._ready().score(command),
            Capture: self.capture,
        }

    @abstractmethod
    def close(self) -> None:
        """Gives the model and its engine back, if there are any."""

    @abstractmethod
    def open(self, command: Load, path: Path, progress: Callable[[float], bool]) -> Opened:
        """Loads. `progress` takes how far that is (0 to 1), and says whether to go on."""

    @abstractmethod
    def beam(self, command: Beam) -> None: ...

    @abstractmethod
    def capture(self, command: Capture) -> None: ...

    def load(self, command: Load) -> None:
        started = told = time.perf_counter()
        self.close()
        self._path = Path(command.path).absolute()
        self._before, self._measuring = resident(), True

        def progress(fraction: float) -> bool:
            nonlocal told
            if (now := time.perf_counter()) - told >= 0.05:
                told = now
                self._link.send(Progress(command.request, fraction * 0.95, "weights"))
            return not (self._link.pending and self._link.cancelled(command.request))

        self._link.send(Progress(command.request, 0.0, "file"))
        opened = self.open(command, self._path, progress)
        self._engine = opened.engine
        self._engine.before_finish = self._measure
        sha256 = command.sha256
        if not sha256:
            if opened.hashed <= HASHED_AT_ONCE:
                sha256 = opened.hash()
            else:
                threading.Thread(target=self._hash, args=(self._path, opened.hash), name="hash", daemon=True).start()
        self._link.send(Loaded(command.request, opened.info(sha256), time.perf_counter() - started))

    def measurable(self) -> bool:
        """Whether what this process has taken is what the load took."""
        return True

    def _ready(self) -> Engine:
        if self._engine is None:
            raise WorkerError("No model is loaded.", "Load one first.")
        return self._engine

    def _measure(self) -> None:
        """Once a load: the first completion has touched every weight and buffer."""
        if self._measuring and self.measurable():
            self._measuring = False
            self._link.send(MemoryUsed(str(self._path), resident() - self._before))

    def _hash(self, path: Path, compute: Callable[[], str]) -> None:
        try:
            self._link.send(ModelHashed(str(path), compute()))
        except OSError as error:
            log.warning("could not hash %s: %s", path, error)
