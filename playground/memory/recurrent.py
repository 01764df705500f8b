"""The recurrent layers of a compute graph: Mamba 1 and 2, and the gated delta net (Qwen 3-Next and later).

Exact for Mamba 2 and the fused gated delta net; other recurrent kinds (RWKV, short convolutions, KDA) take Mamba's
skeleton with their own widths, which is a model of them. Source: llama.cpp `models/mamba-base.cpp`,
`models/delta-net-base.cpp`, `models/qwen3next.cpp`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from .graph import F32, Graph, Tensor
from .shape import ModelShape, StateShape


class Builder(Protocol):
    """What these layers ask of the graph's builder."""

    g: Graph
    shape: ModelShape

    def norm(self, x: Tensor, home: int, shape: tuple[int, ...] | None = None) -> Tensor: ...

    def mm(self, name: str, il: int, x: Tensor, inner: int, outer: int, home: int, rows: int) -> Tensor: ...

    def glu(self, gate: Tensor, up: Tensor, dims: tuple[int, ...]) -> Tensor: ...


@dataclass(frozen=True, slots=True)
class Spot:
    """Where one recurrent layer stands: its number, the backends of weights and state, sequences, tokens."""

    il: int
    home: int
    cache: int
    sequences: int
    tokens: int
    copies: Tensor


def layer(b: Builder, at: Spot, x: Tensor) -> Tensor:
    """The layer's output, [embd, tokens]."""
    state = b.shape.state
    assert state is not None
    return _delta(b, at, x, state) if state.kind == "delta" else _mamba(b, at, x, state)


def _mamba(b: Builder, at: Spot, x: Tensor, state: StateShape) -> Tensor:
    g, n, seqs, home = b.g, at.tokens, at.sequences, at.home
    conv_cache, scan_cache = _caches(g, at, state)
    channels, inner = state.conv_channels, state.inner
    conv = g.expand(g.op("GET_ROWS", (state.conv_row, seqs), conv_cache, at.copies))
    projected = b.mm("ssm_in", at.il, x, b.shape.embd, state.projection, home, n)
    conv_x = g.op("CONCAT", (n // seqs + state.kernel - 1, channels, seqs), conv, g.view(projected, (channels, n)))
    g.expand(g.store(conv_cache, g.view(conv_x, (state.conv_row, seqs))))
    mixed = g.op("SSM_CONV", (channels, n), conv_x, g.weight(state.kernel * channels * F32, home))
    mixed = g.op("ADD", (channels, n), mixed, g.weight(channels * F32, home))
    mixed = g.op("UNARY", (channels, n), mixed)
    steps = g.op("CONT", (state.steps, n), g.view(projected, (state.steps, n)))
    scan = g.op("SSM_SCAN", (inner * n + state.scan_row * seqs,), g.view(scan_cache, (1,)), mixed, steps, at.copies)
    g.expand(scan)
    g.expand(g.store(scan_cache, g.view(scan, (state.scan_row, seqs))))
    y = g.view(scan, (inner, n))
    y = g.op("ADD", (inner, n), y, g.op("MUL", (inner, n), g.view(mixed, (inner, n)), g.weight(inner * F32, home)))
    gate = g.op("CONT", (inner, n), g.view(projected, (inner, n)))
    y = b.glu(gate, y, (inner, n))
    if state.kind == "mamba2":
        y = b.norm(g.view(y, (inner, n), same=True), home, (inner, n))
        y = g.view(y, (inner, n), same=True)
    return b.mm("ssm_out", at.il, y, inner, b.shape.embd, home, n)


def _delta(b: Builder, at: Spot, x: Tensor, state: StateShape) -> Tensor:
    """The fused gated delta net: `steps` value heads, `groups` key heads of width `size`."""
    g, n, seqs, home = b.g, at.tokens, at.sequences, at.home
    conv_cache, scan_cache = _caches(g, at, state)
    channels, inner, heads = state.conv_channels, state.inner, state.steps
    g.expand(x)
    conv = g.expand(g.op("GET_ROWS", (state.conv_row, seqs), conv_cache, at.copies))
    qkv = b.mm("attn_qkv", at.il, x, b.shape.embd, channels, home, n)
    conv_in = g.op("CONCAT", (n // seqs + state.kernel - 1, channels, seqs), conv, g.view(qkv, (channels, n)))
    g.expand(g.store(conv_cache, g.view(conv_in, (state.conv_row, seqs))))
    rows = g.expand(g.op("GET_ROWS", (state.scan_row, seqs), scan_cache, at.copies))
    mixed = g.op("SSM_CONV", (channels, n), conv_in, g.weight(state.kernel * channels * F32, home))
    mixed = g.op("UNARY", (channels, n), mixed)
    keys = state.size * state.groups
    q, k = (_repeated(g, g.view(mixed, (keys, n)), keys, inner, n) for _ in range(2))
    v = g.view(mixed, (inner, n))
    both = b.mm("ssm_ba", at.il, x, b.shape.embd, 2 * heads, home, n)
    alpha = g.op("CONT", (heads, n), g.view(both, (heads, n)))
    for name in ("ADD", "UNARY", "MUL"):
        alpha = g.op(name, (heads, n), alpha)
    beta = g.op("UNARY", (heads, n), g.op("CONT", (heads, n), g.view(both, (heads, n))))
    out = g.op("GATED_DELTA_NET", (inner * n + state.scan_row * seqs,), q, k, v, g.view(alpha, (1,)), g.view(beta, (1,)), rows)
    y = g.view(out, (inner, n))
    g.expand(g.store(scan_cache, g.view(out, (state.scan_row, seqs))))
    y = b.norm(y, home, (inner, n))
    z = b.mm("attn_gate", at.il, x, b.shape.embd, inner, home, n)
    y = g.op("MUL", (inner, n), y, g.op("UNARY", (inner, n), g.view(z, (inner, n), same=True)))
    out = b.mm("ssm_out", at.il, g.view(y, (inner, n), same=True), inner, b.shape.embd, home, n)
    return g.view(out, (b.shape.embd, n), same=True)


def _repeated(g: Graph, part: Tensor, keys: int, inner: int, n: int) -> Tensor:
    """Normalised queries or keys, one copy for each value head that shares them."""
    normed = g.op("SCALE", (keys, n), g.op("RMS_NORM", (keys, n), part))
    if keys == inner:
        return normed
    return g.view(g.op("REPEAT", (inner, n), g.view(normed, (keys, n))), (inner, n), same=True)


def _caches(g: Graph, at: Spot, state: StateShape) -> tuple[Tensor, Tensor]:
    conv = g.cache(state.conv_row * at.sequences * F32, at.cache)
    return conv, g.cache(state.scan_row * at.sequences * F32, at.cache)
