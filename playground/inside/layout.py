"""The file of one capture: a header in JSON, then arrays that are mapped into memory.

    bytes 0-7     MAGIC
    bytes 8-15    length of the header, little-endian
    header        JSON, the fields of `Header`
    arrays        each at a multiple of 64 bytes, in the order of `Layout.arrays`

`thumbs` and `scores` are in every file: of each captured head a picture of at most 64 x 64 cells (the maximum of what falls into a cell)
and its scores (`head_scores`). The weights themselves are, by `Header.encoding`,

    u8           square roots of the weights as 0 to 255. Linear 8 bits would make zeroes of most cells of a diffuse head; the largest error
                 is 0.004
    f32          the weights as they were computed
    qk32, qk16   no weights but queries and keys after the rotation of positions, as float32 or float16, linear in the length of the text; a
                 head is computed again when it is looked at (`recompute`)

u8 and f32 keep the triangle below the diagonal only where nothing can look ahead (`causal`): row i has i + 1 cells, rows one behind the other.

Of a model that reads one text and writes another there is a file for each part of its attention: the encoder's (bidirectional), the decoder's
(causal), and the cross attention, whose rows are the target's tokens and whose columns the source's. Files made before there were parts open as ever.
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from playground.errors import DataError, NotFoundError
from playground.inside.head_scores import NAMES

MAGIC = b"PGATTN01"
SUFFIX = ".attention"
SHORT = 512
"""tokens up to which the maps themselves are kept: from some 320 on queries and keys are smaller, but a head then costs its computing"""
THUMB = 64
"""cells along the side of a thumbnail"""
SINGLE = 512 << 20
"""bytes up to which queries and keys are kept as float32, beyond it as float16"""

ENCODINGS = ("u8", "f32", "qk32", "qk16")
PARTS = ("encoder", "decoder", "cross")


@dataclass(frozen=True)
class Token:
    """A token along the axes of a map; `special` for control tokens."""

    id: int
    text: str
    special: bool = False


@dataclass(frozen=True)
class Header:
    """What a capture is of. `layers` and `heads` are the captured ones, by their number in the model."""

    encoding: str
    causal: bool
    """whether no token sees a later one"""
    layers: tuple[int, ...]
    heads: tuple[int, ...]
    model_layers: int
    """how many of the model's layers have attention"""
    model_heads: int
    kv_heads: int
    """groups that share their keys"""
    head_width: int
    """elements of a query"""
    tokens: tuple[Token, ...]
    model: str = ""
    """its name, to show"""
    model_path: str = ""
    model_sha256: str = ""
    adapter: str = ""
    adapter_scale: float = 1.0
    """how strong it was"""
    engine: str = ""
    engine_build: str = ""
    precision: str = ""
    """the number format that was computed in"""
    created: float = 0.0
    left_out: tuple[str, ...] = ()
    """sentences on what is not in the file, or not as exact as one would think"""
    score_names: tuple[str, ...] = field(default=NAMES)
    part: str = ""
    """of a model that reads one text and writes another: which of `PARTS`; empty for others"""
    columns: tuple[Token, ...] = ()
    """of the cross attention: the source's tokens, which those of the target look at"""

    @property
    def kind(self) -> str:
        """causal, bidirectional or cross"""
        return "cross" if self.part == "cross" else "causal" if self.causal else "bidirectional"

    @property
    def length(self) -> int:
        """Tokens of the text: rows of a map"""
        return len(self.tokens)

    @property
    def column_tokens(self) -> tuple[Token, ...]:
        """What is looked at: the same tokens but in cross attention"""
        return self.columns or self.tokens

    @property
    def width(self) -> int:
        """Columns of a map"""
        return len(self.column_tokens)

    @property
    def side(self) -> int:
        """Cells along a thumbnail's rows"""
        return min(THUMB, self.length)

    @property
    def column_side(self) -> int:
        """Cells along a thumbnail's columns"""
        return min(THUMB, self.width)

    @property
    def recomputed(self) -> bool:
        """Whether heads are computed again from queries and keys"""
        return self.encoding.startswith("qk")

    def group(self, head: int) -> int:
        """Which of the shared keys a head, by its number in the model, looks at."""
        return head // max(1, self.model_heads // self.kv_heads)


@dataclass(frozen=True)
class Array:
    """Where an array lies in the file."""

    dtype: str
    shape: tuple[int, ...]
    offset: int

    @property
    def bytes(self) -> int:
        return math.prod(self.shape) * np.dtype(self.dtype).itemsize


@dataclass(frozen=True)
class Layout:
    """Where everything lies behind a header of so many bytes."""

    arrays: dict[str, Array]
    bytes: int
    """of the whole file"""


def layout(header: Header, start: int) -> Layout:
    """The arrays of a file whose header ends at byte `start`."""
    L, H, T, C = len(header.layers), len(header.heads), header.length, header.width
    shapes: dict[str, tuple[str, tuple[int, ...]]] = {
        "thumbs": ("|u1", (L, H, header.side, header.column_side)),
        "scores": ("<f4", (L, H, len(header.score_names))),
    }
    if header.recomputed:
        kind = "<f4" if header.encoding == "qk32" else "<f2"
        shapes |= {
            "rules": ("<f4", (L, 3)),
            "sinks": ("<f4", (L, header.model_heads)),
            "bounds": ("<i4", (L, T, 2)),
            "queries": (kind, (L, T, H, header.head_width)),
            "keys": (kind, (L, C, header.kv_heads, header.head_width)),
        }
    else:
        cells = T * (T + 1) // 2 if header.causal else T * C
        shapes["maps"] = ("|u1" if header.encoding == "u8" else "<f4", (L, H, cells))
    found, at = {}, start
    for name, (dtype, shape) in shapes.items():
        at = -(-at // 64) * 64
        found[name] = Array(dtype, shape, at)
        at += found[name].bytes
    return Layout(found, at)


def encoded(header: Header) -> bytes:
    """The file up to its arrays."""
    fields_of = asdict(header)
    if not header.part:  # as files were before there were parts
        del fields_of["part"], fields_of["columns"]
    if not header.adapter:  # as before there was a strength
        del fields_of["adapter_scale"]
    data = json.dumps(fields_of, ensure_ascii=False).encode("utf-8", "replace")
    return MAGIC + len(data).to_bytes(8, "little") + data


def read_header(file: BinaryIO, path: Path) -> tuple[Header, Layout]:
    """What `encoded` wrote, and where the arrays are. DataError for a file that is no capture, or none of this version's."""
    try:
        start = file.read(16)
        length = int.from_bytes(start[8:], "little")
        if len(start) < 16 or start[:8] != MAGIC or length > 1 << 28:
            raise ValueError("magic")
        header = _header(json.loads(file.read(length)))
        found = layout(header, 16 + length)
        file.seek(0, 2)
        if file.tell() != found.bytes:
            raise ValueError("length")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{path.name} is no capture of attention, or a damaged one.", "Capture it again.") from error
    return header, found


def _header(data: dict[str, Any]) -> Header:
    # Of a file that does not say how strong its adapter was, that is not known: no number is equal to NaN.
    older: dict[str, Any] = {"part": "", "columns": [], "adapter_scale": math.nan if data.get("adapter") else 1.0}
    data = older | data
    if data.keys() != {each.name for each in fields(Header)} or data["encoding"] not in ENCODINGS:
        raise ValueError("fields")
    lists = {name: tuple(data[name]) for name in ("layers", "heads", "left_out", "score_names")}
    tokens, columns = (tuple(Token(**each) for each in data[name]) for name in ("tokens", "columns"))
    found = Header(**data | lists | {"tokens": tokens, "columns": columns})
    if found.part not in ("", *PARTS) or (found.part == "cross") != bool(columns) or (columns and found.causal):
        raise ValueError("part")
    return found


def open_header(path: Path) -> tuple[Header, Layout]:
    """The header of a file. NotFoundError where it is gone, DataError where it is none."""
    try:
        with path.open("rb") as file:
            return read_header(file, path)
    except FileNotFoundError:
        raise gone(path) from None
    except OSError as error:
        raise DataError(f"{path.name} cannot be read ({error.strerror or error}).", "Check its permissions.") from None


def gone(path: Path) -> NotFoundError:
    return NotFoundError(f"The capture {path.stem} is not there any more: its file was deleted.", "Capture it again.")


def encoding_for(layers: int, heads: int, kv_heads: int, width: int, tokens: int, exact: bool = False) -> str:
    """How a capture of this shape is kept: `exact` asks for float32 weights whatever that takes."""
    if exact:
        return "f32"
    if tokens <= SHORT:
        return "u8"
    return "qk32" if 4 * layers * tokens * (heads + kv_heads) * width <= SINGLE else "qk16"


def capture_size(
    layers: int, heads: int, tokens: int, kv_heads: int = 0, width: int = 128, causal: bool = True, exact: bool = False
) -> int:
    """Bytes that a capture will take on disk, but for the texts of its tokens. `kv_heads` 0: as many as heads; `width` of a head, in elements."""
    groups = kv_heads or heads
    named = (Token(0, ""),) * tokens
    encoding = encoding_for(layers, heads, groups, width, tokens, exact)
    header = Header(encoding, causal, (0,) * layers, (0,) * heads, layers, heads, groups, width, named)
    return layout(header, len(encoded(header))).bytes
