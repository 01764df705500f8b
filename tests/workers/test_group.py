"""Several sequences at once whose prompts differ, and the record of a group decoded again."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from playground import protocol
from playground.errors import SettingError
from playground.params import SamplingSettings
from tests.workers.conftest import Engines
from tests.workers.talk import HELD, Answer, Talk, greedy, user

ASK = user("Tell me a story about a fox.")
OTHERS = [ASK, user("Repeat: red green blue"), ASK, user("What is the name of the owl in the story?")]


def prompt_of(answer: Answer, sequence: int) -> list[int]:
    assert answer.prefilled is not None
    tail = answer.prefilled.tails[sequence] if answer.prefilled.tails else ()
    return [token.token_id for token in (*answer.prefilled.prompt, *tail)]


def again(talk: Talk, answer: Answer, **more: Any) -> Answer:
    """The group decoded again from what is on record."""
    read = answer.prefilled
    assert read is not None
    changes = [
        tuple(protocol.Change(each.index, each.settings) for each in answer.changes if each.sequence == number)
        for number in range(len(read.samplings))
    ]
    ends = [end.tokens if end.reason == "cancelled" else -1 for _, end in sorted(answer.ends.items())]
    return talk.generate(
        *read.samplings,
        prompt_ids=[token.token_id for token in read.prompt],
        tails=[tuple(token.token_id for token in tail) for tail in read.tails],
        batches=read.batches,
        timelines=changes,
        ends=ends,
        **more,
    )


def test_each_reply_begins_as_told_and_the_prompt_is_read_once(talking: Talk) -> None:
    starts = ("Once upon", "", "The fox was", "Once upon")
    together = talking.generate(*[greedy(20)] * 4, messages=ASK, reply_starts=starts)
    read = together.prefilled
    assert read is not None
    shared = len(talking.generate(greedy(1), messages=ASK).prefilled.prompt)  # type: ignore[union-attr]
    assert len(read.prompt) == shared - 1  # that one's last token is the first in which they differ, or stands before it
    for number, start in enumerate(starts):
        alone = talking.generate(greedy(20), messages=ASK, reply_start=start)
        assert alone.prefilled is not None
        assert prompt_of(together, number) == [token.token_id for token in alone.prefilled.prompt]
        assert read.texts[number] == alone.prefilled.text and read.texts[number].endswith(start)
        assert together.ids(number) == alone.ids()
        assert together.used[number] == len(alone.prefilled.prompt) + len(together.ids(number)) == alone.used[0]


def test_different_prompts_at_once(talking: Talk) -> None:
    together = talking.generate(*[greedy(16)] * 4, prompts=OTHERS)
    assert together.prefilled is not None and together.prefilled.tails[0] == together.prefilled.tails[2]
    for number, messages in enumerate(OTHERS):
        assert together.ids(number) == talking.generate(greedy(16), messages=messages).ids()
    assert together.ids(0) == together.ids(2)


def test_prompts_that_are_the_same_after_all(talking: Talk) -> None:
    together = talking.generate(greedy(6), greedy(6), prompts=[ASK, ASK], reply_starts=["", ""])
    assert together.prefilled is not None and together.prefilled.tails == together.prefilled.texts == ()
    assert together.ids(0) == together.ids(1) == talking.generate(greedy(6), messages=ASK).ids()


def test_prompts_with_nothing_in_common(talking: Talk) -> None:
    tails = [(5, 6, 7), (8, 9)]
    together = talking.generate(greedy(6), greedy(6), tails=tails)
    assert together.prefilled is not None and together.prefilled.prompt == ()
    for number, tail in enumerate(tails):
        assert together.ids(number) == talking.generate(greedy(6), prompt_ids=tail).ids()


def test_after_a_group_the_cache_is_what_it_says(talking: Talk) -> None:
    alone = talking.generate(greedy(12), messages=ASK)
    talking.generate(*[greedy(8)] * 4, prompts=OTHERS)
    after = talking.generate(greedy(12), messages=ASK)
    assert after.ids() == alone.ids()
    assert after.prefilled is not None and 0 < after.prefilled.cached < len(after.prefilled.prompt)


@pytest.mark.parametrize("starts", [(), ("", "Once", "", "The owl")])
def test_a_steered_group_decodes_again_exactly(talking: Talk, starts: tuple[str, ...]) -> None:
    drawn = SamplingSettings(temperature=1.3, top_k=0, top_p=1, min_p=0, seed=7, max_tokens=40)
    wild = replace(drawn, temperature=1.9, repetition_penalty=1.2)
    told: list[int] = []

    def steer(event: Any, request: int) -> None:
        """At each step, which the next one waits for."""
        if isinstance(event, protocol.Tokens) and event.sequence == 0:
            told.append(event.index)
            if len(told) == 2:
                talking.send(protocol.SetSampling(request, wild, 1))
            elif len(told) == 3:
                talking.send(protocol.Cancel(request, 2))
            elif len(told) == 6:
                talking.send(protocol.Cancel(request))
            talking.send(protocol.SetPace(request, HELD))

    samplings = [drawn, replace(drawn, seed=8), greedy(40), replace(drawn, seed=9, stop=("the",))]
    steered = talking.generate(*samplings, watch=steer, messages=ASK, reply_starts=starts, pace=HELD)
    assert steered.ends[2].reason == "cancelled" and {each.sequence for each in steered.changes} == {1}
    for _ in range(2):
        repeated = again(talking, steered)
        for number in range(4):
            assert repeated.ids(number) == steered.ids(number)
            assert repeated.ends[number].text == steered.ends[number].text
    assert [(each.sequence, each.index) for each in repeated.changes] == [
        (each.sequence, each.index) for each in steered.changes
    ]


def test_lists_of_another_length_are_refused(talking: Talk) -> None:
    for more in ({"reply_starts": ("a",)}, {"timelines": ((),)}, {"ends": (1, 2, 3)}, {"prompts": (ASK,)}, {"tails": ((1,),)}):
        with pytest.raises(SettingError, match="one entry for each"):
            talking.generate(greedy(), greedy(), messages=ASK, **more)  # type: ignore[arg-type]
    with pytest.raises(SettingError, match="no token of its own"):
        talking.generate(greedy(), greedy(), prompt_ids=(5,), tails=((1,), ()))


def test_prompts_that_are_longer_together_than_the_window(talk: Talk, quantized: Path) -> None:
    talk.load(quantized, context=512)
    tails = [[5 + number] * 200 for number in range(3)]
    together = talk.generate(*[greedy(4)] * 3, tails=tails)
    for number, tail in enumerate(tails):
        assert together.ids(number) == talk.generate(greedy(4), prompt_ids=tail).ids()


def test_each_reaches_the_window_by_itself(engines: Engines, engine: str, model: tuple[Path, dict[str, Any]]) -> None:
    talk = engines.talk(engine, model[0], **model[1], context=256)
    alone = talk.generate(greedy(0), text="red green blue " * 20)
    together = talk.generate(*[greedy(0)] * 3, text="red green blue " * 20, reply_starts=("", "", "red"))
    assert [end.reason for _, end in sorted(together.ends.items())] == ["context"] * 3
    assert together.ids(0) == together.ids(1) == alone.ids()
    assert set(together.used.values()) == {257} == set(alone.used.values())
