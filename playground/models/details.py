"""What one model on disk is, told from its headers alone: no weights are read and no tokenizer is loaded.

A damaged header is a fact about a model, not an end of the listing: `describe` raises ModelFileError, and the library keeps the row.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from playground.errors import ModelFileError
from playground.models.files import quantization_of
from playground.models.ggml_types import FILE_TYPES
from playground.models.gguf_header import GgufHeader, GgufSurvey, split_names, survey_gguf
from playground.models.safetensors_header import open_safetensors

Kind = Literal["gguf", "safetensors", "adapter", "mmproj"]
_CONFIG_LIMIT = 16 << 20
_FORMATS = {
    "F32": "F32",
    "F16": "F16",
    "BF16": "BF16",
    "F8_E4M3": "FP8",
    "F8_E5M2": "FP8",
    "U8": "4-bit",
    "I8": "INT8",
    "I32": "4-bit",
}


@dataclass(frozen=True, slots=True)
class Details:
    """Facts from the headers; 0 or empty where they do not say. `context` in tokens, as trained."""

    kind: Kind
    title: str = ""
    architecture: str = ""
    parameters: int = 0
    quantization: str = ""
    context: int = 0
    layers: int = 0
    embedding: int = 0
    heads: int = 0
    vocabulary: int = 0
    has_template: bool = False
    tokenizer: str = ""


def describe(path: Path) -> Details:
    """What a GGUF file (any of a split), or a folder of safetensors, is. ModelFileError with a sentence for anything else."""
    if path.is_dir():
        return _adapter(path) if (path / "adapter_config.json").exists() else _folder(path)
    parts = split_names(path.name)
    if len(parts) == 1:
        return of_survey([survey_gguf(path)], path.name)
    return of_survey([survey_gguf(path.with_name(part)) for part in parts], path.name)


def of_gguf(header: GgufHeader, name: str) -> Details:
    """The same from a header that is read already, also one from the hub. `name` is the file's."""
    weights: Counter[str] = Counter()
    for tensor in header.tensors:
        weights[tensor.kind.name] += tensor.nbytes
    return of_survey([GgufSurvey(header, sum(math.prod(tensor.shape) for tensor in header.tensors), weights)], name)


def of_survey(parts: list[GgufSurvey], name: str) -> Details:
    """The same from the surveys of all files of a split; the first has the metadata."""
    header = parts[0].header
    kind: Kind = "gguf"
    if header.get("general.type") == "adapter":
        kind = "adapter"
    elif header.architecture == "clip" or "mmproj" in name.lower() or header.get("general.type") == "mmproj":
        kind = "mmproj"
    elif not header.architecture:
        raise ModelFileError(f"{name} does not say what kind of model it is.", "Download the file again, or convert it anew.")
    heads = header.get("attention.head_count", 0)
    return Details(
        kind=kind,
        title=_text(header.get("general.name")),
        architecture=header.architecture,
        parameters=sum(part.parameters for part in parts),
        quantization=_quantization(parts[0], name),
        context=_number(header.get("context_length")),
        layers=_number(header.get("block_count")),
        embedding=_number(header.get("embedding_length")),
        heads=max(map(_number, heads), default=0) if isinstance(heads, list) else _number(heads),
        vocabulary=header.count("tokenizer.ggml.tokens") or _number(header.get("vocab_size")),
        has_template=bool(header.get("tokenizer.chat_template")),
        tokenizer=_text(header.get("tokenizer.ggml.model")),
    )


def _quantization(survey: GgufSurvey, name: str) -> str:
    said = FILE_TYPES.get(_number(survey.header.get("general.file_type"), -1), "")
    named = quantization_of(name)
    # "UD-Q4_K_XL" and the like say more than the file type, of which they are a kind
    if named and (not said or len(named) > len(said)):
        return named
    return said or max(survey.weights, key=lambda kind: survey.weights[kind], default="")


def _folder(folder: Path) -> Details:
    config = read_json(folder / "config.json")
    header = open_safetensors(folder)
    inner = config.get("text_config") if isinstance(config.get("text_config"), dict) else {}

    def fact(*names: str) -> Any:
        return next((value for name in names for each in (config, inner) if each and (value := each.get(name))), 0)

    method = config.get("quantization_config")
    how = _text(method.get("quant_method") or method.get("quant_type")) if isinstance(method, dict) else ""
    if isinstance(method, dict) and method.get("load_in_4bit"):
        how = _text(method.get("bnb_4bit_quant_type")) or "4-bit"
    weights: Counter[str] = Counter()
    for tensor in header.tensors:
        weights[tensor.dtype] += tensor.nbytes
    common = weights.most_common(1)[0][0] if weights else ""
    return Details(
        kind="safetensors",
        title=_text(config.get("_name_or_path")).rpartition("/")[2] or folder.name,
        architecture=_text(config.get("model_type")) or _text((config.get("architectures") or [""])[0]),
        parameters=header.parameters,
        quantization=how.upper() if how else _FORMATS.get(common, common),
        context=_number(fact("max_position_embeddings", "n_positions", "n_ctx", "seq_length")),
        layers=_number(fact("num_hidden_layers", "n_layer", "num_layers")),
        embedding=_number(fact("hidden_size", "n_embd", "d_model")),
        heads=_number(fact("num_attention_heads", "n_head")),
        vocabulary=_number(fact("vocab_size")),
        has_template=_has_template(folder),
        tokenizer="tokenizer.json" if (folder / "tokenizer.json").exists() else "",
    )


def _adapter(folder: Path) -> Details:
    config = read_json(folder / "adapter_config.json")
    header = open_safetensors(folder)
    rank = config.get("r")
    return Details(
        kind="adapter",
        title=f"for {_text(config.get('base_model_name_or_path')).rpartition('/')[2] or 'an unnamed model'}",
        architecture=_text(config.get("peft_type")) or "LORA",
        parameters=header.parameters,
        quantization=f"rank {rank}" if isinstance(rank, int) else "",
    )


def _has_template(folder: Path) -> bool:
    if (folder / "chat_template.jinja").exists() or (folder / "chat_template.json").exists():
        return True
    try:
        return bool(read_json(folder / "tokenizer_config.json").get("chat_template"))
    except ModelFileError:
        return False


def read_json(path: Path) -> dict[str, Any]:
    """A small JSON object from disk. ModelFileError with a sentence."""
    try:
        with path.open("rb") as file:
            data = json.loads(file.read(_CONFIG_LIMIT))
    except FileNotFoundError:
        raise ModelFileError(f"{path} is missing.", "Download the model again.") from None
    except OSError as error:
        raise ModelFileError(f"{path} cannot be read: {error.strerror or error}.", "Check the file's permissions.") from None
    except (ValueError, RecursionError):
        raise ModelFileError(f"{path} is damaged: it is no JSON.", "Download the file again.") from None
    if not isinstance(data, dict):
        raise ModelFileError(f"{path} is damaged: it holds no settings.", "Download the file again.")
    return data


def _text(value: Any) -> str:
    return value[:200] if isinstance(value, str) else ""


def _number(value: Any, otherwise: int = 0) -> int:
    return int(value) if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 53 else otherwise
