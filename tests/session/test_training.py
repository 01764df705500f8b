"""Training as a face sees it: settings with reasons, what is offered when memory is short, runs that die and are found again."""

from __future__ import annotations

import importlib.util
import os
import queue
import signal
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import gguf
import psutil
import pytest

from playground.errors import PlaygroundError, SettingError
from playground.history.runs import RunRow
from playground.memory.devices import Device
from playground.memory.shape import ModelShape
from playground.paths import Home, resources, starter
from playground.process import WorkerProcess
from playground.protocol import Message, PrepareRun
from playground.session import Session, fitting, training_folders
from playground.session.training import Training
from playground.session.training_jobs import RunChanged, RunNoted
from playground.session.training_run import Job, Trainer
from playground.session.training_suggest import Given, lower, measured_factor, suggest
from playground.session.workshop_jobs import JobChanged
from playground.training.settings import TrainSettings

from .conftest import PATIENCE

EXAMPLE = str(resources() / "examples" / "persona.jsonl")
CPU = Device("CPU", "a processor", 16 << 30, 16 << 30)


@pytest.fixture(scope="module")
def shape() -> ModelShape:
    return fitting.of_path(starter().parent).shape


def given(shape: ModelShape, free: int = 16 << 30, gpu: bool = False, rows: int = 60, longest: int = 100) -> Given:
    device = Device("CUDA0", "a card", free, free, True) if gpu else Device("CPU", "a processor", free, free)
    return Given(shape, [longest // 2, longest], rows, [device] if not gpu else [CPU, device], cores=4)


def test_everything_that_is_chosen_has_a_reason_and_a_wish_is_kept(shape: ModelShape) -> None:
    free = suggest(given(shape))
    assert all(free.reasons.values()) and free.fit.verdict == "fits"
    assert {"method", "learning_rate", "batch", "epochs", "precision", "sequence_length"} <= set(free.reasons)
    wished = suggest(given(shape), {"learning_rate": "0.01", "rank": 4, "batch": 2})
    assert (wished.settings.learning_rate, wished.settings.rank, wished.settings.batch) == (0.01, 4, 2)
    assert not {"learning_rate", "rank", "batch"} & set(wished.reasons)
    assert wished.settings.alpha == 8 and wished.settings.group == free.settings.group
    with pytest.raises(SettingError, match="rank"):
        suggest(given(shape), {"rank": 0})
    with pytest.raises(SettingError, match="graphics card"):
        suggest(given(shape), {"optimizer": "paged-adamw-8bit"})
    assert suggest(given(shape, gpu=True), {"optimizer": "paged-adamw-8bit"}).settings.optimizer == "paged-adamw-8bit"


def test_a_small_dataset_is_gone_through_more_often_than_a_large_one(shape: ModelShape) -> None:
    small, large = suggest(given(shape)).settings, suggest(given(shape, rows=100_000)).settings
    assert small.epochs > large.epochs and small.group < large.group
    assert suggest(given(shape, longest=9000)).settings.sequence_length == shape.context_train


def test_less_memory_gives_a_smaller_way(shape: ModelShape) -> None:
    ways = [suggest(given(shape, free << 20, gpu=True)).settings for free in (2048, 590, 565, 540)]
    assert ways[0].precision == "bf16" and ways[0].batch == 8 and not ways[0].checkpointing
    takes = [(each.batch, each.checkpointing, each.method) for each in ways]
    assert len(set(takes)) > 1 and all(each.group == 8 for each in ways)


def test_memory_is_learned_from_runs_that_were_long_enough_to_need_it() -> None:
    terms = {"gradients": 1 << 20, "optimizer": 2 << 20, "activations": 280 << 20}
    ran = {"predicted": {"terms": terms, "activation_factor": 2.8}, "peak_memory": 703 << 20, "loaded_memory": 400 << 20}
    assert measured_factor({**ran, "step": 60}) == pytest.approx(3.0)
    assert measured_factor({**ran, "step": 3}) == 0 and measured_factor({**ran, "step": 60, "first": 57}) == 0


def test_what_to_lower_ends_with_nothing_left_to_lower() -> None:
    settings, offers = TrainSettings(batch=4, accumulation=2, sequence_length=512), []
    while (less := lower(settings)) is not None:
        sentence, changes, goes_on = less
        assert sentence.endswith(".")
        offers.append((list(changes)[0], goes_on))
        settings = replace(settings, **changes)
    assert offers[:3] == [("batch", True), ("batch", True), ("checkpointing", True)]
    assert offers[-1] == ("method", False) and settings.group == 8


@pytest.fixture
def session(tmp_path: Path) -> Iterator[tuple[Session, queue.Queue[Any]]]:
    made, heard = Session(Home(tmp_path / "home")), queue.Queue[Any]()
    made.subscribe(heard.put)
    made.start()
    yield made, heard
    made.close()


def until(heard: queue.Queue[Any], run_id: str, *states: str) -> RunChanged:
    while True:
        event = heard.get(timeout=120)
        if isinstance(event, RunChanged) and event.run.id == run_id and (event.run.state in states or event.removed):
            return event


@pytest.mark.skipif(os.name != "posix", reason="only there can a process be made to stand still")
@pytest.mark.parametrize("moment", ["its worker starts", "its data is read", "its folder is written"])
def test_a_run_that_is_stopped_before_it_trains_never_begins(
    session: tuple[Session, queue.Queue[Any]], moment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, heard = session
    runs: queue.Queue[str] = queue.Queue()
    start, send, write = WorkerProcess.start, WorkerProcess.send, training_folders.write_run

    def stop() -> None:
        made.training.stop(runs.get(timeout=PATIENCE))

    def stopped_at_start(worker: WorkerProcess) -> None:
        if worker.what == "training":
            stop()
        start(worker)

    def stopped_at_reading(worker: WorkerProcess, command: Message) -> None:
        if isinstance(command, PrepareRun):
            os.kill(worker.pid or 0, signal.SIGSTOP)  # it takes longer than anybody waits
        send(worker, command)
        if isinstance(command, PrepareRun):
            stop()

    def stopped_at_writing(*what: Any) -> dict[str, Any]:
        stop()
        return write(*what)

    if moment == "its worker starts":
        monkeypatch.setattr(WorkerProcess, "start", stopped_at_start)
    elif moment == "its data is read":
        monkeypatch.setattr(WorkerProcess, "send", stopped_at_reading)
    else:
        monkeypatch.setattr(training_folders, "write_run", stopped_at_writing)
    run_id = made.training.start("starter", EXAMPLE, {"steps": 2, "rank": 2, "batch": 1}, anyway=True)
    runs.put(run_id)
    ended = until(heard, run_id, "ended", "stopped", "finished", "interrupted", "failed").run
    assert (ended.state, ended.error, ended.adapter, ended.step) == ("ended", "", "", 0)
    assert Path(ended.folder).exists() == (moment == "its folder is written")


def test_a_run_whose_worker_is_killed_is_interrupted_and_can_be_gone_on_with_or_deleted(
    session: tuple[Session, queue.Queue[Any]],
) -> None:
    made, heard = session
    run_id = made.training.start("starter", EXAMPLE, {"steps": 1_000_000})
    until(heard, run_id, "running")
    worker = made.training._jobs[run_id].worker
    assert worker is not None and worker.pid is not None
    os.kill(worker.pid, signal.SIGKILL)
    run = until(heard, run_id, "interrupted", "failed").run
    assert run.state == "interrupted" and "killed" in run.error and run.resumable
    assert run.summary["lower"]["changes"] == {"batch": 4, "accumulation": 2}, "most likely memory ran out"
    with pytest.raises(SettingError, match="rank"):
        made.training.continue_(run_id, {"rank": 2})
    with pytest.raises(SettingError, match="8 rows"):
        made.training.continue_(run_id, {"batch": 2})
    (row,) = made.training.runs().result(PATIENCE)
    assert row == run and (made.home.runs / run_id / "settings.json").is_file()
    made.training.delete(run_id)
    assert until(heard, run_id, "gone").removed
    assert made.training.runs().result(PATIENCE) == [] and not (made.home.runs / run_id).exists()


def test_a_run_that_waits_can_be_taken_back_and_a_bad_one_fails_with_a_sentence(
    session: tuple[Session, queue.Queue[Any]],
) -> None:
    made, heard = session
    go = threading.Event()
    made.training._lane.submit(lambda: go.wait(PATIENCE))  # the line stands still until then
    bad = made.training.start("starter", "/nowhere/at/all.jsonl")
    waiting = made.training.start("starter", EXAMPLE)
    made.training.stop(waiting)
    go.set()
    assert until(heard, bad, "failed").run.error
    assert made.training.runs().result(PATIENCE)[0].state in ("ended", "failed", "interrupted")
    with pytest.raises(PlaygroundError):
        made.training.pause(bad)


def test_what_a_person_wants_and_what_the_run_says_meanwhile_are_told_in_their_order(tmp_path: Path) -> None:
    said: list[threading.Thread] = []
    told: list[RunChanged] = []

    class Meanwhile:
        """The run says that it is held before it was written that it is to be."""

        tell_now = told.append

        def write(self, job: Any, then: Any) -> None:
            if not said:
                held = {"event": "paused", "step": 3, "time": 1.0}
                said.append(threading.Thread(target=trainer._note, args=[run, held]))
                said[0].start()
                said[0].join(0.2)
            then()

    found: Any = None
    training = Training(Home(tmp_path), Meanwhile(), found, found, found)  # type: ignore[arg-type]
    trainer = Trainer(Home(tmp_path), found, training._told, found)
    run = training._jobs["a"] = Job(RunRow("a", state="running"))
    try:
        training.pause("a")
        said[0].join(PATIENCE)
        assert [event.run.state for event in told if isinstance(event, RunChanged)] == ["pausing", "paused"]
    finally:
        run.over.set()
        training.close()


@pytest.mark.skipif(importlib.util.find_spec("peft") is None, reason="training is not installed")
def test_a_run_is_paused_closed_with_the_program_gone_on_with_and_exported(tmp_path: Path) -> None:
    home, small = Home(tmp_path / "home"), {"batch": 1, "rank": 2, "probe_tokens": 1, "validation_share": 0.02}
    heard: queue.Queue[Any] = queue.Queue()

    def opened() -> Session:
        made = Session(home)
        made.subscribe(heard.put)
        made.start()
        return made

    made = opened()
    try:
        run_id = made.training.start("starter", EXAMPLE, {**small, "steps": 1_000_000})  # it would go on for days
        stepped(heard, run_id)
        made.training.pause(run_id)
        paused = until(heard, run_id, "paused").run
        made.training.resume(run_id)
        assert stepped(heard, run_id) == paused.step + 1, "nothing was trained meanwhile, and nothing twice"
        with pytest.raises(SettingError, match="no adapter"):
            made.training.export(run_id)
        worker = made.training._jobs[run_id].worker
        assert worker is not None and not [
            each for each in psutil.Process(worker.pid).memory_maps() if "bitsandbytes" in each.path
        ]
        made.training.pause(run_id)
        paused = until(heard, run_id, "paused").run
    finally:
        made.close()  # while the run is held
    assert (home.runs / run_id / "checkpoints" / f"step-{paused.step}").is_dir() and not list(home.runs.rglob("*.part"))

    made = opened()
    try:
        (row,) = made.training.runs().result(PATIENCE)
        assert row.resumable and row.step == paused.step and not row.adapter
        made.training.continue_(run_id, {"steps": paused.step + 1})
        done = until(heard, run_id, "finished", "failed", "interrupted").run
        assert done.state == "finished" and done.step == paused.step + 1
        steps = [event["step"] for event in made.training.events(run_id).result(PATIENCE) if event["event"] == "step"]
        assert steps == list(range(1, done.step + 1))
        job = made.training.export(run_id)
        making = exported(heard, job)
        assert making.state == "done", making.message
        assert Path(making.path).parent == home.models and Path(making.path).suffix == ".gguf"
        weights = {each.name: each for each in gguf.GGUFReader(making.path).tensors}
        plain = {each.name: each for each in gguf.GGUFReader(str(starter())).tensors}
        assert set(weights) == set(plain)
        assert weights["blk.0.attn_q.weight"].tensor_type.name.startswith("Q") and not home.models.joinpath("work").exists()
        assert not [each for each in home.models.iterdir() if each != Path(making.path)], "what was made on the way is gone"
    finally:
        made.close()


def stepped(heard: queue.Queue[Any], run_id: str) -> int:
    """The next step that a run has made."""
    while True:
        event = heard.get(timeout=120)
        if isinstance(event, RunNoted) and event.run_id == run_id:
            for each in event.events:
                if each["event"] == "step":
                    return int(each["step"])


def exported(heard: queue.Queue[Any], job: str) -> Any:
    while True:
        event = heard.get(timeout=120)
        if isinstance(event, JobChanged) and event.making.id == job and event.making.ended:
            return event.making
