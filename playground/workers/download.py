"""The download worker: one job at a time, several of its files at once; pause, resume, cancel, and a note on disk of where it is.

How one file arrives is `models.fetch`; what a job is, `models.download_plan`. Here are the threads, the progress and the answers. A
worker that is killed at any moment leaves a job that the next one goes on with.
"""

from __future__ import annotations

import dataclasses
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

from playground.errors import Cancelled, PlaygroundError
from playground.models import download_plan, fetch, fetch_disk
from playground.models import token as tokens
from playground.models.download_plan import Job
from playground.models.files import RepoFile
from playground.models.hub import Hub
from playground.paths import Home
from playground.protocol import (
    CancelDownload,
    Download,
    DownloadDone,
    DownloadProgress,
    Finished,
    PauseDownload,
    ResumeDownload,
)

AT_ONCE = 3
"""Files of one job that arrive side by side."""

TELL_S = 0.25
NOTE_S = 2.0
RATE_OVER_S = 5.0


class DownloadRole:
    """What this worker can do."""

    def __init__(self, link: Any) -> None:
        self._link = link

    def commands(self) -> Mapping[type, Callable[[Any], None]]:
        return {
            Download: self._download,
            PauseDownload: self._too_late,
            ResumeDownload: self._too_late,
            CancelDownload: self._too_late,
        }

    def close(self) -> None: ...

    def _too_late(self, command: Any) -> None:
        """For a download that has ended meanwhile."""

    def _download(self, command: Download) -> None:
        _Running(self._link, command).run()


def make(link: Any) -> DownloadRole:
    return DownloadRole(link)


class _Tally:
    """Bytes that arrived, and how fast lately."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.done = 0
        self._loaded: deque[tuple[float, int]] = deque()

    def add(self, count: int, loading: bool) -> None:
        with self._lock:
            self.done += count
            if loading and count > 0:  # what is read from disk is no rate of the line
                self._loaded.append((time.monotonic(), count))

    def rate(self) -> float:
        """Bytes a second over the last seconds."""
        now = time.monotonic()
        with self._lock:
            while self._loaded and self._loaded[0][0] < now - RATE_OVER_S:
                self._loaded.popleft()
            if not self._loaded:
                return 0.0
            return sum(count for _, count in self._loaded) / max(0.5, now - self._loaded[0][0])


class _FileWatch:
    """What one transfer tells, gathered for the job."""

    def __init__(self, file: RepoFile, tally: _Tally, stop: threading.Event) -> None:
        self.file = file
        self.state, self.message = "", ""
        self._tally, self._stop = tally, stop

    def stopped(self) -> bool:
        return self._stop.is_set()

    def arrived(self, count: int) -> None:
        self._tally.add(count, self.state == "loading")

    def doing(self, state: str, message: str = "") -> None:
        self.state, self.message = state, message

    def wait(self, seconds: float) -> None:
        self._stop.wait(seconds)


class _Running:
    """One job from its command to its answer."""

    def __init__(self, link: Any, command: Download) -> None:
        self._link, self._command = link, command
        self._home = Home(Path(command.home))
        self._tally = _Tally()
        self._stop = threading.Event()
        self._job: Job | None = None
        self._noted = 0.0
        self._remove = False

    def run(self) -> None:
        self._say("asking")
        try:
            self._job = job = self._plan()
            self._note(state="running", pid=os.getpid(), message="", hint="")
            origin = fetch.Origin(job.repo, job.revision, job.commit, Path(job.cache), tokens.current())
            fetch_disk.check_room(Path(job.cache), job.total - _there(origin, job), job.repo)
            self._load(origin)
        except Cancelled:
            raise
        except PlaygroundError as error:
            error.message, error.hint = tokens.scrub(error.message), tokens.scrub(error.hint)
            if self._job:
                self._note(state="failed", message=error.message, hint=error.hint, done=self._tally.done)
            raise

    def _plan(self) -> Job:
        """Asks the hub anew also for a job that goes on: a file that has changed there is another file."""
        command, hub = self._command, Hub()
        if not command.job:
            job = download_plan.plan(hub.model(command.repo, command.revision), command.files, command.cache)
        else:
            old = download_plan.load(self._home, command.job)
            page = hub.model(old.repo, old.revision)
            now = {file.path: file for file in page.files}
            files = tuple(now.get(file.path, file) for file in old.files)
            job = dataclasses.replace(old, files=files, commit=page.commit)
        return job

    def _load(self, origin: fetch.Origin) -> None:
        """Runs the transfers until all are through; answers commands meanwhile."""
        assert self._job is not None
        transfers = [(fetch.Transfer(origin, file, watch), watch) for file in self._job.files if (watch := self._watch(file))]
        paths: dict[str, Path] = {}
        while True:
            outcome = self._round([each for each in transfers if each[1].file.path not in paths], paths)
            if outcome == "done":
                break
            if outcome == "cancelled":
                self._cancel(transfers)
            self._note(state="paused", done=self._tally.done)
            if self._wait_for_resume() == "cancelled":
                self._cancel(transfers)
            self._stop.clear()
            self._note(state="running")
        fetch.write_ref(origin, next(iter(paths.values())))
        self._finish(paths)

    def _watch(self, file: RepoFile) -> _FileWatch:
        return _FileWatch(file, self._tally, self._stop)

    def _round(self, transfers: list[tuple[fetch.Transfer, _FileWatch]], paths: dict[str, Path]) -> str:
        """Until all are through (`done`) or somebody asked otherwise (`paused`, `cancelled`). The first failure stops the others."""
        asked, failure = "", None
        with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="transfer") as pool:
            running: dict[Future[Path], tuple[fetch.Transfer, _FileWatch]] = {
                pool.submit(transfer.run): (transfer, watch) for transfer, watch in transfers
            }
            left = set(running)
            while left:
                through, left = wait(left, timeout=TELL_S, return_when=FIRST_COMPLETED)
                for future in through:
                    error = future.exception()
                    if error is None:
                        paths[running[future][1].file.path] = future.result()
                        self._note(arrived=tuple(str(path) for path in paths.values()))
                    elif not isinstance(error, fetch.Stopped):
                        failure = failure or error
                asked = asked or self._asked()
                if (asked or failure) and not self._stop.is_set():
                    self._stop.set()
                if self._stop.is_set():
                    for transfer, _ in running.values():
                        transfer.interrupt()
                elif left:
                    self._tell([watch for _, watch in transfers])
        if failure is not None and asked != "cancelled":
            raise failure
        if asked and len(paths) < len(self._job.files if self._job else ()):
            return asked
        return "done"

    def _asked(self) -> str:
        """What the parent wants: `paused`, `cancelled`, or nothing new."""
        request = self._command.request
        for command in self._link.take(request, CancelDownload, PauseDownload, ResumeDownload):
            if isinstance(command, CancelDownload):
                self._remove = command.remove
                return "cancelled"
            if isinstance(command, PauseDownload):
                return "paused"
        return "cancelled" if self._link.cancelled(request) else ""

    def _wait_for_resume(self) -> str:
        self._say("paused")
        while True:
            for command in self._link.take(self._command.request, CancelDownload, ResumeDownload, PauseDownload):
                if isinstance(command, CancelDownload):
                    self._remove = command.remove
                    return "cancelled"
                if isinstance(command, ResumeDownload):
                    return "resumed"
            if self._link.cancelled(self._command.request):
                return "cancelled"
            self._link.wait(0.5)

    def _cancel(self, transfers: list[tuple[fetch.Transfer, _FileWatch]]) -> None:
        assert self._job is not None
        if self._remove:
            for transfer, _ in transfers:
                transfer.remove_part()
            download_plan.forget(self._home, self._job.id)
        else:  # closing the program is no cancelling: the job is found again
            self._note(state="paused" if self._link.closing else "cancelled", done=self._tally.done, pid=0)
        raise Cancelled("The download was cancelled.")

    def _finish(self, paths: dict[str, Path]) -> None:
        assert self._job is not None
        job = self._job
        first = paths[job.files[0].path]
        path = first.parent if first.suffix == ".safetensors" else first
        arrived = tuple(str(paths[file.path]) for file in job.files)
        arrived_bytes = sum(path.stat().st_size for path in paths.values())
        self._note(state="done", done=arrived_bytes, path=str(path), arrived=arrived, pid=0)
        self._say("loading")
        self._link.send(DownloadDone(self._command.request, job.id, job.repo, str(path), arrived, arrived_bytes))
        self._link.send(Finished(self._command.request))

    def _tell(self, watches: list[_FileWatch]) -> None:
        """One line for the whole job: the most telling state of its files."""
        order = {"loading": 0, "checking": 1, "retrying": 2, "waiting": 3, "asking": 4}
        active = sorted((watch for watch in watches if watch.state), key=lambda watch: order.get(watch.state, 9))
        if active:
            self._say(active[0].state, active[0].file.path, tokens.scrub(active[0].message))
        if time.monotonic() - self._noted > NOTE_S:
            self._note(done=self._tally.done)

    def _say(self, state: str, file: str = "", message: str = "") -> None:
        job, done, rate = self._job, self._tally.done, self._tally.rate() if state != "paused" else 0.0
        total = max(job.total, done) if job else 0  # a hub may not name sizes
        left = (total - done) / rate if rate > 0 else -1.0
        number = job.id if job else self._command.job
        self._link.send(DownloadProgress(self._command.request, number, state, done, total, rate, left, file, message))

    def _note(self, **changes: Any) -> None:
        assert self._job is not None
        self._job = dataclasses.replace(self._job, **changes)
        self._noted = time.monotonic()
        try:
            download_plan.save(self._home, self._job)
        except OSError:  # a full disk: the download itself will say so
            pass


def _there(origin: fetch.Origin, job: Job) -> int:
    """Bytes of the job that need no room any more."""
    names = {each for file in job.files for each in (file.sha256, file.blob_id) if each}
    count = 0
    for name in names:
        for path in (origin.folder / "blobs" / name, origin.folder / "blobs" / f"{name}.part"):
            if path.is_file():
                count += path.stat().st_size
    return count
