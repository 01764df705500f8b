"""Writing behind the program's back: in order, told when written, and nothing lost on the way."""

from __future__ import annotations

import queue
import sqlite3
import subprocess
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import pytest

from playground.errors import NotFoundError, StorageError
from playground.history import recorder as recording
from playground.history.recorder import Recorder, StoreTrouble
from playground.history.store import Store
from playground.history.work import nothing
from tests.history.chats import add_chat, child, generation, message, run_child, session, tokens

WAIT = 60


class Told:
    """What a recorder reported, and what followed its writes, in order."""

    def __init__(self) -> None:
        self.troubles: queue.Queue[StoreTrouble | None] = queue.Queue()
        self.then: queue.Queue[object] = queue.Queue()

    def trouble(self) -> StoreTrouble | None:
        return self.troubles.get(timeout=WAIT)

    def next(self) -> object:
        return self.then.get(timeout=WAIT)

    def tell(self, what: object) -> Callable[[], None]:
        return lambda: self.then.put(what)


@pytest.fixture
def told() -> Told:
    return Told()


@contextmanager
def recorder_of(path: Path | None, told: Told) -> Iterator[Recorder]:
    recorder = Recorder(path, told.troubles.put)
    try:
        yield recorder
    finally:
        recorder.close()


def stored(path: Path) -> list[str]:
    with Store(path, read_only=True) as store:
        return sorted(each.id for each in store.sessions())


def test_jobs_are_done_in_order_and_told_after_they_are_written(path: Path, told: Told) -> None:
    with recorder_of(path, told) as recorder:
        assert recorder.ready.result(WAIT)
        seen = []
        for number in range(50):
            recorder.submit(
                lambda store, n=number: store.add_session(session(f"{n:02}")), lambda: seen.append(len(stored(path)))
            )
        assert recorder.submit(lambda store: len(store.sessions())).result(WAIT) == 50
        assert all(count > number for number, count in enumerate(seen))
        assert len(seen) == 50
    assert told.troubles.empty()


def test_jobs_that_wait_together_share_a_commit(path: Path, told: Told) -> None:
    with recorder_of(path, told) as recorder:
        inside, go_on = threading.Event(), threading.Event()
        recorder.submit(lambda store: None, lambda: (inside.set(), go_on.wait(WAIT)))
        assert inside.wait(WAIT)
        counts: list[int] = []
        for number in range(20):
            recorder.submit(
                lambda store, n=number: store.add_session(session(f"{n:02}")), lambda: counts.append(len(stored(path)))
            )
        go_on.set()
        recorder.submit(lambda store: None).result(WAIT)
        assert counts == [20] * 20


def test_what_writes_nothing_keeps_its_place_and_does_not_wait_for_the_disk(path: Path, told: Told) -> None:
    with recorder_of(path, told) as recorder:
        recorder.submit(lambda store: store.add_session(session("one")), told.tell("one"))
        recorder.submit(nothing, told.tell("behind it"))
        assert [told.next(), told.next()] == ["one", "behind it"]
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")  # nobody else can write now
            assert recorder.submit(nothing, told.tell("told")).result(WAIT) is None
            assert told.next() == "told" and recorder.trouble is None
            other.execute("ROLLBACK")
    assert stored(path) == ["one"]


def test_a_job_that_fails_takes_back_only_itself(path: Path, told: Told) -> None:
    def half(store: Store) -> None:
        store.add_session(session("half"))
        store.update_session("nope", title="x")

    with recorder_of(path, told) as recorder:
        recorder.submit(lambda store: store.add_session(session("before")), told.tell("before"))
        failed = recorder.submit(half, told.tell("half"))
        bug = recorder.submit(lambda store: 1 / 0, told.tell("bug"))
        twice = recorder.submit(lambda store: store.add_session(session("before")), told.tell("twice"))
        recorder.submit(lambda store: store.add_session(session("after")), told.tell("after")).result(WAIT)
        assert isinstance(failed.exception(WAIT), NotFoundError)
        assert isinstance(bug.exception(WAIT), ZeroDivisionError)
        assert isinstance(twice.exception(WAIT), sqlite3.IntegrityError)
        assert [told.next(), told.next()] == ["before", "after"]
    assert stored(path) == ["after", "before"]
    assert told.troubles.empty()
    assert told.then.empty()


def test_a_listener_that_fails_stops_nothing(path: Path, told: Told) -> None:
    with recorder_of(path, told) as recorder:
        recorder.submit(lambda store: None, lambda: 1 / 0)
        assert recorder.submit(lambda store: "on").result(WAIT) == "on"


def test_closing_writes_what_is_waiting_and_ends_it(path: Path, told: Told) -> None:
    recorder = Recorder(path, told.troubles.put)
    for number in range(200):
        recorder.submit(lambda store, n=number: store.add_session(session(f"{n}")), told.tell(number))
    assert recorder.close(WAIT)
    assert len(stored(path)) == told.then.qsize() == 200
    late = recorder.submit(lambda store: None)
    assert isinstance(late.exception(WAIT), StorageError)
    assert recorder.close()


def test_a_reader_sees_what_was_told_and_does_not_wait_for_the_writer(path: Path, told: Told) -> None:
    with recorder_of(path, told) as recorder:
        reader = recorder.reader()
        recorder.submit(lambda store: add_chat(store, "s", "a fox"), told.tell("written"))
        assert told.next() == "written"
        inside, go_on = threading.Event(), threading.Event()
        recorder.submit(lambda store: (store.add_session(session("t")), inside.set(), go_on.wait(WAIT)))
        assert inside.wait(WAIT)
        assert [each.id for each in reader.read(lambda store: store.sessions()).result(WAIT)] == ["s"]
        assert isinstance(reader.read(lambda store: store.chat("t")).exception(WAIT), NotFoundError)
        go_on.set()
        reader.close()
        assert isinstance(reader.read(lambda store: None).exception(WAIT), StorageError)


def test_a_reading_job_that_nobody_waits_for_is_spared(path: Path, told: Told) -> None:
    with recorder_of(path, told) as recorder:
        reader = recorder.reader()
        inside, go_on = threading.Event(), threading.Event()
        reader.read(lambda store: (inside.set(), go_on.wait(WAIT)))
        assert inside.wait(WAIT)
        done: list[int] = []
        spared = reader.read(lambda store: done.append(1))
        wanted = reader.read(lambda store: done.append(2))
        assert spared.cancel()
        go_on.set()
        wanted.result(WAIT)
        with pytest.raises(CancelledError):
            spared.result(WAIT)
        assert done == [2]
        reader.close()


def test_all_in_memory(told: Told) -> None:
    with recorder_of(None, told) as recorder:
        reader = recorder.reader()
        recorder.submit(lambda store: add_chat(store, "s", "a fox"))
        assert reader.read(lambda store: store.chat("s")).result(WAIT).messages[0].content == "a fox"
        reader.close()


# -- trouble


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recording, "_PATIENCE_S", 0.05)
    monkeypatch.setattr(recording, "_IMPATIENCE_S", 0.01)
    monkeypatch.setattr(recording, "_RETRY_S", (0.02, 0.1))


@pytest.mark.usefixtures("impatient")
def test_a_locked_database_holds_up_nothing_and_loses_nothing(path: Path, told: Told) -> None:
    with recorder_of(path, told) as recorder:
        reader = recorder.reader()
        recorder.submit(lambda store: add_chat(store, "s", "Hello")).result(WAIT)
        with closing(sqlite3.connect(path)) as other:
            other.execute("BEGIN IMMEDIATE")
            futures = [
                recorder.submit(lambda store, n=number: store.add_message(message(f"m{n}", "fox", "s-0")), told.tell(number))
                for number in range(5)
            ]
            trouble = told.trouble()
            assert trouble is not None
            assert "locked" in trouble.message
            assert trouble.hint
            assert trouble.unsaved >= 1
            assert trouble.opened
            assert [told.next() for _ in range(5)] == [0, 1, 2, 3, 4]
            assert recorder.unsaved == 5
            assert recorder.trouble is not None
            assert not any(future.done() for future in futures)
            assert (
                len(reader.read(lambda store: store.messages("s")).result(WAIT)) == 1
            )  # who holds the lock holds the reading up too
            other.rollback()
        assert told.trouble() is None
        assert all(future.exception(WAIT) is None for future in futures)
        assert recorder.unsaved == 0
        assert [each.id for each in reader.read(lambda store: store.messages("s")).result(WAIT)][1:] == [
            f"m{n}" for n in range(5)
        ]
        assert told.then.empty()
        reader.close()
    assert told.troubles.empty()


@pytest.mark.usefixtures("impatient")
def test_closing_with_work_that_cannot_be_written_says_so(path: Path, told: Told) -> None:
    recorder = Recorder(path, told.troubles.put)
    recorder.submit(lambda store: store.add_session(session("a"))).result(WAIT)
    with closing(sqlite3.connect(path)) as other:
        other.execute("BEGIN IMMEDIATE")
        lost = recorder.submit(lambda store: store.add_session(session("b")))
        assert not recorder.close(WAIT)
        assert isinstance(lost.exception(WAIT), StorageError)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 1 MB of its own."""
    place = tmp_path / "disk"
    place.mkdir()
    try:
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", place], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("only root can mount a small disk here")
    yield place
    subprocess.run(["umount", "-l", place], check=True)


@pytest.mark.usefixtures("impatient")
def test_a_full_disk_holds_up_nothing_and_loses_nothing(small_disk: Path, told: Told) -> None:
    path = small_disk / "playground.db"
    with recorder_of(path, told) as recorder:
        reader = recorder.reader()
        recorder.submit(lambda store: add_chat(store, "s", "Hello", "Hi")).result(WAIT)
        recorder.submit(lambda store: store.add_generation(generation("g", "s-1"))).result(WAIT)
        ballast = small_disk / "ballast"
        with ballast.open("wb", buffering=0) as file, suppress(OSError):
            while True:
                file.write(b"x" * 4096)
        count = 0
        while told.troubles.empty():
            batch = tokens(*(["fox"] * 50), start=count)
            recorder.submit(lambda store, rows=batch: store.append_tokens("g", rows), told.tell(count))
            assert told.next() == count
            count += 50
        trouble = told.trouble()
        assert trouble is not None
        assert "disk is full" in trouble.message
        recorder.submit(lambda store: store.add_message(message("m", "more", "s-1")), told.tell("m"))
        assert told.next() == "m"
        # What was said is read, though it is not on the disk.
        assert len(reader.read(lambda store: store.tokens("g")).result(WAIT)) == count
        assert reader.read(lambda store: store.message("m")).result(WAIT).content == "more"
        ballast.unlink()
        recorder.retry()
        assert told.trouble() is None
        assert len(reader.read(lambda store: store.tokens("g")).result(WAIT)) == count
        reader.close()
    with Store(path) as store:
        assert [each.index for each in store.tokens("g")] == list(range(count))
        assert store.message("m").content == "more"


LIMITED = """
import queue, resource, sys
from pathlib import Path
from playground.history import recorder as recording
from playground.history.recorder import Recorder
from tests.history.chats import add_chat, message
recording._RETRY_S = (0.02, 0.1)
troubles, then = queue.Queue(), queue.Queue()
recorder = Recorder(Path(sys.argv[1]), troubles.put)
recorder.submit(lambda store: add_chat(store, "s", "Hello")).result(60)
soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (600_000, hard))
count = 0
while troubles.empty():
    recorder.submit(lambda store, n=count: store.add_message(message(f"m{n}", f"fox {n} " * 1000, "s-0")), lambda n=count: then.put(n))
    assert then.get(timeout=60) == count
    count += 1
assert troubles.get().message
for count in range(count, count + 5):
    recorder.submit(lambda store, n=count: store.add_message(message(f"m{n}", "fox", "s-0")), lambda n=count: then.put(n))
    assert then.get(timeout=60) == count
assert recorder.unsaved >= 6
resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
assert troubles.get(timeout=60) is None
assert recorder.close(60)
print(count + 1)
"""


def test_a_file_that_may_not_grow(path: Path) -> None:
    pytest.importorskip("resource")
    (count,) = run_child(LIMITED, path)
    with Store(path) as store:
        assert [each.id for each in store.messages("s")] == ["s-0", *(f"m{n}" for n in range(int(count)))]


READ_ONLY = """
import os, queue, sys
from pathlib import Path
from playground.history import migrations, opening, recorder as recording
from playground.history.recorder import Recorder
from playground.history.store import Store
from tests.history.chats import add_chat, session
Store().close()  # everything imported, while it may still be read
if os.getuid() == 0:
    os.setgid(65534), os.setuid(65534)
recording._RETRY_S = (0.02, 0.1)
troubles = queue.Queue()
path = Path(sys.argv[1])
recorder = Recorder(path, troubles.put)
assert recorder.ready.result(60) is False
trouble = troubles.get(timeout=60)
assert str(path) in trouble.message and not trouble.opened, trouble
reader = recorder.reader()
assert reader.read(lambda store: store.chat("s")).result(60).messages[0].content == "Hello"
done = []
recorder.submit(lambda store: store.add_session(session("new")), lambda: done.append(1)).result(60)
assert done == [1]
assert reader.read(lambda store: len(store.sessions())).result(60) == 2
print("ready", flush=True)
input()
recorder.retry()
assert troubles.get(timeout=60) is None
assert reader.read(lambda store: len(store.sessions())).result(60) == 2
reader.close()
print(recorder.close(60))
"""


def test_a_read_only_folder_is_read_and_written_once_it_can_be(path: Path) -> None:
    with Store(path) as store:
        add_chat(store, "s", "Hello")
    for place in (path.parent, *path.parent.parents[:3]):
        place.chmod(0o755)
    path.chmod(0o644)
    path.parent.chmod(0o555)
    with child(READ_ONLY, path) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        path.parent.chmod(0o777)
        path.chmod(0o666)
        process.stdin.write("\n")
        process.stdin.flush()
        assert process.stdout.readline() == "True\n"
    assert stored(path) == ["new", "s"]


@pytest.mark.usefixtures("impatient")
def test_a_damaged_file_is_left_alone_and_memory_takes_its_place(path: Path, told: Told) -> None:
    path.parent.mkdir()
    path.write_bytes(b"not a database " * 1000)
    with recorder_of(path, told) as recorder:
        trouble = told.trouble()
        assert trouble is not None
        assert "damaged" in trouble.message
        assert not trouble.opened
        reader = recorder.reader()
        recorder.submit(lambda store: add_chat(store, "s", "Hello"), told.tell("s")).result(WAIT)
        assert told.next() == "s"
        assert len(reader.read(lambda store: store.chat("s")).result(WAIT).messages) == 1
        assert path.read_bytes().startswith(b"not a database")
        path.rename(path.with_suffix(".old"))  # what the sentence advises
        assert told.trouble() is None
        assert len(reader.read(lambda store: store.chat("s")).result(WAIT).messages) == 1
        reader.close()
    assert stored(path) == ["s"]
