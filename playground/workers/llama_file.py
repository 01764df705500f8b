"""Whether a GGUF file can be given to llama.cpp at all: each fault as one sentence, before the library sees it.

The library ends the process at some of these (it asserts), and says others in words for its developers. Reads the header only;
damaged weights are found by `check_tensors`.
"""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Any

from playground.errors import ModelFileError, NotFoundError
from playground.models.gguf_header import GgufHeader, open_gguf

_AGAIN = "Download it again, or choose another file."

_AT_LEAST_ONE = ("block_count", "embedding_length", "context_length")
_LIMITS = {
    "block_count": 2048,
    "embedding_length": 1 << 20,
    "context_length": 1 << 30,
    "vocab_size": 1 << 24,
    "expert_count": 4096,
    "expert_used_count": 4096,
    "attention.key_length": 1 << 16,
    "attention.value_length": 1 << 16,
    "rope.dimension_count": 1 << 16,
}
_PER_LAYER_LIMITS = {"attention.head_count": 4096, "attention.head_count_kv": 4096, "feed_forward_length": 1 << 24}


def check_model_file(path: Path) -> GgufHeader:
    """The header of a file that llama.cpp can be given. ModelFileError or NotFoundError with one sentence otherwise."""
    try:
        size = os.stat(path).st_size
    except FileNotFoundError:
        raise NotFoundError(f"There is no file {path}.", "It may have been moved or deleted; choose it again.") from None
    except (OSError, ValueError) as error:
        raise ModelFileError(
            f"{path} cannot be read ({_reason(error)}).", "Check the path and the file's permissions."
        ) from None
    if path.is_dir():
        raise ModelFileError(f"{path} is a folder, not a GGUF file.", "Choose the .gguf file inside it.")
    if size == 0:
        raise ModelFileError(f"{path.name} is empty (0 bytes).", _AGAIN)
    if not os.access(path, os.R_OK):
        raise ModelFileError(f"{path.name} may not be read by you.", "Change the file's permissions.")
    header = open_gguf(path)
    _check_keys(header)
    _check_vocabulary(path, header)
    return header


def _check_keys(header: GgufHeader) -> None:
    name, architecture = header.name, header.metadata.get("general.architecture")
    if not isinstance(architecture, str) or not architecture:
        raise ModelFileError(f"{name} does not say what model it is (no architecture).", _AGAIN)
    if not header.tensors:
        raise ModelFileError(f"{name} contains no weights.", "It may be a vocabulary only; choose the model's file.")
    if architecture == "clip" or header.metadata.get("general.type") in ("mmproj", "adapter", "imatrix"):
        raise ModelFileError(f"{name} is not a language model but an addition to one.", "Choose the model's own file.")

    def damaged(key: str, value: Any) -> ModelFileError:
        return ModelFileError(f"{name} is damaged: its {key} is {value!r:.60}.", _AGAIN)

    for key in _AT_LEAST_ONE:
        value = header.metadata.get(f"{architecture}.{key}")
        if value is None:
            raise ModelFileError(f"{name} is incomplete: it does not say its {key}.", _AGAIN)
        if not isinstance(value, int) or value < 1:
            raise damaged(key, value)
    for key, limit in _LIMITS.items():
        value = header.metadata.get(f"{architecture}.{key}")
        if value is not None and (isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= limit):
            raise damaged(key, value)
    for key, limit in _PER_LAYER_LIMITS.items():
        _check_per_layer(header.metadata.get(f"{architecture}.{key}"), key, limit, damaged)
    for key, value in header.metadata.items():
        if key.startswith(f"{architecture}.") and isinstance(value, float) and not math.isfinite(value):
            raise damaged(key.removeprefix(f"{architecture}."), value)
    for key in ("attention.layer_norm_rms_epsilon", "attention.layer_norm_epsilon"):
        value = header.metadata.get(f"{architecture}.{key}")
        if value is not None and not (isinstance(value, float) and 0 < value < 1):
            raise damaged(key, value)
    _check_heads(header, architecture, damaged)
    if header.metadata.get("tokenizer.ggml.model") is None:
        raise ModelFileError(f"{name} has no tokenizer.", "Choose a complete GGUF file of this model.")


def _check_per_layer(value: Any, key: str, limit: int, damaged: Any) -> None:
    for each in value if isinstance(value, list) else [value]:
        if each is not None and (isinstance(each, bool) or not isinstance(each, int) or not 0 <= each <= limit):
            raise damaged(key, each)


def _check_heads(header: GgufHeader, architecture: str, damaged: Any) -> None:
    """Head counts that do not divide make the library's graph assert at the first token."""
    heads = header.metadata.get(f"{architecture}.attention.head_count")
    groups = header.metadata.get(f"{architecture}.attention.head_count_kv", heads)
    if isinstance(heads, int) and heads > 0:
        width = header.metadata.get(f"{architecture}.embedding_length", 0)
        if header.metadata.get(f"{architecture}.attention.key_length") is None and width % heads:
            raise damaged("attention.head_count", heads)
        for each in groups if isinstance(groups, list) else [groups]:
            if isinstance(each, int) and each and heads % each:
                raise damaged("attention.head_count_kv", each)


def _check_vocabulary(path: Path, header: GgufHeader) -> None:
    """The library asserts that no token is spelled twice."""
    with path.open("rb") as file:

        def read(offset: int, length: int) -> bytes:
            file.seek(offset)
            return file.read(length)

        tokens = [each for each in header.strings(read, "tokenizer.ggml.tokens") if "\ufffd" not in each]
    if len(set(tokens)) != len(tokens):
        raise ModelFileError(f"{header.name} is damaged: its vocabulary has a token twice.", _AGAIN)


def _reason(error: BaseException) -> str:
    return getattr(error, "strerror", None) or str(error)
