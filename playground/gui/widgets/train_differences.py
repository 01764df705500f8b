"""In which settings chosen runs differ, a line a run, beside what they came to. Knows rows of runs and no session."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QAbstractItemView, QHeaderView, QTableWidget, QTableWidgetItem, QWidget

from playground.gui import theme
from playground.gui.widgets.table_head import TableHead
from playground.gui.widgets.train_setup import shown
from playground.history.runs import RunRow
from playground.training.settings import TrainSettings

ROW = 28
SEEN = 4
"""lines that are seen without scrolling"""


def differing(runs: Sequence[RunRow]) -> list[tuple[str, list[str]]]:
    """What is not the same in all of them, as (label, values); model and data are told too where they differ."""
    found = []
    for label, values in (
        ("Model", [each.model_name for each in runs]),
        ("Data", [f"{each.data_name} {each.data_sha256[:8]}".strip() for each in runs]),
    ):
        if len(set(values)) > 1:
            found.append((label, values))
    for name, field in TrainSettings.__dataclass_fields__.items():
        values = [_word(each.settings.get(name)) for each in runs]
        if len(set(values)) > 1:
            found.append((field.metadata["label"], values))
    return found


class RunDifferences(QTableWidget):
    """`show_runs` sets them; with fewer than two there is nothing to see."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("train.runs.settings")
        self.setAccessibleName("Settings that differ")
        self.setToolTip("Where the chosen runs differ, and the lowest validation loss of each")
        self.setHorizontalHeader(TableHead(self))
        self.horizontalHeader().setSectionsClickable(False)
        self.verticalHeader().hide()
        self.verticalHeader().setDefaultSectionSize(ROW)
        self.setShowGrid(False)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setSelectionMode(QAbstractItemView.SelectionMode.NoSelection)
        self.setTabKeyNavigation(False)
        theme.mark(self, compact=True)
        self.hide()

    def show_runs(self, runs: Sequence[RunRow]) -> None:
        found = differing(runs) if len(runs) > 1 else []
        self.setVisible(bool(found))
        if not found:
            return
        losses = [each.summary.get("best_loss", each.summary.get("validation_loss")) for each in runs]
        columns = [("Run", [each.title or each.id for each in runs]), *found]
        columns.append(("Loss", ["" if loss is None else f"{loss:.4f}" for loss in losses]))
        self.setRowCount(len(runs))
        self.setColumnCount(len(columns))
        for place, (label, values) in enumerate(columns):
            head = QTableWidgetItem(label)
            self.setHorizontalHeaderItem(place, head)
            for row, value in enumerate(values):
                item = QTableWidgetItem(value)
                item.setToolTip(value)
                if place:
                    item.setTextAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
                self.setItem(row, place, item)
            if place:
                head.setTextAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        header = self.horizontalHeader()
        header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        header.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        self.setFixedHeight(header.height() + ROW * min(len(runs), SEEN) + 4)


def _word(value: object) -> str:
    return "" if value is None else shown(tuple(value) if isinstance(value, list) else value)
