"""What every engine has in common in capturing attention: which layers and heads, how large, whether there is room, the file from start to end.

Knows neither engine: `attention_llama` and `attention_torch` compute, `playground.inside` keeps.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

from playground.errors import Cancelled, ContextFullError, MemoryShortError, SettingError
from playground.inside import store
from playground.inside.layout import Header, Token, encoded, encoding_for, layout
from playground.inside.writer import NotCausal, Writer
from playground.protocol import Capture, Captured, Progress, PromptToken
from playground.workers.base import Link
from playground.workers.machine import free_memory

MARGIN = 128 << 20
"""bytes of memory that stay free"""
WITH_SINKS = "Each head has learned a sink, which takes weight that no token gets: a row sums to less than 1."


@dataclass(frozen=True)
class Shape:
    """The attention that a model has. `layers`: the numbers of those that have any; `width` of a query, in elements."""

    layers: tuple[int, ...]
    heads: int
    kv_heads: int
    width: int
    causal: bool = True
    part: str = ""
    """of a model that reads one text and writes another: one of `inside.layout.PARTS`"""
    columns: tuple[PromptToken, ...] = ()
    """of cross attention: the source's tokens"""


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
    adapter_scale: float = 1.0
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

    def notes(self, length: int) -> tuple[str, ...]:
        """Sentences on what is not in these weights as one would think, once the shape is known."""

    def run(
        self, writer: Writer, shape: Shape, ids: Sequence[int], stop: Callable[[], bool], on_progress: Callable[[float], None]
    ) -> None:
        """Computes the text and gives `writer` all rows (and queries and keys where its header says so). Cancelled."""


@dataclass(frozen=True)
class Job:
    """A file to be written."""

    target: Path
    header: Header
    shape: Shape
    source: Source
    tokens: Sequence[PromptToken]

    @property
    def bytes(self) -> int:
        return layout(self.header, len(encoded(self.header))).bytes

    @property
    def weights(self) -> int:
        """Bytes of all weights in float32"""
        header = self.header
        return 4 * len(header.layers) * len(header.heads) * header.length * header.width


def capture(link: Link, command: Capture, tokens: Sequence[PromptToken], window: int, about: About, source: Source) -> None:
    """Answers a `Capture` of these tokens: `Progress`, then `Captured`. What is refused is refused before anything is computed at length."""
    write(link, command, [prepare(command, Path(command.target), tokens, window, about, source)])


def prepare(command: Capture, target: Path, tokens: Sequence[PromptToken], window: int, about: About, source: Source) -> Job:
    """Looks at what is to be captured, without computing it. SettingError, ContextFullError, ModelFileError."""
    if not tokens:
        raise SettingError("There is no text to look into.", "Give a text of at least one token.")
    window = min(window, source.most)
    if len(tokens) > window:
        raise ContextFullError(
            f"The text has {len(tokens):,} tokens; the context window holds {window:,}.",
            "Shorten it, or load the model with a larger context window.",
        )
    shape = source.shape()
    return Job(target, _header(command, tokens, about, source, shape), shape, source, tokens)


def write(link: Link, command: Capture, jobs: Sequence[Job]) -> None:
    """Computes and writes all files of a capture, or none. StorageError, MemoryShortError before anything is computed; Cancelled."""
    size = sum(job.bytes for job in jobs)
    store.refuse_too_large(jobs[0].target, size, command.limit)
    if command.weights:
        after = Path(command.weights)
        before = size if store.on_one_disk(jobs[0].target, after) else 0
        store.refuse_without_room(f"The file {after.name}", after, sum(job.weights for job in jobs), before)
    for job in jobs:
        needed, free = job.source.memory(job.shape, len(job.tokens)), max(0, free_memory() - MARGIN)
        if needed > free:
            raise MemoryShortError(
                f"Capturing {len(job.tokens):,} tokens takes up to {store.amount(needed)} of memory; {store.amount(free)} are free.",
                "Take a shorter text, or close other programs.",
            )
    link.send(Progress(command.request, 0.0, f"attention, {store.amount(size)}"))
    paths: list[Path] = []

    def stop() -> bool:
        return link.pending and link.cancelled(command.request)

    def tell(fraction: float) -> None:
        link.send(Progress(command.request, (len(paths) + fraction) / len(jobs), "attention"))

    started = time.perf_counter()
    try:
        for job in jobs:
            try:
                paths.append(_write(job, stop, tell))
            except NotCausal:
                both = replace(job, header=replace(job.header, causal=False), shape=replace(job.shape, causal=False))
                store.refuse_too_large(both.target, both.bytes, command.limit)
                paths.append(_write(both, stop, tell))
    except BaseException:
        for path in paths:
            path.unlink(missing_ok=True)
        raise
    seconds = time.perf_counter() - started
    path, last = paths[-1], jobs[-1]
    link.send(
        Captured(
            command.request,
            str(path),
            sum(each.stat().st_size for each in paths),
            len(last.tokens),
            last.header.layers,
            last.header.heads,
            last.header.encoding,
            seconds,
            tuple(map(str, paths)) if len(jobs) > 1 else (),
        )
    )


def _write(job: Job, stop: Callable[[], bool], tell: Callable[[float], None]) -> Path:
    writer = Writer(job.target, job.header, 1e-3 if job.source.exact else 0.1)
    try:
        job.source.run(writer, job.shape, [each.token_id for each in job.tokens], stop, tell)
        if stop():
            raise Cancelled("The capture was stopped.")
        return writer.finish()
    except BaseException:
        writer.discard()
        raise


def _header(command: Capture, tokens: Sequence[PromptToken], about: About, source: Source, shape: Shape) -> Header:
    layers = _chosen("layer", command.layers, shape.layers)
    heads = _chosen("head", command.heads, tuple(range(shape.heads)))
    longer = max(len(tokens), len(shape.columns))
    encoding = encoding_for(len(layers), len(heads), shape.kv_heads, shape.width, longer, command.exact)
    notes = [*about.notes, *source.notes(len(tokens))]
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
        tokens=_named(tokens),
        model=about.model,
        model_path=about.path,
        model_sha256=about.sha256,
        adapter=about.adapter,
        adapter_scale=about.adapter_scale if about.adapter else 1.0,
        engine=about.engine,
        engine_build=about.build,
        precision=about.precision,
        created=time.time(),
        left_out=tuple(notes),
        part=shape.part,
        columns=_named(shape.columns),
    )


def _named(tokens: Sequence[PromptToken]) -> tuple[Token, ...]:
    return tuple(Token(each.token_id, each.text, each.special) for each in tokens)


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
