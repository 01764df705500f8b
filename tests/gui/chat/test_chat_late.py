"""The Chat page when things come in another order than usual: a comparison beside it, answers that come too late, a chat that is read anew."""

from __future__ import annotations

import dataclasses
from concurrent.futures import Future

import fake_session

from playground import events
from playground.errors import PlaygroundError
from playground.gui.bridge import on_window_thread
from playground.history.records import GenerationRow, MessageRow


def test_while_columns_of_a_comparison_are_written_nothing_can_be_sent(bench):
    bench.child("chat.input").setPlainText("Hello")
    send = bench.child("chat.send")
    assert send.isEnabled()
    columns = tuple((name, f"g{name}", f"m{name}") for name in "ab")
    bench.page.handle(events.ComparisonStarted("c", "group", columns))
    for _name, generation, message in columns:
        bench.page.handle(events.GenerationStarted(generation, "c", message, bench.session.sampling))
    assert not send.isEnabled()
    row = GenerationRow("ga", "c", "ma", *[""] * 6, state="end", column_id="a")
    bench.page.handle(events.GenerationFinished(row, MessageRow("ma", "c", "", "assistant", "a fox")))
    assert not send.isEnabled()
    bench.page.handle(events.ComparisonFinished("c", "group", 1, 2, 0.1))
    assert send.isEnabled()


def test_a_system_prompt_that_is_being_typed_is_not_overwritten_when_the_chat_is_read_anew(bench):
    bench.say("Hello")
    bench.child("chat.system").setPlainText("Be brief.")
    assert bench.page.ui.system.editing
    missed = dataclasses.replace(bench.page.conversation.session, tip="a message nobody was told of")
    bench.page.handle(events.SessionChanged(missed))
    bench.wait(lambda: not bench.page.opening)
    assert bench.child("chat.system").toPlainText() == "Be brief."


def test_another_version_is_asked_for_with_the_system_prompt_that_stands_there(bench):
    bench.say("Hello")
    bench.child("chat.system").setPlainText("Be brief.")
    bench.page.regenerate_last()
    told = [call[0] for call in bench.session.calls if call[0] in ("set_system", "regenerate")]
    assert told == ["set_system", "regenerate"]
    bench.settle()


def test_the_lab_shows_the_token_that_is_written_whatever_was_asked_before(bench, monkeypatch):
    asked = []

    def at_end(_lab, *_arguments):
        asked.append(Future())
        return asked[-1]

    monkeypatch.setattr(fake_session.FakeLab, "at_end", at_end, raising=False)
    bench.say("Hello")
    bench.page.show_lab(True)
    bench.wait(lambda: bool(asked))
    bench.session.hold()
    bench.child("chat.input").setPlainText("Go on")
    bench.child("chat.send").click()
    bench.wait(lambda: bench.page.lab.place.text().startswith("Token"))
    for answer in asked:
        answer.set_exception(PlaygroundError("The model was taken by a reply."))
    delivered = []
    on_window_thread(lambda: delivered.append(True))
    bench.wait(lambda: bool(delivered))
    assert bench.page.lab.place.text().startswith("Token")
    bench.session.go_on()
    bench.settle()
