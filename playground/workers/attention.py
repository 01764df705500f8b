"""What every engine has in common in capturing attention: which layers and heads, how large, whether there is room, the file from start to end.

Knows neither engine: `attention_llama` and `attention_torch` compute, `playground.inside` keeps.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

from playground.errors import Cancelled, ContextFullError, MemoryShortError, SettingError
from playground.inside import store
from playground.inside.layout import Header, Token, encoded, encoding_for, layout
from playground.inside.writer import NotCausal, Writer
from playground.protocol import Capture, Captured, Progress, PromptToken
from playground.workers.base import Link
from playground.workers.machine import free_memory

MARGIN = 128 << 20
"""bytes of memory that stay free"""


@dataclass(frozen=True)
class Shape:
    """The attention that a model has. `layers`: the numbers of those that have any; `width` of a query, in elements."""

    layers: tuple[int, ...]
    heads: int
    kv_heads: int
    width: int
    causal: bool = True


@dataclass(frozen=True)
class About:
    """What goes into the file's header of the model."""

    model: str
    path: str
    sha256: str
    engine: str
    build: str
    precision: str
    adapter: str = ""
    notes: tuple[str, ...] = field(default=())


class Source(Protocol):
    """An engine with a model."""

    exact: bool
    """whether it computes in float32"""
    most: int
    """tokens that the model has positions for, whatever window it was loaded with"""

    def shape(self) -> Shape:
        """ModelFileError, with a sentence, for a model whose attention cannot be had."""

    def memory(self, shape: Shape, length: int) -> int:
        """Bytes that capturing a text takes beside the model, at most."""

    def run(
        self, writer: Writer, shape: Shape, ids: Sequence[int], stop: Callable[[], bool], on_progress: Callable[[float], None]
    ) -> None:
        """Computes the text and gives `writer` all rows (and queries and keys where its header says so). Cancelled."""


def capture(link: Link, command: Capture, tokens: Sequence[PromptToken], window: int, about: About, source: Source) -> None:
    """Answers a `Capture` of these tokens: `Progress`, then `Captured`. What is refused is refused before anything is computed at length."""
    if not tokens:
        raise SettingError("There is no text to look into.", "Give a text of at least one token.")
    window = min(window, source.most)
    if len(tokens) > window:
        raise ContextFullError(
            f"The text has {len(tokens):,} tokens; the context window holds {window:,}.",
            "Shorten it, or load the model with a larger context window.",
        )
    shape = source.shape()
    header = _header(command, tokens, about, source, shape)
    size = layout(header, len(encoded(header))).bytes
    target = Path(command.target)
    store.refuse_too_large(target, size, command.limit)
    needed, free = source.memory(shape, len(tokens)), max(0, free_memory() - MARGIN)
    if needed > free:
        raise MemoryShortError(
            f"Capturing {len(tokens):,} tokens takes up to {store.amount(needed)} of memory; {store.amount(free)} are free.",
            "Take a shorter text, or close other programs.",
        )
    link.send(Progress(command.request, 0.0, f"attention, {store.amount(size)}"))

    def stop() -> bool:
        return link.pending and link.cancelled(command.request)

    def tell(fraction: float) -> None:
        link.send(Progress(command.request, fraction, "attention"))

    started = time.perf_counter()
    try:
        path = _write(target, header, shape, source, tokens, stop, tell)
    except NotCausal:
        header = replace(header, causal=False)
        store.refuse_too_large(target, layout(header, len(encoded(header))).bytes, command.limit)
        path = _write(target, header, replace(shape, causal=False), source, tokens, stop, tell)
    seconds = time.perf_counter() - started
    link.send(
        Captured(
            command.request, str(path), path.stat().st_size, len(tokens), header.layers, header.heads, header.encoding, seconds
        )
    )


def _write(
    target: Path,
    header: Header,
    shape: Shape,
    source: Source,
    tokens: Sequence[PromptToken],
    stop: Callable[[], bool],
    tell: Any,
) -> Path:
    writer = Writer(target, header, 1e-3 if source.exact else 0.1)
    try:
        source.run(writer, shape, [each.token_id for each in tokens], stop, tell)
        if stop():
            raise Cancelled("The capture was stopped.")
        return writer.finish()
    except BaseException:
        writer.discard()
        raise


def _header(command: Capture, tokens: Sequence[PromptToken], about: About, source: Source, shape: Shape) -> Header:
    layers = _chosen("layer", command.layers, shape.layers)
    heads = _chosen("head", command.heads, tuple(range(shape.heads)))
    encoding = encoding_for(len(layers), len(heads), shape.kv_heads, shape.width, len(tokens), command.exact)
    notes = list(about.notes)
    if not source.exact:
        notes.append(f"Computed in {about.precision}: weights are rounded as the model rounds them.")
    return Header(
        encoding=encoding,
        causal=shape.causal,
        layers=layers,
        heads=heads,
        model_layers=len(shape.layers),
        model_heads=shape.heads,
        kv_heads=shape.kv_heads,
        head_width=shape.width,
        tokens=tuple(Token(each.token_id, each.text, each.special) for each in tokens),
        model=about.model,
        model_path=about.path,
        model_sha256=about.sha256,
        adapter=about.adapter,
        engine=about.engine,
        engine_build=about.build,
        precision=about.precision,
        created=time.time(),
        left_out=tuple(notes),
    )


def _chosen(what: str, wanted: Sequence[int], there: tuple[int, ...]) -> tuple[int, ...]:
    """The wanted ones in order, all where none are named. SettingError for one that the model does not have."""
    if not wanted:
        return there
    for each in wanted:
        if each not in there:
            raise SettingError(
                f"The model has no {what} {each} with attention.", f"Its {what}s go from {there[0]} to {there[-1]}."
            )
    return tuple(sorted(set(wanted)))
