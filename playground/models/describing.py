"""Headers of many models at once, by two processes: reading them is Python's work, and one interpreter keeps one core busy.

The caller goes through the models from the front; a helper process is handed stretches from the back, until they meet. A helper that
dies or says nonsense costs nothing but its help. What is asked for and answered is JSON.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from playground.errors import ModelFileError
from playground.models.details import Details, describe

if TYPE_CHECKING:
    from multiprocessing.connection import Connection
    from multiprocessing.process import BaseProcess

WORTH_IT = 300
"""Starting a process costs as much as reading so many headers."""
STRETCH = 48

Known = dict[str, Any]
"""`{"details": {...}}`, or `{"problem", "hint"}` for a damaged model"""


def look_at(path: Path, fields: Sequence[str]) -> Known:
    """What the headers of one model say."""
    try:
        details: Details = describe(path)
    except ModelFileError as error:
        return {"problem": error.message, "hint": error.hint}
    return {"details": {name: getattr(details, name) for name in fields}}


def look_at_all(
    paths: Sequence[Path], fields: Sequence[str], stopped: Callable[[], bool] = lambda: False
) -> Iterator[tuple[Path, Known]]:
    """What the headers of all of them say, in the order in which it is found out; the helper is ended with the iteration."""
    helper = _Helper(fields) if len(paths) >= WORTH_IT and (os.cpu_count() or 1) > 1 else None
    front, back = 0, len(paths)
    lent: Sequence[Path] = ()
    try:
        while (front < back or lent) and not stopped():
            if helper is not None and lent and (front >= back or helper.has_answered):
                answer = helper.answer()
                if answer is None:  # it died: what it had is ours to do
                    helper, answer = None, [look_at(path, fields) for path in lent]
                yield from zip(lent, answer, strict=True)
                lent = ()
            if helper is not None and not lent and back - front > STRETCH:
                lent, back = paths[back - STRETCH : back], back - STRETCH
                if not helper.ask(lent):
                    helper = None
                    yield from ((path, look_at(path, fields)) for path in lent)
                    lent = ()
            if front < back:
                yield paths[front], look_at(paths[front], fields)
                front += 1
    finally:
        if helper is not None:
            helper.close()


class _Helper:
    def __init__(self, fields: Sequence[str]) -> None:
        import multiprocessing  # not worth its time where no process is started

        from playground.spawning import apart

        forked = _may_fork()
        context = multiprocessing.get_context("fork") if forked else multiprocessing.get_context("spawn")
        self._ours, theirs = context.Pipe()
        self._process: BaseProcess = context.Process(
            target=_help, args=(theirs, list(fields), self._ours if forked else None), name="headers", daemon=True
        )
        self._lent = 0
        try:
            with apart(forked):
                self._process.start()
        except (OSError, AssertionError):  # no process to be had, or not from here
            self._ours.close()
        theirs.close()

    @property
    def has_answered(self) -> bool:
        try:
            return self._ours.poll(0)
        except OSError:
            return True

    def ask(self, paths: Sequence[Path]) -> bool:
        self._lent = len(paths)
        try:
            self._ours.send_bytes(json.dumps([os.fspath(path) for path in paths]).encode("utf-8", "surrogatepass"))
        except OSError:
            return False
        return True

    def answer(self) -> list[Known] | None:
        try:
            found = json.loads(self._ours.recv_bytes())
        except (EOFError, OSError, ValueError):
            return None
        return found if isinstance(found, list) and len(found) == self._lent else None

    def close(self) -> None:
        self._ours.close()
        if self._process.pid is not None:
            self._process.kill()  # it holds nothing but what it reads
            self._process.join(2)
            self._process.close()


def _may_fork() -> bool:
    """Whether this process has one thread only, of Python's or of a library's: a copy of it works, and is there at once."""
    try:
        return sys.platform == "linux" and len(os.listdir("/proc/self/task")) == 1
    except OSError:
        return False


def _help(connection: Connection, fields: list[str], theirs: Connection | None) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # whoever asks is told, and ends this
    if theirs is not None:  # came along with the fork: open here, it would hide that whoever asks has gone
        theirs.close()
    try:
        while True:
            paths = json.loads(connection.recv_bytes().decode("utf-8", "surrogatepass"))
            answer = [look_at(Path(path), fields) for path in paths]
            connection.send_bytes(json.dumps(answer, separators=(",", ":")).encode("utf-8", "surrogatepass"))
    except (EOFError, OSError):
        pass  # whoever asked has gone
