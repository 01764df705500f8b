"""A slider with its number: a term that explains itself, the value in its unit, a track whose end depends on the model."""

from __future__ import annotations

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QGridLayout, QWidget

from playground.gui import theme
from playground.gui.widgets.glossary import Term
from playground.gui.widgets.number_box import NumberBox
from playground.gui.widgets.value_slider import Travel, ValueSlider


class AmountRow(QWidget):
    """`changed(value)` tells of changes by hand. The slider has the object name, its number box `<name>.value`."""

    changed = Signal(float)

    def __init__(
        self,
        name: str,
        title: str,
        help: str,
        travel: Travel,
        value: float,
        words: dict[float, str] | None = None,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self._quiet = False
        self._names, self._title, self._help, self._words = name, title, help, words
        self.label = Term(name.rpartition(".")[2], title, help, self)
        self.slider = ValueSlider(travel, None, None, self)
        self.slider.setObjectName(name)
        self.number = NumberBox(travel.minimum, travel.maximum, travel.step, words, self)
        self.number.setObjectName(f"{name}.value")
        self.number.setFixedWidth(88)
        theme.mark(self.number, compact=True)
        for widget, said in ((self.slider, title), (self.number, f"{title}, number")):
            widget.setAccessibleName(said)
            widget.setAccessibleDescription(help)
            widget.setToolTip(help)
        self.label.setBuddy(self.slider)
        grid = QGridLayout(self)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setHorizontalSpacing(0)
        grid.setVerticalSpacing(0)
        grid.addWidget(self.label, 0, 0, Qt.AlignmentFlag.AlignVCenter)
        grid.setColumnStretch(0, 1)
        grid.addWidget(self.number, 0, 1, Qt.AlignmentFlag.AlignRight)
        grid.addWidget(self.slider, 1, 0, 1, 2)
        self.set_value(value)
        self.slider.valueChanged.connect(self._take)
        self.number.valueChanged.connect(self._take)

    def value(self) -> int:
        return round(self.slider.value())

    def set_value(self, value: float) -> None:
        """Shows a value without telling of it."""
        self._quiet = True
        try:
            self.slider.setValue(value)
            self.number.setValue(value)
        finally:
            self._quiet = False

    def set_travel(self, travel: Travel, value: float) -> None:
        """Another range, and the value in it."""
        self._quiet = True
        try:
            self.slider.travel = travel
            self.slider.setValue(travel.minimum if value != travel.minimum else travel.maximum)
            self.number.setRange(travel.minimum, travel.maximum)
        finally:
            self._quiet = False
        self.set_value(value)

    def _take(self, value: float) -> None:
        if not self._quiet:
            self.set_value(value)
            self.changed.emit(self.slider.value())
