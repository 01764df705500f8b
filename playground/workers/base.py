"""The child's end of a worker: the connection, the queue of commands, and answers for whatever goes wrong.

A role is a module with `make(link) -> Role`. Knows nothing of what roles do, and imports none of their libraries.
"""

from __future__ import annotations

import importlib
import io
import logging
import os
import signal
import sys
import threading
import traceback
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import Any, Protocol

import psutil

from playground import protocol
from playground.errors import Cancelled, PlaygroundError
from playground.protocol import Cancel, Failed, Finished, LogLine, Message, Shutdown, Started
from playground.workers import waiting

log = logging.getLogger(__name__)

ENVIRONMENT = {
    "GGML_NO_BACKTRACE": "1",  # an abort would start a debugger otherwise
    "OPENBLAS_NUM_THREADS": "1",  # numpy only works on single rows here; its threads would fight the engine's
    **waiting.SPARING,
}
"""Set before any role's library loads, where the user has not set it."""

WATCHED = ("playground.workers.llama",)
"""Roles whose threads may spin as long as `waiting.Waiting` finds the cores free: their library has it look before every piece of work."""

NICENESS = 10
"""Of a role whose module says `BACKGROUND = True`: what takes minutes gives way to the window and to a reply that somebody waits for."""


class Role(Protocol):
    """What a worker can do."""

    def commands(self) -> Mapping[type, Callable[[Any], None]]:
        """A function for each command's class. It sends its answers itself; what it raises becomes `Failed`."""

    def close(self) -> None: ...


class Link:
    """The connection as a role sees it: `send` events, look through waiting commands."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._sending = threading.Lock()
        self._waiting: deque[Message] = deque()
        self._arrived = threading.Condition()
        self._fresh = False
        """whether a command has come since the last `wait`"""
        self.closing = False
        """set as soon as `Shutdown` arrives: whatever runs should end"""

    def send(self, *events: Message) -> None:
        """Sends events, from any thread; several arrive at once. When the parent is gone, so is this process."""
        data = protocol.encode_all(events)
        try:
            with self._sending:
                self._connection.send_bytes(data)
        except OSError:
            os._exit(0)

    @property
    def pending(self) -> bool:
        """Whether any command waits: cheap enough to ask before every token."""
        return bool(self._waiting) or self.closing

    def next(self) -> Message:
        """The next command; waits for it."""
        with self._arrived:
            self._arrived.wait_for(lambda: self._waiting)
            return self._waiting.popleft()

    def take(self, request: int, *kinds: type) -> list[Any]:
        """Takes the waiting commands of these classes that belong to a request, in their order, and leaves the others."""
        with self._arrived:
            mine: list[Any] = []
            others: list[Any] = []
            for each in self._waiting:
                (mine if isinstance(each, kinds) and getattr(each, "request", None) == request else others).append(each)
            if mine:
                self._waiting = deque(others)
        return mine

    def cancelled(self, request: int) -> bool:
        """Whether a whole request should stop. Takes its `Cancel`; those for single sequences stay."""
        if self.closing:
            return True
        with self._arrived:
            for each in self._waiting:
                if isinstance(each, Cancel) and each.request == request and each.sequence == -1:
                    self._waiting.remove(each)
                    return True
        return False

    def wait(self, seconds: float) -> None:
        """Waits until another command arrives, at most so long. One that came since the wait before, perhaps seen already, ends it at once."""
        with self._arrived:
            self._arrived.wait_for(lambda: self._fresh or self.closing, seconds)
            self._fresh = False

    def listen(self) -> None:
        """Reads commands until the parent's end closes, and then ends this process at once, whatever it is doing."""
        while True:
            try:
                data = self._connection.recv_bytes()
            except (EOFError, OSError):
                os._exit(0)
            try:
                command = protocol.decode(data)
            except ValueError as error:
                log.warning("ignored: %s", error)
                continue
            with self._arrived:
                self._waiting.append(command)
                self._fresh = True
                self.closing = self.closing or isinstance(command, Shutdown)
                self._arrived.notify_all()


class _Forward(logging.Handler):
    def __init__(self, link: Link) -> None:
        super().__init__()
        self._link = link

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._link.send(LogLine(record.levelno, self.format(record)))
        except Exception:
            self.handleError(record)


def run(role_module: str, connection: Connection, printed: Connection) -> None:
    """The life of a worker: does not return."""
    _take_output(printed)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl+C in the terminal is the parent's to answer
    if hasattr(signal, "pthread_sigmask"):  # it was blocked until here: see `spawning`
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    watched = waiting.watched(os.environ) if role_module in WATCHED else {}
    for name, value in {**ENVIRONMENT, **watched}.items():
        os.environ.setdefault(name, value)
    link = Link(connection)
    threading.Thread(target=link.listen, name="inbox", daemon=True).start()
    logging.basicConfig(level=logging.INFO, handlers=[_Forward(link)], format="%(name)s: %(message)s", force=True)
    logging.captureWarnings(True)
    link.send(Started(os.getpid(), role_module.rpartition(".")[2]))
    role = _make(role_module, link)
    while True:
        command = link.next()
        if isinstance(command, Shutdown):
            break
        if not isinstance(command, Cancel):
            _do(role, command, link)
    try:
        if isinstance(role, BaseException):
            raise role
        role.close()
    except Exception:
        log.exception("closing failed")
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


def _take_output(printed: Connection) -> None:
    """Everything printed here, by Python or by a library, goes to the parent as log lines."""
    descriptor = printed.fileno() if os.name == "posix" else os.open(os.devnull, os.O_WRONLY)
    for standard in (1, 2):
        os.dup2(descriptor, standard)
    if os.name == "posix":
        printed.close()
    sys.stdout, sys.stderr = _line_writer(1), _line_writer(2)


def _line_writer(descriptor: int) -> io.TextIOWrapper:
    raw = io.FileIO(descriptor, "w", closefd=False)
    return io.TextIOWrapper(io.BufferedWriter(raw), encoding="utf-8", errors="backslashreplace", line_buffering=True)


def _make(role_module: str, link: Link) -> Role | Exception:
    """The role, or the error to answer every command with: a library that is missing must not look like a crash."""
    try:
        module = importlib.import_module(role_module)
        if getattr(module, "BACKGROUND", False):
            _give_way()
        role: Role = module.make(link)
        return role
    except Exception as error:
        log.error("%s", traceback.format_exc())
        return error


def _give_way() -> None:
    with suppress(OSError):
        if sys.platform == "win32":
            psutil.Process().nice(psutil.BELOW_NORMAL_PRIORITY_CLASS)
        else:
            os.nice(NICENESS)  # on Linux of this thread and those it will start


def _do(role: Role | Exception, command: Message, link: Link) -> None:
    request = getattr(command, "request", 0)
    try:
        if isinstance(role, Exception):
            raise role
        act = role.commands().get(type(command))
        if act is not None:
            act(command)
        elif isinstance(command, (protocol.SetSampling, protocol.SetPace)):
            pass  # for a request that has ended meanwhile
        else:
            raise TypeError(f"this worker has no answer to {type(command).__name__}")
    except Cancelled:
        link.send(Finished(request, "cancelled"))
    except PlaygroundError as error:
        link.send(Failed(request, error.kind, error.message, error.hint))
    except MemoryError:
        link.send(
            Failed(
                request, "MemoryShortError", "There is not enough memory for this.", "Close other programs, or ask for less."
            )
        )
    except Exception as error:
        what = f"{type(error).__name__}: {error}".rstrip(": ")
        link.send(
            Failed(
                request,
                "Bug",
                f"Something went wrong inside the program ({what}).",
                "Try again; the log has the details.",
                traceback.format_exc(),
            )
        )
