"""llama.cpp as the decode loop wants it: the cache's decode calls, several sequences in one batch, logits as views of its memory."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from collections.abc import Sequence as Series

import numpy as np
from numpy.typing import NDArray

from playground.params import SamplingSettings
from playground.protocol import Batches
from playground.workers import llama_lib
from playground.workers.llama_cache import Cache, decode_failed
from playground.workers.llama_lib import C
from playground.workers.llama_model import Model
from playground.workers.llama_sampler import Candidates, Sampler
from playground.workers.sequence import Sequence
from playground.workers.token_stats import Row


class LlamaDecoder:
    """`decode_loop.Decoder` for a loaded GGUF model."""

    def __init__(self, model: Model) -> None:
        self._model = model
        self._cache = Cache(model)
        self._candidates = Candidates(model.n_vocab)
        self._views: dict[int, NDArray[np.float32]] = {}
        self.row = Row(model.n_vocab, llama_lib.exponentials)
        self.places: dict[int, int] = {}
        """of sequences in the last batch; all begin at the last token of the prompt"""
        self.window = model.window
        self.append = self._cache.append
        self.batches = self._cache.batches

    @property
    def sequences(self) -> int:
        return self._model.sequences

    def sampler(self, settings: SamplingSettings, tokens: list[int]) -> Sampler:
        return Sampler(self._candidates, settings, tokens)

    def prefill(
        self, prompt: Series[int], batches: Series[Batches], stop: Callable[[], bool], on_progress: Callable[[float], None]
    ) -> int:
        self.places.clear()
        return self._cache.prefill(prompt, batches, stop, on_progress)

    def logits(self, place: int) -> NDArray[np.float32]:
        """A view of the logits of one place in the last batch, good until the next decode."""
        address = llama_lib.logits_address(self._model.context_handle, place)
        view = self._views.get(address)
        if view is None:
            if not address:
                raise decode_failed(0)
            view = np.frombuffer((ctypes.c_float * self._model.n_vocab).from_address(address), np.float32)
            self._views = {address: view, **self._views} if len(self._views) < self._model.sequences else {address: view}
        return view

    # -- several sequences

    def share(self, count: int, room: int) -> None:
        self._cache.share(count, room)

    def decode(self, live: Series[Sequence], prompt_length: int) -> bool:
        """Computes the token that each of these sequences drew last, after `share`. False if the cache is full."""
        batch = self._cache.batch
        self.places.clear()
        for place, each in enumerate(live):
            batch.token[place] = each.token
            batch.position[place] = prompt_length + each.count - 1
            batch.sequence[place] = each.number
            batch.output[place] = 1
            self.places[each.number] = place
        batch.struct.n_tokens = len(live)
        code = C.llama_decode(self._model.context_handle, batch.struct)
        if code not in (0, 1):
            raise decode_failed(code)
        return bool(code == 0)

    def drop(self, number: int) -> None:
        C.llama_memory_seq_rm(self._model.memory, number, -1, -1)

    def unshare(self, count: int) -> None:
        self._cache.unshare(count)
