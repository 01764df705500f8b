"""One prompt under several settings: read once, decoded together, steered and stopped one by one, voted on, reopened, replayed."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from playground import events
from playground.decoding import sweeps
from playground.errors import PlaygroundError
from playground.history.records import Chat, Column, TimelineEntry, new_id
from playground.memory.devices import HOST, Device
from playground.memory.pool import RESERVE
from playground.params import SamplingSettings
from playground.paths import Home
from playground.session import Session, compare_room
from playground.session.compare import columns_of

from .conftest import HELD, PATIENCE, Listening
from .test_death import engine_process

ASK = "Tell me a long story about a fox named Pepper."
DRAWN = SamplingSettings(temperature=1.2, top_k=0, top_p=1.0, min_p=0.02, seed=11, max_tokens=40)
FOUR = (
    Column("cold", replace(DRAWN, temperature=0.0)),
    Column("warm", DRAWN),
    Column("wild", replace(DRAWN, temperature=1.6, repetition_penalty=1.3)),
    Column("told", replace(DRAWN, temperature=0.0, seed=3), "Once upon", "beginning"),
)


def begin(listening: Listening, columns: tuple[Column, ...] = FOUR, prompt: str = ASK) -> str:
    comparison = listening.session.compare.new(prompt, columns=columns)
    listening.session.compare.run(comparison)
    return comparison


def finish(listening: Listening) -> events.ComparisonFinished:
    finished: events.ComparisonFinished = listening.until(events.ComparisonFinished)
    return finished


def chat_of(session: Session, comparison: str) -> Chat:
    return session.chat(comparison).result(PATIENCE)


def ids(session: Session, generation_id: str) -> list[int]:
    return [token.token_id for token in session.tokens(generation_id).result(PATIENCE)]


def replies(session: Session, comparison: str) -> dict[str, list[int]]:
    """Token ids by column."""
    chat = chat_of(session, comparison)
    return {column.id: ids(session, chat.generations[message.id].id) for column, message in chat.latest()}


def test_as_a_table_each_column_is_a_row(starter: Listening) -> None:
    import csv
    import io

    comparison = begin(starter)
    finish(starter)
    text = starter.session.export(comparison, "csv").result(PATIENCE)
    rows = list(csv.DictReader(io.StringIO(text)))
    shown = {column.id: message.content for column, message in chat_of(starter.session, comparison).latest()}
    assert [row["text"] for row in rows] == [shown[column.id] for column in FOUR]
    assert [float(row["temperature"]) for row in rows] == [column.settings.temperature for column in FOUR]
    assert rows[3]["reply_start"] == "Once upon" and rows[3]["label"] == "beginning"
    for row, column in zip(rows, FOUR, strict=True):
        tokens = starter.session.tokens(generation_of(starter.session, comparison, column.id)).result(PATIENCE)
        assert int(row["completion_tokens"]) == len(tokens)
        assert float(row["mean_logprob"]) == pytest.approx(sum(token.logprob for token in tokens) / len(tokens), rel=1e-5)


def generation_of(session: Session, comparison: str, column_id: str) -> str:
    chat = chat_of(session, comparison)
    return next(chat.generations[message.id].id for column, message in chat.latest() if column.id == column_id)


def test_columns_are_what_a_chat_would_have_said(starter: Listening) -> None:
    session = starter.session
    comparison = begin(starter)
    done = finish(starter)
    assert done.prefill_count == 1 and done.tokens_per_s > 0
    started = next(event for event in starter.told if isinstance(event, events.ComparisonStarted))
    assert [column for column, _, _ in started.columns] == [each.id for each in FOUR]
    said = replies(session, comparison)
    assert sum(map(len, said.values())) == done.tokens
    for column in FOUR:
        session.set_sampling(column.settings)
        session.send("", ASK, column.reply_start)
        alone = starter.reply().generation
        assert ids(session, alone.id) == said[column.id], column.id
    chat = chat_of(session, comparison)
    told = {column.id: message for column, message in chat.latest()}["told"]
    assert told.content.startswith("Once upon") and told.reply_start == "Once upon"
    assert len({message.parent_id for _, message in chat.latest()}) == 1 == len(chat.path())


def test_it_is_no_chat_but_in_the_log(starter: Listening) -> None:
    session = starter.session
    comparison = begin(starter, FOUR[:2])
    finish(starter)
    assert not any(isinstance(event, events.SessionChanged) for event in starter.told)
    assert session.chats().result(PATIENCE) == []
    assert [row.id for row in session.compare.all().result(PATIENCE)] == [comparison]
    logged = session.generations().result(PATIENCE)
    assert {row.column_id for row in logged} == {"cold", "warm"} and logged[0].asked == ASK
    assert "## Column" in session.export(comparison, "md").result(PATIENCE)
    session.delete(comparison)
    starter.until(lambda event: isinstance(event, events.ComparisonChanged) and event.session.deleted is not None)
    assert session.compare.all().result(PATIENCE) == []


def steered(listening: Listening, steps: dict[int, Callable[[], None]]) -> events.ComparisonFinished:
    """Does each of `steps` when the third column has so many tokens; what was held goes on after the last."""
    third = ""
    while True:
        event = listening.until(lambda each: True)
        if isinstance(event, events.ComparisonStarted):
            third = event.columns[2][1]
        if isinstance(event, events.GenerationTokens) and event.generation_id == third:
            for count in [count for count in steps if count <= event.index + len(event.tokens)]:
                steps.pop(count)()
            listening.step(HELD if steps else 0)
        if isinstance(event, events.ComparisonFinished):
            return event


def test_one_column_is_moved_and_another_stopped_and_all_replay(starter: Listening, home: Home) -> None:
    session = starter.session
    session.set_pace(HELD)
    comparison = begin(starter)
    steered(
        starter,
        {
            5: lambda: session.compare.set_sampling(comparison, "warm", replace(DRAWN, temperature=0.3, seed=99)),
            8: lambda: session.compare.stop(comparison, "cold"),
            12: lambda: session.compare.set_sampling(comparison, "warm", replace(DRAWN, temperature=1.9)),
        },
    )
    chat = chat_of(session, comparison)
    made = {column.id: chat.generations[message.id] for column, message in chat.latest()}
    assert made["cold"].state == "cancelled" and 8 <= made["cold"].completion_tokens < 40
    assert {row.state for name, row in made.items() if name != "cold"} <= {"length", "end"}
    assert [len(made[name].timeline) for name in ("cold", "wild", "told")] == [0, 0, 0]
    moved = made["warm"].timeline
    assert [entry.settings.temperature for entry in moved] == [0.3, 1.9]
    assert all(entry.index >= 5 and entry.settings.seed == 11 for entry in moved)
    assert {column.id: column.settings.temperature for column in chat.session.columns}["warm"] == 1.9
    for name in ("warm", "cold", "told", "wild"):
        result = session.replay(made[name].id).result(PATIENCE)
        assert result.identical, (name, result)
    session.close()
    later = Session(home)
    later.start()
    again = chat_of(later, comparison)
    assert (again.session, again.messages) == (chat.session, chat.messages) and again.latest() == chat.latest()
    assert all(again.generations[name].timeline == row.timeline for name, row in chat.generations.items())
    assert later.replay(made["wild"].id).result(PATIENCE).identical
    later.close()


def test_a_second_run_stands_beside_the_first(starter: Listening) -> None:
    session = starter.session
    comparison = begin(starter, FOUR[:3])
    finish(starter)
    first = replies(session, comparison)
    session.compare.run(comparison, ["cold"])
    assert finish(starter).tokens == 40
    assert replies(session, comparison) == first
    chat = chat_of(session, comparison)
    assert len(chat.messages) == 5 and len([each for each in chat.messages if each.role == "user"]) == 1
    assert len({row.group_id for row in chat.generations.values()}) == 2
    session.compare.set_prompt(comparison, "Repeat: red green blue")
    session.compare.run(comparison)
    finish(starter)
    chat = chat_of(session, comparison)
    assert [message.content for message in chat.path()] == ["Repeat: red green blue"]
    assert chat.session.title == ASK and len(chat.latest()) == 3


def test_columns_are_added_doubled_moved_and_removed(listening: Listening) -> None:
    compare = listening.session.compare
    listening.session.set_sampling(DRAWN)
    comparison = compare.new(ASK)
    first, second = chat_of(listening.session, comparison).session.columns
    assert first.settings == second.settings == DRAWN and first.id != second.id
    added = compare.add_column(comparison, Column("x", replace(DRAWN, top_k=3)))
    copy = compare.duplicate_column(comparison, first.id)
    compare.change_column(comparison, copy, label="copy", reply_start="Well")
    compare.move_column(comparison, added, 0)
    compare.remove_column(comparison, second.id)
    columns = chat_of(listening.session, comparison).session.columns
    assert [each.id for each in columns] == ["x", first.id, copy]
    assert (columns[2].label, columns[2].reply_start, columns[2].settings) == ("copy", "Well", DRAWN)
    for change in (lambda: compare.remove_column(comparison, "x"), lambda: compare.add_column(comparison, Column("x"))):
        compare.set_columns(comparison, columns[:1])
        with pytest.raises(PlaygroundError):
            change()
    with pytest.raises(PlaygroundError, match="1 to 8"):
        compare.set_columns(comparison, [Column(new_id()) for _ in range(9)])
    with pytest.raises(PlaygroundError, match="no longer there"):
        compare.duplicate_column(comparison, "gone")


def test_columns_from_a_sweep(listening: Listening) -> None:
    columns = columns_of(sweeps.parse("temperature 0..1.5 4", DRAWN), "Well,")
    comparison = listening.session.compare.new(ASK, "Be brief.", columns, title="Sweep")
    row = listening.session.compare.all().result(PATIENCE)[0]
    assert (row.id, row.title, row.system, row.prompt, row.columns) == (comparison, "Sweep", "Be brief.", ASK, columns)
    assert [column.label for column in columns][1] == "Temperature 0.5" and columns[0].reply_start == "Well,"


def test_votes_are_pairs_and_replace_each_other(starter: Listening) -> None:
    compare = starter.session.compare
    comparison = begin(starter, FOUR[:3])
    finish(starter)
    shown = {column.id: message.id for column, message in chat_of(starter.session, comparison).latest()}

    def voted(*vote: object) -> list[tuple[str, str, str]]:
        compare.vote(comparison, *vote)  # type: ignore[arg-type]
        told = starter.until(events.VotesChanged)
        assert list(told.votes) == compare.votes(comparison).result(PATIENCE)
        return [(each.better_id, each.worse_id, each.verdict) for each in told.votes]

    cold, warm, wild = shown["cold"], shown["warm"], shown["wild"]
    assert voted("better", ["warm"], "blind") == [(warm, cold, "better"), (warm, wild, "better")]
    assert voted("tie") == [(cold, warm, "tie"), (cold, wild, "tie"), (warm, wild, "tie")]
    assert voted("better", ["cold", "wild"]) == [(cold, warm, "better"), (wild, warm, "better")]
    assert len(voted("both_bad")) == 3
    assert voted("") == []
    for verdict, winners, said in (
        ("better", [], "names the winner"),
        ("tie", ["cold"], "no other"),
        ("best", [], "no verdict"),
    ):
        with pytest.raises(PlaygroundError, match=said):
            compare.vote(comparison, verdict, winners)
    with pytest.raises(PlaygroundError, match="no reply to vote for"):
        compare.vote(comparison, "better", ["told"])


def test_one_thing_at_a_time(starter: Listening) -> None:
    session = starter.session
    session.set_pace(HELD)
    comparison = begin(starter, FOUR[:2])
    starter.until(events.GenerationTokens)
    assert session.busy and session.compare.running == comparison
    for intent in (lambda: session.send("", "Hello"), lambda: session.compare.run(comparison)):
        with pytest.raises(PlaygroundError, match="still being written"):
            intent()
    session.compare.stop()
    finish(starter)
    assert not session.busy and session.compare.running == ""
    assert {row.state for row in session.generations().result(PATIENCE)} == {"cancelled"}
    session.set_sampling(replace(DRAWN, max_tokens=60, temperature=0.0))
    session.send("", ASK)
    starter.until(events.GenerationTokens)
    with pytest.raises(PlaygroundError, match="still being written"):
        session.compare.run(comparison)
    session.stop()
    starter.reply()
    with pytest.raises(PlaygroundError, match="nothing to ask"):
        session.compare.run(session.compare.new(" "))


def test_it_waits_for_the_model_or_is_taken_back(listening: Listening) -> None:
    session, go = listening.session, threading.Event()
    comparison = session.compare.new(ASK, columns=FOUR[:2])
    with pytest.raises(PlaygroundError, match="No model"):
        session.compare.run(comparison)
    session._engine._control.submit(go.wait, PATIENCE)  # until then it loads
    loaded = session.load("starter")
    session.compare.run(comparison)
    session.compare.stop(comparison)
    assert finish(listening).tokens == 0
    go.set()
    session.compare.run(comparison)
    assert finish(listening).tokens == 80
    assert loaded.result(PATIENCE).has_template


def test_a_worker_that_dies_leaves_what_was_said(starter: Listening) -> None:
    session = starter.session
    session.set_pace(HELD)
    comparison = begin(starter, FOUR[:2])
    for _ in range(6):
        starter.until(events.GenerationTokens)
        starter.step()
    engine_process(session).kill()
    finish(starter)
    chat = chat_of(session, comparison)
    assert [message.state for _, message in chat.latest()] == ["interrupted"] * 2
    session.set_pace(0)
    session.reload().result(PATIENCE)
    for _, message in chat.latest():
        made = chat.generations[message.id]
        assert message.content and made.completion_tokens >= 2 and made.state == "interrupted"
        assert session.replay(made.id).result(PATIENCE).identical
    session.compare.run(comparison)
    assert finish(starter).tokens == 80


def test_closing_ends_what_runs(starter: Listening, home: Home) -> None:
    starter.session.set_pace(HELD)
    comparison = begin(starter, FOUR[:2])
    for _ in range(4):
        starter.until(events.GenerationTokens)
        starter.step()
    assert starter.session.close()
    later = Session(home)
    later.start()
    chat = chat_of(later, comparison)
    assert [message.state for _, message in chat.latest()] == ["interrupted"] * 2
    assert all(message.content for _, message in chat.latest())
    assert [entry for row in chat.generations.values() for entry in row.timeline] == list[TimelineEntry]()
    later.close()


def test_a_column_with_a_model_of_its_own(starter: Listening, tmp_path: Path) -> None:
    session, other = starter.session, tmp_path / "other.gguf"
    shutil.copy(session.model.path, other)
    here = str(session.model.path)
    columns = (
        FOUR[0],
        replace(FOUR[0], id="guest", model=str(other)),
        replace(FOUR[1], model=here),
        replace(FOUR[2], id="hot", model=str(other)),
    )
    comparison = session.compare.new(ASK, columns=columns)
    (sentence,) = session.compare.plan(comparison).result(PATIENCE)
    assert "other is loaded beside" in sentence
    for _ in range(2):
        session.compare.run(comparison)
        ends = [finish(starter) for _ in range(2)]
        assert [end.last for end in ends] == [False, True] and not session.busy
        assert {end.prefill_count for end in ends} == {1}
        said = replies(session, comparison)
        assert said["guest"] == said["cold"] and len(said["hot"]) == 40
    assert session.compare.plan(comparison).result(PATIENCE) == ["other is loaded already."]
    chat = chat_of(session, comparison)
    made = {column.id: chat.generations[message.id] for column, message in chat.latest()}
    assert made["hot"].model_path == str(other) and made["warm"].model_path == here
    assert (made["hot"].sequence, made["hot"].group_id) == (1, made["guest"].group_id) != (1, made["cold"].group_id)
    assert session.replay(made["hot"].id).result(PATIENCE).identical

    session.set_pace(HELD)
    session.compare.run(comparison)
    starter.until(lambda event: isinstance(event, events.GenerationTokens))
    session.compare.stop()
    assert [finish(starter).last for _ in range(2)] == [False, True]
    session.compare.set_columns(comparison, (FOUR[0], replace(FOUR[0], id="gone", model=str(tmp_path / "gone.gguf"))))
    session.set_pace(0)
    session.compare.run(comparison)
    finish(starter)
    notice = starter.until(lambda event: isinstance(event, events.Notice) and event.key == "reply")
    assert "no model" in notice.message and finish(starter).tokens == 0
    states = {column.id: message.state for column, message in chat_of(session, comparison).latest()}
    assert states == {"cold": "complete"}
    with pytest.raises(PlaygroundError, match="no model"):
        session.compare.plan(comparison).result(PATIENCE)


def test_what_columns_take_is_said_before(starter: Listening, monkeypatch: pytest.MonkeyPatch) -> None:
    compare = starter.session.compare
    few = compare.new(ASK, columns=FOUR)
    assert compare.plan(few).result(PATIENCE) == [] and compare.room(few).result(PATIENCE) is None
    long = [Column(f"long{number}", replace(DRAWN, max_tokens=600)) for number in range(8)]
    many = compare.new(ASK, columns=long)
    room = compare.room(many).result(PATIENCE)
    assert room is not None and not room.short and 8 * 600 < room.cells < 8 * 600 + 300
    assert compare.plan(many).result(PATIENCE) == [room.sentence] and "8 columns" in room.sentence
    endless = compare.new(ASK, columns=[replace(each, settings=replace(DRAWN, max_tokens=0)) for each in long])
    whole = compare.room(endless).result(PATIENCE)
    assert whole is not None and 7 * 1024 < whole.cells <= 8 * 1024 and whole.needed > room.needed

    size = starter.session.model.info.size  # type: ignore[union-attr]
    little = Device(HOST, "", 1 << 40, RESERVE + size + room.needed // 2 + (8 << 20))
    monkeypatch.setattr(compare_room, "find_devices", lambda: [little])
    short = compare.room(many).result(PATIENCE)
    assert short is not None and short.short and short.needed == room.needed and short.free == little.free
    assert "the longest columns end first" in short.sentence


def test_columns_as_long_as_the_window(starter: Listening) -> None:
    """Two replies that together need more than the window, and their record."""
    settings = replace(DRAWN, temperature=0.0, max_tokens=400)
    columns = tuple(Column(each, settings, "red green blue " * 20 + each) for each in ("red", "green", "red blue"))
    comparison = begin(starter, columns)
    ended = finish(starter)
    assert ended.prefill_count == 1 and ended.tokens > 1024
    made = generation_of(starter.session, comparison, "red blue")
    assert starter.session.replay(made).result(PATIENCE).identical
