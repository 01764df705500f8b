"""Train: a file of data, one button, and then a model that answers as the data does.

Left what is to be trained, right the runs there are; a run opens over both. Asks the session for plans and starts runs; what happens in
them comes as events, whether this page is looked at or not.
"""

from __future__ import annotations

import importlib
import threading
from typing import Any

import shiboken6
from PySide6.QtCore import Qt, QTimer
from PySide6.QtGui import QDragEnterEvent, QDropEvent, QResizeEvent
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QPushButton, QStackedWidget, QVBoxLayout, QWidget

import playground.session.datasets
import playground.session.publishing
import playground.session.training  # noqa: F401 - what the session would bring on the window's thread, this module brings off it
from playground.errors import PlaygroundError
from playground.gui import theme
from playground.gui.actions import Action
from playground.gui.ahead import Pieces, make_ahead, make_soon, polish
from playground.gui.bridge import on_window_thread
from playground.gui.drops import words
from playground.gui.pages import Desk
from playground.gui.pages.train_data import TrainData, sentence
from playground.gui.pages.train_publishing import TrainPublishing
from playground.gui.pages.train_running import TrainRunning
from playground.gui.preferences import is_starter
from playground.gui.widgets.amounts import amount
from playground.gui.widgets.job_foot import JobFoot, Press
from playground.gui.widgets.train_run import TrainRun
from playground.gui.widgets.train_runs import TrainRuns, short
from playground.gui.widgets.train_setup import TrainSetup
from playground.session.training_jobs import RunChanged, RunNoted, TrainPlan

PLAN_MS = 250
"""after the last change; a plan reads the data"""
SETUP, SETUP_LEAST, SETUP_SHARE = 520, 400, 0.43
"""how wide the settings are, and of a narrow window"""


class TrainPage(TrainRunning, QWidget):
    title, icon = "Train", "graduation-cap"

    def __init__(self, desk: Desk, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("page.train")
        self.setAcceptDrops(True)
        self._desk = desk
        self._training = desk.session.training
        self._shelf: Any = None
        self._plan: TrainPlan | None = None
        self._encode: dict[str, Any] = {}
        self._read = ""
        """the data that is being read, or was"""
        self._asked = 0
        self._told: set[str] = set()
        self._exports: set[str] = set()
        self._run: TrainRun | None = None
        self._runs: TrainRuns | None = None
        self._stack = QStackedWidget(self)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self._stack)
        self._stack.addWidget(self._overview())
        self.data = TrainData(self._stack, desk, self.setup.datasets_menu)
        self.data.chosen.connect(self._take_data)
        self.data.closed.connect(self._data_closed)
        self.setup.look_wanted.connect(self._look)
        self.data.read()
        self.publishing = TrainPublishing(
            self._stack, desk, lambda: self._shelf, lambda: self._stack.setCurrentWidget(self.run)
        )
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(PLAN_MS)
        self._timer.timeout.connect(self._ask_plan)
        self.setup.changed.connect(self._changed)
        self.setup.swept.connect(lambda: self._show_foot())
        self.setFocusProxy(self.setup)
        self._read_runs()
        self._show_foot()
        self._pieces = Pieces(lambda: self.runs, self.setup.pieces.next, self._order_keys, self._read_models)
        make_soon(self, self._pieces)
        make_ahead(self, [lambda: self.run, *polish(lambda: self.run, 3)])
        if hasattr(type(desk.session), "shelf"):
            threading.Thread(target=self._make_shelf, name="train-shelf", daemon=True).start()

    @property
    def run(self) -> TrainRun:
        """The part that shows a run; made when it is first needed, or ahead of that."""
        if self._run is None:
            run = self._run = TrainRun(self._stack)
            self._stack.addWidget(run)
            run.closed.connect(lambda: self._stack.setCurrentIndex(0))
            run.wished.connect(self._wish)
            run.failed.connect(lambda message, hint: self._desk.notify(message, hint, "error", key="train"))
        return self._run

    @property
    def runs(self) -> TrainRuns:
        """The runs there are; what says that there is none is made a moment after the page."""
        if self._runs is None:
            runs = self._runs = TrainRuns(self._right)
            column = QVBoxLayout(self._right)
            column.setContentsMargins(24, 16, 24, 16)
            column.addWidget(runs)
            runs.opened.connect(self.open_run)
            runs.compared.connect(self._read_curves)
            runs.delete_wanted.connect(self._ask_delete)
        return self._runs

    def _order_keys(self) -> None:
        """The Tab key goes through the settings, then to the button that starts: those came later than the button."""
        start = self.foot.findChild(QPushButton)
        assert start is not None
        QWidget.setTabOrder(self.setup.probe_box, start)

    def _make_shelf(self) -> None:
        """On a thread of its own: it brings the readers of headers, half a second of imports; and what looks at rows."""
        shelf = self._desk.session.shelf
        for module in ("train_rows", "train_chats"):
            importlib.import_module(f"playground.gui.widgets.{module}")

        def take() -> None:
            if shiboken6.isValid(self):
                self._shelf = shelf
                self._read_models()
                make_ahead(self, [self.data.make_rows, *polish(self.data.rows, 8)])
                if not shelf.rows():
                    shelf.refresh()

        on_window_thread(take)

    def _overview(self) -> QWidget:
        # From the outside in: what is put into another parent later is styled again with all that is in it.
        both = QWidget(self._stack)
        left, right = QFrame(both), QFrame(both)
        theme.mark(left, surface="surface", line="right")
        theme.mark(right, surface="surface")
        self._left, self._right = left, right
        self.setup, self.foot = TrainSetup(left), JobFoot("train.new", left)
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
        row = QHBoxLayout(both)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(0)
        row.addWidget(left)
        row.addWidget(right, 1)
        return both

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._left.setFixedWidth(min(SETUP, max(SETUP_LEAST, round(self.width() * SETUP_SHARE))))

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
            self._take_data(data)

    def handle(self, event: Any) -> None:
        """An event of the session."""
        if isinstance(event, RunChanged):
            self._run_changed(event)
        elif isinstance(event, RunNoted):
            if event.run_id == self._run_id():
                self.run.take_events(event.events)
                if any(each["event"] == "sample" for each in event.events):
                    self._read_samples(event.run_id)
        elif type(event).__name__ == "JobChanged":
            self._making_changed(event)
        elif type(event).__name__ == "StoreReady":
            self._read_runs()
        elif type(event).__name__ == "LibraryChanged":
            self._read_models()

    def _take_data(self, data: str) -> None:
        """Another file or dataset; the same one again may hold something else by now, or be read otherwise."""
        if data == self.setup.data():
            self._changed()
        else:
            self.setup.set_data(data)

    def _data_closed(self) -> None:
        self._stack.setCurrentIndex(0)
        if self.data.encode() != self._encode:
            self._changed()

    def _look(self) -> None:
        self._pieces.finish()
        self.data.open_rows(self.setup.data(), self.setup.model(), self._plan)

    # -- a new run

    def _changed(self) -> None:
        self._plan = None
        if self.setup.data() != self._read:  # a large file that nobody wants any more would keep the next one waiting
            self._read = self.setup.data()
            self.data.cancel()
        self._asked += 1  # a plan that is on its way is one of something else
        if not self.setup.data():
            self.setup.show_nothing()
        self._timer.start()
        self._show_foot()

    def _ask_plan(self) -> None:
        self._pieces.finish()
        data, model = self.setup.data(), self.setup.model()
        if not data:
            return
        self._asked += 1
        number = self._asked
        self._encode = self.data.encode()
        future = self._training.plan(model, data, self.setup.wishes(), self._encode)
        self._desk.when_done(future, self, lambda plan: self._planned(number, plan), lambda error: self._no_plan(number, error))
        self._show_foot()

    def _planned(self, number: int, plan: TrainPlan) -> None:
        if number == self._asked:
            self._plan = plan
            self.setup.show_plan(plan)
            self.data.ask_notes(plan.data.sha256, lambda notes: self.setup.show_notes(notes) if plan is self._plan else None)
            self._show_foot()

    def _no_plan(self, number: int, error: BaseException) -> None:
        if number == self._asked:
            told = sentence(error)
            self.setup.show_problem(told.message, told.hint)
            self._show_foot(f"{told.message} {told.hint}".strip())

    def _show_foot(self, problem: str = "") -> None:
        plan = self._plan
        if plan is None:
            missing = "Choose a file of data" if not self.setup.data() else ""
            said = problem or missing or "Reading the data…"
            hint = "" if problem or missing else "A large file takes its time, a new model's tokenizer some seconds."
            self.foot.show_ready(said, hint, Press("start", "Train", said, self._start, True, enabled=False))
            return
        settings = plan.settings
        what = f"{plan.steps:,} steps of {settings.group} rows, {settings.method}"
        try:
            runs = len(self.setup.sweep.runs())
        except PlaygroundError as error:
            self.foot.show_ready(
                error.message, error.hint, Press("start", "Train", error.message, self._start, True, enabled=False)
            )
            return
        if runs:
            what = f"{runs} runs of {what}"
        tight = plan.fit.verdict == "does not fit"
        detail = f"About {amount(plan.fit.terms.total)} of memory. {plan.fit.why}" if tight else (
            f"About {amount(plan.fit.terms.total)} of memory; {amount(plan.fit.device.free)} are free."
        )  # fmt: skip
        word = "Queue the sweep" if runs else "Train"
        start = Press("start", f"{word} anyway" if tight else word, "Starts; the window goes on meanwhile", self._start, True)
        self.foot.show_ready(what, detail, start, warn=tight)

    def _start(self) -> None:
        plan = self._plan
        if plan is None:
            return
        name = f"{plan.model_name} on {plan.data.name}"
        started = []
        try:
            for wishes in self.setup.sweep.runs() or [{}]:
                # What tells them apart comes first: a column may be narrow.
                title = f"Rank {wishes['rank']}, {short(wishes['learning_rate'])}: {name}" if wishes else name
                started.append(
                    self._training.start(
                        self.setup.model(),
                        self.setup.data(),
                        {**self.setup.wishes(), **wishes},
                        encode=self._encode,
                        probes=self.setup.probes(),
                        title=title,
                        anyway=plan.fit.verdict == "does not fit",
                    )
                )
        except PlaygroundError as error:
            self._desk.notify(error.message, error.hint, "error", key="train")
        if len(started) == 1:
            self.open_run(started[0])

    def _read_models(self, chosen: str = "") -> None:
        """What can be trained: the starter, and the library's folders. The last of the pieces; until then nobody needs it."""
        if not chosen and not self._pieces.whole():
            return
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

    # -- files dropped anywhere on the page

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        """What the window knows by its name is the window's; here any other file is taken as data too."""
        local = any(url.isLocalFile() for url in event.mimeData().urls())
        if local and not words(event):
            event.acceptProposedAction()
        else:
            event.ignore()

    def dropEvent(self, event: QDropEvent) -> None:
        for url in event.mimeData().urls():
            if url.isLocalFile():
                event.acceptProposedAction()
                event.setDropAction(Qt.DropAction.CopyAction)
                self.open(data=url.toLocalFile())
                return
