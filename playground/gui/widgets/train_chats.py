"""Which of the user's own chats become a dataset: by chat, by vote, by time, by what they hold. Knows session rows and no session.

Object names begin with `train.chats`.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import (
    QComboBox,
    QFrame,
    QGridLayout,
    QLabel,
    QLineEdit,
    QListWidget,
    QListWidgetItem,
    QVBoxLayout,
    QWidget,
)

from playground.gui import theme
from playground.gui.widgets.job_foot import JobFoot, Press
from playground.gui.widgets.part_head import PartHead
from playground.session.logged_rows import LogFilter

DAY = 86_400.0
SINCE = {"any time": 0.0, "the last day": DAY, "the last week": 7 * DAY, "the last month": 31 * DAY, "the last year": 366 * DAY}
RATINGS = {
    "any": "chats, and replies that were voted for",
    "chats": "chats alone",
    "preferred": "replies that were voted better",
}


class TrainChats(QFrame):
    """`show_sessions` lists what there is; `wanted(filter)` when a dataset is to be made, `closed` when not."""

    wanted = Signal(object)
    closed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("train.chats")
        theme.mark(self, surface="surface")
        self.head = PartHead("train.chats", "Back to the settings")
        self.head.show_title("From my chats", "They stay on this computer")
        self.head.closed.connect(self.closed)
        self.holds = QLineEdit()
        self.holds.setObjectName("train.chats.holds")
        self.holds.setAccessibleName("Title or model holds")
        self.holds.setToolTip("Only chats whose title or model holds this")
        self.holds.setPlaceholderText("any title, any model")
        theme.mark(self.holds, compact=True)
        self.since = self._combo("train.chats.since", "Used in", "Only chats that were used since then")
        for title, seconds in SINCE.items():
            self.since.addItem(title, seconds)
        self.rating = self._combo("train.chats.rating", "Take", "Votes of the Compare page count as ratings")
        for rating, title in RATINGS.items():
            self.rating.addItem(title, rating)
        self.list = QListWidget()
        self.list.setObjectName("train.chats.list")
        self.list.setAccessibleName("Chats")
        self.list.setToolTip("Which chats: those that are checked, or all of them where none is; Space checks")
        self.foot = JobFoot("train.chats")
        grid = QGridLayout()
        grid.setHorizontalSpacing(16)
        grid.setVerticalSpacing(8)
        grid.setColumnStretch(1, 1)
        for place, box in enumerate((self.rating, self.since, self.holds)):
            label = QLabel(box.accessibleName())
            label.setBuddy(box)
            theme.mark(label, role="small")
            grid.addWidget(label, place, 0)
            grid.addWidget(box, place, 1, Qt.AlignmentFlag.AlignLeft if place < 2 else Qt.AlignmentFlag(0))
        inner = QVBoxLayout()
        inner.setContentsMargins(24, 16, 24, 16)
        inner.setSpacing(16)
        inner.addLayout(grid)
        inner.addWidget(self.list, 1)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addWidget(self.head)
        column.addLayout(inner, 1)
        column.addWidget(self.foot)
        self.holds.textChanged.connect(lambda _text: self._filter())
        self.since.activated.connect(lambda _place: self._filter())
        self.rating.activated.connect(lambda _place: self._filter())
        self.list.itemChanged.connect(lambda _item: self._show_foot())
        self._sessions: list[Any] = []
        self._filter()

    def _combo(self, name: str, said: str, tip: str) -> QComboBox:
        box = QComboBox()
        box.setObjectName(name)
        box.setAccessibleName(said)
        box.setToolTip(tip)
        theme.mark(box, compact=True)
        return box

    def show_sessions(self, sessions: Sequence[Any]) -> None:
        self._sessions = list(sessions)
        self._fill()
        if self.foot.state == "ready":  # what failed is said until something else is chosen
            self._show_foot()

    def filter(self) -> LogFilter:
        """What is chosen."""
        ago = float(self.since.currentData())
        return LogFilter(
            tuple(self._checked()), time.time() - ago if ago else 0.0, 0.0, self.rating.currentData(), self.holds.text().strip()
        )

    def _checked(self) -> list[str]:
        items = [self.list.item(place) for place in range(self.list.count())]
        return [str(item.data(Qt.ItemDataRole.UserRole)) for item in items if item.checkState() == Qt.CheckState.Checked]

    def _filter(self) -> None:
        self._fill()
        self._show_foot()

    def _fill(self) -> None:
        checked, wanted = set(self._checked()), self.filter()
        self.list.blockSignals(True)
        self.list.clear()
        for each in self._sessions:
            if each.updated < wanted.since or wanted.holds.casefold() not in f"{each.title}\n{each.model_name}".casefold():
                continue
            when = time.strftime("%d %b %Y", time.localtime(each.updated))
            item = QListWidgetItem(f"{each.title or 'Untitled'}  ·  {each.model_name}  ·  {when}")
            item.setData(Qt.ItemDataRole.UserRole, each.id)
            item.setFlags(item.flags() | Qt.ItemFlag.ItemIsUserCheckable)
            item.setCheckState(Qt.CheckState.Checked if each.id in checked else Qt.CheckState.Unchecked)
            self.list.addItem(item)
        self.list.blockSignals(False)

    def _show_foot(self) -> None:
        chosen, count = len(self._checked()), self.list.count()
        said = f"{chosen:,} of {count:,} chats" if chosen else f"All {count:,} chats"
        make = Press("use", "Make a dataset", "A row of each chat that is chosen", self._make, True, count > 0)
        self.foot.show_ready(said if count else "No chat fits", RATINGS[str(self.rating.currentData())].capitalize(), make)

    def show_problem(self, message: str, hint: str) -> None:
        self.foot.show_failed(message, hint, Press("use", "Make a dataset", "Tries it again", self._make, True))

    def _make(self) -> None:
        self.foot.show_working("Reading the chats", -1.0, "")
        self.wanted.emit(self.filter())
