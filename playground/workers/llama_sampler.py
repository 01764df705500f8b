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

CANDIDATE = np.dtype([("id", np.int32), ("logit", np.float32), ("p", np.float32)])
"""`llama_token_data`"""

Key = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Draw:
    """A token, its probability under the settings in force, and all that survived the chain (a view, good until the next draw)."""

    token: int
    probability: float
    survivors: NDArray[Any]
    by_id: bool
    """whether survivors still stand in the order of their ids"""


class Candidates:
    """The library's array of candidates for a vocabulary, shared by all chains: filled anew for each draw."""

    def __init__(self, n_vocab: int) -> None:
        self.rows = np.empty(n_vocab, CANDIDATE)
        self._ids = np.arange(n_vocab, dtype=np.int32)
        self._data = C.llama_token_data_p.from_buffer(ctypes.c_void_p(self.rows.ctypes.data))
        self.array = C.llama_token_data_array(self._data, n_vocab, -1, False)
        self.pointer = ctypes.byref(self.array)
        self._logits = self.rows["logit"]
        self._id_field = self.rows["id"]
        self._address = self.rows.ctypes.data

    def fill(self, logits: NDArray[np.float32]) -> None:
        self._id_field[:] = self._ids
        self._logits[:] = logits
        self.array.size = len(self.rows)
        self.array.selected = -1
        self.array.sorted = False


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
        return settings

    def draw(self, logits: NDArray[np.float32], likeliest: int) -> Draw:
        """The next token. `likeliest` is the index of the highest logit (the first of equals)."""
        candidates = self._candidates
        if self.settings.greedy and not self._links:
            return Draw(likeliest, 1.0, candidates.rows[:0], False)
        candidates.fill(logits)
        pointer, array = candidates.pointer, candidates.array
        apply = C.llama_sampler_apply
        for _, link in self._links:
            apply(link, pointer)
        apply(self._greedy if self.settings.greedy else self._draw, pointer)
        chosen = candidates.rows[array.selected]
        if self.settings.greedy:
            return Draw(int(chosen["id"]), 1.0, candidates.rows[:0], False)
        return Draw(int(chosen["id"]), float(chosen["p"]), candidates.rows[: array.size], not array.sorted)

    def probability(self, draw: Draw, ids: Sequence[int]) -> list[float]:
        """What tokens could have been drawn with; 0 for those that the chain had cut off."""
        if self.settings.greedy:
            return [1.0 if each == draw.token else 0.0 for each in ids]
        rows = draw.survivors
        if len(rows) <= 512:
            known = dict(zip(rows["id"].tolist(), rows["p"].tolist(), strict=True))
            return [known.get(each, 0.0) for each in ids]
        if draw.by_id:
            places = np.searchsorted(rows["id"], ids)
            places[places == len(rows)] = 0
            return [float(row["p"]) if row["id"] == each else 0.0 for row, each in zip(rows[places], ids, strict=True)]
        wanted = np.zeros(len(self._candidates.rows), bool)
        wanted[list(ids)] = True
        found = rows[wanted[rows["id"]]]
        known = dict(zip(found["id"].tolist(), found["p"].tolist(), strict=True))
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
