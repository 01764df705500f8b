"""The program as a process: one window a data folder, faults told and survived, a clean end."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from playground.gui.notify import BUG, Catcher
from playground.paths import Home

HERE = Path(__file__).parent
PROGRAM = """
import sys, threading
sys.path.insert(0, sys.argv[1])
import playground.gui.app as app
from PySide6.QtCore import QTimer
from fake_session import FakeSession
import types
module = types.ModuleType("playground.session")
module.Session = FakeSession
sys.modules["playground.session"] = module
from playground.gui.window import Window
attach, front = Window.attach, Window.come_to_front
Window.attach = lambda self, session: (attach(self, session), print("attached", flush=True))
Window.come_to_front = lambda self: (front(self), print("front", flush=True))
sys.exit(app.main([]))
"""


def start(home: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(HERE)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "QT_QPA_PLATFORM": "offscreen", "PLAYGROUND_HOME": str(home)},
        cwd=HERE.parents[1],
    )


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_a_second_start_brings_the_first_window_to_the_front_and_ctrl_c_ends_it(tmp_path: Path) -> None:
    first = start(tmp_path)
    try:
        assert first.stdout is not None
        assert first.stdout.readline().strip() == "attached"
        second = start(tmp_path)
        out, err = second.communicate(timeout=120)
        assert second.returncode == 1
        assert out == ""
        assert len([line for line in err.splitlines() if "Another Playground window" in line]) == 1
        assert "Traceback" not in err
        assert first.stdout.readline().strip() == "front"
        first.send_signal(signal.SIGINT)
        assert first.wait(120) == 0
        assert (tmp_path / "settings.json").is_file()
        assert (tmp_path / "logs" / "playground.log").is_file()
    finally:
        first.kill()
        first.communicate()


FAULTY = PROGRAM.replace(
    "sys.exit(app.main([]))",
    """
from PySide6.QtCore import QEvent
from PySide6.QtWidgets import QApplication, QWidget

def in_a_slot():
    raise ZeroDivisionError("in a slot")

def in_a_thread():
    raise LookupError("in a thread")

class Deaf(QWidget):
    def event(self, event):
        if event.type() == QEvent.Type.User:
            raise ArithmeticError("in an event handler")
        return super().event(event)

def look(window, steps):
    if steps:
        steps.pop(0)()
        QTimer.singleShot(0, lambda: look(window, steps))
    elif not window.notices():
        QTimer.singleShot(10, lambda: look(window, steps))
    else:
        print(*window.notices(), sep="|", flush=True)
        print("visible" if window.isVisible() else "gone", flush=True)
        window.close()

inner = Window.attach
def begin(window, session):
    inner(window, session)
    window.deaf = Deaf(window)
    thread = threading.Thread(target=in_a_thread)
    QTimer.singleShot(0, in_a_slot)
    QTimer.singleShot(0, lambda: look(window, [
        lambda: QApplication.postEvent(window.deaf, QEvent(QEvent.Type.User)),
        thread.start, thread.join,
    ]))
Window.attach = begin
sys.exit(app.main([]))
""",
)


def test_exceptions_in_slots_and_threads_are_logged_whole_and_the_window_lives_on(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", FAULTY, str(HERE)],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, "QT_QPA_PLATFORM": "offscreen", "PLAYGROUND_HOME": str(tmp_path)},
        cwd=HERE.parents[1],
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["attached", BUG, "visible"]
    log = (tmp_path / "logs" / "playground.log").read_text()
    for words in ("in a slot", "in a thread", "in an event handler"):
        assert words in log
    assert log.count("Traceback") >= 3


@pytest.fixture
def catcher(window, home: Home):
    before = list(logging.getLogger().handlers)
    made = Catcher(window, home)
    made.install()
    yield made
    made.remove()
    for handler in set(logging.getLogger().handlers) - set(before):
        logging.getLogger().removeHandler(handler)
        handler.close()


def test_what_nobody_caught_is_logged_whole_and_told_in_one_sentence(window, catcher, home: Home, qtbot) -> None:
    with qtbot.captureExceptions():
        try:
            raise ZeroDivisionError("seven by nothing")
        except ZeroDivisionError as error:
            catcher._uncaught(type(error), error, error.__traceback__)
        qtbot.waitUntil(lambda: BUG in window.notices())
    text = (home.logs / "playground.log").read_text()
    assert "seven by nothing" in text
    assert "Traceback" in text
    assert window.isVisible()


def test_a_thread_that_dies_is_told_too(window, catcher, home: Home, qtbot) -> None:
    thread = threading.Thread(target=lambda: [][1], name="unlucky")
    thread.start()
    thread.join()
    qtbot.waitUntil(lambda: BUG in window.notices())
    assert "IndexError" in (home.logs / "playground.log").read_text()


def test_a_log_that_cannot_be_written_is_no_reason_to_stop(window, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    before = list(logging.getLogger().handlers)
    other = Catcher(window, Home(tmp_path / "file"))
    other.start_log()
    for handler in set(logging.getLogger().handlers) - set(before):
        logging.getLogger().removeHandler(handler)
