"""The lab through the session's door: the next token anywhere, scores, and replies that fork at a token."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from playground import events
from playground.decoding.chain import distribution
from playground.errors import Cancelled, PlaygroundError, StorageError
from playground.params import SamplingSettings
from playground.paths import Home
from playground.protocol import ChatMessage, Failed, Finished, Logits, NextToken
from playground.session.reply_tokens import ReplyToken
from tests.models_made import reciting_model

from .conftest import HELD, PATIENCE, Listening

GREEDY = SamplingSettings(temperature=0, max_tokens=24)
BOLD = SamplingSettings(temperature=1.1, seed=4, max_tokens=24)
STORY = "Tell me a long story about a fox named Pepper."
PIECES = (b"start", b"Hel", b"lo ", b"\xc3", b"\xa9", b"\xf0", b"\x9f", b"\xa6", b"\x8a", b" END")


def wrote(starter: Listening, settings: SamplingSettings = BOLD) -> tuple[str, events.GenerationFinished]:
    starter.session.set_sampling(settings)
    chat_id = starter.session.send("", STORY)
    return chat_id, starter.reply()


def tokens_of(starter: Listening, message_id: str) -> list[ReplyToken]:
    return starter.session.lab.reply_tokens(message_id).result(PATIENCE)


def other(token: ReplyToken) -> int:
    """An alternative that was not drawn."""
    return next(number for number, *_ in token.row.alternatives if number != token.row.token_id)


def test_logits_are_read_and_their_file_is_gone(starter: Listening, home: Home) -> None:
    left, ours = home.cache / "logits" / "999999999-left.f32", home.cache / "logits" / f"{os.getppid()}-theirs.f32"
    left.parent.mkdir(parents=True)
    for path in (left, ours):
        path.write_bytes(b"")
    found = starter.session.lab.next_logits((ChatMessage("user", STORY),)).result(PATIENCE)
    assert list(left.parent.iterdir()) == [ours], "what a killed program left goes, and what one that is alive reads stays"
    assert found.logits.shape == (starter.session.model.info.vocabulary,)  # type: ignore[union-attr]
    first = found.chain.steps(GREEDY)[-1].likeliest(1)[0][0]
    _, finished = wrote(starter, GREEDY)
    assert starter.session.tokens(finished.generation.id).result(PATIENCE)[0].token_id == first
    assert found.text(first)


def test_logits_that_nobody_gets_leave_no_file(starter: Listening, home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """The worker dies with half of them written; it was told to stop; the answer comes when nobody waits for it any more."""
    asked: list[tuple[NextToken, Any]] = []

    def ask(make: Any, handler: Any) -> int:
        asked.append((make(len(asked) + 1), handler))
        return len(asked)

    monkeypatch.setattr(starter.session._engine, "ask", ask)
    lab = starter.session.lab
    for event, error in (
        (Failed(1, "WorkerError", "The model was killed."), PlaygroundError),
        (Finished(2, "cancelled"), Cancelled),
        (Failed(3, "StorageError", "The disk is full."), StorageError),
    ):
        future = lab.next_logits(text="Once")
        command, handler = asked[-1]
        Path(command.target).write_bytes(b"half")
        handler(event)
        with pytest.raises(error):
            future.result(PATIENCE)
    assert not list((home.cache / "logits").iterdir())
    future = lab.next_logits(text="Once")
    future.cancel()
    command, handler = asked[-1]
    np.zeros(8, "<f4").tofile(command.target)  # it was too late
    handler(Logits(4, command.target, ()))
    lab.next_logits(text="Once")
    Path(asked[-1][0].target).write_bytes(b"half")
    starter.session.close()
    lab._making.shutdown(wait=True)
    assert not list((home.cache / "logits").iterdir())


def test_at_a_token_the_lab_finds_what_the_engine_had_weighed(starter: Listening) -> None:
    _, finished = wrote(starter)
    rows = starter.session.tokens(finished.generation.id).result(PATIENCE)
    for index in (0, 7, len(rows) - 1):
        found = starter.session.lab.at_token(finished.generation.id, index).result(PATIENCE)
        last = found.chain.steps(BOLD)[-1]
        ids = [number for number, *_ in rows[index].alternatives]
        assert last.probabilities(ids) == pytest.approx([row[3] for row in rows[index].alternatives], abs=0.02)
        assert last.probabilities(ids) == pytest.approx(
            [distribution(found.logits, BOLD, [each.token_id for each in found.prompt]).probability(each) for each in ids],
            abs=1e-6,
        )


def test_the_end_of_a_chat_is_where_its_reply_would_begin_or_go_on(starter: Listening) -> None:
    session = starter.session
    chat_id, finished = wrote(starter, GREEDY)
    begun = session.lab.at_end("", STORY).result(PATIENCE)
    assert [each.token_id for each in begun.prompt] == list(
        session.generation(finished.generation.id).result(PATIENCE).prompt_ids
    )
    after = session.lab.at_end(chat_id).result(PATIENCE)
    assert "".join(each.text for each in after.prompt).rstrip().endswith(finished.message.content.rstrip()[-20:])
    more = session.lab.at_end(chat_id, "And then?").result(PATIENCE)
    assert len(more.prompt) > len(after.prompt) and not np.array_equal(more.logits, after.logits)


def test_a_reply_forks_where_an_alternative_is_chosen(starter: Listening) -> None:
    session = starter.session
    chat_id, finished = wrote(starter)
    old = tokens_of(starter, finished.message.id)
    assert "".join(each.row.text for each in old) == finished.message.content
    chosen = other(old[6])
    session.fork(chat_id, finished.message.id, finished.generation.id, 6, chosen)
    new = starter.reply()
    chat = session.chat(chat_id).result(PATIENCE)
    assert chat.path()[-1].id == new.message.id, "the branch is what is shown"
    assert {each.id for each in chat.siblings(new.message)} == {finished.message.id, new.message.id}, "both are in the tree"
    row = session.generation(new.generation.id).result(PATIENCE)
    wanted = [each.row.token_id for each in old[:6]] + [chosen]
    assert list(row.prompt_ids[-row.continued :]) == wanted
    fresh = tokens_of(starter, new.message.id)
    assert [each.row.token_id for each in fresh[:7]] == wanted
    assert len(fresh) == 7 + new.generation.completion_tokens
    assert "".join(each.row.text for each in fresh) == new.message.content
    assert all(new.message.content[each.offset : each.offset + each.length] == each.row.text for each in fresh)
    assert session.replay(new.generation.id).result(PATIENCE).identical


def test_a_fork_can_fork_again_in_what_it_shares(starter: Listening) -> None:
    session = starter.session
    chat_id, finished = wrote(starter)
    old = tokens_of(starter, finished.message.id)
    session.fork(chat_id, finished.message.id, finished.generation.id, 9, other(old[9]))
    second = starter.reply()
    shared = tokens_of(starter, second.message.id)[3]
    session.fork(chat_id, second.message.id, shared.generation_id, shared.row.index, other(shared))
    third = starter.reply()
    found = tokens_of(starter, third.message.id)
    assert [each.row.token_id for each in found[:4]] == [each.row.token_id for each in old[:3]] + [other(shared)]
    session.fork(chat_id, third.message.id, third.generation.id, 2, other(found[6]))
    fourth = starter.reply()
    assert [each.row.token_id for each in tokens_of(starter, fourth.message.id)[:6]] == [
        each.row.token_id for each in found[:6]
    ]
    assert len(session.chat(chat_id).result(PATIENCE).siblings(fourth.message)) == 4


def test_the_very_first_token_can_be_another(starter: Listening) -> None:
    chat_id, finished = wrote(starter)
    old = tokens_of(starter, finished.message.id)
    starter.session.fork(chat_id, finished.message.id, finished.generation.id, 0, other(old[0]))
    new = starter.reply()
    assert tokens_of(starter, new.message.id)[0].row.token_id == other(old[0])


def test_a_continued_reply_has_all_its_tokens(starter: Listening) -> None:
    chat_id, finished = wrote(starter, SamplingSettings(temperature=0.8, seed=2, max_tokens=8))
    starter.session.continue_reply(chat_id, finished.message.id)
    after = starter.reply()
    found = tokens_of(starter, after.message.id)
    assert len(found) == 16 and "".join(each.row.text for each in found) == after.message.content
    starter.session.fork(chat_id, after.message.id, found[3].generation_id, found[3].row.index, other(found[3]))
    forked = starter.reply()
    assert forked.message.content.startswith("".join(each.row.text for each in found[:3]))


def test_a_fork_within_a_character_is_exact(listening: Listening, tmp_path: Path) -> None:
    """Bytes of a character come one by one: the branch takes another byte, or none, and the text is what the bytes say."""
    session = listening.session
    model = tmp_path / "reciting.gguf"
    reciting_model(model, PIECES)
    session.load(model).result(PATIENCE)
    session.set_sampling(SamplingSettings(temperature=0, max_tokens=4))
    chat_id = session.send("", "x", "start")
    finished = listening.reply()
    old = tokens_of(listening, finished.message.id)
    texts = [each.row.text for each in old]
    assert "" in texts, "a token that ends within a character has no text of its own"
    place = texts.index("")
    text_before = finished.message.content[: old[place + 1].offset]
    chosen = 257 + PIECES.index(b"Hel")
    session.fork(chat_id, finished.message.id, finished.generation.id, place + 1, chosen)
    new = listening.reply()
    assert new.message.content.startswith(f"{text_before}\ufffdHel")
    assert len(tokens_of(listening, new.message.id)) == place + 1 + new.generation.completion_tokens, (
        "the chosen one was no candidate"
    )


def test_another_models_reply_is_not_forked(starter: Listening, tmp_path: Path) -> None:
    session = starter.session
    chat_id, finished = wrote(starter)
    token = tokens_of(starter, finished.message.id)[2]
    model = tmp_path / "reciting.gguf"
    reciting_model(model, PIECES)
    session.load(model).result(PATIENCE)
    session.fork(chat_id, finished.message.id, finished.generation.id, 2, other(token))
    notice = starter.until(lambda event: isinstance(event, events.Notice) and event.level == "error")
    assert "was written by" in notice.message
    with pytest.raises(PlaygroundError, match="was written by"):
        session.lab.at_token(finished.generation.id, 2).result(PATIENCE)


def test_a_message_is_scored_as_it_was_computed(starter: Listening) -> None:
    _, finished = wrote(starter, GREEDY)
    scored = starter.session.lab.score_message(finished.message.id).result(PATIENCE)
    rows = starter.session.tokens(finished.generation.id).result(PATIENCE)
    mine = scored.tokens[-len(rows) :]
    assert [each.token_id for each in mine] == [row.token_id for row in rows]
    assert [each.logprob for each in mine] == pytest.approx([row.logprob for row in rows], abs=0.05)
    assert all(each.rank <= 2 for each in mine), "greedy: the likeliest, but for rounding"


def test_while_a_reply_is_written_nothing_is_asked_and_a_reply_comes_first(starter: Listening) -> None:
    session = starter.session
    session.set_sampling(SamplingSettings(temperature=0.8, max_tokens=200))
    session.set_pace(HELD)
    waiting = session.lab.score("red green blue " * 120)
    session.send("", STORY)
    error = waiting.exception(PATIENCE)
    assert error is None or "came first" in str(error)
    starter.until(events.GenerationTokens)
    assert session.busy
    with pytest.raises(PlaygroundError, match="still being written"):
        session.lab.tokenize("x")
    session.stop()
    starter.reply()
    assert session.model.state == "ready"
