"""What lies in the KV cache of sequence 0, and in which batches it was computed.

Rounding depends on the size of the batch that a token was computed in. So that a generation can be repeated exactly, the cache is only
ever cut at a boundary between two batches, the last token of a prompt is always a batch of its own (regenerating needs nothing else
again), and the batches are part of the record. Knows no sampling and no text.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from playground.errors import Cancelled, ContextFullError, ModelFileError, SettingError
from playground.protocol import Batches
from playground.workers.llama_lib import C
from playground.workers.llama_model import Model


class Batch:
    """The library's batch over arrays of our own: no call a token to fill it."""

    def __init__(self, capacity: int) -> None:
        self.token = np.zeros(capacity, np.int32)
        self.position = np.zeros(capacity, np.int32)
        self.sequence = np.zeros(capacity, np.int32)
        self._counts = np.ones(capacity, np.int32)
        self._pointers = self.sequence.ctypes.data + 4 * np.arange(capacity, dtype=np.uint64)
        self.output = np.zeros(capacity, np.int8)
        self.struct = C.llama_batch()
        for field, array in (
            ("token", self.token),
            ("pos", self.position),
            ("n_seq_id", self._counts),
            ("seq_id", self._pointers),
            ("logits", self.output),
        ):
            kind = dict(C.llama_batch._fields_)[field]
            setattr(self.struct, field, ctypes.cast(array.ctypes.data, kind))


class Cache:
    """Sequence 0's tokens and batches, and the decode calls that put them there."""

    def __init__(self, model: Model) -> None:
        self._model = model
        self.batch = Batch(max(model.n_batch, model.sequences))
        self.tokens: list[int] = []
        self._sizes: list[list[int]] = []
        """run-length: [size, count]"""
        self.chunk = max(1, min(model.n_ubatch, model.n_batch))
        """of a prompt, in tokens"""
        self._abort = False
        self._should_abort: Callable[[], bool] = lambda: False
        self._callback = C.ggml_abort_callback(self._asked)

    # -- what is there

    def batches(self) -> tuple[Batches, ...]:
        return tuple(Batches(size, count) for size, count in self._sizes)

    def clear(self) -> None:
        C.llama_memory_clear(self._model.memory, True)
        self.tokens, self._sizes = [], []

    def cut(self, length: int) -> int:
        """Keeps at most so many tokens, down to a boundary between batches. Returns how many are kept."""
        kept = 0
        sizes: list[list[int]] = []
        for size, count in self._sizes:
            whole = min(count, (length - kept) // size)
            if whole:
                sizes.append([size, whole])
                kept += size * whole
            if whole < count:
                break
        if kept == len(self.tokens):
            return kept
        if kept == 0 or not C.llama_memory_seq_rm(self._model.memory, 0, kept, -1):
            self.clear()  # models with a recurrent state cannot go back
            return 0
        self.tokens, self._sizes = self.tokens[:kept], sizes
        return kept

    # -- computing

    def prefill(
        self, prompt: Sequence[int], batches: Sequence[Batches], stop: Callable[[], bool], on_progress: Callable[[float], None]
    ) -> int:
        """Brings the prompt into the cache, its last token alone and with logits. Returns how many tokens were there already.

        `batches`: computes everything in exactly these. `stop` is asked often, also within a chunk; Cancelled if it says so.
        """
        if len(prompt) > self._model.window:
            raise ContextFullError(
                f"The prompt has {len(prompt):,} tokens; the context window holds {self._model.window:,}.",
                "Shorten the conversation, or load the model with a larger context window.",
            )
        if batches:
            self.clear()
            sizes: Iterable[int] = self._checked(batches, len(prompt))
            cached = 0
        else:
            cached = self.cut(min(common(self.tokens, prompt), len(prompt) - 1))
            sizes = self._settled(len(prompt) - cached)
        try:
            self._watch(stop)
            done = cached
            for size in sizes:
                if stop():
                    raise Cancelled("Stopped while the prompt was being read.")
                self._decode(prompt[done : done + size], last=done + size == len(prompt))
                done += size
                if done < len(prompt) - 1:
                    on_progress((done - cached) / (len(prompt) - cached))
        finally:
            self._watch(None)
        return cached

    def append(self, token: int) -> bool:
        """Computes one more token of sequence 0. False if the cache is full."""
        if len(self.tokens) >= self._model.window:
            return False
        return self._decode([token], last=True)

    def _settled(self, count: int) -> Iterator[int]:
        rest = count - 1
        while rest > 0:
            yield min(self.chunk, rest)
            rest -= self.chunk
        yield 1

    def _checked(self, batches: Sequence[Batches], length: int) -> list[int]:
        if (
            any(each.size < 1 or each.count < 1 for each in batches)
            or sum(each.size * each.count for each in batches) != length
        ):
            raise SettingError("The recorded batches do not add up to the prompt.", "This record cannot be repeated exactly.")
        if max(each.size for each in batches) > self._model.n_batch:
            raise SettingError(
                "The prompt was computed in larger batches than are set now.", "Load the model with the settings on record."
            )
        return [each.size for each in batches for _ in range(each.count)]

    def _decode(self, tokens: Sequence[int], last: bool) -> bool:
        start, count = len(self.tokens), len(tokens)
        batch = self.batch
        batch.token[:count] = tokens
        batch.position[:count] = range(start, start + count)
        batch.sequence[:count] = 0
        batch.output[:count] = 0
        batch.output[count - 1] = last
        batch.struct.n_tokens = count
        code = C.llama_decode(self._model.context_handle, batch.struct)
        if code == 0:
            self.tokens.extend(tokens)
            if self._sizes and self._sizes[-1][0] == count:
                self._sizes[-1][1] += 1
            else:
                self._sizes.append([count, 1])
            return True
        C.llama_memory_seq_rm(self._model.memory, 0, start, -1)
        if code == 1:
            return False
        if code == 2 and self._abort:
            raise Cancelled("Stopped while the prompt was being read.")
        raise decode_failed(code)

    def _watch(self, stop: Callable[[], bool] | None) -> None:
        """Lets the library ask within a batch whether to stop; off while single tokens are decoded, where the question would cost."""
        self._abort = False
        self._should_abort = stop or (lambda: False)
        callback = self._callback if stop else C.ggml_abort_callback(0)
        C.llama_set_abort_callback(self._model.context_handle, callback, None)

    def _asked(self, _: Any) -> bool:
        try:
            self._abort = self._abort or self._should_abort()
        except Exception:  # must not travel through C
            self._abort = True
        return self._abort


def common(left: Sequence[int], right: Sequence[int]) -> int:
    """The length of the longest common beginning."""
    return next((place for place, (a, b) in enumerate(zip(left, right, strict=False)) if a != b), min(len(left), len(right)))


def decode_failed(code: int) -> Exception:
    """What to say of a decode call that failed for no reason of ours."""
    return ModelFileError(
        f"The engine could not compute the next token (llama_decode gave {code}).",
        "Load the model again; the log has the details.",
    )
