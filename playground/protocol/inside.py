"""Looking inside a model while it reads a text. Bulk data lies in files, the messages name them."""

from __future__ import annotations

from dataclasses import dataclass

from playground.protocol.parts import ChatMessage, PromptToken


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
    target_text: str = ""
    """of a model that reads one text and writes another: what it writes; empty: what it would write, greedily"""
    parts: tuple[str, ...] = ()
    """of such a model: which of `inside.layout.PARTS`, all where none is named. The file of each has the part's name behind its own"""
    weights: str = ""
    """a file that all weights are to be written to afterwards, in float32: it is refused too where there is no room for that"""


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
    paths: tuple[str, ...] = ()
    """of a model with several parts: the file of each"""


@dataclass(frozen=True)
class Lens:
    """Read every layer's state as a prediction of the next token (the logit lens); answered by `Progress` and `Lensed`.

    The text is made as `Score`'s. A `Cancel` leaves nothing behind.
    """

    request: int
    target: str
    """the file that comes into being when it is whole, as `inside.lens` reads it"""
    messages: tuple[ChatMessage, ...] = ()
    text: str = ""
    reply_start: str = ""
    prompt_ids: tuple[int, ...] = ()
    positions: tuple[int, ...] = ()
    """tokens of the text after which a prediction is read, from the end where below 0; none for all"""
    top: int = 8
    """likeliest tokens of each prediction"""
    adapter_scale: float = 1.0


@dataclass(frozen=True)
class Lensed:
    """Answer to `Lens`: the file is whole."""

    request: int
    path: str
    tokens: tuple[PromptToken, ...]
    labels: tuple[tuple[int, str], ...]
    """a text for every token that is among the likeliest somewhere"""
    gap: float
    """largest difference of the last layer's logits to the model's own, over the spread of these"""
    seconds: float


@dataclass(frozen=True)
class Embed:
    """Look up words in a model's table of tokens, without loading the model; answered by `Progress` and `Embedded`."""

    request: int
    model: str
    """the path of a GGUF file or a folder"""
    words: tuple[str, ...]
    count: int = 12
    """neighbours of each word"""
    table: str = "input"
    """`input`, or `output` where the model has a table of its own for it"""


@dataclass(frozen=True)
class EmbeddedWord:
    """A word as the table has it: the mean of the rows of its tokens."""

    text: str
    token_ids: tuple[int, ...]
    tokens: tuple[str, ...]
    norm: float
    """of the mean"""


@dataclass(frozen=True)
class Neighbour:
    """A token near a word: the cosine of the angle between their rows."""

    token_id: int
    text: str
    similarity: float


@dataclass(frozen=True)
class EmbeddedPoint:
    """A word (`token_id` -1) or a neighbour in the plane of the two main directions; `word`: whose it is, by its place."""

    text: str
    token_id: int
    word: int
    x: float
    y: float


@dataclass(frozen=True)
class Embedded:
    """Answer to `Embed`. `neighbours` has a row for each word, `matrix` the cosines of each word and each."""

    request: int
    words: tuple[EmbeddedWord, ...]
    neighbours: tuple[tuple[Neighbour, ...], ...]
    matrix: tuple[tuple[float, ...], ...]
    points: tuple[EmbeddedPoint, ...]
    explained: tuple[float, float]
    """share of the points' variance along x and y"""
    table: str
    """the tensor's name"""
    rows: int
    width: int
    kind: str
    """the number format it is stored in"""
    tied: bool
    """whether input and output are one table"""
