"""One step of a job: a worker is started, told what to do, and followed to its end. Blocks the thread that calls it.

Knows what a step answers (`Progress`, `Made`, `QualityMeasured`, `Failed`), not what any of them do.
"""

from __future__ import annotations

import logging
import queue
import shutil
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from playground.errors import Cancelled, WorkerError, from_kind
from playground.models import beside
from playground.process import Exit, WorkerProcess
from playground.protocol import Cancel, Failed, Finished, LogLine, Made, Message, Progress, QualityMeasured, QualityRow

log = logging.getLogger(__name__)

CANCEL_S = 0.5
"""a cancelled worker may tidy up for so long, then it is ended"""
REQUEST = 1


@dataclass(frozen=True)
class Step:
    """`command` for a worker of the role `module`; `share` is its part of the whole job, in any unit."""

    what: str
    module: str
    command: Message
    share: float = 1.0
    target: str = ""
    """what it makes: what lies half-made beside it is removed when the worker had to be ended"""
    word: str = "worker"
    """how sentences call the worker: `The <word> crashed.`"""


@dataclass
class Outcome:
    """What a step gave."""

    made: Made | None = None
    rows: list[QualityRow] = field(default_factory=list)
    other: list[Message] = field(default_factory=list)


class Stop:
    """Somebody's wish that a job ends. `now` may be called from any thread, as often as one likes."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._worker: WorkerProcess | None = None
        self.wanted = False

    def now(self) -> None:
        with self._lock:
            self.wanted = True
            worker = self._worker
        if worker is not None:
            worker.send(Cancel(REQUEST))
            timer = threading.Timer(CANCEL_S, worker.stop, args=(0.0,))
            timer.daemon = True
            timer.start()

    def hold(self, worker: WorkerProcess | None) -> None:
        """The worker that has to end. Cancelled if the wish came before."""
        with self._lock:
            self._worker = worker
            wanted = self.wanted
        if wanted and worker is not None:
            raise Cancelled("Cancelled.")


def run_step(
    step: Step, stop: Stop, tell: Callable[[float, str], None], more: Callable[[Message], None] | None = None
) -> Outcome:
    """Runs a step to its end. `tell` hears fraction (-1 unknown) and words, `more` every other event.

    Raises Cancelled, or the error that the worker named, or WorkerError for one that died.
    """
    target = Path(step.target) if step.target else None
    before = _beside(target)
    heard: queue.SimpleQueue[Any] = queue.SimpleQueue()
    worker = WorkerProcess(step.module, heard.put, heard.put, step.word)
    whole = False
    try:
        stop.hold(worker)
        worker.start()
        stop.hold(worker)  # one that was not started yet could not be stopped
        worker.send(step.command)
        outcome = _follow(heard, stop, tell, more)
        whole = True
        return outcome
    finally:
        stop.hold(None)
        worker.stop(1.0 if whole else CANCEL_S)
        if not whole:
            remove_new(target, before)


def _follow(
    heard: queue.SimpleQueue[Any], stop: Stop, tell: Callable[[float, str], None], more: Callable[[Message], None] | None
) -> Outcome:
    outcome = Outcome()
    while True:
        event = heard.get()
        match event:
            case Progress():
                tell(event.fraction, event.what)
            case QualityMeasured():
                outcome.rows.append(event.row)
                if more is not None:
                    more(event)
            case Made():
                outcome.made = event
                return outcome
            case Finished(outcome="cancelled"):
                raise Cancelled("Cancelled.")
            case Finished():
                return outcome
            case Failed():
                if event.kind == "Bug":
                    log.error("a step failed: %s\n%s", event.message, event.details)
                raise from_kind(event.kind, event.message, event.hint)
            case Exit():
                if stop.wanted or event.asked:
                    raise Cancelled("Cancelled.")
                raise WorkerError(event.sentence, event.hint)
            case LogLine():
                log.log(event.level, "%s", event.text)
            case _:
                outcome.other.append(event)


def _beside(target: Path | None) -> set[str]:
    """Names in the target's folder that are made of its own."""
    if target is None:
        return set()
    with suppress(OSError):
        return {each.name for each in target.parent.iterdir() if target.name in each.name}
    return set()


def remove_new(target: Path | None, before: set[str]) -> None:
    """Removes what has come into being beside a target, under a name made of its own, while a worker was at it that was ended.

    Another program may be making a file of that name: what is half-made by a process that lives stays.
    """
    for name in _beside(target) - before:
        if target is not None and name != target.name and not beside.at_work(name):
            path = target.parent / name
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path, ignore_errors=True)
            else:
                with suppress(OSError):
                    path.unlink()


__all__ = ["CANCEL_S", "REQUEST", "Outcome", "Step", "Stop", "remove_new", "run_step"]
