"""A model's table of tokens where it lies, in a GGUF file or a folder of safetensors: rows as float32, some at a time. Loads no model.

The input table turns a token's number into the first state; the output table, where a model has one of its own, turns the last state into
logits. Knows tensors by the names that architectures give them, and neither words nor tokenizers.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from playground.errors import ModelFileError, SettingError
from playground.models.ggml_types import BY_NAME, row_bytes
from playground.models.gguf_header import read_gguf, split_names
from playground.models.safetensors_header import INDEX_NAME, open_safetensors, shard_names

Floats = NDArray[np.float32]

BLOCK_BYTES = 16 << 20
"""of rows in float32 that are held at a time"""

# Most specific first: a model with several (an encoder's and a decoder's) shares one.
_INPUT = (
    "shared", "embed_tokens", "wte", "word_embeddings", "embed_in", "tok_embeddings", "word_embedding", "token_embedding", "embedding",
    "embeddings",
)  # fmt: skip
_OUTPUT = ("lm_head", "embed_out", "output", "decoder")
_GGUF = {"input": "token_embd.weight", "output": "output.weight"}
_FLOATS = {"F32": "<f4", "F16": "<f2", "BF16": "<u2", "F64": "<f8"}


@dataclass(frozen=True)
class TokenTable:
    """Rows in a file. `kind`: the number format they are stored in."""

    name: str
    """the tensor's"""
    rows: int
    width: int
    kind: str
    tied: bool
    """whether input and output are one table"""
    path: Path
    offset: int
    ggml: bool

    def take(self, ids: Sequence[int]) -> Floats:
        """[tokens, width]"""
        return self._floats(self._raw()[np.asarray(ids, np.int64)])

    def blocks(self) -> Iterator[tuple[int, Floats]]:
        """All rows in turn: the first one's number, and [rows, width]."""
        raw = self._raw()
        step = max(1, BLOCK_BYTES // (4 * self.width))
        for start in range(0, self.rows, step):
            yield start, self._floats(raw[start : start + step])

    def _raw(self) -> Any:
        if self.ggml:
            size = row_bytes(BY_NAME[self.kind.lower()], self.width)
            return self._mapped("|u1", (self.rows, size))
        return self._mapped(_FLOATS[self.kind], (self.rows, self.width))

    def _mapped(self, dtype: str, shape: tuple[int, int]) -> Any:
        try:
            return np.memmap(self.path, dtype, "r", self.offset, shape)
        except (OSError, ValueError) as error:
            raise ModelFileError(f"{self.path.name} cannot be read ({error}).", "Download it again.") from None

    def _floats(self, raw: Any) -> Floats:
        if self.ggml:
            from gguf import GGMLQuantizationType, dequantize

            try:
                return np.ascontiguousarray(
                    dequantize(np.ascontiguousarray(raw), GGMLQuantizationType[self.kind.upper()]), np.float32
                )
            except (NotImplementedError, KeyError):
                raise ModelFileError(
                    f"{self.path.name} keeps its token table as {self.kind}, which is not read here.",
                    "Take another quantization of this model.",
                ) from None
        if self.kind == "BF16":
            return np.asarray((raw.astype(np.uint32) << 16).view(np.float32))
        return np.ascontiguousarray(raw, np.float32)


def open_table(path: Path, which: str = "input") -> TokenTable:
    """`which`: input or output. ModelFileError where there is none, SettingError for an output table that is the input's."""
    if which not in _GGUF:
        raise SettingError(f"There is no token table '{which}'.", "There are input and output.")
    found = _of_folder(path) if path.is_dir() else _of_gguf(path)
    tied = "output" not in found
    if which not in found:
        if tied and "input" in found:
            raise SettingError(f"{path.name} has one table for input and output.", "Look at its input table.")
        raise ModelFileError(f"{path.name} has no table of tokens that is known here.", "Look at another model.")
    name, rows, width, kind, file, offset = found[which]
    if not path.is_dir():
        return TokenTable(name, rows, width, kind, tied, file, offset, True)
    if kind not in _FLOATS:
        raise ModelFileError(
            f"{path.name} keeps its token table as {kind}, which is not read here.", "Take the original model, or a GGUF file."
        )
    return TokenTable(name, rows, width, kind, tied, file, offset, False)


_Place = tuple[str, int, int, str, Path, int]


def _of_gguf(path: Path) -> dict[str, _Place]:
    found: dict[str, _Place] = {}
    for part in split_names(path.name):
        file = path.with_name(part)
        try:
            with file.open("rb") as handle:
                size = handle.seek(0, 2)

                def read(offset: int, length: int, handle: Any = handle) -> bytes:
                    handle.seek(offset)
                    return bytes(handle.read(length))

                header = read_gguf(read, part, size)
        except OSError as error:
            raise ModelFileError(f"{part} cannot be read ({error.strerror}).", "Check that it is there.") from None
        for tensor in header.tensors:
            for which, name in _GGUF.items():
                if tensor.name == name and len(tensor.shape) == 2:
                    width, rows = tensor.shape
                    found[which] = (name, rows, width, tensor.kind.name, file, header.data_offset + tensor.offset)
    return found


def _of_folder(path: Path) -> dict[str, _Place]:
    index = path / INDEX_NAME
    if index.exists():
        files = [path / name for name in shard_names(index.read_bytes(), INDEX_NAME)]
    else:
        files = [path / "model.safetensors"] if (path / "model.safetensors").exists() else sorted(path.glob("*.safetensors"))
    if not files:
        raise ModelFileError(f"{path.name} holds no weights (no model.safetensors).", "Choose a model folder.")
    tensors = [(tensor, file) for file in files for tensor in open_safetensors(file).tensors if len(tensor.shape) == 2]
    found: dict[str, _Place] = {}
    for which, names in (("input", _INPUT), ("output", _OUTPUT)):
        for name in names:
            wanted = re.compile(rf"(^|\.){name}(\.weight)?$")
            fitting = [each for each in tensors if wanted.search(each[0].name)]
            if which == "output":  # of the same shape as the input's: attention has outputs too
                fitting = [each for each in fitting if "input" in found and each[0].shape == found["input"][1:3]]
            if fitting and which not in found:
                tensor, file = max(fitting, key=lambda each: each[0].shape[0])
                rows, width = tensor.shape
                found[which] = (tensor.name, rows, width, tensor.dtype, file, tensor.offset)
    if _tied(path):
        found.pop("output", None)
    return found


def _tied(path: Path) -> bool:
    try:
        config = json.loads((path / "config.json").read_bytes())
        return config.get("tie_word_embeddings") is True
    except (OSError, ValueError, AttributeError):
        return False
