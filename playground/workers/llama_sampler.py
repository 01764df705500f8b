"""One sequence's sampler chain out of llama.cpp's own links, with settings that may change between two tokens.

The links stand in the order of `settings.stages`; those that do nothing are left out. The draw is not one of them: it keeps its
generator whatever changes before it, takes one number from it for every drawn token, and none for a greedy one, so that the same
seed and the same timeline of settings give the same tokens. `decoding.chain` defines the same thing in numpy.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from playground.params import SamplingSettings
from playground.workers.llama_lib import C
from playground.workers.token_stats import Row

_apply = C.llama_sampler_apply

CANDIDATE = np.dtype([("id", np.int32), ("logit", np.float32), ("p", np.float32)])
"""`llama_token_data`"""

Key = tuple[Any, ...]


_FEW = 512
"""Up to so many candidates are handed to the library instead of the whole vocabulary, where the chain begins with a cut."""


@dataclass(frozen=True, slots=True)
class Draw:
    """A token, its probability under the settings in force, and all that survived the chain (a view, good until the next draw)."""

    token: int
    probability: float
    survivors: NDArray[Any]
    order: str
    """of the survivors: `likeliest` first (by the raw logits), by `id`, or any"""


class Candidates:
    """The library's array of candidates for a vocabulary, shared by all chains: filled anew for each draw."""

    def __init__(self, n_vocab: int) -> None:
        self.rows = np.empty(n_vocab, CANDIDATE)
        self._logits = self.rows["logit"]
        self._ids = self.rows["id"]
        self._all = np.arange(n_vocab, dtype=np.int32)
        data = ctypes.cast(self.rows.ctypes.data, C.llama_token_data_p)
        self.array = C.llama_token_data_array(data, n_vocab, -1, False)
        self.pointer = ctypes.byref(self.array)

    def fill(self, logits: NDArray[np.float32]) -> None:
        """The whole vocabulary."""
        self._ids[:] = self._all
        self._logits[:] = logits
        self._reset(len(self.rows), False)

    def fill_some(self, ids: NDArray[Any], logits: NDArray[np.float32], is_sorted: bool) -> None:
        """Some tokens, perhaps with the likeliest first."""
        count = len(ids)
        self._ids[:count] = ids
        self._logits[:count] = logits[ids]
        self._reset(count, is_sorted)

    def _reset(self, count: int, is_sorted: bool) -> None:
        self.array.size = count
        self.array.selected = -1
        self.array.sorted = is_sorted


class Sampler:
    """`tokens` is the sequence's whole text so far, prompt included; the caller appends what was drawn and then calls `accept`."""

    def __init__(self, candidates: Candidates, settings: SamplingSettings, tokens: list[int]) -> None:
        self._candidates = candidates
        self._tokens = tokens
        self._links: list[tuple[Key, Any]] = []
        self._penalties: Any = None
        self._draw = C.llama_sampler_init_dist(settings.seed)
        self._greedy = C.llama_sampler_init_greedy()
        self.settings = settings
        self.change(settings)

    def change(self, settings: SamplingSettings) -> SamplingSettings:
        """Takes other settings from the next token on, and gives back those in force: the seed stays what it was."""
        self.settings = settings = replace(settings, seed=self.settings.seed)
        old = dict(self._links)
        wanted = chain_keys(settings)
        self._links = [(key, old.pop(key, None) or self._make(key)) for key in wanted]
        for link in old.values():
            C.llama_sampler_free(link)
        self._penalties = next((link for key, link in self._links if key[0] == "penalties"), None)
        self._window = settings.repeat_last_n if wanted and wanted[0][0] == "penalties" else 0
        self.few = self._needed(wanted)
        """how many of the likeliest tokens a draw needs; 0: the whole vocabulary"""
        return settings

    def draw(self, row: Row) -> Draw:
        """The next token, from a row of logits that was read."""
        settings, candidates = self.settings, self._candidates
        if settings.greedy and not self._links:
            return Draw(int(row.likeliest(1)[0]), 1.0, candidates.rows[:0], "any")
        if not self.few:
            candidates.fill(row.logits)
            order = "id"
        elif self._window:
            ids = np.union1d(row.likeliest(self.few), self._tokens[-self._window :])
            candidates.fill_some(ids, row.logits, False)
            order = "any"
        else:
            candidates.fill_some(row.likeliest(self.few), row.logits, True)
            order = "likeliest" if self._penalties is None else "any"
        pointer, array = candidates.pointer, candidates.array
        for _, link in self._links:
            _apply(link, pointer)
        _apply(self._greedy if settings.greedy else self._draw, pointer)
        _, _, probability = chosen = candidates.rows[array.selected].item()
        if settings.greedy:
            return Draw(chosen[0], 1.0, candidates.rows[:0], "any")
        if order == "id" and array.sorted:
            order = "any"
        return Draw(chosen[0], probability, candidates.rows[: array.size], order)

    def probabilities(self, draw: Draw, ids: Sequence[int], likeliest: bool = False) -> list[float]:
        """What tokens could have been drawn with; 0 for those that the chain had cut off.

        `likeliest`: these are the row's likeliest, in their order.
        """
        if self.settings.greedy:
            return [1.0 if each == draw.token else 0.0 for each in ids]
        rows = draw.survivors
        if likeliest and draw.order == "likeliest":
            found: list[float] = rows["p"][: len(ids)].tolist()
            return found + [0.0] * (len(ids) - len(found))
        if draw.order == "id" and len(rows) > _FEW:
            places = np.searchsorted(rows["id"], ids)
            places[places == len(rows)] = 0
            return [float(row["p"]) if row["id"] == each else 0.0 for row, each in zip(rows[places], ids, strict=True)]
        if len(rows) > _FEW:
            wanted = np.zeros(len(self._candidates.rows), bool)
            wanted[list(ids)] = True
            rows = rows[wanted[rows["id"]]]
        known = dict(zip(rows["id"].tolist(), rows["p"].tolist(), strict=True))
        return [known.get(each, 0.0) for each in ids]

    def accept(self, token: int) -> None:
        """The penalties take note of a token that was drawn and appended."""
        if self._penalties is not None:
            C.llama_sampler_accept(self._penalties, token)

    def close(self) -> None:
        for _, link in self._links:
            C.llama_sampler_free(link)
        C.llama_sampler_free(self._draw)
        C.llama_sampler_free(self._greedy)
        self._links = []

    def _needed(self, keys: Sequence[Key]) -> int:
        """A chain that begins with top-k needs the k likeliest; if penalties stand before it, also those, and as many more to replace
        the penalised ones. So does a greedy one, with k = 1. Everything else sees the whole vocabulary.
        """
        cuts = [key for key in keys[:2] if key[0] != "penalties"] if self._window else keys[:1]
        if cuts and cuts[0][0] == "top_k":
            needed = cuts[0][1] + self._window
        elif self.settings.greedy and self._window:
            needed = 1 + self._window
        else:
            return 0
        return needed if needed <= min(_FEW, len(self._candidates.rows)) else 0

    def _make(self, key: Key) -> Any:
        kind, *values = key
        if kind == "penalties":
            link = C.llama_sampler_init_penalties(len(self._candidates.rows), *values)
            for token in self._tokens[-values[0] :]:
                C.llama_sampler_accept(link, token)
            return link
        if kind == "top_k":
            return C.llama_sampler_init_top_k(*values)
        if kind == "top_p":
            return C.llama_sampler_init_top_p(*values, 1)
        if kind == "min_p":
            return C.llama_sampler_init_min_p(*values, 1)
        return C.llama_sampler_init_temp(*values)


def chain_keys(settings: SamplingSettings) -> list[Key]:
    """The links that do anything, in order, each as its kind and values.

    At temperature 0 the likeliest token after the penalties is taken: only what stands before the penalties can change that.
    """
    penalties = (settings.repeat_last_n, settings.repetition_penalty, settings.frequency_penalty, settings.presence_penalty)
    keys: dict[str, Key] = {}
    if settings.repeat_last_n > 0 and penalties[1:] != (1, 0, 0):
        keys["penalties"] = ("penalties", *penalties)
    if settings.top_k > 0:
        keys["top_k"] = ("top_k", settings.top_k)
    if settings.top_p < 1:
        keys["top_p"] = ("top_p", settings.top_p)
    if settings.min_p > 0:
        keys["min_p"] = ("min_p", settings.min_p)
    if settings.temperature not in (0, 1):
        keys["temperature"] = ("temperature", settings.temperature)
    order = [stage for stage in settings.stages if stage in keys]
    if settings.greedy:
        order = order[: order.index("penalties") + 1] if "penalties" in order else []
    return [keys[stage] for stage in order]
