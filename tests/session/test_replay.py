"""Whatever was done to a chat, each of its completions decodes again to the same tokens."""

from __future__ import annotations

import os
import queue
import signal
from collections.abc import Callable
from dataclasses import replace

import psutil
import pytest

from playground import events
from playground.errors import PlaygroundError
from playground.history.records import GenerationRow
from playground.params import SamplingSettings
from playground.paths import Home
from playground.process import WorkerProcess
from playground.session import Session

from .conftest import HELD, PATIENCE, Listening

STORY = "Tell me a long story about a fox named Pepper."


def steered(listening: Listening, begin: Callable[[], object], moves: list[SamplingSettings], stop: bool) -> GenerationRow:
    """A completion during which each of `moves` is made after some more tokens, and which is stopped in the end or not."""
    begin()
    count = 0
    while True:
        event = listening.until(lambda each: isinstance(each, events.GenerationTokens | events.GenerationFinished))
        if isinstance(event, events.GenerationFinished):  # the model may come to its end before all is done
            return event.generation
        count += 1
        if count % 4 == 0 and moves:
            listening.session.set_sampling(moves.pop(0))
        elif count % 4 == 0 and stop:
            listening.session.stop()
        listening.step(HELD if moves or stop else 0)


def test_every_completion_of_a_steered_chat_replays(starter: Listening, home: Home) -> None:
    session = starter.session
    warm = SamplingSettings(
        temperature=1.1, top_k=0, top_p=0.97, repetition_penalty=1.2, frequency_penalty=0.3, seed=-1, max_tokens=40
    )
    long = replace(warm, seed=3)
    """goes on for as long as it takes to move and stop it, which not every seed does"""
    cold = SamplingSettings(temperature=0.0, repetition_penalty=1.3, presence_penalty=0.5, max_tokens=40)
    odd = SamplingSettings(
        temperature=1.4,
        min_p=0.02,
        stages=("temperature", "min_p", "top_p", "top_k", "penalties"),
        repetition_penalty=1.1,
        max_tokens=40,
    )
    session.set_sampling(long)
    session.set_pace(HELD)
    made: list[GenerationRow] = []
    chat = ""

    def send(text: str, start: str = "") -> Callable[[], object]:
        def go() -> None:
            nonlocal chat
            chat = session.send(chat, text, start)

        return go

    made.append(steered(starter, send(STORY), [cold, odd], stop=True))
    message = made[-1].message_id
    made.append(steered(starter, lambda: session.continue_reply(chat, message), [warm], stop=True))
    made.append(steered(starter, lambda: session.continue_reply(chat, message), [], stop=False))
    session.set_sampling(warm)
    made.append(steered(starter, send("And what did the owl say?", "The owl"), [odd], stop=False))
    made.append(steered(starter, lambda: session.regenerate(chat, made[-1].message_id), [cold], stop=False))
    made.append(steered(starter, lambda: session.regenerate(chat, message), [], stop=False))
    session.set_sampling(SamplingSettings(temperature=0.9, stop=("the", "."), max_tokens=40))
    made.append(steered(starter, send("Repeat: red green blue"), [], stop=False))
    session.set_sampling(warm)
    made.append(
        steered(starter, lambda: session.edit(chat, session.chat(chat).result(PATIENCE).path()[0].id, "Hello"), [], stop=False)
    )
    assert any(row.cached_tokens for row in made), "no turn has reused the cache"
    assert any(len(row.timeline) > 1 for row in made)
    assert any(row.state == "cancelled" for row in made) and any(row.continued for row in made)
    for row in reversed(made):
        result = session.replay(row.id).result(PATIENCE)
        assert result.identical, (row.state, row.continued, row.cached_tokens, result)
    session.close()
    later = Session(home)
    later.start()
    for row in (made[1], made[4]):  # in a worker that knows nothing of the chat
        assert later.replay(row.id).result(PATIENCE).identical
    later.close()


@pytest.mark.skipif(os.name != "posix", reason="only there can a process be made to stand still")
def test_closing_ends_a_replay_in_an_engine_of_its_own(starter: Listening, monkeypatch: pytest.MonkeyPatch) -> None:
    session = starter.session
    session.set_sampling(SamplingSettings(temperature=0.0, max_tokens=4))
    session.send("", "Hello")
    row = starter.reply().generation
    session.unload()
    held: queue.SimpleQueue[int] = queue.SimpleQueue()
    start = WorkerProcess.start

    def hold(worker: WorkerProcess) -> None:
        start(worker)
        assert worker.pid is not None
        os.kill(worker.pid, signal.SIGSTOP)  # it never comes to its end
        held.put(worker.pid)

    monkeypatch.setattr(WorkerProcess, "start", hold)
    answer = session.replay(row.id)
    pid = held.get(timeout=PATIENCE)
    session.close()
    with pytest.raises(PlaygroundError):
        answer.result(PATIENCE)
    assert not psutil.pid_exists(pid)
