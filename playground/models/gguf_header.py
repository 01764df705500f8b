"""A GGUF file's header: metadata and tensor table, without the weights and without the vocabulary.

The source is any `read(offset, length) -> bytes`, so a local file and HTTP ranges are parsed alike. Large arrays
(vocabulary, merges, scores) are hopped over and named by an `ArrayRef`; `GgufHeader.strings` reads one on request.
The input is untrusted: every count is held against what the file can contain, and whatever is wrong ends in a
`ModelFileError`. Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md, versions 2 and 3.
"""

from __future__ import annotations

import math
import os
import re
import struct
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import ModelFileError
from .ggml_types import TYPES, GgmlType
from .gguf_cursor import KEPT_ITEMS, MAX_NAME, SCALARS, Cursor, Read

if TYPE_CHECKING:
    from .gguf_scan import TableSums

FIRST_READ = 1 << 15
"""What a listing reads of a file at first: the whole header of most that carry no vocabulary."""

_MAX_ENTRIES = 1 << 16
_MAX_TENSORS = 1 << 18
_MAX_TEXT = 1 << 26
_MAX_DEPTH = 3
_STRING, _ARRAY = 8, 9
_SPLIT = re.compile(r"^(?P<stem>.*)-(?P<number>\d{5})-of-(?P<count>\d{5})(?P<end>\.gguf)$", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class ArrayRef:
    """An array left where it lies: item type (GGUF's number), item count, offset and size in bytes."""

    kind: int
    count: int
    offset: int
    nbytes: int


@dataclass(frozen=True, slots=True)
class TensorInfo:
    """One tensor of the table: `shape` as GGUF writes it (fastest axis first), `nbytes` as it lies in the file."""

    name: str
    shape: tuple[int, ...]
    kind: GgmlType
    offset: int
    nbytes: int

    @property
    def elements(self) -> int:
        return math.prod(self.shape)


@dataclass(frozen=True, slots=True)
class GgufHeader:
    """What the header says. `data_offset` is where tensor data begins; `files` > 1 for a split model."""

    name: str
    version: int
    metadata: dict[str, Any]
    tensors: tuple[TensorInfo, ...]
    data_offset: int
    files: int = 1
    bytes_read: int = field(default=0, compare=False)

    @property
    def architecture(self) -> str:
        return str(self.metadata.get("general.architecture", ""))

    def get(self, key: str, default: Any = None) -> Any:
        """A metadata value; `key` without a prefix of its own is looked up under the architecture's name."""
        found = self.metadata.get(key)
        if found is None:
            found = self.metadata.get(f"{self.architecture}.{key}")
        return default if found is None else found

    def count(self, key: str) -> int | None:
        """The number of items of an array, kept or not; None where there is no such array."""
        value = self.metadata.get(key)
        if isinstance(value, ArrayRef):
            return value.count
        return len(value) if isinstance(value, list) else None

    @property
    def weight_bytes(self) -> int:
        return sum(tensor.nbytes for tensor in self.tensors)

    @property
    def parameters(self) -> int:
        return sum(tensor.elements for tensor in self.tensors)

    def strings(self, read: Read, key: str) -> list[str]:
        """The items of a string array, such as `tokenizer.ggml.tokens`, read now."""
        value = self.metadata.get(key)
        if isinstance(value, list):
            return [str(item) for item in value]
        if not isinstance(value, ArrayRef) or value.kind != _STRING:
            return []
        cursor = Cursor(read, self.name, value.offset, window=max(1 << 16, min(value.nbytes, 1 << 24)))
        return [cursor.text(_MAX_TEXT) for _ in range(value.count)]


@dataclass(frozen=True, slots=True)
class GgufSurvey:
    """A header whose tensors were only added up: how many parameters, and the bytes of each number format."""

    header: GgufHeader
    """its `tensors` are empty"""
    parameters: int
    weights: dict[str, int]


def read_gguf(read: Read, name: str, size: int | None = None, window: int = 1 << 19, kept: int = KEPT_ITEMS) -> GgufHeader:
    """Parse one file's header. `name` is for messages; `size` in bytes, where known, finds a cut file.

    Reads at most one `window` (bytes) more than the header's own size. String arrays longer than `kept` stay an `ArrayRef`: a listing
    of thousands of files wants none of them. Raises ModelFileError.
    """
    cursor = Cursor(read, name, 0, window, size, kept)
    version, metadata, tensor_count, alignment = _metadata(cursor)
    tensors = tuple(tensor for tensor, _ in _tensors(cursor, tensor_count, alignment))
    data_offset = -(-cursor.position // alignment) * alignment
    _check_end(cursor, data_offset, max((t.offset + t.nbytes for t in tensors), default=0))
    return GgufHeader(name, version, metadata, tensors, data_offset, bytes_read=cursor.fetched)


def open_gguf(path: Path, kept: int = KEPT_ITEMS) -> GgufHeader:
    """The header of a local file, or of all files of a split (any of them may be named). Raises ModelFileError."""
    parts = split_names(path.name)
    headers = []
    for part in parts:
        file = path.with_name(part)
        try:
            with file.open("rb", buffering=0) as handle:
                size = handle.seek(0, 2)

                def read(offset: int, length: int, handle: Any = handle) -> bytes:
                    handle.seek(offset)
                    return bytes(handle.read(length))

                headers.append(read_gguf(read, part, size, 1 << 20, kept))
        except FileNotFoundError:
            message = (
                f"{part} is missing, one of {len(parts)} files of this model." if len(parts) > 1 else f"{file} is not there."
            )
            raise ModelFileError(message, "Download the missing file." if len(parts) > 1 else "Was it moved?") from None
        except OSError as error:
            raise ModelFileError(
                f"{file} cannot be read: {error.strerror or error}.", "Check the file's permissions."
            ) from None
    return merge_splits(headers)


def survey_gguf(path: Path) -> GgufSurvey:
    """A local file's facts without a tensor table: a third of the time of `open_gguf`, for listings. Raises ModelFileError."""
    try:
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0))  # a third of the time of a file object
        try:
            size = os.lseek(handle, 0, os.SEEK_END)

            def read(offset: int, length: int) -> bytes:
                os.lseek(handle, offset, os.SEEK_SET)
                return os.read(handle, length)

            cursor = Cursor(read, path.name, 0, FIRST_READ, size, kept=0, widest=1 << 19)
            version, metadata, count, alignment = _metadata(cursor)
            sums = _sums(cursor, count, alignment)
            _check_end(cursor, -(-cursor.position // alignment) * alignment, sums.end)
            weights = {TYPES[number].name: nbytes for number, nbytes in sums.nbytes.items()}
            parameters = sum(sums.elements.values())
        finally:
            os.close(handle)
    except FileNotFoundError:
        raise ModelFileError(f"{path} is not there.", "Was it moved?") from None
    except OSError as error:
        raise ModelFileError(f"{path} cannot be read: {error.strerror or error}.", "Check the file's permissions.") from None
    return GgufSurvey(GgufHeader(path.name, version, metadata, (), 0, bytes_read=cursor.fetched), parameters, weights)


def split_names(name: str) -> list[str]:
    """The file names of the split that `name` belongs to, in order; just `name` for a file that is no split."""
    match = _SPLIT.match(name)
    if match is None or not 1 < int(match["count"]) <= 10_000:
        return [name]
    count = int(match["count"])
    return [f"{match['stem']}-{number:05d}-of-{count:05d}{match['end']}" for number in range(1, count + 1)]


def merge_splits(headers: Sequence[GgufHeader]) -> GgufHeader:
    """One header for a split model: the first file's metadata, everyone's tensors (offsets within their own file)."""
    first = headers[0]
    if len(headers) == 1:
        return first
    expected = first.metadata.get("split.count")
    if isinstance(expected, int) and expected != len(headers):
        raise ModelFileError(f"{first.name} is one of {expected} files, but {len(headers)} were found.", "Download the rest.")
    tensors = tuple(tensor for header in headers for tensor in header.tensors)
    if len({tensor.name for tensor in tensors}) != len(tensors):
        raise ModelFileError(f"The files of {first.name} do not belong together.", "Download them again.")
    read = sum(header.bytes_read for header in headers)
    return GgufHeader(first.name, first.version, first.metadata, tensors, first.data_offset, len(headers), read)


def _check_magic(cursor: Cursor) -> int:
    magic = b"" if cursor.size is not None and cursor.size < 4 else cursor.take(4)
    if magic != b"GGUF":
        raise ModelFileError(f"{cursor.name} is not a GGUF file.", "Choose a .gguf file or a model folder.")
    version = int(cursor.scalar("I"))
    if version & 0xFFFF == 0 and version:
        raise ModelFileError(f"{cursor.name} is a big-endian GGUF file.", "Use the little-endian file of this model.")
    if version not in (2, 3):
        raise ModelFileError(f"{cursor.name} is GGUF version {version}; versions 2 and 3 are read.", "Get a newer file.")
    return version


def _metadata(cursor: Cursor) -> tuple[int, dict[str, Any], int, int]:
    """Version, metadata, number of tensors, alignment; the cursor stands at the tensor table then."""
    version = _check_magic(cursor)
    tensor_count, entry_count = cursor.scalar("Q"), cursor.scalar("Q")
    if entry_count > _MAX_ENTRIES or tensor_count > _MAX_TENSORS:
        raise cursor.damaged(f"it claims {entry_count} metadata entries and {tensor_count} tensors")
    metadata: dict[str, Any] = {}
    while len(metadata) < entry_count:
        cursor.plain_entries(metadata, entry_count)
        if len(metadata) == entry_count:
            break
        key = cursor.text(MAX_NAME)
        if key in metadata:
            raise cursor.damaged(f'the key "{key[:80]}" appears twice')
        metadata[key] = _value(cursor, cursor.scalar("I"), 0)
    alignment = metadata.get("general.alignment", 32)
    if not isinstance(alignment, int) or not 8 <= alignment <= 1 << 20 or alignment & (alignment - 1):
        raise cursor.damaged(f"its alignment is {str(alignment)[:40]}")
    return version, metadata, tensor_count, alignment


def _check_end(cursor: Cursor, data_offset: int, end: int) -> None:
    """A file that is shorter than its tensors is a broken download."""
    missing = data_offset + end - (cursor.size if cursor.size is not None else data_offset + end)
    if end and missing > 0:
        raise ModelFileError(f"{cursor.name} is cut short: {missing} bytes of its tensors are missing.", "Download it again.")


def _value(cursor: Cursor, kind: int, depth: int) -> Any:
    if kind in SCALARS:
        return cursor.scalar(SCALARS[kind])
    if kind == _STRING:
        return cursor.text(_MAX_TEXT)
    if kind != _ARRAY or depth >= _MAX_DEPTH:
        raise cursor.damaged(f"it holds a value of unknown type {kind}")
    item, count = cursor.scalar("I"), cursor.scalar("Q")
    start = cursor.position
    if item in SCALARS:
        nbytes = count * struct.calcsize("<" + SCALARS[item])
        if count <= KEPT_ITEMS:
            return list(struct.unpack(f"<{count}{SCALARS[item]}", cursor.take(nbytes)))
        cursor.skip(nbytes)
        return ArrayRef(item, count, start, nbytes)
    if item == _STRING:
        if count <= cursor.kept:
            return [cursor.text(_MAX_TEXT) for _ in range(count)]
        cursor.hop_strings(count)
        return ArrayRef(item, count, start, cursor.position - start)
    if item == _ARRAY and count <= KEPT_ITEMS:
        return [_value(cursor, _ARRAY, depth + 1) for _ in range(count)]
    raise cursor.damaged(f"it holds an array of {count} items of type {item}")


def _tensors(cursor: Cursor, count: int, alignment: int) -> Iterator[tuple[TensorInfo, int]]:
    """The table's lines, each with GGML's number of its format."""
    names: set[str] = set()
    for _ in range(count):
        raw, (*axes, number, offset) = cursor.entry()
        name, shape, kind = raw.decode("utf-8", "replace"), tuple(axes), TYPES.get(number)
        if name in names:
            raise cursor.damaged(f'the tensor "{name[:80]}" appears twice')
        names.add(name)
        if kind is None:
            raise ModelFileError(
                f'{cursor.name} stores "{name[:80]}" in a number format that is not known here ({number}).',
                "Update Playground, or get another quantization of this model.",
            )
        elements = 1
        for length in shape:
            elements *= length
        if elements >= 1 << 50 or offset >= 1 << 55 or offset % alignment:
            raise cursor.damaged(f'the tensor "{name[:80]}" has the shape {shape} at {offset}')
        if shape and shape[0] % kind.block:
            raise cursor.damaged(f'the rows of "{name[:80]}" do not fill whole blocks of {kind.name}')
        yield TensorInfo(name, shape, kind, offset, elements // kind.block * kind.nbytes), number


def _sums(cursor: Cursor, count: int, alignment: int) -> TableSums:
    """The tensor table added up. What is wrong with it is said as `_tensors` says it."""
    from .gguf_scan import TableSums, add_up  # numpy, which a listing of what is known already does without

    while True:
        data, at = cursor.at_hand()
        try:
            sums = add_up(data, at, count, alignment)
        except IndexError:
            if cursor.more():
                continue
            sums = None  # the file ends in its table
        if sums is not None:
            cursor.skip(sums.position - at)
            return sums
        break
    elements: Counter[int] = Counter()
    nbytes: Counter[int] = Counter()
    end = 0
    for tensor, number in _tensors(cursor, count, alignment):
        elements[number] += tensor.elements
        nbytes[number] += tensor.nbytes
        end = max(end, tensor.offset + tensor.nbytes)
    return TableSums(elements, nbytes, end, cursor.position)
