"""Will it fit, for a face: estimates off its thread, the newest question only, and a verdict for every row and choice.

Joins what is on the shelf with `fitting`; the arithmetic is `memory`'s. A chip beside a model and the panel that explains it ask the same
question (`usual`), so that no two numbers on one screen disagree.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from playground.history.records import FitRow
from playground.memory.devices import Device, find_devices
from playground.memory.fit import Fit, Situation, largest_context
from playground.memory.training_fit import TrainingFit, TrainingPlan, training_fit
from playground.models.files import Choice, ChoiceVerdicts, Verdict
from playground.models.hub import ModelPage
from playground.models.library import Row
from playground.params import ContextSettings
from playground.protocol import ModelInfo
from playground.session import fitting
from playground.session.fitting import Subject
from playground.session.shelf_lane import Lane
from playground.session.verdicts import judge_choices, usual, verdict_of

if TYPE_CHECKING:
    from playground.session.dry_run import Counted

log = logging.getLogger(__name__)

DEVICES_S = 2.0
"""free memory is asked for anew after so long: a slider asks thirty times a second"""
RUNTIME_S = 10.0
REST_S = 0.01
"""between two headers that are read, others have the interpreter: a window waits for it at every step of its painting"""

Held = Mapping[str, int]


@dataclass(frozen=True)
class VerdictsKnown:
    """Verdicts of rows of the library, by path."""

    verdicts: dict[str, Verdict]


def held_by(info: ModelInfo | None) -> dict[str, int]:
    """Bytes by device that the loaded model holds: they are free once another one takes its place."""
    found: dict[str, int] = {}
    for term in info.memory if info is not None else ():
        found[term.device] = found.get(term.device, 0) + term.bytes
    return found


class Fits:
    """See the module's docstring. Everything may be called from any thread and returns at once."""

    def __init__(self, tell: Callable[[Any], None], measured: Callable[[], Future[list[FitRow]]] | None = None) -> None:
        self._tell, self._measured = tell, measured
        self._lock = threading.Lock()
        self._lane, self._readers = Lane("fit"), Lane("fit-readers", 2)
        self._subjects: dict[tuple[Any, ...], Subject] = {}
        self._verdicts: dict[tuple[Any, ...], Verdict] = {}
        self._devices: tuple[float, tuple[Device, ...]] = (0.0, ())
        self._runtime: tuple[float, dict[str, int]] = (0.0, {})

    def close(self) -> None:
        self._lane.close()
        self._readers.close()

    # -- what is estimated

    def of_row(self, row: Row) -> Future[Subject]:
        """A model on this disk, from its header."""
        return self._readers.submit(lambda: self._row(row), "row")

    def of_choice(self, page: ModelPage, choice: Choice) -> Future[Subject]:
        """A choice on the hub, from its own header by HTTP range; no weights are read."""
        return self._readers.submit(lambda: self._choice(page, choice), "choice")

    # -- the estimate; a newer question drops the one before

    def fit(self, subject: Subject, settings: ContextSettings, held: Held | None = None) -> Future[Fit]:
        """Terms, verdict and reasons under these settings."""
        return self._lane.submit(lambda: self._fit(subject, settings, held or {}), "fit")

    def largest(self, subject: Subject, settings: ContextSettings, held: Held | None = None) -> Future[int]:
        """The largest context that fits, in tokens; 0 where it cannot be said."""

        def work() -> int:
            if subject.format != "gguf":
                return 0
            engine = fitting.engine_for(settings)
            situation = Situation(subject.shape, self.devices(), held or {}, self.runtime(), engine=engine)
            return largest_context(situation, settings)

        return self._lane.submit(work, "largest")

    def training(self, subject: Subject, plan: TrainingPlan, held: Held | None = None) -> Future[TrainingFit]:
        """The same for a training run."""
        return self._lane.submit(
            lambda: training_fit(subject.shape, plan, self.devices(), held=held or {}, runtime=None), "training"
        )

    def dry_run(self, path: str, settings: ContextSettings) -> Future[Counted]:
        """What the engine itself would allocate for a GGUF file on this disk: a second or two, in a worker."""

        def work() -> Counted:
            from playground.session.dry_run import dry_run

            return dry_run(Path(path), settings)

        return self._readers.submit(work, "dry run")

    # -- verdicts

    def verdicts(self, rows: Sequence[Row], held: Held | None = None) -> None:
        """`VerdictsKnown` follows for these rows; a newer list drops the one before."""
        self._readers.submit(lambda: self._judge_rows(rows, held or {}), "verdicts")

    def choices(self, page: ModelPage, held: Held | None = None) -> Future[ChoiceVerdicts]:
        """Verdicts for all choices of a page, from one header for each format: the shapes are the same, only the weights differ."""
        return self._readers.submit(lambda: self._judge_choices(page, held or {}), "choices")

    # -- inside

    def devices(self) -> tuple[Device, ...]:
        """What this computer has, at most `DEVICES_S` old."""
        when, found = self._devices
        if not found or time.monotonic() - when > DEVICES_S:
            found = tuple(find_devices())
            self._devices = time.monotonic(), found
        return found

    def runtime(self) -> dict[str, int]:
        """The runtime term as measured on this machine, by device."""
        when, found = self._runtime
        if self._measured is not None and (not when or time.monotonic() - when > RUNTIME_S):
            try:
                found = fitting.learned_runtime(self._measured().result(2))
            except Exception:  # no database is no reason to give no estimate
                log.debug("no measured runtime", exc_info=True)
            self._runtime = time.monotonic(), found
        return found

    def _fit(self, subject: Subject, settings: ContextSettings, held: Held) -> Fit:
        runtime = self.runtime() if subject.format == "gguf" else None
        return fitting.fit_on(subject, settings, self.devices(), held, runtime)

    def _row(self, row: Row) -> Subject:
        key = (row.path, row.size, row.changed)
        found = self._subjects.get(key)
        if found is None:
            found = fitting.of_path(Path(row.path))
            self._keep(key, found)
        return found

    def _choice(self, page: ModelPage, choice: Choice) -> Subject:
        key = (page.repo, page.commit, choice.path)
        found = self._subjects.get(key)
        if found is None:
            found = fitting.of_repo(page.repo, choice.path, page)
            self._keep(key, found)
        return found

    def _keep(self, key: tuple[Any, ...], subject: Subject) -> None:
        with self._lock:
            while len(self._subjects) > 64:  # a tensor table of a large mixture is a megabyte
                self._subjects.pop(next(iter(self._subjects)))
            self._subjects[key] = subject

    def _verdict(self, subject: Subject, held: Held) -> Verdict:
        return verdict_of(self._fit(subject, usual(subject.shape), held))

    def _judge_rows(self, rows: Sequence[Row], held: Held) -> None:
        known: dict[str, Verdict] = {}
        told = time.monotonic()
        for row in rows:
            if row.problem or row.kind not in ("gguf", "safetensors"):
                continue
            key = (row.path, row.size, row.changed, tuple(sorted(held.items())))
            found = self._verdicts.get(key)
            if found is None:
                try:
                    found = self._verdict(self._row(row), held)
                except Exception as error:  # a row without a verdict is better than a list without rows
                    log.debug("no verdict for %s: %s", row.path, error)
                    found = Verdict("", getattr(error, "message", "Its memory cannot be estimated."))
                self._verdicts[key] = found
                time.sleep(REST_S)
            known[row.path] = found
            if time.monotonic() - told > 0.1:
                self._tell(VerdictsKnown(known))
                known, told = {}, time.monotonic()
        if known:
            self._tell(VerdictsKnown(known))

    def _judge_choices(self, page: ModelPage, held: Held) -> ChoiceVerdicts:
        freed = [device.with_freed(held.get(device.name, 0)) for device in self.devices()]
        return judge_choices(
            page, freed, lambda choice: self._choice(page, choice), lambda subject: self._verdict(subject, held)
        )
