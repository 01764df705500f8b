"""The llama.cpp worker: loads one GGUF model and answers for it. The loop is in `decode_loop`, loading in `llama_model`."""

from __future__ import annotations

import hashlib
import logging
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import psutil

from playground.errors import MemoryShortError, StorageError, WorkerError
from playground.protocol import (
    Beam,
    Capture,
    Generate,
    Load,
    Loaded,
    MemoryUsed,
    ModelHashed,
    NextToken,
    Progress,
    Score,
    Tokenize,
)
from playground.workers import llama_exact
from playground.workers.attention import About
from playground.workers.base import Link
from playground.workers.engine import Engine
from playground.workers.llama_engine import LlamaDecoder
from playground.workers.llama_model import Model

log = logging.getLogger(__name__)

HASHED_AT_ONCE = 64 << 20
"""Files up to this many bytes are hashed before `Loaded`, larger ones beside the work."""


class Llama:
    """The role. A second `Load` replaces the model."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._model: Model | None = None
        self._engine: Engine | None = None
        self._exact: Model | None = None
        self._exact_engine: Engine | None = None
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

    def close(self) -> None:
        self._engine = self._exact_engine = None
        if self._exact is not None:
            llama_exact.forget(self._exact)
        if self._model is not None:
            self._model.close()
        self._model = self._exact = None

    def load(self, command: Load) -> None:
        started = time.perf_counter()
        self.close()
        path = Path(command.path).absolute()
        told = started
        self._before, self._measuring = resident(), True

        def progress(fraction: float) -> bool:
            nonlocal told
            if (now := time.perf_counter()) - told >= 0.05:
                told = now
                self._link.send(Progress(command.request, fraction * 0.95, "weights"))
            return not (self._link.pending and self._link.cancelled(command.request))

        self._link.send(Progress(command.request, 0.0, "file"))
        model = Model(path, command.context, command.check_tensors, progress)
        if command.adapter:
            try:
                model.put_on(Path(command.adapter))
            except BaseException:
                model.close()
                raise
        self._model, self._engine = model, Engine(self._link, model, LlamaDecoder(model))
        self._engine.before_finish = self._measure
        sha256 = command.sha256
        if not sha256:
            if path.stat().st_size <= HASHED_AT_ONCE:
                sha256 = sha256_of(path)
            else:
                threading.Thread(target=self._hash, args=(path,), name="hash", daemon=True).start()
        self._link.send(Loaded(command.request, model.info(sha256), time.perf_counter() - started))

    def beam(self, command: Beam) -> None:
        """In f32 where that is asked for, or cheap: the model is held a second time for it, until another one is loaded."""
        engine, wanted = self._ready(), command.settings.arithmetic
        assert self._model is not None
        if wanted == "engine" or (wanted == "auto" and not llama_exact.is_cheap(self._model)):
            engine.beam(command)
            return
        try:
            exact = self._in_f32(command.request)
        except (StorageError, MemoryShortError):
            if wanted == "f32":
                raise
            engine.beam(command)
            return
        if self._exact_engine is None:
            self._exact_engine = Engine(self._link, exact, LlamaDecoder(exact))
        self._exact_engine.beam(command, "f32")

    def capture(self, command: Capture) -> None:
        """In f32 where that is cheap: 16-bit weights round what meets them, and maps of the same model by both engines would differ."""
        from playground.workers.attention_llama import LlamaAttention

        engine, model = self._ready(), self._model
        assert model is not None
        info = model.info()
        precision = info.quantization or "as stored"
        if llama_exact.is_cheap(model):
            try:
                model, precision = self._in_f32(command.request), "f32"
            except (StorageError, MemoryShortError) as error:
                log.info("not captured in f32: %s", error)
        about = About(info.name, info.path, info.sha256, info.engine, info.engine_build, precision, info.adapter)
        engine.capture(command, about, LlamaAttention(model, command.adapter_scale))

    def _in_f32(self, request: int) -> Model:
        """The loaded model a second time, in f32, until another one is loaded. StorageError, MemoryShortError, Cancelled."""
        assert self._model is not None
        if self._exact is None:
            self._exact = llama_exact.exact(self._model, lambda fraction: not self._link.cancelled(request))
        return self._exact

    def _measure(self) -> None:
        """Once a load: the first completion has touched every weight and buffer. A pool's memory is no load's."""
        if self._measuring and self._model is not None and not self._model.others:
            self._measuring = False
            self._link.send(MemoryUsed(str(self._model.path), resident() - self._before))

    def _ready(self) -> Engine:
        if self._engine is None:
            raise WorkerError("No model is loaded.", "Load one first.")
        return self._engine

    def _hash(self, path: Path) -> None:
        try:
            self._link.send(ModelHashed(str(path), sha256_of(path)))
        except OSError as error:
            log.warning("could not hash %s: %s", path, error)


def resident() -> int:
    """Bytes of main memory that this process holds."""
    return int(psutil.Process().memory_info().rss)


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def make(link: Link) -> Llama:
    return Llama(link)
