"""A capture as its readers have it: maps, rows, means, thumbnails, scores and rollout of a file that is mapped into memory.

What was computed again or unpacked is kept for a while, the longest unused going first.
"""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from playground.errors import Cancelled, DataError, SettingError
from playground.inside import pooling, recompute
from playground.inside.layout import Header, gone, open_header
from playground.inside.rollout import rollout, rollout_row

KEPT = 256 << 20
"""bytes of maps that are kept, codes and float32 together"""
ROWS = 64
"""of a head that are computed again at a time: as many as stay in the processor's cache"""

Map = NDArray[np.float32]
Codes = NDArray[np.uint8]
Stop = Callable[[], bool]
"""asked between heads by what takes long: whether nobody waits for it any more; then it ends with `Cancelled`"""


def never() -> bool:
    return False


class Capture:
    """`layer` and `head` are the model's numbers, as in `header.layers` and `header.heads`; SettingError for others.

    Every map is [tokens, tokens]: row i is what token i looks at; of a cross attention [the target's tokens, the source's]. Maps that are given
    out are shared: they are not to be written to.
    Every method may be called from any thread. NotFoundError once the file is gone: it is asked for at every look, although the system would
    keep serving it.
    """

    def __init__(self, path: Path, keep: int = KEPT) -> None:
        """Opens it. NotFoundError, DataError. `keep`: bytes of maps to hold."""
        self.path = path
        self.header, found = open_header(path)
        self._arrays = found.arrays
        try:
            self._data: Any = np.memmap(path, np.uint8, "r")
            self._stamp = (found.bytes, path.stat().st_mtime_ns)
        except FileNotFoundError:
            raise gone(path) from None
        except (OSError, ValueError) as error:
            raise DataError(f"{path.name} cannot be read ({error}).", "Capture it again.") from None
        self._cache: OrderedDict[tuple[Any, ...], NDArray[Any]] = OrderedDict()
        self._held, self._most = 0, keep
        self._lock = threading.Lock()  # over the cache, never while a map is computed
        self.scores: NDArray[np.float32] = np.array(self._part("scores"))
        """[layers, heads, scores] in the order of `header.score_names` (`head_scores` says what each is); NaN where the text cannot tell"""

    def close(self) -> None:
        with self._lock:
            self._cache.clear()
            self._held = 0
        mapping = getattr(self._data, "_mmap", None)
        self._data = None
        if mapping is not None:
            with suppress(BufferError):  # somebody still looks at a thumbnail
                mapping.close()

    @property
    def whole(self) -> bool:
        """Whether its file is still there, as it was opened"""
        try:
            return self._stamp_now() == self._stamp
        except OSError:
            return False

    def _stamp_now(self) -> tuple[int, int]:
        stat = self.path.stat()
        return stat.st_size, stat.st_mtime_ns

    # -- pictures

    def thumbnails(self) -> Codes:
        """Codes: of every head the maximum of what falls into each cell.

        [layers, heads, `header.side`, `header.column_side`].
        """
        self._there()
        return np.array(self._part("thumbs"))

    def codes(self, layer: int, head: int) -> Codes:
        """A map as codes: round(255 * sqrt(weight))."""
        if self.header.encoding == "u8":
            return self._remembered(("codes", layer, head), lambda: self._unpacked(layer, head))
        return self._remembered(("codes", layer, head), lambda: pooling.encode(self.map(layer, head)))

    def pyramid(self, layer: int, head: int) -> list[Codes]:
        """The codes and their halvings by maximum, down to 64 cells a side."""
        return pooling.pyramid(self.codes(layer, head))

    # -- numbers

    def map(self, layer: int, head: int) -> Map:
        """The weights. Of `u8` to 0.004, of the other encodings to 1e-5 (qk16: 0.02)."""
        if self.header.encoding == "u8":
            return pooling.decode(self.codes(layer, head))
        if self.header.encoding == "f32":
            return self._remembered(("map", layer, head), lambda: self._unpacked(layer, head))
        return self._remembered(("map", layer, head), lambda: self._recomputed(layer, head))

    def row(self, layer: int, head: int, row: int) -> Map:
        """What one token looks at, [tokens]. Of a head that is not at hand only this row is computed."""
        if not 0 <= row < self.header.length:
            raise SettingError(f"There is no token {row} in this text of {self.header.length:,}.")
        key = ("map", layer, head)
        if self.header.recomputed and key not in self._cache:
            self._there()
            return np.asarray(self._recomputed(layer, head, row, row + 1)[0], np.float32)
        return np.array(self.map(layer, head)[row])

    def mean(self, layer: int, stop: Stop = never) -> Map:
        """The mean of a layer's captured heads."""

        def compute() -> Map:
            total = np.zeros((self.header.length, self.header.width), np.float32)
            for head in self.header.heads:
                if stop():
                    raise Cancelled("Nobody waits for this mean any more.")
                total += self._fresh(layer, head)
            total /= len(self.header.heads)
            return total

        return self._remembered(("mean", layer), compute)

    def mean_row(self, layer: int, row: int) -> Map:
        """One row of a layer's mean, [tokens], without computing the others where that is spared."""
        if ("mean", layer) in self._cache:
            return np.array(self.mean(layer)[row])
        rows = [self.row(layer, head, row) for head in self.header.heads]
        return np.asarray(np.mean(rows, axis=0), np.float32)

    def mean_of_all(self, stop: Stop = never) -> Map:
        """The mean of all captured layers and heads."""
        total = np.zeros((self.header.length, self.header.width), np.float32)
        for layer in self.header.layers:
            total += self.mean(layer, stop)
        return total / np.float32(len(self.header.layers))

    def rollout(self, upto: int | None = None, stop: Stop = never) -> Map:
        """Attention rollout through the layers from the first to `upto` (the last). SettingError where some of them, or heads, are missing."""
        layers = self._whole(upto)
        return rollout(self.mean(layer, stop) for layer in layers)

    def rollout_row(self, row: int, upto: int | None = None, stop: Stop = never) -> Map:
        """One row of the rollout, [tokens]."""
        layers = self._whole(upto)
        if not 0 <= row < self.header.length:
            raise SettingError(f"There is no token {row} in this text of {self.header.length:,}.")
        return rollout_row(lambda place: self.mean(layers[place], stop), len(layers), row)

    def score(self, name: str) -> NDArray[np.float32]:
        """One score of all heads, [layers, heads]."""
        if name not in self.header.score_names:
            raise SettingError(f"There is no score '{name}'.", f"There are {', '.join(self.header.score_names)}.")
        return self.scores[:, :, self.header.score_names.index(name)]

    # -- inside

    def _place(self, layer: int, head: int) -> tuple[int, int]:
        header = self.header
        for what, number, captured in (("layer", layer, header.layers), ("head", head, header.heads)):
            if number not in captured:
                raise SettingError(f"There is no {what} {number} in this capture.", f"It has {_spans(captured)}.")
        return header.layers.index(layer), header.heads.index(head)

    def _whole(self, upto: int | None) -> tuple[int, ...]:
        header = self.header
        if header.part == "cross":
            raise SettingError(
                "Rollout follows one text through the layers; cross attention goes from one text to another.",
                "Look at the encoder or the decoder.",
            )
        # Layers that are no attention (a hybrid's) are nothing to follow: what counts is that none was left out.
        if len(header.layers) < header.model_layers or len(header.heads) < header.model_heads:
            raise SettingError("Rollout needs all layers and heads, and this capture has some of them.", "Capture all of them.")
        if upto is not None and upto not in header.layers:
            raise SettingError(f"There is no layer {upto} in this capture.", f"It has {_spans(header.layers)}.")
        return header.layers if upto is None else header.layers[: header.layers.index(upto) + 1]

    def _part(self, name: str) -> NDArray[Any]:
        if self._data is None:
            raise DataError(f"The capture {self.path.stem} was closed.", "Open it again.")
        array = self._arrays[name]
        raw = self._data[array.offset : array.offset + array.bytes]
        return np.asarray(raw).view(array.dtype).reshape(array.shape)

    def _there(self) -> None:
        """A file that was cut short ends the process at a look; one that was deleted, or written over, should be said."""
        try:
            stamp = self._stamp_now()
        except OSError:
            raise gone(self.path) from None
        if stamp != self._stamp:
            raise DataError(f"{self.path.name} was changed by another program.", "Capture it again.")

    def _remembered(self, key: tuple[Any, ...], make: Callable[[], NDArray[Any]]) -> NDArray[Any]:
        self._there()
        with self._lock:
            if key in self._cache:
                self._cache.move_to_end(key)
                return self._cache[key]
        found = make()
        found.setflags(write=False)
        with self._lock:
            if key in self._cache:  # another thread was asked the same
                return self._cache[key]
            self._cache[key] = found
            self._held += found.nbytes
            while self._held > self._most and len(self._cache) > 1:
                _, old = self._cache.popitem(last=False)
                self._held -= old.nbytes
        return found

    def _fresh(self, layer: int, head: int) -> Map:
        """A map that is not kept: a mean over many heads would push everything else out."""
        kept = self._cache.get(("map", layer, head))
        if kept is not None:
            return kept
        if self.header.recomputed:
            return self._recomputed(layer, head)
        found = self._unpacked(layer, head)
        return pooling.decode(found) if self.header.encoding == "u8" else found

    def _unpacked(self, layer: int, head: int) -> NDArray[Any]:
        place = self._place(layer, head)
        length = self.header.length
        cells = self._part("maps")[place]
        if not self.header.causal:
            return np.array(cells).reshape(length, self.header.width)
        found = np.zeros((length, length), cells.dtype)
        found[np.tri(length, dtype=bool)] = cells
        return found

    def _recomputed(self, layer: int, head: int, first: int = 0, end: int | None = None) -> Map:
        layer_at, head_at = self._place(layer, head)
        end = self.header.length if end is None else end
        first_, cap, last = (float(each) for each in self._part("rules")[layer_at])
        sink = float(self._part("sinks")[layer_at, head])
        keys = np.ascontiguousarray(self._part("keys")[layer_at, :, self.header.group(head)], np.float32)
        queries = np.ascontiguousarray(self._part("queries")[layer_at, first:end, head_at], np.float32)
        bounds = self._part("bounds")[layer_at, first:end].clip(0, self.header.width - 1)  # whatever a damaged file says
        found = np.zeros((end - first, self.header.width), np.float32)
        for start in range(0, end - first, ROWS):
            rows = slice(start, min(end - first, start + ROWS))
            low, high = int(bounds[rows, 0].min()), int(bounds[rows, 1].max()) + 1
            found[rows, low:high] = recompute.weights(
                queries[rows],
                keys[low:high],
                recompute.Rule(first_, cap, last),
                bounds[rows] - low,
                None if np.isnan(sink) else sink,
            )
        return found


def export(capture: Capture, target: Path, layers: tuple[int, ...] = (), heads: tuple[int, ...] = ()) -> tuple[int, ...]:
    """Writes weights as a `.npy` file, float32 [layers, heads, rows, columns], beside its name and renamed when whole. Returns the shape.

    None of `layers` or `heads`: all that were captured. OSError where the disk will not.
    """
    header = capture.header
    layers, heads = layers or header.layers, heads or header.heads
    shape = (len(layers), len(heads), header.length, header.width)
    part = target.with_name(target.name + ".part")
    try:
        with part.open("wb") as file:
            about = {"descr": "<f4", "fortran_order": False, "shape": shape}
            np.lib.format.write_array_header_1_0(file, about)
            for layer in layers:
                for head in heads:
                    file.write(np.ascontiguousarray(capture.map(layer, head), "<f4").data)
            file.flush()
            os.fsync(file.fileno())
        part.replace(target)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    return shape


def header_of(path: Path) -> Header:
    """What a capture is of, without opening its maps."""
    return open_header(path)[0]


def _spans(numbers: tuple[int, ...]) -> str:
    """Numbers as a person writes them: `0 to 11`, `3, 5`."""
    if len(numbers) > 2 and numbers == tuple(range(numbers[0], numbers[-1] + 1)):
        return f"{numbers[0]} to {numbers[-1]}"
    return ", ".join(map(str, numbers)) or "none"
