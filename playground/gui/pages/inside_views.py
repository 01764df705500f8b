"""What is looked at on the Inside page: controls above, the grid of heads, the tabs, what is explained beside them. Made piece by piece.

Further tabs are lines in `TABS`: a class made as `Class(state)`, or as `Class(state, desk)`, when it is first shown.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import NamedTuple

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QComboBox, QFrame, QHBoxLayout, QSplitter, QStackedWidget, QToolButton, QVBoxLayout, QWidget

from playground.gui import theme
from playground.gui.ahead import polish
from playground.gui.pages import Desk
from playground.gui.widgets.inside_controls import InsideControls
from playground.gui.widgets.inside_grid import HeadGrid
from playground.gui.widgets.inside_map import MapView
from playground.gui.widgets.inside_shades import Shades
from playground.gui.widgets.inside_state import InsideState
from playground.gui.widgets.segments import Segments

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
POLISH = 3
"""steps in which all parts get their style: the first showing would do it at once"""


class _Columns(QSplitter):
    """Tells when it has another size."""

    resized = Signal()

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self.resized.emit()


class InsideViews(QWidget):
    """Empty at first: `make` makes a piece at a time. Object names: `inside.tabs`, `inside.parts`, `inside.explain_button`, those of the parts."""

    part_wanted = Signal(str)
    """another part of the same pair of texts: `encoder`, `decoder` or `cross`"""

    def __init__(self, state: InsideState, shades: Shades, desk: Desk, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._state, self._shades, self._desk = state, shades, desk
        self._explain: QWidget | None = None
        self._by_hand = False
        """whether somebody has moved the line between the columns"""
        self._pieces: list[Callable[[], object]] = [
            self._make_frame,
            self._make_left,
            self._make_middle,
            self._make_explanation,
            *polish(lambda: self, POLISH),
        ]

    # -- making

    def make(self) -> bool:
        """Makes the next piece. Whether there was one."""
        if not self._pieces:
            return False
        self._pieces.pop(0)()
        return True

    @property
    def whole(self) -> bool:
        return not self._pieces

    # From the outside in: what is put into another parent later is styled again with all that is in it.

    def _make_frame(self) -> None:
        self.controls = InsideControls(self._state, self)
        self.splitter = _Columns(Qt.Orientation.Horizontal, self)
        self.splitter.setChildrenCollapsible(False)
        self._left, self._middle = QFrame(self.splitter), QFrame(self.splitter)
        theme.mark(self._left, surface="window")
        theme.mark(self._middle, surface="surface")
        self.splitter.setStretchFactor(1, 1)
        self.splitter.setSizes([COLUMN, 880])
        self.splitter.splitterMoved.connect(self._moved)
        self.splitter.resized.connect(self._fit_column)
        below = QVBoxLayout(self)
        below.setContentsMargins(0, 0, 0, 0)
        below.setSpacing(0)
        below.addWidget(self.controls)
        below.addWidget(self.splitter, 1)

    def _make_left(self) -> None:
        self.grid = HeadGrid(self._state, self._shades, self._left)
        column = QVBoxLayout(self._left)
        column.setContentsMargins(8, 8, 8, 0)
        self.parts = QComboBox(self._left)
        self.parts.setObjectName("inside.parts")
        self.parts.setAccessibleName("Part of the model")
        self.parts.setToolTip("Of a model that reads one text and writes another: whose tokens look at whose")
        for part, text in PARTS:
            self.parts.addItem(text, part)
        self.parts.hide()
        self.parts.activated.connect(lambda place: self.part_wanted.emit(self.parts.itemData(place)))
        column.addWidget(self.parts)
        column.addWidget(self.grid)
        self._state.captures_changed.connect(self._fit_column)
        self._state.captures_changed.connect(self.show_part)

    def _make_middle(self) -> None:
        self._stack = QStackedWidget(self._middle)
        self.map = MapView(self._state, self._shades, self._stack)
        names = (("map", "Map", "What every token looks at"), *((part.name, part.title, part.tip) for part in TABS))
        self.tabs = Segments("inside.tabs", "Views", names, self._middle)
        self.tabs.changed.connect(self.show_tab)
        self._tabs: dict[str, QWidget] = {"map": self.map}
        self._stack.addWidget(self.map)
        above = QHBoxLayout()
        above.setContentsMargins(16, 8, 16, 0)
        above.addWidget(self.tabs)
        above.addStretch(1)
        self.explain_button = QToolButton(self._middle)
        self.explain_button.setObjectName("inside.explain_button")
        self.explain_button.setText("Explain")
        self.explain_button.setAccessibleName("Explain what is seen")
        self.explain_button.setToolTip("Says beside the view what it shows, with the numbers of this model (Ctrl+Shift+X)")
        self.explain_button.setCheckable(True)
        theme.mark(self.explain_button, role="segment")
        self.explain_button.clicked.connect(self.show_explanation)
        above.addWidget(self.explain_button)
        inner = QVBoxLayout(self._middle)
        inner.setContentsMargins(0, 0, 0, 0)
        inner.setSpacing(0)
        inner.addLayout(above)
        inner.addWidget(self._stack, 1)

    def _make_explanation(self) -> None:
        if self._desk.preferences.get(EXPLAIN, False) is True:
            self.show_explanation(True)

    # -- the columns

    def _moved(self, _place: int, _line: int) -> None:
        self._by_hand = True

    def _fit_column(self) -> None:
        """Gives the grid what its heads fill, as long as nobody has said otherwise."""
        sizes, total = self.splitter.sizes(), self.splitter.width()
        if self._by_hand or self._state.a is None or not total:
            return
        beside = sizes[2] if len(sizes) > 2 else 0
        wanted = self.grid.width_for(self.splitter.height() - 8) + 16
        column = max(COLUMN, min(wanted, int(total * MOST_COLUMN), total - beside - MAP))
        if column != sizes[0]:
            self.splitter.setSizes([column, total - column - beside, *sizes[2:]])

    # -- what is seen of it

    def show_part(self) -> None:
        """Which part of the model is looked at, where it has parts."""
        header = self._state.a.header if self._state.a is not None else None
        self.parts.setVisible(header is not None and bool(header.part))
        if header is not None:
            self.parts.setCurrentIndex(self.parts.findData(header.part))

    def show_explanation(self, shown: bool) -> None:
        """Opens or closes what is explained beside the view."""
        if shown and self._explain is None:
            from playground.gui.widgets.inside_explain import InsideExplain

            self._explain = InsideExplain(self._state, self.splitter)
            self.splitter.addWidget(self._explain)
        if self._explain is not None:
            self._explain.setVisible(shown)
        self.explain_button.setChecked(shown)
        self._desk.preferences.set(EXPLAIN, shown)

    def show_tab(self, name: str) -> None:
        """`map`, or one of `TABS`."""
        if name not in self._tabs:
            part = next((each for each in TABS if each.name == name), None)
            if part is None:
                return
            self._tabs[name] = self._made(part)
            self._stack.addWidget(self._tabs[name])
        self.tabs.set_value(name)
        self._stack.setCurrentWidget(self._tabs[name])

    def _made(self, part: Part) -> QWidget:
        module, _, name = part.place.partition(":")
        given = (self._state, self._desk) if part.desk else (self._state,)
        made: QWidget = getattr(importlib.import_module(module), name)(*given, parent=self._stack)
        return made
