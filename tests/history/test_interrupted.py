"""What a process that died left behind."""

from __future__ import annotations

from playground.history.owner import alive, owner
from playground.history.store import Store
from tests.history.chats import NOBODY, add_chat, child, generation, reply, tokens


def test_this_process_lives_and_others_do_not() -> None:
    assert alive(owner())
    pid = owner().partition(":")[0]
    for name in ("", ":", "x", pid, f"{pid}:", f"{pid}:1", NOBODY, "-1:5", "9" * 400 + ":1"):
        assert not alive(name)


def test_a_child_lives_until_it_is_killed() -> None:
    with child("from playground.history.owner import owner; print(owner(), flush=True); input()") as process:
        assert process.stdout is not None
        name = process.stdout.readline().strip()
        assert alive(name)
        process.kill()
        process.wait()
        assert not alive(name)


def test_what_was_streaming_is_ended_with_the_tokens_that_arrived(store: Store) -> None:
    add_chat(store, "s", "Tell me a story")
    store.add_message(reply("a", "", "s-0", state="streaming", reply_start="Once"))
    store.add_generation(generation("g", "a", owner=NOBODY))
    store.append_tokens("g", tokens(" upon", " a", " time"))
    assert store.mark_interrupted() == 1
    assert store.message("a").content == "Once upon a time"
    assert store.message("a").state == store.generation("g").state == "interrupted"
    assert store.generation("g").completion_tokens == 3
    assert [hit.message_id for hit in store.search("once upon")] == ["a"]
    assert store.mark_interrupted() == 0


def test_what_a_living_process_writes_is_left_alone(store: Store) -> None:
    add_chat(store, "s", "Tell me a story")
    store.add_message(reply("a", "", "s-0", state="streaming"))
    store.add_generation(generation("g", "a"))
    assert store.generation("g").owner == owner()
    assert store.mark_interrupted() == 0
    assert store.message("a").state == store.generation("g").state == "streaming"


def test_a_continued_reply_has_all_its_parts(store: Store) -> None:
    add_chat(store, "s", "Tell me a story")
    store.add_message(reply("a", "Once upon", "s-0", state="streaming", reply_start="Once"))
    store.add_generation(generation("g1", "a", state="cancelled"))
    store.append_tokens("g1", tokens(" upon"))
    store.add_generation(generation("g2", "a", owner=NOBODY, continued=1))
    store.append_tokens("g2", tokens(" a", " time"))
    assert store.mark_interrupted() == 1
    assert store.message("a").content == "Once upon a time"
    assert [each.state for each in store.generations_of("a")] == ["cancelled", "interrupted"]


def test_a_reply_that_was_edited_before_it_was_continued_keeps_the_edit(store: Store) -> None:
    add_chat(store, "s", "Tell me a story")
    store.add_message(reply("a", "Twice upon", "s-0", state="streaming"))
    store.add_generation(generation("g", "a", owner=NOBODY))
    store.append_tokens("g", tokens(" a", " time"))
    assert store.mark_interrupted() == 1
    assert store.message("a").content == "Twice upon a time"


def test_a_reply_that_never_got_as_far_as_a_generation(store: Store) -> None:
    add_chat(store, "s", "Tell me a story")
    store.add_message(reply("mine", "", "s-0", state="streaming"))
    store.add_message(reply("theirs", "", "s-0", state="streaming", reply_start="Once"))
    store._run("UPDATE messages SET owner = ? WHERE id = 'theirs'", [NOBODY])
    assert store.mark_interrupted() == 1
    assert store.message("mine").state == "streaming"
    assert (store.message("theirs").state, store.message("theirs").content) == ("interrupted", "Once")
