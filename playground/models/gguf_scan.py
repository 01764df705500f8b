"""Long stretches of a GGUF header at once, in numpy: strings hopped over, a tensor table added up. Works on bytes at hand; reads no file.

A listing of 2,000 models goes through millions of such items, and an object for each would cost more than the disk does. Nothing here says
what is wrong with a header: what is not as it should be is left to `gguf_header`, which goes through it item by item.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .ggml_types import TYPES

_SLICE = 1 << 18
_LENGTH = struct.Struct("<Q")
_LINE = tuple(16 + 8 * axes for axes in range(5))
"""Bytes of a table's line behind the name, by the number of axes."""
_HIGHEST = max(TYPES)
_BLOCK, _NBYTES = np.zeros((2, _HIGHEST + 1), dtype=np.uint64)
for _number, _kind in TYPES.items():
    _BLOCK[_number], _NBYTES[_number] = _kind.block, _kind.nbytes


@dataclass(frozen=True, slots=True)
class TableSums:
    """A tensor table added up: elements and bytes by GGML's number of the format, where the last tensor ends, where the table does."""

    elements: dict[int, int]
    nbytes: dict[int, int]
    end: int
    position: int


def add_up(data: bytes, start: int, count: int, alignment: int) -> TableSums | None:
    """The sums of a table of `count` lines from data[start:]. None if anything about it is unusual or wrong.

    Raises IndexError if the table goes beyond the bytes at hand.
    """
    frame = _seen_frame(data, start, count) or _frame(data, start, count)
    if frame is None:
        return None
    at = start + frame.length
    if not count:
        return TableSums({}, {}, 0, at)
    words = _at(data, "<u8", frame.places, start)
    rows, offsets, kinds = words[:count], words[count : 2 * count], words[2 * count : 3 * count] & 0xFFFFFFFF
    sizes = rows.astype(np.float64)  # exact, as far as it is taken below
    done = 3 * count
    for lines in frame.further:
        sizes[lines] *= words[done : done + len(lines)]
        done += len(lines)
    if sizes.max() >= 1 << 50 or kinds.max() > _HIGHEST:
        return None
    places = int(np.bitwise_or.reduce(offsets))
    blocks = _BLOCK[kinds]
    if places >= 1 << 55 or places % alignment or not blocks.all() or (rows % blocks).any():
        return None
    elements = np.bincount(kinds.view(np.int64), weights=sizes, minlength=_HIGHEST + 1)
    if elements.sum() >= 1 << 53:  # beyond what the sums above hold exactly
        return None
    last = int((offsets + (sizes / blocks * _NBYTES[kinds]).astype(np.uint64)).max())
    found = {number: int(elements[number]) for number in np.flatnonzero(elements).tolist()}
    nbytes = {number: total // TYPES[number].block * TYPES[number].nbytes for number, total in found.items()}
    return TableSums(found, nbytes, last, at)


@dataclass(frozen=True, slots=True)
class _Frame:
    """What one model's table has in common with that of every other quantization and size of it: names, and numbers of axes."""

    length: int
    places: NDArray[np.int64]
    """where the words lie, counted from the table's beginning: every line's first axis, every offset, every number format (with half of
    the offset), and then the further axes"""
    further: tuple[NDArray[np.int64], ...]
    """the lines that have a second axis, a third, a fourth"""
    mask: NDArray[np.uint8]
    """255 at the bytes of lengths, names and numbers of axes, 0 at the others"""
    fixed: bytes
    """the table's bytes under the mask"""


_FRAMES_KEPT = 64
_frames: dict[int, list[_Frame]] = {}
"""Frames of well-formed tables, by the number of lines, the latest first."""


def _seen_frame(data: bytes, start: int, count: int) -> _Frame | None:
    for frame in _frames.get(count, ()):
        if start + frame.length <= len(data):
            table = np.frombuffer(data, np.uint8, frame.length, start)
            if (table & frame.mask).tobytes() == frame.fixed:
                return frame
    return None


def _frame(data: bytes, start: int, count: int) -> _Frame | None:
    """The frame of the table, found line by line, and kept. None if anything about it is unusual."""
    ends: list[int] = []
    begins: list[int] = []
    axes: list[int] = []
    names: set[bytes] = set()
    at = start
    for _ in range(count):
        begins.append(at)
        name_end = at + 8 + data[at]
        names.add(data[at + 8 : name_end])
        if not 0 < data[name_end] <= 4:
            return None
        ends.append(name_end)
        axes.append(data[name_end])
        at = name_end + _LINE[data[name_end]]
    if at > len(data):
        raise IndexError
    if len(names) != count:
        return None
    if count and ((_at(data, "<u8", begins) >= 256).any() or (_at(data, "<u4", ends) != axes).any()):
        return None
    mask = np.full(at - start, 255, dtype=np.uint8)
    for place, number in zip(ends, axes, strict=True):
        mask[place - start + 4 : place - start + _LINE[number]] = 0
    table = np.frombuffer(data, np.uint8, at - start, start)
    shapes, numbers = np.asarray(ends, np.int64) - start + 4, np.asarray(axes, np.int64)
    further = tuple(lines for axis in (1, 2, 3) if len(lines := np.flatnonzero(numbers > axis)))
    behind = shapes + 8 * numbers
    places = [shapes, behind + 4, behind, *(shapes[lines] + 8 * axis for axis, lines in enumerate(further, 1))]
    frame = _Frame(at - start, np.concatenate(places), further, mask, (table & mask).tobytes())
    kept = _frames.setdefault(count, [])
    kept.insert(0, frame)
    del kept[8:]
    while len(_frames) > _FRAMES_KEPT // 8:
        _frames.pop(next(iter(_frames)))
    return frame


def _at(data: bytes, layout: str, places: list[int] | NDArray[np.int64], start: int = 0) -> NDArray[Any]:
    """What lies at these places behind `start`, aligned or not; all of it must be within `data`."""
    width = np.dtype(layout).itemsize
    every: NDArray[Any] = np.ndarray((len(data) - start - width + 1,), layout, buffer=data, offset=start, strides=(1,))
    return every[places]


def hop(data: bytes, start: int, count: int) -> tuple[int, int]:
    """Hop over up to `count` strings that begin in data[start:]; (how many, where the next one begins).

    A length below 256 is one byte followed by seven zeros, among which lies just one aligned word of four; ordinary text holds no zeros.
    So zero words tell where strings may begin, and a chain of them is accepted as far as each one's length leads exactly to the next.
    What breaks the chain (long, empty or zero-holding strings) is hopped one by one.
    """
    if count >= 64 and len(data) - start >= 1024:
        done, end = _chain(data, start, count)
        if done:
            return done, end
    unpack, last, done, at = _LENGTH.unpack_from, len(data) - 8, 0, start
    limit = min(count, 4096)
    while done < limit and at <= last:
        at += 8 + unpack(data, at)[0]
        done += 1
    return done, at


def _chain(data: bytes, start: int, count: int) -> tuple[int, int]:
    """As `hop`, from zero words; (0, start) where no long chain begins here."""
    first = max(start // 4 - 1, 0)
    raw = np.frombuffer(data, dtype=np.uint8)
    words = np.frombuffer(data, dtype="<u4", count=len(data) // 4)[first : first + min(_SLICE, 32 * count + 64) // 4]
    zero = np.flatnonzero(words == 0)
    if len(zero) < 64:
        return 0, start
    if zero[63] - zero[0] == 63:  # empty strings, or none at all
        stretch = raw[start : start + min(_SLICE, 8 * count)] != 0
        empty = (int(np.argmax(stretch)) if stretch.any() else len(stretch)) // 8
        return (empty, start + 8 * empty) if empty >= 64 else (0, start)
    zero = zero[np.searchsorted(zero, 1) :]
    before = words[zero - 1]  # the length's one byte that is not zero lies in the word before a zero word
    begins = (zero + first) * 4 - 1 - (before < 1 << 24) - (before < 1 << 16) - (before < 1 << 8)
    begins = begins[(begins >= start) & (begins + 8 <= len(data))]
    if len(begins) < 64 or begins[0] != start:
        return 0, start
    lengths = _at(data, "<u8", begins)
    following = begins + 8 + np.minimum(lengths, 1 << 30).astype(np.int64)
    breaks = np.flatnonzero(following[:-1] != begins[1:])
    run = int(breaks[0]) + 1 if len(breaks) else len(begins)
    # many breaks: short runs, not worth the search, unless this run is long or all there is
    if run >= 64 and lengths[run - 1] < 256 and (run >= min(count, 1024) or len(breaks) * 8 <= len(begins)):
        done = min(run, count)
        return done, int(following[done - 1])
    return 0, start
