"""What is wrong with the rows of a file: each kind with what is done about it, each row with its field and a sentence.

Knows problems and no file. Object names: `train.rows.fix.<kind>` with dashes for spaces, `train.rows.problems` (the list).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from PySide6.QtCore import QAbstractListModel, QModelIndex, QPersistentModelIndex, Qt, Signal
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import QAbstractItemView, QComboBox, QGridLayout, QLabel, QListView, QVBoxLayout, QWidget

from playground.gui import theme
from playground.training.problems import KINDS, Problem

WORDS = {"skip": "leave out", "trim": "mend", "keep": "keep"}
DONE = {"skip": "left out", "trim": "mended", "keep": "kept"}
CUT = "cut"
ICONS = {True: "triangle-alert", False: "circle-alert"}


class RowProblems(QWidget):
    """`show_problems` sets them. `fixes_changed(fixes)` when another fix is chosen, `edit_wanted(problem)` to mend one by hand."""

    fixes_changed = Signal(dict)
    edit_wanted = Signal(object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._fixes: dict[str, str] = {}
        self._boxes: dict[str, QWidget] = {}
        self._kinds = QGridLayout()
        self._kinds.setHorizontalSpacing(16)
        self._kinds.setVerticalSpacing(4)
        self._kinds.setColumnStretch(0, 1)
        self.said = QLabel()
        self.said.setObjectName("train.rows.problems.said")
        self.said.setWordWrap(True)
        theme.mark(self.said, role="muted")
        self.model = ProblemsModel(self)
        self.list = _List()
        self.list.setObjectName("train.rows.problems")
        self.list.setAccessibleName("Problems")
        self.list.setToolTip("Enter or a double click opens the row, to mend it here")
        self.list.setModel(self.model)
        self.list.setMinimumHeight(128)
        self.list.opened.connect(lambda place: self.edit_wanted.emit(self.model.problems[place]))
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(8)
        column.addWidget(self.said)
        column.addLayout(self._kinds)
        column.addWidget(self.list, 1)

    def fixes(self) -> dict[str, str]:
        return dict(self._fixes)

    def show_problems(
        self, counts: Mapping[str, int], problems: Sequence[Problem], fixes: Mapping[str, str], more: Sequence[Problem] = ()
    ) -> None:
        """`counts` is of all, `problems` the first of them; `more` were found by the model's tokenizer."""
        self._fixes = dict(fixes)
        self.model.show_problems([*problems, *more], fixes)
        every = dict(counts)
        for each in more:
            every[each.kind] = every.get(each.kind, 0) + 1
        self._show_kinds(every, {each.kind for each in more})
        self.list.setVisible(bool(self.model.problems))
        named, total = len(self.model.problems), sum(every.values())
        self.said.setText(
            ""
            if not total
            else f"The first {named:,} of {total:,} are listed."
            if named < total
            else "Enter opens a row, to mend it."
        )
        if not total:
            self.said.setText("Nothing is wrong with these rows.")

    def _show_kinds(self, counts: Mapping[str, int], told: set[str]) -> None:
        """`told`: kinds that only the tokenizer tells, about which nothing is chosen here."""
        while (item := self._kinds.takeAt(0)) is not None:
            if (widget := item.widget()) is not None:
                widget.hide()
                widget.deleteLater()
        self._boxes.clear()
        for row, (kind, count) in enumerate(sorted(counts.items(), key=lambda each: -each[1])):
            about = KINDS[kind]
            label = QLabel(f"{about.title}: {count:,}")
            label.setToolTip(about.hint)
            theme.mark(label, role="warn" if about.warning else "small")
            self._kinds.addWidget(label, row, 0)
            name = f"train.rows.fix.{kind.replace(' ', '-')}"
            if len(about.fixes) > 1 and kind not in told:
                box = QComboBox()
                box.setAccessibleName(f"{about.title}: what is done")
                box.setToolTip(about.hint)
                theme.mark(box, compact=True)
                for fix in about.fixes:
                    box.addItem(WORDS[fix], fix)
                box.setCurrentIndex(max(0, box.findData(self._fixes.get(kind, about.fixes[0]))))
                box.activated.connect(lambda _place, it=kind, of=box: self._fix(it, str(of.currentData())))
                made: QWidget = box
            else:
                made = QLabel(CUT if kind == "too long" else DONE[about.fixes[0]])
                theme.mark(made, role="muted")
            made.setObjectName(name)
            self._boxes[kind] = made
            self._kinds.addWidget(made, row, 1)

    def _fix(self, kind: str, fix: str) -> None:
        if fix == KINDS[kind].fixes[0]:
            self._fixes.pop(kind, None)
        else:
            self._fixes[kind] = fix
        self.fixes_changed.emit(self.fixes())


class ProblemsModel(QAbstractListModel):
    """A line a problem."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.problems: list[Problem] = []
        self._fixes: dict[str, str] = {}

    def show_problems(self, problems: Sequence[Problem], fixes: Mapping[str, str]) -> None:
        self.beginResetModel()
        self.problems, self._fixes = list(problems), dict(fixes)
        self.endResetModel()

    def rowCount(self, parent: QModelIndex | QPersistentModelIndex | None = None) -> int:
        return len(self.problems)

    def data(self, index: QModelIndex | QPersistentModelIndex, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        each = self.problems[index.row()]
        done = DONE[self._fixes.get(each.kind, each.fix)]
        if role == Qt.ItemDataRole.DisplayRole:
            return f"{each.place[0].upper()}{each.place[1:]}: {each.what}"
        if role == Qt.ItemDataRole.ToolTipRole:
            return f"{each.about.title}, {done}. {each.hint}"
        if role == Qt.ItemDataRole.DecorationRole:
            return theme.icon(ICONS[each.about.warning], "warn" if each.about.warning else "bad")
        return None


class _List(QListView):
    opened = Signal(int)

    def __init__(self) -> None:
        super().__init__()
        self.setUniformItemSizes(True)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.setTextElideMode(Qt.TextElideMode.ElideRight)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.doubleClicked.connect(lambda index: self.opened.emit(index.row()))

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter) and self.currentIndex().isValid():
            self.opened.emit(self.currentIndex().row())
        else:
            super().keyPressEvent(event)
