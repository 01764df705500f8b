"""A GGUF file's writer that packs long arrays at once: a vocabulary of 256k tokens item by item takes longer than a 1B model's weights.

What comes out is byte for byte what the `gguf` package's own writer makes; what is not a plain list of one type is left to it.
"""

from __future__ import annotations

import struct
from itertools import chain
from typing import Any

import gguf

_ARRAY, _STRING = gguf.GGUFValueType.ARRAY, gguf.GGUFValueType.STRING
_NUMBERS = {int: (gguf.GGUFValueType.INT32, "i"), float: (gguf.GGUFValueType.FLOAT32, "f")}
_HEAD = struct.Struct("<IQ")
_LENGTH = struct.Struct("<Q")


class Writer(gguf.GGUFWriter):  # type: ignore[misc]
    """`gguf.GGUFWriter` for little-endian files."""

    def _pack_val(self, val: Any, vtype: Any, add_vtype: bool, sub_type: Any = None) -> bytes:
        packed = _packed(val) if vtype == _ARRAY and sub_type is None else None
        if packed is None:
            return bytes(super()._pack_val(val, vtype, add_vtype, sub_type))
        return (struct.pack("<I", vtype) if add_vtype else b"") + packed


def _packed(values: Any) -> bytes | None:
    """Item type, number of items, items; None for anything but bytes and lists of texts, of whole numbers, and of floats."""
    if isinstance(values, bytes) and values:
        return _HEAD.pack(gguf.GGUFValueType.UINT8, len(values)) + values
    kinds = set(map(type, values)) if isinstance(values, list) else ()
    if len(kinds) != 1:
        return None
    (kind,) = kinds
    if kind is str:
        texts = [each.encode("utf-8") for each in values]
        lengths = map(_LENGTH.pack, map(len, texts))
        return b"".join((_HEAD.pack(_STRING, len(texts)), *chain.from_iterable(zip(lengths, texts, strict=True))))
    if kind in _NUMBERS:
        item, code = _NUMBERS[kind]
        return _HEAD.pack(item, len(values)) + struct.pack(f"<{len(values)}{code}", *values)
    return None
