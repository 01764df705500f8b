"""Attention of a model folder: transformers' eager attention, row by row, each part of a layer written out before the next is computed.

For the length of a capture the model's attention is the library's own eager function of its kind, called on some rows of queries at a time, with the
keys that they may see: a row's weights do not depend on other rows, nor on keys that the mask hides from it. What is held is a chunk of rows of one
layer; `output_attentions` would hold all layers' maps. Nothing is changed in a model that is only chatted with: the attention that it had is put
back. Imported once `torch_lib.start` has run.
"""

from __future__ import annotations

import copy
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from playground.errors import Cancelled, ModelFileError
from playground.inside.recompute import Rule
from playground.inside.writer import Writer, bounds_of, cannot_recompute
from playground.workers.attention import WITH_SINKS, Shape

CHUNK_BYTES = 2 << 20
"""of a layer's rows that are computed at a time"""
HIDDEN = -1e4
"""what a mask adds to a product that is not to be seen, at most"""
KEPT_MASKS = 4
"""that are held while a text is computed"""

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
        self._sinks = False

    def shape(self) -> Shape:
        if self._shape is None:
            found: list[tuple[int, int, int]] = []

            def look(layer: int, module: Any, eager: Any, query: Any, key: Any, value: Any, more: dict[str, Any]) -> Any:
                found.append((int(query.shape[1]), int(key.shape[1]), int(query.shape[3])))
                self._sinks |= _sinks(module, more) is not None
                return eager(module, query, key, value, **more)

            self._forward([0], look)
            if not found:
                raise ModelFileError(
                    f"{self._name} computes its attention in a way that cannot be looked at.", _elsewhere(self._net.config)
                )
            if len(set(found)) > 1:
                raise ModelFileError(
                    f"The layers of {self._name} differ in their heads, which a capture has no room for.",
                    "Look into another model.",
                )
            heads, kv_heads, width = found[0]
            self._shape = Shape(tuple(range(len(found))), heads, kv_heads, width, self._causal)
        return self._shape

    def notes(self, length: int) -> tuple[str, ...]:
        return (WITH_SINKS,) if self._sinks else ()

    def memory(self, shape: Shape, length: int) -> int:
        rows = 4 * shape.heads * length * self._step(shape.heads, length)
        hidden = 4 * length * int(getattr(self._net.config.get_text_config(), "hidden_size", 0) or shape.heads * shape.width)
        return 8 * rows + 24 * hidden + 16 * length * length  # the last: masks

    def run(
        self, writer: Writer, shape: Shape, ids: Sequence[int], stop: Callable[[], bool], on_progress: Callable[[float], None]
    ) -> None:
        places = {layer: place for place, layer in enumerate(writer.header.layers)}
        length = len(ids)
        masks = _Masks(writer.header.causal)

        def look(layer: int, module: Any, eager: Any, query: Any, key: Any, value: Any, more: dict[str, Any]) -> Any:
            place = places.get(layer)
            if place is not None and writer.header.recomputed:
                _keep_queries_and_keys(writer, place, module, query, key, more, masks)
            backwards = masks.hides_the_future(more, length, key.shape[2])
            module, key, value = _for_each_head(module, query, key, value)
            outputs = []
            step = self._step(shape.heads, max(length, key.shape[2]))
            for start in range(0, length, step):
                if stop():
                    raise Cancelled("The capture was stopped.")
                end = min(length, start + step)
                seen = end if backwards else key.shape[2]
                given = _part_of(more, start, end, length, seen)
                out, weights = eager(module, query[:, :, start:end], key[:, :, :seen], value[:, :, :seen], **given)
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
            raise ModelFileError("This model computes its attention in a way that cannot be looked at.", _elsewhere(net.config))
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


def _elsewhere(config: Any) -> str:
    """A way out for a model that is not to be looked into here: llama.cpp, where it computes the same."""
    from playground.conversion.architectures import architecture_of
    from playground.conversion.config import Config

    try:
        architecture_of(Config(config.to_dict()))
    except ModelFileError:
        return "Look into another model."
    return "Convert it to GGUF, and look into that file."


class _Masks:
    """What is known of the masks of one text: layers share them, and one takes longer to look through than a layer's rows to be kept."""

    def __init__(self, causal: bool) -> None:
        self._causal = causal
        self._known: dict[tuple[str, int], tuple[Any, Any]] = {}

    def hides_the_future(self, more: dict[str, Any], length: int, columns: int) -> bool:
        """Whether all that is behind a row's own token is hidden, so that it may as well be left out."""
        mask = more.get("attention_mask")
        if not self._causal or mask is None or mask.shape[2:] != (length, columns) or length != columns:
            return False
        if more.get("position_bias") is not None:  # may be the mask as well
            return False

        def looked() -> bool:
            step = max(1, CHUNK_BYTES // columns)
            parts = ((start, mask[:, :, start : start + step]) for start in range(0, length, step))
            return not any(bool(_visible(part).triu(start + 1).any()) for start, part in parts)

        return bool(self._of("future", mask, looked))

    def bounds(self, more: dict[str, Any], length: int, columns: int) -> Any:
        """The first and the last token that each row sees, [rows, 2]. DataError where that is not all that a mask does."""
        mask = more.get("attention_mask")
        return self._of("bounds", mask, lambda: np.concatenate(list(self._pieces(mask, length, columns))))

    def _pieces(self, mask: Any, length: int, columns: int) -> Iterator[Any]:
        step = max(1, CHUNK_BYTES // columns)
        for start in range(0, length, step):
            end = min(length, start + step)
            seen = np.tri(end - start, columns, start, bool) if self._causal else np.ones((end - start, columns), bool)
            if mask is not None:
                if mask.dtype == torch.bool:
                    raise cannot_recompute("its mask is of a kind that is not known here")
                if mask.shape[1] != 1:
                    raise cannot_recompute("its heads have different masks")
                part = _numbers(mask[0, 0, start:end] if mask.shape[2] == length else mask[0, 0].expand(end - start, -1))
                seen = part == 0
                if np.any((part < 0) & (part > HIDDEN)) or (part > 0).any():
                    raise cannot_recompute("it adds a bias to some tokens")
            yield bounds_of(seen)

    def _of(self, what: str, mask: Any, look: Callable[[], Any]) -> Any:
        key = what, id(mask)
        if key not in self._known:
            if len(self._known) == KEPT_MASKS:
                del self._known[next(iter(self._known))]
            self._known[key] = mask, look()  # with the mask, or another one could have its id
        return self._known[key][1]


def _visible(mask: Any) -> Any:
    return mask if mask.dtype == torch.bool else mask > HIDDEN


def _for_each_head(module: Any, query: Any, key: Any, value: Any) -> tuple[Any, Any, Any]:
    """Keys and values of groups, one for each head, and a module that says so: else they would be copied for every few rows again."""
    share = query.shape[1] // key.shape[1]
    if share == 1 or getattr(module, "num_key_value_groups", 0) != share:
        return module, key, value
    module = copy.copy(module)
    module.num_key_value_groups = 1
    return module, key.repeat_interleave(share, dim=1), value.repeat_interleave(share, dim=1)


def _part_of(more: dict[str, Any], start: int, end: int, length: int, seen: int) -> dict[str, Any]:
    """The arguments for some rows of queries and the first keys: masks and biases have a row for each query and a column for each key."""
    found = dict(more)
    for name in ("attention_mask", "position_bias"):
        given = found.get(name)
        if given is not None and given.ndim == 4:
            found[name] = given[:, :, start:end, :seen] if given.shape[2] == length else given[..., :seen]
    return found


def _sinks(module: Any, more: dict[str, Any]) -> Any:
    """A layer's learned logits that no token has, one for each head; None for none."""
    given = more.get("s_aux")
    return getattr(module, "sinks", None) if given is None else given


def _keep_queries_and_keys(
    writer: Writer, place: int, module: Any, query: Any, key: Any, more: dict[str, Any], masks: _Masks
) -> None:
    """Queries, keys, scale, cap, sinks and mask of a layer. Whether they explain its weights is checked as these come."""
    writer.queries_and_keys(place, 0, _numbers(query[0].transpose(0, 1)), _numbers(key[0].transpose(0, 1)))
    scale = more.get("scaling")
    scale = float(query.shape[3] ** -0.5 if scale is None else scale)
    cap = float(more.get("softcap") or 0.0)
    sinks = _sinks(module, more)
    writer.rule(place, Rule(scale, cap), None if sinks is None else _numbers(sinks.reshape(-1)))
    bias = more.get("position_bias")
    if bias is not None and bool(bias.any()):  # T5's cross attention adds zeroes
        raise cannot_recompute("it adds a bias for the distance of tokens")
    writer.spans(place, 0, masks.bounds(more, query.shape[2], key.shape[2]))


def _numbers(tensor: Any) -> Any:
    return tensor.detach().to(dtype=torch.float32, device="cpu").numpy()
