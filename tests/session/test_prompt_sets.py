"""Many prompts through two columns: all cells once, whatever interrupts; exported in three forms."""

from __future__ import annotations

import csv
import io
import json
import os
import signal
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from playground import events
from playground.decoding.prompt_lists import Prompt
from playground.errors import PlaygroundError
from playground.history.records import Column, ResultRow
from playground.params import ContextSettings, SamplingSettings
from playground.paths import Home
from playground.session import Session

from .conftest import HELD, PATIENCE, Listening
from .test_death import engine_process

ROOT = Path(__file__).parents[2]
SHORT = SamplingSettings(temperature=0.0, max_tokens=5, seed=1)
TWO = (Column("a", SHORT, label="cold"), Column("b", replace(SHORT, temperature=1.1, seed=4), "Well,", "warm"))
PROMPTS = [Prompt(f"Say the number {number}.", more={"id": number}) for number in range(9)]


def finish(listening: Listening) -> events.PromptSetProgress:
    ended: events.PromptSetProgress = listening.until(
        lambda event: isinstance(event, events.PromptSetProgress) and event.state != "running"
    )
    return ended


def cells(session: Session, set_id: str) -> dict[tuple[int, str], ResultRow]:
    rows = session.prompt_sets.results(set_id).result(PATIENCE)
    found = {(row.index, row.column_id): row for row in rows}
    assert len(found) == len(rows)
    return found


class SecondBatch:
    """A set stands still before it asks for its second batch, `there`, until `go`; with `begun`, while that is decoded."""

    def __init__(self, session: Session, monkeypatch: pytest.MonkeyPatch, begun: bool = False) -> None:
        self.there, self.go = threading.Event(), threading.Event()
        ask, batches = session._engine.ask, list[Any]()

        def held(make: Any, handler: Any) -> int:
            if threading.current_thread().name == "prompt-set":
                batches.append(make)
            if len(batches) != 2 or self.there.is_set():
                return ask(make, handler)
            if begun:
                request = ask(lambda request: replace(make(request), pace=HELD), handler)
                self.there.set()
                return request
            self.there.set()
            assert self.go.wait(PATIENCE)
            return ask(make, handler)

        monkeypatch.setattr(session._engine, "ask", held)


def test_every_cell_is_what_a_chat_would_have_said(starter: Listening) -> None:
    session = starter.session
    set_id = session.prompt_sets.new([*PROMPTS[:6], Prompt("Hello", "You are a poet.")], TWO, "Be brief.")
    assert session.prompt_sets.counts(set_id).result(PATIENCE) == (0, 14)
    session.prompt_sets.start(set_id)
    with pytest.raises(PlaygroundError, match="running already"):
        session.prompt_sets.start(set_id)
    done = finish(starter)
    assert (done.state, done.done, done.total) == ("done", 14, 14) and session.prompt_sets.running == ""
    told = [event.result for event in starter.told if isinstance(event, events.PromptResult)]
    found = cells(session, set_id)
    assert len(told) == 14 and {(each.index, each.column_id): each for each in told}.keys() == found.keys()
    for index, prompt, system in ((2, PROMPTS[2].prompt, "Be brief."), (6, "Hello", "You are a poet.")):
        for column in TWO:
            session.set_sampling(column.settings)
            session.send(session.new_chat(system), prompt, column.reply_start)
            reply = starter.reply()
            result = found[index, column.id]
            assert result.text == reply.message.content and result.completion_tokens == reply.generation.completion_tokens
            assert (result.state, result.prompt_tokens) == (reply.generation.state, reply.generation.prompt_tokens)
            assert result.seed == column.settings.seed and -20 < result.mean_logprob < 0 < result.mean_entropy < 8
    assert [row.id for row in session.prompt_sets.all().result(PATIENCE)] == [set_id]
    assert not session.compare.all().result(PATIENCE)
    session.prompt_sets.start(set_id)
    assert finish(starter).done == 14 and cells(session, set_id) == found


def test_it_is_paused_and_goes_on_and_a_chat_comes_in_between(starter: Listening, monkeypatch: pytest.MonkeyPatch) -> None:
    session = starter.session
    set_id = session.prompt_sets.new(PROMPTS, [replace(each, settings=replace(each.settings, max_tokens=30)) for each in TWO])
    second = SecondBatch(session, monkeypatch)
    session.prompt_sets.start(set_id)
    starter.until(events.PromptResult)
    assert second.there.wait(PATIENCE)
    session.set_sampling(SHORT)
    session.send("", "Hello")
    assert starter.reply().generation.state == "length"
    session.prompt_sets.pause()
    second.go.set()
    paused = finish(starter)
    assert paused.state == "paused" and 0 < paused.done < 18 and not paused.message
    before = cells(session, set_id)
    assert len(before) == paused.done and all(row.state in ("length", "end") for row in before.values())
    session.prompt_sets.start(set_id)
    assert finish(starter).state == "done"
    after = cells(session, set_id)
    assert len(after) == 18 and {key: after[key] for key in before} == before


@pytest.mark.parametrize("within", [True, False], ids=["within a batch", "between two"])
def test_a_worker_that_dies_pauses_it(starter: Listening, monkeypatch: pytest.MonkeyPatch, within: bool) -> None:
    session = starter.session
    set_id = session.prompt_sets.new(PROMPTS, [replace(each, settings=replace(each.settings, max_tokens=30)) for each in TWO])
    second = SecondBatch(session, monkeypatch, begun=within)
    session.prompt_sets.start(set_id)
    assert second.there.wait(PATIENCE)
    engine_process(session).kill()
    starter.until(lambda event: isinstance(event, events.ModelState) and event.state == "lost")
    second.go.set()
    paused = finish(starter)
    assert paused.state == "paused" and paused.message
    with pytest.raises(PlaygroundError, match="No model"):
        session.prompt_sets.start(set_id)
    session.reload().result(PATIENCE)
    session.prompt_sets.start(set_id)
    assert finish(starter).done == 18


def test_what_is_told_to_have_ended_can_be_started_again(starter: Listening, monkeypatch: pytest.MonkeyPatch) -> None:
    session = starter.session
    set_id = session.prompt_sets.new(PROMPTS[:1], TWO[:1])
    tell, heard = session._ledger.tell, threading.Event()

    def slow(event: events.Event) -> None:
        tell(event)
        if isinstance(event, events.PromptSetProgress) and event.state == "done":
            heard.wait(PATIENCE)  # the thread that told it gets no further

    monkeypatch.setattr(session._ledger, "tell", slow)
    session.prompt_sets.start(set_id)
    try:
        assert finish(starter).state == "done" and session.prompt_sets.running == ""
        session.prompt_sets.start(set_id)
    finally:
        heard.set()
    assert finish(starter).state == "done"


def test_prompts_too_long_to_go_together_go_alone(listening: Listening) -> None:
    session = listening.session
    session.load("starter", ContextSettings(context=512)).result(PATIENCE)
    long = "red green blue " * 80
    prompts = [Prompt(f"{number} {long}") for number in range(3)] + [Prompt(long * 4), Prompt("Hello")]
    set_id = session.prompt_sets.new(prompts, TWO)
    session.prompt_sets.start(set_id)
    assert finish(listening).state == "done"
    found = cells(session, set_id)
    assert len(found) == 10
    for (index, _), row in found.items():
        if index == 3:
            assert row.state == "failed" and "context window holds" in row.error
        else:
            assert row.state in ("length", "end") and row.completion_tokens == len(row.token_ids) > 0


def test_export(starter: Listening) -> None:
    session = starter.session
    set_id = session.prompt_sets.new(PROMPTS[:2], TWO, "Be brief.", "Numbers")
    session.prompt_sets.start(set_id)
    finish(starter)
    found = cells(session, set_id)
    lines = [json.loads(line) for line in session.prompt_sets.export(set_id, "jsonl").result(PATIENCE).splitlines()]
    assert [(line["index"], line["column"]) for line in lines] == [(0, "cold"), (0, "warm"), (1, "cold"), (1, "warm")]
    assert lines[3]["text"] == found[1, "b"].text and lines[3]["more"] == {"id": 1} and lines[3]["system"] == "Be brief."
    rows = list(csv.DictReader(io.StringIO(session.prompt_sets.export(set_id, "csv").result(PATIENCE))))
    assert [(row["id"], row["cold"], row["warm"]) for row in rows] == [
        (str(index), found[index, "a"].text, found[index, "b"].text) for index in range(2)
    ]
    text = session.prompt_sets.export(set_id, "md").result(PATIENCE)
    assert text.startswith("# Numbers\n") and "**warm** (" in text and "> Say the number 1." in text
    with pytest.raises(PlaygroundError, match="no form"):
        session.prompt_sets.export(set_id, "xml")
    with pytest.raises(PlaygroundError, match="no prompt"):
        session.prompt_sets.new([], TWO)


KILLED = """
import os, sys
from pathlib import Path
from playground import events
from playground.paths import Home
from playground.session import Session
session = Session(Home(Path(sys.argv[1])))
count = 0
def told(event):
    global count
    if isinstance(event, events.PromptResult):
        print(event.result.index, event.result.column_id, flush=True)
        count += 1
        if count == int(sys.argv[3]):
            os.kill(os.getpid(), 9)
session.subscribe(told)
session.start()
session.load("starter").result()
session.prompt_sets.start(sys.argv[2])
import time
time.sleep(100)
"""


@pytest.mark.skipif(os.name != "posix", reason="kills as POSIX does")
def test_killed_in_the_middle_it_goes_on_where_it_was(home: Home) -> None:
    session = Session(home)
    listening = Listening(session)
    session.start()
    prompts = [Prompt(f"Say {number}.") for number in range(150)]
    set_id = session.prompt_sets.new(prompts, [replace(each, settings=replace(each.settings, max_tokens=3)) for each in TWO])
    session.prompt_sets.counts(set_id).result(PATIENCE)
    session.close()
    told: list[str] = []
    for until in (40, 90):
        child = subprocess.run(
            [sys.executable, "-c", KILLED, str(home.root), set_id, str(until)],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=100,
        )
        assert child.returncode == -signal.SIGKILL, child.stderr
        told += child.stdout.splitlines()
    assert len(told) == len(set(told)) == 130  # nothing that was told was done again
    session = Session(home)
    listening = Listening(session)
    session.start()
    before = cells(session, set_id)
    assert {f"{index} {column}" for index, column in before} >= set(told)
    session.load("starter").result(PATIENCE)
    session.prompt_sets.start(set_id)
    assert finish(listening).done == 300
    after = cells(session, set_id)
    assert len(after) == 300 and {key: after[key] for key in before} == before
    session.close()


def test_a_set_is_looked_through(listening: Listening) -> None:
    session = listening.session
    set_id = session.prompt_sets.new([Prompt(f"Number {number}") for number in range(5)], TWO)

    def put(index: int, column: str, text: str, state: str = "end") -> None:
        session._ledger.write(lambda store: store.put_result(set_id, ResultRow(index, column, state, text)))

    for index, text in enumerate(("same", "Other", "same")):
        put(index, "a", "same")
        put(index, "b", text)
    put(3, "a", "", "failed")
    sets = session.prompt_sets
    assert sets.matching(set_id).result(PATIENCE) == [0, 1, 2, 3, 4]
    assert sets.matching(set_id, "other").result(PATIENCE) == [1]
    assert sets.matching(set_id, "NUMBER 2").result(PATIENCE) == [2]
    assert sets.matching(set_id, "", "different").result(PATIENCE) == [1]
    assert sets.matching(set_id, "", "failed").result(PATIENCE) == [3]
    assert sets.matching(set_id, "", "open").result(PATIENCE) == [3, 4]
    cells = sets.cells(set_id, [4, 1]).result(PATIENCE)
    assert [prompt.index for prompt, _ in cells] == [4, 1]
    assert {name: result.text for name, result in cells[1][1].items()} == {"a": "same", "b": "Other"}
    for left in (sets.unfinished(), session.left_prompt_sets()):
        assert [(row.id, done, total) for row, done, total in left.result(PATIENCE)] == [(set_id, 7, 10)]
