"""The system starts no more processes: one sentence each time it is asked, and all is well again once it does."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from multiprocessing.context import SpawnProcess

import pytest

from playground.errors import WorkerError
from playground.paths import Home, starter
from playground.session.inside import EmbeddingsRequest
from playground.session.shelf_scan import scan_apart
from playground.session.workshop import JobChanged, QuantizeRequest

from .conftest import PATIENCE, Listening

SAID = "could not be started"


@pytest.fixture
def none_more(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """Until it is undone."""

    def refuse(process: SpawnProcess) -> None:
        raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))

    with monkeypatch.context() as patch:
        patch.setattr(SpawnProcess, "start", refuse)
        yield patch


def test_a_question_about_words_is_refused_and_asked_again(listening: Listening, none_more: pytest.MonkeyPatch) -> None:
    request = EmbeddingsRequest(("fox",), str(starter()), 2)
    for _ in range(2):
        with pytest.raises(WorkerError, match=SAID):
            listening.session.inside.embeddings(request).result(PATIENCE)
    none_more.undo()
    assert listening.session.inside.embeddings(request).result(PATIENCE).words


def test_a_job_fails_with_that_sentence(listening: Listening, none_more: pytest.MonkeyPatch) -> None:
    number = listening.session.workshop.quantize(QuantizeRequest(str(starter().parent), "q8_0"))
    event = listening.until(lambda each: isinstance(each, JobChanged) and each.making.id == number and each.making.ended)
    assert event.making.state == "failed" and SAID in event.making.message


def test_a_model_is_not_loaded_and_the_reason_stays(listening: Listening, none_more: pytest.MonkeyPatch) -> None:
    session = listening.session
    with pytest.raises(WorkerError, match=SAID) as said:
        session.load("starter").result(PATIENCE)
    session.close()  # what is done on the engine's thread after that is done by then
    assert session.model.state == "failed" and session.model.message == said.value.message
    assert session.model.message.count(SAID) == 1


def test_the_library_is_listed_without_one(home: Home, none_more: pytest.MonkeyPatch) -> None:
    assert scan_apart(home, lambda rows: None, lambda: False) is None
