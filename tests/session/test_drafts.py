"""Prompts in the making: kept, changed, thrown away and taken back; turned into chats."""

from __future__ import annotations

from dataclasses import replace

from playground.decoding.prompt_drafts import READY, render
from playground.params import SamplingSettings
from playground.paths import Home
from playground.session import Session

from .conftest import PATIENCE, Listening


def test_drafts_are_kept_and_thrown_away_and_taken_back(listening: Listening, home: Home) -> None:
    drafts = listening.session.drafts
    first = drafts.keep(READY[0])
    second = drafts.keep(READY[1])
    changed = replace(READY[0], query="Otherwise.")
    assert drafts.keep(changed, first) == first
    assert drafts.all().result(PATIENCE) == [(first, changed), (second, READY[1])]
    drafts.throw_away(second)
    assert drafts.all().result(PATIENCE) == [(first, changed)]
    drafts.take_back(second)
    listening.session.close()
    other = Session(home)
    other.start()
    try:
        assert dict(other.drafts.all().result(PATIENCE)) == {first: changed, second: READY[1]}
        assert other.chats().result(PATIENCE) == []
    finally:
        other.close()


def test_examples_become_a_conversation_that_the_model_goes_on_with(starter: Listening) -> None:
    session = starter.session
    found = render(READY[2])
    chat_id = session.drafts.as_chat(found.system, found.turns)
    session.set_sampling(SamplingSettings(temperature=0.0, max_tokens=3))
    session.send(chat_id, found.prompt, found.reply_start)
    reply = starter.reply()
    chat = session.chat(chat_id).result(PATIENCE)
    assert [message.role for message in chat.path()] == ["user", "assistant"] * 3
    assert chat.path()[1].content == found.turns[0][1] and chat.session.system == found.system
    prompt = reply.generation.prompt
    assert (
        prompt.index(found.system)
        < prompt.index(found.turns[0][0])
        < prompt.index(found.turns[1][1])
        < prompt.index(found.prompt)
    )
