"""The matrices of a model: which are `nn.Linear` (quantised, and adapted by LoRA), and which are not.

Embeddings, norms and the head keep the load's number format under bitsandbytes; only linear layers are quantised.
"""

from __future__ import annotations

from collections.abc import Iterator

from .shape import LayerShape, ModelShape

TARGETS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj", "lm_head")
"""The names a LoRA may adapt, as PEFT writes them."""


Matrix = tuple[str, int, int, int]
"""(name, rows out, columns in, how many alike)."""


def matrices(shape: ModelShape) -> Iterator[Matrix]:
    """Every linear matrix in the layers; experts as one entry that says how many."""
    for layer in shape.layers:
        yield from layer_matrices(shape, layer)


def layer_matrices(shape: ModelShape, layer: LayerShape) -> Iterator[Matrix]:
    embd = shape.embd
    if layer.attention and layer.heads:
        if shape.mla is not None:
            yield from _latent(shape, layer)
        else:
            yield "q_proj", layer.heads * layer.head_k * (2 if shape.gated_attention else 1), embd, 1
            yield "k_proj", layer.k_width, embd, 1
            yield "v_proj", layer.v_width, embd, 1
            yield "o_proj", embd, layer.heads * layer.head_v, 1
    if layer.recurrent and shape.state is not None:
        yield "in_proj", shape.state.projection, embd, 1
        yield "out_proj", embd, shape.state.inner, 1
    for count, width in ((1, layer.feed_forward), (layer.experts, layer.expert_ff), (1, layer.shared_ff)):
        if width and count:
            if shape.gated:
                yield "gate_proj", width, embd, count
            yield "up_proj", width, embd, count
            yield "down_proj", embd, width, count


def _latent(shape: ModelShape, layer: LayerShape) -> Iterator[Matrix]:
    mla, embd = shape.mla, shape.embd
    assert mla is not None
    nope = mla.key - mla.rope
    if mla.q_rank:
        yield "q_a_proj", mla.q_rank, embd, 1
    yield "q_proj", layer.heads * mla.key, mla.q_rank or embd, 1
    yield "kv_a_proj_with_mqa", mla.kv_rank + mla.rope, embd, 1
    yield "kv_b_proj", layer.heads * (nope + mla.value), mla.kv_rank, 1
    yield "o_proj", embd, layer.heads * mla.value, 1


def linear_parameters(shape: ModelShape) -> int:
    """Parameters in the layers' linear matrices."""
    return sum(rows * columns * count for _, rows, columns, count in matrices(shape))


def table_parameters(shape: ModelShape) -> int:
    """Parameters of the embeddings and, where it is its own matrix, the head."""
    return shape.vocab * shape.embd * (1 if shape.tied else 2)


def adapter_parameters(shape: ModelShape, rank: int, targets: tuple[str, ...]) -> int:
    """LoRA's own parameters: rank x (in + out) over the matrices adapted; "all-linear" means all but the head."""
    every = "all-linear" in targets
    total = sum(rank * (out + into) * count for name, out, into, count in matrices(shape) if every or name in targets)
    if "lm_head" in targets:
        total += rank * (shape.vocab + shape.embd)
    return total
