"""Attention of a model folder: transformers' eager attention, row by row, each part of a layer written out before the next is computed.

For the length of a capture the model's attention is the library's own eager function of its kind, called on some rows of queries at a time: a row's
weights do not depend on other rows. What is held is a chunk of rows of one layer; `output_attentions` would hold all layers' maps. Nothing is
changed in a model that is only chatted with: the attention that it had is put back. Imported once `torch_lib.start` has run.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from playground.errors import Cancelled, ModelFileError
from playground.inside.recompute import Rule
from playground.inside.writer import Writer, cannot_recompute
from playground.workers.attention import Shape

CHUNK_BYTES = 8 << 20
"""of a layer's rows that are computed at a time"""

Seen = Callable[[int, Any, Any, Any, Any, Any, dict[str, Any]], Any]


class TorchAttention:
    """`attention.Source` for a loaded network. `causal`: whether it writes text from left to right; `set_scale` of an adapter is the caller's."""

    def __init__(self, net: Any, name: str, causal: bool = True, inputs: dict[str, Any] | None = None) -> None:
        """`inputs`: what else the network is given with the tokens."""
        self._net = net
        self._inputs = inputs or {}
        self._name = name
        self._causal = causal
        self.most = 1 << 30  # the window that the folder was loaded with knows of its table
        self._device = next(net.parameters()).device
        self.exact = all(each.dtype == torch.float32 for each in net.parameters())
        self._shape: Shape | None = None

    def shape(self) -> Shape:
        if self._shape is None:
            found: list[tuple[int, int, int]] = []

            def look(layer: int, module: Any, eager: Any, query: Any, key: Any, value: Any, more: dict[str, Any]) -> Any:
                found.append((int(query.shape[1]), int(key.shape[1]), int(query.shape[3])))
                return eager(module, query, key, value, **more)

            self._forward([0], look)
            if not found:
                raise ModelFileError(
                    f"{self._name} computes its attention in a way that cannot be looked at.", "Take a GGUF file of this model."
                )
            if len(set(found)) > 1:
                raise ModelFileError(
                    f"The layers of {self._name} differ in their heads, which a capture has no room for.",
                    "Look into another model.",
                )
            heads, kv_heads, width = found[0]
            self._shape = Shape(tuple(range(len(found))), heads, kv_heads, width, self._causal)
        return self._shape

    def memory(self, shape: Shape, length: int) -> int:
        rows = 4 * shape.heads * length * self._step(shape.heads, length)
        hidden = 4 * length * int(getattr(self._net.config.get_text_config(), "hidden_size", 0) or shape.heads * shape.width)
        return 8 * rows + 24 * hidden + 16 * length * length  # the last: masks

    def run(
        self, writer: Writer, shape: Shape, ids: Sequence[int], stop: Callable[[], bool], on_progress: Callable[[float], None]
    ) -> None:
        places = {layer: place for place, layer in enumerate(writer.header.layers)}
        length = len(ids)

        def look(layer: int, module: Any, eager: Any, query: Any, key: Any, value: Any, more: dict[str, Any]) -> Any:
            place = places.get(layer)
            if place is not None and writer.header.recomputed:
                _keep_queries_and_keys(writer, place, module, query, key, more)
            outputs = []
            step = self._step(shape.heads, max(length, key.shape[2]))
            for start in range(0, length, step):
                if stop():
                    raise Cancelled("The capture was stopped.")
                end = min(length, start + step)
                out, weights = eager(module, query[:, :, start:end], key, value, **_rows_of(more, start, end, length))
                outputs.append(out)
                if place is not None:
                    writer.rows(place, start, weights[0].to(dtype=torch.float32, device="cpu").numpy())
                del weights
            on_progress((layer + 1) / len(shape.layers))
            return torch.cat(outputs, dim=1), None

        self._forward(ids, look)

    def _step(self, heads: int, length: int) -> int:
        return max(1, min(length, CHUNK_BYTES // (4 * heads * length)))

    def _forward(self, ids: Sequence[int], look: Seen) -> None:
        tokens = torch.tensor([list(ids)], dtype=torch.long, device=self._device)
        with torch.no_grad(), eager_attention(self._net, look):
            body = getattr(self._net, "base_model", self._net)  # without the output layer, whose logits nobody wants
            inputs = {name: value[:, : len(ids)] for name, value in self._inputs.items()}
            body(input_ids=tokens, **({"use_cache": False} if self._causal else {}), **inputs)


@contextmanager
def eager_attention(net: Any, look: Seen) -> Iterator[None]:
    """While it holds, every layer's attention of this network goes to `look`, with the eager function of its kind."""
    before = net.config._attn_implementation
    count = 0

    def attention(module: Any, query: Any, key: Any, value: Any, attention_mask: Any, **more: Any) -> Any:
        nonlocal count
        layer, count = count, count + 1
        eager = next(
            (
                found
                for each in type(module).__mro__
                if (found := getattr(sys.modules.get(each.__module__), "eager_attention_forward", None)) is not None
            ),
            None,
        )
        if eager is None:
            raise ModelFileError(
                "This model computes its attention in a way that cannot be looked at.", "Take a GGUF file of this model."
            )
        return look(layer, module, eager, query, key, value, {"attention_mask": attention_mask, **more})

    try:
        net.set_attn_implementation("eager")
        ALL_ATTENTION_FUNCTIONS["eager"] = attention
        yield
    finally:
        if "eager" in ALL_ATTENTION_FUNCTIONS:
            del ALL_ATTENTION_FUNCTIONS["eager"]
        if before != net.config._attn_implementation:
            net.set_attn_implementation(before)


def _rows_of(more: dict[str, Any], start: int, end: int, length: int) -> dict[str, Any]:
    """The arguments for some rows of queries: masks and biases have a row for each of them."""
    if start == 0 and end == length:
        return more
    found = dict(more)
    for name in ("attention_mask", "position_bias"):
        given = found.get(name)
        if given is not None and given.ndim == 4 and given.shape[2] == length:
            found[name] = given[:, :, start:end]
    return found


def _keep_queries_and_keys(writer: Writer, place: int, module: Any, query: Any, key: Any, more: dict[str, Any]) -> None:
    """Queries, keys, scale, cap, sinks and mask of a layer. Whether they explain its weights is checked as these come."""
    length, columns = query.shape[2], key.shape[2]
    writer.queries_and_keys(place, 0, _numbers(query[0].transpose(0, 1)), _numbers(key[0].transpose(0, 1)))
    scale = more.get("scaling")
    scale = float(query.shape[3] ** -0.5 if scale is None else scale)
    cap = float(more.get("softcap") or 0.0)
    sinks = more.get("s_aux")
    sinks = getattr(module, "sinks", None) if sinks is None else sinks
    writer.rule(place, Rule(scale, cap), None if sinks is None else _numbers(sinks.reshape(-1)))
    bias = more.get("position_bias")
    if bias is not None and bool(bias.any()):  # T5's cross attention adds zeroes
        raise cannot_recompute("it adds a bias for the distance of tokens")
    mask = more.get("attention_mask")
    step = max(1, CHUNK_BYTES // columns)
    for start in range(0, length, step):
        end = min(length, start + step)
        seen = np.tri(end - start, columns, start, bool) if writer.header.causal else np.ones((end - start, columns), bool)
        if mask is not None:
            if mask.dtype == torch.bool:
                raise cannot_recompute("its mask is of a kind that is not known here")
            if mask.shape[1] != 1:
                raise cannot_recompute("its heads have different masks")
            part = _numbers(mask[0, 0, start:end] if mask.shape[2] == length else mask[0, 0].expand(end - start, -1))
            seen = part == 0
            if np.any((part < 0) & (part > -1e4)) or (part > 0).any():
                raise cannot_recompute("it adds a bias to some tokens")
        writer.bounds(place, start, seen)


def _numbers(tensor: Any) -> Any:
    return tensor.detach().to(dtype=torch.float32, device="cpu").numpy()
