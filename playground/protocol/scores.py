"""What a loaded model thinks without writing: the logits after a prompt, and the score of every token of a given text."""

from __future__ import annotations

from dataclasses import dataclass

from playground.protocol.parts import Alternative, ChatMessage, PromptToken


@dataclass(frozen=True)
class ScoredToken:
    """A token of a given text, and what the model thought of it where it stands. Logarithms are natural, `entropy` in nats."""

    token_id: int
    text: str
    """what became readable with it; a control token's name"""
    bytes: str = ""
    """of the text, in hexadecimal; of a control token those of its name"""
    special: bool = False
    rank: int = 0
    """1 for the likeliest; 0 for the first token, which nothing predicted"""
    logprob: float = 0.0
    entropy: float = 0.0
    alternatives: tuple[Alternative, ...] = ()
    """the likeliest tokens in its place, with the model's own probabilities"""


@dataclass(frozen=True)
class NextToken:
    """Ask for the raw logits after a prompt; answered by `Logits`."""

    request: int
    target: str
    """the file to write the numbers to; whoever asks makes its folder, and removes the file whatever comes of the request"""
    messages: tuple[ChatMessage, ...] = ()
    text: str = ""
    reply_start: str = ""
    prompt_ids: tuple[int, ...] = ()
    adapter_scale: float = 1.0
    labels: int = 256
    """of how many of the likeliest tokens to tell the text"""


@dataclass(frozen=True)
class Score:
    """Ask what the model thinks of every token of a given text; answered by `Progress` and `Scored`."""

    request: int
    messages: tuple[ChatMessage, ...] = ()
    text: str = ""
    reply_start: str = ""
    prompt_ids: tuple[int, ...] = ()
    alternatives: int = 8
    adapter_scale: float = 1.0


@dataclass(frozen=True)
class Logits:
    """Raw next-token logits as little-endian float32 of shape [vocabulary] in `file`, and the prompt's tokens before them."""

    request: int
    file: str
    prompt: tuple[PromptToken, ...]
    labels: tuple[tuple[int, str], ...] = ()
    """(token, text) of the likeliest, the likeliest first, and of the latest tokens of the prompt, which penalties may lift"""


@dataclass(frozen=True)
class Scored:
    """Answer to `Score`; `text` is what was scored, as rendered."""

    request: int
    tokens: tuple[ScoredToken, ...]
    text: str
