"""A comparison as the page shows it: what each column has replied so far, and where replies part. Knows no widget.

Fed with the session's events, in order, or with what the database has of an earlier run. Replies are compared token by token as they
grow: what two have in common is looked at once.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from playground import events
from playground.decoding import differences
from playground.history.records import Chat, Column, GenerationRow, MessageRow
from playground.params import SamplingSettings, setting_of, settings_of
from playground.session.running import token_row

NAMES = tuple(each.name for each in settings_of(SamplingSettings))


def _light(token: Any) -> Any:
    """A token whose alternatives are plain tuples: the garbage collector passes those over, and not 150,000 small objects."""
    if token.alternatives and not isinstance(token.alternatives[0], tuple):
        return token_row(0, token)
    return token


class Reply:
    """What one column has replied: its tokens so far, and how it came to them."""

    def __init__(self, column_id: str, message_id: str, generation_id: str, start: str = "") -> None:
        self.column_id = column_id
        self.message_id = message_id
        self.generation_id = generation_id
        self.start = start
        """how it had to begin"""
        self.total = 0
        """tokens that it ended with; those of a recorded one come later than its end"""
        self.state = "waiting"
        """`waiting`, `reading` (the prompt), `writing`, or how it ended: as a generation's"""
        self.tokens: list[Any] = []
        self.keys: list[int | str] = []
        """what tokens are compared by"""
        self.content: str | None = None
        """the message as it ended; a stop string that was begun is not in it"""
        self.changes: list[tuple[int, SamplingSettings]] = []
        """settings that came into force on the way, each with the index of the first token drawn with them"""
        self.settings = SamplingSettings()
        self.fraction = -1.0
        self.prompt_tokens = 0
        self.decode_s = 0.0
        self.error = ""
        self.early: list[tuple[int, Sequence[Any]]] = []
        """tokens that came before those in front of them"""
        self._began = 0.0
        self._tally = differences.Tally()

    @property
    def text(self) -> str:
        """What stands in the message."""
        return self.start + "".join(token.text for token in self.tokens) if self.content is None else self.content

    @property
    def ended(self) -> bool:
        return self.state not in ("waiting", "reading", "writing")

    @property
    def whole(self) -> bool:
        """Whether it has ended and all of it is here."""
        return self.ended and len(self.tokens) >= self.total

    @property
    def tokens_per_s(self) -> float:
        """0 while it cannot be said."""
        seconds = self.decode_s if self.ended else time.monotonic() - self._began if self._began else 0.0
        return len(self.tokens) / seconds if seconds > 0 else 0.0

    def summary(self) -> differences.Summary:
        """Its numbers so far; what has been counted is not counted again."""
        for place in range(len(self._tally), len(self.tokens)):
            token = self.tokens[place]
            self._tally.add(self.keys[place], token.logprob, token.entropy)
        return self._tally.summary()

    def add(self, tokens: Iterable[Any], by_text: bool) -> None:
        if not self._began:
            self._began = time.monotonic()
        for token in tokens:
            self.tokens.append(_light(token))
            self.keys.append(token.text if by_text else token.token_id)

    def compare_by(self, by_text: bool) -> None:
        """What its tokens are compared by from now on."""
        self.keys = [token.text if by_text else token.token_id for token in self.tokens]

    def take_record(self, made: GenerationRow, message: MessageRow) -> None:
        """How it ended, or as far as the database has it."""
        self.settings, self.error = made.settings, made.error
        self.changes = [(entry.index, entry.settings) for entry in made.timeline]
        self.prompt_tokens, self.decode_s = made.prompt_tokens, made.decode_s
        if made.state != "streaming":
            self.state, self.total = made.state, made.completion_tokens
            self.content = message.content


@dataclass(frozen=True)
class Branch:
    """Where a reply goes another way than others: `others` are (column id, what it went on with)."""

    index: int
    own: differences.Candidate | None
    others: tuple[tuple[str, differences.Parting], ...]


class Comparing:
    """The replies of one comparison. `apply` returns the ids of the columns that an event changed."""

    def __init__(self, columns: Sequence[Column]) -> None:
        self.replies: dict[str, Reply] = {}
        self.by_text = len({each.model for each in columns}) > 1
        """of several models the tokens' numbers say nothing"""
        self.prefills = 0
        self.finished: list[events.ComparisonFinished] = []
        """the groups of the last run that have ended: one for each model"""
        self._run = 0
        self._by_generation: dict[str, Reply] = {}
        self._met: dict[tuple[str, str], int] = {}
        """of each pair, how many tokens they were found to have in common"""
        self._parted: dict[tuple[str, str], int] = {}

    # -- what happens

    def begin(self, replies: Iterable[Reply], columns: Sequence[Column]) -> None:
        """A new run of these columns; what they had replied before is not shown any more."""
        by_text = len({each.model for each in columns}) > 1
        if by_text != self.by_text:
            self.by_text = by_text
            for reply in self.replies.values():  # those that stay are compared with the new ones
                reply.compare_by(by_text)
        for reply in replies:
            self.replies[reply.column_id] = reply
            self._by_generation[reply.generation_id] = reply
        self._run += 1
        self._met.clear()
        self._parted.clear()

    def forget(self, column_id: str) -> None:
        """A column has gone, and its reply with it."""
        gone = self.replies.pop(column_id, None)
        if gone is not None:
            self._by_generation.pop(gone.generation_id, None)
            for known in (self._met, self._parted):
                for pair in [pair for pair in known if column_id in pair]:
                    del known[pair]

    def apply(self, event: Any) -> set[str]:
        if isinstance(event, events.MessageAdded):
            return self._message(event.message)
        if isinstance(event, events.ComparisonFinished):
            self.finished.append(event)
            self.prefills = sum(each.prefill_count for each in self.finished)
            return set()
        reply = self.reply_of(event)
        if isinstance(event, events.GenerationFinished):
            reply = self._finished(event.generation)
        if reply is None:
            return set()
        if isinstance(event, events.GenerationStarted):
            reply.state, reply.settings = "reading", event.settings
        elif isinstance(event, events.PrefillProgress):
            reply.fraction = event.fraction
        elif isinstance(event, events.GenerationPrefilled):
            reply.state, reply.prompt_tokens = "writing", event.prompt_tokens
            self.prefills = max(self.prefills, sum(each.prefill_count for each in self.finished) + 1)
        elif isinstance(event, events.GenerationTokens):
            self._tokens(reply, event.index, event.tokens)
        elif isinstance(event, events.SamplingApplied):
            reply.changes = [each for each in reply.changes if each[0] != event.index] + [(event.index, event.settings)]
        elif isinstance(event, events.GenerationFinished):
            reply.take_record(event.generation, event.message)
        return {reply.column_id}

    def reply_of(self, event: Any) -> Reply | None:
        """The reply that an event is about, if it is one of these."""
        return self._by_generation.get(getattr(event, "generation_id", ""))

    def _finished(self, made: GenerationRow) -> Reply | None:
        """The reply that has ended; one that came to nothing was never told to have begun."""
        reply = self._by_generation.get(made.id)
        if reply is None:
            reply = self.replies.get(made.column_id)
            if reply is not None and reply.generation_id:
                return None
        return reply

    def _message(self, message: MessageRow) -> set[str]:
        for reply in self.replies.values():
            if reply.message_id == message.id:
                reply.start = message.reply_start
                return {reply.column_id}
        return set()

    def _tokens(self, reply: Reply, index: int, tokens: Sequence[Any]) -> None:
        """What is known already is not taken twice; what comes behind a gap waits for `fill`."""
        known = len(reply.tokens)
        if index > known:
            reply.early.append((index, tokens))
        elif known < index + len(tokens):
            reply.state = "writing" if not reply.ended else reply.state
            reply.add(tokens[known - index :], self.by_text)

    def fill(self, column_id: str, generation_id: str, tokens: Sequence[Any]) -> None:
        """The tokens that the database has of a reply, from its first one on."""
        reply = self.replies.get(column_id)
        if reply is not None and reply.generation_id == generation_id:
            reply.add(tokens[len(reply.tokens) :], self.by_text)
            early, reply.early = reply.early, []
            for index, more in early:
                self._tokens(reply, index, more)

    @property
    def running(self) -> bool:
        return any(not reply.ended for reply in self.replies.values())

    # -- what they have in common

    @property
    def parted(self) -> tuple[int, int]:
        """Another one as soon as two more have parted, or a new run has begun."""
        return self._run, len(self._parted)

    def _advance(self) -> None:
        shown = list(self.replies.values())
        for place, one in enumerate(shown):
            for other in shown[place + 1 :]:
                pair = (one.column_id, other.column_id)
                if pair not in self._parted:
                    self._advance_pair(pair, one, other)

    def _advance_pair(self, pair: tuple[str, str], one: Reply, other: Reply) -> None:
        met = self._met.get(pair, 0)
        if one.start != other.start:  # they were made to differ
            self._parted[pair] = -1
            return
        ours, theirs = one.keys, other.keys
        shortest = min(len(ours), len(theirs))
        while met < shortest and ours[met] == theirs[met]:
            met += 1
        self._met[pair] = met
        over = (one.whole and len(ours) == met < len(theirs)) or (other.whole and len(theirs) == met < len(ours))
        if met < shortest or over:
            self._parted[pair] = met

    def common(self) -> int:
        """How many tokens all replies begin with together; 0 for a single one."""
        self._advance()
        if len(self.replies) < 2:
            return 0
        found = []
        shown = [reply.column_id for reply in self.replies.values()]
        for place, one in enumerate(shown):
            for other in shown[place + 1 :]:
                parted = self._parted.get((one, other), self._met.get((one, other), 0))
                found.append(max(0, parted))
        return min(found)

    def branches(self, column_id: str) -> list[Branch]:
        """Where this reply parts from others, from its beginning on."""
        self._advance()
        mine = self.replies.get(column_id)
        if mine is None:
            return []
        places: dict[int, list[str]] = {}
        for (one, other), index in self._parted.items():
            if index >= 0 and column_id in (one, other):
                places.setdefault(index, []).append(other if one == column_id else one)
        return [self._branch(mine, index, others) for index, others in sorted(places.items())]

    def _branch(self, mine: Reply, index: int, others: Sequence[str]) -> Branch:
        own = self._place(mine, index)
        found = []
        for other in others:
            parting = differences.parting(own, self._place(self.replies[other], index))
            if parting is not None:
                found.append((other, parting))
        return Branch(index, found[0][1].left, tuple(found))

    def _place(self, reply: Reply, index: int) -> list[differences.Place]:
        if index >= len(reply.tokens):
            return []
        token = reply.tokens[index]
        odds = [(each[1] if self.by_text else each[0], each[3]) for each in token.alternatives]
        return [(reply.keys[index], token.text, token.probability, odds)]


def from_chat(chat: Chat) -> Comparing:
    """The replies that a comparison shows, without their tokens."""
    made = Comparing(chat.session.columns)
    replies = []
    for column, message in chat.latest():
        generation = chat.generations[message.id]
        reply = Reply(column.id, message.id, generation.id, message.reply_start)
        reply.state = "writing"
        reply.take_record(generation, message)
        replies.append(reply)
    made.begin(replies, chat.session.columns)
    groups = {chat.generations[reply.message_id].group_id for reply in replies}
    made.prefills = len(groups) if any(reply.prompt_tokens for reply in replies) else 0
    return made


# -- words


def differing(columns: Sequence[Column]) -> tuple[str, ...]:
    """The settings in which columns differ, in their own order."""
    return tuple(name for name in NAMES if len({getattr(each.settings, name) for each in columns}) > 1)


def labels(columns: Sequence[Column], model_name: Any = str) -> list[str]:
    """What is each column's alone, in a few words."""
    names = differing(columns)
    starts = len({each.reply_start for each in columns}) > 1
    models = len({each.model for each in columns}) > 1
    found = []
    for column in columns:
        words = [value_text(name, getattr(column.settings, name)) for name in names]
        if models:
            words.insert(0, model_name(column.model))
        if starts:
            words.append(f"starts “{_end(column.reply_start)}”" if column.reply_start else "free start")
        found.append(", ".join(words) or value_text("temperature", column.settings.temperature))
    return found


def _end(text: str) -> str:
    """The last words of a text: of two long beginnings, what they differ in."""
    line = " ".join(text.split())
    return line if len(line) <= 24 else "…" + line[-23:]


def value_text(name: str, value: Any) -> str:
    """A setting with its value, as a person says it."""
    label = setting_of(SamplingSettings, name).label
    if isinstance(value, tuple):
        return f"{label}: {', '.join(value) or 'none'}"
    if name == "seed" and value < 0:
        return "random seed"
    return f"{label} {value:g}" if isinstance(value, float) else f"{label} {value}"


def changed_words(before: SamplingSettings, after: SamplingSettings) -> str:
    """What moved between two settings: `temperature 0.8 → 1.2`."""
    moved = [name for name in NAMES if name != "seed" and getattr(before, name) != getattr(after, name)]
    return ", ".join(f"{setting_of(SamplingSettings, name).label} {_short(getattr(before, name))} → "
                     f"{_short(getattr(after, name))}" for name in moved)  # fmt: skip


def _short(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else "other" if isinstance(value, tuple) else str(value)
