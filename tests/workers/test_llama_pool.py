"""Columns have room: each reaches the length that it would reach alone, in a pool beside the loaded context."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from playground import protocol
from playground.memory.devices import HOST, Device
from playground.memory.pool import RESERVE, pool_fit
from playground.params import BeamSettings, ContextSettings, SamplingSettings
from playground.paths import starter
from playground.session import fitting
from tests.models_made import SMALL_WINDOW, random_model, shaped_model
from tests.workers.adapters_made import random_adapter
from tests.workers.talk import HELD, Answer, Talk, greedy
from tests.workers.test_group import again
from tests.workers.test_llama_adapter import load

ENDLESS = "red green blue " * 20
"""The starter goes on with that for ever."""
STARTS = ("", "red", "red green", "blue", "green blue", "red blue", "blue green", "green")
DRAWN = SamplingSettings(temperature=1.2, top_k=0, top_p=1, min_p=0, seed=3, max_tokens=150)
MIB = 1 << 20


@pytest.fixture
def sizes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file that says how much memory is free."""
    file = tmp_path / "free"
    file.write_text(str(64 << 30))
    monkeypatch.setenv("FREE_MEMORY_FILE", str(file))
    return file


@pytest.fixture
def short(sizes: Path) -> Iterator[Talk]:
    talk = Talk("tests.workers.short_memory")
    yield talk
    talk.close()


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that says anything but the end; a token takes a KiB of cache."""
    return random_model(tmp_path_factory.mktemp("models") / "small.gguf", "Q8_0", context=8192)


def cached(answer: Answer) -> int:
    assert answer.prefilled is not None
    return answer.prefilled.cached


def stop(talk: Talk, event: Any, request: int) -> None:
    """As soon as something was said."""
    if isinstance(event, protocol.Tokens):
        talk.send(protocol.Cancel(request))


def ids(answer: Answer) -> list[list[int]]:
    return [answer.ids(number) for number in sorted(answer.tokens)]


def free_for(path: Path, cells: int, **context: Any) -> int:
    """Bytes that have to be free for a pool of so many cells, and not one more."""
    subject = fitting.of_path(path)
    host = Device(HOST, "", 0, 0)
    taken = pool_fit(subject.shape, ContextSettings(**context), cells, [host])[0].terms.total
    return taken + RESERVE + sum(subject.shape.tensors.values())


def test_eight_columns_say_as_much_as_each_alone(talk: Talk) -> None:
    info = talk.load(starter())
    assert info.context == 1024
    together = talk.generate(*[greedy(350)] * 8, text=ENDLESS, reply_starts=STARTS)
    assert {end.reason for end in together.ends.values()} == {"length"}
    assert sum(map(len, ids(together))) == 8 * 350 > 8 * 200 + info.context
    for number, start in enumerate(STARTS):
        count = 350 if number in (0, 5) else 60
        alone = talk.generate(greedy(count), text=ENDLESS, reply_start=start)
        assert together.ids(number)[:count] == alone.ids()


def test_a_column_ends_where_its_own_window_is_full(talk: Talk) -> None:
    talk.load(starter(), context=512)
    alone = talk.generate(greedy(0), text=ENDLESS)
    together = talk.generate(greedy(0), greedy(30), greedy(0), text=ENDLESS)
    assert alone.ends[0].reason == together.ends[0].reason == together.ends[2].reason == "context"
    assert together.ids(0) == together.ids(2) == alone.ids() and together.used[0] == alone.used[0] == 513


def test_the_chat_keeps_its_place_and_the_pool_its_prompt(talk: Talk, small: Path) -> None:
    talk.load(small, context=512)
    prompt = [*range(40, 140)]
    chat = talk.generate(greedy(20), prompt_ids=prompt)
    columns = talk.generate(*[greedy(300)] * 4, prompt_ids=prompt)
    assert (cached(chat), cached(columns)) == (0, 0)
    follow = talk.generate(greedy(5), prompt_ids=[*prompt, *chat.ids(), 7, 8])
    assert cached(follow) == len(prompt) + 19
    once_more = talk.generate(*[greedy(250)] * 4, prompt_ids=[*prompt, 9])
    assert cached(once_more) == len(prompt)
    assert once_more.ids(3)[:250] == talk.generate(greedy(250), prompt_ids=[*prompt, 9]).ids()


def test_a_steered_group_in_a_pool_decodes_again_exactly(talk: Talk, small: Path) -> None:
    talk.load(small, context=256)
    wild = replace(DRAWN, temperature=1.9, max_tokens=200)
    told: list[int] = []

    def steer(event: Any, request: int) -> None:
        if isinstance(event, protocol.Tokens) and event.sequence == 3:
            told.append(event.index)
            if len(told) == 4:
                talk.send(protocol.SetSampling(request, wild, 1))
            elif len(told) == 8:
                talk.send(protocol.Cancel(request, 2))
            talk.send(protocol.SetPace(request, HELD if len(told) < 8 else 0))  # a step waits for the one before to be heard of

    samplings = [DRAWN, replace(DRAWN, seed=8), greedy(150), replace(DRAWN, seed=9)]
    steered = talk.generate(*samplings, watch=steer, prompt_ids=[*range(60)], pace=HELD)
    assert steered.ends[2].reason == "cancelled" and {each.sequence for each in steered.changes} == {1}
    talk.generate(*[greedy(220)] * 8, prompt_ids=[*range(30)])  # a larger pool than that of the record
    repeated = again(talk, steered)
    assert ids(repeated) == ids(steered)
    assert {each.index for each in repeated.changes} == {each.index for each in steered.changes}


def test_adapters_scales_in_a_pool(talk: Talk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLAYGROUND_CACHE", str(tmp_path / "cache"))
    load(talk, starter(), random_adapter(tmp_path / "bent", layers=6, width=256, hidden=768), context=256)
    scales = (1.0, 0.0, 0.5, 1.0)
    samplings = [greedy(100, adapter_scale=scale) for scale in scales]
    together = talk.generate(*samplings, text=ENDLESS)
    assert sum(map(len, ids(together))) > 256
    for number, sampling in enumerate(samplings):
        assert together.ids(number) == talk.generate(sampling, text=ENDLESS).ids()
    assert ids(again(talk, together)) == ids(together)


def test_beams_in_a_pool(talk: Talk, small: Path) -> None:
    found = []
    for context in (256, 2048):
        talk.load(small, context=context)
        request = talk.number()
        settings = BeamSettings(width=8, max_tokens=60, arithmetic="engine")
        talk.send(protocol.Beam(request, settings, prompt_ids=tuple(range(40))))
        beams = talk.until((protocol.BeamsFound, protocol.Failed))
        assert isinstance(beams, protocol.BeamsFound)
        found.append([(each.token_ids, each.score) for each in beams.beams])
        talk.until(protocol.Finished)
    assert found[0] == found[1] and len(found[0]) == 8


def test_sliding_windows_have_room_for_what_all_share(talk: Talk, tmp_path: Path) -> None:
    """The loaded ring of 512 holds a window a sequence; the prompt's last one belongs to all besides, and is never overwritten."""
    path = shaped_model(tmp_path / "window.gguf", replace(SMALL_WINDOW, window=96), "F32")
    talk.load(path, context=2048, sequences=5, batch=256, ubatch=32)
    prompt = [*range(256)] * 2
    alone = talk.generate(greedy(140), prompt_ids=prompt)
    both = talk.generate(*[greedy(140)] * 5, prompt_ids=prompt)
    assert {end.reason for end in both.ends.values()} == {alone.ends[0].reason}
    assert all(said == alone.ids() for said in ids(both)) and len(alone.ids()) > 100
    drawn = talk.generate(*[replace(DRAWN, seed=number, max_tokens=120) for number in range(5)], prompt_ids=prompt)
    assert {end.reason for end in drawn.ends.values()} <= {"length", "end"} and max(map(len, ids(drawn))) == 120
    assert ids(again(talk, drawn)) == ids(drawn)


def test_memory_comes_back(talk: Talk, small: Path) -> None:
    talk.load(small, context=512)
    process, seen = psutil.Process(talk.worker.pid), []
    for number in range(20):
        more = 1 + number % 4
        talk.generate(greedy(90 * more), *[greedy(4)] * (3 + more), prompt_ids=[number, *range(60)])
        talk.generate(*[greedy(0)] * more * 2, watch=lambda event, request: stop(talk, event, request), prompt_ids=[number, 5])
        seen.append(process.memory_info().rss)
    assert max(seen) - max(seen[:4]) < 4 * MIB


def test_a_pool_goes_when_memory_is_wanted_for_something_else(short: Talk, sizes: Path, small: Path) -> None:
    short.load(small, context=8192)
    process = psutil.Process(short.worker.pid)
    short.generate(greedy(4), prompt_ids=[1, 2, 3])
    before = process.memory_info().rss

    def columns() -> Answer:
        return short.generate(
            *[greedy(0)] * 8, watch=lambda event, request: stop(short, event, request), prompt_ids=[*range(90)]
        )

    assert cached(columns()) == 0
    pool = process.memory_info().rss - before
    assert pool > 8 * 8192 * 1024 * 0.9
    assert cached(columns()) == 89, "it is kept while there is room"
    sizes.write_text(str(40 * MIB))
    short.generate(greedy(4), prompt_ids=[1, 2, 3])
    assert process.memory_info().rss - before < pool / 4
    answer = columns()  # in the loaded context
    assert answer.outcome == "cancelled" and len(answer.ids(7)) >= 1
    sizes.write_text(str(64 << 30))
    columns()
    assert process.memory_info().rss - before > pool / 2
    short.load(small, context=8192)
    assert process.memory_info().rss - before < pool / 4


def test_where_less_fits_the_longest_end_first_and_the_record_repeats(short: Talk, sizes: Path, small: Path) -> None:
    settings = {"context": 256, "sequences": 4}
    sizes.write_text(str(free_for(small, 512, **settings)))
    short.load(small, **settings)
    prompt = [*range(40)]
    samplings = [replace(DRAWN, seed=number, max_tokens=180) for number in range(4)]
    tails = [(5, 6), (5,) * 30, (7,), (8, 9, 10)]
    cut = short.generate(*samplings, prompt_ids=prompt, tails=tails)
    lengths = [len(each) for each in ids(cut)]
    room = 512 - 40 - sum(map(len, tails))
    assert cut.ends[1].reason == "context" and cut.ends[1].tokens == lengths[1] == min(lengths), "it had the longest prompt"
    assert room // 4 - 8 <= lengths[1] <= room // 4 + 8
    assert {cut.ends[number].reason for number in (0, 2, 3)} <= {"context", "length"} and max(lengths) > room // 4 + 30

    limits = [len(cut.ids(number)) if cut.ends[number].reason == "context" else -1 for number in range(4)]
    for free in (free_for(small, 512, **settings), 64 << 30):
        sizes.write_text(str(free))
        repeated = again(short, cut, limits=limits)
        assert ids(repeated) == ids(cut)
        assert [end.reason for _, end in sorted(repeated.ends.items())] == [end.reason for _, end in sorted(cut.ends.items())]
    whole = short.generate(*samplings, prompt_ids=prompt, tails=tails)
    assert "context" not in {end.reason for end in whole.ends.values()} and len(whole.ids(1)) > len(cut.ids(1))


def test_prompts_for_which_there_is_no_memory(short: Talk, sizes: Path, small: Path) -> None:
    settings = {"context": 256, "sequences": 4}
    sizes.write_text(str(free_for(small, 512, **settings)))
    short.load(small, **settings)
    tails = [[5 + number] * 200 for number in range(3)]
    with pytest.raises(Exception, match="not enough memory for all of these prompts"):
        short.generate(*[greedy(4)] * 3, tails=tails)
    assert len(short.generate(*[greedy(4)] * 2, tails=tails[:2]).ids(1)) == 4
