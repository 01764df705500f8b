"""The rows of the database as frozen dataclasses, and the identifiers they go by.

Identifiers are made here, not by the database, so that nobody waits for a disk to name a message: 10 characters of time and 6 of
chance in Crockford's base 32, so that they sort by age and can be typed.
"""

from __future__ import annotations

import secrets
import threading
import time
from dataclasses import dataclass, field
from typing import Any

from playground.params import SamplingSettings

_DIGITS = "0123456789abcdefghjkmnpqrstvwxyz"


_last = 0
_making = threading.Lock()


def new_id() -> str:
    """16 characters that sort by the time they were made; of one process also within a millisecond, or when the clock is set back."""
    global _last
    with _making:
        number = (int(time.time() * 1000) << 30) | secrets.randbits(30)
        if number >> 30 <= _last >> 30:
            number = _last + 1 + secrets.randbits(20)
        _last = number
    return "".join(_DIGITS[(number >> shift) & 31] for shift in range(75, -1, -5))


@dataclass(frozen=True)
class Column:
    """One side of a comparison: what may differ from the others."""

    id: str
    settings: SamplingSettings = SamplingSettings()
    reply_start: str = ""
    """how its replies have to begin"""
    label: str = ""
    model: str = ""
    """path of its model; empty: the one that is loaded"""


@dataclass(frozen=True)
class SessionRow:
    """A conversation (`kind` `chat`), a comparison (`compare`) or a set of prompts run through columns (`prompts`)."""

    id: str
    kind: str = "chat"
    title: str = ""
    model_path: str = ""
    model_name: str = ""
    system: str = ""
    sampling: SamplingSettings = SamplingSettings()
    tip: str = ""
    """the message that the visible branch ends with; empty: none yet"""
    created: float = 0.0
    updated: float = 0.0
    """seconds since 1970"""
    deleted: float | None = None
    """when it was thrown away; it can be taken back until then"""
    prompt: str = ""
    """of a comparison: the prompt as it stands, asked or not"""
    columns: tuple[Column, ...] = ()
    """of a comparison or a set of prompts"""


@dataclass(frozen=True)
class MessageRow:
    """One message in the tree of a session; siblings (same parent) are versions of each other."""

    id: str
    session_id: str
    parent_id: str
    """empty for the first message"""
    role: str
    """`user` or `assistant` (the system prompt belongs to the session)"""
    content: str
    state: str = "complete"
    """`complete`, `streaming`, `stopped` (by the user), `interrupted` (worker or program died), `failed` (error before a token)"""
    created: float = 0.0
    reply_start: str = ""
    """what the user put at the beginning of the reply; it is part of `content`"""


@dataclass(frozen=True)
class TimelineEntry:
    """Settings in force for the tokens from `index` on; `offset` is that place in characters of the completion."""

    index: int
    offset: int
    settings: SamplingSettings


@dataclass(frozen=True)
class GenerationRow:
    """One completion with everything needed to replay it."""

    id: str
    session_id: str
    message_id: str
    model_path: str
    model_name: str
    model_sha256: str
    engine: str
    engine_build: str
    device: str
    context: dict[str, Any] = field(default_factory=dict)
    """`ContextSettings` as JSON, with the window and threads that were in force"""
    adapter: str = ""
    """path of the adapter that was on, empty for none"""
    adapter_sha256: str = ""
    prompt: str = ""
    """as rendered"""
    prompt_ids: tuple[int, ...] = ()
    continued: int = 0
    """how many tokens of an earlier part of the same reply stand at the end of `prompt_ids`"""
    batches: tuple[tuple[int, int], ...] = ()
    """(size, count) of the decode calls that computed the cache up to the end of the prompt"""
    seed: int = 0
    settings: SamplingSettings = SamplingSettings()
    timeline: tuple[TimelineEntry, ...] = ()
    """changes after the start; empty when nothing was moved"""
    prompt_tokens: int = 0
    cached_tokens: int = 0
    completion_tokens: int = 0
    prefill_s: float = 0.0
    decode_s: float = 0.0
    state: str = "streaming"
    """`streaming`, `end`, `stop`, `length`, `context`, `cancelled`, `interrupted`, `failed`"""
    error: str = ""
    owner: str = ""
    """process that writes it, as `<pid>:<start time>`, to tell an interrupted one from one that another process still writes"""
    started: float = 0.0
    finished: float | None = None
    group_id: str = ""
    """what all have in common that were decoded in the same batches; empty for one by itself"""
    sequence: int = 0
    """its place in those batches"""
    column_id: str = ""
    """of the comparison's columns, the one that it belongs to"""
    shared: int = 0
    """how many tokens of `prompt_ids` were computed once for the whole group, in `batches`; 0: all of them"""
    asked: str = ""
    """the beginning of the message it answers; in lists only, not a column of the table"""


@dataclass(frozen=True)
class FitRow:
    """What a load was predicted to take and what it took, in bytes by device and term (weights, kv_cache, compute, output, runtime)."""

    id: str
    model_path: str
    model_name: str = ""
    engine_build: str = ""
    context: dict[str, Any] = field(default_factory=dict)
    """`ContextSettings` as JSON, with the window that was in force"""
    predicted: dict[str, dict[str, int]] = field(default_factory=dict)
    measured: dict[str, dict[str, int]] = field(default_factory=dict)
    made: float = 0.0


@dataclass(frozen=True)
class VoteRow:
    """What somebody thought of two replies to the same prompt. `verdict`: `better` (the first is), `tie` or `both_bad`."""

    id: str
    session_id: str
    better_id: str
    worse_id: str
    """messages; for a tie and for two bad ones the order means nothing"""
    verdict: str = "better"
    created: float = 0.0
    note: str = ""


@dataclass(frozen=True)
class PromptRow:
    """One prompt of a set. `more`: what else stood in its line of the file, carried on to what is exported."""

    index: int
    prompt: str
    system: str = ""
    more: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class ResultRow:
    """What one column replied to one prompt of a set. Means over the reply's tokens: natural logarithm, nats."""

    index: int
    column_id: str
    state: str
    """as a generation's; `failed` where the prompt could not be read"""
    text: str
    token_ids: tuple[int, ...] = ()
    seed: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    mean_logprob: float = 0.0
    mean_entropy: float = 0.0
    decode_s: float = 0.0
    error: str = ""
    finished: float = 0.0


@dataclass(frozen=True)
class TokenRow:
    """One token of a completion; `alternatives` are (token id, text, logprob, probability)."""

    index: int
    token_id: int
    text: str
    logprob: float
    probability: float
    entropy: float
    alternatives: tuple[tuple[int, str, float, float], ...] = ()


@dataclass(frozen=True)
class SearchHit:
    """A message found by full-text search; `snippet` marks the words with \\x02 and \\x03."""

    session_id: str
    session_title: str
    message_id: str
    role: str
    snippet: str
    created: float


@dataclass(frozen=True)
class Chat:
    """A session with its whole tree of messages (by age) and the newest generation of each assistant message."""

    session: SessionRow
    messages: tuple[MessageRow, ...] = ()
    generations: dict[str, GenerationRow] = field(default_factory=dict)

    def path(self) -> tuple[MessageRow, ...]:
        """The visible branch, from the first message to the tip."""
        by_id = {message.id: message for message in self.messages}
        found = []
        step = by_id.get(self.session.tip)
        while step is not None:
            found.append(step)
            step = by_id.get(step.parent_id)
        return tuple(reversed(found))

    def latest(self) -> tuple[tuple[Column, MessageRow], ...]:
        """Of a comparison: each column that has replied to the prompt at the tip, with its newest reply."""
        found: dict[str, MessageRow] = {}
        for message in self.messages:
            made = self.generations.get(message.id)
            if made is not None and made.column_id and message.parent_id == self.session.tip:
                found[made.column_id] = message
        return tuple((column, found[column.id]) for column in self.session.columns if column.id in found)

    def siblings(self, message: MessageRow) -> tuple[MessageRow, ...]:
        """The versions of a message, itself among them, by age."""
        return tuple(each for each in self.messages if each.parent_id == message.parent_id and each.role == message.role)
