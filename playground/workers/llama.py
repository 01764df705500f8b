"""The llama.cpp worker: loads one GGUF model and answers for it. The loop is in `decode_loop`, loading in `llama_model`."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable
from pathlib import Path

from playground.errors import MemoryShortError, StorageError
from playground.protocol import Beam, Capture, Load
from playground.workers import llama_exact
from playground.workers.attention import About
from playground.workers.base import Link
from playground.workers.engine import Engine
from playground.workers.engine_role import EngineRole, Opened
from playground.workers.llama_engine import LlamaDecoder
from playground.workers.llama_model import Model

log = logging.getLogger(__name__)


class Llama(EngineRole):
    """The role. A second `Load` replaces the model."""

    def __init__(self, link: Link) -> None:
        super().__init__(link)
        self._model: Model | None = None
        self._exact: Model | None = None
        self._exact_engine: Engine | None = None

    def close(self) -> None:
        self._engine = self._exact_engine = None
        if self._exact is not None:
            llama_exact.forget(self._exact)
        if self._model is not None:
            self._model.close()
        self._model = self._exact = None

    def open(self, command: Load, path: Path, progress: Callable[[float], bool]) -> Opened:
        model = Model(path, command.context, command.check_tensors, progress)
        if command.adapter:
            try:
                model.put_on(Path(command.adapter))
            except BaseException:
                model.close()
                raise
        self._model = model
        return Opened(Engine(self._link, model, LlamaDecoder(model)), model.info, lambda: sha256_of(path), path.stat().st_size)

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
        scale = command.adapter_scale
        about = About(info.name, info.path, info.sha256, info.engine, info.engine_build, precision, info.adapter, scale)
        engine.capture(command, about, LlamaAttention(model, scale))

    def _in_f32(self, request: int) -> Model:
        """The loaded model a second time, in f32, until another one is loaded. StorageError, MemoryShortError, Cancelled."""
        assert self._model is not None
        if self._exact is None:
            self._exact = llama_exact.exact(self._model, lambda fraction: not self._link.cancelled(request))
        return self._exact

    def measurable(self) -> bool:
        """A pool's memory is no load's."""
        return self._model is not None and not self._model.others


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def make(link: Link) -> Llama:
    llama_exact.sweep()
    return Llama(link)
