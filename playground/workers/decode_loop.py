"""The decode loop: one prompt into any number of sequences, one decode call a step, settings that change between two tokens.

The same for every engine: what an engine must be able to do for it is `Decoder`. Knows the commands of a running request, but neither
prompts nor loading.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from collections.abc import Sequence as Series
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from playground.errors import ContextFullError, ModelFileError
from playground.params import SamplingSettings
from playground.protocol import (
    Batches,
    Cancel,
    Generate,
    Message,
    SamplingChanged,
    SequenceFinished,
    SetPace,
    SetSampling,
    Tokens,
)
from playground.workers.base import Link
from playground.workers.sequence import Sampler, Sequence, Vocabulary
from playground.workers.token_stats import Row

FLUSH_S = 0.02
"""Tokens are sent at most this often; the first at once."""


class Decoder(Protocol):
    """A loaded model as far as computing goes: a prompt into the cache of sequence 0, then steps of one token a sequence."""

    window: int
    """tokens that one sequence can hold"""
    row: Row

    @property
    def places(self) -> Mapping[int, int]:
        """Where a sequence's logits are in the last batch; -1, its last row, for those that are not named."""

    @property
    def sequences(self) -> int:
        """How many can be decoded at the same time."""

    def sampler(self, settings: SamplingSettings, tokens: list[int]) -> Sampler:
        """A chain for a sequence; `tokens` is its whole text so far and grows with it."""

    def prefill(
        self,
        prompt: Series[int],
        batches: Series[Batches],
        stop: Callable[[], bool],
        on_progress: Callable[[float], None],
        scale: float = 1.0,
        growth: Series[int] = (),
    ) -> int:
        """Brings the prompt into the cache, its last token alone and with logits. Returns how many tokens were there already.

        `batches`: computes everything in exactly these. `stop` is asked often, also within a chunk; Cancelled if it says so.
        `scale`: of the adapter, if one is on; what was computed at another one is computed again. `growth`: where several sequences are to
        share the prompt, how many tokens each may need beside it; they get room for that, as far as there is memory.
        """

    def batches(self) -> tuple[Batches, ...]:
        """How what lies in the cache was computed."""

    def logits(self, place: int) -> NDArray[np.float32]:
        """A view of the logits of one place in the last batch, good until the next decode."""

    def append(self, token: int, scale: float = 1.0) -> bool:
        """Computes one more token of sequence 0, at this scale of the adapter. False if the cache is full."""

    def rescale(self, changed: Series[Sequence], live: Series[Sequence]) -> None:
        """Computes the last token of these sequences again, each at the scale of the adapter that its settings now have: so that it is in
        force for the very next draw. What was computed before stays as it is. Nothing happens without an adapter.
        """

    def share(self, scales: Series[float], room: int, stop: Callable[[], bool]) -> None:
        """So many sequences begin with what is there, computed again where the adapter's scale is not that of the first; together they may
        grow by `room` tokens. Cancelled if `stop` says so.
        """

    def extend(self, parts: Mapping[int, Series[int]], start: int, stop: Callable[[], bool]) -> bool:
        """After `share`: further prompt tokens of some sequences, behind the `start` tokens that all have. False if the cache is full.

        `stop` is asked often; Cancelled if it says so.
        """

    def copy(self, source: int, target: int) -> None:
        """After `extend`: one sequence becomes what another one is."""

    def decode(self, live: Series[Sequence]) -> bool:
        """Computes the token that each of these sequences drew last, after `share`: one call for all of the same scale. False if the
        cache is full.
        """

    def drop(self, number: int) -> None:
        """One of several sequences has ended: what it has for itself is free."""

    def unshare(self, count: int) -> None:
        """Leaves what can be described exactly: sequence 0 as it was when it was shared."""

    def score(self, tokens: Series[int], scale: float, stop: Callable[[], bool]) -> Iterator[NDArray[np.float32]]:
        """The logits after every token but the last, in parts of shape [positions, vocabulary], each good until the next. The caches of
        sequences stay as they are. `stop` is asked often; Cancelled if it says so.
        """


class Run:
    """One `Generate` after its prefill."""

    def __init__(
        self,
        link: Link,
        vocabulary: Vocabulary,
        decoder: Decoder,
        command: Generate,
        samplings: Series[SamplingSettings],
        prompt: Series[int],
        tails: Series[Series[int]] = (),
    ) -> None:
        """`prompt` is in the decoder's cache; `tails` are what follows in each sequence, none where that is all."""
        self._link = link
        self._decoder = decoder
        self._row = decoder.row
        self._request = command.request
        self._alternatives = command.alternatives
        self._pace = command.pace
        self._shared = len(prompt)
        self._tails = tails
        self._limits = command.limits
        self._sequences = []
        for number, settings in enumerate(samplings):
            tokens = [*prompt, *tails[number]] if tails else list(prompt)
            sampler = decoder.sampler(settings, tokens)
            timeline = command.timelines[number] if command.timelines else command.timeline if number == 0 else ()
            end = command.ends[number] if command.ends else -1
            self._sequences.append(Sequence(number, vocabulary, sampler, tokens, command.continued, timeline, end))
        self._live = list(self._sequences)
        self._steps = 0
        self._started = self._flushed = time.perf_counter()
        self._due = 0.0
        self._cancelled = False
        self._scales = [each.adapter_scale for each in samplings]
        """of the adapter, at which each sequence's last token was computed"""
        if len(self._sequences) > 1:
            decoder.share(
                self._scales,
                sum(each.max_tokens or decoder.window for each in samplings) + sum(map(len, tails)),
                lambda: link.pending and link.cancelled(command.request),
            )

    def read_tails(self, stop: Callable[[], bool]) -> None:
        """Computes where the prompts differ: each tail once, however many sequences have it; the last tokens together, as in any step."""
        if not self._tails:
            return
        leaders: dict[tuple[float, tuple[int, ...]], int] = {}
        kinds = [(scale, tuple(tail)) for scale, tail in zip(self._scales, self._tails, strict=True)]
        for number, kind in enumerate(kinds):
            leaders.setdefault(kind, number)
        if not self._decoder.extend({number: tail[:-1] for (_, tail), number in leaders.items()}, self._shared, stop):
            raise _prompts_too_long()
        for number, kind in enumerate(kinds):
            if leaders[kind] != number:
                self._decoder.copy(leaders[kind], number)
        if not self._decoder.decode(self._sequences):
            raise _prompts_too_long()

    def go(self) -> bool:
        """Decodes until every sequence has ended; whether all of it was cancelled."""
        self._started = time.perf_counter()
        while True:
            self._obey()
            self._end_recorded()
            self._draw()
            self._live = [each for each in self._live if not each.reason]
            now = time.perf_counter()
            if now - self._flushed >= FLUSH_S or self._steps == 1 or self._pace:
                self._flush(now)
            if not self._live or not self._decode():
                break
        return self._cancelled

    def close(self) -> None:
        """Leaves in the cache only what can be described exactly: of several sequences, the prompt."""
        for each in self._sequences:
            each.close()
        if len(self._sequences) > 1:
            self._decoder.unshare(len(self._sequences))

    # -- one step

    def _obey(self) -> None:
        """Waits as long as the pace asks for, and does what was commanded meanwhile: in force for the token drawn next."""
        while True:
            if self._link.pending:
                self._take_commands()
            if not self._pace or not self._live:
                return
            wait = self._due - time.perf_counter()
            if wait <= 0:
                self._due = max(self._due + 1 / self._pace, time.perf_counter())
                return
            self._link.wait(wait)

    def _take_commands(self) -> None:
        settings: dict[int, SamplingSettings] = {}
        for command in self._link.take(self._request, SetSampling, SetPace, Cancel):
            if isinstance(command, SetSampling):
                settings[command.sequence] = command.settings
            elif isinstance(command, SetPace):
                self._pace = max(0.0, command.pace)
                self._due = time.perf_counter()
            else:
                self._cancel(command.sequence)
        if self._link.closing:
            self._cancel(-1)
        for each in self._live:
            if each.number in settings:
                self._changed(each, each.change(settings[each.number]))

    def _cancel(self, number: int) -> None:
        for each in self._live:
            if number in (-1, each.number):
                each.finish("cancelled")
                self._ended(each)
        self._live = [each for each in self._live if not each.reason]
        self._cancelled = self._cancelled or number == -1

    def _end_recorded(self) -> None:
        for each in self._live:
            if each.count == each.end:
                each.finish("cancelled")
                self._ended(each)
        self._live = [each for each in self._live if not each.reason]

    def _draw(self) -> None:
        """A token for every living sequence, each from its place in the last batch."""
        row, places, logits = self._row, self._decoder.places, self._decoder.logits
        rescaled = []
        for each in self._live:
            if (applied := each.due()) is not None:
                self._changed(each, applied)
            if each.settings.adapter_scale != self._scales[each.number]:
                self._scales[each.number] = each.settings.adapter_scale
                rescaled.append(each)
        if rescaled:
            self._decoder.rescale(rescaled, self._live)
        read = None
        for each in self._live:
            place = places.get(each.number, -1)
            if place != read:
                read = place
                if not row.read(logits(place)):
                    raise ModelFileError(
                        "The model gave no usable numbers for the next token.",
                        "Its file is probably damaged: download it again.",
                    )
            row.likeliest(max(1, self._alternatives, each.few))
            each.step(row, self._alternatives)
            if not each.reason and self._is_full(each):
                each.finish("context")
            if each.reason:
                self._ended(each)
        self._steps += 1

    def _is_full(self, sequence: Sequence) -> bool:
        if self._limits and sequence.count == self._limits[sequence.number]:
            return True
        return sequence.prompt_length + sequence.count > self._decoder.window

    def _decode(self) -> bool:
        """Computes the tokens just drawn, all in one call. False if there is no room for any.

        Of several sequences the longest ends when there is no room for all (of equal ones the last), and the others go on in its place.
        """
        if len(self._sequences) == 1:
            if not self._decoder.append(self._live[0].token, self._scales[0]):
                self._out_of_room(self._live[0])
        else:
            while self._live and not self._decoder.decode(self._live):
                self._out_of_room(max(self._live, key=lambda each: (each.position, each.number)))
        return bool(self._live)

    def _out_of_room(self, sequence: Sequence) -> None:
        sequence.finish("context")
        self._ended(sequence)
        self._live.remove(sequence)

    # -- telling

    def _flush(self, now: float) -> None:
        if told := [event for each in self._sequences for event in self._tokens(each)]:
            self._link.send(*told)
        self._flushed = now

    def _tokens(self, sequence: Sequence) -> list[Message]:
        """What is waiting to be told of a sequence, if anything is."""
        if not sequence.ready:
            return []
        index, tokens = sequence.take()
        return [Tokens(self._request, sequence.number, index, tokens, sequence.prompt_length + index + len(tokens))]

    def _changed(self, sequence: Sequence, settings: SamplingSettings) -> None:
        self._link.send(*self._tokens(sequence), SamplingChanged(self._request, sequence.number, sequence.count, settings))

    def _ended(self, sequence: Sequence) -> None:
        self._link.send(
            *self._tokens(sequence),
            SequenceFinished(
                self._request,
                sequence.number,
                sequence.reason,
                "".join(sequence.text),
                sequence.count,
                time.perf_counter() - self._started,
            ),
        )
        if len(self._sequences) > 1:
            self._decoder.drop(sequence.number)


def _prompts_too_long() -> ContextFullError:
    return ContextFullError(
        "There is not enough memory for all of these prompts together.",
        "Compare fewer at once, close other programs, or load the model with a smaller cache type.",
    )
