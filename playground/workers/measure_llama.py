"""A GGUF model as the quality report sees it: logits of a window of tokens, how fast it is, how much memory it took.

Uses the loading of `llama_model`, and two contexts one after the other: one as a chat has it (a row of logits a call), in which speed and
memory are measured, and one that gives logits for half a window. Compares nothing.
"""

from __future__ import annotations

import ctypes
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from playground.errors import Cancelled, MemoryShortError
from playground.models.gguf_header import split_names
from playground.params import ContextSettings
from playground.workers import llama_lib
from playground.workers.llama_cache import decode_failed
from playground.workers.llama_lib import C
from playground.workers.llama_model import Model
from playground.workers.machine import resident, usable_cores

BATCH = 512
"""tokens of a decode call, as llama.cpp's perplexity tool computes them"""
PROMPT = 512
DECODED = 32
"""tokens of a timed decode"""
TIMED_S = 2.0
"""seconds after which no further repetition is begun"""


class Gguf:
    """Loaded at once. `resident` and the two speeds are there after `try_out`."""

    def __init__(self, path: Path, stop: Callable[[], bool], on_progress: Callable[[float], None]) -> None:
        """ModelFileError, MemoryShortError, Cancelled."""
        self.path = path
        self._stop = stop
        before = resident()

        def loading(fraction: float) -> bool:
            on_progress(fraction)
            return not stop()

        self._model = Model(path, ContextSettings(context=PROMPT + 2 * DECODED, sequences=1), on_progress=loading)
        self._before = before
        info = self._model.info()
        self.name, self.quantization, self.n_vocab = info.name, info.quantization, info.vocabulary
        self.size = sum((path.parent / each).stat().st_size for each in split_names(path.name))
        self.bits_per_weight = 8 * info.size / info.parameters if info.parameters else 0.0
        self.prompt_tokens_per_s = self.decode_tokens_per_s = 0.0
        self.resident = 0
        self._aborted = C.ggml_abort_callback(self._asked)
        C.llama_set_abort_callback(self._model.context_handle, self._aborted, None)
        self._batch = C.llama_batch_init(BATCH, 0, 1)
        self._scoring: Any = None

    def close(self) -> None:
        C.llama_batch_free(self._batch)
        if self._scoring:
            C.llama_free(self._scoring)
            self._scoring = None
        self._model.close()

    @property
    def bos(self) -> int | None:
        """The token that every window begins with; None where the model wants none."""
        vocab = self._model.vocab
        return int(C.llama_vocab_bos(vocab)) if C.llama_vocab_get_add_bos(vocab) else None

    def tokenize(self, text: str, special: bool) -> list[int]:
        """The tokens of a text, without a beginning-of-text token. `special`: control tokens in it are recognised."""
        data = text.encode("utf-8", "replace")
        room = len(data) + 16
        while True:
            found = (C.llama_token * room)()
            count = C.llama_tokenize(self._model.vocab, data, len(data), found, room, False, special)
            if count >= 0:
                return list(found[:count])
            room = -count

    def try_out(self, tokens: Sequence[int]) -> None:
        """Measures speed and memory as a chat would have them. Medians; the first pass, which reads the weights, is not counted."""
        context, memory = self._model.context_handle, self._model.memory
        prompt, rest = list(tokens[:PROMPT]), list(tokens[PROMPT : PROMPT + DECODED] or tokens[:DECODED])
        self._decode(context, prompt[:DECODED], 0)
        prompts: list[float] = []
        decodes: list[float] = []
        started = time.perf_counter()
        while len(prompts) < 5 and (not prompts or time.perf_counter() - started < TIMED_S):
            C.llama_memory_clear(memory, True)
            at = time.perf_counter()
            self._decode(context, prompt, 0)
            C.llama_synchronize(context)
            then = time.perf_counter()
            for number, token in enumerate(rest):
                self._decode(context, [token], len(prompt) + number)
                C.llama_synchronize(context)
            decodes.append(len(rest) / (time.perf_counter() - then))
            prompts.append(len(prompt) / (then - at))
        self.prompt_tokens_per_s, self.decode_tokens_per_s = statistics.median(prompts), statistics.median(decodes)
        self.resident = max(0, resident() - self._before)

    def score(self, window: Sequence[int], first: int) -> Iterator[NDArray[np.float32]]:
        """The logits after each token from `first` to the last but one, in parts of shape [positions, vocabulary], good until the next."""
        context = self._scoring_context(len(window))
        C.llama_memory_clear(C.llama_get_memory(context), True)
        for start in range(0, len(window), BATCH):
            part = list(window[start : start + BATCH])
            self._decode(context, part, start, first)
            begin, end = max(0, first - start), min(len(part), len(window) - 1 - start)
            if begin < end:
                # Rows of one sequence lie one behind the other.
                address = llama_lib.logits_address(context, begin)
                if not address:
                    raise decode_failed(0)
                rows = (ctypes.c_float * ((end - begin) * self.n_vocab)).from_address(address)
                yield np.ctypeslib.as_array(rows).reshape(end - begin, self.n_vocab)

    # -- inside

    def _scoring_context(self, length: int) -> Any:
        if self._scoring:
            return self._scoring
        C.llama_free(self._model.context_handle)  # its memory is measured, and may be needed now
        self._model.context_handle = None
        params = C.llama_context_default_params()
        params.n_ctx, params.n_seq_max = length, 1
        params.n_batch = params.n_ubatch = params.n_outputs_max = min(BATCH, length)
        params.n_threads = params.n_threads_batch = usable_cores()
        params.swa_full = False
        self._scoring = C.llama_init_from_model(self._model.handle, params)
        if not self._scoring:
            raise MemoryShortError(
                f"There is not enough memory for windows of {length:,} tokens of {self.path.name}.", "Take a smaller window."
            )
        C.llama_set_abort_callback(self._scoring, self._aborted, None)
        return self._scoring

    def _decode(self, context: Any, tokens: Sequence[int], start: int, first: int = 1 << 30) -> None:
        """One call. Scoring gives rows of logits from position `first` on; the chat's context the last one."""
        batch = self._batch
        batch.n_tokens = len(tokens)
        for place, token in enumerate(tokens):
            batch.token[place] = token
            batch.pos[place] = start + place
            batch.n_seq_id[place] = 1
            batch.seq_id[place][0] = 0
            batch.logits[place] = start + place >= first
        if context is not self._scoring:
            batch.logits[len(tokens) - 1] = 1
        code = llama_lib.decode(context, batch)
        if code == 2 and self._stop():
            raise Cancelled("Measuring was stopped.")
        if code != 0:
            raise decode_failed(code)
        if self._stop():
            raise Cancelled("Measuring was stopped.")

    def _asked(self, _: Any) -> bool:
        try:
            return self._stop()
        except Exception:  # must not travel through C
            return True
