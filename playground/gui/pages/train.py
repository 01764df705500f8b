"""Train: a file of data, one button, and then a model that answers as the data does.

Left what is to be trained, right the runs there are; a run opens over both. Asks the session for plans and starts runs; what happens in
them comes as events, whether this page is looked at or not.
"""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import shiboken6
from PySide6.QtCore import Qt, QTimer
from PySide6.QtGui import QDesktopServices, QDragEnterEvent, QDropEvent
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QStackedWidget, QVBoxLayout, QWidget

from playground.errors import PlaygroundError
from playground.gui import theme
from playground.gui.actions import Action
from playground.gui.bridge import on_window_thread
from playground.gui.pages import Desk
from playground.gui.preferences import is_starter
from playground.gui.widgets.amounts import amount
from playground.gui.widgets.job_foot import JobFoot, Press
from playground.gui.widgets.train_run import TrainRun
from playground.gui.widgets.train_runs import TrainRuns
from playground.gui.widgets.train_setup import TrainSetup
from playground.history.runs import RunRow
from playground.session.training_jobs import RunChanged, RunNoted, TrainPlan

PLAN_MS = 250
"""after the last change; a plan reads the data"""
SETUP = 520


class TrainPage(QWidget):
    title, icon = "Train", "graduation-cap"

    def __init__(self, desk: Desk, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("page.train")
        self.setAcceptDrops(True)
        self._desk = desk
        self._training = desk.session.training
        self._shelf: Any = None
        self._plan: TrainPlan | None = None
        self._asked = 0
        self._strip: set[str] = set()
        self._told: set[str] = set()
        self.setup = TrainSetup()
        self.runs = TrainRuns()
        self.run = TrainRun()
        self.foot = JobFoot("train.new")
        self._stack = QStackedWidget()
        self._stack.addWidget(self._overview())
        self._stack.addWidget(self.run)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self._stack)
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(PLAN_MS)
        self._timer.timeout.connect(self._ask_plan)
        self.setup.changed.connect(self._changed)
        self.runs.opened.connect(self.open_run)
        self.runs.compared.connect(self._read_curves)
        self.runs.removed.connect(lambda run_id: self._wish("delete", run_id))
        self.run.closed.connect(lambda: self._stack.setCurrentIndex(0))
        self.run.wished.connect(self._wish)
        self.run.failed.connect(lambda message, hint: desk.notify(message, hint, "error", key="train"))
        self.setFocusProxy(self.setup)
        self._read_models()
        self._read_runs()
        self._show_foot()
        if hasattr(type(desk.session), "shelf"):
            threading.Thread(target=self._make_shelf, name="train-shelf", daemon=True).start()

    def _make_shelf(self) -> None:
        """On a thread of its own: it brings the readers of headers, half a second of imports."""
        shelf = self._desk.session.shelf

        def take() -> None:
            if shiboken6.isValid(self):
                self._shelf = shelf
                self._read_models()
                if not shelf.rows():
                    shelf.refresh()

        on_window_thread(take)

    def _overview(self) -> QWidget:
        left, right = QFrame(), QFrame()
        theme.mark(left, surface="surface", line="right")
        theme.mark(right, surface="surface")
        left.setFixedWidth(SETUP)
        head = QLabel("Train")
        theme.mark(head, role="title")
        inner = QVBoxLayout()
        inner.setContentsMargins(24, 16, 16, 16)
        inner.setSpacing(16)
        inner.addWidget(head)
        inner.addWidget(self.setup, 1)
        column = QVBoxLayout(left)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addLayout(inner, 1)
        column.addWidget(self.foot)
        other = QVBoxLayout(right)
        other.setContentsMargins(24, 16, 24, 16)
        other.addWidget(self.runs)
        both = QWidget()
        row = QHBoxLayout(both)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(0)
        row.addWidget(left)
        row.addWidget(right, 1)
        return both

    # -- the window's side

    def actions(self) -> tuple[Action, ...]:
        return ()

    def open(self, data: str = "", model: str = "", run: str = "") -> None:
        """Shows a run, or a new one on this file or this model."""
        if run:
            self.open_run(run)
            return
        self._stack.setCurrentIndex(0)
        if model:
            self._read_models(model)
        if data:
            self.setup.set_data(data)

    def handle(self, event: Any) -> None:
        """An event of the session."""
        if isinstance(event, RunChanged):
            self._run_changed(event)
        elif isinstance(event, RunNoted):
            if event.run_id == self.run.run_id():
                self.run.take_events(event.events)
                if any(each["event"] == "sample" for each in event.events):
                    self._read_samples(event.run_id)
        elif type(event).__name__ == "StoreReady":
            self._read_runs()
        elif type(event).__name__ == "LibraryChanged":
            self._read_models()

    # -- a new run

    def _changed(self) -> None:
        self._plan = None
        if not self.setup.data():
            self.setup.show_nothing()
        self._timer.start()
        self._show_foot()

    def _ask_plan(self) -> None:
        data, model = self.setup.data(), self.setup.model()
        self._asked += 1
        if not data or not model:
            return
        number = self._asked
        future = self._training.plan(model, data, self.setup.wishes())
        self._desk.when_done(future, self, lambda plan: self._planned(number, plan), lambda error: self._no_plan(number, error))
        self._show_foot()

    def _planned(self, number: int, plan: TrainPlan) -> None:
        if number == self._asked:
            self._plan = plan
            self.setup.show_plan(plan)
            self._show_foot()

    def _no_plan(self, number: int, error: BaseException) -> None:
        if number == self._asked and isinstance(error, PlaygroundError):
            self.setup.show_problem(error.message, error.hint)
            self._asked += 1
            self._show_foot(f"{error.message} {error.hint}".strip())

    def _show_foot(self, problem: str = "") -> None:
        plan = self._plan
        if plan is None:
            missing = "Choose a file of data" if not self.setup.data() else ""
            missing = missing or ("No model here can be trained" if not self.setup.model() else "")
            said = problem or missing or "Reading the data…"
            hint = "" if problem or missing else "A new model's tokenizer takes some seconds to start."
            self.foot.show_ready(said, hint, Press("start", "Train", said, self._start, True, enabled=False))
            return
        settings = plan.settings
        what = f"{plan.steps:,} steps of {settings.group} rows, {settings.method}"
        tight = plan.fit.verdict == "does not fit"
        detail = f"About {amount(plan.fit.terms.total)} of memory. {plan.fit.why}" if tight else (
            f"About {amount(plan.fit.terms.total)} of memory; {amount(plan.fit.device.free)} are free."
        )  # fmt: skip
        start = Press("start", "Train anyway" if tight else "Train", "Starts; the window goes on meanwhile", self._start, True)
        self.foot.show_ready(what, detail, start, warn=tight)

    def _start(self) -> None:
        plan = self._plan
        if plan is None:
            return
        try:
            run_id = self._training.start(
                self.setup.model(),
                self.setup.data(),
                self.setup.wishes(),
                probes=self.setup.probes(),
                title=f"{plan.model_name} on {plan.data.name}",
                anyway=plan.fit.verdict == "does not fit",
            )
        except PlaygroundError as error:
            self._desk.notify(error.message, error.hint, "error", key="train")
            return
        self.open_run(run_id)

    def _read_models(self, chosen: str = "") -> None:
        """What can be trained: the starter, and the library's folders."""
        from playground.paths import starter

        found = [("Starter", str(starter().parent))]
        found += [
            (row.name, row.path)
            for row in (self._shelf.rows() if self._shelf is not None else ())
            if row.kind == "safetensors"
            and not row.problem
            and not is_starter(row.path)
            and not any(row.path == path for _, path in found)
        ]
        self.setup.set_models(found, chosen)

    # -- runs

    def _read_runs(self) -> None:
        self._desk.when_done(self._training.runs(), self, self.runs.show_runs, lambda error: None)

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
        if run_id == self.run.run_id():
            self.run.take_metrics(found)

    def _read_samples(self, run_id: str) -> None:
        def take(found: Any) -> None:
            if run_id == self.run.run_id():
                self.run.samples.add(found)

        self._desk.when_done(self._training.samples(run_id), self, take, lambda error: None)

    def _run_changed(self, event: RunChanged) -> None:
        row = event.run
        self.runs.take(row, event.removed)
        if row.id == self.run.run_id():
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

    def _show_job(self, event: RunChanged) -> None:
        from playground.gui.widgets.amounts import duration
        from playground.gui.widgets.job_strip import Job

        strip, row, far = getattr(self.window(), "jobs", None), event.run, event.progress
        if strip is None:
            return
        name = f"train.{row.id}"
        if row.ended or event.removed:
            strip.remove(name)
            return
        paused = row.state in ("paused", "pausing")
        left = f"{duration(far.seconds_left)} left" if far.seconds_left > 0 and row.state == "running" else row.state
        fraction = far.fraction if far.step else (0.0 if row.state == "queued" else -1.0)
        hold = (
            (lambda: self._wish("resume" if paused else "pause", row.id))
            if row.state in ("running", "paused", "pausing")
            else None
        )
        strip.put(Job(name, f"Training {row.title}", fraction, left, lambda: self._wish("end", row.id), hold, paused))

    def _tell_end(self, row: RunRow) -> None:
        """One who looks at the run sees it there; all others are told."""
        if self.isVisible() and self._stack.currentWidget() is self.run and self.run.run_id() == row.id:
            return

        def show() -> None:
            self._desk.open_page("train", run=row.id)

        if row.state == "failed":
            self._desk.notify(row.error or f"{row.title} did not work.", row.hint, "error", "Show", f"train.{row.id}", show)
        elif row.state in ("finished", "stopped"):
            self._desk.notify(f"{row.title}: trained.", "", "info", "Show", f"train.{row.id}", show)

    # -- what is wished for a run

    def _wish(self, what: str, run_id: str) -> None:
        row = self.run.row() if self.run.run_id() == run_id else self.runs.row(run_id)
        try:
            if what in ("pause", "resume"):
                getattr(self._training, what)(run_id)
            elif what in ("stop", "end"):
                self._training.stop(run_id, keep=what == "stop")
            elif what == "continue":
                self._training.continue_(run_id)
            elif what == "delete":
                self._training.delete(run_id)
            elif row is None:
                return
            elif what == "lower":
                self._lower(row)
            elif what in ("chat", "compare"):
                self._use(row, what)
            elif what == "export":
                self._training.export(run_id)
                self._desk.notify(
                    "The adapter is being merged, converted and quantized.", "The strip at the bottom shows how far it is."
                )
            elif what == "reveal":
                self._reveal(row)
        except PlaygroundError as error:
            self._desk.notify(error.message, error.hint, "error", key="train")

    def _lower(self, row: RunRow) -> None:
        """Goes on with less, or begins anew with it where the steps would be others."""
        offer = row.summary["lower"]
        if offer.get("goes_on") and self._training.can_continue(row.id):
            self._training.continue_(row.id, offer["changes"])
            return
        wishes = {**self._training.record(row.id).get("wishes", {}), **offer["changes"]}
        self.open_run(self._training.start(row.model_path, row.data_path or row.data_name, wishes, title=row.title))

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
        from PySide6.QtCore import QUrl

        folder = Path(row.adapter if Path(row.adapter).exists() else row.folder)
        if not folder.exists():
            raise PlaygroundError(f"{folder} is not there any more.", "")
        QDesktopServices.openUrl(QUrl.fromLocalFile(str(folder)))

    # -- files dropped anywhere on the page

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        if any(url.isLocalFile() for url in event.mimeData().urls()):
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent) -> None:
        for url in event.mimeData().urls():
            if url.isLocalFile():
                event.acceptProposedAction()
                event.setDropAction(Qt.DropAction.CopyAction)
                self.open(data=url.toLocalFile())
                return


def progress_of(row: RunRow) -> Any:
    """How far a run of an earlier session is, from its summary."""
    from dataclasses import fields

    from playground.training.runs import Progress

    known = {each.name for each in fields(Progress)}
    return Progress(**{name: value for name, value in row.summary.items() if name in known})
