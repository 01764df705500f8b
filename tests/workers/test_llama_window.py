"""Layers with a sliding window keep their last tokens only: what is reused of them must be what computing everything gives."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from playground.params import ContextSettings
from playground.session import fitting
from tests.models_made import SMALL_MIXTURE, SMALL_WINDOW, shaped_model
from tests.workers.talk import Answer, Talk, greedy

WINDOW, RING = 64, 512
"""tokens that its layers look back, and cells of the cache they share: 4 windows and a micro-batch, rounded up to 256"""
SETTINGS = {"context": 2048, "sequences": 4, "batch": 256, "ubatch": 64}


@pytest.fixture(scope="module")
def sliding(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Talk, Talk]]:
    """Two workers with the same model: one to talk to, one that computes everything anew."""
    path = shaped_model(tmp_path_factory.mktemp("models") / "window.gguf", SMALL_WINDOW, "F32")
    talks = Talk(), Talk()
    for talk in talks:
        talk.load(path, **SETTINGS)
    yield talks
    for talk in talks:
        talk.close()


@pytest.fixture
def talk(sliding: tuple[Talk, Talk]) -> Talk:
    return sliding[0]


@pytest.fixture
def anew(sliding: tuple[Talk, Talk]) -> Talk:
    return sliding[1]


def words(count: int, seed: int = 0) -> list[int]:
    """A prompt that no other seed begins with."""
    rng = random.Random(seed)
    return [rng.randrange(256) for _ in range(count)]


def answer(talk: Talk, prompt: list[int], tokens: int = 30) -> Answer:
    return talk.generate(greedy(tokens), prompt_ids=prompt)


def cached(answer: Answer) -> int:
    assert answer.prefilled is not None
    return answer.prefilled.cached


def from_nothing(talk: Talk, prompt: list[int], tokens: int = 30) -> list[int]:
    """What it says with nothing in its cache."""
    talk.generate(greedy(1), prompt_ids=[255 - prompt[0]])
    found = answer(talk, prompt, tokens)
    assert cached(found) == 0
    return found.ids()


def check_repeats(found: Answer, prompt: list[int], talk: Talk) -> None:
    """The recorded batches give the same numbers, to the last bit."""
    assert found.prefilled is not None
    again = talk.generate(*found.prefilled.samplings, prompt_ids=prompt, batches=found.prefilled.batches)
    assert again.ids() == found.ids()
    assert [each.logprob for each in again.tokens[0]] == [each.logprob for each in found.tokens[0]]


def in_common(together: Answer, number: int, alone: Answer) -> int:
    """How many tokens are the same: all, but where penalties or batches of another size turn a tie. Their chances must be alike."""
    count = 0
    for mine, other in zip(together.tokens[number], alone.tokens[0], strict=True):
        if mine.token_id != other.token_id:
            break
        assert mine.logprob == pytest.approx(other.logprob, abs=0.1)
        count += 1
    return count


def test_the_cache_is_as_small_as_the_estimate_says(tmp_path: Path) -> None:
    path = shaped_model(tmp_path / "window.gguf", SMALL_WINDOW, "F32")
    talk = Talk()
    try:
        info = talk.load(path, **SETTINGS)
    finally:
        talk.close()
    predicted = fitting.estimate(fitting.of_path(path), ContextSettings(**SETTINGS))[0].terms
    told = {each.kind: each.bytes for each in info.memory}
    assert predicted.kv_cache == (2048 + 5 * RING) * 2 * 64 * 2
    assert told["kv_cache"] == pytest.approx(predicted.kv_cache, abs=1 << 14)  # the log has two decimals of a MiB
    assert told["compute"] == pytest.approx(predicted.compute, abs=1 << 14)


@pytest.mark.parametrize("length", [300, 700, 1400])
def test_a_second_turn_goes_on_from_the_first(talk: Talk, anew: Talk, length: int) -> None:
    prompt = words(length, seed=length)
    first = answer(talk, prompt)
    follow = [*prompt, *first.ids(), *words(40, seed=length + 1)]
    second = answer(talk, follow)
    assert cached(second) == length + len(first.ids()) - 1
    assert second.ids() == from_nothing(anew, follow)
    check_repeats(second, follow, anew)


@pytest.mark.parametrize("length", [300, 490, 500, 700, 1000, 1010, 1400])
def test_regenerating_repeats(talk: Talk, anew: Talk, length: int) -> None:
    """The removed reply lies in the ring in one piece, or around its end (490 and 1,000 tokens): the same reply in any case."""
    prompt = words(length, seed=length)
    first = answer(talk, prompt)
    again = answer(talk, prompt)
    assert again.ids() == first.ids()
    assert [each.logprob for each in again.tokens[0]] == [each.logprob for each in first.tokens[0]]
    around = length // RING != (length + 30) // RING
    assert cached(again) == (0 if around else length - 1)
    check_repeats(again, prompt, anew)


def test_what_the_window_has_lost_is_computed_again(talk: Talk, anew: Talk) -> None:
    prompt = words(1400, seed=5)
    answer(talk, prompt)
    for kept in (1300, 900, 100):  # an edit further and further back; the ring goes back to about token 900
        edited = prompt[:kept] + words(60, seed=kept)
        found = answer(talk, edited)
        assert found.ids() == from_nothing(anew, edited)
        check_repeats(found, edited, anew)
    assert cached(found) == 0


def test_any_walk_through_a_conversation_repeats(talk: Talk, anew: Talk) -> None:
    rng = random.Random(3)
    prompt = words(200, seed=6)
    reused = 0
    for step in range(25):
        found = answer(talk, prompt, rng.choice((1, 20, 60)))
        reused += cached(found) > 0
        check_repeats(found, prompt, anew)
        said = [*prompt, *found.ids()]
        back = rng.choice((0, 0, 1, 25, 70, 300, 5000))
        prompt = [*said[: max(1, len(said) - back)], *words(rng.choice((1, 30, 150)), seed=100 + step)][:1900]
    assert reused > 5


@pytest.mark.parametrize("length", [300, 700, 1400])
def test_several_sequences_say_what_each_would_say_alone(talk: Talk, anew: Talk, length: int) -> None:
    """A prompt that fills the ring is shared by all; each still finds cells of its own."""
    prompt = words(length, seed=length + 2)
    settings = [greedy(40), greedy(60, repetition_penalty=1.5), greedy(100, presence_penalty=1.0)]
    together = talk.generate(*settings, prompt_ids=prompt)
    for number, each in enumerate(settings):
        alone = anew.generate(each, prompt_ids=prompt)
        assert together.ends[number].reason == "length"
        assert in_common(together, number, alone) >= 25
    follow = [*prompt, *together.ids(1), *words(20, seed=9)]
    after = answer(talk, follow)
    assert after.ids() == from_nothing(anew, follow)
    check_repeats(after, follow, anew)


def test_a_mixture_of_experts_writes(tmp_path: Path) -> None:
    path = shaped_model(tmp_path / "mixture.gguf", SMALL_MIXTURE, "Q8_0")
    talk = Talk()
    try:
        assert talk.load(path, context=512).architecture == "qwen3moe"
        prompt = words(300)
        first = answer(talk, prompt)
        assert len(set(first.ids())) > 5
        assert answer(talk, prompt).ids() == first.ids()
    finally:
        talk.close()
