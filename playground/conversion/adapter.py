"""A LoRA adapter in PEFT layout becomes a GGUF file that llama.cpp puts on a model.

A file has for each matrix `<tensor>.lora_a` [rank, inputs] and `<tensor>.lora_b` [outputs, rank], in float32, and one alpha; llama.cpp computes
W x + scale * (alpha / rank) * B (A x). B's rows are ordered as those of the model's own matrix. Where modules have alphas of their own, or
ranks that make no common alpha, what is missing is multiplied into B. All of an adapter is in memory at once.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import gguf
import numpy as np

from ..errors import Cancelled, ModelFileError, NotFoundError, PlaygroundError
from ..models.gguf_header import GgufHeader, open_gguf
from ..models.lora import Floats, Lora, Pair
from ..models.safetensors_header import open_safetensors
from ..paths import existing
from .architectures import TABLE, Architecture, architecture_of
from .config import Config, read_config
from .tensors import gguf_name, row_order
from .whole_file import whole_file

_OTHER = "Take the model that the adapter was made for."
_EXPERT = re.compile(r"\.experts\.(\d+)\.")


@dataclass(frozen=True)
class Base:
    """What must be known of the model that an adapter is for. `shapes`: [outputs, inputs] of its matrices by llama.cpp's names."""

    name: str
    architecture: Architecture
    config: Config
    shapes: Mapping[str, tuple[int, ...]]


def base_of(path: Path) -> Base:
    """From a model folder or a GGUF file. Raises NotFoundError or ModelFileError."""
    return _of_folder(path) if path.is_dir() else of_header(path.name, open_gguf(path))


def named_base(source: Path) -> Path:
    """The model that an adapter says it was trained for, if that lies on this computer. NotFoundError otherwise."""
    named = Lora(source).base
    if named and (path := existing(named)) is not None:
        return path
    raise NotFoundError(
        f"The model that {source.name} was made for{f' ({named[:100]})' if named else ''} is not known here.",
        "Name its folder or GGUF file.",
    )


def of_header(name: str, header: GgufHeader) -> Base:
    """From the header of a GGUF file."""
    kind = header.architecture
    entry = next((each for each in TABLE.values() if gguf.MODEL_ARCH_NAMES[each.arch] == kind), None)
    if entry is None:
        raise ModelFileError(
            f"Adapters cannot be put on models of the kind '{kind[:40]}' yet.",
            "Merge it with PEFT, and convert the merged model.",
        )

    def number(key: str, default: int = 0) -> int:
        value = header.get(key, default)
        return max((int(each) for each in value), default=default) if isinstance(value, list) else int(value)

    heads = max(1, number("attention.head_count", 1))
    width = number("embedding_length")
    head = max(1, number("attention.key_length", width // heads))
    config = Config(
        {
            "num_hidden_layers": number("block_count"),
            "hidden_size": width,
            "num_attention_heads": heads,
            "num_key_value_heads": number("attention.head_count_kv", heads),
            "head_dim": head,
            "partial_rotary_factor": number("rope.dimension_count", head) / head,
            # what `scale_queries` did is not on record; of published models only those of 27B were scaled, and llama.cpp knows these
            "query_pre_attn_scalar": width // heads if number("block_count") in (46, 62) else head,
        }
    )
    shapes = {each.name: tuple(reversed(each.shape)) for each in header.tensors}
    return Base(name, entry, config, shapes)


def _of_folder(folder: Path) -> Base:
    config = read_config(folder)
    entry = architecture_of(config)
    shapes: dict[str, tuple[int, ...]] = {}
    for tensor in open_safetensors(folder).tensors:
        name = gguf_name(entry, config, tensor.name) if tensor.name.endswith(".weight") and len(tensor.shape) == 2 else None
        if name is not None and not (name == "output.weight" and config.tied):
            turned = entry.transposed and name.startswith("blk.")
            shapes[name] = tensor.shape[::-1] if turned else tensor.shape
    return Base(folder.name, entry, config, shapes)


def convert_adapter(
    source: Path, target: Path, base: Base, on_progress: Callable[[float], bool] = lambda fraction: True
) -> int:
    """Writes the adapter folder `source` as the GGUF file `target`, which appears when it is whole. Returns its size in bytes.

    `on_progress` gets fractions from 0 to 1 and answers whether to go on. Raises NotFoundError, ModelFileError, StorageError, Cancelled.
    """
    lora = Lora(source)
    grouped = _grouped(lora, base)
    # The commonest scaling at the commonest rank becomes the file's alpha: B is then what it was, bit for bit, in nearly every adapter.
    alphas = [pair.scaling * pair.rank for pair in lora.pairs]
    alpha = max(alphas, key=alphas.count) or 1.0
    size = 4 * sum(pair.a.elements + pair.b.elements for pair in lora.pairs)
    with whole_file(target, size) as part:
        writer = gguf.GGUFWriter(str(part), gguf.MODEL_ARCH_NAMES[base.architecture.arch])
        try:
            writer.add_type("adapter")
            writer.add_name(source.name)
            writer.add_string("adapter.type", "lora")
            writer.add_float32("adapter.lora.alpha", float(np.float32(alpha)))
            for done, (name, pairs) in enumerate(grouped.items()):
                if not on_progress(done / len(grouped)):
                    raise Cancelled("Stopped while the adapter was being converted.")
                a, b = _matrices(lora, base, name, pairs, alpha)
                writer.add_tensor(f"{name}.lora_a", a)
                writer.add_tensor(f"{name}.lora_b", b)
            writer.write_header_to_file()
            writer.write_kv_data_to_file()
            writer.write_tensors_to_file()
        finally:
            writer.close()
    return target.stat().st_size


def _grouped(lora: Lora, base: Base) -> dict[str, list[Pair]]:
    """The pairs by llama.cpp's name of their matrix, those of all experts together; each is checked against the model's own matrix."""
    found: dict[str, list[Pair]] = {}
    for pair in lora.pairs:
        name = gguf_name(base.architecture, base.config, pair.module)
        if name == "output.weight" and name not in base.shapes and "token_embd.weight" in base.shapes:
            raise ModelFileError(
                f"{lora.folder.name} changes the output layer, which {base.name} shares with its token table; llama.cpp cannot change one "
                "without the other.",
                "Use the adapter with the transformers engine, or merge it.",
            )
        if name is None or name not in base.shapes:
            raise _foreign(lora, base, f'there is no "{pair.module[:80]}" in it')
        if pair.embedding and "output.weight" not in base.shapes:
            raise ModelFileError(
                f"{lora.folder.name} changes the token table, which is also the output layer of {base.name}; llama.cpp cannot change one "
                "without the other.",
                "Use the adapter with the transformers engine, or merge it.",
            )
        found.setdefault(name, []).append(pair)
    for name, pairs in found.items():
        shape = base.shapes[name]
        if len(shape) == 3:
            pairs.sort(key=lambda each: int(match[1]) if (match := _EXPERT.search(each.module)) else -1)
            if len(pairs) != shape[0] or len({(each.shape, each.rank) for each in pairs}) != 1:
                raise ModelFileError(
                    f"{lora.folder.name} changes only some of the experts in {name}, or each in another rank; llama.cpp wants all alike.",
                    "Use the adapter with the transformers engine, or merge it.",
                )
        elif len(pairs) != 1:
            raise _foreign(lora, base, f"it has one {name} for {len(pairs)}")
        for pair in pairs:
            wanted = shape[-1:-3:-1] if pair.embedding else shape[-2:]
            if pair.shape != wanted:
                raise _foreign(lora, base, f"{name} is {_by(shape[-2:])}, and the adapter's {_by(pair.shape)}")
    return found


def _matrices(lora: Lora, base: Base, name: str, pairs: list[Pair], alpha: float) -> tuple[Floats, Floats]:
    """A and B of one matrix as llama.cpp wants them; experts along a first axis."""
    order, _ = row_order(base.architecture, base.config, name)
    times = 1.0
    if base.architecture.scale_queries is not None:
        scaled, factor = base.architecture.scale_queries(base.config)
        times = factor if name.endswith(f".{scaled}.weight") else 1.0
    left, right = [], []
    for pair in pairs:
        a, b = lora.read(pair)
        if pair.embedding:
            a = a.T
        if order is not None:
            b = order(b)
        factor = pair.scaling * pair.rank / alpha * times
        left.append(a)
        right.append(b if abs(factor - 1) < 1e-9 else b * np.float32(factor))
    if len(base.shapes[name]) == 3:
        return np.stack(left), np.stack(right)
    return np.ascontiguousarray(left[0]), np.ascontiguousarray(right[0])


def _foreign(lora: Lora, base: Base, why: str) -> PlaygroundError:
    return ModelFileError(f"The adapter {lora.folder.name} does not belong to {base.name}: {why}.", _OTHER)


def _by(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape))
