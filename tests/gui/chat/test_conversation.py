"""The open chat as a model, and its marks."""

from __future__ import annotations

from dataclasses import replace

from playground import events
from playground.gui.widgets import marks
from playground.gui.widgets.conversation import Conversation
from playground.history.records import Chat, GenerationRow, MessageRow, SessionRow, TimelineEntry
from playground.params import SamplingSettings
from playground.protocol import TokenInfo

USUAL = SamplingSettings()
BOLD = replace(USUAL, temperature=0.2)


def chat() -> Chat:
    user = MessageRow("u1", "c", "", "user", "Hello")
    reply = MessageRow("a1", "c", "u1", "assistant", "Hi there")
    return Chat(SessionRow("c", tip="a1"), (user, reply), {})


def tokens(generation, message, index, offset, *texts):
    infos = tuple(TokenInfo(1, text, -1.0, 0.5, 1.0) for text in texts)
    return events.GenerationTokens(generation, message, index, offset, infos, 30 + index)


def started(conversation: Conversation) -> None:
    conversation.apply(events.MessageAdded(MessageRow("u2", "c", "a1", "user", "Again")))
    conversation.apply(events.MessageAdded(MessageRow("a2", "c", "u2", "assistant", "", "streaming")))
    conversation.apply(events.GenerationStarted("g2", "c", "a2", USUAL))
    conversation.apply(events.GenerationPrefilled("g2", "a2", 30, 12, 0.1))


def test_tokens_make_up_the_message():
    open_chat = Conversation(chat())
    started(open_chat)
    assert open_chat.apply(tokens("g2", "a2", 0, 0, "One", " two")) == ("message", "a2")
    open_chat.apply(tokens("g2", "a2", 2, 7, " three"))
    assert open_chat.message("a2").content == "One two three"
    assert [entry.id for entry in open_chat.entries()] == ["u1", "a1", "u2", "a2"]
    assert (open_chat.used, open_chat.cached) == (32, 12)


def test_tokens_that_were_known_already_are_not_added_twice():
    open_chat = Conversation(chat())
    started(open_chat)
    open_chat.apply(tokens("g2", "a2", 0, 0, "One", " two"))
    open_chat.apply(tokens("g2", "a2", 0, 0, "One"))
    open_chat.apply(tokens("g2", "a2", 1, 3, " two"))
    assert open_chat.message("a2").content == "One two"


def test_a_gap_asks_for_a_fresh_reading():
    open_chat = Conversation(chat())
    started(open_chat)
    assert open_chat.apply(tokens("g2", "a2", 5, 20, "late"))[0] == "gap"


def test_events_of_other_chats_change_nothing():
    open_chat = Conversation(chat())
    assert open_chat.apply(events.MessageAdded(MessageRow("x", "other", "", "user", "?"))) == ("nothing", "")
    assert open_chat.apply(tokens("g", "x", 0, 0, "a")) == ("nothing", "")


def test_versions_are_counted_and_found():
    open_chat = Conversation(chat())
    open_chat.apply(events.MessageAdded(MessageRow("a1b", "c", "u1", "assistant", "Hello!")))
    entry = open_chat.entry("a1b")
    assert (entry.version, entry.versions) == (2, 2)
    assert [each.id for each in open_chat.path()] == ["u1", "a1b"]
    open_chat.apply(events.SessionChanged(SessionRow("c", tip="a1")))
    assert [each.id for each in open_chat.path()] == ["u1", "a1"]


def test_a_moved_slider_leaves_a_mark_that_survives_a_reload():
    open_chat = Conversation(chat())
    started(open_chat)
    open_chat.apply(tokens("g2", "a2", 0, 0, "One", " two"))
    open_chat.apply(events.SamplingApplied("g2", "a2", 2, 7, BOLD, ("temperature",)))
    open_chat.apply(tokens("g2", "a2", 2, 7, " three"))
    (mark,) = open_chat.entry("a2").marks
    assert (mark.offset, mark.label) == (7, "0.2")
    assert mark.tip == "Temperature 0.80 → 0.20\nfrom token 2 on"
    done = MessageRow("a2", "c", "u2", "assistant", "One two three")
    row = GenerationRow(
        "g2", "c", "a2", "", "", "", "", "", "", settings=USUAL, timeline=(TimelineEntry(2, 7, BOLD),), state="end"
    )
    open_chat.apply(events.GenerationFinished(row, done))
    assert open_chat.entry("a2").marks == (mark,)
    again = Conversation(Chat(SessionRow("c", tip="a2"), (done,), {"a2": row}))
    assert again.entry("a2").marks == (mark,)


def test_marks_stand_behind_what_the_reply_was_started_with():
    done = MessageRow("a", "c", "", "assistant", "Well, one two", reply_start="Well,")
    row = GenerationRow("g", "c", "a", "", "", "", "", "", "", settings=USUAL, timeline=(TimelineEntry(1, 4, BOLD),))
    (mark,) = Conversation(Chat(SessionRow("c", tip="a"), (done,), {"a": row})).entry("a").marks
    assert done.content[mark.offset :] == " two"


def test_marks_of_a_continued_reply_are_placed_by_its_tokens():
    done = MessageRow("a", "c", "", "assistant", "first part. second part")
    row = GenerationRow(
        "g", "c", "a", "", "", "", "", "", "", settings=USUAL, timeline=(TimelineEntry(1, 7, BOLD),), continued=3
    )
    open_chat = Conversation(Chat(SessionRow("c", tip="a"), (done,), {"a": row}))
    assert open_chat.entry("a").marks == ()
    assert open_chat.marks_wanted("a") is row
    open_chat.place_marks("a", " second part")
    assert done.content[open_chat.entry("a").marks[0].offset :] == " part"


def test_a_dragged_slider_leaves_one_mark():
    found: tuple[marks.Mark, ...] = ()
    before = USUAL
    for step, temperature in enumerate((0.7, 0.6, 0.5, 0.4)):
        after = replace(USUAL, temperature=temperature)
        found = marks.add(found, 10 + 5 * step, 3 + step, before, after)
        before = after
    assert [(mark.offset, mark.label) for mark in found] == [(10, "0.4")]
    assert "from token 3 to 6" in found[0].tip


def test_other_settings_and_far_changes_leave_marks_of_their_own():
    first = marks.add((), 10, 3, USUAL, BOLD)
    other = marks.add(first, 12, 4, BOLD, replace(BOLD, top_k=20))
    far = marks.add(first, 200, 40, BOLD, USUAL)
    assert [mark.label for mark in other] == ["0.2", "top-k 20"]
    assert [mark.label for mark in far] == ["0.2", "0.8"]


def test_a_new_seed_is_no_change():
    assert marks.add((), 0, 0, USUAL, replace(USUAL, seed=7)) == ()
