"""An adapter becomes part of a model folder's weights: W + scale * (alpha / r) * B A in float32, rounded to the format that W had.

Streams: of a weight, some megabytes are in memory at once, and each file keeps its name, order and header. Numpy alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

from playground.errors import ModelFileError
from playground.models.lora import Lora, Pair
from playground.models.safetensors_header import INDEX_NAME, SafeTensor, open_safetensors
from playground.workers.folder_parts import BLOCK, ITEM, Floats, check_numbers, from_floats, to_floats
from playground.workers.torch_folder import Folder

_OTHER = "Take the model that the adapter was made for."
_TURNED = ("gpt2", "openai-gpt", "imagegpt", "decision_transformer")
"""models whose matrices are stored [inputs, outputs]"""


@dataclass(frozen=True)
class _Change:
    """What one weight gets: `left` [rows, rank] times `right` [rank, columns], in the weight's own orientation."""

    left: Floats
    right: Floats


def merge(folder: Folder, lora: Lora, scale: float, target: Path, going: Callable[[int], None]) -> None:
    """Writes the weights of `folder` with the adapter in them into the folder `target`, and their index.

    `going` hears how many bytes were done since it was last called, and may raise. ModelFileError for an adapter of another model.
    """
    headers = {file: open_safetensors(file).tensors for file in folder.files}
    places = match(folder, lora, {tensor.name: tensor for tensors in headers.values() for tensor in tensors})
    for file in folder.files:
        with file.open("rb") as source, (target / file.name).open("wb") as made:
            start = min((tensor.offset for tensor in headers[file]), default=file.stat().st_size)
            made.write(source.read(start))
            for tensor in sorted(headers[file], key=lambda each: each.offset):
                source.seek(tensor.offset)
                pair = places.get(tensor.name)
                change = _change(folder, lora, pair, scale) if pair is not None and scale else None
                _copy(source, made, tensor, change, folder.name, going)
    index = folder.path / INDEX_NAME
    if index.exists():
        (target / INDEX_NAME).write_bytes(index.read_bytes())


def match(folder: Folder, lora: Lora, tensors: dict[str, SafeTensor]) -> dict[str, Pair]:
    """The weight that each pair of the adapter belongs to. ModelFileError if one has none, or one of another shape."""
    if folder.quantized:
        raise ModelFileError(
            f"{folder.name} is quantized ({folder.quantized}), and an adapter cannot be merged into it.",
            "Merge it into the full model, and quantize the result.",
        )
    found: dict[str, Pair] = {}
    for pair in lora.pairs:
        name = next((each for each in _names(pair.module) if each in tensors), "")
        output = "lm_head" in pair.module.split(".")
        if (output and not name) or ((output or pair.embedding) and folder.tied):
            raise ModelFileError(
                f"The adapter {lora.folder.name} changes one of the token table and the output layer, and {folder.name} has the same weights "
                "for both.",
                "Use the adapter beside the model, without merging it.",
            )
        if not name:
            raise _foreign(folder, lora, f'there is no "{pair.module[:100]}" in it')
        tensor = tensors[name]
        wanted = pair.shape[::-1] if pair.embedding or _is_turned(folder, lora) else pair.shape
        if tensor.shape != wanted:
            raise _foreign(folder, lora, f"{name} is {_by(tensor.shape)}, and the adapter's {_by(wanted)}")
        if tensor.dtype not in ITEM:
            raise ModelFileError(
                f"{folder.name} has weights in the format {tensor.dtype}, which an adapter cannot be merged into.",
                "Take the model in bf16, f16 or f32.",
            )
        found[name] = pair
    return found


def _names(module: str) -> list[str]:
    """What a module's weight may be called on disk: bare models lack the first part, those with pictures have one more."""
    names = [module, module.partition(".")[2], f"model.{module}"]
    names.append(module.replace("model.language_model.", "language_model.model."))
    names.append(module.replace("model.", "model.language_model.", 1))
    return [f"{name}.weight" for name in names if name]


def _is_turned(folder: Folder, lora: Lora) -> bool:
    return bool(lora.config.get("fan_in_fan_out")) or folder.model_type in _TURNED


def _change(folder: Folder, lora: Lora, pair: Pair, scale: float) -> _Change:
    a, b = lora.read(pair)
    factor = np.float32(scale * pair.scaling)
    if pair.embedding or _is_turned(folder, lora):
        return _Change(a.T, b.T * factor)
    return _Change(b * factor, a)


def _copy(
    source: BinaryIO, made: BinaryIO, tensor: SafeTensor, change: _Change | None, folder: str, going: Callable[[int], None]
) -> None:
    """One weight, some rows at a time."""
    row = tensor.nbytes // max(1, tensor.shape[0]) if tensor.shape else tensor.nbytes
    step = max(1, BLOCK // max(1, row))
    rows = tensor.shape[0] if tensor.shape else 1
    for first in range(0, rows, step) if tensor.nbytes else ():
        count = min(step, rows - first)
        block = source.read(count * row)
        if len(block) != count * row:
            raise ModelFileError(f"{folder} is cut short.", "Download it again.")
        check_numbers(block, tensor, folder)
        if change is not None:
            values = to_floats(block, tensor.dtype).reshape(count, -1) + change.left[first : first + count] @ change.right
            block = from_floats(values, tensor.dtype)
            _check_result(block, tensor, folder)
        made.write(block)
        going(len(block))


def _check_result(block: bytes, tensor: SafeTensor, folder: str) -> None:
    try:
        check_numbers(block, tensor, folder)
    except ModelFileError:
        raise ModelFileError(
            f"The adapter makes {tensor.name[:100]} too large for the format {tensor.dtype}.", "Merge it at a smaller scale."
        ) from None


def _foreign(folder: Folder, lora: Lora, why: str) -> ModelFileError:
    return ModelFileError(f"The adapter {lora.folder.name} does not belong to {folder.name}: {why}.", _OTHER)


def _by(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape))
