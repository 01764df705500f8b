"""The feed-forward part of a block: dense, or a mixture of experts with or without a shared one.

Source: llama.cpp `llama-graph.cpp`, `build_ffn` and `build_moe_ffn`.
"""

from __future__ import annotations

from typing import Protocol

from .graph import F32, I32, Graph, Tensor
from .shape import LayerShape, ModelShape
from .traits import Batch, EngineTraits, Homes


class Builder(Protocol):
    """What this part asks of the graph's builder."""

    g: Graph
    shape: ModelShape
    batch: Batch
    homes: Homes
    traits: EngineTraits

    def mm(self, name: str, il: int, x: Tensor, inner: int, outer: int, home: int, rows: int) -> Tensor: ...

    def glu(self, gate: Tensor, up: Tensor, dims: tuple[int, ...]) -> Tensor: ...


def block(b: Builder, il: int, layer: LayerShape, x: Tensor, home: int, rows: int) -> Tensor:
    if not layer.experts:
        return _dense(b, il, x, layer.feed_forward, home, rows, "")
    out = _mixture(b, il, layer, x, home, rows)
    if layer.shared_ff:
        shared = _dense(b, il, x, layer.shared_ff, home, rows, "_shexp")
        if b.shape.gated_shared_expert:
            gate = b.mm("ffn_gate_inp_shexp", il, x, b.shape.embd, 1, home, rows)
            shared = b.g.op("MUL", (b.shape.embd, rows), shared, b.g.op("UNARY", (1, rows), gate))
        out = b.g.op("ADD", (b.shape.embd, rows), out, shared)
    return out


def _dense(b: Builder, il: int, x: Tensor, width: int, home: int, rows: int, suffix: str) -> Tensor:
    g, embd = b.g, b.shape.embd
    if b.shape.fused_gate_up and not suffix:
        both = b.mm("ffn_up", il, x, embd, 2 * width, home, rows)
        if b.traits.fused_glu or b.traits.fork:
            mixed = g.op("GLU", (width, rows), both)
        else:
            first = g.op("CONT", (width, rows), g.view(both, (width, rows)))
            first = g.op("UNARY", (width, rows), first)
            second = g.op("CONT", (width, rows), g.view(both, (width, rows)))
            mixed = g.op("MUL", (width, rows), first, second)
    elif b.shape.gated:
        up = b.mm("ffn_up" + suffix, il, x, embd, width, home, rows)
        gate = b.mm("ffn_gate" + suffix, il, x, embd, width, home, rows)
        mixed = b.glu(gate, up, (width, rows))
    else:
        mixed = b.mm("ffn_up" + suffix, il, x, embd, width, home, rows)
        mixed = g.op("UNARY", (width, rows), mixed)
    return b.mm("ffn_down" + suffix, il, mixed, width, embd, home, rows)


def _mixture(b: Builder, il: int, layer: LayerShape, x: Tensor, home: int, rows: int) -> Tensor:
    g, embd, used = b.g, b.shape.embd, layer.experts_used
    logits = b.mm("ffn_gate_inp", il, x, embd, layer.experts, home, rows)
    if b.shape.expert_tensor_bias:
        logits = g.op("ADD", (layer.experts, rows), logits, g.weight(layer.experts * F32, home))
    probs = logits if b.shape.expert_weights_softmax else g.op("SOFT_MAX", (layer.experts, rows), logits)
    chosen_by = probs
    if b.shape.expert_bias:
        chosen_by = g.op("ADD", (layer.experts, rows), probs, g.weight(layer.experts * F32, home))
    sorted_ = g.op("ARGSORT", (layer.experts, rows), chosen_by, element=I32)
    chosen = g.view(sorted_, (used, rows), I32)
    weights = g.op("GET_ROWS", (1, used, rows), g.view(probs, (1, layer.experts, rows), same=True), chosen)
    if b.shape.expert_weights_softmax:
        weights = g.op("SOFT_MAX", (used, rows), g.view(weights, (used, rows), same=True))
        weights = g.view(weights, (1, used, rows), same=True)
    elif b.shape.expert_weights_normed:
        flat = g.view(weights, (used, rows), same=True)
        total = g.op("SUM_ROWS", (1, rows), flat)
        weights = g.view(g.op("DIV", (used, rows), flat, total), (1, used, rows), same=True)
    g.expand(weights)
    place = b.homes.experts[il]
    token = g.view(x, (embd, 1, rows), same=True)
    dims = (layer.expert_ff, used, rows)
    up = _expert_mm(b, "ffn_up_exps", il, layer, token, chosen, embd, layer.expert_ff, place, rows)
    gate = _expert_mm(b, "ffn_gate_exps", il, layer, token, chosen, embd, layer.expert_ff, place, rows)
    if b.shape.expert_tensor_bias:
        up = g.op("ADD_ID", dims, up, g.weight(0, place), chosen)
        gate = g.op("ADD_ID", dims, gate, g.weight(0, place), chosen)
    if b.traits.fused_experts:
        mixed = _expert_mm(b, "ffn_up_exps", il, layer, token, chosen, embd, layer.expert_ff, place, rows)
    else:
        mixed = b.glu(gate, up, dims)
    out = _expert_mm(b, "ffn_down_exps", il, layer, mixed, chosen, layer.expert_ff, embd, place, rows)
    if b.shape.expert_tensor_bias:
        out = g.op("ADD_ID", (embd, used, rows), out, g.weight(0, place), chosen)
    out = g.op("MUL", (embd, used, rows), out, weights)
    g.expand(out)
    if b.traits.fork and used > 2:
        return g.op("MULTI_ADD", (embd, rows), g.view(out, (embd, rows)))
    pieces = [g.view(out, (embd, rows)) for _ in range(used)]
    if b.traits.always_gather:
        for piece in pieces:
            g.expand(piece)
    total = pieces[0]
    for piece in pieces[1:]:
        total = g.op("ADD", (embd, rows), total, piece)
        if b.traits.always_gather:
            g.expand(total)
    return total if used > 1 else g.op("CONT", (embd, rows), total)


def _expert_mm(
    b: Builder, name: str, il: int, layer: LayerShape, x: Tensor, chosen: Tensor, inner: int, outer: int, place: int, rows: int
) -> Tensor:
    nbytes = b.shape.tensor_bytes(f"blk.{il}.{name}.weight", inner * outer * layer.experts)
    weight = b.g.weight(nbytes, place, name)
    extra = layer.experts * rows * I32 + layer.experts * I32 if b.batch.metal else 0
    dims = (outer, layer.experts_used, rows)
    return b.g.op("MUL_MAT_ID", dims, weight, x, chosen, rows=rows, extra=extra, tag=name)
