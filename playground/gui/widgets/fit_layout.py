"""What stands on the fit panel, made step by step: a panel is opened in front of somebody who must not wait. Computes nothing.

Each widget is made inside the one it belongs to: given away with all that is in it, it would be styled anew each time.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QHBoxLayout, QLabel, QPushButton, QStackedWidget, QVBoxLayout, QWidget

from playground.gui import theme
from playground.gui.form import line
from playground.gui.widgets.fit_chip import FitChip
from playground.gui.widgets.fit_engine import FitEngine
from playground.gui.widgets.fit_rows import RunRows
from playground.gui.widgets.fit_sharing import FitSharing
from playground.gui.widgets.fit_terms import FitTerms
from playground.gui.widgets.segments import tabs

STEPS = ("_make_top", "_make_rows", "_make_terms", "_make_foot")
MODES = (("run", "Run", "What it takes to talk to it"), ("train", "Train", "What it takes to fine-tune it"))


class FitLayout:
    """Mixed into the panel, which says what its controls do."""

    _made = 0
    """how many of the steps are done"""
    _name: str
    _stack: QStackedWidget
    _set_mode: Callable[[int], None]
    _ask: Callable[..., None]
    _ask_engine: Callable[[], None]
    _take_largest: Callable[[], None]
    open_formats: Callable[[QWidget], Any]
    open_planner: Callable[[QWidget], Any]

    def make_next(self) -> bool:
        """Makes a few of the controls; whether there are more to make."""
        if self._made < len(STEPS):
            getattr(self, STEPS[self._made])()
            self._made += 1
        return self._made < len(STEPS)

    def _make_top(self) -> None:
        self._holder = holder = QWidget(self._stack)
        self._stack.addWidget(holder)
        self._column = column = QVBoxLayout(holder)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(12)
        column.addLayout(self._head(holder))
        self.why = QLabel(holder)
        self.why.setObjectName(f"{self._name}.why")
        self.why.setWordWrap(True)
        self.why.setAlignment(Qt.AlignmentFlag.AlignTop)
        self.why.setMinimumHeight(2 * theme.pixels("small") + 10)  # two lines are reserved: what is below does not jump
        theme.mark(self.why, role="small")
        column.addWidget(self.why)
        self._devices = QVBoxLayout()
        self._devices.setSpacing(8)
        column.addLayout(self._devices)

    def _make_rows(self) -> None:
        self._sliders = QStackedWidget(self._holder)
        self.run = RunRows(self._name, self._sliders)
        self.run.changed.connect(self._ask)
        self._sliders.addWidget(self.run)
        self._column.addWidget(self._sliders)

    def _make_terms(self) -> None:
        self.terms = FitTerms(self._holder)
        self.terms.setObjectName(f"{self._name}.terms")
        self._column.addWidget(self.terms)
        self.sharing = FitSharing(f"{self._name}.sharing", self._holder)
        self.sharing.hide()
        self._column.addWidget(self.sharing)

    def _make_foot(self) -> None:
        self._column.addLayout(self._notes(self._holder))
        self._column.addStretch(1)
        self._column.addLayout(self._foot(self._holder))

    def _head(self, holder: QWidget) -> QHBoxLayout:
        self._modes = tabs(self._name, MODES, holder)
        self._modes.idClicked.connect(self._set_mode)
        row = line(*self._modes.buttons(), 1, spacing=4)
        self.chip = FitChip(parent=holder)
        self.chip.setObjectName(f"{self._name}.verdict")
        row.addWidget(self.chip)
        return row

    def _notes(self, holder: QWidget) -> QVBoxLayout:
        notes = QVBoxLayout()
        notes.setSpacing(4)
        self.largest = QLabel(holder)
        self.largest.setObjectName(f"{self._name}.largest")
        self.take_largest = QPushButton("Take it", holder)
        self.take_largest.setObjectName(f"{self._name}.take_largest")
        self.take_largest.setToolTip("Sets the context window to the largest that fits")
        theme.mark(self.take_largest, role="link")
        self.take_largest.clicked.connect(self._take_largest)
        self.take_largest.hide()
        self.thumb = QLabel(holder)
        self.thumb.setObjectName(f"{self._name}.thumb")
        self.thumb.setToolTip("(parameters × 4 bytes) / (32 / bits) × 1.2: it knows no context, no cache and no architecture")
        self.measured = QLabel(holder)
        self.measured.setObjectName(f"{self._name}.measured")
        self.measured.setWordWrap(True)
        for label in (self.largest, self.thumb, self.measured):
            theme.mark(label, role="muted")
        self.measured_terms = FitTerms(holder)
        self.measured_terms.setObjectName(f"{self._name}.measured.terms")
        notes.addLayout(line(self.largest, self.take_largest, 1, spacing=4))
        notes.addWidget(self.thumb)
        self.engine = FitEngine(f"{self._name}.engine", holder)
        self.engine.wanted.connect(self._ask_engine)
        notes.addWidget(self.engine)
        notes.addSpacing(4)
        notes.addWidget(self.measured)
        notes.addWidget(self.measured_terms)
        self.measured.hide()
        self.measured_terms.hide()
        return notes

    def _foot(self, holder: QWidget) -> QHBoxLayout:
        formats = QPushButton("Number formats", holder)
        formats.setObjectName(f"{self._name}.formats")
        formats.setToolTip("FP32 to NF4: bits, bytes, range, and what pi becomes")
        planner = QPushButton("Training compute", holder)
        planner.setObjectName(f"{self._name}.planner")
        planner.setToolTip("Operations and days that training a model of this size takes")
        formats.clicked.connect(lambda: self.open_formats(formats))
        planner.clicked.connect(lambda: self.open_planner(planner))
        theme.bind_icon(formats, "table-2", "accent", 14)
        theme.bind_icon(planner, "calculator", "accent", 14)
        for each in (formats, planner):
            theme.mark(each, role="link")
        return line(formats, planner, 1, spacing=8)
