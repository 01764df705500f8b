"""The logit lens: the last row is the model's own prediction, each other one the plain way of computing it; refusals; nothing left behind."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from playground import protocol
from playground.errors import Cancelled, ContextFullError, PlaygroundError, SettingError, from_kind
from playground.inside.layout import Token
from playground.inside.lens import LensReading, read
from playground.paths import starter
from tests.conversion.zoo import ANIMALS, make
from tests.workers.conftest import Engines
from tests.workers.talk import Talk

TEXT = "Once upon a time there was a small fox."
IDS = tuple(int(each) for each in np.random.default_rng(2).integers(3, 250, 40))


@pytest.fixture(scope="module", autouse=True)
def needed() -> None:
    pytest.importorskip("transformers", reason="the engine is not installed")


def answered(talk: Talk) -> LensReading:
    answer = talk.until((protocol.Lensed, protocol.Failed, protocol.Finished))
    if isinstance(answer, protocol.Failed):
        raise AssertionError(answer.details) if answer.kind == "Bug" else from_kind(answer.kind, answer.message, answer.hint)
    if isinstance(answer, protocol.Finished):
        raise Cancelled("stopped")
    tokens = [Token(each.token_id, each.text, each.special) for each in answer.tokens]
    return read(Path(answer.path), tokens, dict(answer.labels), answer.gap)


def reading(talk: Talk, target: Path, **what: Any) -> LensReading:
    talk.send(protocol.Lens(talk.number(), str(target), **what))
    return answered(talk)


def plain(net: Any, finish: Any, ids: tuple[int, ...]) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Log-probabilities [layers + 1, tokens, vocabulary] of `output_hidden_states`, by norm and head by name; the last row is the model's."""
    import torch

    with torch.no_grad():
        out = net(input_ids=torch.tensor([ids]), output_hidden_states=True)
        rows = [finish(each)[0] for each in out.hidden_states[:-1]]
        return np.stack([torch.log_softmax(each.double(), -1).numpy() for each in (*rows, out.logits[0])])


HEADS = {
    "llama": lambda net: lambda x: net.lm_head(net.model.norm(x)),
    "gpt2": lambda net: lambda x: net.lm_head(net.transformer.ln_f(x)),
    "gemma2": lambda net: lambda x: 30.0 * (net.lm_head(net.model.norm(x)) / 30.0).tanh(),
    "granite": lambda net: lambda x: net.lm_head(net.model.norm(x)) / 2.0,
    "cohere": lambda net: lambda x: net.lm_head(net.model.norm(x)) * net.logit_scale,
}


@pytest.mark.parametrize("name", list(HEADS))
def test_every_row_is_what_norm_and_head_say(engines: Engines, name: str, tmp_path: Path) -> None:
    """With the scales and caps that some models have behind their head, which nobody named to the lens."""
    net = make(next(each for each in ANIMALS if each.name == name), tmp_path / name)
    from tests.conversion import tokenizers_made

    tokenizers_made.plain_bytes(tmp_path / name)
    talk = engines.talk("transformers", tmp_path / name, precision="f32")
    found = reading(talk, tmp_path / "a.npz", prompt_ids=IDS, top=5)
    expected = plain(net, HEADS[name](net), IDS)
    rows, length, _ = expected.shape
    assert found.top_ids.shape == (rows, length, 5) and found.layers == rows - 1 and found.gap < 1e-5
    order = np.argsort(-expected, axis=-1, kind="stable")[..., :5]
    assert np.abs(found.top_probabilities - np.exp(np.take_along_axis(expected, order, -1))).max() < 1e-5
    assert (found.top_ids == order).mean() > 0.995, "but for ties"
    assert np.abs(found.entropy + (np.exp(expected) * expected).sum(-1)).max() < 1e-4
    came = np.array(IDS[1:])
    mine = np.take_along_axis(expected[:, :-1], came[None, :, None], -1)
    assert np.abs(found.probability[:, :-1] - np.exp(mine[..., 0])).max() < 1e-5
    assert np.abs(found.rank[:, :-1] - 1 - (expected[:, :-1] > mine).sum(-1)).max() <= 1
    assert np.isnan(found.probability[:, -1]).all() and not found.rank[:, -1].any()


def test_the_starter_by_positions_and_cancelled(engines: Engines, tmp_path: Path) -> None:
    talk = engines.talk("transformers", starter().parent, precision="f32")
    whole = reading(talk, tmp_path / "a.npz", text=TEXT)
    last = len(whole.tokens) - 1
    some = reading(talk, tmp_path / "b.npz", text=TEXT, positions=(-1, 3), top=2)
    assert some.positions.tolist() == [3, last] and some.top_ids.shape == (7, 2, 2)
    for position in (3, last):
        one, other = some.at(6, position), whole.at(6, position)
        assert [each[:2] for each in one.top] == [each[:2] for each in other.top[:2]]
        assert [each[2] for each in one.top] == pytest.approx([each[2] for each in other.top[:2]], abs=1e-5)
        assert (one.rank == 0) == (position == last)
    talk.send(protocol.Score(talk.number(), text=TEXT, alternatives=3))
    scored = talk.until(protocol.Scored).tokens
    for place, theirs in enumerate(scored[1:]):
        mine = whole.at(6, place)
        assert (mine.rank, mine.top[0][:2]) == (theirs.rank, (theirs.alternatives[0].token_id, theirs.alternatives[0].text))
        assert mine.top[0][2] == pytest.approx(theirs.alternatives[0].probability, abs=1e-4)
        assert np.log(mine.probability) == pytest.approx(theirs.logprob, abs=1e-3)
        assert mine.entropy == pytest.approx(theirs.entropy, abs=1e-3)
    settled = whole.settled(3)
    assert (whole.top_ids[settled:, 3, 0] == whole.top_ids[-1, 3, 0]).all()
    with pytest.raises(SettingError, match="no reading"):
        some.at(6, 2)
    kept = sorted(os.listdir(tmp_path))
    for what, error, sentence in (
        ({"text": TEXT, "positions": (last + 1,)}, SettingError, f"no token {last + 1}"),
        ({"text": TEXT * 200}, ContextFullError, "window holds"),
    ):
        with pytest.raises(error, match=sentence):
            reading(talk, tmp_path / "no.npz", **what)
    for _ in range(20):  # one may be over before it hears of that
        request = talk.number()
        talk.send(protocol.Lens(request, str(tmp_path / "no.npz"), text=TEXT))
        talk.send(protocol.Cancel(request))
        try:
            answered(talk)
        except Cancelled:
            break
        (tmp_path / "no.npz").unlink()
    else:
        pytest.fail("it is over every time")
    assert sorted(os.listdir(tmp_path)) == kept
    assert reading(talk, tmp_path / "c.npz", text=TEXT).gap < 1e-5, "nothing is left on the model"


def test_a_model_whose_head_is_elsewhere_is_refused() -> None:
    """Where something that is no module stands between the last layer and the logits, the last row would not be the model's own."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    from playground.workers.lens_torch import LensHead

    animal = next(each for each in ANIMALS if each.name == "llama")
    config = LlamaConfig(vocab_size=300, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4)
    torch.manual_seed(0)
    net = LlamaForCausalLM(config).eval()
    assert LensHead(net, animal.name, IDS[:5]).gap == 0
    norm = net.model.norm
    layer = net.model.layers[-1]
    before = layer.forward
    layer.forward = lambda *args, **named: before(*args, **named)
    assert LensHead(net, "the same", IDS[:5]).gap == 0
    whole = net.model.forward

    def twice(*args: Any, **named: Any) -> Any:
        out = whole(*args, **named)
        out.last_hidden_state = out.last_hidden_state.roll(1, -1)
        return out

    net.model.forward = twice
    with pytest.raises(PlaygroundError, match="does not give the model's own prediction"):
        LensHead(net, "odd", IDS[:5])
    del net.model.forward
    net.model.norm = torch.nn.Sequential(norm, torch.nn.Identity())
    assert LensHead(net, "several steps", IDS[:5]).gap == 0
    net.model.layers = torch.nn.ModuleList([*net.model.layers, replaced(layer)])
    with pytest.raises(PlaygroundError, match="one after the other"):
        LensHead(net, "more layers than it says", IDS[:5])


def replaced(layer: Any) -> Any:
    import copy

    return copy.deepcopy(layer)
