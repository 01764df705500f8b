"""llama.cpp as the decode loop wants it: the cache's decode calls, several sequences in one batch, logits as views of its memory."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator, Mapping
from collections.abc import Sequence as Series

import numpy as np
from numpy.typing import NDArray

from playground.params import SamplingSettings
from playground.protocol import Batches
from playground.workers import llama_lib, llama_score
from playground.workers.llama_cache import Cache, decode_failed
from playground.workers.llama_lib import C
from playground.workers.llama_model import Model
from playground.workers.llama_pool import Pool, Pools
from playground.workers.llama_sampler import Candidates, Sampler
from playground.workers.sequence import Sequence
from playground.workers.token_stats import Row


class LlamaDecoder:
    """`decode_loop.Decoder` for a loaded GGUF model."""

    def __init__(self, model: Model) -> None:
        self._model = model
        self._own = Cache(model)
        self._pools = Pools(model)
        self._pooled: tuple[Pool, Cache] | None = None
        """what lies in the pool, as long as that is there"""
        self._context: Model | Pool = model
        """in which of the two things are computed; `_cache` is what lies there"""
        self._cache = self._own
        self._candidates = Candidates(model.n_vocab)
        self._views: dict[int, NDArray[np.float32]] = {}
        self.row = Row(model.n_vocab, llama_lib.exponentials)
        self.places: dict[int, int] = {}
        """of sequences in the last batch; all begin at the last token of the prompt"""
        self._kept: dict[int, NDArray[np.float32]] = {}
        """rows of logits that a later decode call would have overwritten, by place"""
        self._scales: tuple[float, ...] = ()
        """of the adapter, as each sequence began"""
        self.window = model.window

    @property
    def sequences(self) -> int:
        return self._model.sequences

    def sampler(self, settings: SamplingSettings, tokens: list[int]) -> Sampler:
        return Sampler(self._candidates, settings, tokens)

    def prefill(
        self,
        prompt: Series[int],
        batches: Series[Batches],
        stop: Callable[[], bool],
        on_progress: Callable[[float], None],
        scale: float = 1.0,
        growth: Series[int] = (),
    ) -> int:
        self._forget_places()
        self._choose(len(prompt), growth)
        self._context.set_scale(scale)
        return self._cache.prefill(prompt, batches, stop, on_progress)

    def _choose(self, shared: int, growth: Series[int]) -> None:
        """The context that this is computed in: the pool for what may need more room than the loaded one has."""
        wanted = self._pools.wanted(shared, growth)
        pool = self._pools.get(shared + sum(growth)) if wanted else None
        if pool is None:
            self._leave_pool()
            return
        if self._pooled is None or self._pooled[0] is not pool:
            self._pooled = pool, Cache(pool)
            self._views = {}
        self._context, self._cache = self._pooled

    def _leave_pool(self) -> None:
        self._context, self._cache = self._model, self._own
        self._pools.close_if_dear()
        if self._pools.pool is None:
            self._pooled = None

    def batches(self) -> tuple[Batches, ...]:
        return self._cache.batches()

    def logits(self, place: int) -> NDArray[np.float32]:
        """A view of the logits of one place in the last batch, good until the next decode."""
        if place in self._kept:
            return self._kept[place]
        address = llama_lib.logits_address(self._context.context_handle, place)
        view = self._views.get(address)
        if view is None:
            if not address:
                raise decode_failed(0)
            view = np.frombuffer((ctypes.c_float * self._model.n_vocab).from_address(address), np.float32)
            self._views = {address: view, **self._views} if len(self._views) < self._model.sequences else {address: view}
        return view

    def append(self, token: int, scale: float = 1.0) -> bool:
        self._context.set_scale(scale)
        return self._cache.append(token)

    # -- several sequences

    def share(self, scales: Series[float], room: int, stop: Callable[[], bool]) -> None:
        """The prompt is computed once for every scale of the adapter; those of the same one share it."""
        self._scales = tuple(scales)
        groups = self._by_scale(scales if self._cache.tokens else scales[:1])
        if len(groups) > 1:
            self._keep([0], -1)
        for scale, numbers in groups.items():
            first, *others = numbers
            if first:
                self._context.set_scale(scale)
                self._cache.repeat(first, stop)
                self._keep([first], -1)
            self._cache.share(others, room, first)
            if first in self.places:
                self.places.update(dict.fromkeys(others, self.places[first]))

    def extend(self, parts: Mapping[int, Series[int]], start: int, stop: Callable[[], bool]) -> bool:
        """Further prompt tokens of some sequences, behind the `start` tokens that all have. False if the cache is full."""
        chunk = self._cache.chunk
        numbers = tuple(parts)
        for scale, group in self._by_scale([self._scales[number] for number in numbers]).items():
            self._context.set_scale(scale)
            rows = [(numbers[each], start + place, token) for each in group for place, token in enumerate(parts[numbers[each]])]
            for begin in range(0, len(rows), chunk):
                if not self._extend(rows[begin : begin + chunk], stop):
                    return False
        return True

    def _extend(self, rows: Series[tuple[int, int, int]], stop: Callable[[], bool]) -> bool:
        batch, count = self._cache.batch, len(rows)
        batch.sequence[:count], batch.position[:count], batch.token[:count] = zip(*rows, strict=True)
        batch.output[:count] = 0
        batch.struct.n_tokens = count
        return self._cache.compute(stop)

    def copy(self, source: int, target: int) -> None:
        C.llama_memory_seq_rm(self._context.memory, target, -1, -1)
        C.llama_memory_seq_cp(self._context.memory, source, target, -1, -1)

    def decode(self, live: Series[Sequence]) -> bool:
        """Computes the last token of each of these sequences, in one call for all of the same scale. False if the cache is full."""
        groups = self._by_scale([each.settings.adapter_scale for each in live])
        done: list[Sequence] = []
        self._forget_places()
        for scale, places in groups.items():
            self._context.set_scale(scale)
            group = [live[place] for place in places]
            if not self._decode(group):
                for each in done:  # all or none: the caller will try it with fewer
                    C.llama_memory_seq_rm(self._context.memory, each.number, each.position, -1)
                return False
            done += group
            if len(groups) > 1:
                for place, each in enumerate(group):
                    self._keep([each.number], place)
        return True

    def rescale(self, changed: Series[Sequence], live: Series[Sequence]) -> None:
        """Computes the last tokens of those that changed again, each at the scale that it has now. The others keep their logits."""
        if self._model.adapter is None:
            return
        if len(live) == 1 and not live[0].number and not self.places:
            self._context.set_scale(live[0].settings.adapter_scale)
            self._cache.again(live[0].tokens[-1], live[0].position)
            return
        for each in live:
            if (place := self.places.get(each.number, -1)) not in self._kept:
                self._keep([each.number], place)
        for each in changed:
            self._context.set_scale(each.settings.adapter_scale)
            if self._cache.again(each.tokens[-1], each.position, each.number):
                self._keep([each.number], -1)

    def _decode(self, live: Series[Sequence]) -> bool:
        batch = self._cache.batch
        for place, each in enumerate(live):
            batch.token[place] = each.tokens[-1]
            batch.position[place] = each.position
            batch.sequence[place] = each.number
            batch.output[place] = 1
            self.places[each.number] = place
        batch.struct.n_tokens = len(live)
        code = llama_lib.decode(self._context.context_handle, batch.struct)
        if code not in (0, 1):
            raise decode_failed(code)
        return bool(code == 0)

    def _by_scale(self, scales: Series[float]) -> dict[float, list[int]]:
        """Indices by the scale there; all in one where no adapter is on."""
        groups: dict[float, list[int]] = {}
        for index, scale in enumerate(scales):
            groups.setdefault(scale if self._model.adapter else 0.0, []).append(index)
        return groups

    def _keep(self, numbers: Series[int], place: int) -> None:
        """Copies a row of logits before it is overwritten, for these sequences."""
        row = self.logits(place).copy()
        for number in numbers:
            self._kept[-2 - number] = row
            self.places[number] = -2 - number

    def _forget_places(self) -> None:
        self.places.clear()
        self._kept.clear()

    def drop(self, number: int) -> None:
        C.llama_memory_seq_rm(self._context.memory, number, -1 if number else len(self._cache.tokens), -1)

    def unshare(self, count: int) -> None:
        self._cache.unshare(count)
        self._leave_pool()

    def score(self, tokens: Series[int], scale: float, stop: Callable[[], bool]) -> Iterator[NDArray[np.float32]]:
        self._leave_pool()
        return llama_score.score(self._model, tokens, scale, stop)
