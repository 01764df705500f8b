"""An adapter in the llama.cpp worker: its scale is a setting of a sequence like any other, in force for the very next token."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from playground import protocol
from playground.errors import ModelFileError, NotFoundError, from_kind
from playground.params import ContextSettings, SamplingSettings
from playground.paths import starter
from tests.models_made import SMALL_WINDOW, random_model, shaped_model
from tests.workers.adapters_made import random_adapter
from tests.workers.talk import HELD, Answer, Talk, greedy, user

ASK = user("Tell me a story about a fox.")


@pytest.fixture(scope="module")
def adapter(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """For the starter."""
    return random_adapter(tmp_path_factory.mktemp("adapters") / "bent", layers=6, width=256, hidden=768)


def load(talk: Talk, model: Path, adapter: Path | str, **context: Any) -> protocol.ModelInfo:
    talk.send(protocol.Load(talk.number(), str(model), ContextSettings(**context), adapter=str(adapter)))
    answer = talk.until((protocol.Loaded, protocol.Failed))
    if isinstance(answer, protocol.Failed):
        raise from_kind(answer.kind, answer.message, answer.hint)
    return answer.model


@pytest.fixture(scope="module")
def bent(adapter: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Talk]:
    """A worker with the starter and the adapter."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PLAYGROUND_CACHE", str(tmp_path_factory.mktemp("cache")))
        talk = Talk()
        load(talk, starter(), adapter)
    yield talk
    talk.close()


def at(scale: float, count: int = 24, **more: Any) -> SamplingSettings:
    return greedy(count, adapter_scale=scale, **more)


def repeated(talk: Talk, answer: Answer) -> Answer:
    """Decoded again from what is on record."""
    read = answer.prefilled
    assert read is not None
    changes = tuple(protocol.Change(each.index, each.settings) for each in answer.changes)
    return talk.generate(
        *read.samplings, prompt_ids=[each.token_id for each in read.prompt], batches=read.batches, timeline=changes
    )


def test_the_scale_bends_the_model_and_none_leaves_it_as_it_is(bent: Talk, talk: Talk) -> None:
    talk.load(starter())
    bare = talk.generate(at(1), messages=ASK)
    answers = {scale: bent.generate(at(scale), messages=ASK) for scale in (0.0, 0.5, 1.0, 2.0)}
    assert answers[0.0].tokens == bare.tokens, "at 0 everything is as without it, to the last bit"
    assert len({tuple(answer.ids()) for answer in answers.values()}) == 4
    assert talk.generate(at(0), messages=ASK).tokens == bare.tokens, "without an adapter the scale means nothing"


def test_another_scale_computes_the_prompt_anew_and_the_same_does_not(bent: Talk) -> None:
    bent.generate(at(1), messages=ASK)
    again = bent.generate(at(1), messages=ASK)
    other = bent.generate(at(0.4), messages=ASK)
    assert again.prefilled is not None and other.prefilled is not None
    assert again.prefilled.cached == len(again.prefilled.prompt) - 1
    assert other.prefilled.cached == 0
    assert other.tokens == bent.generate(at(0.4), messages=ASK).tokens


def test_a_scale_moved_while_it_speaks_counts_for_the_very_next_token_and_replays(bent: Talk) -> None:
    moves = [(4, 0.0), (9, 1.7), (10, 0.3), (15, 0.6)]

    def move(event: Any, request: int) -> None:
        if isinstance(event, protocol.Tokens):
            if moves and event.index + len(event.tokens) >= moves[0][0]:
                bent.send(protocol.SetSampling(request, at(moves.pop(0)[1], 30)))
            bent.send(protocol.SetPace(request, HELD if moves else 0))

    moved = bent.generate(at(1, 30), messages=ASK, pace=HELD, watch=move)
    assert moved.changes, "on a busy machine several moves may come between two tokens: the last of them counts"
    assert repeated(bent, moved).tokens == moved.tokens
    straight = bent.generate(at(1, 30), messages=ASK)
    first = moved.changes[0].index
    assert moved.ids()[:first] == straight.ids()[:first]
    assert moved.tokens[0][first].logprob != straight.tokens[0][first].logprob, "the very next one is another model's"


def test_what_a_change_does_to_the_next_token_is_what_that_scale_makes_of_it(bent: Talk) -> None:
    """With one token in the prompt nothing lies in the cache before it: changed in time, it is as if it had begun so."""
    ids = [5]
    begun = bent.generate(at(0.7, 1), prompt_ids=ids)
    changed = bent.generate(at(1.9, 1), prompt_ids=ids, timeline=[protocol.Change(0, at(0.7, 1))])
    assert changed.tokens == begun.tokens
    assert changed.tokens != bent.generate(at(1.9, 1), prompt_ids=ids).tokens


def test_sequences_at_their_own_scales_say_what_each_says_alone(bent: Talk) -> None:
    scales = (1.0, 0.0, 0.5, 1.0, 2.0)
    together = bent.generate(*[at(scale) for scale in scales], messages=ASK)
    after = bent.generate(at(1.0), messages=ASK)
    assert after.prefilled is not None
    assert after.prefilled.cached == len(after.prefilled.prompt) - 1, "sequence 0's prompt was kept, at its scale"
    for number, scale in enumerate(scales):
        assert together.ids(number) == bent.generate(at(scale), messages=ASK).ids(), scale


def test_one_of_several_changes_its_scale(bent: Talk) -> None:
    def move(event: Any, request: int) -> None:
        if isinstance(event, protocol.Tokens) and event.sequence == 1 and event.index == 0:
            bent.send(protocol.SetSampling(request, at(0.0), 1))
            bent.send(protocol.SetPace(request, 0))

    moved = bent.generate(*[at(1.0)] * 3, messages=ASK, pace=HELD, watch=move)
    alone = bent.generate(at(1.0), messages=ASK)
    (change,) = moved.changes
    assert (change.sequence, change.settings.adapter_scale) == (1, 0.0)
    assert moved.ids(0) == moved.ids(2) == alone.ids()
    assert moved.ids(1)[: change.index] == alone.ids()[: change.index]
    single = bent.generate(at(1.0), messages=ASK, timeline=[protocol.Change(change.index, at(0.0))])
    assert moved.ids(1) == single.ids()


def test_prompts_of_their_own_at_scales_of_their_own(bent: Talk) -> None:
    starts, scales = ("Once upon", "The fox", "", "Once upon"), (1.0, 0.3, 1.0, 0.3)
    together = bent.generate(*[at(scale) for scale in scales], messages=ASK, reply_starts=starts)
    for number, (start, scale) in enumerate(zip(starts, scales, strict=True)):
        assert together.ids(number) == bent.generate(at(scale), messages=ASK, reply_start=start).ids()


def test_a_window_that_slides(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLAYGROUND_CACHE", str(tmp_path))
    model = shaped_model(tmp_path / "window.gguf", SMALL_WINDOW, "F32")
    lora = random_adapter(tmp_path / "lora", layers=6, width=256, hidden=512, keys=64)
    talk = Talk()
    try:
        load(talk, model, lora, context=1024, ubatch=64, batch=64, sequences=3)
        prompt = np.random.default_rng(1).integers(0, 256, 300).tolist()
        timeline = [protocol.Change(index, at(scale, 40)) for index, scale in ((0, 0.2), (7, 2.0), (8, 0.0), (30, 1.0))]
        moved = talk.generate(at(1.0, 40), prompt_ids=prompt, timeline=timeline)
        assert repeated(talk, moved).tokens == moved.tokens
        scales = (1.0, 0.0, 1.0)
        together = talk.generate(*[at(scale, 20) for scale in scales], prompt_ids=prompt)
        for number, scale in enumerate(scales):
            assert together.ids(number) == talk.generate(at(scale, 20), prompt_ids=prompt).ids()
    finally:
        talk.close()


def test_one_adapter_for_every_quantization_is_converted_once(
    adapter: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PLAYGROUND_CACHE", str(tmp_path))
    lora = random_adapter(tmp_path / "lora", layers=2, width=256, hidden=512, keys=128)
    scaled = {}
    for kind in ("F32", "Q8_0"):
        talk = Talk()
        info = load(talk, random_model(tmp_path / f"{kind}.gguf", kind), lora)
        assert info.adapter == str(lora) and len(info.adapter_sha256) == 64
        assert any(term.bytes for term in info.memory)
        scaled[kind] = [talk.generate(at(scale, 12), prompt_ids=[3, 77, 20]).ids() for scale in (0.0, 1.0)]
        talk.close()
    for bare, on in scaled.values():
        assert bare != on
    (made,) = (tmp_path / "adapters").iterdir()
    talk = Talk()
    try:
        by_file = load(talk, tmp_path / "F32.gguf", made)
        assert by_file.adapter == str(made)
        assert talk.generate(at(1.0, 12), prompt_ids=[3, 77, 20]).ids() == scaled["F32"][1]
        with pytest.raises(ModelFileError, match=r"(?s)does not belong to starter.gguf"):
            load(talk, starter(), made)
        with pytest.raises(
            ModelFileError, match=r"does not belong to starter.gguf: .* is 256 x 768, and the adapter's 256 x 512"
        ):
            load(talk, starter(), lora)
        with pytest.raises(
            ModelFileError, match=r"for models of the kind 'llama', and window.gguf is one of the kind 'gemma3'"
        ):
            load(talk, shaped_model(tmp_path / "window.gguf", SMALL_WINDOW, "F32"), made)
        with pytest.raises(ModelFileError, match="is no LoRA adapter"):
            load(talk, tmp_path / "F32.gguf", tmp_path / "Q8_0.gguf")
        with pytest.raises(NotFoundError, match="There is no adapter"):
            load(talk, tmp_path / "F32.gguf", tmp_path / "nothing")
        cut = tmp_path / "cut.gguf"
        cut.write_bytes(made.read_bytes()[:-64])
        with pytest.raises(ModelFileError, match="cut"):
            load(talk, tmp_path / "F32.gguf", cut)
        assert load(talk, tmp_path / "F32.gguf", "").adapter == "", "a worker that refused goes on"
    finally:
        talk.close()


def test_an_adapter_with_numbers_that_are_none(adapter: Path, talk: Talk, tmp_path: Path) -> None:
    spoiled = tmp_path / "spoiled"
    shutil.copytree(adapter, spoiled)
    tensors = load_file(adapter / "adapter_model.safetensors")
    name = sorted(tensors)[3]
    save_file({**tensors, name: replace_first(tensors[name])}, spoiled / "adapter_model.safetensors")
    with pytest.raises(ModelFileError, match=r"spoiled is damaged: numbers in .* are not finite"):
        load(talk, starter(), spoiled)


def replace_first(values: np.ndarray) -> np.ndarray:
    values = values.copy()
    values.flat[0] = np.inf
    return values
