"""Which tensor of a GGUF file is made of which weights of a folder: names, shapes, and the order of rows.

The plan of a whole model is made before anything is written; a weight that finds no place, and a place that finds no weight, is an error.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, partial

import gguf

from ..errors import ModelFileError
from . import orders
from .architectures import Architecture
from .checks import unsupported
from .config import Config
from .hyperparameters import key_heads
from .orders import Array
from .source import BITS, Weight

_BUFFERS = re.compile(r"rotary_emb\.|\.masked_bias$|\.attn\.bias$|\.attention\.bias$")
"""What older checkpoints store besides weights: tables that every program computes itself."""
_OTHER_PARTS = re.compile(r"^(model\.)?(vision_tower|vision_model|multi_modal_projector|visual|audio_tower|embed_vision)\.")
_EXPERT = re.compile(r"^(.+\.experts)\.(\d+)\.(.+)$")

Order = Callable[[Array], Array]


@dataclass(frozen=True)
class Piece:
    """Rows `first` to `first + count` of a weight. `order` puts them in another order and must see `group` rows at a time."""

    weight: Weight
    first: int
    count: int
    group: int = 1
    order: Order | None = None
    plus: float = 0.0
    times: float = 1.0
    """each element times `times`, and `plus` added"""


@dataclass(frozen=True)
class Tensor:
    """A tensor to be written: its pieces follow one another along the slowest axis. `shape` slowest axis first."""

    name: str
    shape: tuple[int, ...]
    pieces: tuple[Piece, ...]


@cache
def _names(arch: gguf.MODEL_ARCH, layers: int) -> gguf.TensorNameMap:
    return gguf.get_tensor_name_map(arch, layers)


def gguf_name(architecture: Architecture, config: Config, weight: str) -> str | None:
    """What llama.cpp calls a weight of transformers (with its `.weight` or `.bias`); None for one that it has no place for.

    Of a weight of one expert, the name of the tensor that all experts share.
    """
    name = weight.replace("language_model.model.", "model.").replace("model.language_model.", "model.")
    name = name.replace("language_model.lm_head", "lm_head")
    expert = _EXPERT.match(name)
    if expert:
        name = f"{expert[1]}.{expert[3]}"
    if not name.endswith((".weight", ".bias")):
        name += ".weight"
    found: str | None = _names(architecture.arch, config.layers).get_name(name, try_suffixes=(".weight", ".bias"))
    return found


def row_order(architecture: Architecture, config: Config, name: str) -> tuple[Order | None, int]:
    """How the rows of a tensor (by llama.cpp's name) are reordered, and how many of them belong together (0 for all); None for not at all.

    It holds for everything with as many rows: the matrix, its bias, and the second matrix of a LoRA adapter.
    """
    if architecture.interleaved and re.search(r"\.attn_[qk]\.(weight|bias)$", name):
        return partial(orders.interleave, head=config.head, rotated=config.rotated), config.head
    if architecture.fused_groups and re.search(r"\.attn_qkv\.(weight|bias)$", name):
        groups = key_heads(config)
        return partial(orders.ungrouped, groups=groups, head=config.head, queries=config.heads // groups), 0
    return None, 1


def plan(architecture: Architecture, config: Config, weights: Mapping[str, Weight]) -> tuple[list[Tensor], list[str]]:
    """Every tensor of the file, and sentences about what is left out. Raises ModelFileError."""
    gathered: dict[str, list[tuple[int, list[Piece], tuple[int, ...]]]] = {}
    left_out: set[str] = set()
    tied = config.tied if "tie_word_embeddings" in {**config.outer, **config.values} else architecture.tied
    for weight in weights.values():
        if _BUFFERS.search(weight.name):
            continue
        if config.has_parts and _OTHER_PARTS.match(weight.name):
            left_out.add(weight.name.removeprefix("model.").split(".")[0])
            continue
        if weight.dtype not in BITS:
            raise ModelFileError(
                f'The weight "{weight.name[:80]}" is in the format {weight.dtype}, which cannot be converted.',
                "Convert the original model, in bf16, f16 or f32.",
            )
        for name, place, pieces, shape in _place(architecture, config, weight):
            if name == "output.weight" and tied:
                continue  # a second copy of the token table
            gathered.setdefault(name, []).append((place, pieces, shape))
    tensors = {name: _joined(name, parts) for name, parts in gathered.items()}
    if tied and architecture.output == "needed" and "token_embd.weight" in tensors:
        table = tensors["token_embd.weight"]
        tensors["output.weight"] = Tensor("output.weight", table.shape, table.pieces)
    if not tied and architecture.output == "never":
        raise ModelFileError(
            f"This {architecture.name} model has an output matrix of its own, which llama.cpp has no place for.",
            "Use the folder with the transformers engine.",
        )
    _check(architecture, config, tensors, tied)
    notes = (
        [f"Its other parts ({', '.join(sorted(left_out))}) were left out: the file is the language model alone."]
        if left_out
        else []
    )
    return sorted(tensors.values(), key=_by_block), notes


def _place(architecture: Architecture, config: Config, weight: Weight) -> list[tuple[str, int, list[Piece], tuple[int, ...]]]:
    """The tensors that a weight becomes (a part of): name, place among the tensor's parts, pieces, shape of this part."""
    if weight.name.endswith((".block_sparse_moe.input_linear.weight", ".mlp.experts.gate_up_proj", ".experts.gate_up_proj")):
        return _halves(architecture, config, weight)
    name = gguf_name(architecture, config, weight.name)
    if name is None:
        raise ModelFileError(
            f'The weight "{weight.name[:80]}" has no place in a {architecture.name} model as llama.cpp knows it.',
            "Check that config.json belongs to these weights.",
        )
    expert = _EXPERT.match(weight.name)
    shape, times, plus = weight.shape, 1.0, 0.0
    order, group = row_order(architecture, config, name)
    if architecture.transposed and len(shape) == 2 and name.startswith("blk."):
        order, group, shape = orders.transposed, 0, shape[::-1]
    if architecture.norms_plus_one and name.endswith("_norm.weight"):
        plus = 1.0
    if architecture.scale_queries:
        scaled, factor = architecture.scale_queries(config)
        if name.endswith(f".{scaled}.weight") and factor != 1.0:
            times, plus = factor, plus * factor
    if name.endswith("ffn_gate_inp_shexp.weight") and len(shape) == 2:
        shape = (shape[1],)
    piece = Piece(weight, 0, weight.rows, group or weight.rows, order, plus, times)
    return [(name, int(expert[2]) if expert else -1, [piece], shape)]


def _halves(architecture: Architecture, config: Config, weight: Weight) -> list[tuple[str, int, list[Piece], tuple[int, ...]]]:
    """All experts' gates and ups in one weight [experts, 2 x hidden, width], each expert's gate before its up."""
    if len(weight.shape) != 3 or weight.shape[1] % 2:
        raise ModelFileError(f'The weight "{weight.name[:80]}" has a strange shape.', "Download the model again.")
    count, rows, columns = weight.shape
    half = rows // 2
    found: list[tuple[str, int, list[Piece], tuple[int, ...]]] = []
    block = re.search(r"\.layers\.(\d+)\.", weight.name)
    for part, first in (("gate", 0), ("up", half)):
        pieces = [Piece(weight, expert * rows + first, half) for expert in range(count)]
        found.append((f"blk.{block[1] if block else 0}.ffn_{part}_exps.weight", -1, pieces, (count, half, columns)))
    return found


def _joined(name: str, parts: list[tuple[int, list[Piece], tuple[int, ...]]]) -> Tensor:
    """One tensor of its parts: a single one, or those of experts 0, 1, 2..., stacked."""
    parts.sort(key=lambda part: part[0])
    places, shapes = [place for place, _, _ in parts], {shape for _, _, shape in parts}
    if places == [-1]:
        return Tensor(name, parts[0][2], tuple(parts[0][1]))
    if places != list(range(len(parts))) or len(shapes) != 1:
        raise ModelFileError(f"The weights of {name} are incomplete or do not fit together.", "Download the model again.")
    return Tensor(name, (len(parts), *shapes.pop()), tuple(piece for _, pieces, _ in parts for piece in pieces))


def _by_block(tensor: Tensor) -> tuple[int, str]:
    block = re.match(r"blk\.(\d+)\.", tensor.name)
    return (int(block[1]) if block else -1, tensor.name)


def _check(architecture: Architecture, config: Config, tensors: Mapping[str, Tensor], tied: bool) -> None:
    """That all is there and as large as config.json says."""
    needed = ["token_embd.weight"]
    needed += ["output_norm.weight"] if architecture.output_norm else []
    needed += ["output.weight"] if not tied or architecture.output == "needed" else []
    needed += [f"blk.{layer}.{name}.weight" for layer in range(config.layers) for name in architecture.blocks]
    common = {re.sub(r"^blk\.\d+\.", "", name) for name in tensors if name.startswith("blk.")}
    needed += [f"blk.{layer}.{name}" for layer in range(config.layers) for name in sorted(common)]
    for name in needed:
        if name not in tensors:
            raise ModelFileError(f"The model is incomplete: nothing in it becomes {name}.", "Download the model again.")
    for name in tensors:
        base = re.sub(r"^blk\.\d+\.", "", name)
        if base.endswith(".bias") and base.removesuffix(".bias") not in architecture.biases:
            raise unsupported(architecture.name, f"a bias in {base.removesuffix('.bias')}")
    queries, keys = config.heads * config.head, key_heads(config) * config.head
    sizes = {
        "attn_q.weight": (queries, config.width),
        "attn_k.weight": (keys, config.width),
        "attn_v.weight": (keys, config.width),
        "attn_qkv.weight": (queries + 2 * keys, config.width),
        "attn_output.weight": (config.width, queries),
        "ffn_down.weight": (config.width, config.hidden),
    }
    for name, tensor in tensors.items():
        expected = sizes.get(re.sub(r"^blk\.\d+\.", "", name))
        if expected is not None and tensor.shape != expected:
            raise ModelFileError(
                f"{name} is {_by(tensor.shape)}, but config.json says {_by(expected)}.",
                "Check that config.json belongs to these weights.",
            )
    table = tensors["token_embd.weight"].shape
    if len(table) != 2 or table[1] != config.width:
        raise ModelFileError(
            f"The token table is {_by(table)}, but config.json says {config.width} columns.",
            "Check that config.json belongs to these weights.",
        )


def _by(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape))
