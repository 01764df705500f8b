"""How the Inside page is laid out: pickers and controls above, the grid of heads, the tabs, what is explained beside them, the form for new captures.

Further tabs are lines in `TABS`: a class made as `Class(state)`, or as `Class(state, desk)`, when it is first shown.
"""

from __future__ import annotations

import importlib
from typing import Any, NamedTuple

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QComboBox, QFrame, QHBoxLayout, QSplitter, QStackedWidget, QToolButton, QVBoxLayout, QWidget

from playground.gui import theme
from playground.gui.ahead import make_ahead, polish
from playground.gui.pages import Desk
from playground.gui.widgets.inside_controls import InsideControls
from playground.gui.widgets.inside_grid import HeadGrid
from playground.gui.widgets.inside_map import MapView
from playground.gui.widgets.inside_new import InsideNew
from playground.gui.widgets.inside_pickers import InsidePickers
from playground.gui.widgets.inside_shades import Shades
from playground.gui.widgets.inside_state import InsideState
from playground.gui.widgets.segments import Segments
from playground.gui.widgets.state_view import StateView

EXPLAIN = "inside.explain"
PARTS = (("encoder", "Encoder"), ("decoder", "Decoder"), ("cross", "Decoder at encoder"))


class Part(NamedTuple):
    """A view that is made when it is first shown."""

    name: str
    title: str
    place: str
    """`module:class`"""
    tip: str
    desk: bool = False
    """whether it needs the desk beside the state"""


TABS: tuple[Part, ...] = (
    Part("text", "Text", "playground.gui.widgets.inside_text:InsideText", "The text, shaded by what a token of it looks at"),
    Part(
        "heads", "Heads", "playground.gui.widgets.head_finder:HeadFinder", "Which head does what: all of them by their patterns"
    ),
    Part("layers", "Layers", "playground.gui.widgets.lens_view:LensView", "What each layer would have said next", True),
    Part(
        "embeddings",
        "Embeddings",
        "playground.gui.widgets.embeddings_view:EmbeddingsView",
        "Words in the model's token table",
        True,
    ),
)
"""the tabs behind the map"""


COLUMN, MOST_COLUMN, MAP = 320, 0.4, 560
"""pixels of the grid's column at least, its part of the width at most, pixels that stay for what is beside it"""


class _Columns(QSplitter):
    """Tells when it has another size."""

    resized = Signal()

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self.resized.emit()


class InsideLayout(QWidget):
    """The parts of the page and which of them are shown. Object names: `inside.tabs`, `inside.state.way_out`, and those of the parts."""

    capture_wanted = Signal(object)
    """a `CaptureRequest`"""

    def __init__(self, desk: Desk, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._desk = desk
        self.state = InsideState(self)
        self._shades = Shades(self.state)
        self._explain: QWidget | None = None
        self._new: InsideNew | None = None
        self._build()
        make_ahead(self, [lambda: self.new, *polish(lambda: self.new, 2)])

    # -- parts

    def _build(self) -> None:
        # From the outside in: what is put into another parent later is styled again with all that is in it.
        self._outer = QStackedWidget(self)
        around = QVBoxLayout(self)
        around.setContentsMargins(0, 0, 0, 0)
        around.addWidget(self._outer)
        main = QWidget(self._outer)
        self._outer.addWidget(main)
        self.stack = QStackedWidget(main)
        looked = self._looked = QWidget(self.stack)
        self.splitter = _Columns(Qt.Orientation.Horizontal, looked)
        self.splitter.setChildrenCollapsible(False)
        left, middle = QFrame(self.splitter), QFrame(self.splitter)
        self._tab_stack = QStackedWidget(middle)
        self.pickers = InsidePickers(self.state, main)
        self.controls = InsideControls(self.state, looked)
        self.grid = HeadGrid(self.state, self._shades, left)
        self.map = MapView(self.state, self._shades, self._tab_stack)
        names = (("map", "Map", "What every token looks at"), *((part.name, part.title, part.tip) for part in TABS))
        self.tabs = Segments("inside.tabs", "Views", names, middle)
        self.tabs.changed.connect(self.show_tab)
        self._views: dict[str, QWidget] = {"map": self.map}
        self._tab_stack.addWidget(self.map)
        theme.mark(middle, surface="surface")
        above = QHBoxLayout()
        above.setContentsMargins(16, 8, 16, 0)
        above.addWidget(self.tabs)
        above.addStretch(1)
        self.explain_button = QToolButton()
        self.explain_button.setObjectName("inside.explain_button")
        self.explain_button.setText("Explain")
        self.explain_button.setAccessibleName("Explain what is seen")
        self.explain_button.setToolTip("Says beside the view what it shows, with the numbers of this model (Ctrl+Shift+X)")
        self.explain_button.setCheckable(True)
        theme.mark(self.explain_button, role="segment")
        self.explain_button.clicked.connect(self.show_explanation)
        above.addWidget(self.explain_button)
        inner = QVBoxLayout(middle)
        inner.setContentsMargins(0, 0, 0, 0)
        inner.setSpacing(0)
        inner.addLayout(above)
        inner.addWidget(self._tab_stack, 1)
        theme.mark(left, surface="window")
        column = QVBoxLayout(left)
        column.setContentsMargins(8, 8, 8, 0)
        self.parts = QComboBox()
        self.parts.setObjectName("inside.parts")
        self.parts.setAccessibleName("Part of the model")
        self.parts.setToolTip("Of a model that reads one text and writes another: whose tokens look at whose")
        for part, text in PARTS:
            self.parts.addItem(text, part)
        self.parts.hide()
        column.addWidget(self.parts)
        column.addWidget(self.grid)
        self.splitter.setStretchFactor(1, 1)
        self.splitter.setSizes([COLUMN, 880])
        self._by_hand = False
        """whether somebody has moved the line between the columns"""
        self.splitter.splitterMoved.connect(self._moved)
        self.splitter.resized.connect(self._fit_column)
        self.state.captures_changed.connect(self._fit_column)
        if self._desk.preferences.get(EXPLAIN, False) is True:
            self.show_explanation(True)
        below = QVBoxLayout(looked)
        below.setContentsMargins(0, 0, 0, 0)
        below.setSpacing(0)
        below.addWidget(self.controls)
        below.addWidget(self.splitter, 1)
        self.says = StateView("inside", self.stack)
        for each in (self.says, looked):
            self.stack.addWidget(each)
        whole = QVBoxLayout(main)
        whole.setContentsMargins(0, 0, 0, 0)
        whole.setSpacing(0)
        whole.addWidget(self.pickers)
        whole.addWidget(self.stack, 1)
        self.setFocusProxy(self.grid)

    @property
    def new(self) -> InsideNew:
        """The form for a new capture; made when it is first needed, or ahead of that."""
        if self._new is None:
            new = self._new = InsideNew(self._desk, self.state, self._outer)
            new.closed.connect(self.leave_new)
            new.wanted.connect(self.capture_wanted)
            self._outer.addWidget(new)
        return self._new

    def _moved(self, _place: int, _line: int) -> None:
        self._by_hand = True

    def _fit_column(self) -> None:
        """Gives the grid what its heads fill, as long as nobody has said otherwise."""
        sizes, total = self.splitter.sizes(), self.splitter.width()
        if self._by_hand or self.state.a is None or not total:
            return
        beside = sizes[2] if len(sizes) > 2 else 0
        wanted = self.grid.width_for(self.splitter.height() - 8) + 16
        column = max(COLUMN, min(wanted, int(total * MOST_COLUMN), total - beside - MAP))
        if column != sizes[0]:
            self.splitter.setSizes([column, total - column - beside, *sizes[2:]])

    def _made_of(self, part: Part) -> QWidget:
        module, _, name = part.place.partition(":")
        made: QWidget = getattr(importlib.import_module(module), name)(
            *((self.state, self._desk) if part.desk else (self.state,)), parent=self._tab_stack
        )
        return made

    def show_explanation(self, shown: bool) -> None:
        """Opens or closes what is explained beside the view."""
        if shown and self._explain is None:
            from playground.gui.widgets.inside_explain import InsideExplain

            self._explain = InsideExplain(self.state)
            self.splitter.addWidget(self._explain)
        if self._explain is not None:
            self._explain.setVisible(shown)
        self.explain_button.setChecked(shown)
        self._desk.preferences.set(EXPLAIN, shown)

    def toggle_explanation(self) -> None:
        self.show_explanation(not self.explain_button.isChecked())

    def show_tab(self, name: str) -> None:
        """`map`, or one of `TABS`."""
        if name not in self._views:
            part = next((each for each in TABS if each.name == name), None)
            if part is None:
                return
            self._views[name] = self._made_of(part)
            self._tab_stack.addWidget(self._views[name])
        self.tabs.set_value(name)
        self._tab_stack.setCurrentWidget(self._views[name])

    def show_new(self) -> None:
        """The form for a new capture in the place of everything else."""
        self._outer.setCurrentWidget(self.new)
        self.new.text.setFocus()

    def leave_new(self) -> None:
        """Back from the form."""
        self._outer.setCurrentIndex(0)

    def show_views(self) -> None:
        """The capture that is open."""
        self.stack.setCurrentWidget(self._looked)

    def say(self, *said: Any, **more: Any) -> None:
        """A sentence in the place of the views; as `StateView.say`."""
        self.says.say(*said, **more)
        self.stack.setCurrentWidget(self.says)
