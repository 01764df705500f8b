"""A GGUF model's weights computed with in f32: no rounding of what flows between the layers, and none of the cache.

llama.cpp multiplies 16-bit weights with activations that it rounds to 16 bits as well: summed log-probabilities come out some 1e-3 off,
and a beam search can choose another beam for it. The same weights as f32, which 16-bit ones become without loss, are off by some 1e-6.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from playground import paths
from playground.models import beside
from playground.workers import quantizer
from playground.workers.llama_model import Model
from playground.workers.quantizer import Wish

log = logging.getLogger(__name__)

SMALL = 128 << 20
"""bytes of weights in f32 up to which it is done without being asked for: a fraction of a second"""
SIXTEEN_BITS = {"F32", "F16", "BF16"}


def is_cheap(model: Model) -> bool:
    """Whether the model has no quantized weights, is small, and is not computed with in f32 already."""
    kinds = {each.kind.name for each in model.header.tensors}
    return kinds <= SIXTEEN_BITS and 4 * model.header.parameters <= SMALL


def exact(model: Model, on_progress: Callable[[float], bool]) -> Model:
    """The same model in f32, with an f32 cache and without flash attention, loaded beside it. Its file is the caller's to remove, with
    `forget`, once it is closed. PlaygroundError if it cannot be written or does not fit into memory.
    """
    path = beside.passing(folder(), ".gguf")
    try:
        quantizer.quantize(model.path, path, model.header, Wish("F32", allow_requantize=True), lambda *_: None)
        settings = replace(
            model.settings, context=model.window, kv_type_k="f32", kv_type_v="f32", flash_attention="off", precision="auto"
        )
        found = Model(path, settings, on_progress=on_progress)
        try:
            if model.adapter is not None:
                found.put_on(model.adapter.path)
        except BaseException:
            found.close()
            raise
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    return found


def forget(found: Model) -> None:
    """Closes it and removes its file."""
    found.close()
    with suppress(OSError):
        found.path.unlink()


def sweep() -> None:
    """Removes what processes that were killed have left."""
    beside.sweep(folder())


def folder() -> Path:
    """Where copies lie."""
    return paths.cache() / "exact"
