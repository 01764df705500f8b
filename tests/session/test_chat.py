"""A conversation through the session's door, with the real engine in its worker and the real database."""

from __future__ import annotations

import sqlite3
import threading
from contextlib import closing
from pathlib import Path

import pytest

from playground import events
from playground.errors import NotFoundError, PlaygroundError
from playground.params import SamplingSettings
from playground.paths import Home
from playground.session import Session

from .conftest import HELD, PATIENCE, Listening

GREEDY = SamplingSettings(temperature=0, max_tokens=40)
LONG = SamplingSettings(temperature=1.0, seed=5, max_tokens=400)
STORY = "Tell me a long story about a fox named Pepper."


def rows(home: Home, query: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(home.database)) as database:
        return database.execute(query).fetchall()


def test_a_prompt_gets_a_reply_and_both_are_in_the_database(starter: Listening, home: Home) -> None:
    session = starter.session
    session.set_sampling(GREEDY)
    chat_id = session.send("", "Hello")
    finished = starter.reply()
    assert finished.message.content
    assert finished.message.state == "complete"
    assert rows(home, "select role, content from messages order by id") == [
        ("user", "Hello"),
        ("assistant", finished.message.content),
    ]
    tokens = session.tokens(finished.generation.id).result(PATIENCE)
    assert "".join(token.text for token in tokens) == finished.message.content
    assert session.chat(chat_id).result(PATIENCE).path()[-1] == finished.message


def test_tokens_are_told_only_after_they_are_written(starter: Listening, home: Home) -> None:
    seen: list[tuple[int, int]] = []

    def look(event: events.Event) -> None:
        if isinstance(event, events.GenerationTokens):
            ((count,),) = rows(home, f"select count(*) from tokens where generation_id = '{event.generation_id}'")
            seen.append((event.index + len(event.tokens), int(str(count))))

    starter.session.subscribe(look)
    starter.session.set_sampling(LONG)
    starter.session.send("", STORY)
    starter.reply()
    assert seen
    assert all(stored >= shown for shown, stored in seen)


def test_a_setting_moved_while_it_speaks_is_in_the_timeline(starter: Listening) -> None:
    session = starter.session
    session.set_sampling(LONG)
    session.set_pace(HELD)
    session.send("", STORY)
    starter.until(events.GenerationTokens)
    session.set_sampling(SamplingSettings(temperature=0.0, seed=5, max_tokens=60))
    applied = starter.until(events.SamplingApplied)
    session.set_pace(0)
    finished = starter.reply()
    (entry,) = session.generation(finished.generation.id).result(PATIENCE).timeline
    assert applied.names == ("temperature", "max_tokens")
    assert (entry.index, entry.settings.temperature) == (applied.index, 0.0)
    tokens = session.tokens(finished.generation.id).result(PATIENCE)
    assert entry.offset == len("".join(token.text for token in tokens[: entry.index]))
    assert all(token.probability == pytest.approx(1.0) for token in tokens[entry.index :]), "greedy from the very next token on"


def test_the_place_of_a_change_counts_the_start_of_the_reply_only_where_the_whole_message_is_meant(starter: Listening) -> None:
    session = starter.session
    session.set_sampling(LONG)
    session.set_pace(HELD)
    session.send("", STORY, reply_start="Once upon a time")
    starter.until(events.GenerationTokens)
    session.set_sampling(SamplingSettings(temperature=0.3, seed=5, max_tokens=60))
    applied = starter.until(events.SamplingApplied)
    session.set_pace(0)
    finished = starter.reply()
    (entry,) = finished.generation.timeline
    assert applied.offset == entry.offset + len("Once upon a time")
    tokens = session.tokens(finished.generation.id).result(PATIENCE)
    assert entry.offset == len("".join(token.text for token in tokens[: entry.index]))
    assert finished.message.content == "Once upon a time" + "".join(token.text for token in tokens)


def test_stop_keeps_what_was_said_and_continue_goes_on(starter: Listening) -> None:
    session = starter.session
    session.set_sampling(LONG)
    session.set_pace(HELD)
    chat_id = session.send("", STORY)
    starter.until(events.GenerationTokens)
    session.stop()
    stopped = starter.reply()
    assert stopped.message.state == "stopped"
    session.set_pace(0)
    session.set_sampling(GREEDY)
    session.continue_reply(chat_id, stopped.message.id)
    finished = starter.reply()
    assert finished.message.id == stopped.message.id
    assert finished.message.content.startswith(stopped.message.content)
    assert len(finished.message.content) > len(stopped.message.content)
    assert finished.generation.continued == stopped.generation.completion_tokens


def test_a_stopped_reply_goes_on_from_its_tokens_in_another_run_of_the_program(starter: Listening, home: Home) -> None:
    starter.session.set_sampling(LONG)
    starter.session.set_pace(HELD)
    chat_id = starter.session.send("", STORY)
    starter.until(events.GenerationTokens)
    starter.session.stop()
    stopped = starter.reply()
    starter.session.close()
    later = Session(home)
    listening = Listening(later)
    later.start()
    try:
        later.load("starter").result(PATIENCE)
        later.set_sampling(GREEDY)
        later.continue_reply(chat_id, stopped.message.id)
        finished = listening.reply()
    finally:
        later.close()
    assert finished.generation.continued == stopped.generation.completion_tokens
    assert finished.message.content.startswith(stopped.message.content)


def test_versions_are_siblings_and_can_be_switched(starter: Listening) -> None:
    session = starter.session
    session.set_sampling(GREEDY)
    chat_id = session.send("", "Hello")
    first = starter.reply().message
    session.regenerate(chat_id, first.id)
    second = starter.reply().message
    chat = session.chat(chat_id).result(PATIENCE)
    assert chat.siblings(second) == (first, second)
    assert chat.path()[-1].id == second.id
    user = chat.path()[0]
    session.edit(chat_id, user.id, "Repeat: red blue")
    third = starter.reply().message
    chat = session.chat(chat_id).result(PATIENCE)
    assert [message.id for message in chat.path()][-1] == third.id
    assert len(chat.path()) == 2
    session.select_version(chat_id, user.id)
    assert session.chat(chat_id).result(PATIENCE).path()[-1].id == second.id


def test_the_next_turn_reuses_the_cache(starter: Listening) -> None:
    session = starter.session
    session.set_sampling(GREEDY)
    chat_id = session.send("", "My name is Zora.")
    starter.reply()
    session.send(chat_id, "What is my name?")
    second = starter.reply().generation
    assert second.cached_tokens > 0
    assert second.prompt_tokens > second.cached_tokens


@pytest.mark.parametrize("moved", [False, True])
def test_a_sampled_reply_replays_token_for_token(starter: Listening, moved: bool) -> None:
    session = starter.session
    session.set_sampling(LONG)
    chat_id = session.send("", "Hello")
    starter.reply()
    session.set_pace(HELD if moved else 0)
    session.send(chat_id, STORY)
    if moved:
        starter.until(events.GenerationTokens)
        session.set_sampling(SamplingSettings(temperature=1.7, top_k=0, seed=5, max_tokens=200))
        starter.until(events.SamplingApplied)
        session.set_pace(0)
    finished = starter.reply()
    result = session.replay(finished.generation.id).result(PATIENCE)
    assert result.identical, result
    assert result.tokens == finished.generation.completion_tokens


def test_a_replay_needs_no_loaded_model(starter: Listening, home: Home) -> None:
    starter.session.set_sampling(LONG)
    starter.session.send("", STORY)
    generation = starter.reply().generation
    starter.session.close()
    later = Session(home)
    later.start()
    try:
        assert later.replay(generation.id).result(PATIENCE).identical
    finally:
        later.close()


def test_a_message_sent_while_the_model_loads_waits_for_it(listening: Listening) -> None:
    session = listening.session
    session.set_sampling(GREEDY)
    session.load("starter")
    session.send("", "Hello")
    assert listening.reply().message.content


def test_without_a_model_nothing_is_sent_and_nothing_stored(listening: Listening, home: Home) -> None:
    with pytest.raises(PlaygroundError, match="No model is loaded"):
        listening.session.send("", "Hello")
    assert listening.session.chats().result(PATIENCE) == []


def test_a_second_message_waits_until_the_first_is_answered(starter: Listening) -> None:
    starter.session.set_sampling(LONG)
    starter.session.set_pace(HELD)
    starter.session.send("", STORY)
    with pytest.raises(PlaygroundError, match="still being written"):
        starter.session.send("", "Hello")
    starter.session.stop()
    starter.reply()


def test_a_model_that_is_not_there_is_said_in_a_sentence(listening: Listening, tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match=r"no (model|file)"):
        listening.session.load(tmp_path / "nothing.gguf")


def test_a_file_that_is_no_model_leaves_the_session_alive(listening: Listening, tmp_path: Path) -> None:
    wrong = tmp_path / "letter.gguf"
    wrong.write_text("Dear reader, this is no model.")
    with pytest.raises(PlaygroundError):
        listening.session.load(wrong).result(PATIENCE)
    assert listening.session.model.state == "failed"
    listening.session.load("starter").result(PATIENCE)
    assert listening.session.model.state == "ready"


def test_chats_are_found_renamed_thrown_away_and_taken_back(starter: Listening) -> None:
    session = starter.session
    session.set_sampling(GREEDY)
    chat_id = session.send("", "Tell me about the hedgehog")
    starter.reply()
    assert [hit.session_id for hit in session.search("hedgehog").result(PATIENCE)][:1] == [chat_id]
    session.rename(chat_id, "Spines")
    session.delete(chat_id)
    assert session.chats().result(PATIENCE) == []
    session.undelete(chat_id)
    assert [row.title for row in session.chats().result(PATIENCE)] == ["Spines"]
    assert "hedgehog" in session.export(chat_id, "md").result(PATIENCE)


def test_what_a_load_took_is_kept_beside_what_was_predicted(starter: Listening) -> None:
    session = starter.session
    session.set_sampling(GREEDY)
    session.send("", "Hello")
    fit = starter.until(lambda event: isinstance(event, events.FitMeasured) and "runtime" in event.fit.measured["CPU"]).fit
    (kept,) = session.fits().result(PATIENCE)
    assert kept == fit
    for term in ("weights", "kv_cache", "compute", "output"):
        assert fit.predicted["CPU"][term] == pytest.approx(fit.measured["CPU"][term], rel=0.01, abs=8192)


def test_a_message_taken_back_while_the_model_loads_is_kept_as_stopped(listening: Listening, home: Home) -> None:
    session, go = listening.session, threading.Event()
    session._engine._control.submit(go.wait, PATIENCE)  # until then it loads
    session.load("starter")
    session.send("", "Hello")
    session.stop()
    go.set()
    assert listening.reply().message.state == "stopped"
    session.close()
    assert rows(home, "select role, state from messages order by id") == [("user", "complete"), ("assistant", "stopped")]


def test_a_chat_that_is_read_while_its_reply_is_written_has_what_has_come(starter: Listening) -> None:
    session = starter.session
    session.set_pace(HELD)
    session.set_sampling(LONG)
    chat_id = session.send("", STORY)
    told = starter.until(events.GenerationTokens)
    starter.step()
    more = starter.until(events.GenerationTokens)
    chat = session.chat(chat_id).result(PATIENCE)
    reply = chat.path()[-1]
    made = chat.generations[reply.id]
    text = "".join(token.text for event in (told, more) for token in event.tokens)
    assert (reply.state, made.state) == ("streaming", "streaming")
    assert text and reply.content.startswith(text)
    assert made.completion_tokens >= more.index + len(more.tokens)
    assert made.prompt_tokens
    session.stop()
    assert starter.reply().message.content.startswith(reply.content)


def test_the_engine_never_waits_for_whoever_holds_the_session(listening: Listening) -> None:
    session = listening.session
    with session._lock:  # as the recorder's thread holds it when it sends a prompt, and then asks for the engine
        assert session.load("starter").result(PATIENCE).name
