"""Beam search: the likeliest continuations of a prompt, and the tree they were found in."""

from __future__ import annotations

from dataclasses import dataclass

from playground.params import BeamSettings
from playground.protocol.parts import ChatMessage


@dataclass(frozen=True)
class BeamNode:
    """A token in the tree of a beam search. `logprob` is the model's own, `total` its sum from the prompt to here, `length` in tokens.

    `state`: `kept` (a beam went on from here), `pruned` (it fell out), `ended` (the model ended it there), `cut` (the limit did).
    """

    id: int
    parent: int
    """-1 for a first token"""
    token_id: int
    text: str
    logprob: float
    total: float
    length: int
    state: str


@dataclass(frozen=True)
class BeamFound:
    """A continuation that a beam search gives back. `score` is `total / length ** length_penalty`, the token that ended it counted."""

    node: int
    """its last one in the tree; -1 where there was no room for a token"""
    token_ids: tuple[int, ...]
    """with the token that ended it, if one did"""
    logprobs: tuple[float, ...]
    text: str
    """without that one"""
    score: float
    total: float
    reason: str
    """`end` (the model's own), `length`, `context` (window full)"""


@dataclass(frozen=True)
class Beam:
    """Search the likeliest continuations of a prompt; answered by `Prefilled`, a `BeamStep` a token, `BeamsFound` and `Finished`.

    The prompt is made as `Generate`'s.
    """

    request: int
    settings: BeamSettings = BeamSettings()
    messages: tuple[ChatMessage, ...] = ()
    text: str = ""
    reply_start: str = ""
    prompt_ids: tuple[int, ...] = ()
    adapter_scale: float = 1.0


@dataclass(frozen=True)
class BeamStep:
    """The tree has grown by a step: every continuation that was looked at, the best first. `step` counts from 1."""

    request: int
    step: int
    nodes: tuple[BeamNode, ...]


@dataclass(frozen=True)
class BeamsFound:
    """What a beam search found, the best first; fewer than its width only where it was cancelled, or there is nothing else to say.

    `why` it ended: `length`, `better` (no living beam could overtake those that ended), `full`, `context`, `cancelled`.
    """

    request: int
    beams: tuple[BeamFound, ...]
    why: str
    tokens: int
    """that were computed, of all beams together"""
    decode_s: float
    arithmetic: str = "engine"
    """`engine`: as in a chat; `f32`: without its rounding"""
