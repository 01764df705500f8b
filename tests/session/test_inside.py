"""Captures through the session: of a text, a reply, a generation; listed, opened, deleted; stopped; refused; with little room."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path

import numpy as np
import psutil
import pytest

from playground import events
from playground.errors import Cancelled, NotFoundError, PlaygroundError, SettingError, StorageError, WorkerError
from playground.inside.store import Entry
from playground.params import SamplingSettings
from playground.session.inside import CaptureRequest, EmbeddingsRequest, LensRequest
from playground.session.reading_models import is_encoder, writes_another

from .conftest import PATIENCE, Listening
from .test_death import engine_process

TEXT = "Once upon a time there was a fox. Once upon a time there was a fox."
LONG = CaptureRequest(TEXT * 40, exact=True)


def broken_off(starter: Listening, error: type[Exception], capture: Callable[[], Future[Entry]]) -> None:
    """A capture that ends in this error because of what happens while it is made. One that was over by then is made again."""
    for _ in range(20):
        try:
            made = capture().result(PATIENCE)
        except error:
            return
        starter.session.inside.delete(made.id)
        if error is WorkerError:
            starter.until(lambda event: isinstance(event, events.ModelState) and event.state == "lost")
            starter.session.reload().result(PATIENCE)
    pytest.fail("it is over every time")


def test_a_reply_and_its_generation_are_captured_as_they_were_computed(starter: Listening) -> None:
    session = starter.session
    session.set_sampling(SamplingSettings(temperature=0, max_tokens=12))
    session.send("", "Tell me a story.")
    finished = starter.reply()
    row = session.generation(finished.generation.id).result(PATIENCE)
    ids = [*row.prompt_ids, *(each.token_id for each in session.tokens(row.id).result(PATIENCE))]
    of_reply = session.inside.capture_message(row.message_id).result(PATIENCE)
    of_generation = session.inside.capture_generation(row.id, CaptureRequest(layers=(2,))).result(PATIENCE)
    for entry in (of_reply, of_generation):
        assert [each.id for each in entry.header.tokens] == ids
    assert [each.id for each in session.inside.list()] == [of_generation.id, of_reply.id]
    assert session.inside.capture_generation(row.id).result(PATIENCE).id == of_reply.id, (
        "what was captured is not captured again"
    )
    again = session.inside.capture_generation(row.id, CaptureRequest()).result(PATIENCE)
    assert again.id != of_reply.id, "but where it is asked for"
    session.inside.delete(again.id)
    drawn = session.tokens(row.id).result(PATIENCE)
    assert session.inside.place_of(row.message_id, row.id, 3).result(PATIENCE) == ("", len(row.prompt_ids) + 3)
    assert ids[len(row.prompt_ids) + 3] == drawn[3].token_id
    found = session.inside.open(of_reply.id)
    assert np.abs(found.map(2, 3) - session.inside.open(of_generation.id).map(2, 3)).max() == 0
    assert np.abs(found.rollout().sum(1) - 1).max() < 1e-4
    with pytest.raises(NotFoundError):
        session.inside.capture_generation("nobody").result(PATIENCE)


def test_tokens_of_a_reply_that_forked_are_found_in_its_capture(starter: Listening) -> None:
    session = starter.session
    session.set_sampling(SamplingSettings(temperature=0, max_tokens=10))
    session.send("", "Tell me a story.")
    row = session.generation(starter.reply().generation.id).result(PATIENCE)
    drawn = session.tokens(row.id).result(PATIENCE)
    other = next(number for number, *_ in drawn[4].alternatives if number != drawn[4].token_id)
    session.fork(row.session_id, row.message_id, row.id, 4, other)
    forked = starter.reply().message.id
    header = session.inside.capture_message(forked).result(PATIENCE).header
    tokens = session.lab.reply_tokens(forked).result(PATIENCE)
    assert {each.generation_id for each in tokens} > {row.id}, "some were drawn with the reply that it forked off"
    for each in tokens:
        generation, place = session.inside.place_of(forked, each.generation_id, each.row.index).result(PATIENCE)
        assert not generation and header.tokens[place].id == each.row.token_id


def test_size_said_beforehand_deleting_and_what_went_behind_our_back(starter: Listening) -> None:
    inside = starter.session.inside
    told: list[float] = []
    entry = inside.capture(CaptureRequest(TEXT), told.append).result(PATIENCE)
    assert inside.size(entry.header.length) == pytest.approx(entry.bytes, rel=0.1)
    assert inside.size(1024) > inside.size(1024, layers=1) > 0 and told and told[-1] == 1
    assert inside.size(1024, model=starter.session.model.path) == inside.size(1024), (
        "a model that is not loaded is told by its header"
    )
    assert inside.size(1024, model=str(entry.path)) == 0, "what is no model has no size"
    found = inside.open(entry.id)
    entry.path.unlink()
    for look in (lambda: found.codes(0, 0), lambda: inside.open(entry.id), lambda: inside.delete(entry.id)):
        with pytest.raises(NotFoundError, match="is not there any more"):
            look()
    again = inside.capture(CaptureRequest(TEXT)).result(PATIENCE)
    inside.delete(again.id)
    assert not os.listdir(inside.folder)


def test_the_oldest_capture_makes_room(starter: Listening) -> None:
    inside = starter.session.inside
    first = inside.capture(CaptureRequest(TEXT)).result(PATIENCE)
    inside.limit = first.bytes + 100
    second = inside.capture(CaptureRequest(TEXT)).result(PATIENCE)
    assert [each.id for each in inside.list()] == [second.id]
    inside.limit = 1000
    with pytest.raises(StorageError, match="would take"):
        inside.capture(CaptureRequest(TEXT)).result(PATIENCE)
    assert [each.id for each in inside.list()] == [second.id]


def test_stopped_and_refused_leave_nothing(starter: Listening) -> None:
    inside = starter.session.inside
    broken_off(starter, Cancelled, lambda: inside.capture(LONG, lambda fraction: inside.stop()))
    held, let_go = threading.Event(), threading.Event()

    def hold(fraction: float) -> None:
        held.set()
        assert let_go.wait(PATIENCE)

    first = inside.capture(CaptureRequest(TEXT), hold)
    assert held.wait(PATIENCE)
    waiting = inside.capture(CaptureRequest(TEXT))
    inside.stop()
    let_go.set()
    with pytest.raises(Cancelled):
        waiting.result(PATIENCE)
    with suppress(Cancelled):  # it may have been done before it was stopped
        inside.delete(first.result(PATIENCE).id)
    with pytest.raises(SettingError, match="no layer 99"):
        inside.capture(CaptureRequest(TEXT, layers=(99,))).result(PATIENCE)
    assert not inside.folder.exists() or not os.listdir(inside.folder)


def test_a_worker_that_dies_leaves_nothing(starter: Listening) -> None:
    session = starter.session
    worker = engine_process(session)

    def kill(fraction: float) -> None:
        if 0 < fraction < 1:  # its file is there, and not whole
            with suppress(psutil.NoSuchProcess):
                worker.kill()

    def capture() -> Future[Entry]:
        nonlocal worker
        worker = engine_process(session)
        return session.inside.capture(LONG, kill)

    broken_off(starter, WorkerError, capture)
    assert not os.listdir(session.inside.folder)
    session.reload().result(PATIENCE)
    assert session.inside.capture(CaptureRequest(TEXT)).result(PATIENCE).bytes > 0


def test_closing_does_not_wait_for_a_capture(starter: Listening) -> None:
    session = starter.session
    capture = session.inside.capture(LONG, lambda fraction: None)
    session.close()
    assert capture.done() or capture.cancelled()
    assert not session.inside.folder.exists() or not [each for each in os.listdir(session.inside.folder) if "part" in each]


def test_a_reply_comes_first(starter: Listening) -> None:
    session = starter.session
    session.set_sampling(SamplingSettings(temperature=0, max_tokens=4))

    def capture() -> Future[Entry]:
        sent: list[str] = []

        def on_progress(fraction: float) -> None:
            if not sent:
                sent.append(session.send("", "Hello."))

        made = session.inside.capture(LONG, on_progress)
        starter.until(events.GenerationFinished)
        return made

    broken_off(starter, Cancelled, capture)


def test_without_a_model(listening: Listening) -> None:
    with pytest.raises(PlaygroundError, match="No model is loaded"):
        listening.session.inside.capture(CaptureRequest(TEXT))
    assert listening.session.inside.size(100) == 0 and listening.session.inside.list() == []


def test_layers_are_read_from_folders(starter: Listening, tmp_path: Path) -> None:
    """A GGUF file does not give them out: where it lies in the folder of its model, that is read beside it."""
    inside = starter.session.inside
    (tmp_path / "config.json").write_text("{}")  # without weights beside it, no model
    with pytest.raises(PlaygroundError, match="GGUF file"):
        inside.lens(LensRequest(TEXT, model=str(tmp_path / "other.gguf")))
    (tmp_path / "config.json").write_text('{"model_type": "t5", "is_encoder_decoder": true}')
    with pytest.raises(PlaygroundError, match="does not say what comes next"):
        inside.lens(LensRequest(TEXT, model=str(tmp_path)))
    pytest.importorskip("transformers", reason="the engine is not installed")
    found = inside.lens(LensRequest(TEXT, positions=(-1,))).result(PATIENCE)
    assert found.layers == 6 and starter.session.model.path.endswith(".gguf") and found.gap < 1e-3


def test_words_are_looked_up_without_a_model(listening: Listening, tmp_path: Path) -> None:
    from playground.paths import starter as lies_at

    inside = listening.session.inside
    told: list[float] = []
    found = inside.embeddings(EmbeddingsRequest(("fox", "dog"), str(lies_at()), 4), told.append).result(PATIENCE)
    assert [each.text for each in found.words] == ["fox", "dog"] and [len(each) for each in found.neighbours] == [4, 4]
    assert found.matrix[0][1] == pytest.approx(found.neighbours[0][-1].similarity, abs=0.2) and told
    with pytest.raises(NotFoundError, match="There is no model"):
        inside.embeddings(EmbeddingsRequest(("fox",), str(tmp_path / "none"))).result(PATIENCE)


def test_models_that_only_read_are_known_by_their_folder(tmp_path: Path) -> None:
    from playground.paths import starter

    for text, expected in (
        ('{"model_type": "bert", "architectures": ["BertForMaskedLM"]}', True),
        ('{"model_type": "bert", "architectures": ["BertLMHeadModel"]}', False),
        ('{"model_type": "llama", "architectures": ["LlamaForCausalLM"]}', False),
        ('{"model_type": "t5", "architectures": ["T5ForConditionalGeneration"]}', True),
        ('{"model_type": "new", "is_encoder_decoder": true}', True),
        ("[1", False),
        ("[]", False),
    ):
        (tmp_path / "config.json").write_text(text)
        assert is_encoder(tmp_path) is expected
        assert writes_another(tmp_path) is (expected and "bert" not in text)
    assert not is_encoder(starter().parent) and not is_encoder(tmp_path / "none")
