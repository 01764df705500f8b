"""Writes a capture, layer by layer and row by row, beside its final name. Holds a chunk of rows at a time, and no map.

By writes and not through a memory map: what is mapped counts as this process's memory until the system has written it.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from playground.errors import DataError, ModelFileError, StorageError
from playground.inside import pooling, recompute
from playground.inside.head_scores import HeadScores
from playground.inside.layout import Header, encoded, layout

PART = ".part"
BLOCK = 1 << 18
"""weights that are worked on at a time: what is made of them stays in the processor's cache"""

Floats = NDArray[np.float32]


class NotCausal(Exception):
    """A token has seen a later one, in a capture that was begun as causal."""


class Writer:
    """`layer` is a place among the captured layers. The file has its name once `finish` returns; `discard` leaves nothing.

    Of a capture with queries and keys, a chunk's `queries_and_keys` come before its `rows`, which are held against them.
    """

    def __init__(self, target: Path, header: Header, tolerance: float = 1e-3) -> None:
        """`tolerance`: how far a weight computed again may be from the engine's own. StorageError where the file cannot be made."""
        self.header = header
        self._target = target
        self._part = target.with_name(f"{target.name}.{os.getpid()}{PART}")
        self._tolerance = tolerance
        self._heads = list(header.heads)
        self._all_heads = self._heads == list(range(header.model_heads))
        start = encoded(header)
        self._layout = layout(header, len(start))
        self._thumbs = [np.zeros((len(self._heads), header.side, header.column_side), np.uint8) for _ in header.layers]
        ids = [each.id for each in header.tokens]
        cross = header.part == "cross"
        self._scores = [HeadScores(ids, len(self._heads), header.causal, cross) for _ in header.layers]
        self._rules: dict[int, tuple[recompute.Rule, Floats | None]] = {}
        self._done = np.zeros(len(header.layers), np.int64)
        """rows of each layer that have come"""
        self._explained = np.zeros(len(header.layers), np.int64)
        """how far into the text a row of each layer was last computed again"""
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            self._file = self._part.open("w+b", buffering=0)
            self._write(0, start)
            self._file.truncate(self._layout.bytes)
        except OSError as error:
            self.discard()
            raise self._cannot(error) from error

    # -- what comes from the engine

    def rows(self, layer: int, start: int, weights: Floats) -> None:
        """Post-softmax rows `start` and following of all heads of the model: [heads, rows, columns]; a causal one's may end at the last row's own.

        ModelFileError where they are no numbers, DataError where queries and keys do not explain them, NotCausal.
        """
        if not self._all_heads:
            weights = weights[self._heads]
        heads, count, columns = weights.shape
        flat = None if self.header.recomputed else self._flat(heads, start, count)
        step, filled = max(1, BLOCK // (heads * columns)), 0
        for first in range(0, count, step):
            block = self._checked(weights[:, first : first + step], start + first)
            codes = pooling.encode(block)
            pooling.pool_rows(codes, start + first, self.header.length, self._thumbs[layer], self.header.width)
            self._scores[layer].add(start + first, block)
            if flat is not None:
                filled = self._pack(codes if self.header.encoding == "u8" else block, start + first, flat, filled)
        if flat is None:
            self._explain(layer, start + count - 1, weights[:, -1])
        else:
            for head, row in enumerate(flat):
                self._put("maps", (layer, head, self._cells(start)), row)
        self._done[layer] += count

    def queries_and_keys(self, layer: int, start: int, queries: Any, keys: Any) -> None:
        """Of tokens `start` and following: [tokens, heads of the model, width] and [tokens, groups, width], after the rotation of positions.

        In cross attention keys are of the source's tokens, all of them at once.
        """
        queries = queries if self._all_heads else queries[:, self._heads]
        for name, values in (("queries", queries), ("keys", keys)):
            with np.errstate(over="ignore"):
                data = np.ascontiguousarray(values, self._layout.arrays[name].dtype)
            if not np.isfinite(data).all():
                raise DataError(
                    f"The {name} of this text do not fit into 16 bits.", "Look at a shorter text, or at fewer layers and heads."
                )
            self._put(name, (layer, start), data)

    def rule(self, layer: int, rule: recompute.Rule, sinks: Any = None) -> None:
        """How queries and keys become weights in a layer. `sinks`: a logit for each head of the model, None for none."""
        found = None if sinks is None else np.ascontiguousarray(sinks, np.float32)
        self._rules[layer] = rule, found
        self._put("rules", (layer,), np.array([rule.first, rule.cap, rule.last], "<f4"))
        none = np.full(self.header.model_heads, np.nan, "<f4")
        self._put("sinks", (layer,), none if found is None else found.astype("<f4"))

    def bounds(self, layer: int, start: int, seen: NDArray[np.bool_]) -> None:
        """Which tokens rows `start` and following see: [rows, columns]. DataError for a mask with gaps."""
        self.spans(layer, start, bounds_of(seen))

    def spans(self, layer: int, start: int, bounds: NDArray[np.int32]) -> None:
        """The same by the first and the last token that each row sees: [rows, 2]."""
        self._put("bounds", (layer, start), bounds)

    # -- its end

    def finish(self) -> Path:
        """Gives the file its name. StorageError where the disk would not."""
        if (self._done != self.header.length).any():
            raise ModelFileError("The model gave no attention for some of its layers.", "Look at another model.")
        try:
            self._write(self._layout.arrays["thumbs"].offset, np.stack(self._thumbs).tobytes())
            scores = np.stack([each.scores() for each in self._scores])
            self._write(self._layout.arrays["scores"].offset, scores.astype("<f4").tobytes())
            os.fsync(self._file.fileno())
            self._file.close()
            os.replace(self._part, self._target)
        except OSError as error:
            self.discard()
            raise self._cannot(error) from error
        return self._target

    def discard(self) -> None:
        """Leaves nothing behind. May be called at any time before `finish`."""
        with suppress(OSError, AttributeError):
            self._file.close()
        with suppress(OSError):
            self._part.unlink()

    # -- inside

    def _checked(self, weights: Floats, start: int) -> Floats:
        """Rows as far as there is something to see in them."""
        with np.errstate(invalid="ignore", over="ignore"):
            whole = np.isfinite(weights.sum(axis=2)).all()
        if not whole:
            raise ModelFileError(
                "The model's attention has values that are no numbers.", "Its weights are damaged: download it again."
            )
        if not self.header.causal:
            return weights
        end = start + weights.shape[1]
        if weights[:, :, end:].max(initial=0) > 0 or np.triu(weights[:, :, start:end], 1).any():
            raise NotCausal
        return weights[:, :, :end]

    def _cells(self, rows: int) -> int:
        """Cells of a map that lie before a row"""
        return rows * (rows + 1) // 2 if self.header.causal else rows * self.header.width

    def _flat(self, heads: int, start: int, count: int) -> NDArray[Any]:
        return np.empty((heads, self._cells(start + count) - self._cells(start)), self._layout.arrays["maps"].dtype)

    def _pack(self, values: NDArray[Any], start: int, flat: NDArray[Any], filled: int) -> int:
        """Puts rows one behind the other, without what a causal one cannot see; how many cells of `flat` there are now."""
        for place in range(values.shape[1]):
            seen = start + place + 1 if self.header.causal else self.header.width
            flat[:, filled : filled + seen] = values[:, place, :seen]
            filled += seen
        return filled

    def _explain(self, layer: int, row: int, weights: Floats) -> None:
        """Whether a row computed again from the file is what the engine computed: whatever else it does with attention shows here.

        Each such row reads all keys before it: the last one is looked at, and before it those that are twice as far into the text.
        """
        if row + 1 < min(2 * self._explained[layer], self.header.length):
            return
        self._explained[layer] = row + 1
        rule, sinks = self._rules[layer]
        queries = self._get("queries", (layer, row), 1)[0]
        keys = self._get("keys", (layer,), row + 1 if self.header.causal else self.header.width)
        bounds = self._get("bounds", (layer, row), 1)
        for place, head in enumerate(self._heads):
            sink = None if sinks is None else float(sinks[head])
            found = recompute.weights(queries[place : place + 1], keys[:, self.header.group(head)], rule, bounds, sink)[0]
            # Keys in 16 bits are as inexact as that.
            allowed = max(self._tolerance, 0.02 if self.header.encoding == "qk16" else 0.0)
            if float(np.abs(found - weights[place, : len(found)]).max()) > allowed:
                raise cannot_recompute("queries and keys alone do not give its weights")

    def _put(self, name: str, at: tuple[int, ...], values: NDArray[Any]) -> None:
        array = self._layout.arrays[name]
        data = np.ascontiguousarray(values, array.dtype).reshape(-1)
        try:
            self._write(array.offset + _index(array.shape, at) * data.itemsize, data.view(np.uint8).data)
        except OSError as error:
            raise self._cannot(error) from error

    def _get(self, name: str, at: tuple[int, ...], count: int) -> NDArray[Any]:
        array = self._layout.arrays[name]
        kind = np.dtype(array.dtype)
        shape = (count, *array.shape[2:])
        self._file.seek(array.offset + _index(array.shape, at) * kind.itemsize)
        wanted = int(np.prod(shape)) * kind.itemsize
        data = bytearray()
        while len(data) < wanted and (part := self._file.read(wanted - len(data))):
            data += part
        return np.frombuffer(bytes(data), kind).reshape(shape)

    def _write(self, at: int, data: bytes | memoryview) -> None:
        self._file.seek(at)
        rest = memoryview(data)
        while rest:
            rest = rest[self._file.write(rest) or 0 :]

    def _cannot(self, error: OSError) -> StorageError:
        return StorageError(
            f"The capture could not be written ({error.strerror or error}).", "Make room on the disk, or look at fewer layers."
        )


def cannot_recompute(why: str) -> DataError:
    """For a long text and a model whose heads cannot be computed again."""
    return DataError(
        f"Attention over a text this long cannot be kept for this model: {why}.",
        "Take a text of at most 512 tokens, or ask for exact weights (--exact), which take more room.",
    )


def bounds_of(seen: NDArray[np.bool_]) -> NDArray[np.int32]:
    """The first and the last token that each row of a mask [rows, columns] sees. DataError for a mask with gaps."""
    found = recompute.bounds_of(seen)
    if found is None:
        raise cannot_recompute("its mask hides tokens in between")
    return found


def _index(shape: tuple[int, ...], at: tuple[int, ...]) -> int:
    """Elements before a place, given by its first indices."""
    found = 0
    for place, size in enumerate(shape):
        found = found * size + (at[place] if place < len(at) else 0)
    return found
