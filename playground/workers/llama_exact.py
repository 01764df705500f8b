"""A GGUF model's weights computed with in f32: no rounding of what flows between the layers, and none of the cache.

llama.cpp multiplies 16-bit weights with activations that it rounds to 16 bits as well: summed log-probabilities come out some 1e-3 off,
and a beam search can choose another beam for it. The same weights as f32, which 16-bit ones become without loss, are off by some 1e-6.
"""

from __future__ import annotations

import logging
import os
import tempfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from playground.workers import quantizer
from playground.workers.llama_model import Model
from playground.workers.quantizer import Wish

log = logging.getLogger(__name__)

SMALL = 128 << 20
"""bytes of weights in f32 up to which it is done without being asked for: a fraction of a second"""
PREFIX = "exact-"
SIXTEEN_BITS = {"F32", "F16", "BF16"}


def is_cheap(model: Model) -> bool:
    """Whether the model has no quantized weights, is small, and is not computed with in f32 already."""
    kinds = {each.kind.name for each in model.header.tensors}
    return kinds <= SIXTEEN_BITS and 4 * model.header.parameters <= SMALL


def exact(model: Model, on_progress: Callable[[float], bool]) -> Model:
    """The same model in f32, with an f32 cache and without flash attention, loaded beside it; its file is gone when this returns where the
    system allows that, else when it is made the next time. PlaygroundError if it cannot be written or does not fit into memory.
    """
    folder = Path(os.environ.get("PLAYGROUND_CACHE") or tempfile.gettempdir())
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob(f"{PREFIX}*.gguf"):
        with suppress(OSError):  # another one has it open
            old.unlink()
    handle, name = tempfile.mkstemp(prefix=PREFIX, suffix=".gguf", dir=folder)
    os.close(handle)
    path = Path(name)
    try:
        quantizer.quantize(model.path, path, model.header, Wish("F32", allow_requantize=True), lambda *_: None)
        settings = replace(
            model.settings, context=model.window, kv_type_k="f32", kv_type_v="f32", flash_attention="off", precision="auto"
        )
        found = Model(path, settings, on_progress=on_progress)
        if model.adapter is not None:
            try:
                found.put_on(model.adapter.path)
            except BaseException:
                found.close()
                raise
        return found
    finally:
        with suppress(OSError):
            path.unlink()
