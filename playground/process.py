"""The parent's end of a worker: start it, send commands, hear events, stop it, and say in one sentence how it ended.

A worker is a child process made by `spawn`, named by the module of its role (`playground.workers.llama`), which is imported in the
child only. Commands and events are `protocol` messages. Knows no engine, no window and no database.

What a worker prints (libraries print, and abort with a last word) never reaches the parent's stdout: it arrives as `LogLine`.
"""

from __future__ import annotations

import atexit
import importlib
import logging
import multiprocessing
import os
import queue
import re
import signal
import threading
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from typing import Any

from playground import protocol
from playground.errors import WorkerError
from playground.protocol import Cancel, LogLine, Message, SetPace, SetSampling, Shutdown
from playground.spawning import apart

log = logging.getLogger(__name__)

GRACE_S = 3.0
"""How long a worker may take to stop when asked."""

_KEPT_OUTPUT = 4000
"""Characters of printed output that are kept for the sentence about an abort."""


@dataclass(frozen=True)
class Exit:
    """How a worker ended: a sentence for the user and a way out. `asked`: it was told to stop, nothing to report."""

    code: int
    sentence: str
    hint: str = ""
    asked: bool = False
    output: str = ""
    """the last that it printed"""


class WorkerProcess:
    """One worker. `on_event` and `on_exit` are called from a thread of its own: events in order, then `on_exit` exactly once."""

    def __init__(
        self,
        role_module: str,
        on_event: Callable[[Message], None],
        on_exit: Callable[[Exit], None],
        what: str = "worker",
    ) -> None:
        self.role_module = role_module
        self.what = what
        """how sentences call it: `The <what> crashed.`"""
        self._on_event = on_event
        self._on_exit = on_exit
        self._outbox: queue.SimpleQueue[Message | None] = queue.SimpleQueue()
        self._open: set[int] = set()
        self._lock = threading.Lock()
        self._starting = threading.Lock()
        self._asked = False
        self._overdue = False
        self._ended = threading.Event()
        self._process: Any = None
        self._inbox_thread: threading.Thread | None = None
        self._output = ""
        self._kills_before = 0

    # -- life

    def start(self) -> None:
        """Starts the child; returns before it is ready. WorkerError if the system cannot start one, or the program is at its end."""
        context = multiprocessing.get_context("spawn")
        ends: list[Connection] = []
        try:
            ends += context.Pipe()
            ends += context.Pipe(duplex=False)
            ours, theirs, output, printed = ends
            self._kills_before = _memory_kills()
            process = context.Process(
                target=_child, args=(self.role_module, theirs, printed), name=self.role_module, daemon=False
            )
            with self._starting, _gate, apart():
                if _over:
                    raise OSError("the program is at its end")
                process.start()
                self._process = process
                _alive.add(self)
        except OSError as error:
            for end in ends:
                end.close()
            raise WorkerError(
                f"The {self.what} could not be started: {error}.", "Close other programs and try again."
            ) from error
        theirs.close()
        printed.close()
        self._inbox_thread = threading.Thread(target=self._inbox, args=(ours, output), name=f"{self.what} inbox", daemon=True)
        self._inbox_thread.start()
        threading.Thread(target=self._post, args=(ours,), name=f"{self.what} outbox", daemon=True).start()

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    @property
    def alive(self) -> bool:
        """Started, and its end not yet told."""
        return self._process is not None and not self._ended.is_set()

    def send(self, command: Message) -> None:
        """Queues a command; never blocks. To a worker that has ended it does nothing: `on_exit` says so. TypeError for a non-message."""
        data = protocol.encode(command)
        request = getattr(command, "request", None)
        if request is not None and not isinstance(command, (Cancel, SetSampling, SetPace)):
            with self._lock:
                self._open.add(request)
        self._outbox.put(data)

    def cancel(self, request: int, sequence: int = -1, grace_s: float = GRACE_S) -> None:
        """Asks a request (or one sequence of it) to stop. A whole request that has not answered within `grace_s` ends the worker."""
        self.send(Cancel(request, sequence))
        if sequence == -1:
            timer = threading.Timer(grace_s, self._end_if_open, args=(request,))
            timer.daemon = True
            timer.start()

    def stop(self, grace_s: float = GRACE_S) -> None:
        """Ends the worker: asks, then terminates, then kills. Returns when it is gone and (off its own thread) `on_exit` was called.

        One that is just being started is waited for; one that was never started is left alone.
        """
        with self._starting:
            if self._process is None or self._ended.is_set():
                return
        self._asked = True
        self._outbox.put(protocol.encode(Shutdown()))
        self._end(grace_s)

    # -- inside

    def _end_if_open(self, request: int) -> None:
        with self._lock:
            overdue = request in self._open
        if overdue and not self._ended.is_set():
            log.warning("%s did not stop request %s in time; ending it", self.role_module, request)
            self._overdue = True
            self._end(0.0)

    def _end(self, grace_s: float) -> None:
        if threading.current_thread() is self._inbox_thread:  # called from a callback: waiting would wait for itself
            threading.Thread(target=self._end, args=(grace_s,), daemon=True).start()
            return
        if grace_s and self._ended.wait(grace_s):
            return
        with self._starting:
            if self._process is None:
                return
        self._process.terminate()
        if self._ended.wait(1.0):
            return
        self._process.kill()
        self._ended.wait(5.0)

    def _post(self, connection: Connection) -> None:
        while (data := self._outbox.get()) is not None:
            try:
                connection.send_bytes(data)
            except (OSError, ValueError):
                return  # the inbox sees the end and tells it

    def _inbox(self, connection: Connection, output: Connection) -> None:
        """Reads until the child is gone. Reading stops by the process's end, not by that of the pipes: grandchildren may hold those."""
        sources: list[Any] = [connection, output, self._process.sentinel]
        gone = False
        while not gone or len(sources) > 1:
            ready = wait(sources, timeout=0 if gone else None)
            if gone and ready == [self._process.sentinel]:
                break
            gone = gone or self._process.sentinel in ready
            if connection in ready and not self._read_event(connection):
                sources.remove(connection)
            if output in ready and not self._read_output(output):
                sources.remove(output)
        code = self._exit_code()
        self._outbox.put(None)
        connection.close()
        output.close()
        _alive.discard(self)
        exit = self._explain(code)
        try:
            self._on_exit(exit)
        except Exception:
            log.exception("on_exit of %s failed", self.role_module)
        finally:
            self._ended.set()

    def _exit_code(self) -> int:
        while True:
            self._process.join(0.1)
            code = self._process.exitcode
            if code is not None:  # another thread may be between reaping the child and noting its code
                return int(code)

    def _read_event(self, connection: Connection) -> bool:
        try:
            data = connection.recv_bytes()
        except (EOFError, OSError):
            return False
        for part in protocol.split(data):
            try:
                event = protocol.decode(part)
            except ValueError as error:
                log.warning("ignored from %s: %s", self.role_module, error)
                continue
            if isinstance(event, _ANSWERS):
                with self._lock:
                    self._open.discard(event.request)
            self._tell(event)
        return True

    def _read_output(self, output: Connection) -> bool:
        try:
            data = os.read(output.fileno(), 65536)
        except OSError:
            return False
        text = data.decode("utf-8", "replace")
        self._output = (self._output + text)[-_KEPT_OUTPUT:]
        for line in text.splitlines():
            if line.strip():
                self._tell(LogLine(logging.INFO, line.rstrip()))
        return bool(data)

    def _tell(self, event: Message) -> None:
        try:
            self._on_event(event)
        except Exception:
            log.exception("on_event of %s failed at %s", self.role_module, type(event).__name__)

    def _explain(self, code: int) -> Exit:
        if self._asked and not self._overdue:
            return Exit(code, f"The {self.what} has ended.", asked=True, output=self._output)
        if self._overdue:
            sentence, hint = f"The {self.what} did not stop when asked and was ended.", "Start it again."
        else:
            sentence, hint = explain_exit(code, self.what, self._output, _memory_kills() > self._kills_before)
        return Exit(code, sentence, hint, output=self._output)


_ANSWERS = (
    protocol.Finished,
    protocol.Failed,
    protocol.Loaded,
    protocol.Tokenized,
    protocol.Logits,
    protocol.Scored,
    protocol.Made,
)
"""Events after which nothing more of a request follows."""

_alive: weakref.WeakSet[WorkerProcess] = weakref.WeakSet()
_gate = threading.Lock()
"""held while a child is started: at the program's end each is either ended with the others, or not begun"""
_over = False


def explain_exit(code: int, what: str = "worker", output: str = "", out_of_memory: bool = False) -> tuple[str, str]:
    """Sentence and hint for an exit code (negative: a signal) of a worker that nobody had told to end."""
    name = _signal_name(code)
    if name == "SIGKILL":
        if out_of_memory:
            return f"The system ended the {what} because memory ran out.", "Load it with a smaller context, or a smaller model."
        return (
            f"The {what} was killed from outside, most likely because memory ran out.",
            "Start it again; if it happens again, take a smaller context or a smaller model.",
        )
    if name in ("SIGSEGV", "SIGBUS", "SIGILL", "SIGFPE") or code in (0xC0000005, 0xC000001D):
        kind = {"SIGBUS": "bus error", "SIGILL": "illegal instruction", "SIGFPE": "arithmetic error"}.get(name, "memory fault")
        return f"The {what} crashed ({kind}).", "Start it again; if it happens again, the model file may be damaged."
    if name == "SIGABRT" or code == 0xC0000409:
        said = _last_assertion(output)
        return (
            f"The {what} gave up at an error inside the engine{said}.",
            "The model file is probably damaged: check it, or download it again.",
        )
    if name:
        return f"The {what} was ended from outside ({name}).", "Start it again."
    if code == 0:
        return f"The {what} ended unexpectedly.", "Start it again."
    return f"The {what} failed (exit code {code}).", "Start it again; the log has the details."


def _signal_name(code: int) -> str:
    try:
        return signal.Signals(-code).name if code < 0 else ""
    except ValueError:
        return f"signal {-code}"


def _last_assertion(output: str) -> str:
    """What a library said when it gave up, without the folders it was built in. Python's own word for an abort says less than any other."""
    lines = [line.strip() for line in output.splitlines() if not line.startswith("Fatal Python error")]
    for wanted in (("ASSERT", "terminate called"), ("error", "Error", "ERROR")):
        for line in reversed(lines):
            if any(word in line for word in wanted):
                return ": " + re.sub(r"\S*/", "", line)[:200]
    return ""


def _memory_kills() -> int:
    """How many processes the kernel has killed for memory so far (Linux; elsewhere 0)."""
    try:
        with open("/proc/vmstat", encoding="ascii") as file:
            return next((int(line.split()[1]) for line in file if line.startswith("oom_kill ")), 0)
    except OSError:
        return 0


def _child(role_module: str, connection: Connection, printed: Connection) -> None:
    """The child's first function; everything else of the child is in `workers.base`, which the parent never imports."""
    importlib.import_module("playground.workers.base").run(role_module, connection, printed)


def _end_all() -> None:
    """At the interpreter's end: no worker is left or still comes, and multiprocessing's own wait for children does not hang."""
    global _over
    with _gate:
        _over = True
        left = list(_alive)
    for worker in left:
        worker._asked = True
        worker._end(0.0)


atexit.register(_end_all)
