"""The transformers worker: loads one model folder and answers for it. The loop is in `decode_loop`, loading in `torch_model`.

torch is imported when the first model is to be loaded: a worker that cannot have it says so in a sentence.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from playground.errors import Cancelled, SettingError
from playground.protocol import Beam, Capture, Lens, Load, ModelInfo, Progress
from playground.workers import torch_lib
from playground.workers.attention import About
from playground.workers.base import Link
from playground.workers.engine import Engine
from playground.workers.engine_role import EngineRole, Opened
from playground.workers.torch_folder import check_model_folder, sha256_of_folder

STARTED = 0.1
"""the part of a load that starting the library is"""


class Transformers(EngineRole):
    """The role. A second `Load` replaces the model."""

    def __init__(self, link: Link) -> None:
        super().__init__(link)
        self._precision = ""
        self._model: Any = None
        self._info: Any = None

    def commands(self) -> Mapping[type, Callable[[Any], None]]:
        return {**super().commands(), Lens: self.lens}

    def close(self) -> None:
        self._engine = self._model = self._info = None

    def open(self, command: Load, path: Path, progress: Callable[[float], bool]) -> Opened:
        folder = check_model_folder(path)
        self._link.send(Progress(command.request, 0.02, "starting"))
        with torch_lib.uncollected():  # the classes of a model are imported when it is loaded
            torch_lib.start()
            from playground.workers import torch_adapter
            from playground.workers.torch_decoder import TorchDecoder
            from playground.workers.torch_model import TorchModel
            from playground.workers.torch_vocabulary import TorchVocabulary

            def weights(fraction: float) -> bool:
                return progress(STARTED + fraction * (1 - STARTED))

            if not weights(0.0):
                raise Cancelled("Loading was stopped.")
            model = TorchModel(folder, command.context, command.check_tensors, weights)
            if command.adapter:
                torch_adapter.put_on(model, Path(command.adapter).absolute())
        vocabulary = TorchVocabulary(path, model.n_vocab, model.end_tokens())
        self._precision = model.precision

        def info(sha256: str) -> ModelInfo:
            self._model, self._info = model, (found := model.info(vocabulary.template is not None, sha256))
            return found

        nbytes = sum(each.nbytes for each in folder.tensors)
        engine = Engine(self._link, vocabulary, TorchDecoder(model))
        return Opened(engine, info, lambda: sha256_of_folder(folder.files), nbytes)

    def beam(self, command: Beam) -> None:
        if command.settings.arithmetic == "f32" and self._precision != "f32":
            raise SettingError(
                "This folder is not loaded in f32.", "Load it with precision f32, or take the engine's own arithmetic."
            )
        self._ready().beam(command, "f32" if self._precision == "f32" else "engine")

    def capture(self, command: Capture) -> None:
        from playground.workers.attention_torch import TorchAttention

        engine, model, info = self._ready(), self._model, self._info
        scale = command.adapter_scale
        model.set_scale(scale)
        about = About(info.name, info.path, info.sha256, info.engine, info.engine_build, model.precision, info.adapter, scale)
        engine.capture(command, about, TorchAttention(model.net, info.name))

    def lens(self, command: Lens) -> None:
        engine, model = self._ready(), self._model
        model.set_scale(command.adapter_scale)
        engine.lens(command, model.net, self._info.name)


def make(link: Link) -> Transformers:
    return Transformers(link)
