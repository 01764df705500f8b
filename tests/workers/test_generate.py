"""What a worker writes, by either engine: greedy and drawn, steered while it speaks, replayed, stopped, several at once."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from playground import protocol
from playground.errors import ContextFullError, SettingError
from playground.params import SamplingSettings
from tests.models_made import QUANTIZED, random_model
from tests.workers.talk import HELD, Talk, greedy, user

ASK = user("Tell me a story about a fox.")


@pytest.mark.parametrize("kind", [*QUANTIZED, "F16"])
def test_a_quantized_model_reads_a_long_prompt_and_writes(talk: Talk, tmp_path: Path, kind: str) -> None:
    talk.load(random_model(tmp_path / f"{kind}.gguf", kind), context=512)
    answer = talk.generate(greedy(8), text="x" * 300)
    assert answer.prefilled is not None and len(answer.prefilled.prompt) == 300
    assert len(answer.ids()) == 8
    assert all(math.isfinite(token.logprob) for token in answer.tokens[0])


def test_greedy_repeats(talking: Talk) -> None:
    first, second = (talking.generate(greedy(), messages=ASK) for _ in range(2))
    assert first.ids() == second.ids() and first.text() == first.ends[0].text


def test_a_seed_repeats_and_a_drawn_seed_is_told(talking: Talk) -> None:
    drawn = talking.generate(SamplingSettings(max_tokens=24, temperature=1.5), messages=ASK)
    assert drawn.prefilled is not None
    used = drawn.prefilled.samplings[0]
    assert used.seed >= 0
    assert talking.generate(used, messages=ASK).ids() == drawn.ids()
    assert talking.generate(replace(used, seed=(used.seed + 1) % 1000), messages=ASK).ids() != drawn.ids()


def test_each_token_says_how_likely_it_was(talking: Talk) -> None:
    answer = talking.generate(SamplingSettings(max_tokens=24, temperature=1.2, top_k=5, top_p=1, min_p=0, seed=3), messages=ASK)
    for token in answer.tokens[0]:
        assert 0 < token.probability <= 1 and token.logprob <= 0 and token.entropy >= 0
        assert len(token.alternatives) == 8
        logprobs = [each.logprob for each in token.alternatives]
        assert logprobs == sorted(logprobs, reverse=True)
        assert [each.probability == 0 for each in token.alternatives] == [False] * 5 + [True] * 3
        assert math.isclose(sum(each.probability for each in token.alternatives), 1, abs_tol=1e-5)
        mine = next((each for each in token.alternatives if each.token_id == token.token_id), None)
        assert mine is not None
        assert mine.probability == token.probability and mine.logprob == token.logprob


def test_a_moved_slider_is_in_force_for_the_next_token_and_replays(talking: Talk) -> None:
    calm, wild = greedy(40), SamplingSettings(temperature=2.0, top_k=0, top_p=1, min_p=0, seed=11, max_tokens=40)

    def move(event: Any, request: int) -> None:
        if isinstance(event, protocol.Tokens):
            count = event.index + len(event.tokens)
            if count == 3:
                talking.send(protocol.SetSampling(request, wild))
            talking.send(protocol.SetPace(request, HELD if count < 3 else 0))

    moved = talking.generate(replace(calm, seed=11), watch=move, messages=ASK, pace=HELD)
    assert [change.settings for change in moved.changes] == [wild]
    index = moved.changes[0].index
    assert 3 <= index <= 6
    untouched = talking.generate(calm, messages=ASK)
    assert moved.ids()[:index] == untouched.ids()[:index] and moved.ids() != untouched.ids()
    assert {token.probability for token in moved.tokens[0][:index]} == {1.0}
    assert moved.tokens[0][index].probability < 1.0

    assert moved.prefilled is not None
    replayed = talking.generate(
        *moved.prefilled.samplings,
        prompt_ids=[token.token_id for token in moved.prefilled.prompt],
        batches=moved.prefilled.batches,
        timeline=[protocol.Change(index, wild)],
    )
    assert replayed.ids() == moved.ids()
    assert [(change.index, change.settings) for change in replayed.changes] == [(index, wild)]


def test_the_draw_goes_on_whatever_changes(talking: Talk) -> None:
    """A change that changes nothing must not move the generator; greedy tokens in between take nothing from it."""
    settings = SamplingSettings(temperature=1.5, seed=5, max_tokens=30)
    plain = talking.generate(settings, messages=ASK)
    touched = talking.generate(settings, messages=ASK, timeline=[protocol.Change(7, replace(settings, top_p=0.95, seed=99))])
    assert touched.ids() == plain.ids()
    assert touched.changes[0].settings.seed == 5


def test_the_cache_is_reused_between_turns_and_a_replay_is_identical(talking: Talk, other: Talk) -> None:
    first = talking.generate(greedy(20), messages=ASK)
    assert first.prefilled is not None
    follow = user("Tell me a story about a fox.", first.text(), "And then?")
    second = talking.generate(SamplingSettings(seed=4, max_tokens=30, temperature=1.0), messages=follow)
    assert second.prefilled is not None
    # All but the last drawn token were in the cache.
    assert second.prefilled.cached == len(first.prefilled.prompt) + len(first.ids()) - 1
    again = talking.generate(*second.prefilled.samplings, messages=follow)
    assert again.prefilled is not None
    assert len(second.prefilled.prompt) - again.prefilled.cached <= 1  # llama.cpp reads the prompt's end anew
    assert again.ids() == second.ids()
    assert sum(each.size * each.count for each in second.prefilled.batches) == len(second.prefilled.prompt)
    assert again.prefilled.batches == second.prefilled.batches

    replay = other.generate(
        *second.prefilled.samplings,
        prompt_ids=[token.token_id for token in second.prefilled.prompt],
        batches=second.prefilled.batches,
    )
    assert replay.prefilled is not None and replay.prefilled.cached == 0
    assert replay.ids() == second.ids()
    assert [token.logprob for token in replay.tokens[0]] == [token.logprob for token in second.tokens[0]]


def test_batches_that_do_not_fit_the_prompt_are_refused(talking: Talk) -> None:
    with pytest.raises(SettingError, match="batches"):
        talking.generate(greedy(), prompt_ids=[5, 6, 7], batches=[protocol.Batches(2, 1)])


def test_several_sequences_say_what_each_would_say_alone(talking: Talk) -> None:
    settings = [greedy(20), greedy(30, repetition_penalty=1.5), SamplingSettings(temperature=0.9, seed=8, max_tokens=25)]
    together = talking.generate(*settings, messages=ASK)
    for number, each in enumerate(settings):
        alone = talking.generate(each, messages=ASK)
        assert together.ids(number) == alone.ids() and together.ends[number].reason == alone.ends[0].reason
    after = talking.generate(greedy(20), messages=ASK)
    assert after.prefilled is not None and len(after.prefilled.prompt) - after.prefilled.cached <= 1
    assert after.ids() == together.ids(0)


def test_more_sequences_than_there_is_room_for_are_refused(talking: Talk) -> None:
    with pytest.raises(SettingError, match="9 replies"):
        talking.generate(*[greedy()] * 9, messages=ASK)


def test_one_sequence_is_stopped_and_the_other_goes_on(talking: Talk) -> None:
    def stop(event: Any, request: int) -> None:
        if isinstance(event, protocol.Prefilled):
            talking.send(protocol.Cancel(request, 1))
        elif isinstance(event, protocol.SequenceFinished):
            talking.send(protocol.SetPace(request, 0))

    answer = talking.generate(greedy(20), greedy(200), watch=stop, messages=ASK, pace=HELD)
    assert answer.ends[1].reason == "cancelled" and len(answer.ids(1)) < 200
    assert answer.ends[0].reason != "cancelled" and answer.outcome == "done"


def test_stop_at_the_next_token(talking: Talk) -> None:
    def stop(event: Any, request: int) -> None:
        if isinstance(event, protocol.Tokens):
            talking.send(protocol.Cancel(request))

    answer = talking.generate(greedy(400), watch=stop, messages=ASK, pace=HELD)
    assert answer.outcome == "cancelled" and answer.ends[0].reason == "cancelled"
    assert 1 <= len(answer.ids()) <= 5
    assert answer.ends[0].tokens == len(answer.ids()) and answer.ends[0].text == answer.text()


def test_a_cancelled_request_that_had_not_begun(talking: Talk) -> None:
    first, second = talking.number(), talking.number()
    talking.send(protocol.Generate(first, (greedy(10),), messages=ASK, pace=HELD))
    talking.send(protocol.Generate(second, (greedy(10),), messages=ASK))
    talking.send(protocol.Cancel(second))
    talking.send(protocol.SetPace(first, 0))
    assert talking.collect(first).outcome == "done"
    answer = talking.collect(second)
    assert answer.outcome == "cancelled" and answer.ids() == []


def test_a_reply_is_continued(talking: Talk) -> None:
    whole = talking.generate(greedy(24), messages=ASK)
    part = talking.generate(greedy(9), messages=ASK)
    assert part.ends[0].reason == "length" and part.prefilled is not None
    rest = talking.generate(greedy(15), messages=ASK, continued=part.ids())
    assert part.ids() + rest.ids() == whole.ids()
    assert part.text() + rest.text() == whole.text()
    assert rest.prefilled is not None
    assert len(rest.prefilled.prompt) == len(part.prefilled.prompt) + 9


def test_a_reply_begins_as_told(talking: Talk) -> None:
    answer = talking.generate(greedy(5), messages=ASK, reply_start="Once upon")
    assert answer.prefilled is not None and answer.prefilled.text.endswith("Once upon")


def test_the_context_gets_full_and_that_is_an_outcome(talk: Talk, quantized: Path) -> None:
    talk.load(quantized, context=512)
    answer = talk.generate(greedy(0, repetition_penalty=2.0), text="y" * 500)
    assert answer.ends[0].reason == "context" and len(answer.ids()) == 13 and answer.used[0] == 513
    together = talk.generate(*[SamplingSettings(temperature=2, seed=n, max_tokens=0) for n in range(4)], text="y" * 500)
    assert {end.reason for end in together.ends.values()} == {"context"}
    with pytest.raises(ContextFullError, match="513"):
        talk.generate(greedy(), text="y" * 513)
    assert len(talk.generate(greedy(5), text="still there").ids()) == 5


def test_characters_that_span_tokens_come_whole(reciting: Talk) -> None:
    answer = reciting.generate(greedy(0), prompt_ids=[257])
    assert answer.text() == "Hello é🦊 END. more and last"
    assert [token.text for token in answer.tokens[0]][2:8] == ["", "é", "", "", "", "🦊"]
    assert answer.ends[0].reason == "end"


def test_a_character_cut_in_two_is_completed_when_continued(reciting: Talk) -> None:
    part = reciting.generate(greedy(6), prompt_ids=[257])
    assert part.text() == "Hello é" and part.ends[0].text == "Hello é"
    rest = reciting.generate(greedy(3), prompt_ids=[257], continued=part.ids())
    assert rest.text() == "🦊 EN"


@pytest.mark.parametrize(
    ("stop", "text", "reason"),
    [
        (("END",), "Hello é🦊 ", "stop"),
        (("D. m", "END. x"), "Hello é🦊 EN", "stop"),
        (("🦊",), "Hello é", "stop"),
        (("lo é🦊 END. more and",), "Hel", "stop"),
        (("lasting",), "Hello é🦊 END. more and last", "end"),
        (("xyz",), "Hello é🦊 END. more and last", "end"),
    ],
)
def test_stop_strings_across_tokens(reciting: Talk, stop: tuple[str, ...], text: str, reason: str) -> None:
    answer = reciting.generate(greedy(0, stop=stop), prompt_ids=[257])
    assert (answer.text(), answer.ends[0].text, answer.ends[0].reason) == (text, text, reason)
    assert answer.ends[0].tokens == len(answer.ids())


def test_penalties_see_the_prompt(reciting: Talk) -> None:
    """The model would say `Hel` after `start`; with it in the prompt, a strong penalty takes something else."""
    plain = reciting.generate(greedy(1), prompt_ids=[258, 257])
    penalised = reciting.generate(
        greedy(1, presence_penalty=2.0, frequency_penalty=2.0, repetition_penalty=2.0), prompt_ids=[258, 257]
    )
    assert plain.ids() == [258]
    unseen = reciting.generate(greedy(1, repetition_penalty=2.0, repeat_last_n=1), prompt_ids=[258, 257])
    assert unseen.ids() == [258]
    assert penalised.tokens[0][0].alternatives[0].token_id == 258


def test_pace_holds_back_and_can_be_lifted(talking: Talk) -> None:
    def lift(event: Any, request: int) -> None:
        if isinstance(event, protocol.Tokens):
            talking.send(protocol.SetPace(request, 0))

    answer = talking.generate(greedy(30), watch=lift, messages=ASK, pace=HELD)  # 100 s a token, had it not been lifted
    assert len(answer.ids()) == 30


def test_the_next_tokens_logits_lie_in_a_file(talking: Talk, tmp_path: Path) -> None:
    import numpy as np

    request = talking.number()
    talking.send(protocol.NextToken(request, str(tmp_path / "logits.f32"), messages=ASK))
    answer = talking.until((protocol.Logits, protocol.Failed))
    logits = np.fromfile(answer.file, "<f4")
    assert [each.name for each in tmp_path.iterdir()] == ["logits.f32"]
    assert logits.shape == (2048,)
    assert int(logits.argmax()) == talking.generate(greedy(1), messages=ASK).ids()[0]


def test_tokens_of_a_text(talking: Talk) -> None:
    talking.send(protocol.Tokenize(talking.number(), text="Naïve 🦊 <|im_start|>"))
    answer = talking.until(protocol.Tokenized)
    assert "".join(each.text for each in answer.tokens if not each.special).strip() == "Naïve 🦊"
    assert "<|im_start|>" in [each.text for each in answer.tokens if each.special]


def test_no_settings_no_reply(talking: Talk) -> None:
    request = talking.number()
    talking.send(protocol.Generate(request, (), messages=ASK))
    assert talking.until(protocol.Failed).kind == "SettingError"
