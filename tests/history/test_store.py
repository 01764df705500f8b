"""What goes into the database comes out of it."""

from __future__ import annotations

import math
import sqlite3
from pathlib import Path

import pytest

from playground.errors import NotFoundError, StorageError
from playground.history.records import SessionRow, TimelineEntry, TokenRow, new_id
from playground.history.store import Store
from playground.params import SamplingSettings
from tests.history.chats import add_chat, generation, message, reply, session, tokens


def test_a_session_keeps_everything(store: Store) -> None:
    row = SessionRow(
        "s", "chat", "Föxes", "/m.gguf", "m", "Be kind.", SamplingSettings(top_k=7, stop=("\n", "🦊")), "m1", 1.5, 2.5
    )
    store.add_session(row)
    assert store.session("s") == row


def test_a_changed_field_leaves_the_others(store: Store) -> None:
    store.add_session(session(title="old", system="kept"))
    after = store.update_session("s", title="new", sampling=SamplingSettings(temperature=0), updated=9.0)
    assert (after.title, after.system, after.sampling.greedy, after.updated) == ("new", "kept", True, 9.0)
    assert store.session("s") == after


def test_sessions_come_last_used_first(store: Store) -> None:
    for name, updated in (("a", 1.0), ("b", 3.0), ("c", 2.0)):
        store.add_session(session(name, updated=updated))
    assert [each.id for each in store.sessions()] == ["b", "c", "a"]


def test_what_is_thrown_away_can_be_taken_back_until_it_is_purged(store: Store) -> None:
    add_chat(store, "s", "a fox", "an owl")
    store.add_generation(generation("g", "s-1"))
    store.append_tokens("g", tokens("an", " owl"))
    assert store.delete_session("s").deleted is not None
    assert store.sessions() == store.search("fox") == store.generations() == []
    assert [each.id for each in store.sessions(deleted=True)] == ["s"]
    store.undelete_session("s")
    assert [each.id for each in store.sessions()] == ["s"]
    assert store.search("fox")
    store.delete_session("s")
    assert store.purge_deleted(older_than=0) == 0
    assert store.purge_deleted(older_than=math.inf) == 1
    assert store.sessions(deleted=True) == store.messages("s") == store.tokens("g") == []
    with pytest.raises(NotFoundError):
        store.generation("g")


def test_a_long_chat_can_be_purged(store: Store) -> None:
    add_chat(store, "s", *(["word"] * 3000))  # longer than the depth to which SQLite follows one row to the next
    store.delete_session("s")
    assert store.purge_deleted(math.inf) == 1
    assert store.search("word") == []


def test_messages_are_a_tree(store: Store) -> None:
    store.add_session(session(tip="a2"))
    for row in (
        message("q", "Hello"),
        reply("a1", "Hi", "q"),
        reply("a2", "Good day", "q", state="stopped", reply_start="Good"),
        message("q2", "Bye", "a1"),
    ):
        store.add_message(row)
    chat = store.chat("s")
    assert [each.id for each in chat.messages] == ["q", "a1", "a2", "q2"]
    assert [each.id for each in chat.path()] == ["q", "a2"]
    assert [each.id for each in chat.siblings(chat.path()[1])] == ["a1", "a2"]
    assert store.message("a2") == reply("a2", "Good day", "q", state="stopped", reply_start="Good")


def test_a_generation_keeps_everything_that_replay_needs(store: Store) -> None:
    add_chat(store, "s", "Hello", "Hi")
    row = generation(
        "g",
        "s-1",
        context={"context": 2048, "threads": 2, "rope": math.inf},
        prompt="<user>Hello",
        prompt_ids=(1, 2, 152_000),
        continued=1,
        batches=((512, 3), (7, 1)),
        seed=2**32 - 2,
        settings=SamplingSettings(stages=("temperature", "penalties", "top_k", "top_p", "min_p")),
        timeline=(TimelineEntry(3, 11, SamplingSettings(temperature=1.5)),),
        prompt_tokens=3,
        cached_tokens=2,
        completion_tokens=1,
        prefill_s=0.25,
        decode_s=0.5,
        state="end",
        owner="1:2",
        finished=3.5,
    )
    store.add_generation(row)
    found = store.generation("g")
    assert found.context == {"context": 2048, "threads": 2, "rope": None}  # JSON has no infinity
    assert found == generation("g", "s-1", **{name: getattr(found, name) for name in ("context",)} | _rest(row))


def _rest(row: object) -> dict[str, object]:
    return {name: value for name, value in vars(row).items() if name not in ("id", "session_id", "message_id", "context")}


def test_a_list_of_generations_is_newest_first_and_spares_the_prompts(store: Store) -> None:
    add_chat(store, "s", "Hello", "Hi")
    add_chat(store, "t", "Hello", "Hi")
    for number in range(5):
        store.add_generation(generation(f"g{number}", "s-1", started=float(number), prompt="long", prompt_ids=(1, 2)))
    store.add_generation(generation("other", "t-1", "t", started=2.5))
    listed = store.generations(limit=3, offset=1)
    assert [each.id for each in listed] == ["g3", "other", "g2"]
    assert (listed[0].prompt, listed[0].prompt_ids) == ("", ())
    assert [each.id for each in store.generations(session_id="t")] == ["other"]
    assert store.chat("s").generations["s-1"].id == "g4"
    assert [each.prompt_ids for each in store.generations_of("s-1")] == [(1, 2)] * 5


def test_tokens_come_back_in_order_with_their_alternatives(store: Store) -> None:
    add_chat(store, "s", "Hello", "Hi")
    store.add_generation(generation("g", "s-1"))
    first = TokenRow(0, 5, "Once", -0.123456789012345, 0.5, 2.25, ((5, "Once", -0.125, 0.5), (6, 'A "q"\n', -2.5, 0.0)))
    second = TokenRow(1, 6, " é🦊", -0.5, 0.25, 1.0)
    store.append_tokens("g", [first])
    store.append_tokens("g", [second])
    assert store.tokens("g") == [first, second]


def test_numbers_that_are_none_are_stored_as_null(store: Store) -> None:
    add_chat(store, "s", "Hello", "Hi")
    store.add_generation(generation("g", "s-1", decode_s=1.0))
    store.append_tokens(
        "g", [TokenRow(0, 5, "x", -math.inf, math.nan, math.inf, ((5, "x", -math.inf, 0.0), (6, "y", math.nan, math.nan)))]
    )
    (token,) = store.tokens("g")
    assert token.logprob == -math.inf
    assert math.isnan(token.probability)
    assert math.isnan(token.entropy)
    assert token.alternatives[0] == (5, "x", -math.inf, 0.0)
    assert math.isnan(token.alternatives[1][3])


@pytest.mark.parametrize(
    "text", ["", "\x00", "a\x00b", "\ud83e\udd8a", "\ud83e", "𝔘𝔫𝔦", "\r\n\t\x02\x03", "'; DROP TABLE messages; --"]
)
def test_any_text_is_kept(store: Store, text: str) -> None:
    kept = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    store.add_session(session(title=text, system=text))
    store.add_message(message("m", text))
    store.add_generation(generation("g", "m", prompt=text, error=text, context={"a": text}))
    store.append_tokens("g", [TokenRow(0, 1, text, 0, 0, 0, ((1, text, 0, 0),))])
    assert store.session("s").title == store.session("s").system == store.message("m").content == kept
    assert store.generation("g").prompt == store.generation("g").context["a"] == kept
    assert store.tokens("g")[0].text == store.tokens("g")[0].alternatives[0][1] == kept


def test_a_streaming_message_says_what_its_tokens_say(store: Store) -> None:
    add_chat(store, "s", "Hello")
    store.add_message(reply("a", "Once", "s-0", state="streaming", reply_start="Once"))
    store.add_generation(generation("g", "a"))
    store.append_tokens("g", tokens(" upon", " a"))
    assert store.message("a").content == store.chat("s").messages[1].content == "Once upon a"
    store.update_message("a", state="complete", content="Once upon a time")
    assert store.message("a").content == "Once upon a time"


def test_a_missing_row_is_told_by_name(store: Store) -> None:
    for call in (
        lambda: store.session("nope"),
        lambda: store.chat("nope"),
        lambda: store.message("nope"),
        lambda: store.generation("nope"),
        lambda: store.update_session("nope", title="x"),
        lambda: store.update_message("nope", content="x"),
        lambda: store.update_generation("nope", state="end"),
    ):
        with pytest.raises(NotFoundError, match="'nope'"):
            call()


def test_a_field_that_does_not_exist_is_a_bug(store: Store) -> None:
    store.add_session(session())
    with pytest.raises(TypeError, match="colour"):
        store.update_session("s", colour="red")
    with pytest.raises(TypeError, match="id"):
        store.update_session("s", id="t")


def test_what_fails_in_a_transaction_is_taken_back(store: Store) -> None:
    with store.atomic():
        store.add_session(session("a"))
        with pytest.raises(NotFoundError), store.atomic():  # noqa: PT012 - the first statement is what is taken back
            store.add_session(session("b"))
            store.session("nope")
        store.add_session(session("c"))
    assert sorted(each.id for each in store.sessions()) == ["a", "c"]


def test_the_hash_of_a_model_holds_for_the_file_as_it_was(store: Store) -> None:
    store.remember_model("/m.gguf", 10, 1.25, sha256="ab", name="m")
    store.remember_model("/m.gguf", 10, 1.25, used=5.0)
    assert store.model_sha256("/m.gguf", 10, 1.25) == "ab"
    assert store.recent_models() == [("/m.gguf", "m", 5.0)]
    assert (
        store.model_sha256("/m.gguf", 11, 1.25)
        == store.model_sha256("/m.gguf", 10, 1.5)
        == store.model_sha256("/n", 10, 1.25)
        == ""
    )
    store.remember_model("/m.gguf", 11, 1.25)
    assert store.model_sha256("/m.gguf", 11, 1.25) == ""
    store.forget_model("/m.gguf")
    assert store.recent_models() == []


def test_settings_of_another_version_are_read_as_far_as_they_are_known(path: Path) -> None:
    with Store(path) as store:
        store.add_session(session(sampling=SamplingSettings(top_k=7)))
    with sqlite3.connect(path) as connection:
        connection.execute(
            """UPDATE sessions SET sampling = '{"top_k": 9, "temperature": 99, "mirostat": 2, "stages": ["x"]}'"""
        )
    connection.close()
    with Store(path) as store:
        assert store.session("s").sampling == SamplingSettings(top_k=9)


def test_the_file_is_private_and_opens_in_any_tool(path: Path) -> None:
    with Store(path) as store:
        add_chat(store, "s", "Hello", "Hi")
    assert path.stat().st_mode & 0o077 == 0
    connection = sqlite3.connect(path)
    assert connection.execute("SELECT role, content FROM messages ORDER BY number").fetchall() == [
        ("user", "Hello"),
        ("assistant", "Hi"),
    ]
    connection.execute("UPDATE messages SET content = 'Howdy' WHERE id = 's-1'")  # and full-text search keeps up with it
    connection.commit()
    connection.close()
    with Store(path) as store:
        assert [hit.message_id for hit in store.search("howdy")] == ["s-1"]


def test_a_closed_store_says_so(store: Store) -> None:
    store.close()
    with pytest.raises(StorageError, match="closed"):
        store.sessions()


def test_ids_sort_by_age() -> None:
    early = new_id()
    assert len(early) == 16
    assert early[:9] <= new_id()[:9]


def test_identifiers_sort_by_their_making_even_within_a_millisecond() -> None:
    made = [new_id() for _ in range(5000)]
    assert made == sorted(made)
    assert len(set(made)) == len(made)
