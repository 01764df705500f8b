"""Columns in one press: a setting in steps, a grid of two, several seeds, presets. Shows what it will make before it does.

Knows rules (`decoding.sweeps`) and no comparison. Object names: `compare.sweep.*`.
"""

from __future__ import annotations

from collections.abc import Mapping

from PySide6.QtCore import QPoint, Qt, Signal
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import (
    QButtonGroup,
    QCheckBox,
    QComboBox,
    QFrame,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QStackedWidget,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from playground.decoding import sweeps
from playground.decoding.sweeps import Labelled
from playground.errors import PlaygroundError
from playground.gui import theme
from playground.gui.form import line
from playground.gui.widgets.number_box import NumberBox
from playground.params import SamplingSettings, setting_of

KINDS = (
    ("sweep", "Sweep", "One setting in equal steps"),
    ("grid", "Grid", "Every combination of two settings"),
    ("seeds", "Seeds", "The same settings, drawn several times"),
    ("presets", "Presets", "One column for each preset"),
)
USUAL: dict[str, tuple[float, float]] = {
    "temperature": (0.0, 1.5),
    "top_k": (1, 100),
    "top_p": (0.5, 1.0),
    "min_p": (0.0, 0.2),
    "repetition_penalty": (1.0, 1.3),
    "repeat_last_n": (0, 256),
    "frequency_penalty": (0.0, 1.0),
    "presence_penalty": (0.0, 1.0),
    "adapter_scale": (0.0, 1.0),
    "seed": (1, 4),
    "max_tokens": (32, 256),
}
"""where a sweep of a setting begins and ends until somebody says otherwise"""
WIDTH = 392


class Axis(QWidget):
    """One setting from, to, in so many steps."""

    changed = Signal()

    def __init__(self, name: str, setting: str, count: int, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setting = QComboBox()
        self.setting.setObjectName(f"compare.sweep.{name}.setting")
        self.setting.setAccessibleName("Setting to sweep")
        self.setting.setToolTip("Which setting takes the steps")
        theme.mark(self.setting, compact=True)
        for known in sweeps.SWEPT:
            self.setting.addItem(known.label, known.name)
        self.first, self.last = NumberBox(0, 1, 0.01), NumberBox(0, 1, 0.01)
        self.count = NumberBox(1, sweeps.MOST, 1)
        self.count.setValue(count)
        for box, words, role in ((self.first, "From", "from"), (self.last, "To", "to"), (self.count, "Steps", "steps")):
            box.setObjectName(f"compare.sweep.{name}.{role}")
            box.setAccessibleName(words)
            box.setToolTip({"from": "The first value", "to": "The last value", "steps": "How many values"}[role])
            box.setKeyboardTracking(True)
            box.setFixedWidth(64 if role != "steps" else 40)
            theme.mark(box, compact=True, filled=True)
            box.valueChanged.connect(lambda _value: self.changed.emit())
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(6)
        row.addWidget(self.setting, 1)
        for widget in (self.first, QLabel("to"), self.last, QLabel("in"), self.count):
            if isinstance(widget, QLabel):
                theme.mark(widget, role="muted")
            row.addWidget(widget)
        self.setting.currentIndexChanged.connect(lambda _place: self._take_setting())
        self.setting.setCurrentIndex(self.setting.findData(setting))
        self._take_setting()

    def _take_setting(self) -> None:
        known = setting_of(SamplingSettings, self.setting.currentData())
        low, high = USUAL.get(known.name, (known.minimum or 0.0, known.maximum or 1.0))
        for box, value in ((self.first, low), (self.last, high)):
            box.blockSignals(True)
            box.setDecimals(0 if known.kind is int else 2)
            box.setSingleStep(known.step or 1.0)
            box.setRange(known.minimum or 0.0, known.maximum or 1.0)
            box.setValue(value)
            box.blockSignals(False)
        self.changed.emit()

    def values(self) -> tuple[str, tuple[float, ...]]:
        return self.setting.currentData(), sweeps.steps(self.first.value(), self.last.value(), round(self.count.value()))


class SweepPopup(QFrame):
    """`made(tuple of Labelled)` when it is applied; it goes with Escape or a press beside it."""

    made = Signal(object)

    def __init__(self, base: SamplingSettings, presets: Mapping[str, SamplingSettings], parent: QWidget) -> None:
        super().__init__(parent, Qt.WindowType.Popup)
        self.setObjectName("compare.sweep.popup")
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        theme.mark(self, surface="raised")
        self.setFixedWidth(WIDTH)
        self._base = base
        self._presets = dict(presets)
        self.found: tuple[Labelled, ...] = ()
        column = QVBoxLayout(self)
        column.setContentsMargins(16, 12, 16, 16)
        column.setSpacing(12)
        column.addWidget(theme.mark(QLabel("Columns from a rule"), role="strong"))
        column.addLayout(self._kinds())
        self._stack = QStackedWidget()
        self._build_pages()
        column.addWidget(self._stack)
        self.preview = QLabel()
        self.preview.setObjectName("compare.sweep.preview")
        self.preview.setWordWrap(True)
        self.preview.setFixedHeight(8 * (theme.pixels("small") + 5))
        self.preview.setAlignment(Qt.AlignmentFlag.AlignTop)
        theme.mark(self.preview, role="muted")
        note = QLabel("All other settings are those of column 1")
        theme.mark(note, role="faint")
        column.addWidget(note)
        column.addWidget(self.preview)
        self.apply = QPushButton("Make columns")
        self.apply.setObjectName("compare.sweep.apply")
        self.apply.setToolTip("Replaces the columns by these; what was replied before stays in the log")
        theme.mark(self.apply, role="primary")
        self.apply.clicked.connect(self._apply)
        column.addLayout(line(1, self.apply))
        self.choose("sweep")

    def _kinds(self) -> QHBoxLayout:
        row = QHBoxLayout()
        row.setSpacing(4)
        self._group = QButtonGroup(self)
        for place, (name, words, tip) in enumerate(KINDS):
            button = QToolButton()
            button.setObjectName(f"compare.sweep.{name}")
            button.setText(words)
            button.setToolTip(tip)
            button.setAccessibleName(tip)
            button.setCheckable(True)
            theme.mark(button, role="segment")
            self._group.addButton(button, place)
            row.addWidget(button)
        row.addStretch(1)
        self._group.idClicked.connect(lambda place: self.choose(KINDS[place][0]))
        return row

    def _build_pages(self) -> None:
        self.one = Axis("one", "temperature", 4)
        self.rows = Axis("rows", "top_p", 2)
        self.columns = Axis("columns", "temperature", 3)
        for axis in (self.one, self.rows, self.columns):
            axis.changed.connect(self._show)
        self.seeds = NumberBox(1, sweeps.MOST, 1)
        self.seeds.setObjectName("compare.sweep.seeds.count")
        self.seeds.setAccessibleName("How many seeds")
        self.seeds.setToolTip("How often the same settings are drawn from")
        self.seeds.setValue(4)
        self.seeds.setKeyboardTracking(True)
        self.seeds.setFixedWidth(48)
        theme.mark(self.seeds, compact=True, filled=True)
        self.seeds.valueChanged.connect(lambda _value: self._show())
        self._boxes: dict[str, QCheckBox] = {}
        chosen = QWidget()
        inside = QVBoxLayout(chosen)
        inside.setContentsMargins(0, 0, 0, 0)
        inside.setSpacing(4)
        for place, name in enumerate(self._presets):
            box = QCheckBox(name)
            box.setObjectName(f"compare.sweep.preset.{place}")
            box.setToolTip(f"A column with the settings of “{name}”")
            box.setChecked(place < sweeps.MOST)
            box.toggled.connect(lambda _on: self._show())
            self._boxes[name] = box
            inside.addWidget(box)
        for page in (_page(self.one), _page(self.rows, self.columns), _page(_count(self.seeds)), chosen):
            self._stack.addWidget(page)

    def choose(self, kind: str) -> None:
        """`sweep`, `grid`, `seeds` or `presets`."""
        place = [name for name, _words, _tip in KINDS].index(kind)
        self._group.button(place).setChecked(True)
        self._stack.setCurrentIndex(place)
        self._show()

    def _rule(self) -> tuple[Labelled, ...]:
        kind = KINDS[self._stack.currentIndex()][0]
        if kind == "sweep":
            return sweeps.sweep(self._base, *self.one.values())
        if kind == "grid":
            (one, first), (other, second) = self.rows.values(), self.columns.values()
            if one == other:
                return sweeps.sweep(self._base, one, (*first, *second))
            return sweeps.grid(self._base, {one: first, other: second})
        if kind == "seeds":
            return sweeps.seeds(self._base, round(self.seeds.value()))
        return sweeps.presets([name for name, box in self._boxes.items() if box.isChecked()], self._presets)

    def _show(self) -> None:
        if not hasattr(self, "apply"):
            return
        problem = ""
        try:
            self.found = self._rule()
            if not self.found:
                problem = "Nothing is chosen yet."
        except PlaygroundError as error:
            self.found, problem = (), f"{error.message} {error.hint}".strip()
        self.apply.setEnabled(bool(self.found))
        self.apply.setText(f"Make {len(self.found)} columns" if len(self.found) != 1 else "Make 1 column")
        theme.mark(self.preview, role="bad" if problem else "muted")
        self.preview.setText(problem or "\n".join(_two(self.found)))

    def _apply(self) -> None:
        found = self.found
        self.close()
        self.made.emit(found)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter) and self.apply.isEnabled():
            self._apply()
        elif event.key() == Qt.Key.Key_Escape:
            self.close()
        else:
            super().keyPressEvent(event)

    def show_below(self, button: QWidget) -> None:
        self.adjustSize()
        self.move(button.mapToGlobal(QPoint(0, button.height() + 4)))
        self.show()
        self._group.button(self._stack.currentIndex()).setFocus()


def _page(*widgets: QWidget) -> QWidget:
    page = QWidget()
    column = QVBoxLayout(page)
    column.setContentsMargins(0, 0, 0, 0)
    column.setSpacing(8)
    for widget in widgets:
        column.addWidget(widget)
    column.addStretch(1)
    return page


def _count(box: QWidget) -> QWidget:
    holder = QWidget()
    row = QHBoxLayout(holder)
    row.setContentsMargins(0, 0, 0, 0)
    row.setSpacing(8)
    row.addWidget(box)
    row.addWidget(QLabel("different seeds, everything else the same"), 1)
    return holder


def _two(found: tuple[Labelled, ...]) -> list[str]:
    return [f"{place}   {each.label}" for place, each in enumerate(found, 1)]
