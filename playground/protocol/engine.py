"""Loading a model and writing with it: what an engine is asked, and what it tells while it decodes."""

from __future__ import annotations

from dataclasses import dataclass

from playground.params import ContextSettings, SamplingSettings
from playground.protocol.parts import Batches, Change, ChatMessage, ModelInfo, PromptToken, TokenInfo


@dataclass(frozen=True)
class Load:
    """Load a model; answered by `Progress`, then `Loaded` or `Failed`."""

    request: int
    path: str
    context: ContextSettings = ContextSettings()
    check_tensors: bool = False
    """read all weights and refuse damaged ones: for files that were not verified before"""
    sha256: str = ""
    """the file's hash where it is known already: spares computing it"""
    adapter: str = ""
    """a LoRA adapter to put on: a folder in PEFT layout or a GGUF file; empty for none"""


@dataclass(frozen=True)
class Generate:
    """Decode one prompt into as many sequences as there are `samplings`; answered by `Prefilled`, `Tokens`, `SequenceFinished`, `Finished`.

    The prompt is `prompt_ids` if given, else `messages` rendered with the model's template (or `text` as it stands, when there are no
    messages), with `reply_start` put at the beginning of the reply; the tokens of `continued` follow in any case.
    """

    request: int
    samplings: tuple[SamplingSettings, ...]
    messages: tuple[ChatMessage, ...] = ()
    text: str = ""
    reply_start: str = ""
    prompt_ids: tuple[int, ...] = ()
    continued: tuple[int, ...] = ()
    """tokens of a reply that is being continued, after the prompt; penalties see them, they are not reported again"""
    alternatives: int = 8
    """how many candidates to report a token"""
    pace: float = 0.0
    """at most this many tokens a second, 0 for as fast as the engine goes"""
    timeline: tuple[Change, ...] = ()
    """changes to apply by themselves to sequence 0, each before the token of its index: a replay"""
    timelines: tuple[tuple[Change, ...], ...] = ()
    """the same, one for each sequence"""
    ends: tuple[int, ...] = ()
    """for each sequence: end it, as if cancelled, before the token of this index; -1 for not at all: a replay"""
    limits: tuple[int, ...] = ()
    """for each sequence: with so many tokens the context is full, if it is not before; -1 where it ended otherwise: a replay"""
    prompts: tuple[tuple[ChatMessage, ...], ...] = ()
    """for each sequence its own messages, in place of `messages`"""
    reply_starts: tuple[str, ...] = ()
    """for each sequence its own beginning of the reply, in place of `reply_start`"""
    tails: tuple[tuple[int, ...], ...] = ()
    """for each sequence the tokens of its prompt after `prompt_ids`, where prompts differ: a replay"""
    batches: tuple[Batches, ...] = ()
    """compute the prompt in exactly these batches, reusing nothing: a replay"""


@dataclass(frozen=True)
class SetSampling:
    """New settings for a running sequence, in force for its next token; answered by `SamplingChanged`."""

    request: int
    settings: SamplingSettings
    sequence: int = 0


@dataclass(frozen=True)
class SetPace:
    """A new pace for a running request, in tokens a second; 0 for as fast as the engine goes."""

    request: int
    pace: float


@dataclass(frozen=True)
class Tokenize:
    """Cut a text, or rendered messages, into tokens (or say what `prompt_ids` stand for); answered by `Tokenized`."""

    request: int
    messages: tuple[ChatMessage, ...] = ()
    text: str = ""
    reply_start: str = ""
    prompt_ids: tuple[int, ...] = ()


@dataclass(frozen=True)
class Loaded:
    request: int
    model: ModelInfo
    seconds: float


@dataclass(frozen=True)
class ModelHashed:
    """The SHA-256 of a loaded model's file, computed beside the work."""

    path: str
    sha256: str


@dataclass(frozen=True)
class MemoryUsed:
    """Main memory that a worker really takes for a model, once it has been used: growth since before the load, in bytes.

    What lies in a mapped file counts as far as it was touched.
    """

    path: str
    resident: int


@dataclass(frozen=True)
class Prefilled:
    """The prompt is in the cache; `cached` of its tokens were there already. Sent once for all sequences."""

    request: int
    prompt: tuple[PromptToken, ...]
    text: str
    """the prompt as rendered"""
    cached: int
    seconds: float
    batches: tuple[Batches, ...]
    """how the whole cache up to the end of the prompt was computed, cached part included"""
    samplings: tuple[SamplingSettings, ...]
    """the settings in force, with the seeds that were drawn"""
    tails: tuple[tuple[PromptToken, ...], ...] = ()
    """where the sequences' prompts differ: what follows in each after `prompt`, which is what all have in common"""
    texts: tuple[str, ...] = ()
    """where they differ: each prompt as rendered"""


@dataclass(frozen=True)
class Tokens:
    """Tokens of one sequence since the last such event; `index` is that of the first among the completion's tokens."""

    request: int
    sequence: int
    index: int
    tokens: tuple[TokenInfo, ...]
    used: int
    """tokens in the context after the last of them"""


@dataclass(frozen=True)
class SamplingChanged:
    """The settings that a sequence's tokens from `index` on are drawn with."""

    request: int
    sequence: int
    index: int
    settings: SamplingSettings


@dataclass(frozen=True)
class SequenceFinished:
    """One sequence has ended. `reason`: `end` (the model's own), `stop` (a stop string), `length`, `context` (window full), `cancelled`."""

    request: int
    sequence: int
    reason: str
    text: str
    """the whole completion, without a stop string"""
    tokens: int
    decode_s: float


@dataclass(frozen=True)
class Tokenized:
    request: int
    tokens: tuple[PromptToken, ...]
    text: str
    pieces: tuple[str, ...] = ()
    """the bytes of each token in the text, in hexadecimal; none for control tokens"""
    ends: bool = False
    """whether the last token is one that ends a text"""
