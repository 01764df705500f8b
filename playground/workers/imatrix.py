"""Importance matrices: how strongly each column of each matrix of a model is used, as mean squares of the activations that meet it.

Collected while a model reads a text, over the engine's eval callback. The file is laid out as llama.cpp's `llama-imatrix` lays it out
(its source: tools/imatrix), so that other programs can use it; that tool's older `.dat` files are read too.
"""

from __future__ import annotations

import ctypes
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import gguf
import numpy as np
from numpy.typing import NDArray

from playground.errors import Cancelled, ModelFileError, SettingError
from playground.models.gguf_header import GgufHeader, open_gguf
from playground.params import ContextSettings
from playground.workers import llama_lib
from playground.workers.llama_lib import C, ggml
from playground.workers.llama_model import Model
from playground.workers.llama_tensor import Tensor, name_of, values_of

_LEAST_ROWS = 16
"""fewer activations at once are not collected: those of a prompt's last tokens alone would weigh too much"""
_SUMS, _COUNTS = ".in_sum2", ".counts"


@dataclass
class Sums:
    """Of one tensor: sums of squares of shape [matrices, columns], and how many activations each matrix (expert) met."""

    squares: NDArray[np.float64]
    counts: NDArray[np.int64]


@dataclass
class Matrix:
    """An importance matrix. `entries`: mean squares by tensor, of shape [matrices, columns]; `chunks`: windows it was computed from."""

    name: str
    entries: dict[str, NDArray[np.float32]]
    chunks: int = 0
    datasets: tuple[str, ...] = ()
    _kept: list[Any] = field(default_factory=list)

    def for_library(self) -> Any:
        """The array that `llama_model_quantize` takes, ended by a null name. It lives as long as this object."""
        array = (C.llama_model_imatrix_data * (len(self.entries) + 1))()
        for place, (name, values) in enumerate(self.entries.items()):
            flat = np.ascontiguousarray(values, np.float32).reshape(-1)
            encoded = name.encode()
            array[place].name = encoded
            array[place].data = flat.ctypes.data_as(ctypes.POINTER(ctypes.c_float))
            array[place].size = flat.size
            self._kept += [flat, encoded]
        self._kept.append(array)
        return array

    def refuse_other_model(self, header: GgufHeader) -> None:
        """ModelFileError where it was not computed from this model."""
        shapes = {tensor.name: tensor.shape for tensor in header.tensors}
        common = [name for name in self.entries if name in shapes]
        wrong = [
            name
            for name in common
            if self.entries[name].size != shapes[name][0] * (shapes[name][2] if len(shapes[name]) > 2 else 1)
        ]
        if not common or wrong:
            raise ModelFileError(
                f"The importance matrix {self.name} belongs to another model than {header.name}.",
                "Compute one of this model (--imatrix auto).",
            )


class Collector:
    """Adds up what the callback sees. `failed` keeps what went wrong: nothing may be raised through the library."""

    def __init__(self, stopped: Callable[[], bool]) -> None:
        self.sums: dict[str, Sums] = {}
        self.failed: Exception | None = None
        self.stopped = stopped
        self._last: tuple[int, NDArray[np.float64]] | None = None
        self._names: dict[int, str] = {}
        self.callback = C.ggml_backend_sched_eval_callback(self._see)

    def _see(self, pointer: int, asked: bool, _: Any) -> bool:
        try:
            tensor = ctypes.cast(pointer, ctypes.POINTER(Tensor)).contents
            operation = self._operation(tensor.op)
            if asked:
                return operation is not None and self._wanted(tensor, operation)
            if self.stopped():
                return False
            if operation == "MUL_MAT":
                self._dense(tensor)
            else:
                self._experts(tensor)
        except Exception as error:
            self.failed = error
            return False
        return True

    def _operation(self, number: int) -> str | None:
        found = self._names.get(number)
        if found is None:
            found = self._names[number] = ggml.ggml_op_name(number).decode()
        return found if found in ("MUL_MAT", "MUL_MAT_ID") else None

    def _wanted(self, tensor: Tensor, operation: str) -> bool:
        activations = tensor.src[1].contents
        if not name_of(tensor.src[0].contents).startswith("blk.") or activations.type != 0:
            self._last = None
            return False
        return operation == "MUL_MAT_ID" or activations.ne[1] >= _LEAST_ROWS

    def _dense(self, tensor: Tensor) -> None:
        weights, activations = tensor.src[0].contents, tensor.src[1].contents
        matrices = weights.ne[2] * weights.ne[3]
        address = ctypes.addressof(activations)
        if matrices == 1 and self._last is not None and self._last[0] == address:
            squares = self._last[1]  # queries, keys and values meet the same activations
        else:
            values = values_of(activations)
            outer, middle, _, columns = values.shape
            squares = np.zeros((matrices, columns))
            for o in range(outer):
                for m in range(middle):
                    place = (o % weights.ne[3]) * weights.ne[2] + m % weights.ne[2]
                    squares[place] += np.einsum("rc,rc->c", values[o, m], values[o, m], dtype=np.float64)
        self._last = (address, squares)
        rows = activations.ne[1] * activations.ne[2] * activations.ne[3] // matrices
        self._add(name_of(weights), squares, np.array([rows]))

    def _experts(self, tensor: Tensor) -> None:
        weights, activations, chosen = (tensor.src[place].contents for place in range(3))
        values = values_of(activations)[0]  # [tokens, 1 or experts used, columns]
        ids = values_of(chosen, np.int32)[0, 0]  # [tokens, experts used]
        experts, columns = weights.ne[2], activations.ne[0]
        squares = np.zeros((experts, columns))
        for place in range(ids.shape[1]):
            rows = values[:, place % values.shape[1]].astype(np.float64) ** 2
            order = np.argsort(ids[:, place], kind="stable")
            found, starts = np.unique(ids[order, place], return_index=True)
            squares[found] += np.add.reduceat(rows[order], starts, axis=0)
        self._last = None
        self._add(name_of(weights), squares, np.bincount(ids.reshape(-1), minlength=experts))

    def _add(self, name: str, squares: NDArray[np.float64], counts: NDArray[np.int64]) -> None:
        if not np.isfinite(squares).all():
            raise ModelFileError(
                f"The model computes values that are no numbers at {name}: its weights are damaged.", "Download it again."
            )
        kept = self.sums.get(name)
        if kept is None:
            self.sums[name] = Sums(squares.copy(), counts.astype(np.int64))
        else:
            kept.squares += squares
            kept.counts += counts


def collect(
    model: Path,
    text: str,
    context: int,
    chunks: int,
    on_window: Callable[[int, int], None],
    stopped: Callable[[], bool],
) -> tuple[dict[str, Sums], int]:
    """Sums over windows of `context` tokens of a text, and how many windows there were. `on_window` hears how many are through, of how many.

    ModelFileError, MemoryShortError of the model, SettingError for too little text, Cancelled if `stopped` says so.
    """

    def loading(fraction: float) -> bool:
        return not stopped()

    loaded = Model(model, ContextSettings(context=context, batch=context, ubatch=context), on_progress=loading)
    try:
        bos = C.llama_vocab_bos(loaded.vocab) if C.llama_vocab_get_add_bos(loaded.vocab) else -1
        tokens = loaded.tokenize(text)
        count = len(tokens) // context
        if count < 1:
            raise SettingError(
                f"The text has {len(tokens):,} tokens, and one window alone is {context:,}.", "Take a longer text."
            )
        count = min(count, chunks) if chunks else count
        collector = Collector(stopped)
        _read(loaded, tokens, bos, context, count, collector, on_window)
        return collector.sums, count
    finally:
        loaded.close()


def _read(
    model: Model,
    tokens: list[int],
    bos: int,
    context: int,
    count: int,
    collector: Collector,
    on_window: Callable[[int, int], None],
) -> None:
    C.llama_free(model.context_handle)
    params = C.llama_context_default_params()
    params.n_ctx = params.n_batch = params.n_ubatch = params.n_outputs_max = context
    params.n_seq_max = 1
    params.n_threads = params.n_threads_batch = model.threads
    params.cb_eval = collector.callback
    params.no_perf = True
    model.context_handle = handle = C.llama_init_from_model(model.handle, params)
    if not handle:
        raise ModelFileError(f"{model.path.name} cannot be computed with.", "Close other programs, or take a smaller model.")
    memory = C.llama_get_memory(handle)
    batch = C.llama_batch_init(context, 0, 1)
    try:
        for window in range(count):
            C.llama_memory_clear(memory, True)
            piece = tokens[window * context : (window + 1) * context]
            if bos >= 0:
                piece[0] = bos  # every window begins like a text
            batch.n_tokens = context
            for place, token in enumerate(piece):
                batch.token[place] = token
                batch.pos[place] = place
                batch.n_seq_id[place] = 1
                batch.seq_id[place][0] = 0
                batch.logits[place] = 1  # else the last layer computes for the last token only
            code = llama_lib.decode(handle, batch)
            if collector.failed is not None:
                raise collector.failed
            if collector.stopped():
                raise Cancelled("Cancelled.")
            if code:
                raise ModelFileError(f"{model.path.name} cannot be computed with (code {code}).", "It may be damaged.")
            on_window(window + 1, count)
    finally:
        C.llama_batch_free(batch)


def save(path: Path, sums: dict[str, Sums], dataset: str, chunks: int, context: int) -> None:
    """Writes sums as `llama-imatrix` does; OSError where the disk will not."""
    writer = gguf.GGUFWriter(str(path), "imatrix")
    writer.kv_data[0].pop("general.architecture")  # it is no model
    writer.add_type("imatrix")
    writer.add_array("imatrix.datasets", [dataset])
    writer.add_uint32("imatrix.chunk_count", chunks)
    writer.add_uint32("imatrix.chunk_size", context)
    for name in sorted(sums):
        each = sums[name]
        writer.add_tensor(name + _SUMS, each.squares.astype(np.float32))
        writer.add_tensor(name + _COUNTS, each.counts.astype(np.float32).reshape(-1, 1))
    try:
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
    finally:
        writer.close()


def load(path: Path) -> Matrix:
    """Reads an importance matrix, in today's layout or the one before. ModelFileError for what is none."""
    try:
        with path.open("rb") as file:
            magic = file.read(4)
        return _load_gguf(path) if magic == b"GGUF" else _load_dat(path)
    except OSError as error:
        raise ModelFileError(f"{path} cannot be read ({error.strerror or error}).", "Choose another file.") from None
    except (ValueError, KeyError, IndexError, struct.error, OverflowError, MemoryError):
        raise ModelFileError(
            f"{path.name} is no importance matrix, or a damaged one.",
            "Choose another file, or have one computed (--imatrix auto).",
        ) from None


def _load_gguf(path: Path) -> Matrix:
    header = open_gguf(path)
    if not any(tensor.name.endswith(_SUMS) for tensor in header.tensors):
        raise ValueError("no sums")
    data = np.memmap(path, np.uint8, "r")
    found = {}
    for tensor in header.tensors:
        if tensor.kind.name == "F32":
            at = header.data_offset + tensor.offset
            found[tensor.name] = np.asarray(data[at : at + tensor.nbytes]).view(np.float32)
    entries = {}
    for name, squares in found.items():
        if name.endswith(_SUMS):
            counts = np.rint(found[name.removesuffix(_SUMS) + _COUNTS])
            rows = squares.reshape(len(counts), -1)
            entries[name.removesuffix(_SUMS)] = np.where(
                counts[:, None] > 0, rows / np.maximum(counts[:, None], 1), np.float32(1)
            ).astype(np.float32)
    datasets = header.metadata.get("imatrix.datasets", [])
    names = tuple(str(each) for each in datasets) if isinstance(datasets, list) else ()
    return _whole(Matrix(path.name, entries, int(header.metadata.get("imatrix.chunk_count", 0)), names))


def _load_dat(path: Path) -> Matrix:
    data = path.read_bytes()
    at = 0

    def number() -> int:
        nonlocal at
        (value,) = struct.unpack_from("<i", data, at)
        at += 4
        if value < 0:
            raise ValueError(value)
        return int(value)

    def take(length: int) -> bytes:
        nonlocal at
        found = data[at : at + length]
        if len(found) != length:
            raise ValueError("cut")
        at += length
        return found

    entries = {}
    count = number()
    if not 1 <= count <= 1 << 20:
        raise ValueError(count)
    for _ in range(count):
        name = take(number()).decode()
        calls = number()
        values = np.frombuffer(take(4 * number()), "<f4")
        entries[name] = (values / max(1, calls)).astype(np.float32).reshape(1, -1)
    chunks = 0
    datasets: tuple[str, ...] = ()
    if at < len(data):
        chunks = number()
        datasets = (take(number()).decode("utf-8", "replace"),) if at < len(data) else ()
    return _whole(Matrix(path.name, entries, chunks, datasets))


def _whole(matrix: Matrix) -> Matrix:
    if not matrix.entries or not all(np.isfinite(values).all() for values in matrix.entries.values()):
        raise ValueError("not finite")
    return matrix
