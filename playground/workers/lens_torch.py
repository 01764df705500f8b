"""The logit lens of a model folder: every layer's state through the final norm and the output layer, a few positions at a time.

What lies between the last layer and the logits is found by watching the model compute a few tokens, not by name: the modules that are called
after the last layer, and then the model's own head with its scales and caps, which is given a state in place of what its layers would have
computed. That this gives the model's own logits where the state is the last layer's is checked each time; a model where it does not is refused.
Source of the method: nostalgebraist 2020, interpreting GPT: the logit lens. Imported once `torch_lib.start` has run.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import torch

from playground.errors import Cancelled, ContextFullError, ModelFileError, SettingError
from playground.inside.lens import Table
from playground.protocol import Lens, Lensed, Progress, PromptToken
from playground.workers.base import Link
from playground.workers.torch_lib import short_memory_said

CHUNK_BYTES = 32 << 20
"""of logits that are held at a time"""
PROBED = 12
"""tokens that the head is found and checked with"""
SAME = {torch.float32: 1e-4}
"""share of the logits' spread by which the last row may differ from the model's own; in 16 bits, two hundredths"""


def answer(
    link: Link, command: Lens, tokens: Sequence[PromptToken], window: int, net: Any, name: str, label: Callable[[int], str]
) -> None:
    """Answers a `Lens` of these tokens: `Progress`, then `Lensed`."""
    if not tokens:
        raise SettingError("There is no text to read.", "Give a text of at least one token.")
    if len(tokens) > window:
        raise ContextFullError(
            f"The text has {len(tokens):,} tokens; the context window holds {window:,}.",
            "Shorten it, or load the model with a larger context window.",
        )
    if wrong := [each for each in command.positions if not -len(tokens) <= each < len(tokens)]:
        raise SettingError(f"There is no token {wrong[0]} in this text.", f"Its tokens go from 0 to {len(tokens) - 1}.")
    positions = sorted({each % len(tokens) for each in command.positions}) or list(range(len(tokens)))
    started, told = time.perf_counter(), 0.0
    ids = [each.token_id for each in tokens]

    def stop() -> bool:
        return link.pending and link.cancelled(command.request)

    def tell(fraction: float) -> None:
        nonlocal told
        if fraction == 1 or fraction - told >= 0.01:
            told = fraction
            link.send(Progress(command.request, fraction, "layers"))

    with short_memory_said():
        head = LensHead(net, name, ids)
        table = Table(len(head.layers) + 1, positions, max(1, min(command.top, head.vocabulary)))
        read_layers(head, net, ids, table, stop, tell)
    target = Path(command.target)
    table.save(target)
    labels = tuple((each, label(each)) for each in sorted(set(table.top_ids.ravel().tolist())))
    link.send(Lensed(command.request, str(target), tuple(tokens), labels, head.gap, time.perf_counter() - started))


class LensHead:
    """From a layer's output [1, positions, width] to logits, as the model itself gets there. `gap`: how far its last row is from the model's own."""

    def __init__(self, net: Any, name: str, ids: Sequence[int]) -> None:
        """Finds and checks it with the first of these tokens. ModelFileError, with a sentence, where it is not to be had."""
        self._net, self._name = net, name
        self._body = getattr(net, "base_model", net)
        self._device = next(net.parameters()).device
        self.layers = self._find_layers()
        self._after: list[Any] = []
        self.gap = self._probe(list(ids)[:PROBED])

    @property
    def vocabulary(self) -> int:
        return int(
            getattr(self._net.get_output_embeddings(), "out_features", 0) or self._net.config.get_text_config().vocab_size
        )

    def finished(self, state: Any) -> Any:
        """What the last layer's output becomes before the head: the final norm, and whatever else is there."""
        for each in self._after:
            state = each(state)
        return state

    def logits(self, state: Any) -> Any:
        """[1, positions, vocabulary], with the model's own scales and caps."""
        filled = type(self._kept)(**{**self._kept, "last_hidden_state": self.finished(state)})
        before = self._body.__dict__.get("forward")  # a network spread over devices has one of its own
        self._body.forward = lambda *args, **named: filled
        try:
            return self._net(
                input_ids=torch.zeros(state.shape[:2], dtype=torch.long, device=self._device), use_cache=False
            ).logits
        finally:
            del self._body.forward
            if before is not None:
                self._body.forward = before

    # -- finding it

    def _find_layers(self) -> Any:
        count = int(self._net.config.get_text_config(decoder=True).num_hidden_layers)
        found = [
            each for each in self._body.modules() if isinstance(each, torch.nn.ModuleList) and len(each) == count and count > 0
        ]
        if self._body is self._net or not found:
            raise self._refused("its layers are not one after the other")
        return found[0]

    def _probe(self, ids: list[int]) -> float:
        calls = [0] * len(self.layers)
        last: list[Any] = []
        depth = 0
        chain: list[tuple[Any, Any, Any]] = []

        def layer_done(place: int) -> Callable[..., None]:
            def hook(module: Any, args: Any, output: Any) -> None:
                calls[place] += 1
                if place == len(self.layers) - 1:
                    last.append(_state(output))

            return hook

        def begin(module: Any, args: Any) -> None:
            nonlocal depth
            depth += bool(last)

        def end(module: Any, args: Any, output: Any) -> None:
            nonlocal depth
            if depth:
                depth -= 1
                if not depth and args:
                    chain.append((module, args[0], output))

        def body_done(module: Any, args: Any, output: Any) -> None:
            self._kept = output

        inner = set(map(id, self.layers.modules()))
        # Those that hold the layers begin before the last layer ends, and are no step behind it.
        steps = [
            each
            for each in self._body.modules()
            if id(each) not in inner and not any(id(part) in inner for part in each.modules())
        ]
        with ExitStack() as stack, torch.no_grad():
            for place, layer in enumerate(self.layers):
                stack.enter_context(_hooked(layer.register_forward_hook(layer_done(place))))
            for each in steps:
                stack.enter_context(_hooked(each.register_forward_pre_hook(begin)))
                stack.enter_context(_hooked(each.register_forward_hook(end)))
            stack.enter_context(_hooked(self._body.register_forward_hook(body_done)))
            out = self._net(
                input_ids=torch.tensor([ids], dtype=torch.long, device=self._device), use_cache=False, return_dict=True
            )
        if calls != [1] * len(self.layers) or len(last) != 1:
            raise self._refused("its layers are computed in an order of their own")
        state = last[0]
        for module, given, made in chain:
            if given is not state or not isinstance(made, torch.Tensor):
                raise self._refused("what follows its last layer is not one step after the other")
            self._after.append(module)
            state = made
        if getattr(self._kept, "last_hidden_state", None) is None or state.shape[:2] != (1, len(ids)):
            raise self._refused("its last state cannot be told")
        with torch.no_grad():
            own, mine = out.logits, self.logits(last[0])
        return self.compare(own, mine)

    def compare(self, own: Any, mine: Any) -> float:
        """The largest difference over the spread of the model's own. ModelFileError where that is more than rounding."""
        own, mine = own.float(), mine.float()
        gap = float((own - mine).abs().max()) / (float(own.max() - own.min()) or 1.0)
        if not gap <= SAME.get(next(self._net.parameters()).dtype, 2e-2):
            raise self._refused("its last layer, read like this, does not give the model's own prediction")
        return gap

    def _refused(self, why: str) -> ModelFileError:
        return ModelFileError(f"The layers of {self._name} cannot be read as predictions: {why}.", "Look at another model.")


def read_layers(
    head: LensHead, net: Any, ids: Sequence[int], table: Table, stop: Callable[[], bool], on_progress: Callable[[float], None]
) -> None:
    """Computes the text once and fills `table`, whose row 0 is the state before the first layer. Cancelled.

    Holds `CHUNK_BYTES` of logits, some times over, and no layer's state longer than the model does. The last state of the last token is held
    against the model's own, as the probe was.
    """
    device = next(net.parameters()).device
    places = torch.as_tensor(table.positions, dtype=torch.long, device=device)
    step = max(1, CHUNK_BYTES // (4 * head.vocabulary))
    following = torch.tensor([*list(ids)[1:], -1], dtype=torch.long, device=device)[places]
    done, total = 0, len(table.top_ids) * len(places)

    def take(row: int, state: Any) -> None:
        nonlocal done
        for start in range(0, len(places), step):
            if stop():
                raise Cancelled("The reading was stopped.")
            part = slice(start, min(len(places), start + step))
            logits = head.logits(state[:, places[part]])[0].float()
            _fill(table, row, part, logits, following[part])
            done += part.stop - part.start
            on_progress(done / total)

    def first(module: Any, args: Any, named: Any) -> None:
        take(0, args[0] if args else named["hidden_states"])

    def behind(row: int) -> Callable[..., None]:
        return lambda module, args, output: take(row, _state(output))

    last: list[Any] = []

    def behind_last(module: Any, args: Any, output: Any) -> None:
        last.append(head.finished(_state(output)[:, -1:]))

    with ExitStack() as stack, torch.no_grad():
        stack.enter_context(_hooked(head.layers[0].register_forward_pre_hook(first, with_kwargs=True)))
        for row, layer in enumerate(head.layers, 1):
            stack.enter_context(_hooked(layer.register_forward_hook(behind(row))))
        stack.enter_context(_hooked(head.layers[-1].register_forward_hook(behind_last)))
        out = net.base_model(input_ids=torch.tensor([list(ids)], dtype=torch.long, device=device), use_cache=False)
    head.compare(out.last_hidden_state[:, -1:], last[0])


def _fill(table: Table, row: int, part: slice, logits: Any, following: Any) -> None:
    """One chunk of logits [positions, vocabulary] as the numbers that are kept of it."""
    logs = torch.log_softmax(logits, dim=-1)
    top = logs.topk(table.top_ids.shape[2], dim=-1)
    table.top_ids[row, part] = top.indices.cpu().numpy()
    table.top_probabilities[row, part] = top.values.exp().cpu().numpy()
    chances = logs.exp()
    table.entropy[row, part] = -torch.nansum(chances * logs, dim=-1).cpu().numpy()
    known = following >= 0
    if bool(known.any()):
        mine = logs[known].gather(1, following[known, None])
        before = (logs[known] > mine).sum(-1) + 1
        rank, probability = table.rank[row, part], table.probability[row, part]
        where = known.cpu().numpy()
        rank[where] = before.cpu().numpy()
        probability[where] = mine[:, 0].exp().cpu().numpy()


def _state(output: Any) -> Any:
    return output[0] if isinstance(output, tuple) else output


@contextmanager
def _hooked(handle: Any) -> Iterator[None]:
    try:
        yield
    finally:
        handle.remove()
