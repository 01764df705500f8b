"""The keys and values of one sequence in transformers' own cache, and in which batches they were computed.

Rounding depends on the size of the batch that a token was computed in: the cache is only ever cut at a boundary between two batches, and
the batches are part of the record. A prompt is one batch, its last token included, as transformers' own `generate` reads it; what it left
behind is kept, so that asking again computes nothing.

What cannot go back (a sliding window that has moved, a recurrent state) is kept as it was at the end of the prompt. Knows no sampling.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray
from transformers.cache_utils import DynamicCache, DynamicLayer, DynamicSlidingWindowLayer, LinearAttentionCacheLayerMixin

from playground.decoding.differences import common_prefix
from playground.errors import Cancelled, ContextFullError, SettingError
from playground.protocol import Batches
from playground.workers.torch_model import TorchModel

Rows = NDArray[np.float32]


class TorchCache:
    """One sequence's tokens, the batches they were computed in, and the logits after the last of them."""

    def __init__(self, model: TorchModel) -> None:
        self._model = model
        self.tokens: list[int] = []
        self._sizes: list[list[int]] = []
        """run-length: [size, count]"""
        self._scales: list[float] = []
        """of the adapter, as each token was computed"""
        self.past = model.new_cache()
        self.logits: Rows = np.empty((0, 0), np.float32)
        """[1, vocabulary], after the last token"""
        self._mark: tuple[int, list[Any], Rows] | None = None
        """the end of the last prompt: its length, what of the layers cannot go back to it, its logits"""

    def batches(self) -> tuple[Batches, ...]:
        return tuple(Batches(size, count) for size, count in self._sizes)

    def clear(self) -> None:
        self.tokens, self._sizes, self._scales, self._mark = [], [], [], None
        self.past = self._model.new_cache()

    # -- computing

    def prefill(
        self,
        prompt: Sequence[int],
        batches: Sequence[Batches],
        stop: Callable[[], bool],
        on_progress: Callable[[float], None],
        scale: float = 1.0,
    ) -> int:
        """Brings the prompt into the cache. Returns how many tokens were there already: all of it, if it was the last prompt.

        `batches`: computes everything in exactly these. `stop` is asked before every layer; Cancelled if it says so.
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
            sizes = self._checked(batches, len(prompt))
            done = cached = 0
        else:
            done = cached = self._cut(prompt, min(common_prefix(self.tokens, prompt), self._at_scale(scale)))
            sizes = self._settled(len(prompt) - cached)
        self._model.set_scale(scale)
        with watched(self._model, stop):
            for size in sizes:
                if stop():
                    raise Cancelled("Stopped while the prompt was being read.")
                self._compute(prompt[done : done + size], scale)
                done += size
                if done < len(prompt):
                    on_progress((done - cached) / (len(prompt) - cached))
        self._mark = (len(prompt), [_kept(each) for each in self.past.layers], self.logits)
        return cached

    def append(self, token: int, scale: float = 1.0) -> bool:
        """Computes one more token. False if the cache is full."""
        if len(self.tokens) >= self._model.window:
            return False
        self._model.set_scale(scale)
        self._compute([token], scale)
        return True

    def again(self, scale: float) -> None:
        """Computes the last token once more, at another scale of the adapter. Nothing is changed where the cache cannot go back."""
        if not self.tokens or not can_go_back(self.past):
            return
        crop(self.past, 1)
        self._model.set_scale(scale)
        self.logits = self._model.forward([[self.tokens[-1]]], self.past)
        self._scales[-1] = scale
        if self._mark is not None and len(self.tokens) <= self._mark[0]:
            self._mark = None

    def copy(self) -> Any:
        """The library's cache, so that the copy can grow by itself."""
        return clone(self.past)

    # -- going back

    def _cut(self, prompt: Sequence[int], length: int) -> int:
        """Keeps at most so many tokens, down to a boundary between batches behind which something is left to compute, or the end of the
        last prompt. Returns how many are kept.
        """
        mark = self._mark
        if mark is not None and mark[0] == len(prompt) <= length:
            return self._back_to(mark[0], mark)
        if not self._model.goes_on:
            self.clear()
            return 0
        kept = 0
        for size, count in self._sizes:
            whole = min(count, (min(length, len(prompt) - 1) - kept) // size)
            kept += size * whole
            if whole < count:
                break
        if kept == len(self.tokens) or (kept and can_go_back(self.past)):
            return self._back_to(kept, None)
        if mark is not None and mark[0] <= min(length, len(prompt) - 1):
            return self._back_to(mark[0], mark)
        self.clear()
        return 0

    def _back_to(self, length: int, mark: tuple[int, list[Any], Rows] | None) -> int:
        count = len(self.tokens) - length
        if mark is None:
            crop(self.past, count)
            if self._mark is not None and self._mark[0] > length:
                self._mark = None
        else:
            for place, kept in enumerate(mark[1]):
                if kept is None:
                    crop_layer(self.past.layers[place], count)
                else:
                    self.past.layers[place] = clone_layer(kept)
            self.logits = mark[2]
        sizes: list[list[int]] = []
        left = length
        for size, times in self._sizes:
            if whole := min(times, left // size):
                sizes.append([size, whole])
                left -= size * whole
        self.tokens, self._sizes, self._scales = self.tokens[:length], sizes, self._scales[:length]
        return length

    def _at_scale(self, scale: float) -> int:
        """How many tokens, from the first on, were computed at this scale."""
        if not self._model.has_adapter:
            return len(self._scales)
        return next((place for place, each in enumerate(self._scales) if each != scale), len(self._scales))

    # -- batches

    def _settled(self, count: int) -> list[int]:
        chunk = self._model.chunk
        return [min(chunk, count - start) for start in range(0, count, chunk)]

    def _checked(self, batches: Sequence[Batches], length: int) -> list[int]:
        if (
            any(each.size < 1 or each.count < 1 for each in batches)
            or sum(each.size * each.count for each in batches) != length
        ):
            raise SettingError("The recorded batches do not add up to the prompt.", "This record cannot be repeated exactly.")
        return [each.size for each in batches for _ in range(each.count)]

    def _compute(self, tokens: Sequence[int], scale: float) -> None:
        before = clone(self.past) if len(tokens) > 1 else None
        try:
            self.logits = self._model.forward([list(tokens)], self.past)
        except BaseException:
            if before is None:
                self.clear()
            else:
                self.past = before
            raise
        count = len(tokens)
        self.tokens.extend(tokens)
        self._scales.extend([scale] * count)
        if self._sizes and self._sizes[-1][0] == count:
            self._sizes[-1][1] += 1
        else:
            self._sizes.append([count, 1])


# -- the library's caches


def clone(cache: DynamicCache) -> DynamicCache:
    """A cache that begins with the same tokens and grows by itself."""
    other = copy.copy(cache)
    other.layers = [clone_layer(each) for each in cache.layers]
    return other


def clone_layer(layer: Any) -> Any:
    """Attention's layers only ever replace their tensors: sharing them costs nothing. Others write into theirs."""
    return copy.copy(layer) if type(layer) in (DynamicLayer, DynamicSlidingWindowLayer) else copy.deepcopy(layer)


def can_go_back(cache: DynamicCache) -> bool:
    return all(_kept(each, False) is None for each in cache.layers)


def crop(cache: DynamicCache, count: int) -> None:
    """Removes the last tokens."""
    for layer in cache.layers:
        crop_layer(layer, count)


def crop_layer(layer: Any, count: int) -> None:
    if count:
        layer.crop(-count)


def _kept(layer: Any, for_long: bool = True) -> Any:
    """What must be kept of a layer to come back to where it stands; None where it can be cropped (`for_long`: also once it has grown)."""
    if type(layer) is DynamicSlidingWindowLayer:
        return clone_layer(layer) if for_long or layer.cumulative_length >= layer.sliding_window else None
    if isinstance(layer, LinearAttentionCacheLayerMixin) or not layer.is_croppable:
        return clone_layer(layer)
    return None


@contextmanager
def watched(model: TorchModel, stop: Callable[[], bool]) -> Iterator[None]:
    """While it holds, `stop` is asked before every layer of the model; Cancelled if it says so."""

    def ask(module: Any, given: Any) -> None:
        if stop():
            raise Cancelled("Stopped while the prompt was being read.")

    handles = [each.register_forward_pre_hook(ask) for each in model.layers]
    try:
        yield
    finally:
        for each in handles:
            each.remove()
