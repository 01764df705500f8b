"""What is looked at and how it is coloured: mode, layer, head, scale, colours, the first token, one scale for all. Knows the state only."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QCheckBox, QComboBox, QFrame, QHBoxLayout, QLabel, QWidget

from playground.gui import theme
from playground.gui.widgets.inside_state import COLOURS, InsideState

MODES = (
    ("head", "One head", "The weights of one head"),
    ("layer", "Layer mean", "The mean of a layer's heads"),
    ("all", "Mean of all", "The mean of all layers and heads"),
    ("rollout", "Rollout", "How much of each token is in each place after this layer, if attention were the only way"),
)
SCALES = (
    ("sqrt", "Root", "Small weights are seen, large ones still told apart"),
    ("linear", "Linear", "Half as far along the colours is half the weight; one large weight leaves the others dark"),
    ("log", "Logarithm", "Every step is a tenth of the one before, from 0.0001 on"),
    ("percentile", "Percentile", "As many cells in every colour: shows order, hides amounts"),
)
_TIP = Qt.ItemDataRole.ToolTipRole


class InsideControls(QFrame):
    """Object names: `inside.mode`, `inside.layer`, `inside.head`, `inside.scale`, `inside.colours`, `inside.sink`, `inside.shared`."""

    def __init__(self, state: InsideState, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        theme.mark(self, surface="window", line="bottom")
        self.setFixedHeight(48)
        self._state = state
        self.mode = _choice("inside.mode", "What is shown", MODES)
        self.layer = _choice("inside.layer", "Layer", ())
        self.head = _choice("inside.head", "Head", ())
        self.scale = _choice("inside.scale", "Scale", SCALES)
        self.colours = _choice("inside.colours", "Colours", [(each, each.capitalize(), "") for each in COLOURS])
        self.colours.setToolTip(
            "Colours of weights, for colour-blind eyes too; a difference is always blue (less) to orange (more)"
        )
        self.sink = _check(
            "inside.sink", "Hide first token", "Leaves out the first column: most heads give it what they do not need"
        )
        self.shared = _check(
            "inside.shared", "One scale", "The same colour is the same weight in every head; else each head has its own"
        )
        row = QHBoxLayout(self)
        row.setContentsMargins(16, 0, 16, 0)
        row.setSpacing(8)
        row.addWidget(self.mode)
        for text, box in (("Layer", self.layer), ("Head", self.head)):
            label = QLabel(text)
            theme.mark(label, role="muted")
            label.setBuddy(box)
            row.addSpacing(4)
            row.addWidget(label)
            row.addWidget(box)
        row.addStretch(1)
        label = QLabel("Scale")
        theme.mark(label, role="muted")
        label.setBuddy(self.scale)
        row.addWidget(label)
        row.addWidget(self.scale)
        row.addWidget(self.colours)
        row.addSpacing(4)
        row.addWidget(self.sink)
        row.addWidget(self.shared)
        self.mode.activated.connect(lambda _place: state.set_look(mode=self.mode.currentData()))
        self.layer.activated.connect(lambda _place: state.set_look(layer=self.layer.currentData()))
        self.head.activated.connect(lambda _place: state.set_look(head=self.head.currentData()))
        self.scale.activated.connect(lambda _place: state.set_scale(kind=self.scale.currentData()))
        self.colours.activated.connect(lambda _place: state.set_scale(colours=self.colours.currentData()))
        self.sink.toggled.connect(lambda on: state.set_scale(hide_sink=on))
        self.shared.toggled.connect(lambda on: state.set_scale(shared=on))
        state.captures_changed.connect(self._show)
        state.look_changed.connect(self._show)
        state.scale_changed.connect(self._show)
        self._show()

    def _show(self) -> None:
        state = self._state
        header, look, scale = state.header, state.look, state.scale
        for box, numbers in ((self.layer, header.layers if header else ()), (self.head, header.heads if header else ())):
            if [box.itemData(place) for place in range(box.count())] != list(numbers):
                box.clear()
                for number in numbers:
                    box.addItem(str(number), number)
        for box, value in (
            (self.mode, look.mode),
            (self.layer, look.layer),
            (self.head, look.head),
            (self.scale, scale.kind),
            (self.colours, scale.colours),
        ):
            box.setCurrentIndex(box.findData(value))
            box.setEnabled(header is not None)
        self.layer.setEnabled(header is not None and look.mode != "all")
        self.head.setEnabled(header is not None and look.mode == "head")
        self.colours.setEnabled(header is not None and not state.signed)
        for check, on in ((self.sink, scale.hide_sink), (self.shared, scale.shared)):
            check.blockSignals(True)
            check.setChecked(on)
            check.setEnabled(header is not None)
            check.blockSignals(False)


def _choice(name: str, title: str, choices: Sequence[tuple[str, str, str]]) -> QComboBox:
    box = QComboBox()
    box.setObjectName(name)
    box.setAccessibleName(title)
    box.setToolTip(title)
    box.setMaxVisibleItems(24)
    theme.mark(box, compact=True)
    for value, text, tip in choices:
        box.addItem(text, value)
        box.setItemData(box.count() - 1, tip, _TIP)
    if not choices:
        box.setMinimumWidth(64)
    return box


def _check(name: str, text: str, tip: str) -> QCheckBox:
    box = QCheckBox(text)
    box.setObjectName(name)
    box.setAccessibleName(text)
    box.setToolTip(tip)
    return box
