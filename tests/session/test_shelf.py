"""The shelf: library, hub, downloads and estimates for a face, against a hub on this machine and real download workers."""

from __future__ import annotations

import multiprocessing
import os
import queue
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from playground.errors import GatedError, ModelFileError, OfflineError, StorageError
from playground.memory.devices import find_devices
from playground.memory.fit import Situation, fit, largest_context
from playground.memory.training_fit import TrainingPlan, training_fit
from playground.models import download_plan, library
from playground.models.hub import Query
from playground.params import ContextSettings
from playground.paths import Home
from playground.process import WorkerProcess
from playground.protocol import MemoryTerm, ModelInfo
from playground.session import fitting
from playground.session.shelf import (
    DownloadChanged,
    Downloading,
    LibraryChanged,
    Shelf,
    VerdictsKnown,
    held_by,
    usual,
)
from playground.session.shelf_lane import Lane
from playground.session.verdicts import by_size
from tests.loopback_hub import LoopbackHub
from tests.models.tiny import write_gguf

PATIENCE = 120
REPO, FILE = "acme/tiny-GGUF", "tiny-Q4_K_M.gguf"


@pytest.fixture(autouse=True)
def _alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test sees this machine's models, logins or keyring."""
    for name, part in (("HOME", "user"), ("HF_HOME", "hf"), ("HF_HUB_CACHE", "hub"), ("PLAYGROUND_HOME", "home")):
        monkeypatch.setenv(name, str(tmp_path / part))
    monkeypatch.setenv("HF_TOKEN_PATH", str(tmp_path / "hf" / "token"))
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "keyring.backends.fail.Keyring")
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_HUB_OFFLINE", "OLLAMA_MODELS", "PLAYGROUND_HF_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    from playground.models import hub_client

    constants = hub_client.library().constants
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "hf" / "token"))
    monkeypatch.setattr(constants, "HF_STORED_TOKENS_PATH", str(tmp_path / "hf" / "stored_tokens"))


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[LoopbackHub]:
    with LoopbackHub() as server:
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        yield server


class Told:
    """What a shelf told, and waits for it."""

    def __init__(self) -> None:
        self.events: list[Any] = []
        self._arrived = threading.Condition()

    def take(self, event: Any) -> None:
        with self._arrived:
            self.events.append(event)
            self._arrived.notify_all()

    def until(self, wanted: Callable[[Any], bool], after: int = 0) -> Any:
        """The first event like that, among those after the first `after`."""
        with self._arrived:
            assert self._arrived.wait_for(lambda: any(wanted(each) for each in self.events[after:]), PATIENCE), self.events
            return next(each for each in self.events[after:] if wanted(each))

    def state(self, name: str, after: int = 0) -> Downloading:
        found: Downloading = self.until(
            lambda event: isinstance(event, DownloadChanged) and event.download.state == name, after
        ).download
        return found


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.fixture
def shelf(home: Home, told: Told) -> Iterator[Shelf]:
    made = Shelf(home, told.take)
    yield made
    made.close()


@pytest.fixture
def model(hub: LoopbackHub, tmp_path: Path) -> bytes:
    """A model of some hundred kilobytes on the hub."""
    data = write_gguf(tmp_path / "made.gguf", weights=24_000)
    hub.add(REPO, {FILE: data, "README.md": b"---\nlicense: mit\n---\n# Tiny"}, downloads=7, likes=3)
    return data


def complete(event: Any) -> bool:
    return isinstance(event, LibraryChanged) and event.complete


# -- the library


def test_rows_come_in_batches_and_then_all_together(shelf: Shelf, told: Told, home: Home) -> None:
    for number in range(450):
        write_gguf(home.models / f"model-{number}.gguf", name=f"model-{number}", weights=32)
    shelf.refresh()
    whole = told.until(complete)
    ours = {row.path for row in whole.rows if row.place == "own"}
    assert len(ours) == 450
    batches = [event for event in told.events if isinstance(event, LibraryChanged) and not event.complete]
    assert {row.path for event in batches for row in event.rows} >= ours
    assert max(len(event.rows) for event in batches) <= 200
    assert shelf.rows() == whole.rows


def test_a_long_listing_goes_on_in_a_process_of_its_own(
    shelf: Shelf, told: Told, home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("playground.session.shelf.PATIENCE_S", -1)
    for number in range(30):
        write_gguf(home.models / f"model-{number}.gguf", weights=32)
    (home.models / "bad.gguf").write_bytes(b"GGUF")
    others = set(multiprocessing.active_children())
    shelf.refresh()
    whole = told.until(complete)
    assert whole.rows == library.scan(home).rows
    assert next(row for row in whole.rows if row.name == "bad").problem
    assert shelf._found is not None
    assert not library.changed_since(shelf._found.snapshot)
    assert not set(multiprocessing.active_children()) - others


def test_a_change_is_noticed_while_somebody_looks(
    shelf: Shelf, told: Told, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("playground.session.shelf.WATCH_S", 0.05)
    home.models.mkdir(parents=True)
    os.utime(home.models, (1e9, 1e9))  # a change in the tick of the clock in which it was made could not be seen
    shelf.refresh()
    told.until(complete)
    before = len(told.events)
    shelf.watch(True)
    write_gguf(home.models / "new.gguf", weights=32)
    whole = told.until(lambda event: complete(event) and any(row.name == "new" for row in event.rows), before)
    assert whole.notices == ()


def test_a_folder_is_added_and_a_file_that_is_no_model_refused(shelf: Shelf, told: Told, tmp_path: Path) -> None:
    write_gguf(tmp_path / "elsewhere" / "one.gguf", weights=32)
    assert shelf.add(tmp_path / "elsewhere").result(PATIENCE) is None
    whole = told.until(complete)
    assert [row.name for row in whole.rows if row.place == "added"] == ["one"]
    poem = tmp_path / "poem.gguf"
    poem.write_text("roses are red")
    with pytest.raises(ModelFileError, match=r"poem\.gguf"):
        shelf.add(poem).result(PATIENCE)


def test_only_what_is_ours_goes_to_the_trash(shelf: Shelf, told: Told, home: Home, tmp_path: Path) -> None:
    mine = home.models / "mine.gguf"
    write_gguf(mine, weights=32)
    write_gguf(tmp_path / "theirs" / "other.gguf", weights=32)
    shelf.add(tmp_path / "theirs").result(PATIENCE)
    rows = {row.name: row for row in told.until(lambda e: complete(e) and len(e.rows) >= 3).rows}
    thrown: list[Path] = []
    shelf.remove(rows["mine"], thrown.append).result(PATIENCE)
    assert thrown == [mine]
    with pytest.raises(StorageError):
        shelf.remove(rows["other"], thrown.append).result(PATIENCE)
    assert thrown == [mine]


def test_details_come_from_the_header(shelf: Shelf, told: Told, home: Home) -> None:
    write_gguf(home.models / "one.gguf", weights=32)
    shelf.refresh()
    row = next(row for row in told.until(complete).rows if row.place == "own")
    details = shelf.details(row).result(PATIENCE)
    assert ("general.architecture", row.architecture) in details.metadata
    assert sum(count for _, count, _ in details.kinds) == len(details.tensors)


# -- the hub


def test_nothing_is_asked_before_somebody_asks(hub: LoopbackHub, shelf: Shelf, told: Told, model: bytes) -> None:
    shelf.refresh()
    told.until(complete)
    shelf.downloads()
    assert hub.log == []


def test_search_goes_on_page_by_page(hub: LoopbackHub, shelf: Shelf) -> None:
    for number in range(40):
        hub.add(f"acme/model-{number:02}-GGUF", {"m-Q4_K_M.gguf": b"GGUF"}, downloads=1000 - number)
    first = shelf.search(Query("model", ("gguf",))).result(PATIENCE)
    assert [row.repo for row in first.rows[:2]] == ["acme/model-00-GGUF", "acme/model-01-GGUF"]
    assert not first.ended
    rest = shelf.more(first).result(PATIENCE)
    assert len(first.rows) + len(rest.rows) == 40
    assert rest.ended


def test_a_model_with_card_verdicts_and_the_one_to_take(hub: LoopbackHub, shelf: Shelf, model: bytes) -> None:
    page = shelf.page(REPO).result(PATIENCE)
    assert [choice.label for choice in page.choices] == ["Q4_K_M"]
    assert shelf.card(REPO).result(PATIENCE) == "# Tiny"
    verdicts = shelf.fits.choices(page).result(PATIENCE)
    assert verdicts.verdicts[FILE].verdict == "fits"
    assert verdicts.recommended.choice == page.choices[0]


def test_a_gated_model_is_judged_by_its_size(hub: LoopbackHub, shelf: Shelf, model: bytes) -> None:
    hub.add("acme/closed-GGUF", {FILE: model}, gated="manual")
    page = shelf.page("acme/closed-GGUF").result(PATIENCE)
    verdicts = shelf.fits.choices(page).result(PATIENCE)
    assert "login" in verdicts.note
    found = verdicts.verdicts[FILE]
    assert (found.verdict, found.total) == ("fits", len(model))
    devices = shelf.fits.devices()
    free = sum(device.free for device in devices)
    assert by_size(free + 1, devices).verdict == "does not fit"
    between = by_size(free * 9 // 10, devices)
    assert (between.verdict, bool(between.why)) == ("", True)


def test_that_nobody_answers_is_one_kind_of_error(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(OfflineError):
        shelf.search(Query("fox")).result(PATIENCE)


def test_a_token_that_is_not_accepted_is_not_kept(hub: LoopbackHub, shelf: Shelf) -> None:
    assert shelf.has_token().result(PATIENCE) == "none"
    with pytest.raises(GatedError):
        shelf.set_token("hf_wrong").result(PATIENCE)
    assert shelf.has_token().result(PATIENCE) == "none"
    hub.tokens["hf_right"] = "ada"
    assert shelf.set_token("hf_right").result(PATIENCE) == "ada"
    assert shelf.has_token().result(PATIENCE) == "session"


# -- downloads


def test_a_download_whose_worker_starts_while_the_program_closes_is_ended(
    hub: LoopbackHub, shelf: Shelf, model: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = shelf.page(REPO).result(PATIENCE)
    start, started = WorkerProcess.start, queue.SimpleQueue[psutil.Process]()

    def late(worker: WorkerProcess) -> None:
        shelf.close()
        start(worker)
        started.put(psutil.Process(worker.pid))

    monkeypatch.setattr(WorkerProcess, "start", late)
    shelf.download(page, page.choices[0])
    assert psutil.wait_procs([started.get(timeout=PATIENCE)], PATIENCE)[1] == []


def test_a_download_arrives_and_is_in_the_library(hub: LoopbackHub, shelf: Shelf, told: Told, model: bytes) -> None:
    page = shelf.page(REPO).result(PATIENCE)
    number = shelf.download(page, page.choices[0])
    done = told.state("done")
    assert done.id == number
    assert Path(done.path).read_bytes() == model
    whole = told.until(lambda event: complete(event) and any(row.repo == REPO for row in event.rows))
    assert next(row for row in whole.rows if row.repo == REPO).removable
    shelf.forget(number)
    assert shelf.downloads() == ()


def test_pause_and_go_on(hub: LoopbackHub, shelf: Shelf, told: Told, model: bytes) -> None:
    hub.faults.hold_at = 1 << 16
    page = shelf.page(REPO).result(PATIENCE)
    number = shelf.download(page, page.choices[0])
    told.until(lambda event: isinstance(event, DownloadChanged) and event.download.done >= 1 << 16)
    shelf.pause(number)
    paused = told.state("paused")
    assert 0 < paused.done < len(model)
    hub.faults.hold_at = 0
    hub.go.set()
    shelf.resume(number)
    assert Path(told.state("done").path).read_bytes() == model


def test_what_was_not_finished_is_there_again_at_the_next_start(hub: LoopbackHub, home: Home, told: Told, model: bytes) -> None:
    hub.faults.hold_at = 1 << 16
    first = Shelf(home, told.take)
    page = first.page(REPO).result(PATIENCE)
    number = first.download(page, page.choices[0])
    told.until(lambda event: isinstance(event, DownloadChanged) and event.download.done >= 1 << 16)
    first.close()
    hub.faults.hold_at = 0
    hub.go.set()
    again = Told()
    second = Shelf(home, again.take)
    try:
        (left,) = second.downloads()
        assert (left.id, left.state, left.repo) == (number, "paused", REPO)
        assert left.done > 0
        second.resume(number)
        assert Path(again.state("done").path).read_bytes() == model
    finally:
        second.close()


@pytest.mark.parametrize("delete", [False, True])
def test_cancel_keeps_or_throws_away_what_has_arrived(
    hub: LoopbackHub, shelf: Shelf, told: Told, home: Home, model: bytes, tmp_path: Path, delete: bool
) -> None:
    hub.faults.hold_at = 1 << 16
    page = shelf.page(REPO).result(PATIENCE)
    number = shelf.download(page, page.choices[0])
    told.until(lambda event: isinstance(event, DownloadChanged) and event.download.done >= 1 << 16)
    shelf.cancel(number, delete)
    if delete:
        told.until(lambda event: isinstance(event, DownloadChanged) and event.removed)
        assert shelf.downloads() == ()
        assert not list((tmp_path / "hub").rglob("*.part"))
        assert download_plan.jobs(home) == []
    else:
        told.state("cancelled")
        hub.faults.hold_at = 0
        hub.go.set()
        shelf.resume(number)
        assert Path(told.state("done").path).read_bytes() == model


def test_a_failure_says_what_to_do_and_can_be_gone_on_from(hub: LoopbackHub, shelf: Shelf, told: Told, model: bytes) -> None:
    page = shelf.page(REPO).result(PATIENCE)
    hub.faults.answer = "500"
    number = shelf.download(page, page.choices[0])
    failed = told.state("failed")
    assert failed.message
    assert failed.hint
    hub.faults.answer = ""
    shelf.resume(number)
    assert Path(told.state("done").path).read_bytes() == model


# -- estimates


def test_an_estimate_is_the_arithmetics_own(shelf: Shelf, told: Told, home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    devices = find_devices()
    monkeypatch.setattr("playground.session.shelf_fit.find_devices", lambda: devices)
    write_gguf(home.models / "one.gguf", weights=4096)
    shelf.refresh()
    row = next(row for row in told.until(complete).rows if row.place == "own")
    subject = shelf.fits.of_row(row).result(PATIENCE)
    settings = ContextSettings(context=1024, sequences=4, kv_type_k="q8_0", kv_type_v="q8_0")
    held = {"CPU": 1 << 20}
    found = shelf.fits.fit(subject, settings, held).result(PATIENCE)
    engine = fitting.engine_for(settings)
    assert found == fit(subject.shape, settings, devices, held=held, runtime={}, engine=engine)
    largest = shelf.fits.largest(subject, settings, held).result(PATIENCE)
    assert largest == largest_context(Situation(subject.shape, tuple(devices), held, {}, engine=engine), settings)
    plan = TrainingPlan(method="qlora", rank=8)
    assert shelf.fits.training(subject, plan).result(PATIENCE) == training_fit(subject.shape, plan, devices)
    shelf.fits.verdicts([row])
    known = told.until(lambda event: isinstance(event, VerdictsKnown)).verdicts[row.path]
    chip = fit(subject.shape, usual(subject.shape), devices, runtime={}, engine=fitting.engine_for(usual(subject.shape)))
    assert (known.verdict, known.total, known.why) == (chip.verdict, chip.total, chip.why)


def test_a_newer_question_drops_the_ones_that_wait() -> None:
    lane = Lane("test")
    begun, go = threading.Event(), threading.Event()

    def slow() -> str:
        begun.set()
        go.wait(PATIENCE)
        return "first"

    first = lane.submit(slow, "slider")
    assert begun.wait(PATIENCE)
    others = [lane.submit(lambda number=number: number, "slider") for number in range(50)]
    other = lane.submit(lambda: "other", "chips")
    go.set()
    assert first.result(PATIENCE) == "first"
    assert others[-1].result(PATIENCE) == 49
    assert other.result(PATIENCE) == "other"
    assert all(each.cancelled() for each in others[:-1])
    lane.close()


def test_what_the_loaded_model_holds_is_counted_by_device() -> None:
    info = ModelInfo("", "", "", 0, 0, "", 0, 0, 0, 0, 0, False, "", "", "CPU", (
        MemoryTerm("CPU", "weights", 5), MemoryTerm("CPU", "kv_cache", 7), MemoryTerm("CUDA0", "weights", 11),
    ))  # fmt: skip
    assert held_by(info) == {"CPU": 12, "CUDA0": 11}
    assert held_by(None) == {}
