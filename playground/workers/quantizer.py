"""llama.cpp's own quantizer: what types it has, what a file would become, and the making of it, with what it says put into sentences.

The library's function has neither progress nor cancel: progress is read from its log, and who cancels ends the process.
"""

from __future__ import annotations

import ctypes
import logging
import os
import re
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from playground.errors import ModelFileError, PlaygroundError, SettingError, StorageError
from playground.models.ggml_types import BY_NAME, FILE_TYPES, TYPES, row_bytes
from playground.models.gguf_header import GgufHeader, merge_splits, open_gguf, split_names
from playground.protocol import TypeSize
from playground.workers import llama_lib
from playground.workers.imatrix import Matrix
from playground.workers.llama_lib import C
from playground.workers.machine import usable_cores

ROWS_AT_ONCE = 128 << 20
"""bytes of one tensor's rows that are in memory at a time"""
_ALIGNMENT = 32

_TENSOR = re.compile(r"^\[\s*(\d+)/\s*(\d+)\]\s+(\S+)\s+- \[")
_RESULT = re.compile(r"\((\w+)\)\s*$")
_FALLBACK = re.compile(r"not divisible by\s+\d+ \(required for type\s+(\w+)\).*-> falling back to\s+(\w+)")
_FAILED = re.compile(r"failed to quantize: (.*)$", re.DOTALL)


class _Log(llama_lib.Log):
    """The library's log with an ear on the tensors, which are named before they are worked at."""

    def __init__(self) -> None:
        super().__init__()
        self.on_tensor: Callable[[int, int, str], None] | None = None
        self.tensors: list[tuple[str, str]] = []
        """name, and the type that a dry run would give it ("" for the one that it has)"""
        self.fallbacks: Counter[tuple[str, str]] = Counter()
        self.failed = ""
        self.needs_imatrix = False
        self._named = ""

    def _hear(self, level: int, text: bytes, more: Any) -> None:
        super()._hear(level, text, more)
        try:
            if self.lines:
                self._read_line()
            found = _TENSOR.match(self._part)
            if found and self._part[: found.end()] != self._named:
                self._named = self._part[: found.end()]
                if self.on_tensor is not None:
                    self.on_tensor(int(found[1]), int(found[2]), found[3])
        except Exception:  # an exception must not travel through C
            llama_lib.log.exception("log")

    def _read_line(self) -> None:
        while self.lines:
            line = self.lines.popleft()
            if found := _FAILED.search(line):  # it may stand behind the tensor at which it happened
                self.failed = found[1].strip()
            elif found := _TENSOR.match(line):
                result = _RESULT.search(line)
                self.tensors.append((found[3], result[1] if result else ""))
            elif found := _FALLBACK.search(line):
                self.fallbacks[found[1].upper(), found[2].upper()] += 1
            elif "will require an imatrix" in line:
                self.needs_imatrix = True


@dataclass(frozen=True)
class Wish:
    """How to quantize; names as in `protocol.QuantizeGguf`."""

    type: str
    imatrix: Matrix | None = None
    output_type: str = ""
    embedding_type: str = ""
    keep_output: bool = False
    allow_requantize: bool = False
    threads: int = 0


@cache
def types() -> Mapping[str, int]:
    """The types of a whole file that this library makes, by name, with its number of each."""
    named = {
        name.removeprefix("LLAMA_FTYPE_").removeprefix("MOSTLY_").removeprefix("ALL_"): number
        for name, number in vars(C).items()
        if name.startswith("LLAMA_FTYPE_") and name != "LLAMA_FTYPE_GUESSED"
    }
    found = {}
    for name, number in named.items():
        params = _params(Wish(name), number)
        params.dry_run = True
        log = _call(b"/nowhere/nothing.gguf", b"", params)  # it looks at the type first, then at the file
        if "invalid output file type" not in log.failed:
            found[name] = number
    return found


def read_header(source: Path) -> GgufHeader:
    """The header of a model, of all its parts. ModelFileError for what is no model or damaged."""
    header = merge_splits([open_gguf(source.parent / part) for part in split_names(source.name)])
    # files of the eyes of a model did not always say what they are
    kind = header.metadata.get("general.type", "mmproj" if header.architecture == "clip" else "model")
    if kind != "model" or not header.tensors:
        raise ModelFileError(
            f"{source.name} is no model to quantize (it is of the kind '{kind}').", "Choose the model's own file."
        )
    if not header.architecture:
        raise ModelFileError(f"{source.name} does not say what model it is (no architecture).", "Download it again.")
    return header


def survey(source: Path, header: GgufHeader, kind: str, allow: bool = True) -> TypeSize:
    """What a file would become, by a dry run: milliseconds, nothing is written. A type that needs an importance matrix is taken with one."""
    found = predict(source, header, Wish(kind, allow_requantize=allow))
    if found.needs_imatrix:
        any_matrix = Matrix("", {"none": np.ones((1, 1), np.float32)})
        found = replace(predict(source, header, Wish(kind, any_matrix, allow_requantize=allow)), needs_imatrix=True)
    return found


def predict(source: Path, header: GgufHeader, wish: Wish) -> TypeSize:
    """What a file would become, by a dry run."""
    params = _params(wish, number_of(wish.type))
    params.dry_run = True
    log = _call(os.fsencode(source), b"", params)
    if log.failed:
        raise explain(log.failed, source, wish)
    by_name = {tensor.name: tensor for tensor in header.tensors}
    weights = padded = 0
    for name, kind in log.tensors:
        tensor = by_name[name]
        rows = tensor.elements // tensor.shape[0] if tensor.shape else 1
        size = rows * row_bytes(BY_NAME[kind.lower()], tensor.shape[0]) if kind else tensor.nbytes
        weights += size
        padded += -(-size // _ALIGNMENT) * _ALIGNMENT
    missing = sum(key not in header.metadata for key in ("general.quantization_version", "general.file_type"))
    meta = header.data_offset + 64 * missing + (256 if wish.imatrix is not None else 0)
    bits = 8 * weights / max(1, header.parameters)
    return TypeSize(wish.type, meta + padded, bits, log.needs_imatrix, sum(log.fallbacks.values()))


def quantize(
    source: Path, target: Path, header: GgufHeader, wish: Wish, on_tensor: Callable[[int, int, str], None]
) -> list[str]:
    """Writes `target`. `on_tensor` hears number, count and name of each tensor before it is worked at. Gives notes, a sentence each.

    Raises what `explain` makes of the library's words; then what lies under `target` is not whole.
    """
    log = _call(os.fsencode(source), os.fsencode(target), _params(wish, number_of(wish.type)), on_tensor)
    if log.failed:
        raise explain(log.failed, source, wish)
    notes = []
    for (wanted, given), count in log.fallbacks.items():
        notes.append(
            f"{count} of {len(header.tensors)} tensors have rows whose length {wanted} does not fit; they are {given}, which is larger."
        )
    if wish.allow_requantize and (before := quantized_as(header)):
        notes.append(f"The source was quantized already ({before}): what it had lost stays lost.")
    return notes


def number_of(kind: str) -> int:
    """The library's number of a type. SettingError for one that it does not make."""
    found = types().get(kind)
    if found is None:
        raise SettingError(f"This build of llama.cpp makes no {kind}.", f"Choose one of {', '.join(types())}.")
    return found


def quantized_as(header: GgufHeader) -> str:
    """What a source is quantized as; empty for one in whole numbers of bytes."""
    if not any(tensor.kind.quantized for tensor in header.tensors):
        return ""
    number = header.metadata.get("general.file_type")
    named = FILE_TYPES.get(number, "") if isinstance(number, int) else ""
    return named or Counter(tensor.kind.name for tensor in header.tensors if tensor.kind.quantized).most_common(1)[0][0]


def explain(said: str, source: Path, wish: Wish) -> PlaygroundError:
    """The library's words for what went wrong as a sentence with a way out."""
    if "requantizing from type" in said:
        return SettingError(
            f"{source.name} is quantized already: quantizing it again loses twice.",
            "Start from the original (F16, BF16 or F32), or allow it (--allow-requantize).",
        )
    if "requires an imatrix" in said:
        return needs_imatrix(wish.type)
    if found := re.search(r"Missing importance matrix for tensor (\S+)", said):
        return SettingError(
            f"The importance matrix says nothing of {found[1]}, and {wish.type} needs it to.",
            "Compute one from more text of this model (--imatrix auto), or choose a larger type.",
        )
    if "imatrix size" in said or "imatrix contains" in said:
        return ModelFileError(
            "The importance matrix belongs to another model, or is damaged.", "Compute a new one (--imatrix auto)."
        )
    if found := re.search(r"tensor '(.+?)' has invalid data", said):
        return ModelFileError(
            f"{source.name} is damaged: its tensor {found[1]} holds values that are no numbers.",
            "Download or convert it again.",
        )
    if "validation failed" in said:
        return ModelFileError(
            f"{source.name} cannot be quantized: a tensor's values are no numbers, or too large for {wish.type}.",
            "Download or convert it again.",
        )
    if "unknown model architecture" in said:
        return ModelFileError(
            f"{source.name} is a model of a kind that this engine does not know.",
            "Get a newer version of the program, or another model.",
        )
    if re.search(r"iostream|basic_ios|failbit|badbit|write", said):
        return StorageError(
            "The result could not be written: the disk is full or failing.", "Free some space, or choose another place."
        )
    return ModelFileError(
        f"{source.name} cannot be quantized ({said[:160]}).", "It may be damaged: download or convert it again."
    )


def needs_imatrix(kind: str) -> SettingError:
    return SettingError(
        f"{kind} is made with an importance matrix only: without one the model would talk nonsense.",
        "Have one computed (--imatrix auto), or choose a larger type.",
    )


def _params(wish: Wish, number: int) -> Any:
    params = C.llama_model_quantize_default_params()
    params.ftype = number
    params.nthread = wish.threads or usable_cores()
    params.allow_requantize = wish.allow_requantize
    params.quantize_output_tensor = not wish.keep_output
    params.max_buf_size = ROWS_AT_ONCE
    numbers = {kind.name: each for each, kind in TYPES.items()}
    for field, name in (("output_tensor_type", wish.output_type), ("token_embedding_type", wish.embedding_type)):
        if name:
            if name.upper() not in numbers:
                raise SettingError(f"There is no tensor type {name}.", "Choose Q8_0, Q6_K, F16 or another one.")
            setattr(params, field, numbers[name.upper()])
    if wish.imatrix is not None:
        params.imatrix = wish.imatrix.for_library()
        params.kv_overrides = _noted(wish.imatrix)
    return params


def _noted(matrix: Matrix) -> Any:
    """What llama.cpp's own tool writes of the matrix into the file."""
    values: list[tuple[str, int | str]] = [("quantize.imatrix.file", matrix.name)]
    values += [("quantize.imatrix.dataset", name) for name in matrix.datasets[:1]]
    values.append(("quantize.imatrix.entries_count", len(matrix.entries)))
    if matrix.chunks:
        values.append(("quantize.imatrix.chunks_count", matrix.chunks))
    array = (C.llama_model_kv_override * (len(values) + 1))()
    for place, (key, value) in enumerate(values):
        array[place].key = key.encode()
        if isinstance(value, str):
            array[place].tag = C.LLAMA_KV_OVERRIDE_TYPE_STR
            array[place].value.val_str = value.encode("utf-8", "replace")[:127]
        else:
            array[place].tag = C.LLAMA_KV_OVERRIDE_TYPE_INT
            array[place].value.val_i64 = value
    return array


def _call(source: bytes, target: bytes, params: Any, on_tensor: Callable[[int, int, str], None] | None = None) -> _Log:
    """One call of the library, with its log. The log is the library's only way to say anything."""
    llama_lib.start()
    log = _Log()
    log.on_tensor = on_tensor
    log.install()
    level = llama_lib.log.level
    if params.dry_run:
        llama_lib.log.setLevel(logging.CRITICAL)  # it goes through every tensor of every type, and is meant to fail at some
    try:
        code = C.llama_model_quantize(source, target, ctypes.byref(params))
    finally:
        llama_lib.log.setLevel(level)
        llama_lib.library_log.install()
    if code and not log.failed:
        log.failed = "it gave no reason"
    return log
