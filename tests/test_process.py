"""The parent's end of a worker: whatever the child does, one sentence comes of it, and nothing is left behind."""

from __future__ import annotations

import os
import queue
import signal
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from multiprocessing.context import SpawnProcess
from pathlib import Path

import psutil
import pytest

from playground import protocol
from playground.process import Exit, WorkerProcess, explain_exit
from tests.workers.talk import PATIENCE, Talk

ROLE = "tests.workers.misbehaving"
ROOT = Path(__file__).parent.parent


@pytest.fixture
def talk() -> Iterator[Talk]:
    talk = Talk(ROLE)
    yield talk
    talk.close()
    assert talk.worker.pid is not None
    assert not psutil.pid_exists(talk.worker.pid)


def ask(talk: Talk, text: str) -> int:
    request = talk.number()
    talk.send(protocol.Tokenize(request, text=text))
    return request


def test_a_worker_starts_answers_and_stops(talk: Talk) -> None:
    started = talk.until(protocol.Started)
    assert started.pid == talk.worker.pid and started.role == "misbehaving"
    for number in range(100):
        ask(talk, str(number))
    assert [talk.until(protocol.Tokenized).text for _ in range(100)] == [str(number) for number in range(100)]
    assert talk.worker.alive
    talk.worker.stop(PATIENCE)
    end = talk.wait_exit()
    assert end.asked and end.code == 0
    assert not talk.worker.alive
    ask(talk, "after the end")  # nothing happens
    talk.close()


@pytest.mark.parametrize(
    ("deed", "code", "said"),
    [
        ("segfault", -signal.SIGSEGV, "The model crashed (memory fault)."),
        ("abort", -signal.SIGABRT, "The model gave up at an error inside the engine: ggml.c:42: GGML_ASSERT(n > 0) failed."),
        ("kill", -signal.SIGKILL, "most likely because memory ran out"),
        ("exit 1", 1, "The model failed (exit code 1)."),
        ("exit 0", 0, "The model ended unexpectedly."),
    ],
)
def test_each_death_is_a_sentence(talk: Talk, deed: str, code: int, said: str) -> None:
    ask(talk, deed)
    end = talk.wait_exit()
    assert end.code == code and said in end.sentence and end.hint and not end.asked


def test_dying_while_events_stream_loses_none_that_were_sent(talk: Talk) -> None:
    for number in range(50):
        ask(talk, str(number))
    ask(talk, "kill")
    assert [talk.until(protocol.Tokenized).text for _ in range(50)] == [str(number) for number in range(50)]
    talk.wait_exit()


@pytest.mark.skipif(os.name != "posix", reason="priorities have other names there")
def test_what_takes_minutes_gives_way_to_what_somebody_waits_for(talk: Talk, tmp_path: Path) -> None:
    ask(talk, "ready")
    talk.until(protocol.Tokenized)
    assert talk.worker.pid is not None
    assert psutil.Process(talk.worker.pid).nice() == psutil.Process().nice()
    background = Talk("playground.workers.convert")
    try:
        background.send(protocol.Convert(background.number(), str(tmp_path / "missing"), str(tmp_path / "out.gguf")))
        background.until(protocol.Failed)
        assert background.worker.pid is not None
        assert psutil.Process(background.worker.pid).nice() == min(19, psutil.Process().nice() + 10)
    finally:
        background.close()


def test_errors_are_answers_and_the_worker_lives(talk: Talk) -> None:
    ask(talk, "raise")
    bug = talk.until(protocol.Failed)
    assert bug.kind == "Bug" and "ZeroDivisionError" in bug.message and "Traceback" in bug.details
    ask(talk, "refuse")
    assert talk.until(protocol.Failed) == protocol.Failed(2, "ModelFileError", "The file is a poem.", "Choose another one.")
    ask(talk, "no memory")
    assert talk.until(protocol.Failed).kind == "MemoryShortError"
    talk.send(protocol.Load(9, "nothing"))
    assert talk.until(protocol.Failed).kind == "Bug"
    ask(talk, "well?")
    assert talk.until(protocol.Tokenized).text == "well?"


def test_a_missing_library_is_said_at_every_command() -> None:
    talk = Talk("tests.workers.missing_library")
    ask(talk, "x")
    assert "a_library_that_is_not_installed" in talk.until(protocol.Failed).message
    ask(talk, "y")
    talk.until(protocol.Failed)
    talk.close()


def test_garbage_from_a_worker_is_ignored(talk: Talk, caplog: pytest.LogCaptureFixture) -> None:
    ask(talk, "garbage")
    beside = [talk.until(protocol.Progress).what for _ in range(2)]
    assert beside == ["beside garbage"] * 2, "what came with it counts"
    assert talk.until(protocol.Tokenized).text == "garbage"
    assert sum("ignored from" in record.message for record in caplog.records) == 7


def test_what_a_worker_prints_is_logged_and_not_printed(talk: Talk, capfd: pytest.CaptureFixture[str]) -> None:
    ask(talk, "print")
    ask(talk, "then")
    talk.until(protocol.Tokenized)
    talk.until(protocol.Tokenized)
    talk.close()
    talk.wait_exit()
    assert {"printed to stdout", "printed to stderr", "raw äöü"} <= {line.text for line in talk.logged}
    assert capfd.readouterr() == ("", "")


def test_a_cancel_that_is_obeyed_leaves_the_worker(talk: Talk) -> None:
    request = ask(talk, "until cancelled")
    talk.until(protocol.Progress)
    talk.worker.cancel(request, grace_s=PATIENCE)
    assert talk.until(protocol.Finished) == protocol.Finished(request, "cancelled")
    ask(talk, "still there")
    talk.until(protocol.Tokenized)


def test_a_cancel_that_is_not_obeyed_ends_the_worker(talk: Talk) -> None:
    request = ask(talk, "hang")
    talk.until(protocol.Progress)
    talk.worker.cancel(request, grace_s=0.1)
    end = talk.wait_exit()
    assert end.code == -signal.SIGKILL and "did not stop when asked" in end.sentence


def test_stop_ends_a_worker_that_hangs(talk: Talk) -> None:
    ask(talk, "hang")
    talk.until(protocol.Progress)
    talk.worker.stop(grace_s=0.1)
    assert talk.wait_exit().asked


def test_a_listener_that_fails_does_not_stop_the_others(caplog: pytest.LogCaptureFixture) -> None:
    heard: list[str] = []
    ended: list[int] = []

    def listen(event: protocol.Message) -> None:
        heard.append(type(event).__name__)
        raise ValueError("a bug in a listener")

    worker = WorkerProcess(ROLE, listen, lambda end: ended.append(end.code))
    worker.start()
    worker.send(protocol.Tokenize(1, text="x"))
    worker.send(protocol.Tokenize(2, text="exit 1"))
    worker._ended.wait(PATIENCE)
    worker.stop()
    assert heard == ["Started", "Tokenized"] and ended == [1]
    assert "a bug in a listener" in caplog.text


PARENT = f"""
import os, queue, sys
sys.path.insert(0, {str(ROOT)!r})
from playground.process import WorkerProcess
from playground import protocol
events = queue.Queue()
worker = WorkerProcess({ROLE!r}, events.put, events.put)
worker.start()
worker.send(protocol.Tokenize(1, text=sys.argv[1]))
while not isinstance(events.get(), (protocol.Progress, protocol.Tokenized)):
    pass
print(worker.pid, flush=True)
"""


def in_a_script(tmp_path: Path, text: str, then: str) -> subprocess.Popen[str]:
    """A parent of its own, without an `if __name__ == "__main__"`."""
    script = tmp_path / "parent.py"
    script.write_text(PARENT + textwrap.dedent(then))
    return subprocess.Popen([sys.executable, str(script), text], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_a_worker_exits_when_its_parent_is_killed(tmp_path: Path) -> None:
    parent = in_a_script(tmp_path, "hang", "events.get()")
    assert parent.stdout is not None and parent.stderr is not None
    worker = psutil.Process(int(parent.stdout.readline()))
    family = psutil.Process(parent.pid).children(recursive=True)
    os.kill(parent.pid, signal.SIGKILL)
    parent.wait(PATIENCE)
    assert worker in family
    _, left = psutil.wait_procs(family, PATIENCE)
    assert left == []
    parent.stdout.close()
    parent.stderr.close()


@pytest.mark.parametrize("text", ["idle", "hang"])
def test_a_program_that_just_ends_does_not_hang_and_leaves_nothing(tmp_path: Path, text: str) -> None:
    parent = in_a_script(tmp_path, text, "")
    out, err = parent.communicate(timeout=PATIENCE)
    assert parent.returncode == 0 and err == ""
    assert not psutil.pid_exists(int(out))


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="counts descriptors as Linux does")
def test_without_descriptors_a_start_is_one_sentence_and_costs_nothing(tmp_path: Path) -> None:
    then = """
        import gc, resource
        from playground.errors import WorkerError
        worker.stop()
        before = len(os.listdir("/proc/self/fd"))
        most, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        for room in range(20):  # one more at each attempt: another step of the start has none
            last = os.open(os.devnull, os.O_RDONLY)
            os.close(last)
            resource.setrlimit(resource.RLIMIT_NOFILE, (last + room, hard))
            worker = WorkerProcess(sys.argv[1], events.put, events.put)
            try:
                worker.start()
                break
            except WorkerError as error:
                assert "could not be started" in error.message
            finally:
                resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
            assert not worker.alive and worker.pid is None
            worker.stop()
        print("refused", room)
        worker.stop()
        del worker
        gc.collect()
        assert len(os.listdir("/proc/self/fd")) <= before
    """
    parent = in_a_script(tmp_path, ROLE, then)
    out, err = parent.communicate(timeout=PATIENCE)
    assert (parent.returncode, err) == (0, "")
    assert int(out.rpartition("refused ")[2]) > 3


def test_no_worker_begins_when_the_program_is_at_its_end(tmp_path: Path) -> None:
    """The interpreter waits for every child that it knows of, and this one would wait for commands."""
    script = tmp_path / "late.py"
    script.write_text(
        f"import atexit, multiprocessing.util, sys\nsys.path.insert(0, {str(ROOT)!r})\n"
        "@atexit.register\n"
        "def late():\n"
        "    try:\n"
        f"        WorkerProcess({ROLE!r}, print, print).start()\n"
        "    except WorkerError as error:\n"
        "        print(error.message)\n"
        "from playground.errors import WorkerError\n"
        "from playground.process import WorkerProcess\n"
    )
    with subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True) as parent:
        try:
            out, _ = parent.communicate(timeout=PATIENCE)
        finally:
            parent.kill()
    assert "could not be started" in out and parent.returncode == 0


def test_stopping_waits_for_a_start_that_is_under_way(monkeypatch: pytest.MonkeyPatch) -> None:
    starting, go = threading.Event(), threading.Event()
    start = SpawnProcess.start

    def slow(process: SpawnProcess) -> None:
        starting.set()
        go.wait(PATIENCE)
        start(process)

    monkeypatch.setattr(SpawnProcess, "start", slow)
    ends: queue.SimpleQueue[Exit] = queue.SimpleQueue()
    worker = WorkerProcess(ROLE, lambda event: None, ends.put)
    with ThreadPoolExecutor(2) as pool:
        started = pool.submit(worker.start)
        starting.wait(PATIENCE)
        stopped = pool.submit(worker.stop, 0.0)
        wait([stopped], 0.5)  # it has come as far as it comes
        go.set()
        started.result(PATIENCE)
        stopped.result(PATIENCE)
    assert ends.get(timeout=PATIENCE).asked and not worker.alive


def test_nothing_of_the_parents_main_runs_in_a_worker(tmp_path: Path) -> None:
    parent = in_a_script(tmp_path, "idle", "print('main ran', flush=True)\nworker.stop()\n")
    out, err = parent.communicate(timeout=PATIENCE)
    assert out.count("main ran") == 1 and err == ""


@pytest.mark.parametrize("code", [-11, -9, -6, -15, -7, -64, 1, 2, 0, 0xC0000005])
def test_every_exit_code_has_a_sentence_and_a_way_out(code: int) -> None:
    sentence, hint = explain_exit(code, "model")
    assert sentence.startswith("The model ") and sentence.endswith(".") and hint.endswith(".")
    assert explain_exit(-9, "model", out_of_memory=True)[0] == "The system ended the model because memory ran out."


def test_what_the_library_said_counts_more_than_pythons_own_word_for_an_abort() -> None:
    printed = (
        "/build/ggml.c:42: GGML_ASSERT(n > 0) failed\nFatal Python error: Aborted\n\nThread 0x01 (most recent call first):\n"
    )
    sentence, hint = explain_exit(-signal.SIGABRT, "model", printed)
    assert sentence == "The model gave up at an error inside the engine: ggml.c:42: GGML_ASSERT(n > 0) failed."
    assert hint
