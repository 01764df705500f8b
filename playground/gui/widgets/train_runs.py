"""The runs there are, newest first, and the curves of those that are chosen, over each other. Knows rows and metrics, no session.

Object names: `train.runs` (the table), `train.runs.compare` (the plot).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from PySide6.QtCore import QModelIndex, QObject, QPersistentModelIndex, Qt, Signal
from PySide6.QtGui import QKeyEvent, QResizeEvent
from PySide6.QtWidgets import QAbstractItemView, QHeaderView, QLabel, QStackedWidget, QTableView, QVBoxLayout, QWidget

from playground.gui import theme
from playground.gui.palette import CURVES
from playground.gui.widgets.curve_plot import Curve, CurvePlot
from playground.gui.widgets.state_view import StateView
from playground.gui.widgets.table_columns import Column, ColumnsModel, side
from playground.gui.widgets.table_head import plain_table
from playground.gui.widgets.train_curves import RunCurves
from playground.gui.widgets.train_differences import RunDifferences
from playground.history.runs import RunRow

Index = QModelIndex | QPersistentModelIndex
NOWHERE = QModelIndex()
WORDS = {"ended": "stopped", "stopped": "kept early", "queued": "waits"}


def _loss(row: RunRow) -> float:
    return float(row.summary.get("best_loss", row.summary.get("validation_loss", float("inf"))))


def _setting(name: str, write: str) -> Callable[[RunRow], str]:
    return lambda row: format(row.settings[name], write) if name in row.settings else ""


COLUMNS: tuple[Column[RunRow], ...] = (
    Column("Run", "Model and data", lambda row: row.title or row.id, lambda row: (row.title or row.id).lower(), 160),
    Column("State", "How it stands", lambda row: WORDS.get(row.state, row.state), lambda row: row.state, 88),
    Column(
        "Loss",
        "The lowest validation loss, in nats a token",
        lambda row: f"{_loss(row):.4f}" if _loss(row) < float("inf") else "",
        _loss,
        80,
        True,
    ),
    Column("Steps", "Steps taken", lambda row: f"{row.step:,}", lambda row: row.step, 64, True),
    Column("Method", "lora, qlora or full", _setting("method", ""), lambda row: str(row.settings.get("method", "")), 72),
    Column("Rank", "The adapter's width", _setting("rank", ","), lambda row: row.settings.get("rank", 0), 60, True),
    Column(
        "Rate",
        "The learning rate at its highest",
        lambda row: short(row.settings["learning_rate"]) if "learning_rate" in row.settings else "",
        lambda row: row.settings.get("learning_rate", 0.0),
        72,
        True,
    ),
    Column(
        "Begun",
        "When it was started",
        lambda row: time.strftime("%d %b, %H:%M", time.localtime(row.started)),
        lambda row: row.started,
        124,
    ),
)


PLACES = {column.title: place for place, column in enumerate(COLUMNS)}
NEEDS = (("Method", 760), ("Steps", 700), ("Begun", 600), ("State", 460), ("Rate", 380), ("Rank", 300))
"""columns that are only shown where there is so much room"""


class RunsModel(ColumnsModel):
    """A row a run."""

    columns = COLUMNS

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.runs: list[RunRow] = []
        self._order = (len(COLUMNS) - 1, Qt.SortOrder.DescendingOrder)

    def show_runs(self, runs: Sequence[RunRow]) -> None:
        self.beginResetModel()
        self.runs = list(runs)
        self._arrange()
        self.endResetModel()

    def take(self, run: RunRow, removed: bool = False) -> None:
        """A run that is new, changed or gone."""
        place = next((at for at, each in enumerate(self.runs) if each.id == run.id), -1)
        if removed:
            if place >= 0:
                self.beginRemoveRows(NOWHERE, place, place)
                del self.runs[place]
                self.endRemoveRows()
        elif place < 0:
            self.beginInsertRows(NOWHERE, 0, 0)
            self.runs.insert(0, run)
            self.endInsertRows()
        else:
            self.runs[place] = run
            self.dataChanged.emit(self.index(place, 0), self.index(place, len(COLUMNS) - 1))

    def rowCount(self, parent: Index = NOWHERE) -> int:
        return 0 if parent.isValid() else len(self.runs)

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        run, column = self.runs[index.row()], COLUMNS[index.column()]
        if role == Qt.ItemDataRole.DisplayRole:
            return column.text(run)
        if role == Qt.ItemDataRole.ToolTipRole:
            return run.error or run.id
        return side(column.number) if role == Qt.ItemDataRole.TextAlignmentRole else None

    def sort(self, column: int, order: Qt.SortOrder = Qt.SortOrder.AscendingOrder) -> None:
        """What is chosen stays chosen."""
        self._order = (column, order)
        self.layoutAboutToBeChanged.emit()
        before = self.persistentIndexList()
        rows = [self.runs[index.row()] for index in before]
        self._arrange()
        places = {run.id: place for place, run in enumerate(self.runs)}
        after = [self.index(places[row.id], index.column()) for row, index in zip(rows, before, strict=True)]
        self.changePersistentIndexList(before, after)
        self.layoutChanged.emit()

    def _arrange(self) -> None:
        column, order = self._order
        self.runs.sort(key=lambda run: COLUMNS[column].sort(run), reverse=order == Qt.SortOrder.DescendingOrder)


class TrainRuns(QWidget):
    """`opened(id)` by a double click or Enter, `compared(ids)` when others are chosen, whose metrics come by `take_metrics`.

    `delete_wanted(ids)` by the key Delete, of those that have ended.
    """

    opened = Signal(str)
    compared = Signal(list)
    delete_wanted = Signal(list)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.model = RunsModel(self)
        self._curves: dict[str, RunCurves] = {}
        self._below: _Below | None = None
        self._stack = QStackedWidget(self)
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.addWidget(self._stack)
        self.state = StateView("train.runs", self._stack)
        self.state.say(
            "No run yet", "Choose a file of data and press Train. What it learned can be chatted with.", icon="graduation-cap"
        )
        self._stack.addWidget(self.state)

    @property
    def below(self) -> _Below:
        """What shows the runs; made with the first of them."""
        if self._below is None:
            below = self._below = _Below(self.model, self._stack)
            self._stack.addWidget(below)
            below.table.chosen.connect(self._open)
            below.table.delete_wanted.connect(self._remove)
            below.table.selectionModel().selectionChanged.connect(lambda *_: self._selected())
        return self._below

    @property
    def table(self) -> _Table:
        return self.below.table

    def show_runs(self, runs: Sequence[RunRow]) -> None:
        """What was read of all runs: of those that have begun, gone on or ended since then, what was told counts."""
        here = {each.id: each for each in self.model.runs}
        read = {each.id for each in runs}
        begun = [each for each in self.model.runs if each.id not in read]
        self.model.show_runs([*begun, *(_newer(here.get(each.id), each) for each in runs)])
        self._show()

    def _show(self) -> None:
        self._stack.setCurrentWidget(self.below if self.model.runs else self.state)

    def take(self, run: RunRow, removed: bool = False) -> None:
        self.model.take(run, removed)
        self._show()
        if run.ended and run.id in self._curves:
            self.compared.emit([run.id])
        if run.ended and run.id in self.chosen():
            self._selected()

    def row(self, run_id: str) -> RunRow | None:
        return next((each for each in self.model.runs if each.id == run_id), None)

    def chosen(self) -> list[str]:
        if self._below is None:
            return []
        return [self.model.runs[index.row()].id for index in self.table.selectionModel().selectedRows()]

    def take_metrics(self, run_id: str, metrics: Mapping[str, Iterable[tuple[int, float | None]]]) -> None:
        row = self.row(run_id)
        made = self._curves[run_id] = RunCurves(row.title if row else run_id, row.steps if row else 0)
        for name, points in metrics.items():
            made.add((name, step, value) for step, value in points)
        self._draw()

    def _selected(self) -> None:
        ids = self.chosen()
        self.below.differences.show_runs([row for row in map(self.row, ids) if row is not None])
        missing = [each for each in ids if each not in self._curves]
        if missing:
            self.compared.emit(missing)
        self._draw()

    def _draw(self) -> None:
        curves = []
        shown = [each for each in self.chosen() if each in self._curves]
        for place, run_id in enumerate(shown):
            run, row = self._curves[run_id], self.row(run_id)
            name = "validation_loss" if run.values.get("validation_loss") else "loss"
            settings = row.settings if row else {}
            label = f"r{settings.get('rank', '?')} {short(settings.get('learning_rate', 0.0))}" if len(shown) > 1 else run.label
            curves.append(Curve(run_id, label, *run.curve(name), False, True, place, place >= len(CURVES)))
        self.below.plot.show_curves(curves)
        self.below.plot.setVisible(bool(curves))
        self.below.hint.setVisible(not curves)

    def _open(self, place: int) -> None:
        self.opened.emit(self.model.runs[place].id)

    def _remove(self) -> None:
        ended = [each for each in self.chosen() if (row := self.row(each)) is not None and row.ended]
        if ended:
            self.delete_wanted.emit(ended)


def _newer(told: RunRow | None, read: RunRow) -> RunRow:
    return read if told is None or (told.ended and read.ended) else told


class _Below(QWidget):
    """The table, what differs among those that are chosen, and their curves."""

    def __init__(self, model: RunsModel, parent: QWidget) -> None:
        super().__init__(parent)
        self.table = _Table(self)
        self.table.setModel(model)
        self.table.setObjectName("train.runs")
        self.table.setAccessibleName("Runs")
        self.table.setToolTip("A double click opens a run; several that are chosen are compared below")
        for place, column in enumerate(COLUMNS):
            self.table.setColumnWidth(place, column.width)
        self.table.horizontalHeader().setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        self.table.horizontalHeader().setSortIndicator(len(COLUMNS) - 1, Qt.SortOrder.DescendingOrder)
        self.table.setSortingEnabled(True)
        self.differences = RunDifferences(self)
        self.plot = CurvePlot("train.runs.compare", "Validation loss", lambda value: f"{value:.4f}", parent=self)
        self.plot.hide()
        self.hint = QLabel("Choose a run to see its curve, several to compare them. A double click opens one.", self)
        self.hint.setWordWrap(True)
        theme.mark(self.hint, role="muted")
        head = QLabel("Runs", self)
        theme.mark(head, role="heading")
        inner = QVBoxLayout(self)
        inner.setContentsMargins(0, 0, 0, 0)
        inner.setSpacing(8)
        inner.addWidget(head)
        inner.addWidget(self.table, 3)
        inner.addWidget(self.differences)
        inner.addWidget(self.plot, 2)
        inner.addWidget(self.hint)


class _Table(QTableView):
    chosen = Signal(int)
    delete_wanted = Signal()

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        plain_table(self)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
        self.setHorizontalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.doubleClicked.connect(lambda index: self.chosen.emit(index.row()))

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        for title, room in NEEDS:
            self.setColumnHidden(PLACES[title], self.viewport().width() < room)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter) and self.currentIndex().isValid():
            self.chosen.emit(self.currentIndex().row())
        elif event.key() == Qt.Key.Key_Delete:
            self.delete_wanted.emit()
        else:
            super().keyPressEvent(event)


def short(rate: float) -> str:
    """A learning rate as people write it: 8e-4."""
    digits, _, power = f"{rate:.1e}".partition("e")
    return f"{digits.removesuffix('.0')}e{int(power)}" if rate else "0"
