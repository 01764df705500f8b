"""Attention of a model that reads one text and writes another (T5, BART and their kind): encoder, decoder and cross attention, each as a source.

Which of a decoder's calls is which is told by the lengths of what they look at, in a probe whose texts differ in length. Imported once
`torch_lib.start` has run.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import torch

from playground.errors import Cancelled, ModelFileError
from playground.protocol import PromptToken
from playground.workers.attention import Shape
from playground.workers.attention_torch import Seen, TorchAttention, eager_attention

WRITTEN = 128
"""tokens that a model writes at most where no target is given"""
_PROBE = (3, 2)
"""tokens of the source and of the target that calls are told apart with"""


class PairAttention(TorchAttention):
    """`attention.Source` of one part. `source`: the tokens that the encoder reads."""

    def __init__(self, net: Any, name: str, part: str, source: Sequence[PromptToken]) -> None:
        super().__init__(net, name, causal=part == "decoder")
        self._part, self._source = part, tuple(source)
        self._mine: set[int] | None = None

    def shape(self) -> Shape:
        columns = self._source if self._part == "cross" else ()
        return replace(super().shape(), part=self._part, columns=columns)

    def memory(self, shape: Shape, length: int) -> int:
        return super().memory(shape, max(length, len(self._source)))

    def _forward(self, ids: Sequence[int], look: Seen) -> None:
        if self._part == "encoder":
            with torch.no_grad(), eager_attention(self._net, look):
                self._encode(ids)
            return
        if self._mine is None:
            self._mine = self._calls()
        mine, count = self._mine, 0

        def only_mine(layer: int, module: Any, eager: Any, query: Any, key: Any, value: Any, more: dict[str, Any]) -> Any:
            nonlocal count
            if id(module) not in mine:
                return eager(module, query, key, value, **more)
            layer, count = count, count + 1
            return look(layer, module, eager, query, key, value, more)

        self._decode([each.token_id for each in self._source], ids, only_mine)

    def _calls(self) -> set[int]:
        """The modules of this part. ModelFileError where a call looks at something else than one of the texts."""
        found: dict[int, set[int]] = {}

        def look(layer: int, module: Any, eager: Any, query: Any, key: Any, value: Any, more: dict[str, Any]) -> Any:
            found.setdefault(int(key.shape[2]), set()).add(id(module))
            return eager(module, query, key, value, **more)

        source, target = _PROBE
        self._decode([self._source[0].token_id] * source, [0] * target, look)
        if found.keys() != {source, target} or found[source] & found[target]:
            raise ModelFileError(
                f"{self._name} looks at both texts in a way of its own, which is not captured here.", "Look at its encoder."
            )
        return found[source if self._part == "cross" else target]

    def _encode(self, ids: Sequence[int]) -> Any:
        tokens = torch.tensor([list(ids)], dtype=torch.long, device=self._device)
        return self._net.get_encoder()(input_ids=tokens)

    def _decode(self, source: Sequence[int], target: Sequence[int], look: Seen) -> None:
        tokens = torch.tensor([list(target)], dtype=torch.long, device=self._device)
        with torch.no_grad():
            read = self._encode(source)
            with eager_attention(self._net, look):
                body = getattr(self._net, "base_model", self._net)
                body(encoder_outputs=read, decoder_input_ids=tokens, use_cache=False)


def target_ids(net: Any, name: str, labels: Sequence[int]) -> list[int]:
    """What the decoder reads so that it would write these: its first token, then all but the end. ModelFileError without a first token."""
    start = next(
        (
            int(found)
            for config in (net.generation_config, net.config)
            for each in ("decoder_start_token_id", "bos_token_id")
            if config is not None and (found := getattr(config, each, None)) is not None
        ),
        None,
    )
    if start is None:
        raise ModelFileError(f"{name} does not say which token its decoder begins with.", "Take another model.")
    return _without_end(net, [start, *labels])


def written_ids(net: Any, source: Sequence[int], stop: Callable[[], bool]) -> list[int]:
    """What the decoder reads while it writes, greedily, its own answer to the source. Cancelled."""
    from transformers import StoppingCriteria, StoppingCriteriaList

    class Stopped(StoppingCriteria):
        def __call__(self, input_ids: Any, scores: Any, **more: Any) -> Any:
            return torch.full((input_ids.shape[0],), stop(), dtype=torch.bool, device=input_ids.device)

    tokens = torch.tensor([list(source)], dtype=torch.long, device=next(net.parameters()).device)
    # The library makes its cache for as many layers as the encoder has, and fails in a decoder with more.
    layers = getattr(net.config, "num_hidden_layers", 0)
    alike = getattr(net.config, "num_decoder_layers", layers) == layers
    with torch.no_grad():
        found = net.generate(
            input_ids=tokens,
            attention_mask=torch.ones_like(tokens),
            max_new_tokens=WRITTEN,
            do_sample=False,
            num_beams=1,
            use_cache=alike,
            stopping_criteria=StoppingCriteriaList([Stopped()]),
        )
    if stop():
        raise Cancelled("The capture was stopped.")
    return _without_end(net, found[0].tolist())


def _without_end(net: Any, ids: list[int]) -> list[int]:
    end = getattr(net.config, "eos_token_id", None)
    ends = set(end) if isinstance(end, (list, tuple)) else {end}
    return ids[:-1] if len(ids) > 1 and ids[-1] in ends else ids
