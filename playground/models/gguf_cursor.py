"""A walk through a GGUF header's bytes, a window at a time, from any `read(offset, length) -> bytes`.

Knows how much it fetched, where the file ends, and how values are spelled; what the values mean, `gguf_header` knows.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

from ..errors import ModelFileError

Read = Callable[[int, int], bytes]
"""`read(offset, length)`: the bytes there, fewer only at the end of the file."""

KEPT_ITEMS = 2048
"""Arrays up to this many items become Python lists; longer ones stay an `ArrayRef`."""

MAX_NAME = 1 << 16
SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}

_MAX_HEADER = 1 << 30
_STRUCTS = {code: struct.Struct("<" + code) for code in SCALARS.values()}
_PLAIN = {kind: (_STRUCTS[code].unpack_from, _STRUCTS[code].size) for kind, code in SCALARS.items()}
_STRING = 8
_LENGTH, _AXES = struct.Struct("<Q"), struct.Struct("<I")
_ENTRY = tuple(struct.Struct(f"<{axes}QIQ") for axes in range(5))


class Cursor:
    """Walks through a source in windows; knows how much it fetched and where the file ends."""

    def __init__(
        self,
        read: Read,
        name: str,
        start: int,
        window: int = 1 << 19,
        size: int | None = None,
        kept: int = KEPT_ITEMS,
        widest: int = 0,
    ) -> None:
        self._read, self.name, self._window, self.size, self.kept = read, name, window, size, kept
        self._widest = max(window, widest)
        self._base, self._data, self._at = start, b"", 0
        self.fetched = 0

    @property
    def position(self) -> int:
        return self._base + self._at

    def damaged(self, what: str) -> ModelFileError:
        return ModelFileError(f"The header of {self.name} is damaged: {what}.", "Download the file again.")

    def take(self, length: int) -> bytes:
        if len(self._data) - self._at < length:
            self._need(length)
        data = self._data[self._at : self._at + length]
        self._at += length
        return data

    def scalar(self, code: str) -> Any:
        kind = _STRUCTS[code]
        if len(self._data) - self._at < kind.size:
            self._need(kind.size)
        at = self._at
        self._at = at + kind.size
        return kind.unpack_from(self._data, at)[0]

    def text(self, limit: int) -> str:
        if len(self._data) - self._at < 8:
            self._need(8)
        (length,) = _LENGTH.unpack_from(self._data, self._at)
        if length > limit:
            raise self.damaged(f"it holds a text of {length} bytes")
        if len(self._data) - self._at < length + 8:
            self._need(length + 8)
        start = self._at + 8
        self._at = start + length
        return self._data[start : self._at].decode("utf-8", "replace")

    def plain_entries(self, metadata: dict[str, Any], count: int) -> None:
        """Adds the metadata entries that lie whole in what was read already, until there are `count`.

        Stops before an array, and before anything that is not as it should be: a step at a time it is found out what is wrong.
        """
        data, at = self._data, self._at
        length_at, kind_at, plain = _LENGTH.unpack_from, _AXES.unpack_from, _PLAIN
        try:
            while len(metadata) < count:
                (length,) = length_at(data, at)
                if length > MAX_NAME:
                    break
                end = at + 8 + length
                (kind,) = kind_at(data, end)
                key = data[at + 8 : end].decode("utf-8", "replace")
                if key in metadata:
                    break
                if kind == _STRING:
                    (length,) = length_at(data, end + 4)
                    start, end = end + 12, end + 12 + length
                    if end > len(data):
                        break
                    metadata[key] = data[start:end].decode("utf-8", "replace")
                elif kind in plain:
                    unpack, size = plain[kind]
                    (metadata[key],) = unpack(data, end + 4)
                    end += 4 + size
                else:
                    break
                at = end
        except struct.error:
            pass  # beyond what was read
        self._at = at

    def at_hand(self) -> tuple[bytes, int]:
        """The bytes that were read already, and the place in them."""
        return self._data, self._at

    def more(self) -> bool:
        """Reads another window; False at the end of the file."""
        have = len(self._data) - self._at
        end = _MAX_HEADER if self.size is None else min(self.size, _MAX_HEADER)
        if self.position + have < end:
            self._need(min(have + self._window, end - self.position))
        return len(self._data) - self._at > have

    def entry(self) -> tuple[bytes, tuple[int, ...]]:
        """One line of the tensor table: the name, then the shape's axes, the number format and the offset."""
        if len(self._data) - self._at < 8:
            self._need(8)
        (length,) = _LENGTH.unpack_from(self._data, self._at)
        if length > MAX_NAME:
            raise self.damaged(f"it holds a text of {length} bytes")
        if len(self._data) - self._at < length + 12:
            self._need(length + 12)
        name_end = self._at + 8 + length
        (axes,) = _AXES.unpack_from(self._data, name_end)
        raw = self._data[name_end - length : name_end]
        if axes > 4:
            raise self.damaged(f'the tensor "{raw[:80].decode("utf-8", "replace")}" has {axes} axes')
        rest = _ENTRY[axes]
        if len(self._data) - name_end - 4 < rest.size:
            self._need(length + 12 + rest.size)
            name_end = self._at + 8 + length
        fields = rest.unpack_from(self._data, name_end + 4)
        self._at = name_end + 4 + rest.size
        return raw, fields

    def skip(self, length: int) -> None:
        target = self.position + length
        if target > _MAX_HEADER or (self.size is not None and target > self.size):
            raise self.damaged(f"an array of {length} bytes does not fit in the file")
        if self._at + length <= len(self._data):
            self._at += length
        else:
            self._base, self._data, self._at = target, b"", 0

    def hop_strings(self, count: int) -> None:
        """Pass over `count` strings (8-byte length, then the bytes) without making an object of each."""
        from .gguf_scan import hop  # numpy, which a listing of what is known already does without

        if self.size is not None and count > (self.size - self.position) // 8:
            raise self.damaged(f"it claims an array of {count} texts")
        while count:
            if len(self._data) - self._at < 8:
                self._need(8)
            done, end = hop(self._data, self._at, count)
            count -= done
            if end <= len(self._data):
                self._at = end
            else:
                self.skip(end - self._at)

    def _need(self, length: int) -> None:
        have = len(self._data) - self._at
        if have >= length:
            return
        start = self.position
        if start + length > _MAX_HEADER or (self.size is not None and start + length > self.size):
            raise self._ends()
        rest = self._data[self._at :]
        more = self._read(start + have, max(self._window, length - have))
        self._window = min(self._window * 8, self._widest)  # who goes on past the first goes through a vocabulary
        self.fetched += len(more)
        self._base, self._data, self._at = start, rest + more, 0
        if len(self._data) < length:
            raise self._ends()

    def _ends(self) -> ModelFileError:
        return ModelFileError(f"{self.name} ends inside its header.", "Download the file again.")
