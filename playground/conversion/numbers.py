"""Blocks of numbers from one format to another: f32, f16, bf16 (and from f64), looked through for what is no number on the way.

Works on unsigned integers and in memory that is used again and again: allocating blocks of some MiB costs more than converting them.
"""

from __future__ import annotations

from typing import Any

import gguf
import numpy as np
from numpy.typing import NDArray

from ..errors import ModelFileError
from .source import BITS
from .tensors import Piece

Bytes = NDArray[np.uint8]
Kind = gguf.GGMLQuantizationType

ITEM_BYTES = {Kind.F32: 4, Kind.F16: 2, Kind.BF16: 2}
FORMATS = {Kind.F32: "F32", Kind.F16: "F16", Kind.BF16: "BF16"}
_EXPONENT = {"F32": 0x7F800000, "F16": 0x7C00, "BF16": 0x7F80, "F64": 0x7FF0000000000000}
_MAGNITUDE = {"F32": 0x7FFFFFFF, "F16": 0x7FFF, "BF16": 0x7FFF, "F64": 0x7FFFFFFFFFFFFFFF}


class Converter:
    """Turns blocks of one piece into the bytes of a target format. One for a whole file; not for several threads."""

    def __init__(self) -> None:
        self._scratch: dict[str, NDArray[Any]] = {}

    def convert(self, block: Bytes, piece: Piece, kind: gguf.GGMLQuantizationType) -> memoryview:
        """The bytes of `block` (whole rows of the piece) in the target format. Raises ModelFileError for NaN and infinity.

        What it gives back is valid until the next call.
        """
        weight = piece.weight
        bits = block.view(BITS[weight.dtype])
        self._check(bits, weight.dtype, weight.name)
        if piece.order is not None:
            bits = piece.order(bits.reshape(-1, weight.columns)).reshape(-1)
        if piece.times == 1.0 and piece.plus == 0.0 and FORMATS[kind] == weight.dtype:
            return np.ascontiguousarray(bits).data.cast("B")
        numbers = self._as_f32(bits, weight.dtype)
        if piece.times != 1.0:
            np.multiply(numbers, np.float32(piece.times), out=numbers)
        if piece.plus != 0.0:
            np.add(numbers, np.float32(piece.plus), out=numbers)
        return self._from_f32(numbers, kind, weight.name).data.cast("B")

    def _check(self, bits: NDArray[Any], dtype: str, name: str) -> None:
        """A number whose exponent is all ones is none. One pass over memory that is in the cache."""
        magnitude = self._array("check", bits.dtype, bits.size)
        np.bitwise_and(bits, bits.dtype.type(_MAGNITUDE[dtype]), out=magnitude)
        if bits.size and int(magnitude.max()) >= _EXPONENT[dtype]:
            raise ModelFileError(
                f'The weight "{name[:80]}" contains values that are no numbers (NaN or infinity).',
                "The model is damaged, or its training has failed: convert an earlier checkpoint or download it again.",
            )

    def _as_f32(self, bits: NDArray[Any], dtype: str) -> NDArray[np.float32]:
        if dtype == "BF16":
            wide = self._array("wide", np.dtype(np.uint32), bits.size)
            wide[:] = bits
            np.left_shift(wide, np.uint32(16), out=wide)
            return wide.view(np.float32)
        numbers = self._array("numbers", np.dtype(np.float32), bits.size)
        source = bits.view({"F32": np.float32, "F16": np.float16, "F64": np.float64}[dtype])
        with np.errstate(over="ignore"):
            np.copyto(numbers, source, casting="same_kind")
        return numbers

    def _from_f32(self, numbers: NDArray[np.float32], kind: gguf.GGMLQuantizationType, name: str) -> NDArray[Any]:
        if kind == Kind.F32:
            self._refuse_overflow(numbers.view(np.uint32), "F32", name)
            return numbers
        if kind == Kind.F16:
            halves = self._array("halves", np.dtype(np.float16), numbers.size)
            with np.errstate(over="ignore"):
                np.copyto(halves, numbers, casting="same_kind")
            self._refuse_overflow(halves.view(np.uint16), "F16", name)
            return halves
        # bf16: the upper half, rounded to the nearest, a tie to the even one
        bits = numbers.view(np.uint32)
        odd = self._array("odd", np.dtype(np.uint32), bits.size)
        np.right_shift(bits, np.uint32(16), out=odd)
        np.bitwise_and(odd, np.uint32(1), out=odd)
        np.add(odd, np.uint32(0x7FFF), out=odd)
        np.add(odd, bits, out=odd)
        np.right_shift(odd, np.uint32(16), out=odd)
        upper = self._array("upper", np.dtype(np.uint16), bits.size)
        np.copyto(upper, odd, casting="unsafe")
        self._refuse_overflow(upper, "BF16", name)
        return upper

    def _refuse_overflow(self, bits: NDArray[Any], dtype: str, name: str) -> None:
        magnitude = self._array("check", bits.dtype, bits.size)
        np.bitwise_and(bits, bits.dtype.type(_MAGNITUDE[dtype]), out=magnitude)
        if bits.size and int(magnitude.max()) >= _EXPONENT[dtype]:
            raise ModelFileError(
                f'The weight "{name[:80]}" contains values that are too large for {dtype.lower()}.',
                "Choose another type, f32 or bf16.",
            )

    def _array(self, name: str, dtype: np.dtype[Any], size: int) -> NDArray[Any]:
        key = f"{name} {dtype.itemsize}"
        have = self._scratch.get(key)
        if have is None or have.size < size:
            have = self._scratch[key] = np.empty(size, dtype)
        return have[:size]
