"""What the Train page does with data: a file's rows looked at and corrected, datasets of before, the user's own chats.

Asks `Session.datasets`; what comes of it is the name of a dataset, which is all that training needs. Knows no run.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import shiboken6
from PySide6.QtCore import QObject, Signal
from PySide6.QtWidgets import QMenu, QStackedWidget

from playground.errors import PlaygroundError
from playground.gui.bridge import on_window_thread
from playground.gui.pages import Desk

if TYPE_CHECKING:  # what reads files is imported off the window's thread, by the time that it is needed
    from playground.gui.widgets.train_chats import TrainChats
    from playground.gui.widgets.train_rows import TrainRows
    from playground.session.datasets import Look
    from playground.session.training_jobs import TrainPlan
    from playground.training.datasets import Dataset
    from playground.training.problems import Problem

log = logging.getLogger(__name__)

LISTED = 12
"""datasets in the menu"""


class TrainData(QObject):
    """The parts lie in `stack`, over the page's own; `chosen(data)` names what is to be trained on, `closed` goes back."""

    chosen = Signal(str)
    closed = Signal()

    def __init__(self, stack: QStackedWidget, desk: Desk, menu: QMenu) -> None:
        super().__init__(stack)
        self._stack, self._desk, self._menu = stack, desk, menu
        self._datasets = desk.session.datasets
        self._found: tuple[Dataset, ...] = ()
        self._looks: dict[str, Look] = {}
        """what was corrected, by the dataset that came of it"""
        self._data = self._model = ""
        self._dataset: Dataset | None = None
        self._settings: dict[str, Any] = {}
        self._asked = 0
        self._rows: TrainRows | None = None
        self._chats: TrainChats | None = None
        menu.aboutToShow.connect(self._fill)

    # -- datasets of before

    def read(self, then: Callable[[], None] = lambda: None) -> None:
        """Asks which datasets there are."""

        def take(found: Any) -> None:
            self._found = tuple(found)
            then()

        self._desk.when_done(self._datasets.list(), self, take, lambda error: None)

    def cancel(self) -> None:
        """Ends whatever is being read."""
        self._datasets.cancel()

    def ask_notes(self, sha256: str, take: Callable[[Sequence[str]], None]) -> None:
        """What was seen when a dataset was imported: for a file, that was only just."""

        def tell() -> None:
            known = next((each for each in self._found if each.sha256 == sha256), None)
            take(known.notes if known is not None else ())

        self.read(tell)

    def _fill(self) -> None:
        self._menu.clear()
        for each in self._found[:LISTED]:
            when = time.strftime("%d %b, %H:%M", time.localtime(each.created))
            action = self._menu.addAction(f"{each.name}  ·  {each.rows:,} rows  ·  {when}")
            action.setToolTip(each.source)
            name = named(each)
            action.triggered.connect(lambda _checked=False, it=name: self.chosen.emit(it))
        if self._found:
            self._menu.addSeparator()
        chats = self._menu.addAction("From my chats…")
        chats.setObjectName("train.data.chats")
        chats.triggered.connect(self.open_chats)
        self.read()

    # -- rows

    def encode(self) -> dict[str, Any]:
        """What was chosen about how rows become tokens."""
        return self._rows.encode() if self._rows is not None and self._rows.pieces.whole() else {}

    def rows(self) -> TrainRows:
        """The part that shows rows; made when it is first needed, or ahead of that."""
        while self.make_rows():
            pass
        assert self._rows is not None
        return self._rows

    def make_rows(self) -> bool:
        """Makes a piece of the part that shows rows; whether one is missing still."""
        if self._rows is None:
            from playground.gui.widgets.train_rows import TrainRows

            rows = self._rows = TrainRows(self._stack)
            self._stack.addWidget(rows)
            rows.look_wanted.connect(self._look)
            rows.preview_wanted.connect(self._preview)
            rows.row_wanted.connect(self._read_row)
            rows.used.connect(self._use)
            rows.closed.connect(self.closed)
            rows.cancelled.connect(self.cancel)
            return True
        return self._rows.pieces.next()

    def open_rows(self, data: str, model: str, plan: TrainPlan | None) -> None:
        """Shows a file's rows, or a dataset's; `plan` says how long rows may be and what is held out."""
        rows = self.rows()
        known = next((each for each in self._found if named(each) == data or each.name == data), None)
        self._data, self._model, self._dataset = data, model, known
        settings = plan.settings if plan is not None else None
        self._settings = (
            {"max": settings.sequence_length, "share": settings.validation_share, "seed": settings.seed} if settings else {}
        )
        self._stack.setCurrentWidget(rows)
        rows.begin(known.name if known is not None else Path(data).name, self._looks.get(data))
        rows.setFocus()

    def _look(self, guess: Any, fixes: Mapping[str, str], edits: Mapping[int, Any]) -> None:
        rows, number = self._rows, self._next()
        assert rows is not None
        path = guess.path if guess is not None else str(self._dataset.file) if self._dataset is not None else self._data

        def told(what: str) -> None:
            on_window_thread(lambda: rows.show_progress(what) if shiboken6.isValid(rows) and number == self._asked else None)

        self._ask(
            lambda: self._datasets.look(path, guess, fixes, edits, told),
            lambda look: rows.show_look(look) if number == self._asked else None,
            lambda error: rows.show_problem(error.message, error.hint) if number == self._asked else None,
        )

    def _next(self) -> int:
        self._asked += 1
        return self._asked

    def _preview(self, start: int) -> None:
        rows, number = self._rows, self._asked
        assert rows is not None
        if rows.look is None or not self._model:
            rows.show_no_preview("No model is chosen.", "")
            return
        data: Any = self._dataset if self._dataset is not None and not rows.corrected() else rows.look
        most = int(self._settings.get("max", 1024))
        encode = {**rows.encode(), "max_tokens": most}
        more = {name: self._settings[name] for name in ("share", "seed") if name in self._settings}
        self._ask(
            lambda: self._datasets.preview(data, self._model, encode, start, rows.at_once, **more),
            lambda found: rows.show_preview(found, most) if number == self._asked else None,
            lambda error: rows.show_no_preview(error.message, error.hint) if number == self._asked else None,
        )

    def _read_row(self, problem: Problem) -> None:
        rows = self._rows
        assert rows is not None
        assert rows.look is not None
        look = rows.look
        self._ask(
            lambda: self._datasets.row(look, problem.row, problem.file),
            lambda read: (
                rows.show_row(read)
                if read.raw
                else self._desk.notify(f"{problem.place} cannot be mended here.", problem.hint, key="train")
            ),
            lambda error: self._desk.notify(error.message, error.hint, "error", key="train"),
        )

    def _use(self) -> None:
        """What was looked at becomes a dataset; of one that is as it was, nothing has to."""
        rows = self._rows
        assert rows is not None
        assert rows.look is not None
        look, kept = rows.look, self._dataset
        if not rows.corrected():
            self.chosen.emit(self._data if kept is None else named(kept))
            self.closed.emit()
            return

        number = self._asked

        def take(made: Dataset) -> None:
            self._looks[named(made)] = look
            self._found = (made, *(each for each in self._found if named(each) != named(made)))
            if number == self._asked:  # else the rows of something else are looked at by now
                self.chosen.emit(named(made))
                self.closed.emit()

        name = kept.name if kept is not None else Path(self._data).stem
        self._ask(
            lambda: self._datasets.import_look(look, name),
            take,
            lambda error: rows.show_problem(error.message, error.hint) if number == self._asked else None,
        )

    # -- chats

    def open_chats(self) -> None:
        if self._chats is None:
            from playground.gui.widgets.train_chats import TrainChats

            self._chats = TrainChats(self._stack)
            self._stack.addWidget(self._chats)
            self._chats.wanted.connect(self._from_log)
            self._chats.closed.connect(self.closed)
        chats = self._chats
        self._stack.setCurrentWidget(chats)
        self._ask(self._desk.session.chats, chats.show_sessions, lambda error: chats.show_problem(error.message, error.hint))
        chats.holds.setFocus()

    def _from_log(self, wanted: Any) -> None:
        chats = self._chats
        assert chats is not None

        def take(made: Dataset) -> None:
            self._found = (made, *self._found)
            self.chosen.emit(named(made))
            self.closed.emit()

        self._ask(lambda: self._datasets.from_log(wanted), take, lambda error: chats.show_problem(error.message, error.hint))

    def _ask(self, question: Callable[[], Any], take: Callable[[Any], None], fail: Callable[[PlaygroundError], None]) -> None:
        """The answer on the window's thread; what only was overtaken by a newer question is nobody's error."""
        try:
            self._desk.when_done(question(), self, take, lambda error: fail(sentence(error)))
        except PlaygroundError as error:
            fail(error)


def sentence(error: BaseException) -> PlaygroundError:
    """What to tell of an error; one that nobody could foresee is logged whole."""
    if isinstance(error, PlaygroundError):
        return error
    log.error("a question of the Train page", exc_info=error)
    return PlaygroundError("Something went wrong inside the program.", "The details are in the log file.")


def named(dataset: Dataset) -> str:
    """A version of a dataset as a person can read it, and training finds it."""
    return f"{dataset.name}@{dataset.sha256[:8]}"
