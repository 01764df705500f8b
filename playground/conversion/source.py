"""A model folder's weights: which file holds which tensor, and its rows read in slices. Formats f32, f16, bf16 and f64; no pickle.

Whatever is wrong with the folder ends in one sentence before anything is written, but for values that are no numbers: these are found
while reading.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from ..errors import ModelFileError, NotFoundError
from ..models.safetensors_header import INDEX_NAME, open_safetensors, shard_names
from .config import Config, read_json

_PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt")
_AGAIN = "Download the model again."

BITS: dict[str, type[np.generic]] = {"F32": np.uint32, "F16": np.uint16, "BF16": np.uint16, "F64": np.uint64}
"""The unsigned integers that hold one number of each format."""


@dataclass(frozen=True)
class Weight:
    """One tensor on disk: `shape` slowest axis first, `offset` in bytes into `file`."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    file: Path
    offset: int

    @property
    def columns(self) -> int:
        """Elements of one row; a vector has as many rows as elements."""
        return self.shape[-1] if len(self.shape) > 1 else 1

    @property
    def rows(self) -> int:
        return math.prod(self.shape[:-1]) if len(self.shape) > 1 else math.prod(self.shape)

    @property
    def row_bytes(self) -> int:
        return self.columns * np.dtype(BITS[self.dtype]).itemsize


def check_folder(folder: Path, config: Config) -> None:
    """Refuses what is no plain model folder: adapters, models that are quantized already. Raises ModelFileError."""
    settings = config.outer.get("quantization_config")
    if settings:
        method = settings.get("quant_method", "") if isinstance(settings, dict) else ""
        raise ModelFileError(
            f"{folder.name} is quantized already ({method or 'in its own way'}), and its weights cannot be turned back.",
            "Convert the original model instead.",
        )


def find_weights(folder: Path) -> dict[str, Weight]:
    """All weights of a model folder by name, in the order they lie on disk. Raises NotFoundError or ModelFileError."""
    if not folder.exists():
        raise NotFoundError(f"{folder} is not there.", "Choose a model folder in Hugging Face layout.")
    if not folder.is_dir():
        raise ModelFileError(f"{folder.name} is a file, not a model folder.", "Choose the folder that has config.json in it.")
    if (folder / "adapter_config.json").exists() and not (folder / "config.json").exists():
        raise ModelFileError(f"{folder.name} is an adapter, not a model.", "Convert it as an adapter, or merge it first.")
    try:
        files = _files(folder)
    except OSError as error:
        raise ModelFileError(f"{folder} cannot be read: {error.strerror or error}.", "Check its permissions.") from None
    found: dict[str, Weight] = {}
    for file in files:
        for tensor in sorted(open_safetensors(file).tensors, key=lambda each: each.offset):
            if tensor.name in found:
                raise ModelFileError(f'{folder.name} is damaged: the weight "{tensor.name[:80]}" is in two files.', _AGAIN)
            found[tensor.name] = Weight(tensor.name, tensor.dtype, tensor.shape, file, tensor.offset)
    index = folder / INDEX_NAME
    if index in (path.parent / INDEX_NAME for path in files) and index.exists():
        _check_index(index, found)
    if not found:
        raise ModelFileError(f"{folder.name} contains no weights.", _AGAIN)
    return found


def _files(folder: Path) -> list[Path]:
    index = folder / INDEX_NAME
    if index.exists():
        files = [folder / name for name in shard_names(index.read_bytes(), index.name)]
        gone = [file.name for file in files if not file.exists()]
        if gone:
            many = f" and {len(gone) - 1} more" if len(gone) > 1 else ""
            raise ModelFileError(f"{folder.name} is incomplete: {gone[0]}{many} is missing.", "Download the missing file.")
        return files
    files = sorted(file for file in folder.glob("*.safetensors") if not file.name.startswith(("adapter_", ".")))
    if (folder / "model.safetensors") in files:
        return [folder / "model.safetensors"]
    if any("-of-" in file.name for file in files):
        raise ModelFileError(f"{folder.name} is incomplete: {INDEX_NAME} is missing.", "Download the missing file.")
    if len(files) == 1:
        return files
    if not files and any(any(folder.glob(pattern)) for pattern in _PICKLES):
        raise ModelFileError(
            f"{folder.name} has its weights as pickle files, which can run programs and are not read.",
            "Look for a copy of the model with safetensors files.",
        )
    if not files:
        raise ModelFileError(f"{folder.name} holds no safetensors file.", "Choose a folder with model.safetensors in it.")
    raise ModelFileError(f"{folder.name} has several safetensors files and no index of them.", _AGAIN)


def _check_index(index: Path, found: dict[str, Weight]) -> None:
    """The index names each weight's file: what it names and its shards have not is missing."""
    table = (read_json(index) or {}).get("weight_map", {})
    for name, file in table.items():
        if name not in found or found[name].file.name != file:
            raise ModelFileError(f'{file} is damaged: the weight "{str(name)[:80]}" is not in it.', _AGAIN)


class Reader:
    """Reads rows of weights, with one file open at a time."""

    def __init__(self) -> None:
        self._path: Path | None = None
        self._file: BinaryIO | None = None

    def __enter__(self) -> Reader:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._file is not None:
            self._file.close()

    def rows(self, weight: Weight, first: int, count: int, into: NDArray[np.uint8]) -> None:
        """Fills `into` with the bytes of `count` rows from row `first` on. Raises ModelFileError if they are not there."""
        try:
            if self._path != weight.file:
                if self._file is not None:
                    self._file.close()
                self._file, self._path = weight.file.open("rb", buffering=0), weight.file
            assert self._file is not None
            self._file.seek(weight.offset + first * weight.row_bytes)
            view, done = into.data, 0
            while done < len(view):
                step = self._file.readinto(view[done:])  # type: ignore[attr-defined]
                if not step:
                    raise ModelFileError(f"{weight.file.name} is cut short.", "Download it again.")
                done += step
        except OSError as error:
            raise ModelFileError(f"{weight.file} cannot be read: {error.strerror or error}.", "Check the disk.") from None
