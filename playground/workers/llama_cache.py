"""What lies in the KV cache of sequence 0, and in which batches it was computed.

Rounding depends on the size of the batch that a token was computed in. So that a generation can be repeated exactly, the cache is only
ever cut at a boundary between two batches, the last token of a prompt is always a batch of its own (regenerating needs nothing else
again), and the batches are part of the record.

With an adapter on, what a token left in the cache depends on the scale that it was computed at; only what was computed at the scale in force
is used for another prompt.

Layers with a sliding window keep their tokens in a ring, shorter than the context: token n lies in cell n modulo its size, and the oldest
are overwritten. A cut is made only where what is needed is still there and the next token comes to lie where it would have without the cut;
else everything is computed again. Knows no sampling and no text.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from playground.errors import Cancelled, ContextFullError, ModelFileError, SettingError
from playground.protocol import Batches
from playground.workers import llama_lib
from playground.workers.llama_lib import C
from playground.workers.llama_model import Model
from playground.workers.llama_pool import Pool


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
    """Sequence 0's tokens and batches, and the decode calls that put them there: in a model's first context, or in its pool."""

    def __init__(self, model: Model | Pool) -> None:
        self._model = model
        self.batch = Batch(max(model.n_batch, model.sequences))
        self.tokens: list[int] = []
        self._sizes: list[list[int]] = []
        """run-length: [size, count]"""
        self._scales: list[float] = []
        """of the adapter, as each token was computed"""
        self.chunk = max(1, min(model.n_ubatch, model.n_batch))
        """of a prompt, in tokens"""
        self._ring = self._ring_size()
        self._abort = False
        self._should_abort: Callable[[], bool] = lambda: False
        self._callback = C.ggml_abort_callback(self._asked)

    # -- what is there

    def batches(self) -> tuple[Batches, ...]:
        return tuple(Batches(size, count) for size, count in self._sizes)

    def clear(self) -> None:
        C.llama_memory_clear(self._model.memory, True)
        self.tokens, self._sizes, self._scales = [], [], []

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
        if not self._forget(kept, len(self.tokens) - kept):
            return 0
        self.tokens, self._sizes, self._scales = self.tokens[:kept], sizes, self._scales[:kept]
        return kept

    # -- several sequences

    def share(self, numbers: Iterable[int], room: int, first: int = 0) -> None:
        """These sequences begin with what is there in `first`; all together they may grow by `room` tokens."""
        if self._ring and self._model.unified and len(self.tokens) + room > self._ring:
            self._leave_window(first)
        for number in numbers:
            C.llama_memory_seq_cp(self._model.memory, first, number, -1, -1)

    def repeat(self, number: int, stop: Callable[[], bool]) -> None:
        """Computes the tokens of sequence 0 once more in another one, at the scale now in force, as a prompt by itself would be."""
        self._watch(stop)
        try:
            start = 0
            for size in self._settled(len(self.tokens)):
                if stop():
                    raise Cancelled("Stopped while the prompt was being read.")
                whole = start + size == len(self.tokens)
                self._fill(self.tokens[start : start + size], start, number, whole)
                code = llama_lib.decode(self._model.context_handle, self.batch.struct)
                if code == 1:
                    raise ContextFullError(
                        "The context window has no room for the prompt at another scale of the adapter.",
                        "Load the model with a larger context window, or take the same scale for all.",
                    )
                if code == 2 and self._abort:
                    raise Cancelled("Stopped while the prompt was being read.")
                if code:
                    raise decode_failed(code)
                start += size
        finally:
            self._watch(None)

    def unshare(self, count: int) -> None:
        """Leaves what can be described exactly: sequence 0 as it was when it was shared."""
        for number in range(1, count):
            C.llama_memory_seq_rm(self._model.memory, number, -1, -1)
        length = len(self.tokens)
        if not C.llama_memory_seq_rm(self._model.memory, 0, length, -1) or (self._ring and self._oldest() != 0):
            self.clear()  # a recurrent state cannot go back; a ring that several wrote to is in no order

    def compute(self, stop: Callable[[], bool]) -> bool:
        """Computes what lies in `batch`, for several sequences. False if there is no room; Cancelled if `stop` says so."""
        if stop():
            raise Cancelled("Stopped while the prompt was being read.")
        try:
            self._watch(stop)
            code = llama_lib.decode(self._model.context_handle, self.batch.struct)
        finally:
            self._watch(None)
        if code == 2 and stop():
            raise Cancelled("Stopped while the prompt was being read.")
        if code not in (0, 1):
            raise decode_failed(code)
        return bool(code == 0)

    # -- the ring

    def _ring_size(self) -> int:
        """Cells of the cache for layers with a sliding window, as the library makes it; 0 where nothing is ever overwritten."""
        model = self._model
        wanted = model.look_back * (model.sequences if model.unified else 1) + model.n_ubatch
        cells = -(-wanted // 256) * 256
        whole = model.n_ctx if model.unified else model.window
        return cells if model.look_back and cells < whole else 0

    def _oldest(self) -> int:
        """The first position that every layer still has of sequence 0; -1 if there is none."""
        return int(C.llama_memory_seq_pos_min(self._model.memory, 0))

    def _forget(self, kept: int, count: int) -> bool:
        """Removes `count` tokens behind the first `kept`. False if that was not possible and everything is gone."""
        if kept == 0 or not self._can_forget(kept, count):
            if self.tokens or count:
                self.clear()
            return False
        if count and not C.llama_memory_seq_rm(self._model.memory, 0, kept, -1):
            self.clear()  # models with a recurrent state cannot go back
            return False
        return True

    def _can_forget(self, kept: int, count: int) -> bool:
        if not self._ring or (oldest := self._oldest()) == 0:
            return True
        if not 0 <= oldest <= kept - self._model.look_back:
            return False
        # The library goes on at the lowest cell that was freed: the right one unless the cells freed reach around the ring's end.
        return count == 0 or kept % self._ring + count < self._ring

    def _leave_window(self, number: int) -> None:
        """Frees the ring of what no layer sees any more: cells of several sequences are never overwritten."""
        context, flags = self._model.context_handle, C.LLAMA_STATE_SEQ_FLAGS_PARTIAL_ONLY
        size = C.llama_state_seq_get_size_ext(context, number, flags)
        state = (ctypes.c_uint8 * size)()
        if not C.llama_state_seq_get_data_ext(context, state, size, number, flags):
            return
        if not C.llama_state_seq_set_data_ext(context, state, size, number, flags):
            self.clear()
            raise decode_failed(1)

    # -- computing

    def prefill(
        self, prompt: Sequence[int], batches: Sequence[Batches], stop: Callable[[], bool], on_progress: Callable[[float], None]
    ) -> int:
        """Brings the prompt into the cache, its last token alone and with logits. Returns how many tokens were there already.

        `batches`: computes everything in exactly these. `stop` is asked often, also within a chunk; Cancelled if it says so.
        """
        if not prompt:  # several sequences that have nothing in common
            self.clear()
            return 0
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
            cached = self.cut(min(common(self.tokens, prompt), self._at_scale(), len(prompt) - 1))
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

    def again(self, token: int, position: int, number: int = 0) -> bool:
        """Computes the last token of a sequence once more, at the scale now in force. False if this model cannot go back, and nothing is changed."""
        if not C.llama_memory_seq_rm(self._model.memory, number, position, -1):
            return False
        self._fill([token], position, number, last=True)
        if code := llama_lib.decode(self._model.context_handle, self.batch.struct):
            raise decode_failed(code)
        if number == 0 and position < len(self.tokens):
            self._scales[position] = self._model.adapter_scale
        return True

    def _at_scale(self) -> int:
        """How many tokens from the beginning were computed at the adapter's scale in force."""
        scale = self._model.adapter_scale
        return next((place for place, each in enumerate(self._scales) if each != scale), len(self._scales))

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
        self._fill(tokens, start, 0, last)
        code = llama_lib.decode(self._model.context_handle, self.batch.struct)
        if code == 0:
            self.tokens.extend(tokens)
            self._scales.extend([self._model.adapter_scale] * count)
            if self._sizes and self._sizes[-1][0] == count:
                self._sizes[-1][1] += 1
            else:
                self._sizes.append([count, 1])
            return True
        self._forget(start, count)
        if code == 1:
            return False
        if code == 2 and self._abort:
            raise Cancelled("Stopped while the prompt was being read.")
        raise decode_failed(code)

    def _fill(self, tokens: Sequence[int], start: int, number: int, last: bool) -> None:
        count = len(tokens)
        batch = self.batch
        batch.token[:count] = tokens
        batch.position[:count] = range(start, start + count)
        batch.sequence[:count] = number
        batch.output[:count] = 0
        batch.output[count - 1] = last
        batch.struct.n_tokens = count

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
