"""One window a data folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from playground.errors import InUseError
from playground.history.lock import WindowLock
from tests.history.chats import child

HOLDER = """
import os, sys
from pathlib import Path
from playground.history.lock import WindowLock
lock = WindowLock(Path(sys.argv[1]))
print(lock.held, os.getpid(), flush=True)
input()
"""


def test_a_second_window_is_told_who_holds_the_folder_until_that_one_dies(tmp_path: Path) -> None:
    path = tmp_path / "data" / ".window.lock"
    with child(HOLDER, path) as process:
        assert process.stdout is not None
        held, pid = process.stdout.readline().split()
        assert held == "True"
        with pytest.raises(InUseError) as caught:
            WindowLock(path)
        assert f"process {pid}" in caught.value.message
        assert str(path.parent) in caught.value.message
        assert caught.value.hint
        process.kill()
        process.wait()
    lock = WindowLock(path)
    assert lock.held
    lock.release()


def test_a_released_lock_can_be_had_again(tmp_path: Path) -> None:
    path = tmp_path / ".window.lock"
    for _ in range(3):
        lock = WindowLock(path)
        assert lock.held
        with pytest.raises(InUseError):
            WindowLock(path)
        lock.release()
        lock.release()
    assert path.read_text() == ""


def test_a_strange_lock_file_is_no_obstacle(tmp_path: Path) -> None:
    path = tmp_path / ".window.lock"
    path.write_bytes(b"\xff\x00what is this?" * 100)
    lock = WindowLock(path)
    assert lock.held
    lock.release()


def test_where_no_lock_can_be_had_the_window_opens_without(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    lock = WindowLock(tmp_path / "file" / ".window.lock")
    assert not lock.held
    lock.release()
