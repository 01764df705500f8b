"""Everything the headers of one model say, as lines to read: metadata, tensors, chat template, tokenizer. No weights are read.

Long arrays are named by their length, long texts are cut; what is shown is text from a file that nobody vouches for.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from playground.errors import ModelFileError
from playground.models.details import read_json
from playground.models.gguf_header import ArrayRef, open_gguf
from playground.models.library import Row
from playground.models.safetensors_header import open_safetensors

_LONG = 400
_TEMPLATE = "tokenizer.chat_template"


@dataclass(frozen=True)
class RowDetails:
    """`metadata` as (key, value), `kinds` as (number format, tensors, bytes) by size, `tensors` as (name, shape, format, bytes)."""

    metadata: tuple[tuple[str, str], ...]
    kinds: tuple[tuple[str, int, int], ...]
    tensors: tuple[tuple[str, str, str, int], ...]
    template: str = ""
    tokenizer: tuple[tuple[str, str], ...] = ()


def read_details(row: Row) -> RowDetails:
    """The details of a row. ModelFileError with a sentence."""
    path = Path(row.path)
    return _folder(path) if path.is_dir() else _gguf(path)


def _gguf(path: Path) -> RowDetails:
    header = open_gguf(path)
    facts = [(key, _said(value)) for key, value in header.metadata.items() if not key.startswith("tokenizer.")]
    tokens = [
        (key.removeprefix("tokenizer."), _said(value))
        for key, value in header.metadata.items()
        if key.startswith("tokenizer.") and key != _TEMPLATE
    ]
    tensors = tuple((each.name, _shape(each.shape), each.kind.name, each.nbytes) for each in header.tensors)
    template = header.metadata.get(_TEMPLATE, "")
    return RowDetails(tuple(facts), _kinds(tensors), tensors, template if isinstance(template, str) else "", tuple(tokens))


def _folder(path: Path) -> RowDetails:
    adapter = path / "adapter_config.json"
    config = read_json(adapter if adapter.exists() else path / "config.json")
    header = open_safetensors(path)
    tensors = tuple((each.name, _shape(each.shape), each.dtype, each.nbytes) for each in header.tensors)
    facts = tuple((str(key), _said(value)) for key, value in config.items())
    template, tokens = "", []
    try:
        tokenizer = read_json(path / "tokenizer_config.json")
        template = _said(tokenizer.get("chat_template") or "", limit=1 << 20)
        tokens = [
            (str(key), _said(value)) for key, value in tokenizer.items() if key not in ("chat_template", "added_tokens_decoder")
        ]
    except ModelFileError:
        pass  # a model without a tokenizer has the other details all the same
    jinja = path / "chat_template.jinja"
    if jinja.is_file() and jinja.stat().st_size < 1 << 20:
        template = jinja.read_text(encoding="utf-8", errors="replace")
    return RowDetails(facts, _kinds(tensors), tensors, template, tuple(tokens))


def _kinds(tensors: tuple[tuple[str, str, str, int], ...]) -> tuple[tuple[str, int, int], ...]:
    counts: Counter[str] = Counter()
    sizes: Counter[str] = Counter()
    for _, _, kind, nbytes in tensors:
        counts[kind] += 1
        sizes[kind] += nbytes
    return tuple((kind, counts[kind], size) for kind, size in sizes.most_common())


def _shape(shape: tuple[int, ...]) -> str:
    return " × ".join(str(length) for length in shape) or "1"


def _said(value: Any, limit: int = _LONG) -> str:
    if isinstance(value, ArrayRef):
        return f"{value.count:,} items"
    if isinstance(value, list):
        text = ", ".join(_said(item, 60) for item in value[:16])
        return f"{text}, … {len(value):,} items" if len(value) > 16 else text
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}" if abs(value) >= 10_000 else str(value)
    if isinstance(value, float):
        return f"{value:g}"
    text = str(value)
    return text if len(text) <= limit else text[:limit] + "…"
