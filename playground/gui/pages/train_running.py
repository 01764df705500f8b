"""What the Train page does with runs: shows them, tells how they end, carries out what is wished for them. Knows no data.

A part of the page (`gui.pages.train`), which gives it every event.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QUrl
from PySide6.QtGui import QDesktopServices
from PySide6.QtWidgets import QStackedWidget, QWidget

from playground.errors import PlaygroundError
from playground.gui.pages.making_jobs import show_making, tell_made
from playground.gui.widgets.amounts import duration
from playground.gui.widgets.job_strip import Job
from playground.history.runs import RunRow
from playground.session.training_jobs import RunChanged

if TYPE_CHECKING:
    from playground.gui.pages import Desk
    from playground.gui.pages.train_publishing import TrainPublishing
    from playground.gui.widgets.train_run import TrainRun
    from playground.gui.widgets.train_runs import TrainRuns
    from playground.session.training import Training

    _Base = QWidget
else:
    _Base = object


class TrainRunning(_Base):
    """Mixed into the page."""

    _desk: Desk
    _training: Training
    _stack: QStackedWidget
    _told: set[str]
    _exports: set[str]
    """jobs of the workshop that were begun here"""
    _run: TrainRun | None
    run: TrainRun
    runs: TrainRuns
    publishing: TrainPublishing

    def _run_id(self) -> str:
        """The run that is open, or was."""
        return self._run.run_id() if self._run is not None else ""

    def _read_runs(self) -> None:
        try:
            found = self._training.runs()
        except PlaygroundError:  # a window that begins with this page is there before the database, whose event comes
            return
        self._desk.when_done(found, self, self.runs.show_runs, lambda error: None)

    def _read_curves(self, run_ids: list[str]) -> None:
        for run_id in run_ids:
            self._desk.when_done(
                self._training.metrics(run_id),
                self,
                lambda found, it=run_id: self.runs.take_metrics(it, found),
                lambda error: None,
            )

    def open_run(self, run_id: str) -> None:
        """Shows a run with all that is on record of it."""
        here = self._training.run(run_id)
        row = here[0] if here is not None else self.runs.row(run_id)
        if row is None:
            return
        self.run.show_run(row, here[1] if here is not None else progress_of(row))
        self._stack.setCurrentWidget(self.run)
        self._desk.when_done(
            self._training.metrics(run_id), self, lambda found: self._take_metrics(run_id, found), lambda error: None
        )
        self._read_samples(run_id)

    def _take_metrics(self, run_id: str, found: Any) -> None:
        if run_id == self._run_id():
            self.run.take_metrics(found)

    def _read_samples(self, run_id: str) -> None:
        def take(found: Any) -> None:
            if run_id == self._run_id():
                self.run.samples.add(found)

        self._desk.when_done(self._training.samples(run_id), self, take, lambda error: None)

    def _run_changed(self, event: RunChanged) -> None:
        row = event.run
        self.runs.take(row, event.removed)
        if row.id == self._run_id():
            if event.removed:
                self._stack.setCurrentIndex(0)
            else:
                self.run.take_row(row, event.progress)
        self._show_job(event)
        if row.ended and row.id not in self._told and not event.removed:
            self._told.add(row.id)
            self._tell_end(row)
        elif not row.ended:
            self._told.discard(row.id)

    def _making_changed(self, event: Any) -> None:
        """A job of the workshop, which may be one that was begun here: then it is told of here too, whatever pages there are."""
        making = event.making
        if making.id in self._exports:
            show_making(self.window(), making, event.removed, self._desk.session.workshop.cancel)
            if making.ended:
                self._exports.discard(making.id)
                tell_made(self._desk, making, lambda: self._desk.open_page("models", path=making.path))

    def _show_job(self, event: RunChanged) -> None:
        strip, row, far = getattr(self.window(), "jobs", None), event.run, event.progress
        if strip is None:
            return
        name = f"train.{row.id}"
        if row.ended or event.removed or row.state == "queued":  # what waits is seen in the table: a sweep would fill the strip
            strip.remove(name)
            return
        paused = row.state in ("paused", "pausing")
        left = f"{duration(far.seconds_left)} left" if far.seconds_left > 0 and row.state == "running" else row.state
        fraction = far.fraction if far.step else -1.0
        hold = (
            (lambda: self._wish("resume" if paused else "pause", row.id))
            if row.state in ("running", "paused", "pausing")
            else None
        )
        strip.put(Job(name, f"Training {row.title}", fraction, left, lambda: self._wish("end", row.id), hold, paused))

    def _tell_end(self, row: RunRow) -> None:
        """One who looks at the run sees it there; all others are told."""
        if self.isVisible() and self._stack.currentWidget() is self.run and self._run_id() == row.id:
            return

        def show() -> None:
            self._desk.open_page("train", run=row.id)

        if row.state == "failed":
            self._desk.notify(row.error or f"{row.title} did not work.", row.hint, "error", "Show", f"train.{row.id}", show)
        elif row.state in ("finished", "stopped"):
            self._desk.notify(f"{row.title}: trained.", "", "info", "Show", f"train.{row.id}", show)

    # -- what is wished for a run

    def _wish(self, what: str, run_id: str) -> None:
        row = self.run.row() if self._run_id() == run_id else self.runs.row(run_id)
        try:
            if what in ("pause", "resume"):
                getattr(self._training, what)(run_id)
            elif what in ("stop", "end"):
                self._training.stop(run_id, keep=what == "stop")
            elif what == "continue":
                self._training.continue_(run_id)
            elif what == "delete":
                self._ask_delete([run_id])
            elif row is None:
                return
            elif what == "lower":
                self._lower(row)
            elif what == "publish":
                self.publishing.open(row.adapter)
            elif what in ("chat", "compare"):
                self._use(row, what)
            elif what == "export":
                self._exports.add(self._training.export(run_id))
                self._desk.notify(
                    "The adapter is being merged, converted and quantized.", "The strip at the bottom shows how far it is."
                )
            elif what == "reveal":
                self._reveal(row)
        except PlaygroundError as error:
            self._desk.notify(error.message, error.hint, "error", key="train")

    def _ask_delete(self, run_ids: list[str]) -> None:
        """Asks in a notice, without holding anything up."""
        names = [row.title for row in map(self.runs.row, run_ids) if row is not None]
        this = f"“{names[0]}”" if len(names) == 1 else f"{len(names)} runs"
        self._desk.notify(
            f"Delete {this}?",
            "Curves, samples and checkpoints go too; adapters that were made stay.",
            "warning",
            "Delete",
            "train.delete",
            lambda: self._delete(run_ids),
        )

    def _delete(self, run_ids: list[str]) -> None:
        for run_id in run_ids:
            try:
                self._training.delete(run_id)
            except PlaygroundError as error:
                self._desk.notify(error.message, error.hint, "error", key="train")

    def _lower(self, row: RunRow) -> None:
        """Goes on with less, or begins anew with it where the steps would be others."""
        offer = row.summary["lower"]
        if offer.get("goes_on") and self._training.can_continue(row.id):
            self._training.continue_(row.id, offer["changes"])
            return
        record = self._training.record(row.id)
        wishes = {**record.get("wishes", {}), **offer["changes"]}
        encode = {name: value for name, value in record.get("encode", {}).items() if name != "max_tokens"}
        data = row.data_path or row.data_name
        probes = self._training.probes(row.id)
        self.open_run(self._training.start(row.model_path, data, wishes, encode=encode, probes=probes, title=row.title))

    def _use(self, row: RunRow, page: str) -> None:
        """Chats with the result, or sets it beside its model, with one slider for the adapter."""
        session, path = self._desk.session, row.model_path
        if row.settings.get("method") == "full":
            session.load(row.adapter, self._desk.preferences.context_for(row.adapter))
        else:
            session.load(path, self._desk.preferences.context_for(path), row.adapter)
        if page == "compare":
            self._desk.open_page("compare", start="adapter")
        else:
            self._desk.open_page("chat")

    def _reveal(self, row: RunRow) -> None:
        folder = Path(row.adapter if Path(row.adapter).exists() else row.folder)
        if not folder.exists():
            raise PlaygroundError(f"{folder} is not there any more.", "")
        QDesktopServices.openUrl(QUrl.fromLocalFile(str(folder)))


def progress_of(row: RunRow) -> Any:
    """How far a run of an earlier session is, from its summary."""
    from dataclasses import fields

    from playground.training.runs import Progress

    known = {each.name for each in fields(Progress)}
    return Progress(**{name: value for name, value in row.summary.items() if name in known})
