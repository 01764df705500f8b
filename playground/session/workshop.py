"""The workshop: models made of models. Quantizing, converting, merging, importance matrices and quality reports, as jobs in a line.

Every method returns at once; what comes of a job is told as `JobChanged`. One heavy job runs at a time, step by step, each step in a worker
of its own; the others wait. Knows no widget and none of the libraries: the chains of steps are made in `workshop_chain`, a step is followed
in `workshop_steps`.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path
from typing import Any

from playground.errors import Cancelled, NotFoundError, PlaygroundError
from playground.history.records import new_id
from playground.models import beside
from playground.paths import Home
from playground.protocol import Message, QualityMeasured, QualityRow
from playground.session import quality, reports
from playground.session import workshop_chain as chains
from playground.session import workshop_files as files
from playground.session.quality import Memory, ReportRequest
from playground.session.reports import Report
from playground.session.shelf_lane import Lane
from playground.session.workshop_chain import Chain
from playground.session.workshop_jobs import (
    AUTO,
    FLOATS,
    FOLDER_TYPES,
    JobChanged,
    Kind,
    Making,
    Plan,
    QuantizeRequest,
    State,
    TypeRow,
)
from playground.session.workshop_steps import Stop, run_step

log = logging.getLogger(__name__)

TELL_S = 0.2
"""a face hears of progress at most this often for each job"""


class _Job:
    """One job, and what makes its chain when its turn comes."""

    def __init__(
        self, shown: Making, make: Callable[[Path], Chain], keep: Callable[[tuple[QualityRow, ...]], Report] | None = None
    ) -> None:
        self.shown, self.make, self.keep = shown, make, keep
        self.stop = Stop()
        self.told = 0.0
        self.began = 0.0


class Workshop:
    """See the module's docstring. Cheap to make: no thread and no folder before the first job, unless a killed program left something.

    `arrived` hears of every new model; `memory` is what was measured before.
    """

    def __init__(
        self,
        home: Home,
        tell: Callable[[Any], None],
        arrived: Callable[[], None] = lambda: None,
        memory: Memory | None = None,
    ) -> None:
        self._home, self._tell, self._arrived, self._memory = home, tell, arrived, memory
        self._lock = threading.RLock()
        self._jobs: dict[str, _Job] = {}
        self._lane, self._plans = Lane("workshop"), Lane("workshop-plan")
        self._planning: Stop | None = None
        self._closed = False
        self._tidied = False
        if (home.cache / chains.WORK).is_dir():
            self._plans.submit(lambda: chains.tidy(home))

    # -- intents

    def quantize(self, request: QuantizeRequest) -> str:
        """A model in another number format. Returns the job's id; what is wrong with the request is told as a failed job."""
        floats = request.to.lower() in FLOATS
        kind: Kind = "convert" if floats and Path(request.source).is_dir() and not request.adapter else "quantize"
        title = f"{files.short_name(request.source)} to {files.spelled(request.to)}"
        return self._add(kind, title, lambda work: chains.quantize(self._home, request, work))

    def merge(self, base: str, adapter: str, scale: float = 1.0, out: str = "", to: str = "") -> str:
        """A model folder in which an adapter has become part of the weights; `to` goes on to that number format."""
        title = f"{files.short_name(adapter)} into {files.short_name(base)}"
        if to:
            request = QuantizeRequest(base, to, out, adapter=adapter, scale=scale)
            return self._add("merge", title, lambda work: chains.quantize(self._home, request, work))
        return self._add("merge", title, lambda work: chains.merge(self._home, base, adapter, scale, out, work))

    def adapter(self, adapter: str, base: str = "", out: str = "") -> str:
        """An adapter in PEFT layout as a GGUF file for llama.cpp; `base` is its model."""
        title = f"{files.short_name(adapter)} to GGUF"
        return self._add("adapter", title, lambda work: chains.adapter(self._home, adapter, base, out, work))

    def imatrix(self, model: str, text: str = "", out: str = "") -> str:
        """An importance matrix of a GGUF file over a text; an empty `text` is the one that came with the program."""
        title = f"Importance matrix of {files.short_name(model)}"
        return self._add("imatrix", title, lambda work: chains.imatrix(self._home, model, text, out, work))

    def report(
        self, original: str, models: Sequence[str], text: str = "", context: int = 512, chunks: int = 0, **more: Any
    ) -> str:
        """Measures what models lost against an original on a text; the job's `rows` fill while it goes on.

        `more`: further fields of `quality.ReportRequest`, such as `types` to make of the original and measure.
        """
        request = ReportRequest(
            original, tuple(str(each) for each in models), text=text, context=context, chunks=chunks, **more
        )
        return self._add(
            "report",
            f"Quality against {files.short_name(original)}",
            lambda work: quality.report(self._home, request, work, self._memory),
            lambda rows: reports.keep(
                self._home, Path(text).name if text else "the text that ships with it", time.time(), rows
            ),
        )

    def reports(self) -> Future[Sequence[Report]]:
        """All reports that were kept, the newest first."""
        return self._plans.submit(lambda: reports.kept(self._home))

    def cancel(self, number: str) -> None:
        """Ends a job; nothing half-made stays. One that has ended is left as it is."""
        with self._lock:
            job = self._need(number)
            if job.shown.state == "queued":
                job.stop.now()
                self._show(job, state="cancelled", step="", fraction=-1.0)
            elif job.shown.state == "running":
                self._show(job, state="cancelling", seconds_left=-1.0)
                job.stop.now()

    def forget(self, number: str) -> None:
        """Takes a job that has ended off the list; what it made stays."""
        with self._lock:
            job = self._need(number)
            if job.shown.ended:
                del self._jobs[number]
                self._tell(JobChanged(job.shown, removed=True))

    def list(self) -> tuple[Making, ...]:
        """Every job of this session; the newest first."""
        with self._lock:
            return tuple(job.shown for job in reversed(self._jobs.values()))

    def plan(self, source: str | Path, adapter: str = "") -> Future[Plan]:
        """What could be made of a model, type by type. A newer question drops one that still waits, and ends the one being answered."""
        from playground.session import workshop_plan  # reads headers: not at the window's start

        stop = Stop()
        with self._lock:
            if self._planning is not None:
                self._planning.now()
            self._planning = stop
        return self._plans.submit(lambda: workshop_plan.make(self._home, Path(source), adapter, stop), "plan")

    def close(self) -> None:
        """Ends what runs; intermediate files go."""
        with self._lock:
            self._closed = True
            running = [job for job in self._jobs.values() if not job.shown.ended]
            if self._planning is not None:
                self._planning.now()
        self._lane.close()
        self._plans.close()
        for job in running:
            job.stop.now()
        until = time.monotonic() + 3.0
        while time.monotonic() < until and any(job.shown.running for job in running):
            time.sleep(0.01)

    # -- inside

    def _need(self, number: str) -> _Job:
        job = self._jobs.get(number)
        if job is None:
            raise NotFoundError("There is no such job any more.")
        return job

    def _add(
        self,
        kind: Kind,
        title: str,
        make: Callable[[Path], Chain],
        keep: Callable[[tuple[QualityRow, ...]], Report] | None = None,
    ) -> str:
        job = _Job(Making(new_id(), kind, title), make, keep)
        with self._lock:
            self._jobs[job.shown.id] = job
            self._show(job)
        self._lane.submit(lambda: self._run(job))
        return job.shown.id

    def _run(self, job: _Job) -> None:
        with self._lock:
            if job.shown.state != "queued" or self._closed:
                return
            job.began = time.monotonic()
            self._show(job, state="running", step="Looking at the files")
        work = chains.work_folder(self._home)
        state: State = "done"
        said: PlaygroundError | None = None
        try:
            if not self._tidied:
                self._tidied = True
                chains.tidy(self._home)
            self._chain(job, job.make(work))
            if job.keep is not None and job.shown.rows:
                job.keep(job.shown.rows)
        except Cancelled:
            state = "cancelled"
        except PlaygroundError as error:
            state, said = ("cancelled", None) if job.stop.wanted else ("failed", error)
        except Exception:
            log.exception("a job of the workshop failed")
            state, said = "failed", PlaygroundError("Something went wrong inside the program.", "The log has the details.")
        finally:
            beside.remove(work)
        with self._lock:
            if state == "done":
                self._show(job, state="done", step="", fraction=1.0, seconds_left=-1.0, seconds=time.monotonic() - job.began)
            else:
                message, hint = (said.message, said.hint) if said is not None else ("", "")
                self._show(job, state=state, step="", fraction=-1.0, seconds_left=-1.0, message=message, hint=hint)
        if state == "done" and job.shown.kind != "report":
            self._arrived()

    def _chain(self, job: _Job, chain: Chain) -> None:
        chains.check_disk(chain)
        total = sum(step.share for step in chain.steps)
        notes, before = list(chain.notes), 0.0
        with self._lock:
            rows = chain.measured.rows if chain.measured is not None else ()
            self._show(job, steps=tuple(step.what for step in chain.steps), notes=tuple(notes), rows=rows)
        for number, step in enumerate(chain.steps, 1):
            where = f"{step.what} (step {number} of {len(chain.steps)})" if len(chain.steps) > 1 else step.what
            with self._lock:
                self._show(job, step=where)

            def tell(fraction: float, what: str, start: float = before, share: float = step.share, where: str = where) -> None:
                self._progress(job, (start + share * max(0.0, fraction)) / total, f"{where}: {what}" if what else where)

            def more(event: Message) -> None:
                if isinstance(event, QualityMeasured):
                    with self._lock:
                        found = chain.measured
                        self._show(job, rows=found.add(event.row) if found else (*job.shown.rows, event.row))

            outcome = run_step(step, job.stop, tell, more)
            before += step.share
            if outcome.made is not None:
                notes += [note for note in outcome.made.notes if note not in notes]
                last = number == len(chain.steps)
                with self._lock:
                    self._show(
                        job,
                        path=outcome.made.path if last else "",
                        bytes=outcome.made.bytes if last else 0,
                        notes=tuple(notes),
                    )

    def _progress(self, job: _Job, fraction: float, step: str) -> None:
        now = time.monotonic()
        with self._lock:
            if now - job.told < TELL_S or job.shown.state != "running":
                return
            gone = now - job.began
            left = gone / fraction - gone if fraction > 0.03 and gone > 1.0 else -1.0
            self._show(job, fraction=max(fraction, job.shown.fraction), step=step, seconds_left=left)

    def _show(self, job: _Job, **changes: Any) -> None:
        """(Under the lock.)"""
        job.shown = replace(job.shown, **changes)
        job.told = time.monotonic()
        if not self._closed:
            self._tell(JobChanged(job.shown))


__all__ = [
    "AUTO",
    "FLOATS",
    "FOLDER_TYPES",
    "JobChanged",
    "Making",
    "Plan",
    "QuantizeRequest",
    "TypeRow",
    "Workshop",
]
