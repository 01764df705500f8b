"""What the session tells whoever listens: window and command line. Frozen dataclasses, sent in order, from the session's thread.

A token is told only after it was written to the database (or after somebody was told that it could not be).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from playground.history.beams import BeamSearchRow
from playground.history.records import FitRow, GenerationRow, MessageRow, ResultRow, SessionRow, VoteRow
from playground.params import SamplingSettings
from playground.protocol import BeamNode, ModelInfo, TokenInfo


@dataclass(frozen=True)
class StoreReady:
    """The database is open. `writable` False: what is said now lives in memory only (a `Notice` said why)."""

    writable: bool = True


@dataclass(frozen=True)
class Notice:
    """One sentence for the user, and a way out. `action` names a button to offer: `reload`, `choose_model` or nothing.

    `key` tells notices of one kind apart from others: a later one with the same key replaces it, one with an empty message takes it away.
    """

    level: Literal["info", "warning", "error"]
    message: str
    hint: str = ""
    action: str = ""
    key: str = ""


@dataclass(frozen=True)
class ModelState:
    """The loaded model. `lost`: its worker died; `failed`: it could not be loaded (message and hint say why)."""

    state: Literal["none", "loading", "ready", "failed", "lost"]
    path: str = ""
    name: str = ""
    fraction: float = -1.0
    info: ModelInfo | None = None
    message: str = ""
    hint: str = ""


@dataclass(frozen=True)
class FitMeasured:
    """What a load was predicted to take, and what it took as far as that is known."""

    fit: FitRow


@dataclass(frozen=True)
class SessionChanged:
    """A session is new or has another title, tip, system prompt, ...; `deleted` is set when it was thrown away."""

    session: SessionRow


@dataclass(frozen=True)
class ComparisonChanged:
    """A comparison, or a set of prompts, is new or has other columns, another prompt, title, ...; `deleted` as in `SessionChanged`."""

    session: SessionRow


@dataclass(frozen=True)
class ComparisonStarted:
    """Columns of a comparison are being decoded together. `columns`: (column id, generation id, message id), in their order."""

    session_id: str
    group_id: str
    columns: tuple[tuple[str, str, str], ...]


@dataclass(frozen=True)
class ComparisonFinished:
    """All columns of a group have ended. `decode_s` is the time from the first token drawn to the end of the last column."""

    session_id: str
    group_id: str
    prefill_count: int
    """how often the prompt was read: once for all columns"""
    tokens: int
    """of all columns together"""
    decode_s: float
    last: bool = True
    """False while columns of another model are still to come"""

    @property
    def tokens_per_s(self) -> float:
        return self.tokens / self.decode_s if self.decode_s > 0 else 0.0


@dataclass(frozen=True)
class PromptSetProgress:
    """How far a set of prompts is, in cells (a prompt in a column). `paused` with a message: it could not go on; `failed`: a bug."""

    session_id: str
    state: Literal["running", "paused", "done", "failed"]
    done: int
    total: int
    tokens_per_s: float = 0.0
    seconds_left: float = -1.0
    """-1 when it cannot be said"""
    message: str = ""
    hint: str = ""


@dataclass(frozen=True)
class PromptResult:
    """A column has replied to a prompt of a set."""

    session_id: str
    result: ResultRow


@dataclass(frozen=True)
class BeamsChanged:
    """A beam search has come further: `search` as it stands, `steps` what is new of its tree. `search.state` says whether it goes on."""

    search: BeamSearchRow
    steps: tuple[tuple[BeamNode, ...], ...] = ()


@dataclass(frozen=True)
class VotesChanged:
    """Somebody voted, or took a vote back: all votes of this comparison."""

    session_id: str
    votes: tuple[VoteRow, ...]


@dataclass(frozen=True)
class MessageAdded:
    """A message is in the database. An assistant's arrives empty, in state `streaming`."""

    message: MessageRow


@dataclass(frozen=True)
class MessageChanged:
    """State or content of a message is another one now."""

    message: MessageRow


@dataclass(frozen=True)
class GenerationStarted:
    """A completion was asked for; the prompt is being read."""

    generation_id: str
    session_id: str
    message_id: str
    settings: SamplingSettings


@dataclass(frozen=True)
class PrefillProgress:
    generation_id: str
    fraction: float


@dataclass(frozen=True)
class GenerationPrefilled:
    """The prompt has been read."""

    generation_id: str
    message_id: str
    prompt_tokens: int
    cached_tokens: int
    prefill_s: float


@dataclass(frozen=True)
class GenerationTokens:
    """New tokens of a completion; `index` is that of the first, `offset` its place in characters of the message's content."""

    generation_id: str
    message_id: str
    index: int
    offset: int
    tokens: tuple[TokenInfo, ...]
    used: int
    """tokens in the context window now"""


@dataclass(frozen=True)
class SamplingApplied:
    """Tokens from `index` (character `offset` of the message's content) on are drawn with these settings."""

    generation_id: str
    message_id: str
    index: int
    offset: int
    settings: SamplingSettings
    names: tuple[str, ...]
    """the settings that differ from those before"""


@dataclass(frozen=True)
class GenerationFinished:
    """A completion has ended, one way or another: see `generation.state` and `message.state`."""

    generation: GenerationRow
    message: MessageRow


@dataclass(frozen=True)
class ReplayResult:
    """A generation decoded again. `first_difference` is a token index, -1 if there is none."""

    generation_id: str
    identical: bool
    first_difference: int
    tokens: int
    recorded_text: str
    text: str
    why: str = ""
    """the reason known for a difference: another model file, engine build or device"""


Event = Any
