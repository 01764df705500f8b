"""Downloads for a face: started, paused, gone on with, listed again at the next start. One worker process for each that runs.

What a download is and how it arrives is known in `models` and the worker; here is who is at it, what the face is told, and that no worker
outlives the program. The token is not handled: the worker finds it where it is kept.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from playground.errors import NotFoundError, PlaygroundError
from playground.models import download_plan, places
from playground.models.download_plan import Job
from playground.models.files import Choice
from playground.models.hub import ModelPage
from playground.paths import Home
from playground.process import Exit, WorkerProcess
from playground.protocol import (
    Cancel,
    CancelDownload,
    Download,
    DownloadDone,
    DownloadProgress,
    Failed,
    Finished,
    PauseDownload,
    ResumeDownload,
)
from playground.session.shelf_lane import Lane

log = logging.getLogger(__name__)

AT_ONCE = 3
"""downloads that run side by side; more wait in line"""
TELL_S = 0.2
"""a face hears of progress at most this often for each download"""

State = Literal[
    "queued", "asking", "waiting", "checking", "loading", "retrying", "pausing", "paused", "failed", "cancelled", "done"
]
RUNNING = ("asking", "waiting", "checking", "loading", "retrying", "pausing")


@dataclass(frozen=True)
class Downloading:
    """One download as a face shows it. Sizes in bytes, `rate` in bytes a second, `seconds_left` -1 when it cannot be said."""

    id: str
    repo: str
    label: str
    state: State
    done: int
    total: int
    rate: float = 0.0
    seconds_left: float = -1.0
    message: str = ""
    hint: str = ""
    path: str = ""
    """where the model is, once it is done"""
    files: tuple[str, ...] = ()

    @property
    def fraction(self) -> float:
        return min(1.0, self.done / self.total) if self.total else 0.0

    @property
    def running(self) -> bool:
        return self.state in RUNNING


@dataclass(frozen=True)
class DownloadChanged:
    """A download is new, has come further, or is `removed` from the list."""

    download: Downloading
    removed: bool = False


@dataclass
class _Held:
    """One download and who is at it."""

    shown: Downloading
    worker: WorkerProcess | None = None
    told: float = 0.0
    wanted: str = ""
    """`pause`, `cancel` or `remove`, asked for while the worker was at it"""
    begun: bool = False
    """the worker was told what to get"""
    ended: threading.Event = field(default_factory=threading.Event)


class Downloads:
    """See the module's docstring. `arrived` hears of every model that is there now."""

    def __init__(self, home: Home, tell: Callable[[Any], None], arrived: Callable[[], None] = lambda: None) -> None:
        self._home, self._tell, self._arrived = home, tell, arrived
        self._lock = threading.RLock()
        self._held: dict[str, _Held] = {}
        self._leaving: set[WorkerProcess] = set()
        self._lane = Lane("downloads", 2)
        self._closed = False
        self._listed = False

    def list(self) -> tuple[Downloading, ...]:
        """Every download of this session, and the unfinished ones of earlier ones; the newest first."""
        with self._lock:
            if not self._listed:
                self._listed = True
                for job in reversed(download_plan.unfinished(self._home)):
                    self._held.setdefault(job.id, _Held(_of_job(job)))
            return tuple(each.shown for each in reversed(self._held.values()))

    def start(self, page: ModelPage, choice: Choice) -> str:
        """Gets a choice of a model's page. Returns the download's id; one that was begun before goes on where it was."""
        if not choice.complete:
            raise PlaygroundError(f"{choice.label} lacks some of its parts on the hub.", "Choose another file.")
        if choice.kind == "pickle":
            raise PlaygroundError("Files of this kind can run code when they are opened.", "Choose a GGUF or safetensors file.")
        self.list()
        cache = str(places.hugging_face_cache())
        number = download_plan.job_id(page.repo, page.revision, choice.files, cache)
        try:
            job = replace(download_plan.load(self._home, number), files=choice.files, label=choice.label, state="paused")
        except NotFoundError:
            job = Job(number, page.repo, page.revision, choice.files, cache, page.commit, choice.label, created=time.time())
        with self._lock:
            held = self._held.get(number)
            if held is not None and held.shown.running:
                return number
            download_plan.save(self._home, replace(job, message="", hint="", path="", pid=0))
            self._held.pop(number, None)
            self._held[number] = _Held(_of_job(replace(job, state="paused", message="", hint="", path="")))
            self.resume(number)
        return number

    def resume(self, number: str) -> None:
        """Goes on with a paused, failed or cancelled download, or one of an earlier start."""
        with self._lock:
            held = self._need(number)
            if held.worker is not None:
                held.wanted = ""
                if held.begun:
                    held.worker.send(ResumeDownload(1))
                return
            self._show(held, state="queued", message="", hint="", rate=0.0, seconds_left=-1.0)
            self._start_next()

    def pause(self, number: str) -> None:
        """Closes the line; what has arrived stays."""
        with self._lock:
            held = self._need(number)
            if held.worker is None:
                if held.shown.state == "queued":
                    self._show(held, state="paused")
                return
            held.wanted = "pause"
            if held.begun:
                held.worker.send(PauseDownload(1))
            if held.shown.running:
                self._show(held, state="pausing", rate=0.0, seconds_left=-1.0)

    def cancel(self, number: str, delete: bool = False) -> None:
        """Ends a download. `delete`: what has arrived of unfinished files goes too, and the download leaves the list."""
        with self._lock:
            held = self._need(number)
            held.wanted = "remove" if delete else "cancel"
            worker = held.worker
            if worker is not None:  # one that is just being started looks at `wanted` itself
                if held.begun:
                    worker.send(CancelDownload(1, delete))
                    self._lane.submit(lambda: self._end(held, worker))
                return
        self._lane.submit(lambda: self._put_away(held))

    def forget(self, number: str) -> None:
        """Takes a finished or cancelled download off the list; its files stay."""
        with self._lock:
            held = self._need(number)
            if held.worker is None:
                del self._held[number]
                if held.shown.state not in ("done",):  # the note of a finished one says that its files are ours
                    download_plan.forget(self._home, number)
                self._tell(DownloadChanged(held.shown, removed=True))

    def close(self) -> None:
        """Ends all workers; what has arrived stays, and the downloads are found again at the next start."""
        with self._lock:
            self._closed = True
            workers = [*self._leaving, *(held.worker for held in self._held.values() if held.worker is not None)]
        self._lane.close()
        enders = [threading.Thread(target=worker.stop, args=(2.0,), daemon=True) for worker in workers]
        for ender in enders:
            ender.start()
        for ender in enders:
            ender.join(4.0)

    # -- inside

    def _need(self, number: str) -> _Held:
        self.list()
        held = self._held.get(number)
        if held is None:
            raise NotFoundError("There is no such download any more.")
        return held

    def _start_next(self) -> None:
        """Starts as many of the waiting downloads as may run. (Under the lock.)"""
        running = sum(held.worker is not None and held.shown.state != "paused" for held in self._held.values())
        for held in tuple(self._held.values()):
            if running >= AT_ONCE or self._closed:
                return
            if held.shown.state == "queued" and held.worker is None:
                running += 1
                self._begin(held)

    def _begin(self, held: _Held) -> None:
        number = held.shown.id
        worker = WorkerProcess(
            "playground.workers.download",
            lambda event: self._event(held, worker, event),
            lambda ended: self._exit(held, worker, ended),
            "download",
        )
        held.worker, held.wanted, held.begun, held.ended = worker, "", False, threading.Event()
        self._show(held, state="asking")

        def go() -> None:  # starting a process takes long enough to be seen in a window
            try:
                worker.start()
            except PlaygroundError as error:
                with self._lock:
                    self._show(held, state="failed", message=error.message, hint=error.hint)
                    self._over(held, worker)
                return
            with self._lock:
                if not self._closed and held.wanted not in ("cancel", "remove"):
                    held.begun = True
                    worker.send(Download(1, str(self._home.root), job=number))
                    if held.wanted == "pause":
                        worker.send(PauseDownload(1))
                    return
                self._over(held, worker)  # cancelled before it knew what to get
                closed = self._closed
            if closed:  # whoever closed found nothing yet to end
                worker.stop(1.0)

        self._lane.submit(go)

    def _event(self, held: _Held, worker: WorkerProcess, event: Any) -> None:
        with self._lock:
            if held.worker is not worker:
                return
            if isinstance(event, DownloadProgress):
                self._progress(held, event)
            elif isinstance(event, DownloadDone):
                self._show(held, state="done", done=event.bytes, total=event.bytes, path=event.path, rate=0.0, message="")
            elif isinstance(event, Failed):
                if event.kind == "Bug":
                    log.error("download failed: %s\n%s", event.message, event.details)
                if held.wanted not in ("cancel", "remove"):
                    self._show(held, state="failed", message=event.message, hint=event.hint, rate=0.0, seconds_left=-1.0)
            if isinstance(event, (Failed, Finished)):
                self._over(held, worker)
        if isinstance(event, DownloadDone):
            self._arrived()

    def _over(self, held: _Held, worker: WorkerProcess) -> None:
        """The worker is done with this download, which another one can go on with from now on. (Under the lock.)"""
        if held.worker is not worker:
            return
        held.worker = None
        held.ended.set()
        self._leaving.add(worker)
        self._lane.submit(lambda: worker.stop(1.0))
        if held.wanted in ("cancel", "remove"):
            self._lane.submit(lambda: self._put_away(held))
        if not self._closed:
            self._start_next()

    def _progress(self, held: _Held, event: DownloadProgress) -> None:
        state: Any = event.state
        if held.wanted == "pause" and state in RUNNING:
            state = "pausing"
        if state == "paused":
            held.wanted = ""
        if state == held.shown.state and time.monotonic() - held.told < TELL_S:
            return
        still = state in ("paused", "pausing")
        self._show(
            held,
            state=state,
            done=max(event.done, held.shown.done) if state in ("asking", "checking") else event.done,
            total=event.total or held.shown.total,
            rate=0.0 if still else event.rate,
            seconds_left=-1.0 if still else event.seconds_left,
            message=event.message,
        )
        if state == "paused":
            self._start_next()

    def _exit(self, held: _Held, worker: WorkerProcess, ended: Exit) -> None:
        with self._lock:
            self._leaving.discard(worker)
            if self._closed or held.worker is not worker:
                return
            if held.wanted not in ("cancel", "remove"):
                self._show(
                    held,
                    state="failed",
                    message=ended.sentence,
                    hint="Go on: what has arrived is kept.",
                    rate=0.0,
                    seconds_left=-1.0,
                )
            self._over(held, worker)

    def _end(self, held: _Held, worker: WorkerProcess) -> None:
        """Gives a cancelled worker a moment to tidy up, then ends it; `_exit` does the rest."""
        if not held.ended.wait(2.0):
            worker.send(Cancel(1))
        worker.stop(1.0)

    def _put_away(self, held: _Held) -> None:
        """After a cancelled download has no worker any more."""
        number, remove = held.shown.id, held.wanted == "remove"
        with suppress(NotFoundError):
            job = download_plan.load(self._home, number)
            if remove:
                _remove_parts(job)
                download_plan.forget(self._home, number)
            elif job.state != "done":
                download_plan.save(self._home, replace(job, state="cancelled", pid=0))
        with self._lock:
            held.wanted = ""
            if remove:
                self._held.pop(number, None)
                self._tell(DownloadChanged(held.shown, removed=True))
            elif held.shown.state != "done":
                self._show(held, state="cancelled", rate=0.0, seconds_left=-1.0, message="")

    def _show(self, held: _Held, **changes: Any) -> None:
        held.shown = replace(held.shown, **changes)
        held.told = time.monotonic()
        if not self._closed:
            self._tell(DownloadChanged(held.shown))


def _of_job(job: Job) -> Downloading:
    state: State = "failed" if job.state == "failed" else "paused"
    message, hint = job.message, job.hint
    if job.alive:
        message, hint = "Another program of ours is getting it right now.", ""
    files = tuple(file.path for file in job.files)
    return Downloading(job.id, job.repo, job.label, state, job.done, job.total, message=message, hint=hint, files=files)


class _NoWatch:
    """Nobody follows a transfer that only puts its part away."""

    def stopped(self) -> bool:
        return True

    def arrived(self, count: int) -> None: ...

    def doing(self, state: str, message: str = "") -> None: ...

    def wait(self, seconds: float) -> None: ...


def _remove_parts(job: Job) -> None:
    from playground.models import fetch

    origin = fetch.Origin(job.repo, job.revision, job.commit, Path(job.cache))
    for file in job.files:
        with suppress(OSError):
            fetch.Transfer(origin, file, _NoWatch()).remove_part()


__all__ = ["AT_ONCE", "RUNNING", "DownloadChanged", "Downloading", "Downloads"]
