"""transformers as the decode loop wants it: sequences that stand alike go through the model together, as rows of one batch.

Several sequences are split into groups: one cache and one forward pass for all that have the same length and the same scale of the adapter.
The rows of a group begin as the same row; they are multiplied when the first of them goes its own way, and those that have ended leave.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from collections.abc import Sequence as Series
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from playground.errors import Cancelled
from playground.params import SamplingSettings
from playground.protocol import Batches
from playground.workers.row_sampler import RowSampler
from playground.workers.sequence import Sampler, Sequence
from playground.workers.token_stats import Row
from playground.workers.torch_cache import TorchCache, can_go_back, clone, crop, watched
from playground.workers.torch_lib import short_memory_said
from playground.workers.torch_model import TorchModel

ROWS_BYTES = 32 << 20
"""of logits that are held at a time while a text is scored"""
MOST = 512
"""tokens of a text that are scored in one forward pass"""


@dataclass
class _Group:
    """Sequences in one cache. `rows`: in which row of it each stands, by number. `width`: how many rows it has, 0 while it is empty."""

    past: Any
    rows: dict[int, int]
    scale: float
    width: int

    def keep(self, numbers: Series[int]) -> None:
        """Makes the cache hold these sequences, a row each, in this order."""
        wanted = [self.rows[each] for each in numbers]
        if self.width and wanted != list(range(self.width)):
            with torch.no_grad():
                self.past.reorder_cache(torch.tensor(wanted))
        self.rows = {number: place for place, number in enumerate(numbers)}
        self.width = len(numbers)


class TorchDecoder:
    """`decode_loop.Decoder` for a loaded model folder."""

    def __init__(self, model: TorchModel) -> None:
        self._model = model
        self._cache = TorchCache(model)
        self._groups: list[_Group] = []
        self._rows: list[NDArray[np.float32]] = []
        """of logits, by place"""
        self.row = Row(model.n_vocab)
        self.places: dict[int, int] = {}
        self.window = model.window
        self.append = self._cache.append
        self.batches = self._cache.batches

    @property
    def sequences(self) -> int:
        return self._model.sequences

    def sampler(self, settings: SamplingSettings, tokens: list[int]) -> Sampler:
        return RowSampler(self._model.n_vocab, settings, tokens)

    def prefill(
        self,
        prompt: Series[int],
        batches: Series[Batches],
        stop: Callable[[], bool],
        on_progress: Callable[[float], None],
        scale: float = 1.0,
        growth: Series[int] = (),
    ) -> int:
        self._groups, self._rows, self.places = [], [], {}
        return self._cache.prefill(prompt, batches, stop, on_progress, scale)

    def logits(self, place: int) -> NDArray[np.float32]:
        return self._cache.logits[-1] if place < 0 else self._rows[place]

    # -- several sequences

    def share(self, scales: Series[float], room: int, stop: Callable[[], bool]) -> None:
        for scale in dict.fromkeys(scales):
            numbers = [number for number, each in enumerate(scales) if each == scale]
            if not self._groups or not self._model.has_adapter:
                past = self._cache.copy()
            else:
                past = self._repeated(scale, stop)
                place = self._put(self._last)
                self.places.update(dict.fromkeys(numbers, place))
            self._groups.append(_Group(past, dict.fromkeys(numbers, 0), scale, 1 if self._cache.tokens else 0))

    def extend(self, parts: Mapping[int, Series[int]], start: int, stop: Callable[[], bool]) -> bool:
        """Further prompt tokens of some sequences, behind the `start` tokens that all have: those of one length together."""
        for group in list(self._groups):
            mine = {number: tuple(part) for number, part in parts.items() if number in group.rows and part}
            for length in sorted({len(part) for part in mine.values()}):
                numbers = [number for number, part in mine.items() if len(part) == length]
                other = self._split(group, numbers)
                self._model.set_scale(other.scale)
                for begin in range(0, length, self._model.chunk):
                    if stop():
                        raise Cancelled("Stopped while the prompt was being read.")
                    with watched(self._model, stop):
                        some = [mine[number][begin : begin + self._model.chunk] for number in numbers]
                        self._compute(other, numbers, some)
        return True

    def copy(self, source: int, target: int) -> None:
        """The target is to stand where the source stands."""
        self._leave(target)
        group = self._group_of(source)
        group.rows[target] = group.rows[source]
        if source in self.places:
            self.places[target] = self.places[source]

    def decode(self, live: Series[Sequence]) -> bool:
        self._rows, self.places = [], {}
        tokens = {each.number: (each.token,) for each in live}
        for group in self._groups:
            numbers = [number for number in group.rows if number in tokens]
            self._model.set_scale(group.scale)
            self._compute(group, numbers, [tokens[number] for number in numbers])
        return True

    def rescale(self, changed: Series[Sequence], live: Series[Sequence]) -> None:
        if not self._model.has_adapter:
            return
        if not self._groups:
            for each in changed:
                self._cache.again(each.settings.adapter_scale)
            return
        for group in list(self._groups):
            mine = [each for each in changed if each.number in group.rows]
            for scale in dict.fromkeys(each.settings.adapter_scale for each in mine):
                moved = [each for each in mine if each.settings.adapter_scale == scale]
                other = self._split(group, [each.number for each in moved])
                other.scale = scale
                if can_go_back(other.past):
                    crop(other.past, 1)
                    self._model.set_scale(scale)
                    self._compute(other, [each.number for each in moved], [(each.token,) for each in moved])

    def drop(self, number: int) -> None:
        self._leave(number)

    def unshare(self, count: int) -> None:
        self._groups, self._rows, self.places = [], [], {}

    # -- a given text

    def score(self, tokens: Series[int], scale: float, stop: Callable[[], bool]) -> Iterator[NDArray[np.float32]]:
        """The logits after every token but the last, in parts of shape [positions, vocabulary]. In a cache of its own."""
        model = self._model
        past = model.new_cache()
        chunk = max(1, min(model.chunk, MOST, ROWS_BYTES // (4 * model.n_vocab)))
        for start in range(0, len(tokens) - 1, chunk):
            model.set_scale(scale)
            with watched(model, stop):
                rows = model.forward_all(tokens[start : min(start + chunk, len(tokens) - 1)], past)
            yield rows

    # -- groups

    def _compute(self, group: _Group, numbers: Series[int], tokens: Series[Series[int]]) -> None:
        if not numbers:
            return
        with short_memory_said():
            group.keep(numbers)
        found = self._model.forward(tokens, group.past)
        for number, row in zip(numbers, found, strict=True):
            self.places[number] = self._put(row)

    def _put(self, row: NDArray[np.float32]) -> int:
        self._rows.append(row)
        return len(self._rows) - 1

    def _split(self, group: _Group, numbers: Series[int]) -> _Group:
        """These sequences in a group of their own: the group itself if they are all of it."""
        if set(numbers) == set(group.rows):
            return group
        other = _Group(clone(group.past), {number: group.rows.pop(number) for number in numbers}, group.scale, group.width)
        self._groups.append(other)
        return other

    def _leave(self, number: int) -> None:
        for group in self._groups:
            group.rows.pop(number, None)
        self._groups = [each for each in self._groups if each.rows]

    def _group_of(self, number: int) -> _Group:
        return next(each for each in self._groups if number in each.rows)

    def _repeated(self, scale: float, stop: Callable[[], bool]) -> Any:
        """The cache's tokens computed once more at another scale, in the same batches."""
        own = TorchCache(self._model)
        own.prefill(self._cache.tokens, self._cache.batches(), stop, lambda fraction: None, scale)
        self._last = own.logits[-1]
        return own.past
