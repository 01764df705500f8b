"""One GGUF file of one model folder: the plan, the header, and then the weights, a block at a time.

Peak memory is some blocks, whatever the model's size (and one matrix where its rows must be seen together: GPT-2, GPT-NeoX, Falcon).
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gguf
import numpy as np

from ..errors import Cancelled, SettingError
from .architectures import Architecture, architecture_of
from .card import write_card
from .config import Config, read_config
from .hyperparameters import Header, note_window, write_common, write_rope
from .numbers import ITEM_BYTES, Bytes, Converter, Kind
from .source import Reader, check_folder, find_weights
from .tensors import Tensor, plan
from .tokenizer import write_tokenizer
from .whole_file import whole_file
from .writing import Writer

TYPES = ("f32", "f16", "bf16", "auto")
BLOCK_BYTES = 1 << 20
"""Read at a time: source, checked copy and result of a block stay in the processor's cache."""

_AHEAD = 3
"""Blocks at hand: one being read and checked, one being written, one between them."""

_FILE_TYPES = {
    Kind.F32: gguf.LlamaFileType.ALL_F32,
    Kind.F16: gguf.LlamaFileType.MOSTLY_F16,
    Kind.BF16: gguf.LlamaFileType.MOSTLY_BF16,
}
_ALWAYS_F32 = ("_norm.weight", "ffn_gate_inp.weight", "ffn_gate_inp_shexp.weight", "position_embd.weight")
"""llama.cpp adds and multiplies with these directly, which it does in f32 only; routers are kept exact as its own converter does."""


@dataclass(frozen=True)
class Report:
    """What was made. `notes` are sentences for the user."""

    path: Path
    bytes: int
    seconds: float
    notes: tuple[str, ...]


def convert(
    source: Path,
    target: Path,
    type: str = "auto",
    progress: Callable[[float, str], None] = lambda fraction, what: None,
    cancelled: Callable[[], bool] = lambda: False,
) -> Report:
    """Writes the GGUF file `target` of the model folder `source`, its matrices in `type` (`auto`: what most weights are in).

    `progress` gets a fraction from 0 to 1 and the tensor at hand; `cancelled` is asked every few milliseconds. An existing target is
    replaced at the end. Raises NotFoundError, ModelFileError, StorageError, SettingError or Cancelled, and leaves nothing then.
    """
    if type not in TYPES:
        raise SettingError(f"There is no type {type!r:.40} to convert to.", f"Choose one of {', '.join(TYPES)}.")
    start = time.monotonic()
    progress(0.0, "Reading the folder")
    weights = find_weights(source)
    config = read_config(source)
    check_folder(source, config)
    architecture = architecture_of(config)
    tensors, notes = plan(architecture, config, weights)
    kind = _kind(type, tensors)
    writer = Writer(None, gguf.MODEL_ARCH_NAMES[architecture.arch])
    header = Header(writer, notes=notes)
    _write_header(header, source, architecture, config, tensors, kind)
    kinds = {tensor.name: _kind_of(tensor, kind) for tensor in tensors}
    for tensor in tensors:
        size = _elements(tensor) * ITEM_BYTES[kinds[tensor.name]]
        writer.add_tensor_info(tensor.name, tensor.shape, np.dtype(np.float32), size, raw_dtype=kinds[tensor.name])
    for name, values in header.tensors.items():
        writer.add_tensor_info(name, values.shape, values.dtype, values.nbytes)
    total = sum(_elements(tensor) * ITEM_BYTES[kinds[tensor.name]] for tensor in tensors)
    with whole_file(target, total) as part:
        try:
            writer.write_header_to_file(part)
            writer.write_kv_data_to_file()
            writer.write_ti_data_to_file()
            _write_weights(writer, tensors, kinds, header, total, progress, cancelled)
        finally:
            writer.close()
        size = part.stat().st_size
    progress(1.0, "Done")
    return Report(target, size, time.monotonic() - start, tuple(header.notes))


def _write_header(
    header: Header,
    source: Path,
    architecture: Architecture,
    config: Config,
    tensors: list[Tensor],
    kind: gguf.GGMLQuantizationType,
) -> None:
    """Everything before the weights: card, hyperparameters, tokenizer."""
    rows = next(tensor.shape[0] for tensor in tensors if tensor.name == "token_embd.weight")
    parameters = sum(_elements(tensor) for tensor in tensors if tensor.name != "output.weight" or not config.tied)
    write_card(header, source, config, parameters)
    write_common(header, config, architecture.layer_norm, rows)
    for extra in architecture.extra:
        extra(header, config)
    if architecture.rope:
        write_rope(header, config, architecture.name, architecture.scalings)
    if architecture.ignores_window:
        note_window(header, config)
    header.writer.add_file_type(_FILE_TYPES[kind])
    header.writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
    write_tokenizer(header, source, config, rows)


def _write_weights(
    writer: Any,
    tensors: list[Tensor],
    kinds: dict[str, gguf.GGMLQuantizationType],
    header: Header,
    total: int,
    progress: Callable[[float, str], None],
    cancelled: Callable[[], bool],
) -> None:
    (out,) = writer.fout
    writer.write_padding(out, out.tell())
    done = 0
    slots = [_Slot() for _ in range(_AHEAD)]
    with Reader() as reader, ThreadPoolExecutor(1, "writing") as pool:  # while a block is written, the next is read and checked
        for tensor in tensors:
            progress(done / total if total else 0.0, tensor.name)
            for piece in tensor.pieces:
                group = piece.group * piece.weight.row_bytes
                step = max(1, BLOCK_BYTES // group) * piece.group
                for first in range(0, piece.count, step):
                    if cancelled():
                        raise Cancelled("The conversion was cancelled.")
                    count = min(step, piece.count - first)
                    slot = slots[0]
                    slots.append(slots.pop(0))
                    block = slot.block(count * piece.weight.row_bytes)
                    reader.rows(piece.weight, piece.first + first, count, block)
                    slot.writing.append(pool.submit(out.write, slot.converter.convert(block, piece, kinds[tensor.name])))
            size = _elements(tensor) * ITEM_BYTES[kinds[tensor.name]]
            slots[-1].writing.append(pool.submit(writer.write_padding, out, size))
            done += size
        for slot in slots:
            slot.block(0)
    for values in header.tensors.values():
        out.write(np.ascontiguousarray(values).data.cast("B"))
        writer.write_padding(out, values.nbytes)
    out.flush()


class _Slot:
    """What one block needs from being read to being written."""

    def __init__(self) -> None:
        self._block = np.empty(BLOCK_BYTES, np.uint8)
        self.converter = Converter()
        self.writing: list[Future[Any]] = []

    def block(self, size: int) -> Bytes:
        """Memory for so many bytes, once what was there is written. Raises what writing it raised."""
        while self.writing:
            self.writing.pop(0).result()
        if self._block.size < size:
            self._block = np.empty(size, np.uint8)
        return self._block[:size]


def _kind(type: str, tensors: list[Tensor]) -> gguf.GGMLQuantizationType:
    if type != "auto":
        return {"f32": Kind.F32, "f16": Kind.F16, "bf16": Kind.BF16}[type]
    elements: Counter[str] = Counter()
    for tensor in tensors:
        elements[tensor.pieces[0].weight.dtype] += _elements(tensor)
    return {"F16": Kind.F16, "BF16": Kind.BF16}.get(elements.most_common(1)[0][0], Kind.F32)


def _kind_of(tensor: Tensor, kind: gguf.GGMLQuantizationType) -> gguf.GGMLQuantizationType:
    if len(tensor.shape) == 1 or tensor.name.endswith(_ALWAYS_F32):
        return Kind.F32
    return kind


def _elements(tensor: Tensor) -> int:
    return int(np.prod(tensor.shape, dtype=np.int64))
