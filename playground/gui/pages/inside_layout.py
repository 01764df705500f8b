"""How the Inside page is laid out: pickers above, what is looked at or a sentence in its place, the form for new captures. Opened in short steps.

The page is there at once, with a sentence; the views (`inside_views`) come piece by piece, so that the window answers in between.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from PySide6.QtCore import QTimer, Signal
from PySide6.QtWidgets import QStackedWidget, QVBoxLayout, QWidget

from playground.gui.ahead import make_ahead, polish
from playground.gui.pages import Desk
from playground.gui.pages.inside_views import InsideViews
from playground.gui.widgets.inside_grid import HeadGrid
from playground.gui.widgets.inside_map import MapView
from playground.gui.widgets.inside_new import InsideNew
from playground.gui.widgets.inside_pickers import InsidePickers
from playground.gui.widgets.inside_shades import Shades
from playground.gui.widgets.inside_state import InsideState
from playground.gui.widgets.state_view import StateView


class InsideLayout(QWidget):
    """The parts of the page and which of them are shown. Object names: `inside.state.way_out`, and those of the parts."""

    capture_wanted = Signal(object)
    """a `CaptureRequest`"""

    def __init__(self, desk: Desk, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._desk = desk
        self.state = InsideState(self)
        self._shades = Shades(self.state)
        self._new: InsideNew | None = None
        self._waiting: list[Callable[[], None]] = []
        """what waits for the views"""
        self._build()
        QTimer.singleShot(0, self, self._make)

    def _build(self) -> None:
        # From the outside in: what is put into another parent later is styled again with all that is in it.
        self._outer = QStackedWidget(self)
        around = QVBoxLayout(self)
        around.setContentsMargins(0, 0, 0, 0)
        around.addWidget(self._outer)
        main = QWidget(self._outer)
        self._outer.addWidget(main)
        self.stack = QStackedWidget(main)
        self.pickers = InsidePickers(self.state, main)
        self.says = StateView("inside", self.stack)
        self._views = InsideViews(self.state, self._shades, self._desk, self.stack)
        for each in (self.says, self._views):
            self.stack.addWidget(each)
        whole = QVBoxLayout(main)
        whole.setContentsMargins(0, 0, 0, 0)
        whole.setSpacing(0)
        whole.addWidget(self.pickers)
        whole.addWidget(self.stack, 1)

    # -- the views, which come a moment later

    def _make(self) -> None:
        if self._views.make():
            QTimer.singleShot(0, self, self._make)
            return
        self.setFocusProxy(self.grid)
        if self.isVisible() and self._outer.currentIndex() == 0:
            self.grid.setFocus()  # as the window would have, had the page had it when it was opened
        make_ahead(self, [lambda: self.new, *polish(lambda: self.new, 2)])
        waiting, self._waiting = self._waiting, []
        for each in waiting:
            each()

    def when_made(self, then: Callable[[], None]) -> None:
        """Calls once the views are there: at once where they are."""
        if self._views.whole and not self._waiting:
            then()
        else:
            self._waiting.append(then)

    @property
    def views(self) -> InsideViews:
        """What is looked at; whoever cannot wait for the rest of it has it made at once."""
        while not self._views.whole:
            self._views.make()
        return self._views

    @property
    def grid(self) -> HeadGrid:
        return self.views.grid

    @property
    def map(self) -> MapView:
        return self.views.map

    def show_tab(self, name: str) -> None:
        """`map`, or one of `inside_views.TABS`."""
        self.views.show_tab(name)

    def toggle_explanation(self) -> None:
        self.views.show_explanation(not self.views.explain_button.isChecked())

    # -- which of them are shown

    @property
    def new(self) -> InsideNew:
        """The form for a new capture; made when it is first needed, or ahead of that."""
        if self._new is None:
            new = self._new = InsideNew(self._desk, self.state, self._outer)
            new.closed.connect(self.leave_new)
            new.wanted.connect(self.capture_wanted)
            self._outer.addWidget(new)
        return self._new

    def show_new(self) -> None:
        """The form for a new capture in the place of everything else."""
        self._outer.setCurrentWidget(self.new)
        self.new.text.setFocus()

    def leave_new(self) -> None:
        """Back from the form."""
        self._outer.setCurrentIndex(0)

    def show_views(self) -> None:
        """The capture that is open."""
        self.stack.setCurrentWidget(self.views)

    def say(self, *said: Any, **more: Any) -> None:
        """A sentence in the place of the views; as `StateView.say`."""
        self.says.say(*said, **more)
        self.stack.setCurrentWidget(self.says)
