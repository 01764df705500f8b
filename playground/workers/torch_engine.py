"""The transformers worker: loads one model folder and answers for it. The loop is in `decode_loop`, loading in `torch_model`.

torch is imported when the first model is to be loaded: a worker that cannot have it says so in a sentence.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from playground.errors import Cancelled, SettingError, WorkerError
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
from playground.workers import torch_lib
from playground.workers.attention import About
from playground.workers.base import Link
from playground.workers.engine import Engine
from playground.workers.machine import resident
from playground.workers.torch_folder import check_model_folder, sha256_of_folder

log = logging.getLogger(__name__)

HASHED_AT_ONCE = 64 << 20
"""Weights of up to this many bytes are hashed before `Loaded`, larger ones beside the work."""


class Transformers:
    """The role. A second `Load` replaces the model."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._path = self._precision = ""
        self._engine: Engine | None = None
        self._model: Any = None
        self._info: Any = None
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
        self._engine = self._model = self._info = None

    def load(self, command: Load) -> None:
        started = told = time.perf_counter()
        self.close()
        path = Path(command.path).absolute()
        self._before, self._measuring = resident(), True

        def progress(fraction: float) -> bool:
            nonlocal told
            if (now := time.perf_counter()) - told >= 0.05:
                told = now
                self._link.send(Progress(command.request, 0.1 + fraction * 0.85, "weights"))
            return not (self._link.pending and self._link.cancelled(command.request))

        self._link.send(Progress(command.request, 0.0, "file"))
        folder = check_model_folder(path)
        self._link.send(Progress(command.request, 0.02, "starting"))
        torch_lib.start()
        from playground.workers import torch_adapter
        from playground.workers.torch_decoder import TorchDecoder
        from playground.workers.torch_model import TorchModel
        from playground.workers.torch_vocabulary import TorchVocabulary

        if not progress(0.0):
            raise Cancelled("Loading was stopped.")
        model = TorchModel(folder, command.context, command.check_tensors, progress)
        if command.adapter:
            torch_adapter.put_on(model, Path(command.adapter).absolute())
        vocabulary = TorchVocabulary(path, model.n_vocab, model.end_tokens())
        self._path, self._precision = str(path), model.precision
        self._engine = Engine(self._link, vocabulary, TorchDecoder(model))
        self._engine.before_finish = self._measure
        sha256 = command.sha256
        if not sha256:
            if sum(each.nbytes for each in folder.tensors) <= HASHED_AT_ONCE:
                sha256 = sha256_of_folder(folder.files)
            else:
                threading.Thread(target=self._hash, args=(path, folder.files), name="hash", daemon=True).start()
        self._model, self._info = model, (info := model.info(vocabulary.template is not None, sha256))
        self._link.send(Loaded(command.request, info, time.perf_counter() - started))

    def beam(self, command: Beam) -> None:
        if command.settings.arithmetic == "f32" and self._precision != "f32":
            raise SettingError(
                "This folder is not loaded in f32.", "Load it with precision f32, or take the engine's own arithmetic."
            )
        self._ready().beam(command, "f32" if self._precision == "f32" else "engine")

    def capture(self, command: Capture) -> None:
        from playground.workers.attention_torch import TorchAttention

        engine, model, info = self._ready(), self._model, self._info
        model.set_scale(command.adapter_scale)
        about = About(info.name, info.path, info.sha256, info.engine, info.engine_build, model.precision, info.adapter)
        engine.capture(command, about, TorchAttention(model.net, info.name))

    def _measure(self) -> None:
        """Once a load: the first completion has touched every weight and buffer."""
        if self._measuring:
            self._measuring = False
            self._link.send(MemoryUsed(self._path, resident() - self._before))

    def _ready(self) -> Engine:
        if self._engine is None:
            raise WorkerError("No model is loaded.", "Load one first.")
        return self._engine

    def _hash(self, path: Path, files: tuple[Path, ...]) -> None:
        try:
            self._link.send(ModelHashed(str(path), sha256_of_folder(files)))
        except OSError as error:
            log.warning("could not hash %s: %s", path, error)


def make(link: Link) -> Transformers:
    return Transformers(link)
