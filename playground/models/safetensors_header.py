"""A safetensors file's header (names, shapes, number formats) and the index of a sharded model; no weights.

Format: 8 bytes of length (little-endian), then JSON of name -> {dtype, shape, data_offsets}, then the data.
Source: https://github.com/huggingface/safetensors. Whatever is wrong ends in a `ModelFileError`.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import ModelFileError

Read = Callable[[int, int], bytes]

INDEX_NAME = "model.safetensors.index.json"
_MAX_HEADER = 100_000_000
_MAX_INDEX = 64 << 20
_BITS = {
    "F64": 64, "F32": 32, "F16": 16, "BF16": 16, "I64": 64, "I32": 32, "I16": 16, "I8": 8, "U64": 64, "U32": 32, "U16": 16,
    "U8": 8, "BOOL": 8, "F8_E4M3": 8, "F8_E5M2": 8, "F8_E8M0": 8, "F4": 4, "F6_E2M3": 6, "F6_E3M2": 6, "C64": 64,
}  # fmt: skip

_PICKLES = (".bin", ".pt", ".pth", ".ckpt")
_PACKED = ".quant_state.bitsandbytes__"
_SCALES = (".weight.absmax", ".weight.quant_map", ".weight.nested_absmax", ".weight.nested_quant_map", ".SCB", ".weight_format")
"""what bitsandbytes writes beside the weights it quantized"""


@dataclass(frozen=True, slots=True)
class SafeTensor:
    """One tensor: `shape` as PyTorch writes it (slowest axis first), `nbytes` as it lies in the file, from byte `offset` of it on."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    nbytes: int
    offset: int = 0

    @property
    def elements(self) -> int:
        total = 1
        for length in self.shape:
            total *= length
        return total


@dataclass(frozen=True, slots=True)
class SafetensorsHeader:
    """The tensors of one file or of all shards, and the free-form `__metadata__` texts."""

    name: str
    tensors: tuple[SafeTensor, ...]
    metadata: dict[str, str]
    files: int = 1

    @property
    def weight_bytes(self) -> int:
        return sum(tensor.nbytes for tensor in self.tensors)

    @property
    def parameters(self) -> int:
        """The model's: weights that bitsandbytes packed two to a byte count twice, and what belongs to their scales not at all."""
        packed = {tensor.name.partition(_PACKED)[0] for tensor in self.tensors if _PACKED in tensor.name}
        return sum(
            tensor.elements * (2 if tensor.name in packed else 1)
            for tensor in self.tensors
            if not tensor.name.endswith(_SCALES) and _PACKED not in tensor.name
        )


def read_safetensors(read: Read, name: str, size: int | None = None) -> SafetensorsHeader:
    """Parse one file's header; `size` in bytes, where known, finds a cut file or one that goes on. Raises ModelFileError."""
    first = read(0, 8)
    if len(first) < 8:
        raise ModelFileError(f"{name} is not a safetensors file.", "Choose a .safetensors file or a model folder.")
    length = int.from_bytes(first, "little")
    if not 2 <= length <= _MAX_HEADER or (size is not None and 8 + length > size):
        raise ModelFileError(f"{name} is not a safetensors file, or its header is damaged.", "Download the file again.")
    table = _object(read(8, length)[:length], name)
    metadata = table.pop("__metadata__", {})
    tensors = tuple(_tensor(key, entry, name, 8 + length) for key, entry in table.items())
    end = max((entry["data_offsets"][1] for entry in table.values()), default=0)
    if size is not None and 8 + length + end > size:
        raise ModelFileError(f"{name} is cut short: {8 + length + end - size} bytes are missing.", "Download it again.")
    if size is not None and 8 + length + end < size:
        raise ModelFileError(
            f"{name} has the wrong length: {size:,} bytes, where {8 + length + end:,} belong.", "Download it again."
        )
    texts = {str(k): str(v) for k, v in metadata.items()} if isinstance(metadata, dict) else {}
    return SafetensorsHeader(name, tensors, texts)


def open_safetensors(path: Path) -> SafetensorsHeader:
    """The header of one file, or of all shards where `path` is a model folder or an index. Raises ModelFileError."""
    if path.is_dir():
        index = path / INDEX_NAME
        path = index if index.exists() else _only_file(path)
    if path.name.endswith(".index.json"):
        return _open_shards(path)
    try:
        with path.open("rb") as handle:
            size = handle.seek(0, 2)

            def read(offset: int, length: int) -> bytes:
                handle.seek(offset)
                return handle.read(length)

            return read_safetensors(read, path.name, size)
    except OSError as error:
        raise _unreadable(path, error) from None


def shard_names(index: bytes, name: str) -> list[str]:
    """The distinct shard files named by an index file's content, in order. Raises ModelFileError."""
    table = _object(index[:_MAX_INDEX], name).get("weight_map")
    if not isinstance(table, dict) or not table:
        raise ModelFileError(f"{name} names no files.", "Download the model again.")
    found = dict.fromkeys(str(value) for value in table.values())
    for file in found:
        if "/" in file or "\\" in file or file in ("", ".", "..") or "\0" in file or len(file) > 255:
            raise ModelFileError(f"{name} names a file outside of its folder.", "Do not use this model.")
    return list(found)


def _open_shards(index: Path) -> SafetensorsHeader:
    try:
        names = shard_names(index.read_bytes(), index.name)
    except OSError as error:
        raise _unreadable(index, error) from None
    headers = [open_safetensors(index.with_name(name)) for name in names]
    tensors = tuple(tensor for header in headers for tensor in header.tensors)
    return SafetensorsHeader(index.name, tensors, headers[0].metadata, len(headers))


def _only_file(folder: Path) -> Path:
    try:
        files = sorted(folder.glob("*.safetensors"))
    except OSError as error:
        raise _unreadable(folder, error) from None
    if not files and any(file.suffix in _PICKLES for file in folder.iterdir()):
        raise ModelFileError(
            f"{folder.name} has its weights as pickle files, which can run programs and are not read.",
            "Look for a copy of the model with safetensors files.",
        )
    if not files:
        raise ModelFileError(f"{folder} holds no safetensors file.", "Choose a folder with model.safetensors in it.")
    preferred = folder / "model.safetensors"
    return preferred if preferred in files else files[0]


def _unreadable(path: Path, error: OSError) -> ModelFileError:
    if isinstance(error, FileNotFoundError):
        return ModelFileError(f"{path} is not there.", "Download the missing file.")
    return ModelFileError(f"{path} cannot be read: {error.strerror or error}.", "Check the file's permissions.")


def _object(data: bytes, name: str) -> dict[str, Any]:
    try:
        table = json.loads(data)
    except (ValueError, RecursionError):
        raise ModelFileError(f"{name} is damaged: its table is not JSON.", "Download the file again.") from None
    if not isinstance(table, dict):
        raise ModelFileError(f"{name} is damaged: its table is no object.", "Download the file again.")
    return table


def _tensor(key: str, entry: Any, name: str, start: int) -> SafeTensor:
    try:
        dtype, shape, (begin, end) = str(entry["dtype"]), tuple(entry["shape"]), entry["data_offsets"]
        whole = all(type(length) is int and 0 <= length < 1 << 48 for length in (*shape, begin, end))
        if dtype not in _BITS or not whole or end < begin or len(shape) > 16:
            raise ValueError
        tensor = SafeTensor(key, dtype, shape, end - begin, start + begin)
        if tensor.elements * _BITS[dtype] != tensor.nbytes * 8:
            raise ValueError
    except (KeyError, TypeError, ValueError):
        raise ModelFileError(f'{name} is damaged: its tensor "{key[:80]}" makes no sense.', "Download it again.") from None
    return tensor
