"""One training run from its place in the line to its end: prepared, trained in a worker, its result put where adapters lie.

Blocks the thread that calls it. Knows what the worker says, not how it trains.
"""

from __future__ import annotations

import logging
import queue
import shutil
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from playground.errors import Cancelled, MemoryShortError, PlaygroundError, WorkerError, from_kind
from playground.history.runs import RunRow, SampleRow
from playground.models import beside
from playground.params import from_dict, to_dict
from playground.paths import Home
from playground.process import Exit, WorkerProcess
from playground.protocol import Failed, Finished, LogLine, PrepareRun, RunEvent, RunPrepared, SteerRun, Train
from playground.session import training_folders as folders
from playground.session.training_jobs import TrainPlan
from playground.session.training_plan import MODULE, Planner
from playground.session.training_suggest import lower
from playground.training.runs import Event, Progress, after, points, read_events, read_record
from playground.training.settings import TrainSettings

log = logging.getLogger(__name__)

TELL_S = 0.2
"""a face hears of steps at most this often"""
REQUEST = 1


@dataclass
class Made:
    """What events add to the database."""

    points: list[tuple[str, int, float, float]] = field(default_factory=list)
    samples: list[SampleRow] = field(default_factory=list)


@dataclass
class Job:
    """A run of this session: what is shown of it, and what steers it."""

    row: RunRow
    out: str = ""
    probes: tuple[str, ...] = ()
    anyway: bool = False
    record: dict[str, Any] = field(default_factory=dict)
    """settings.json; empty until the run is prepared"""
    make: Callable[[], TrainPlan] | None = None
    progress: Progress = Progress()
    news: list[dict[str, Any]] = field(default_factory=list)
    """events that nobody was told of yet; `row` and these change under the lock, and are told under it: in that order, and once"""
    questions: tuple[str, ...] = ()
    worker: WorkerProcess | None = None
    want: str = "run"
    told: float = 0.0
    killed: bool = False
    lock: threading.RLock = field(default_factory=threading.RLock)
    over: threading.Event = field(default_factory=threading.Event)
    """set once the run's last word is on its way to the database"""

    def steer(self, want: str) -> None:
        with self.lock:
            self.want = want
            if self.worker is not None:
                self.worker.send(SteerRun(REQUEST, want))
                if self.unwanted:
                    self.worker.cancel(REQUEST)

    @property
    def unwanted(self) -> bool:
        """Whether it is to end before it has begun to train: there is nothing to keep."""
        return self.want in ("stop", "end") and not self.record

    def kill(self) -> None:
        with self.lock:
            self.killed, worker = True, self.worker
        if worker is not None:
            worker.stop(0.0)

    def points(self, events: Iterable[Event]) -> Made:
        made = Made()
        for event in events:
            made.points += points(event)
            if event["event"] == "sample":
                number = event["probe"]
                prompt = self.questions[number] if number < len(self.questions) else ""
                made.samples.append(SampleRow(event["step"], number, prompt, event["reply"], event.get("base", False)))
        return made


class Trainer:
    """Runs jobs. `told` writes and tells what is new of a job."""

    def __init__(self, home: Home, planner: Planner, told: Callable[[Job], None], arrived: Callable[[], None]) -> None:
        self._home, self._planner, self._told, self._arrived = home, planner, told, arrived

    def run(self, job: Job) -> None:
        with job.lock:
            if job.row.ended or job.killed:
                return
            self._show(job, state="preparing")
        try:
            self._run(job)
        finally:
            job.over.set()

    def _run(self, job: Job) -> None:
        heard: queue.SimpleQueue[Any] = queue.SimpleQueue()
        state = "failed"
        said: PlaygroundError | None = None
        try:
            plan = job.make() if job.make is not None else None
            if job.unwanted:
                raise Cancelled("Cancelled.")
            worker = WorkerProcess(MODULE, heard.put, heard.put, "training")
            with job.lock:
                job.worker = worker
                if job.killed:
                    raise Cancelled("Cancelled.")
            worker.start()
            if plan is not None:
                self._prepare(job, plan, worker, heard)
            state = self._train(job, worker, heard)
        except Cancelled:
            state = "ended" if job.record or job.unwanted else "interrupted"
        except MemoryShortError as error:
            said = error
            self._offer_less(job)
        except PlaygroundError as error:
            said = error
        except Exception:
            log.exception("a training run failed")
            said = PlaygroundError("Something went wrong inside the program.", "The log has the details.")
        finally:
            if job.worker is not None:
                job.worker.stop(1.0)
            with job.lock:
                job.worker = None
        try:
            if state in ("finished", "stopped") and (target := folders.land(self._home, job.row, job.record, job.out)):
                self._show(job, adapter=str(target))
        except (OSError, PlaygroundError) as error:
            said = PlaygroundError(
                f"The result could not be put into the folder of adapters ({error}).", f"It lies whole in {job.row.folder}."
            )
            state = "failed"
        if said is not None and state != "interrupted":
            state = "failed"
        message, hint = (said.message, said.hint) if said is not None else (job.row.error, job.row.hint)
        self._show(job, state=state, error=message, hint=hint, finished=time.time())
        if job.row.adapter:
            self._arrived()

    def _prepare(self, job: Job, plan: TrainPlan, worker: WorkerProcess, heard: queue.SimpleQueue[Any]) -> None:
        """The run folder, under its name when it is whole."""
        self._show(
            job,
            model_path=plan.model_path,
            model_name=plan.model_name,
            data_name=plan.data.name,
            data_sha256=plan.data.sha256,
            settings=to_dict(plan.settings),
            steps=plan.steps,
            title=job.row.title if job.row.title else f"{plan.model_name} on {plan.data.name}",
        )
        if plan.fit.verdict == "does not fit" and not job.anyway:
            self._offer_less(job)
            raise MemoryShortError(f"This does not fit: {plan.fit.why}", "Start it anyway if you know better.")
        folders.check_target(self._home, job.out, plan.settings.method == "full")
        folder = Path(job.row.folder)
        part = beside.part_of(folder)
        part.mkdir()
        try:
            with job.lock:
                if job.killed or job.unwanted:  # told to end while the worker was being started
                    raise Cancelled("Cancelled.")
                worker.send(
                    PrepareRun(
                        REQUEST,
                        str(part),
                        plan.model_path,
                        plan.data.path,
                        dict(plan.encode),
                        plan.settings.validation_share,
                        plan.settings.seed,
                        plan.settings.packing,
                        job.probes,
                    )
                )
            prepared = self._hear_prepared(job, heard)
            record = folders.write_run(part, job.row, plan, prepared)
            part.replace(folder)
        except BaseException:
            shutil.rmtree(part, ignore_errors=True)
            raise
        with job.lock:
            job.record = record
            if job.want in ("stop", "end"):  # while it was prepared: the worker has not heeded that, or was through by then
                raise Cancelled("Cancelled.")

    def _hear_prepared(self, job: Job, heard: queue.SimpleQueue[Any]) -> RunPrepared:
        found: RunPrepared | None = None
        while True:
            match event := heard.get():
                case RunPrepared():
                    found = event
                case Finished():
                    if found is None:
                        raise Cancelled("Cancelled.")
                    return found
                case Failed():
                    raise _error(event)
                case Exit():
                    if event.asked or job.unwanted:  # ended for not heeding that, or by whatever: nobody waits for it
                        raise Cancelled("Cancelled.")
                    raise WorkerError(event.sentence, event.hint)
                case LogLine():
                    log.log(event.level, "%s", event.text)

    def _train(self, job: Job, worker: WorkerProcess, heard: queue.SimpleQueue[Any]) -> str:
        folder = Path(job.row.folder)
        if not job.record:
            job.record = read_record(folder)
        job.questions = questions(folder)
        for event in read_events(folder):  # of a run that goes on: where it was
            job.progress = after(job.progress, event)
        with job.lock:
            if job.killed:
                raise Cancelled("Cancelled.")
            state = "running" if job.want == "run" else job.row.state
            self._show(job, state=state, settings=job.record["settings"], error="", hint="", finished=None)
            worker.send(Train(REQUEST, str(folder)))
            if job.want != "run":
                worker.send(SteerRun(REQUEST, job.want))
        state = "failed"
        while True:
            match event := heard.get():
                case RunEvent():
                    state = self._note(job, event.event) or state
                case Finished():
                    return state
                case Failed():
                    raise _error(event)
                case Exit():
                    if not event.asked and ("memory" in event.sentence):
                        self._offer_less(job)
                    with job.lock:
                        job.row = replace(
                            job.row, error="" if event.asked else event.sentence, hint="" if event.asked else event.hint
                        )
                    return "interrupted"
                case LogLine():
                    log.log(event.level, "%s", event.text)

    def _note(self, job: Job, event: dict[str, Any]) -> str:
        """Takes an event in; how the run has ended, if it says so."""
        with job.lock:
            return self._noted(job, event)

    def _noted(self, job: Job, event: dict[str, Any]) -> str:
        job.progress = after(job.progress, event)
        job.news.append(event)
        changes: dict[str, Any] = {"step": job.progress.step, "steps": job.progress.steps or job.row.steps}
        state = ""
        match event["event"]:
            case "paused":
                changes["state"] = "paused"
            case "started" | "resumed":
                changes["state"] = "running" if job.want == "run" else job.row.state
            case "failed":
                state = "failed"
                changes |= {"error": event["message"], "hint": event.get("hint", "")}
                if event.get("reason") == "memory":
                    self._offer_less(job)
            case "finished" | "stopped" | "ended":
                state = event["event"]
        now = time.monotonic()
        if event["event"] != "step" or now - job.told >= TELL_S:
            job.told = now
            self._show(job, **changes)
        else:
            job.row = replace(job.row, **changes)
        return state

    def _offer_less(self, job: Job) -> None:
        """Notes what could be lowered after memory ran out."""
        less = lower(from_dict(TrainSettings, job.row.settings)) if job.row.settings else None
        if less is not None:
            sentence, changes, goes_on = less
            offer = {"sentence": sentence, "changes": changes, "goes_on": goes_on}
            with job.lock:
                job.row = replace(job.row, summary={**job.row.summary, "lower": offer})

    def _show(self, job: Job, **changes: Any) -> None:
        with job.lock:
            summary = {**job.row.summary, **job.progress.to_dict()}
            if job.record:
                summary["predicted"] = job.record.get("fit", {})
            job.row = replace(job.row, **{"summary": summary, **changes})
            self._told(job)


def questions(folder: Path) -> tuple[str, ...]:
    """The probe prompts of a run, by its folder; none where it has not come so far."""
    import json

    try:
        return tuple(str(each["prompt"]) for each in json.loads((folder / "probes.json").read_text(encoding="utf-8")))
    except (OSError, ValueError, KeyError, TypeError):
        return ()


def _error(event: Failed) -> PlaygroundError:
    if event.kind == "Bug":
        log.error("training failed: %s\n%s", event.message, event.details)
    return from_kind(event.kind, event.message, event.hint)
