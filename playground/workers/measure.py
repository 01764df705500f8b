"""The quality worker: what a model's next-token distributions have lost against an original's, on a text.

As llama.cpp's perplexity tool does it (tools/perplexity/perplexity.cpp, `perplexity` and `kl_divergence`), so that figures can be held
beside published ones: the text is cut into tokens once, without recognising control tokens; windows of `context` tokens follow each other
without overlap, a rest is left out; the first token of each window is replaced by the beginning-of-text token where the model wants one;
the cache is empty at each window's start; and of n tokens the predictions after places n // 2 to n - 2 are scored, so that every one has at
least half a window before it. The formulas are in `decoding.divergence`. That tool wants two windows of text; here one will do.

Where the original's logits come from: `base` names a folder in which they are kept, as float32 (exact: an identical model has a divergence
of exactly 0). A worker that finds none there measures the original and leaves them; one that finds them measures the other models without
loading the original. That way each model has a process of its own, started by the session, and the growth of its resident memory is that
of this model and nothing else. Without `base` (no room on the disk) both models are loaded, and the original is computed again for each.

Speed and memory are taken in a context as a chat has it, before anything is scored. One model after the other: on a machine that does
other work meanwhile, small differences in speed say nothing.

Knows no database and no quantizing.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from playground.decoding import divergence
from playground.errors import Cancelled, DataError, ModelFileError, SettingError
from playground.protocol import Finished, MeasureQuality, Progress, QualityMeasured, QualityRow
from playground.workers.base import Link
from playground.workers.measure_base import Base, Text

LEAST_CONTEXT = 16
TELL_S = 0.1

Rows = NDArray[np.float32]


class Scorer(Protocol):
    """A loaded model to measure; `measure_llama.Gguf` says what each is."""

    path: Path
    name: str
    quantization: str
    n_vocab: int
    size: int
    bits_per_weight: float
    prompt_tokens_per_s: float
    decode_tokens_per_s: float
    resident: int

    @property
    def bos(self) -> int | None: ...

    def tokenize(self, text: str, special: bool) -> list[int]: ...

    def try_out(self, tokens: Sequence[int]) -> None: ...

    def score(self, window: Sequence[int], first: int) -> Iterator[Rows]: ...

    def close(self) -> None: ...


class Measure:
    """The role."""

    def __init__(self, link: Link) -> None:
        self._link = link

    def commands(self) -> Mapping[type, Callable[[Any], None]]:
        return {MeasureQuality: lambda command: _Measuring(self._link, command).go()}

    def close(self) -> None: ...


class _Measuring:
    """One command."""

    def __init__(self, link: Link, command: MeasureQuality) -> None:
        if command.context < LEAST_CONTEXT:
            raise SettingError(f"A window of {command.context} tokens is too short to measure on.", "Take 512.")
        self._link, self._command = link, command
        self._base = Base(Path(command.base)) if command.base else None
        self._alone = self._base is None or not self._base.whole
        """whether the original has to be measured too"""
        self._models = len(command.models) + self._alone
        self._done = 0
        self._told = 0.0
        self._stopped = False

    def go(self) -> None:
        original: Scorer | None = None
        try:
            if self._alone:
                original = self._load(Path(self._command.original))
                text = self._cut(original)
                self._measure_original(original, text)
                if self._base is not None:
                    original.close()
                    original = None
            else:
                assert self._base is not None
                text = self._base.text()
            for path in self._command.models:
                self._measure_other(Path(path), text, original)
        finally:
            if original is not None:
                original.close()
            if self._base is not None:
                self._base.close()
        self._link.send(Finished(self._command.request))

    # -- models

    def _measure_original(self, scorer: Scorer, text: Text) -> None:
        base = self._base

        def pairs(number: int) -> Iterator[tuple[Rows, Rows]]:
            for rows in scorer.score(text.window(number), text.first):
                if base is not None:
                    base.add(rows)
                yield rows, rows

        if base is not None:
            base.begin(text)
        self._scan(scorer, text, pairs)
        if base is not None:
            base.end()

    def _measure_other(self, path: Path, text: Text, original: Scorer | None) -> None:
        scorer = self._load(path)

        def pairs(number: int) -> Iterator[tuple[Rows, Rows]]:
            window = text.window(number)
            if original is not None:
                theirs = original.score(window, text.first)
            else:
                assert self._base is not None
                theirs = iter((self._base.rows(number),))
            return aligned(theirs, scorer.score(window, text.first))

        try:
            self._refuse_other_tokens(scorer, text)
            self._scan(scorer, text, pairs)
        finally:
            scorer.close()

    def _scan(self, scorer: Scorer, text: Text, pairs: Callable[[int], Iterator[tuple[Rows, Rows]]]) -> None:
        """Measures a model and sends its row. `pairs`: of each window the original's logits and the model's own, part by part."""
        self._tell(0.06, f"{scorer.path.name}: speed")
        scorer.try_out(text.ids)
        found: list[divergence.Places] = []
        for number in range(text.count):
            targets, at = text.targets(number), 0
            for theirs, mine in pairs(number):
                for places in divergence.compare(theirs, mine, targets[at : at + len(mine)]):
                    self._check(scorer, text, places)
                    found.append(places)
                at += len(mine)
            self._tell(0.2 + 0.8 * (number + 1) / text.count, f"{scorer.path.name}: window {number + 1} of {text.count}")
        self._done += 1
        self._link.send(QualityMeasured(self._command.request, _row(scorer, divergence.figures(found))))

    def _check(self, scorer: Scorer, text: Text, places: divergence.Places) -> None:
        if self._stop():
            raise Cancelled("Measuring was stopped.")
        if not np.isfinite(places.base_nll).all():
            raise _useless(text.original)
        if not places.usable:
            raise _useless(scorer.path.name)

    # -- the text

    def _cut(self, scorer: Scorer) -> Text:
        """The text in the original's tokens. DataError for one that cannot be read or is too short."""
        command = self._command
        ids = scorer.tokenize(_read(Path(command.text)), command.special)
        if scorer.bos is not None:  # one before the text, as the tool has it: it takes a place in the first window
            ids = [scorer.bos, *ids]
        count = len(ids) // command.context
        if not count:
            raise DataError(
                f"{Path(command.text).name} is too short to measure on: {len(ids):,} tokens, and a window has {command.context:,}.",
                "Take a longer text, or a smaller window (--context).",
            )
        count = min(count, command.chunks) if command.chunks > 0 else count
        return Text(tuple(ids), scorer.bos, command.context, count, scorer.n_vocab, scorer.path.name)

    def _refuse_other_tokens(self, scorer: Scorer, text: Text) -> None:
        """Distributions can only be compared over the same tokens."""
        ids = scorer.tokenize(_read(Path(self._command.text)), self._command.special)
        mine = tuple(ids if text.bos is None else [text.bos, *ids])
        if scorer.n_vocab != text.n_vocab or mine != text.ids:
            why = (
                f"{scorer.n_vocab:,} tokens in the vocabulary, not {text.n_vocab:,}"
                if scorer.n_vocab != text.n_vocab
                else "the same text gives other tokens"
            )
            raise DataError(
                f"{scorer.path.name} cannot be compared with {text.original}: {why}.",
                "Compare models made from the same original.",
            )

    # -- telling

    def _load(self, path: Path) -> Scorer:
        def progress(fraction: float) -> None:
            self._tell(0.05 * fraction, f"{path.name}: loading")

        progress(0.0)
        if path.is_dir():
            from playground.workers.measure_torch import Folder

            return Folder(path, self._stop, progress)
        from playground.workers.measure_llama import Gguf

        return Gguf(path, self._stop, progress)

    def _tell(self, fraction: float, what: str) -> None:
        now = time.monotonic()
        if now - self._told >= TELL_S:
            self._told = now
            self._link.send(Progress(self._command.request, (self._done + fraction) / self._models, what))

    def _stop(self) -> bool:
        self._stopped = self._stopped or (self._link.pending and self._link.cancelled(self._command.request))
        return self._stopped


def aligned(theirs: Iterator[Rows], mine: Iterator[Rows]) -> Iterator[tuple[Rows, Rows]]:
    """Two streams of rows cut in different places, as parts of equal length. Each stream is asked for more only when it is used up."""
    left: Rows = np.empty((0, 0), np.float32)
    right = left
    while True:
        left = left if len(left) else next(theirs, left)
        right = right if len(right) else next(mine, right)
        if not len(left) or not len(right):
            return
        count = min(len(left), len(right))
        yield left[:count], right[:count]
        left, right = left[count:], right[count:]


def _row(scorer: Scorer, found: divergence.Figures) -> QualityRow:
    return QualityRow(
        path=str(scorer.path),
        name=scorer.name,
        quantization=scorer.quantization,
        size=scorer.size,
        bits_per_weight=scorer.bits_per_weight,
        perplexity=found.perplexity,
        perplexity_error=found.perplexity_error,
        kl_divergence=found.kl,
        kl_error=found.kl_error,
        kl_p99=found.kl_p99,
        top1_agreement=found.top1_agreement,
        tokens=found.positions,
        prompt_tokens_per_s=scorer.prompt_tokens_per_s,
        decode_tokens_per_s=scorer.decode_tokens_per_s,
        resident=scorer.resident,
        log_ratio=found.log_ratio,
        log_ratio_error=found.log_ratio_error,
    )


def _useless(name: str) -> ModelFileError:
    return ModelFileError(
        f"{name} gives no usable numbers for the next token.", "Its weights are damaged: make it again, or download it again."
    )


def _read(path: Path) -> str:
    try:
        return path.read_text("utf-8", "replace")
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}.", "Choose another text file.") from error


def make(link: Link) -> Measure:
    return Measure(link)
