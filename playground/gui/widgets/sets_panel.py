"""Many prompts through the columns of a comparison: begun, watched, paused, looked through, exported. A part of the Compare page.

Puts the beginning (`sets_setup`), the line (`sets_bar`) and the grid (`sets_grid`) together and carries their wishes to
`Session.prompt_sets`. The job strip shows a set that runs, wherever one is. Object names `compare.sets.*`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from PySide6.QtCore import QModelIndex, Qt, QTimer, Signal
from PySide6.QtWidgets import QFileDialog, QLabel, QPlainTextEdit, QSplitter, QStackedWidget, QVBoxLayout, QWidget

from playground import events
from playground.errors import PlaygroundError
from playground.gui import theme
from playground.gui.pages import Desk
from playground.gui.widgets.amounts import duration
from playground.gui.widgets.job_strip import Job
from playground.gui.widgets.part_head import PartHead
from playground.gui.widgets.sets_bar import SetsBar
from playground.gui.widgets.sets_grid import Row, SetGrid, SetModel
from playground.gui.widgets.sets_setup import SetsSetup
from playground.history.records import Column, SessionRow

TICK_MS = 120
"""progress is shown at most this often, however many cells are done a second"""


class SetsPanel(QWidget):
    """`closed` when the comparison is wanted back. `open` it with the comparison's columns."""

    closed = Signal()

    def __init__(self, desk: Desk, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("compare.sets")
        self.desk = desk
        self.set_id = ""
        self._row: SessionRow | None = None
        self._columns: tuple[Column, ...] = ()
        self._system = ""
        self._progress: dict[str, events.PromptSetProgress] = {}
        self._titles: dict[str, str] = {}
        self._asked = self._given = 0
        """questions for rows, and for what was given as prompts: only the last answer of each counts"""
        self.head = PartHead("compare.sets", "Back to the comparison")
        self.head.closed.connect(self._back)
        self.setup = SetsSetup()
        self.setup.source_given.connect(self._recognise)
        self.setup.wanted.connect(self.begin)
        self.setup.chosen.connect(self.open_set)
        self.setup.unwanted.connect(self._throw_away)
        self.model = SetModel(self._read, self)
        self.model.dataChanged.connect(self._rows_came)
        self.grid = SetGrid(self.model)
        self.grid.opened.connect(self._show_cell)
        self.bar = SetsBar()
        self.bar.hold_wanted.connect(self.pause_or_go_on)
        self.bar.filtered.connect(self._filter)
        self.bar.export_wanted.connect(self.export_as)
        self.cell = QPlainTextEdit()
        self.cell.setObjectName("compare.sets.cell")
        self.cell.setAccessibleName("The chosen cell in full")
        self.cell.setReadOnly(True)
        self.cell.setPlaceholderText("Choose a cell to read it in full.")
        self.facts = QLabel()
        self.facts.setObjectName("compare.sets.facts")
        theme.mark(self.facts, role="muted")
        self._build()
        self._tick = QTimer(self, singleShot=True, interval=TICK_MS)
        self._tick.timeout.connect(self._show_progress)

    def _build(self) -> None:
        lower = QWidget()
        below = QVBoxLayout(lower)
        below.setContentsMargins(16, 8, 16, 8)
        below.setSpacing(4)
        below.addWidget(self.facts)
        below.addWidget(self.cell, 1)
        split = QSplitter(Qt.Orientation.Vertical)
        split.addWidget(self.grid)
        split.addWidget(lower)
        split.setSizes([460, 180])
        split.setStretchFactor(0, 1)
        split.setChildrenCollapsible(False)
        self.results = QWidget()
        column = QVBoxLayout(self.results)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addWidget(self.bar)
        column.addWidget(split, 1)
        self.stack = QStackedWidget()
        self.stack.addWidget(self.setup)
        self.stack.addWidget(self.results)
        whole = QVBoxLayout(self)
        whole.setContentsMargins(0, 0, 0, 0)
        whole.setSpacing(0)
        whole.addWidget(self.head)
        whole.addWidget(self.stack, 1)

    # -- what the page asks for

    def open(self, columns: Sequence[Column], system: str = "") -> None:
        """Shows where a set begins, with the columns and the system prompt of the comparison."""
        self._columns, self._system = tuple(columns), system
        self.set_id = ""
        self.head.show_title("Many prompts", "A list of prompts through the columns of the comparison")
        self.stack.setCurrentWidget(self.setup)
        self._show_can_run()
        self._read_earlier()
        self.setup.text.setFocus()

    def open_set(self, set_id: str) -> None:
        """Shows a set; one that is not done waits for the button."""
        self.set_id = set_id
        self.bar.show_all()
        self.cell.clear()
        self.facts.setText("")
        self.stack.setCurrentWidget(self.results)
        self.desk.when_done(self.desk.session.chat(set_id), self, lambda chat: self._show_set(chat.session))
        self._ask_counts()

    def begin(self) -> None:
        """Runs what was given through the columns."""
        if self.setup.found is None:
            return
        sets, found, title = self.desk.session.prompt_sets, self.setup.found, self.setup.title

        def go() -> None:
            set_id = sets.new(found.prompts, self._columns, self._system, title)
            self.open_set(set_id)
            sets.start(set_id)

        self._try(go)

    def pause_or_go_on(self) -> None:
        sets = self.desk.session.prompt_sets
        if sets.running == self.set_id:
            sets.pause()
            self.bar.hold.setEnabled(False)
        else:
            self._try(lambda: sets.start(self.set_id))

    def handle(self, event: Any) -> None:
        """An event of the session."""
        if isinstance(event, events.PromptSetProgress):
            self._progress[event.session_id] = event
            if event.state != "running":
                self._show_progress()
                self._told_end(event)
            elif not self._tick.isActive():
                self._tick.start()
        elif isinstance(event, events.PromptResult):
            if event.session_id == self.set_id:
                self.model.put(event.result)
        elif isinstance(event, events.ModelState):
            self._show_can_run()
        elif isinstance(event, events.ComparisonChanged) and event.session.kind == "prompts":
            self._titles[event.session.id] = event.session.title
            if self.stack.currentWidget() is self.setup:  # it may be one that was thrown away, or taken back
                self._read_earlier()

    # -- reading

    def _recognise(self, source: Any) -> None:
        self._given += 1
        turn = self._given

        def found(answer: Any) -> None:
            if turn == self._given:
                self.setup.show_found(answer)

        def refused(error: BaseException) -> None:
            if turn == self._given:
                said = f"{getattr(error, 'message', error)} {getattr(error, 'hint', '')}"
                self.setup.show_found(None, said.strip())

        self.desk.when_done(self.desk.session.prompt_sets.recognise(source), self, found, refused)

    def _read(self, indices: Sequence[int], answer: Callable[[list[Row]], None]) -> None:
        if self.set_id:
            self.desk.when_done(self.desk.session.prompt_sets.cells(self.set_id, indices), self, answer)

    def _read_earlier(self) -> None:
        sets = self.desk.session.prompt_sets
        self.desk.when_done(sets.all_with_counts(), self, self.setup.show_earlier)

    def _ask_counts(self) -> None:
        set_id = self.set_id

        def take(counts: tuple[int, int]) -> None:
            if set_id != self.set_id:
                return
            done, total = counts
            running = self.desk.session.prompt_sets.running == set_id
            if not running:
                state = "done" if done >= total else "paused"
                self._progress[set_id] = events.PromptSetProgress(set_id, state, done, total)  # type: ignore[arg-type]
            self._show_progress()

        self.desk.when_done(self.desk.session.prompt_sets.counts(set_id), self, take)

    def _show_set(self, row: SessionRow) -> None:
        if row.id != self.set_id:
            return
        self._row = row
        self._titles[row.id] = row.title
        model = f"{row.model_name} · " if row.model_name else ""
        self.head.show_title(row.title, f"{model}{len(row.columns)} columns")
        self._filter()

    def _filter(self) -> None:
        row, set_id = self._row, self.set_id
        if row is None or row.id != set_id:
            return
        self._asked += 1
        turn = self._asked

        def take(indices: list[int]) -> None:
            if turn == self._asked and set_id == self.set_id:
                whole = indices == list(range(len(indices)))
                self.model.show_set(row.columns, range(len(indices)) if whole else indices)
                self._show_progress()

        self.desk.when_done(self.desk.session.prompt_sets.matching(set_id, self.bar.words, self.bar.choice), self, take)

    # -- showing

    def _show_can_run(self) -> None:
        state = self.desk.session.model.state
        why_not = "" if state == "ready" else "The model is being loaded" if state == "loading" else "Choose a model first"
        if any(column.model for column in self._columns):
            why_not = "Columns with a model of their own cannot take many prompts: give them the loaded one"
        self.setup.show_columns(self._columns, why_not)

    def _show_progress(self) -> None:
        self._tick.stop()
        strip = getattr(self.window(), "jobs", None)
        running = self.desk.session.prompt_sets.running
        for set_id, event in self._progress.items():
            if strip is not None:
                self._show_job(strip, set_id, event)
        now = self._progress.get(self.set_id)
        if now is None:
            return
        prompts = self.model.rowCount()
        whole = prompts * max(1, self.model.columnCount() - 2) == now.total
        self.bar.show_progress(now, -1 if whole else prompts, bool(running))

    def _show_job(self, strip: Any, set_id: str, event: events.PromptSetProgress) -> None:
        name = f"sets.{set_id}"
        if event.state != "running":
            strip.remove(name)
            return
        left = f"{duration(event.seconds_left)} left" if event.seconds_left > 0 else ""
        title = self._titles.get(set_id) or "Prompts"
        fraction = event.done / event.total if event.total else -1.0
        strip.put(Job(name, title, fraction, left, self.desk.session.prompt_sets.pause))

    def _told_end(self, event: events.PromptSetProgress) -> None:
        """One who looks at the set sees it; all others are told."""
        if event.message:
            self.desk.notify(event.message, event.hint, "error" if event.state == "failed" else "warning", key="sets")
        elif event.state == "done" and not (self.isVisible() and self.set_id == event.session_id):
            title = self._titles.get(event.session_id) or "The set of prompts"
            show = lambda: self.desk.open_page("sets", set_id=event.session_id)  # noqa: E731
            self.desk.notify(f"{title}: all {event.total:,} replies are there.", "", "info", "Show", "sets", show)

    def _rows_came(self, first: QModelIndex, last: QModelIndex) -> None:
        """What is known of some rows now: the chosen cell may be one of them."""
        place = self.grid.currentIndex()
        if place.isValid() and first.row() <= place.row() <= last.row():
            self._show_cell(place.row(), place.column())

    def _show_cell(self, place: int, section: int) -> None:
        row = self.model.row(place)
        if row is None:  # it is being read: what stands there is of another cell
            self.facts.setText("")
            self.cell.clear()
            return
        prompt, results = row
        column = self.model.column_at(section)
        if column is None:
            self.facts.setText(f"Prompt {prompt.index + 1:,}" + (f" · system: {prompt.system}" if prompt.system else ""))
            self.cell.setPlainText(prompt.prompt)
            return
        result = results.get(column.id)
        head = f"Prompt {prompt.index + 1:,} · {column.label}"
        if result is None:
            self.facts.setText(f"{head} · still to come")
            self.cell.setPlainText("")
            return
        figures = f"{result.completion_tokens} tokens · ended by {result.state} · mean logprob {result.mean_logprob:.3f} · seed {result.seed}"
        self.facts.setText(f"{head} · {figures}" if result.state != "failed" else f"{head} · failed")
        self.cell.setPlainText(result.error or result.text)

    # -- small parts

    def export_as(self, form: str, path: str = "") -> None:
        """Writes the set to a file that is asked for where none is named."""
        if not path:
            name = (self._titles.get(self.set_id) or "prompts").rpartition(".")[0] or "prompts"
            path, _ = QFileDialog.getSaveFileName(self, "Export", f"{name}.{form}", f"*.{form}")
        if path:
            self.desk.when_done(self.desk.session.prompt_sets.export_to(self.set_id, form, Path(path)), self, self._exported)

    def _exported(self, path: Path) -> None:
        self.desk.notify(f"Written: {path}", "", "info", key="sets.export")

    def _throw_away(self, set_id: str) -> None:
        session = self.desk.session
        if session.prompt_sets.running == set_id:
            session.prompt_sets.pause()
        session.delete(set_id)
        self.desk.notify("The set was thrown away.", "", "info", "Undo", "sets", lambda: session.undelete(set_id))

    def _back(self) -> None:
        if self.stack.currentWidget() is self.results:
            self.open(self._columns, self._system)
        else:
            self.closed.emit()

    def _try(self, intent: Callable[[], Any]) -> bool:
        try:
            intent()
        except PlaygroundError as error:
            self.desk.notify(error.message, error.hint, "warning", key="sets")
            return False
        return True
