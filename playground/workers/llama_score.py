"""What a GGUF model thinks of every token of a text: logits of all positions, a chunk at a time, in a context of its own.

The chat's context gives a row of logits a sequence and keeps its cache; this one lives as long as one text.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from playground.errors import Cancelled, MemoryShortError
from playground.workers import llama_lib
from playground.workers.llama_cache import Batch, decode_failed
from playground.workers.llama_lib import C
from playground.workers.llama_model import Model

ROWS_BYTES = 32 << 20
"""of logits that are held at a time: 54 rows of a vocabulary of 152k"""
MOST = 512
"""tokens of a chunk"""


def score(model: Model, tokens: Sequence[int], scale: float, stop: Callable[[], bool]) -> Iterator[NDArray[np.float32]]:
    """The logits after every token but the last, in parts of shape [positions, vocabulary], each good until the next.

    `scale`: of the adapter, if one is on. `stop` is asked within a chunk too. Cancelled, MemoryShortError.
    """
    if len(tokens) < 2:
        return
    chunk = max(1, min(MOST, model.n_batch, ROWS_BYTES // (4 * model.n_vocab), len(tokens) - 1))
    handle = _context(model, len(tokens), chunk)
    try:
        aborting = C.ggml_abort_callback(lambda _: _asked(stop))
        C.llama_set_abort_callback(handle, aborting, None)
        if model.adapter is not None:
            model.adapter.set_scale(handle, scale)
        batch = Batch(chunk)
        for start in range(0, len(tokens) - 1, chunk):
            part = tokens[start : min(start + chunk, len(tokens) - 1)]
            count = len(part)
            batch.token[:count] = part
            batch.position[:count] = range(start, start + count)
            batch.sequence[:count] = 0
            batch.output[:count] = 1
            batch.struct.n_tokens = count
            if stop():
                raise Cancelled("Stopped while the text was being scored.")
            if code := llama_lib.decode(handle, batch.struct):
                if code == 2:
                    raise Cancelled("Stopped while the text was being scored.")
                raise decode_failed(code)
            address = llama_lib.logits_address(handle, 0)  # rows of one sequence lie one behind the other
            if not address:
                raise decode_failed(0)
            rows = (ctypes.c_float * (count * model.n_vocab)).from_address(address)
            yield np.ctypeslib.as_array(rows).reshape(count, model.n_vocab)
    finally:
        C.llama_free(handle)


def _context(model: Model, length: int, chunk: int) -> Any:
    params = C.llama_context_default_params()
    params.n_ctx, params.n_seq_max = length, 1
    params.n_batch = params.n_ubatch = params.n_outputs_max = chunk
    params.n_threads = params.n_threads_batch = model.threads
    params.swa_full = False
    model.set_attention(params)
    handle = C.llama_init_from_model(model.handle, params)
    if not handle:
        raise MemoryShortError(
            f"There is not enough memory to score a text of {length:,} tokens.", "Take a shorter one, or close other programs."
        )
    return handle


def _asked(stop: Callable[[], bool]) -> bool:
    try:
        return stop()
    except Exception:  # must not travel through C
        return True
