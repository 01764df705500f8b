"""One reply in the making: its sampler, its text so far, what is still held back, and what is waiting to be sent.

Knows no other sequence, no cache and no connection.
"""

from __future__ import annotations

from collections.abc import Sequence as Series
from dataclasses import dataclass, replace
from typing import Any, Protocol

from playground.params import SamplingSettings
from playground.protocol import Alternative, Change, TokenInfo
from playground.workers.text import Stops, Utf8
from playground.workers.token_stats import Row


class Vocabulary(Protocol):
    """A loaded model as far as its words go."""

    n_vocab: int

    @property
    def template(self) -> str | None:
        """The chat template, None without."""

    def piece(self, token: int) -> bytes:
        """The bytes of a token in the text; none for control tokens."""

    def label(self, token: int) -> str:
        """A token to show: control tokens by name, incomplete characters as a replacement mark."""

    def is_end(self, token: int) -> bool: ...

    def is_special(self, token: int) -> bool: ...

    def tokenize(self, text: str) -> list[int]:
        """The tokens of a text, special ones recognised. A beginning-of-text token comes first where the model wants one and has none."""

    def bos(self) -> str: ...

    def eos(self) -> str: ...

    def first_token(self) -> int:
        """What a prompt of no tokens is replaced with: a model must be asked something."""


class Draw(Protocol):
    """What a sampler drew."""

    @property
    def token(self) -> int: ...

    @property
    def probability(self) -> float:
        """Under the settings in force."""


class Sampler(Protocol):
    """A sequence's sampler chain. It knows the sequence's tokens; the caller appends what was drawn, and then calls `accept`."""

    settings: SamplingSettings
    few: int
    """how many of a row's likeliest tokens a draw needs; 0: the whole vocabulary"""

    def change(self, settings: SamplingSettings) -> SamplingSettings:
        """Takes other settings from the next token on, and gives back those in force: the seed stays what it was."""

    def draw(self, row: Row) -> Any:
        """A `Draw` from a row of logits that was read."""

    def probabilities(self, draw: Any, ids: Series[int], likeliest: bool = False) -> list[float]:
        """What tokens could have been drawn with; 0 for those that the chain had cut off. `likeliest`: these are the row's, in order."""

    def accept(self, token: int) -> None: ...

    def close(self) -> None: ...


@dataclass
class _Held:
    info: TokenInfo
    end: int
    """where its text ends, in characters since the beginning"""


class Sequence:
    """`step` draws a token. `ready` holds tokens to send, `reason` is set when it has ended."""

    def __init__(
        self,
        number: int,
        vocabulary: Vocabulary,
        sampler: Sampler,
        tokens: list[int],
        continued: Series[int],
        timeline: Series[Change] = (),
        end: int = -1,
    ) -> None:
        """`tokens`: the prompt, in the list that the sampler knows; drawn tokens are appended to it.

        `end`: where a recorded sequence was stopped, -1 for nowhere.
        """
        self.number = number
        self.prompt_length = len(tokens)
        self.end = end
        self._vocabulary = vocabulary
        self.tokens = tokens
        self._sampler = sampler
        self._utf8 = Utf8(vocabulary.piece(token) for token in continued[-4:])
        self._stops = Stops(sampler.settings.stop)
        self._timeline = sorted(timeline, key=lambda each: each.index)
        self._held: list[_Held] = []
        self._length = 0
        self._sent = 0
        self.count = 0
        """drawn tokens, without the one that ended it"""
        self.ready: list[TokenInfo] = []
        self.ready_index = 0
        self.text: list[str] = []
        self.reason = ""
        self.token = tokens[-1] if tokens else -1
        """the last of it, still to be computed once it was drawn"""

    @property
    def few(self) -> int:
        """How many of a row's likeliest tokens the next draw needs."""
        return self._sampler.few

    @property
    def position(self) -> int:
        """Where `token` stands, counted from the beginning of the prompt."""
        return len(self.tokens) - 1

    @property
    def settings(self) -> SamplingSettings:
        return self._sampler.settings

    def change(self, settings: SamplingSettings) -> SamplingSettings:
        """Other settings from the next token on; gives back those in force."""
        self._stops.change(settings.stop)
        return self._sampler.change(settings)

    def due(self) -> SamplingSettings | None:
        """Applies the changes of the timeline that belong before the next token; the settings then in force, if any did."""
        applied = None
        while self._timeline and self._timeline[0].index <= self.count:
            applied = self.change(self._timeline.pop(0).settings)
        return applied

    def step(self, row: Row, alternatives: int) -> None:
        """Draws the next token from a row of logits that was read."""
        sampler = self._sampler
        draw = sampler.draw(row)
        token = draw.token
        if self._vocabulary.is_end(token):
            self.finish("end")
            return
        self.token = token
        self.tokens.append(token)
        sampler.accept(token)
        self.count += 1
        shown: tuple[Alternative, ...] = ()
        if alternatives:
            ids = row.likeliest(alternatives).tolist()
            label, logprob = self._vocabulary.label, row.logprob
            chances = sampler.probabilities(draw, ids, likeliest=True)
            shown = tuple(
                [Alternative(each, label(each), logprob(each), chance) for each, chance in zip(ids, chances, strict=True)]
            )
        text = self._utf8.add(self._vocabulary.piece(token))
        info = TokenInfo(token, text, row.logprob(token), draw.probability, row.entropy, shown)
        if self.settings.stop or self._held:
            self._hold(info)
        else:
            self._let_go(info)
        limit = self.settings.max_tokens
        if not self.reason and limit and self.count >= limit:
            self.finish("length")

    def finish(self, reason: str) -> None:
        """Ends it: what was held back is let go, an incomplete character is marked if it will never be completed."""
        if self.reason:
            return
        self.reason = reason
        for each in self._held:
            self._let_go(each.info)
        self._held = []
        if reason == "end" and (rest := self._utf8.rest()) and self.ready:
            self.ready[-1] = replace(self.ready[-1], text=self.ready[-1].text + rest)
            self.text.append(rest)

    def take(self) -> tuple[int, tuple[TokenInfo, ...]]:
        """The tokens to send, and the index of the first of them."""
        index, tokens = self.ready_index, tuple(self.ready)
        self.ready_index += len(tokens)
        self.ready = []
        return index, tokens

    def close(self) -> None:
        self._sampler.close()

    def _let_go(self, info: TokenInfo) -> None:
        self.ready.append(info)
        self.text.append(info.text)

    def _hold(self, info: TokenInfo) -> None:
        self._length += len(info.text)
        self._held.append(_Held(info, self._length))
        free, stopped = self._stops.add(info.text)
        if stopped:
            self._cut(free)
            self.reason = "stop"
            return
        while self._held and self._held[0].end <= free:
            self._let_go(self._held.pop(0).info)

    def _cut(self, length: int) -> None:
        """Lets everything go, with the text as far as the stop string, which is left out."""
        for each in self._held:
            start = each.end - len(each.info.text)
            kept = each.info.text[: max(0, length - start)]
            self._let_go(each.info if kept == each.info.text else replace(each.info, text=kept))
        self._held = []
