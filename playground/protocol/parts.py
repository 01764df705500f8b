"""Values that messages of several kinds are made of: chat messages, tokens, what an engine knows of its model and its memory."""

from __future__ import annotations

from dataclasses import dataclass

from playground.params import SamplingSettings


@dataclass(frozen=True)
class ChatMessage:
    """One message as the chat template sees it."""

    role: str
    content: str


@dataclass(frozen=True)
class Change:
    """Settings that came into force before the token with this index was drawn."""

    index: int
    settings: SamplingSettings


@dataclass(frozen=True)
class Batches:
    """`count` decode calls of `size` tokens each: how a stretch of the KV cache was computed.

    Rounding depends on the size of the batch a token was computed in, so an exact replay repeats the same batches.
    """

    size: int
    count: int


@dataclass(frozen=True)
class Alternative:
    """A candidate for one place in the text.

    `logprob` is the model's own (the softmax of its raw logits, natural logarithm), `probability` the one under the settings then in
    force, 0 for a candidate that the sampler chain had cut off.
    """

    token_id: int
    text: str
    logprob: float
    probability: float


@dataclass(frozen=True)
class TokenInfo:
    """One drawn token.

    `text` is what became readable with it (empty while a character's bytes are incomplete), `logprob` the model's own, `probability`
    the one it was drawn with.
    """

    token_id: int
    text: str
    logprob: float
    probability: float
    entropy: float
    """Of the model's own distribution, in nats."""
    alternatives: tuple[Alternative, ...] = ()


@dataclass(frozen=True)
class PromptToken:
    """A token of a prompt as the tokenizer cut it; `special` for control tokens."""

    token_id: int
    text: str
    special: bool = False


@dataclass(frozen=True)
class MemoryTerm:
    """Bytes of one kind on one device, as the engine reports them."""

    device: str
    kind: str
    """weights, kv_cache, compute, output or runtime"""
    bytes: int


@dataclass(frozen=True)
class ModelInfo:
    """What a worker knows of the model it loaded."""

    path: str
    name: str
    architecture: str
    parameters: int
    size: int
    quantization: str
    layers: int
    heads: int
    vocabulary: int
    trained_context: int
    context: int
    """the window in force, in tokens"""
    has_template: bool
    engine: str
    """`llama.cpp` or `transformers`"""
    engine_build: str
    device: str
    memory: tuple[MemoryTerm, ...] = ()
    sha256: str = ""
    """empty while it is still being computed; `ModelHashed` follows"""
    adapter: str = ""
    """path of the adapter that is on, empty for none"""
    adapter_sha256: str = ""
