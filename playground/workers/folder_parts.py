"""What model folders that are made here have in common: written whole or not at all, weights that are numbers, everything beside the weights.

Numpy alone; knows no torch and no adapter.
"""

from __future__ import annotations

import errno
import os
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from playground.errors import ModelFileError, PlaygroundError, StorageError
from playground.models import beside
from playground.models.safetensors_header import SafeTensor

BLOCK = 16 << 20
"""bytes of a weight that are in memory at once"""

_KEPT = (".json", ".txt", ".model", ".jinja", ".tiktoken", ".md", ".tekken", ".jinja2")
_LEFT_OUT = (
    "README.md", "model.safetensors.index.json", "pytorch_model.bin.index.json", "adapter_config.json",
    "evaluation.txt", "calibration.txt",  # of the starter: texts for this program, no part of the model
)  # fmt: skip
_REFUSED = re.compile(r"\(os error (\d+)\)$")
Floats = NDArray[np.float32]


@contextmanager
def whole_folder(target: Path, size: int) -> Iterator[Path]:
    """A folder to write into, which is renamed to `target` when it is whole and on the disk, and removed if anything raises.

    StorageError if something lies at `target`, if less than `size` bytes are free, or if the disk fills up.
    """
    if target.is_symlink() or (target.exists() and not (target.is_dir() and not any(target.iterdir()))):
        raise StorageError(f"There is already something at {target}.", "Choose another name, or remove it first.")
    part = beside.part_of(target)
    beside.need(target.parent, size)
    try:
        part.mkdir()
        yield part
        for file in sorted(part.rglob("*")):
            if file.is_file():
                file.chmod(0o644 & ~_umask())
                with file.open("rb+") as opened:
                    os.fsync(opened.fileno())
        beside.sync_folder(part)
        os.replace(part, target)
        beside.sync_folder(target.parent)
    except OSError as error:
        raise _storage_error(target, error) from None
    except Exception as error:  # safetensors has an exception of its own for what the disk refuses, not an OSError
        refused = _REFUSED.search(str(error))
        if refused is None or isinstance(error, PlaygroundError):
            raise
        number = int(refused[1])
        raise _storage_error(
            target, OSError(0, "", None, number) if os.name == "nt" else OSError(number, os.strerror(number))
        ) from None
    finally:
        beside.remove(part)


def _storage_error(target: Path, error: OSError) -> StorageError:
    if error.errno in (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC), errno.EFBIG):
        return StorageError(
            f"The disk is full: {target.name} could not be written.", "Free some space, or choose another place."
        )
    return StorageError(f"{target} could not be written: {error.strerror or error}.", "Choose another place.")


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def copy_companions(source: Path, target: Path, done: str) -> None:
    """Configuration, tokenizer, chat template and licence as they are, what `target` has already excepted; the card says what was done."""
    for file in sorted(source.iterdir()):
        wanted = file.suffix.lower() in _KEPT or file.name.upper().startswith(("LICENSE", "LICENCE", "NOTICE"))
        if file.is_file() and wanted and file.name not in _LEFT_OUT and not (target / file.name).exists():
            shutil.copyfile(file, target / file.name)
    card = source / "README.md"
    text = card.read_text("utf-8", "replace").rstrip() + "\n\n" if card.is_file() else f"# {target.name.split('.')[0]}\n\n"
    (target / "README.md").write_text(f"{text}## How this folder was made\n\n{done}\n", "utf-8")


def refuse_damaged(files: tuple[Path, ...], headers: dict[Path, tuple[SafeTensor, ...]], going: Callable[[int], None]) -> None:
    """ModelFileError if a weight has values that are no numbers. `going` hears how many bytes were read since it was last called."""
    for file in files:
        with file.open("rb") as opened:
            for tensor in headers[file]:
                opened.seek(tensor.offset)
                left = tensor.nbytes
                while left:
                    block = opened.read(min(BLOCK, left))
                    if not block:
                        raise ModelFileError(f"{file.name} is cut short.", "Download it again.")
                    left -= len(block)
                    check_numbers(block, tensor, file.parent.name)
                    going(len(block))


def check_numbers(block: bytes, tensor: SafeTensor, folder: str) -> None:
    """ModelFileError if a block of whole numbers of a weight holds one that is none: by its exponent, all ones."""
    kind, mask = _EXPONENTS.get(tensor.dtype, (None, 0))
    if kind is not None and bool(((np.frombuffer(block, kind) & mask) == mask).any()):
        raise ModelFileError(
            f"The weights in {folder} are damaged: {tensor.name[:100]} has values that are no numbers.", "Download it again."
        )


_EXPONENTS = {"F32": ("<u4", 0x7F800000), "F16": ("<u2", 0x7C00), "BF16": ("<u2", 0x7F80), "F64": ("<u8", 0x7FF0000000000000)}


def to_floats(block: bytes, dtype: str) -> Floats:
    """Bytes of a weight in F32, F16, BF16 or F64 as float32."""
    if dtype == "BF16":
        return (np.frombuffer(block, "<u2").astype(np.uint32) << 16).view(np.float32)
    return np.frombuffer(block, _FLOATS[dtype]).astype(np.float32)


def from_floats(values: Floats, dtype: str) -> bytes:
    """The inverse; rounded to nearest, ties to even. Values too large for F16 become infinite."""
    if dtype == "BF16":
        bits = np.ascontiguousarray(values, np.float32).view(np.uint32)
        return ((bits + (0x7FFF + ((bits >> 16) & 1))) >> 16).astype("<u2").tobytes()
    with np.errstate(over="ignore"):
        return values.astype(_FLOATS[dtype]).tobytes()


_FLOATS = {"F32": "<f4", "F16": "<f2", "F64": "<f8", "BF16": "<u2"}
ITEM = {"F32": 4, "F16": 2, "F64": 8, "BF16": 2}
"""bytes of one number"""
