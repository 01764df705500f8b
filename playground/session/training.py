"""Training, for a face: a plan before the start, runs that are started, paused, stopped and gone on with, and what became of them.

Every method returns at once (or a `Future`); what happens is told as `RunChanged` and `RunNoted`, after it is in the database. One run
trains at a time, in a worker of its own; others wait in a line, which is how a sweep runs. The run's folder holds everything: the program
may be closed or killed, and the run goes on from its last checkpoint. Knows no widget and none of the libraries.
"""

from __future__ import annotations

import logging
import shutil
import statistics
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path
from typing import Any

from playground.errors import NotFoundError, PlaygroundError, SettingError
from playground.history.owner import owner
from playground.history.records import new_id
from playground.history.runs import RunRow, SampleRow
from playground.paths import Home
from playground.session.ledger import Ledger
from playground.session.shelf_lane import Lane
from playground.session.training_jobs import DataRef, RunChanged, RunNoted, TrainPlan
from playground.session.training_plan import Planner
from playground.session.training_run import Job, Trainer, questions
from playground.session.training_suggest import factor_key, measured_factor
from playground.training.runs import CHECKPOINTS, Progress, read_events, read_record, write_record
from playground.training.settings import TrainSettings

log = logging.getLogger(__name__)

GOES_ON_WITH = (
    "batch",
    "accumulation",
    "checkpointing",
    "evaluate_every",
    "keep",
    "probe_tokens",
    "steps",
    "epochs",
    "tensorboard",
    "tracking",
)
"""settings that a run may go on with others of; batch and accumulation only if a step stays the same rows"""
CLOSE_S = 3.0
LATEST = 5
"""runs that what is learned of memory is the median of"""


class Training:
    """See the module's docstring. Cheap to make. `find` gives a model's path by its name, `dataset` a dataset by name or file."""

    def __init__(
        self,
        home: Home,
        ledger: Ledger,
        find: Callable[[str], Path],
        dataset: Callable[[str], DataRef],
        merge: Callable[..., str],
        arrived: Callable[[], None] = lambda: None,
    ) -> None:
        self._home, self._ledger, self._merge, self._arrived = home, ledger, merge, arrived
        self._lock = threading.RLock()
        self._jobs: dict[str, Job] = {}
        self._lane, self._plans, self._files = Lane("training"), Lane("training-plan"), Lane("training-files")
        self._planner = Planner(find, dataset, self._learned)
        self._closed = False

    # -- before the start

    def plan(
        self,
        model: str,
        data: str,
        wishes: Mapping[str, Any] | None = None,
        encode: Mapping[str, Any] | None = None,
    ) -> Future[TrainPlan]:
        """Settings with reasons, what they take, what the data comes to. `wishes`: fields of `TrainSettings`; `encode`: of `EncodeSettings`.

        A newer question drops one that still waits. DataError, NotFoundError, ModelFileError, SettingError.
        """
        return self._plans.submit(lambda: self._planner.plan(model, data, wishes or {}, encode or {}), "plan")

    # -- intents

    def start(
        self,
        model: str,
        data: str,
        wishes: Mapping[str, Any] | None = None,
        *,
        encode: Mapping[str, Any] | None = None,
        probes: Sequence[str] = (),
        out: str = "",
        title: str = "",
        anyway: bool = False,
    ) -> str:
        """Queues a run and returns its id. `out`: the result's name or path; `anyway`: even if it does not seem to fit.

        What is wrong with it is told as a failed run.
        """
        run_id = time.strftime("%Y%m%d-%H%M%S-") + new_id()[-6:]
        shown = title or f"{Path(model).stem} on {Path(data).stem}"
        row = RunRow(
            run_id, title=shown, folder=str(self._home.runs / run_id), data_path=data, owner=owner(), started=time.time()
        )
        job = Job(row, out=out, probes=tuple(probes), anyway=anyway)
        job.make = lambda: self._planner.plan(model, data, wishes or {}, encode or {})
        return self._queue(job)

    def continue_(self, run_id: str, wishes: Mapping[str, Any] | None = None) -> str:
        """Goes on with a run that failed, was interrupted or ended, from its last checkpoint; with some settings changed, if wished.

        SettingError for a change that would make another run of it, NotFoundError if the run is not there.
        """
        folder = self._home.runs / run_id
        record = read_record(folder)
        if not {"settings", "model", "data"} <= record.keys():
            raise NotFoundError(f"There is no run {run_id}.", "See `playground train --list` for the runs that there are.")
        with self._lock:
            if run_id in self._jobs and not self._jobs[run_id].row.ended:
                raise SettingError("This run is running.", "Pause or stop it first.")
            if run_id not in self._jobs and self._is_elsewhere(run_id):
                raise SettingError("This run is running in another program of ours.", "Let it end there first.")
        if wishes:
            record["settings"] = _changed(record["settings"], wishes)
            write_record(folder, record)
        row = RunRow(
            run_id,
            title=record.get("title", run_id),
            folder=str(folder),
            model_path=record["model"]["path"],
            model_name=record["model"]["name"],
            data_path=record["data"].get("source", ""),
            data_name=record["data"]["name"],
            data_sha256=record["data"].get("sha256", ""),
            owner=owner(),
            started=record.get("created", time.time()),
            settings=record["settings"],
        )
        return self._queue(Job(row, record=record))

    def pause(self, run_id: str) -> None:
        """Holds a run after its present step, with a checkpoint; the model stays in memory."""
        self._steer(run_id, "pause", "pausing")

    def resume(self, run_id: str) -> None:
        """Lets a paused run go on."""
        self._steer(run_id, "run", "running")

    def stop(self, run_id: str, keep: bool = True) -> None:
        """Ends a run after its present step: with a result as it is by then, or (`keep` False) with a checkpoint only."""
        self._steer(run_id, "stop" if keep else "end", "stopping")

    def delete(self, run_id: str) -> None:
        """Removes a run that has ended, its folder and what was noted of it; the adapter stays."""
        with self._lock:
            job = self._jobs.get(run_id)
            if job is not None and not job.row.ended:
                raise SettingError("This run is running.", "Stop it first.")
            self._jobs.pop(run_id, None)
        row = job.row if job is not None else RunRow(run_id)

        def work() -> None:  # checkpoints of a whole model take a while to go
            shutil.rmtree(self._home.runs / run_id, ignore_errors=True)
            told = RunChanged(row, removed=True)
            self._ledger.write(lambda store: store.delete_run(run_id), lambda: self._ledger.tell_now(told))

        self._files.submit(work)

    def export(self, run_id: str, to: str = "Q4_K_M") -> str:
        """The adapter merged into its model, converted and quantized: a job of the workshop, whose id this is."""
        row = self._row(run_id)
        if not row.adapter or row.settings.get("method") == "full":
            raise SettingError("This run has no adapter to merge.", "Let it end, or quantize the model that it made.")
        return self._merge(row.model_path, row.adapter, 1.0, "", to)

    # -- what there is

    def runs(self) -> Future[list[RunRow]]:
        """All runs, the newest first; one whose program is gone is `interrupted`, and can be gone on with."""
        return self._ledger.read(lambda store: store.runs())

    def run(self, run_id: str) -> tuple[RunRow, Progress] | None:
        """A run of this session as it stands."""
        with self._lock:
            job = self._jobs.get(run_id)
            return (job.row, job.progress) if job is not None else None

    def events(self, run_id: str) -> Future[list[dict[str, Any]]]:
        """All that happened in a run so far, from its folder."""
        return self._plans.submit(lambda: list(read_events(self._home.runs / run_id)))

    def metrics(self, run_id: str) -> Future[dict[str, list[tuple[int, float | None]]]]:
        """Curves by name (see `training.runs.CURVES`), each as (step, value)."""
        return self._ledger.read(lambda store: store.metrics(run_id))

    def samples(self, run_id: str) -> Future[list[SampleRow]]:
        return self._ledger.read(lambda store: store.samples(run_id))

    def record(self, run_id: str) -> dict[str, Any]:
        """settings.json of a run: model, data, settings with their reasons, the estimate."""
        return read_record(self._home.runs / run_id)

    def probes(self, run_id: str) -> tuple[str, ...]:
        """The prompts that a run is asked at each evaluation, () as long as they are not known."""
        return questions(self._home.runs / run_id)

    def can_continue(self, run_id: str) -> bool:
        """Whether there is a checkpoint to go on from (without one a run begins anew)."""
        return any((self._home.runs / run_id / CHECKPOINTS).glob("step-*"))

    def close(self) -> None:
        """Ends what runs, with a checkpoint if that takes no longer than a moment; it can be gone on with."""
        with self._lock:
            self._closed = True
            running = [job for job in self._jobs.values() if not job.row.ended]
        self._lane.close()
        self._plans.close()
        self._files.close()
        self._planner.close()
        for job in running:
            job.steer("end")
        until = time.monotonic() + CLOSE_S
        for job in running:
            if job.row.state != "queued":
                job.over.wait(max(0.0, until - time.monotonic()))
            job.kill()

    # -- inside

    def _queue(self, job: Job) -> str:
        with self._lock:
            self._jobs[job.row.id] = job
        trainer = Trainer(self._home, self._planner, self._told, self._arrived)
        with job.lock:
            self._told(job)
        self._lane.submit(lambda: trainer.run(job))
        return job.row.id

    def _steer(self, run_id: str, want: str, state: str) -> None:
        with self._lock:
            job = self._jobs.get(run_id)
        if job is None:
            raise _not_running()
        with job.lock:
            if job.row.ended:
                raise _not_running()
            if job.row.state == "queued" and want in ("stop", "end"):
                state = "ended"
            job.row = replace(job.row, state=state, finished=time.time() if state == "ended" else None)
            job.steer(want)
            self._told(job)

    def _told(self, job: Job) -> None:
        """Writes what is new of a run, then tells it. Under the job's lock."""
        row, progress, events = job.row, job.progress, tuple(job.news)
        job.news.clear()
        made = job.points(events)

        def write(store: Any) -> None:
            store.put_run(row)
            if made.points:
                store.put_metrics(row.id, made.points)
            if made.samples:
                store.put_samples(row.id, made.samples)

        def tell() -> None:
            if events:
                self._ledger.tell_now(RunNoted(row.id, events))
            self._ledger.tell_now(RunChanged(row, progress))

        self._ledger.write(write, tell)

    def _is_elsewhere(self, run_id: str) -> bool:
        try:
            row = self._row(run_id)
        except NotFoundError:  # its folder was copied here
            return False
        return not row.ended and row.owner != owner()

    def _row(self, run_id: str) -> RunRow:
        with self._lock:
            if run_id in self._jobs:
                return self._jobs[run_id].row
        return self._ledger.read(lambda store: store.run(run_id)).result(5)

    def _learned(self) -> tuple[dict[str, int], dict[str, float]]:
        """What the last runs on this machine measured: the libraries' share of main memory, and activations against the formula."""
        try:
            rows = self._ledger.read(lambda store: store.runs(50)).result(2)
        except Exception:  # no database is no reason to give no estimate
            return {}, {}
        seen: list[int] = []
        factors: dict[str, list[float]] = {}
        for row in rows:
            found = row.summary
            if found.get("runtime_memory"):
                seen.append(int(found["runtime_memory"]))
            if row.state in ("finished", "stopped") and (factor := measured_factor(found)):
                key = factor_key(row.settings["method"], row.settings["checkpointing"], found.get("device") != "CPU")
                factors.setdefault(key, []).append(factor)
        runtime = {"CPU": int(statistics.median(seen[:LATEST]))} if seen else {}
        return runtime, {key: statistics.median(values[:LATEST]) for key, values in factors.items()}


def _not_running() -> NotFoundError:
    return NotFoundError("This run is not running.", "Go on with it first.")


def _changed(settings: Mapping[str, Any], wishes: Mapping[str, Any]) -> dict[str, Any]:
    """Settings of a run that goes on. SettingError for one that would make its steps other steps."""
    from playground.params import from_dict, from_pairs, to_dict

    old = from_dict(TrainSettings, dict(settings))
    new = from_pairs(TrainSettings, dict(wishes), old)
    other = [name for name, value in to_dict(new).items() if value != settings.get(name) and name not in GOES_ON_WITH]
    if other:
        raise SettingError(f"A run cannot go on with another {', '.join(other)}.", "Begin a new run with it.")
    if new.group != old.group:
        raise SettingError(
            f"A run cannot go on with other steps: {old.group} rows each.",
            "Keep batch x accumulation as it is, or begin a new run.",
        )
    return to_dict(new)


__all__ = ["DataRef", "PlaygroundError", "RunChanged", "RunNoted", "TrainPlan", "Training"]
