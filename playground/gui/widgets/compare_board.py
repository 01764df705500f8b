"""The columns of a comparison side by side: they share the width, and scroll sideways where that would be too narrow.

Gives the panes turns to show what has come, so that the window never waits for eight of them at once. Knows no session.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

from PySide6.QtCore import QPoint, Qt, QTimer, Signal
from PySide6.QtWidgets import QFrame, QHBoxLayout, QScrollArea, QWidget

from playground.gui import theme
from playground.gui.widgets.compare_column import ColumnView
from playground.gui.widgets.compare_settings import front
from playground.gui.widgets.compare_state import Comparing, differing
from playground.history.records import Column

TICK_MS = 33
"""after which tokens that have come are shown, if there is nothing else to do"""
BETWEEN_MS = 3
"""One pane is shown in a turn of the event loop, and painted; the next one, if it has something to show, so much later. Painting a
full pane takes longer than all else: several in one turn would keep a hand at a slider waiting."""
NUMBERS_S = 1.0
"""after which a column's numbers are counted anew while it is written"""


class Board(QScrollArea):
    """See the module's docstring."""

    sampling_changed = Signal(str, object)
    field_changed = Signal(str, object)
    asked = Signal(str, str)
    token_pressed = Signal(str, int)
    move_wanted = Signal(str, int)
    """a column's id and the place it shall have"""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("compare.columns")
        self.setWidgetResizable(True)
        self.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self._inside = inside = QWidget()
        inside.setProperty("scrolled", True)
        self._row = QHBoxLayout(inside)
        self._row.setContentsMargins(0, 0, 0, 0)
        self._row.setSpacing(0)
        self.setWidget(inside)
        self._drop_line = QFrame(inside)
        self._drop_line.setFixedWidth(3)
        theme.mark(self._drop_line, drop_line=True)
        self._drop_line.hide()
        self.views: list[ColumnView] = []
        self.models: Sequence[tuple[str, str]] = (("", "The loaded one"),)
        self.comparing = Comparing(())
        self._names: tuple[str, ...] = ()
        self._adapter = False
        self._turn = 0
        self._overlaid: object = None
        self._marks: dict[str, list[tuple[int, str]]] = {}
        self._counted: dict[str, float] = {}
        self._uncounted: set[str] = set()
        self._timer = QTimer(self, singleShot=True, interval=TICK_MS)
        self._timer.timeout.connect(self._tick)

    # -- columns

    def view(self, column_id: str) -> ColumnView | None:
        return next((each for each in self.views if each.column.id == column_id), None)

    def show_columns(self, columns: Sequence[Column], titles: Sequence[str], blind: bool, adapter: bool) -> None:
        """These columns in this order; those that were there keep their widgets."""
        had = {each.column.id: each for each in self.views}
        self.views = []
        for place, column in enumerate(columns):
            view = had.pop(column.id, None) or self._make(column, place + 1)
            view.show_column(column)
            view.set_number(place + 1)
            self.views.append(view)
        for gone in had.values():
            self._row.removeWidget(gone)
            gone.setParent(None)
            gone.deleteLater()
        for place, view in enumerate(self.views):
            self._row.removeWidget(view)
            self._row.insertWidget(place, view, 1)
        self._adapter = adapter
        self.show_titles(titles, blind)
        self.show_front()

    def show_titles(self, titles: Sequence[str], blind: bool) -> None:
        for view, words in zip(self.views, titles, strict=True):
            view.set_title(words, blind)
        self._overlaid = None  # what may be said of them is another thing now

    def show_front(self) -> None:
        """Which settings stand in front, in all columns the same ones."""
        names = front(differing([view.column for view in self.views]), self._adapter)
        for view in self.views:
            view.settings.show_front(names, self._adapter)

    def _make(self, column: Column, number: int) -> ColumnView:
        view = ColumnView(column, number, self.models)
        view.sampling_changed.connect(self.sampling_changed)
        view.field_changed.connect(self.field_changed)
        view.asked.connect(self.asked)
        view.token_pressed.connect(self.token_pressed)
        view.moved.connect(self._move_by)
        view.dragged.connect(self._drag)
        view.dropped.connect(self._drop)
        view.settings.unfolded.connect(lambda shown: None if shown else self.show_front())
        return view

    # -- moving

    def _move_by(self, column_id: str, steps: int) -> None:
        ids = [view.column.id for view in self.views]
        place = ids.index(column_id) + steps
        if 0 <= place < len(ids):
            self.move_wanted.emit(column_id, place)
            view = self.view(column_id)
            if view is not None:
                view.head.setFocus()
                self.ensureWidgetVisible(view)

    def _place_at(self, point: QPoint) -> int:
        x = self._inside.mapFromGlobal(point).x()
        return sum(view.geometry().center().x() < x for view in self.views)

    def _drag(self, column_id: str, point: QPoint) -> None:
        place = self._place_at(point)
        x = self.views[place].x() if place < len(self.views) else self.views[-1].geometry().right() - 1
        self._drop_line.setGeometry(max(0, x - 1), 0, 3, self._inside.height())
        self._drop_line.raise_()
        self._drop_line.show()

    def _drop(self, column_id: str, point: QPoint) -> None:
        self._drop_line.hide()
        ids = [view.column.id for view in self.views]
        place = self._place_at(point)
        place -= place > ids.index(column_id)
        if place != ids.index(column_id):
            self.move_wanted.emit(column_id, place)

    # -- replies

    def show_replies(self, comparing: Comparing, column_ids: Sequence[str] | None = None) -> None:
        """Other replies, from their beginnings: of all columns, or of some."""
        self.comparing = comparing
        self._overlaid = None
        for view in self.views:
            if column_ids is not None and view.column.id not in column_ids:
                continue
            self._counted.pop(view.column.id, None)
            reply = comparing.replies.get(view.column.id)
            view.pane.clear_reply(reply.start if reply else "")
            view.show_reply(reply)
            view.show_numbers(None)
            view.show_branches((), {})
            if reply is not None:
                view.pane.add(reply.tokens)
                if reply.ended and reply.tokens:
                    view.pane.settle(reply.text)
                self._uncounted.add(view.column.id)
        self.wake()

    def add_tokens(self, column_id: str, tokens: Sequence[object]) -> None:
        view = self.view(column_id)
        if view is not None and tokens:
            view.pane.add(tokens)
            self._uncounted.add(column_id)
            self.wake()

    def show_state(self, column_id: str) -> None:
        """A column has begun, was changed or has ended."""
        view, reply = self.view(column_id), self.comparing.replies.get(column_id)
        if view is not None:
            view.show_reply(reply)
            if reply is not None and reply.ended:
                view.pane.settle(reply.text)
                self._counted.pop(column_id, None)
            self._uncounted.add(column_id)
            self.wake()

    def set_colours(self, colours: str) -> None:
        for view in self.views:
            view.pane.set_colours(colours)
        self.wake()

    def refresh_overlays(self) -> None:
        """What is dim and marked may be another thing now."""
        self._overlaid = None
        self.wake()

    # -- turns

    @property
    def settled(self) -> bool:
        """Whether everything that came is shown."""
        return not self._uncounted and not any(view.pane.behind for view in self.views)

    def wake(self) -> None:
        if not self._timer.isActive():
            self._timer.start(TICK_MS)

    def _tick(self) -> None:
        self._show_overlays()
        shown = False
        for _ in self.views:
            view = self.views[self._turn % len(self.views)]
            self._turn += 1
            if view.pane.behind:
                view.pane.flush()
                shown = True
                break
        if not shown or self._turn % 2:
            self._count()
        if not self.settled:
            late = any(view.pane.behind for view in self.views)
            self._timer.start(BETWEEN_MS if late else TICK_MS)

    def _show_overlays(self) -> None:
        common, parted = self.comparing.common(), self.comparing.parted
        numbers = {view.column.id: view.number for view in self.views}
        known = (id(self.comparing), parted, numbers)
        for view in self.views:
            if known != self._overlaid:
                self._marks[view.column.id] = view.show_branches(self.comparing.branches(view.column.id), numbers)
            view.pane.set_overlay(common, self._marks.get(view.column.id, []))
        self._overlaid = known

    def _count(self) -> None:
        """The numbers of one column whose turn it is."""
        now = time.monotonic()
        for view in self.views:
            number = view.column.id
            if number in self._uncounted and now - self._counted.get(number, 0.0) >= NUMBERS_S:
                reply = self.comparing.replies.get(number)
                view.show_numbers(reply)
                self._counted[number] = now
                if reply is None or reply.ended or not reply.tokens:
                    self._uncounted.discard(number)
                return
