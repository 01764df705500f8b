"""Looking inside a model while it reads a text. Bulk data lies in files, the messages name them."""

from __future__ import annotations

from dataclasses import dataclass

from playground.protocol.parts import ChatMessage


@dataclass(frozen=True)
class Capture:
    """Write the attention over a text, in all layers and heads or some, to a file (`playground.inside`); answered by `Progress` and `Captured`.

    The text is made as `Score`'s. A `Cancel` leaves nothing behind.
    """

    request: int
    target: str
    """the file that comes into being when it is whole"""
    messages: tuple[ChatMessage, ...] = ()
    text: str = ""
    reply_start: str = ""
    prompt_ids: tuple[int, ...] = ()
    layers: tuple[int, ...] = ()
    """numbers in the model; none for all"""
    heads: tuple[int, ...] = ()
    """numbers in each layer; none for all"""
    exact: bool = False
    """keep the weights in float32, whatever that takes"""
    adapter_scale: float = 1.0
    limit: int = 1 << 62
    """bytes beyond which it is refused"""
    model: str = ""
    """a folder to load for this alone, as encoders are; empty for the model that is loaded"""


@dataclass(frozen=True)
class Captured:
    """Answer to `Capture`: the file is whole. `encoding` is one of `inside.layout.ENCODINGS`; `layers` and `heads` are the captured ones."""

    request: int
    path: str
    bytes: int
    tokens: int
    layers: tuple[int, ...]
    heads: tuple[int, ...]
    encoding: str
    seconds: float
    """with writing, without loading"""
