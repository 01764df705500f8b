"""Beam searches through the session: told step by step, kept, opened again."""

from __future__ import annotations

import pytest

from playground import events
from playground.errors import NotFoundError, PlaygroundError
from playground.history.beams import BeamSearchRow
from playground.params import BeamSettings
from playground.paths import Home
from playground.session import Session
from tests.session.conftest import PATIENCE, Listening


def ended(listening: Listening) -> BeamSearchRow:
    event = listening.until(lambda each: isinstance(each, events.BeamsChanged) and each.search.state != "running")
    found: BeamSearchRow = event.search
    return found


def test_a_search_is_told_step_by_step_and_opens_again_as_it_was(starter: Listening, home: Home) -> None:
    beams = starter.session.beams
    name = beams.search("Repeat: red green blue", BeamSettings(width=3, max_tokens=8))
    search = ended(starter)
    assert (search.session_id, search.state, search.why) == (name, "done", "better")
    assert search.beams[0].text.strip() == "red green blue" and search.beams[0].reason == "end"
    told = [event for event in starter.told if isinstance(event, events.BeamsChanged)]
    assert tuple(step for event in told for step in event.steps) == search.steps
    assert beams.get(name).result(PATIENCE) == search
    starter.session.close()
    other = Session(home)
    other.start()
    try:
        assert other.beams.get(name).result(PATIENCE) == search
        assert [row.id for row in other.beams.all().result(PATIENCE)] == [name]
        assert other.chats().result(PATIENCE) == [], "it is no chat"
    finally:
        other.close()


def test_a_bare_text_is_continued_without_the_template(starter: Listening) -> None:
    starter.session.beams.search("Once upon", BeamSettings(width=2, max_tokens=4), raw=True)
    assert ended(starter).rendered == "Once upon"


def test_stopped_it_is_kept_as_far_as_it_came(starter: Listening) -> None:
    beams = starter.session.beams
    settings = BeamSettings(width=8, max_tokens=512, length_penalty=5.0, early_stopping="never")
    name = beams.search("Tell me a story", settings)
    starter.until(lambda each: isinstance(each, events.BeamsChanged) and bool(each.steps))
    with pytest.raises(PlaygroundError, match="running already"):
        beams.search("another", BeamSettings())
    beams.stop()
    search = ended(starter)
    assert search.state == "cancelled" and 0 < len(search.steps) < 512
    assert beams.get(name).result(PATIENCE) == search
    assert beams.running == ""


def test_what_cannot_be_searched_is_refused_with_a_sentence(listening: Listening) -> None:
    with pytest.raises(PlaygroundError, match="No model"):
        listening.session.beams.search("Hello", BeamSettings())
    listening.session.load("starter").result(PATIENCE)
    with pytest.raises(PlaygroundError, match="nothing to continue"):
        listening.session.beams.search("  ", BeamSettings())
    listening.session.beams.search("Hello", BeamSettings(width=40))
    search = ended(listening)
    assert search.state == "failed" and "40 beams" in search.error and search.hint
    with pytest.raises(NotFoundError):
        listening.session.beams.get("nothing").result(PATIENCE)
