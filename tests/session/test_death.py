"""The engine worker dies in the middle of a word; the session, and what was said, does not."""

from __future__ import annotations

import os
import signal

import psutil
import pytest

from playground import events
from playground.params import SamplingSettings
from playground.session import Session

from .conftest import HELD, PATIENCE, Listening

ROUNDS = 3


def engine_process(session: Session) -> psutil.Process:
    worker = session._engine._worker
    assert worker is not None
    return psutil.Process(worker.pid)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV])
def test_a_killed_worker_costs_only_itself(starter: Listening, number: signal.Signals) -> None:
    session = starter.session
    chat_id = ""
    for _ in range(ROUNDS):
        starter.told.clear()
        session.set_sampling(SamplingSettings(temperature=1.0, seed=3, max_tokens=500))
        session.set_pace(HELD)
        chat_id = session.send("", "Tell me a long story about an owl.")
        shown = starter.until(events.GenerationTokens)
        os.kill(engine_process(session).pid, number)
        ended = starter.reply()
        assert ended.message.state == "interrupted"
        assert ended.message.content.startswith("".join(token.text for token in shown.tokens))
        notices = [event for event in starter.told if isinstance(event, events.Notice) and event.action == "reload"]
        assert notices[-1].message.endswith(".")
        assert session.model.state == "lost"
        session.reload().result(PATIENCE)
        session.set_pace(0)
        session.set_sampling(SamplingSettings(temperature=0, max_tokens=5))
        session.continue_reply(chat_id, ended.message.id)
        more = starter.reply()
        assert more.message.content.startswith(ended.message.content)
        assert len(more.message.content) > len(ended.message.content)
    assert len(session.chats().result(PATIENCE)) == ROUNDS
    assert session.chat(chat_id).result(PATIENCE).path()[-1].content == more.message.content
