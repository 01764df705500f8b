"""Whether a model folder can be given to transformers at all: each fault as one sentence, before the library sees it.

Reads the configuration and the headers of the weights only. Pickles are never opened, and no code from a folder is run.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from playground.errors import ModelFileError, NotFoundError
from playground.models.safetensors_header import INDEX_NAME, SafeTensor, open_safetensors, shard_names

_AGAIN = "Download it again, or choose another model."
_PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt")
_TOKENIZERS = ("tokenizer.json", "tokenizer.model", "vocab.json", "vocab.txt", "tekken.json", "spiece.model")
_FLOATS = {"F32": "f32", "BF16": "bf16", "F16": "f16", "F64": "f32"}
_ELEMENT = {"f32": 4, "bf16": 2, "f16": 2}


@dataclass(frozen=True)
class Folder:
    """A folder that holds a whole model: its configuration and what its weights are."""

    path: Path
    config: dict[str, Any]
    tensors: tuple[SafeTensor, ...]
    files: tuple[Path, ...]

    @property
    def model_type(self) -> str:
        return str(self.config.get("model_type", ""))

    @property
    def name(self) -> str:
        """What to call it: of a snapshot in the Hugging Face cache, the repository's name."""
        if self.path.parent.name == "snapshots":
            return self.path.parent.parent.name.removeprefix("models--").rpartition("--")[2]
        return self.path.resolve().name

    @property
    def stored(self) -> str:
        """The number format that most of the weights have: f32, bf16 or f16."""
        bytes_in: Counter[str] = Counter()
        for each in self.tensors:
            if each.dtype in _FLOATS:
                bytes_in[_FLOATS[each.dtype]] += each.nbytes
        return bytes_in.most_common(1)[0][0] if bytes_in else "f32"

    @property
    def quantized(self) -> str:
        """`nf4`, `int8` or the like where the weights are stored quantized, else empty."""
        how = self.config.get("quantization_config")
        if not isinstance(how, dict):
            return ""
        if how.get("quant_method") not in (None, "bitsandbytes"):
            return str(how["quant_method"])
        if how.get("load_in_8bit"):
            return "int8"
        return str(how.get("bnb_4bit_quant_type") or "nf4") if how.get("load_in_4bit") else ""

    @property
    def tied(self) -> bool:
        """Whether the output layer is the token table."""
        said = self.config.get("tie_word_embeddings") is True
        return said or not any(
            each.name.rpartition("lm_head")[2] == ".weight" or "embed_out" in each.name for each in self.tensors
        )

    def bytes_as(self, precision: str) -> int:
        """Bytes of the weights once loaded as `f32`, `bf16`, `f16`, `nf4` or `int8`; as they are stored for anything else."""
        if precision in _ELEMENT:
            return sum(each.elements for each in self.tensors) * _ELEMENT[precision]
        if precision not in ("nf4", "int8"):
            return sum(each.nbytes for each in self.tensors)
        total = 0.0
        for each in self.tensors:
            linear = len(each.shape) == 2 and not any(part in each.name for part in ("embed", "lm_head", "wte", "wpe"))
            total += each.elements * ((0.516 if precision == "nf4" else 1.0) if linear else 2.0)
        return round(total)


def check_model_folder(path: Path) -> Folder:
    """A folder that transformers can be given. ModelFileError or NotFoundError with one sentence otherwise."""
    if not path.exists():
        raise NotFoundError(f"There is no folder {path}.", "It may have been moved or deleted; choose it again.")
    if not path.is_dir():
        raise ModelFileError(f"{path.name} is a file, not a model folder.", "Choose the folder that it lies in.")
    config = _config(path)
    names = _weight_files(path)
    files = tuple(path / name for name in names)
    tensors = tuple(tensor for file in files for tensor in _whole(file))
    _check_index(path, tensors)
    if not any((path / name).exists() for name in _TOKENIZERS):
        raise ModelFileError(f"{path.name} has no tokenizer.", "Download tokenizer.json of this model into the folder.")
    found = Folder(path, config, tensors, files)
    if found.quantized not in ("", "nf4", "fp4", "int8"):
        raise ModelFileError(
            f"{path.name} is quantized with {found.quantized}, which this engine does not load.",
            "Take the original model, or a GGUF file of it.",
        )
    return found


def sha256_of_folder(files: tuple[Path, ...]) -> str:
    """One hash for all weights: the SHA-256 of the lines `<SHA-256 of the file>  <name>`, sorted by name.

    The same as `LC_ALL=C sha256sum *.safetensors | sha256sum` where these are all the folder's files.
    """
    lines = hashlib.sha256()
    for file in sorted(files, key=lambda each: each.name):
        with file.open("rb") as opened:
            lines.update(f"{hashlib.file_digest(opened, 'sha256').hexdigest()}  {file.name}\n".encode())
    return lines.hexdigest()


def _config(path: Path) -> dict[str, Any]:
    try:
        config = json.loads((path / "config.json").read_bytes())
    except FileNotFoundError:
        if (path / "adapter_config.json").exists():
            raise ModelFileError(
                f"{path.name} is an adapter, not a model.", "Load the model that it was made for, with this adapter."
            ) from None
        raise ModelFileError(f"{path.name} has no config.json.", "Choose a folder in Hugging Face layout.") from None
    except OSError as error:
        raise ModelFileError(
            f"{path.name}/config.json cannot be read ({error.strerror}).", "Check the file's permissions."
        ) from None
    except (ValueError, RecursionError):
        raise ModelFileError(f"The config.json of {path.name} is damaged: it is not JSON.", _AGAIN) from None
    if not isinstance(config, dict) or not isinstance(config.get("model_type"), str):
        raise ModelFileError(f"The config.json of {path.name} does not say what model it is (no model_type).", _AGAIN)
    return config


def _weight_files(path: Path) -> list[str]:
    index = path / INDEX_NAME
    if index.exists():
        names = shard_names(index.read_bytes(), INDEX_NAME)
        missing = [name for name in names if not (path / name).exists()]
        if missing:
            raise ModelFileError(
                f"{path.name} lacks {len(missing)} of its {len(names)} weight files: {missing[0]} is not there.",
                "Download the rest of it.",
            )
        return names
    if (path / "model.safetensors").exists():
        return ["model.safetensors"]
    shards = sorted(each.name for each in path.glob("*.safetensors"))
    if any("-of-" in each for each in shards):
        raise ModelFileError(f"{path.name} has no {INDEX_NAME}, which says what its parts hold.", "Download it again.")
    if any(True for pattern in _PICKLES for _ in path.glob(pattern)):
        raise ModelFileError(
            f"{path.name} keeps its weights as Python pickles, which can run code when they are opened.",
            "Get this model as safetensors or GGUF.",
        )
    raise ModelFileError(f"{path.name} holds no weights (no model.safetensors).", _AGAIN)


def _whole(file: Path) -> tuple[SafeTensor, ...]:
    """A file's tensors. ModelFileError for one that is shorter or longer than its header says."""
    header = open_safetensors(file)
    try:
        with file.open("rb") as opened:
            length = int.from_bytes(opened.read(8), "little")
        size = os.stat(file).st_size
    except OSError as error:
        raise ModelFileError(f"{file.name} cannot be read ({error.strerror}).", "Check the file's permissions.") from None
    if size != 8 + length + header.weight_bytes:
        raise ModelFileError(
            f"{file.name} has the wrong length: {size:,} bytes, where {8 + length + header.weight_bytes:,} belong.",
            "Download this file again.",
        )
    return header.tensors


def _check_index(path: Path, tensors: tuple[SafeTensor, ...]) -> None:
    index = path / INDEX_NAME
    if not index.exists():
        return
    missing = set(json.loads(index.read_bytes())["weight_map"]) - {each.name for each in tensors}
    if missing:
        raise ModelFileError(
            f"The weight files of {path.name} lack {len(missing)} of their tensors, {min(missing)} among them.", _AGAIN
        )
