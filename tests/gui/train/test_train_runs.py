"""The table of runs."""

from __future__ import annotations

from typing import Any

from PySide6.QtCore import QItemSelectionModel, Qt

from playground.gui.widgets.train_runs import TrainRuns
from playground.history.runs import RunRow


def test_what_is_chosen_stays_chosen_when_the_runs_are_sorted(qtbot: Any) -> None:
    runs = TrainRuns()
    qtbot.addWidget(runs)
    runs.show_runs([RunRow(f"r{n}", title=f"run {n}", state="finished", step=10 - n, started=float(n)) for n in range(6)])
    rows = QItemSelectionModel.SelectionFlag.Select | QItemSelectionModel.SelectionFlag.Rows
    for place, run in enumerate(runs.model.runs):
        if run.id in ("r1", "r4"):
            runs.table.selectionModel().select(runs.model.index(place, 0), rows)
    for order in (Qt.SortOrder.AscendingOrder, Qt.SortOrder.DescendingOrder):
        runs.table.sortByColumn(3, order)
        assert sorted(runs.chosen()) == ["r1", "r4"]
    assert [run.step for run in runs.model.runs] == [10, 9, 8, 7, 6, 5]


def test_what_was_told_of_runs_while_they_were_being_read_counts(qtbot: Any) -> None:
    runs = TrainRuns()
    qtbot.addWidget(runs)
    as_read = [RunRow("r1", title="one", state="running", started=1.0)]
    runs.show_runs(as_read)
    runs.take(RunRow("r1", title="one", state="finished", started=1.0))
    runs.take(RunRow("r2", title="two", state="running", started=2.0))
    runs.show_runs(as_read)
    assert {run.id: run.state for run in runs.model.runs} == {"r1": "finished", "r2": "running"}
