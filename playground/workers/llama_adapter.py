"""A LoRA adapter on a GGUF model: a GGUF file, or a folder in PEFT layout, which is converted into the cache when it is first used.

Knows loading and the scale, but nothing of what is decoded with it.
"""

from __future__ import annotations

import ctypes
import logging
import os
import re
from pathlib import Path
from typing import Any

from playground import paths
from playground.errors import ModelFileError, NotFoundError
from playground.models.gguf_header import GgufHeader, open_gguf
from playground.workers.llama_lib import C, library_log

log = logging.getLogger(__name__)

_OTHER = "Take the model that the adapter was made for."


class Adapter:
    """`path` is what the user named, `file` the GGUF file of it. Belongs to the model after `attach`, and ends with it."""

    def __init__(self, path: Path, model: Path, header: GgufHeader) -> None:
        """For the model with this file and header. Raises NotFoundError or ModelFileError."""
        from playground.models.lora import sha256_of  # only with an adapter: models load without the converter

        self.path = path.absolute()
        if not path.exists():
            raise NotFoundError(f"There is no adapter {path}.", "It may have been moved or deleted; choose it again.")
        self.sha256 = sha256_of(path)
        self.file = _converted(path, self.sha256, model, header) if path.is_dir() else path
        self._model = model.name
        self._check(header)
        self._handles = (C.llama_adapter_lora_p_ctypes * 1)()
        self._scales = (ctypes.c_float * 1)()

    def attach(self, model_handle: Any) -> None:
        """Reads it for a loaded model. ModelFileError if it does not belong to that."""
        handle = C.llama_adapter_lora_init(model_handle, os.fsencode(self.file))
        if not handle:
            said = next(
                (found[1] for line in reversed(library_log.lines) if (found := re.search(r"lora adapter: (.*)$", line))), ""
            )
            if "base model" in said:
                said = re.sub(r" \(hint:.*\)", "", said)
                raise ModelFileError(f"The adapter {self.path.name} does not belong to {self._model}: {said[:160]}.", _OTHER)
            because = f" ({said[:160]})" if said else ""
            raise ModelFileError(
                f"The adapter {self.path.name} cannot be loaded: it is damaged{because}.", "Copy or convert it again."
            )
        self._handles[0] = handle

    def set_scale(self, context_handle: Any, scale: float) -> None:
        """How much of it is added from the next decode call on; at 0 the model is as if there were none."""
        self._scales[0] = scale
        C.llama_set_adapters_lora(context_handle, self._handles, 1 if scale else 0, self._scales)

    def _check(self, header: GgufHeader) -> None:
        """What the library would not say well: files that are no adapter, and adapters for models of another kind."""
        mine = open_gguf(self.file)
        if mine.metadata.get("general.type") != "adapter" or mine.metadata.get("adapter.type") != "lora":
            raise ModelFileError(
                f"{self.path.name} is no LoRA adapter.", "Choose a folder in PEFT layout, or a GGUF file made from one."
            )
        if mine.architecture != header.architecture:
            raise ModelFileError(
                f"The adapter {self.path.name} is for models of the kind '{mine.architecture[:40]}', and {self._model} is one of the kind "
                f"'{header.architecture[:40]}'.",
                _OTHER,
            )


def _converted(folder: Path, sha256: str, model: Path, header: GgufHeader) -> Path:
    """The GGUF file of a PEFT folder, in the cache: made again for a model whose matrices are others, not for another quantization."""
    from playground.conversion import adapter as conversion

    base = conversion.of_header(model.name, header)
    heads = (header.get("attention.head_count"), header.get("attention.head_count_kv"), header.get("embedding_length"))
    tied = "output.weight" not in base.shapes
    mark = re.sub(r"\W+", "-", f"{header.architecture}-{heads}-{tied}")[:80]
    cache = paths.cache() / "adapters"
    file = cache / f"{sha256[:32]}-{mark}.gguf"
    if not file.exists():
        size = conversion.convert_adapter(folder, file, base)
        log.info("converted the adapter %s: %d bytes", folder, size)
    return file
