"""What a model thinks of a given text, and the raw logits after a prompt: the same numbers by every way, with both engines."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from playground import protocol
from playground.decoding.chain import distribution, softmax
from playground.errors import from_kind
from playground.params import SamplingSettings
from tests.workers.talk import PATIENCE, Talk, greedy, user

TEXT = "Once upon a time there was a small fox. The fox had a red ball — and so on, ä ö 🦊."


def ask(talk: Talk, command: Any) -> Any:
    talk.send(command)
    answer = talk.until((protocol.Scored, protocol.Logits, protocol.Tokenized, protocol.Failed, protocol.Finished))
    if isinstance(answer, protocol.Failed):
        raise from_kind(answer.kind, answer.message, answer.hint)
    return answer


def logits_after(talk: Talk, folder: Path, **what: Any) -> tuple[np.ndarray[Any, np.dtype[np.float32]], protocol.Logits]:
    answer = ask(talk, protocol.NextToken(talk.number(), str(folder / "logits.f32"), **what))
    return np.fromfile(answer.file, "<f4"), answer


def test_score_is_what_the_next_token_logits_say(talking: Talk, tmp_path: Path) -> None:
    scored = ask(talking, protocol.Score(talking.number(), text=TEXT))
    ids = [each.token_id for each in scored.tokens]
    assert scored.tokens[0].rank == 0 and not scored.tokens[0].alternatives
    for place in (1, 2, len(ids) // 2, len(ids) - 1):
        logits, _ = logits_after(talking, tmp_path, prompt_ids=tuple(ids[:place]))
        chances = np.log(softmax(logits).astype(np.float64))
        mine = scored.tokens[place]
        assert mine.logprob == pytest.approx(chances[ids[place]], abs=0.03)
        order = np.argsort(-logits, kind="stable")
        assert abs(int(np.flatnonzero(order == ids[place])[0]) + 1 - mine.rank) <= 1
        assert mine.alternatives[0].token_id == order[0]
        assert mine.entropy == pytest.approx(-float(np.sum(np.exp(chances) * chances)), abs=0.03)


def test_bytes_and_texts_of_a_scored_text_add_up(talking: Talk) -> None:
    scored = ask(talking, protocol.Score(talking.number(), text=TEXT, alternatives=2))
    body = [each for each in scored.tokens if not each.special]
    assert b"".join(bytes.fromhex(each.bytes) for each in body).decode().strip() == TEXT
    assert "".join(each.text for each in body).strip() == TEXT
    assert all(len(each.alternatives) == 2 for each in scored.tokens[1:])
    assert all(each.logprob < 0 and each.rank >= 1 for each in scored.tokens[1:])
    assert scored.tokens[5].alternatives[0].probability == pytest.approx(math.exp(scored.tokens[5].alternatives[0].logprob))


def test_a_long_text_is_scored_in_chunks_as_in_one(talking: Talk) -> None:
    long = "The dog ran to the lake and the cat ran to the tree. " * 40
    scored = ask(talking, protocol.Score(talking.number(), text=long, alternatives=0))
    assert len(scored.tokens) > 512
    half = ask(
        talking,
        protocol.Score(talking.number(), prompt_ids=tuple(each.token_id for each in scored.tokens[:40]), alternatives=0),
    )
    for one, other in zip(scored.tokens, half.tokens, strict=False):
        assert (one.token_id, one.text) == (other.token_id, other.text) or one is scored.tokens[39]
        assert one.logprob == pytest.approx(other.logprob, abs=0.03)


def test_scoring_leaves_a_conversation_as_it_was(talking: Talk) -> None:
    messages = user("Tell me a story about a fox.")
    first = talking.generate(greedy(8), messages=messages)
    ask(talking, protocol.Score(talking.number(), text=TEXT))
    again = talking.generate(greedy(8), messages=messages)
    assert first.ids() == again.ids()
    assert again.prefilled is not None and again.prefilled.cached > 0


def test_a_text_that_does_not_fit_is_refused(talking: Talk) -> None:
    with pytest.raises(Exception, match="context window holds"):
        ask(talking, protocol.Score(talking.number(), text="red " * 40000))


def test_short_and_empty_texts(talking: Talk) -> None:
    assert ask(talking, protocol.Score(talking.number(), prompt_ids=(5,))).tokens[0].token_id == 5
    assert len(ask(talking, protocol.Score(talking.number(), text="")).tokens) <= 1


def test_a_score_can_be_cancelled(talking: Talk) -> None:
    request = talking.number()
    talking.send(protocol.Score(request, text="red green blue " * 150))
    talking.worker.cancel(request, grace_s=PATIENCE)
    answer = talking.until((protocol.Scored, protocol.Finished, protocol.Failed))
    assert isinstance(answer, protocol.Scored) or answer.outcome == "cancelled"


def test_the_engine_draws_with_what_the_chain_says_of_its_logits(talking: Talk, tmp_path: Path) -> None:
    """The lab shows the numpy chain over these logits: the engine's own probabilities are the same."""
    messages = user("Tell me a story about a dragon and a fox, a fox, a fox.")
    for settings in (
        SamplingSettings(max_tokens=1, seed=3),
        SamplingSettings(max_tokens=1, seed=3, temperature=1.7, top_k=0, top_p=0.99, min_p=0.0, repetition_penalty=1.3),
        SamplingSettings(max_tokens=1, seed=3, top_k=7, stages=("temperature", "top_k", "penalties", "min_p", "top_p")),
    ):
        answer = talking.generate(settings, messages=messages)
        logits, asked = logits_after(talking, tmp_path, messages=messages)
        last = distribution(logits, settings, [each.token_id for each in asked.prompt])
        token = answer.tokens[0][0]
        assert token.probability == pytest.approx(last.probability(token.token_id), abs=1e-5)
        for each in token.alternatives:
            assert each.probability == pytest.approx(last.probability(each.token_id), abs=1e-5)


def test_logits_come_with_the_texts_of_the_likeliest_and_of_the_prompt(talking: Talk, tmp_path: Path) -> None:
    logits, asked = logits_after(talking, tmp_path, text="The fox", labels=20)
    texts = dict(asked.labels)
    order = np.argsort(-logits, kind="stable")[:20].tolist()
    assert [token for token, _ in asked.labels[:20]] == order
    assert {each.token_id for each in asked.prompt} <= set(texts)


def test_tokens_by_number_say_their_bytes_and_whether_they_end_a_text(reciting: Talk) -> None:
    found = ask(reciting, protocol.Tokenize(reciting.number(), prompt_ids=(257,)))
    assert len(found.pieces) == 1 and not found.ends
