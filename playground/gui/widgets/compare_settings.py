"""What one column is decoded with: first the settings in which the columns differ, the rest unfolded on demand.

Knows a column's fields and no session; object names are `<prefix>.<setting>`, `.reply_start`, `.model`, `.more`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from PySide6.QtCore import Qt, QTimer, Signal
from PySide6.QtWidgets import QComboBox, QLabel, QLineEdit, QScrollArea, QToolButton, QVBoxLayout, QWidget

from playground.gui import theme
from playground.gui.form import Form
from playground.gui.widgets.glossary import Term
from playground.history.records import Column
from playground.params import SamplingSettings, setting_of

ALL = (
    "adapter_scale",
    "temperature",
    "top_k",
    "top_p",
    "min_p",
    "repetition_penalty",
    "seed",
    "max_tokens",
    "repeat_last_n",
    "frequency_penalty",
    "presence_penalty",
)
FEW = 3
"""settings that are shown without unfolding, at most"""


def front(names: Sequence[str], adapter: bool) -> tuple[str, ...]:
    """Which settings are shown without unfolding, of those that differ: always the temperature, and the adapter's if one is on."""
    first = [name for name in ALL if name in names][:FEW]
    if adapter and "adapter_scale" not in first:
        first = ["adapter_scale", *first][:FEW]
    if not adapter:
        first = [name for name in first if name != "adapter_scale"]
    if "temperature" not in first:
        first = [name for name in ALL if name in [*first[: FEW - 1], "temperature"]]
    return tuple(first)


class ColumnSettings(QWidget):
    """`changed(SamplingSettings)`, `other(fields)` of the column: `reply_start` or `model`. `unfolded(bool)` of the rest."""

    changed = Signal(object)
    other = Signal(object)
    unfolded = Signal(bool)

    def __init__(self, column: Column, prefix: str, models: Sequence[tuple[str, str]], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._prefix = prefix
        self._column = column
        self._models = models
        self._adapter = False
        self._main: Form | None = None
        self._names: tuple[str, ...] = ()
        self._rest: Form | None = None
        self._layout = QVBoxLayout(self)
        self._layout.setContentsMargins(0, 0, 0, 0)
        self._layout.setSpacing(2)
        self.more = QToolButton()
        self.more.setObjectName(f"{prefix}.more")
        self.more.setText("All settings")
        self.more.setCheckable(True)
        self.more.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self.more.setToolTip("Every sampling field, the first words of the reply, another model")
        self.more.setAccessibleName("All settings of this column")
        theme.mark(self.more, role="section")
        theme.bind_icon(self.more, "chevron-right", "muted", 14)
        self.more.toggled.connect(self._unfold)
        self._layout.addWidget(self.more)
        self._scroll: QScrollArea | None = None

    @property
    def settings(self) -> SamplingSettings:
        return self._column.settings

    def show_front(self, names: tuple[str, ...], adapter: bool) -> None:
        """Which settings stand in front; what is being dragged is left where it is."""
        self._adapter = adapter
        if names == self._names:
            return
        if self._main is not None:
            self._layout.removeWidget(self._main)
            self._main.setParent(None)
            self._main.deleteLater()
        self._names = names
        self._main = Form(self._column.settings, self._prefix, names, parent=self)
        self._main.changed.connect(lambda settings: self._take(names, settings))
        self._layout.insertWidget(0, self._main)
        if self._rest is not None:
            self._drop_rest()
            if self.more.isChecked():
                self._build_rest()

    def show_column(self, column: Column) -> None:
        """Other values; tells nobody."""
        self._column = column
        for form in (self._main, self._rest):
            if form is not None:
                form.set_value(column.settings)
        if self._rest is not None:
            self._start.blockSignals(True)
            if self._start.text() != column.reply_start:
                self._start.setText(column.reply_start)
            self._start.blockSignals(False)
            self._stop.set_value(column.settings.stop)
            self._stages.set_value(column.settings.stages)
            self._model.setCurrentIndex(max(0, self._model.findData(column.model)))

    def rename(self, prefix: str) -> None:
        """Another place, another name."""
        for widget in (self, *self.findChildren(QWidget)):
            name = widget.objectName()
            if name.startswith(f"{self._prefix}."):
                widget.setObjectName(prefix + name[len(self._prefix) :])
        self._prefix = prefix

    # -- the rest

    def _unfold(self, shown: bool) -> None:
        theme.bind_icon(self.more, "chevron-down" if shown else "chevron-right", "muted", 14)
        if shown and self._rest is None:
            self._build_rest()
        if self._scroll is not None:
            self._scroll.setVisible(shown)
        self.unfolded.emit(shown)

    def _drop_rest(self) -> None:
        assert self._scroll is not None
        self._layout.removeWidget(self._scroll)
        self._scroll.setParent(None)
        self._scroll.deleteLater()
        self._scroll, self._rest = None, None

    def _build_rest(self) -> None:
        from playground.gui.widgets.stage_order import StageOrder
        from playground.gui.widgets.stop_strings import StopStrings

        names = tuple(each for each in ALL if each not in self._names and (self._adapter or each != "adapter_scale"))
        inside = QWidget()
        inside.setProperty("scrolled", True)
        column = QVBoxLayout(inside)
        column.setContentsMargins(0, 0, 6, 8)
        column.setSpacing(6)
        self._rest = Form(self._column.settings, self._prefix, names)
        self._rest.changed.connect(lambda settings: self._take(names, settings))
        column.addWidget(self._rest)
        column.addWidget(self._caption("Start the reply with"))
        self._start = QLineEdit(self._column.reply_start)
        self._name(self._start, "reply_start", "Start the reply with", "The reply begins with these words; the model goes on")
        self._start.setPlaceholderText("its first words")
        theme.mark(self._start, compact=True)
        settle = QTimer(self._start, singleShot=True, interval=300)
        self._start.textChanged.connect(lambda _text: settle.start())
        settle.timeout.connect(lambda: self.other.emit({"reply_start": self._start.text()}))
        self._start.editingFinished.connect(lambda: self.other.emit({"reply_start": self._start.text()}))
        column.addWidget(self._start)
        column.addWidget(self._caption("Model"))
        self._model = QComboBox()
        self._name(self._model, "model", "Model of this column", "Another model for this column, loaded beside the first one")
        self._model.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        theme.mark(self._model, compact=True)
        for path, words in self._models:
            self._model.addItem(words, path)
        if self._model.findData(self._column.model) < 0:
            self._model.addItem(self._column.model.rsplit("/", 1)[-1], self._column.model)
        self._model.activated.connect(lambda place: self.other.emit({"model": self._model.itemData(place)}))
        column.addWidget(self._model)
        column.addWidget(Term("stop", setting_of(SamplingSettings, "stop").label, setting_of(SamplingSettings, "stop").help))
        self._stop = StopStrings()
        self._stop.field.setObjectName(f"{self._prefix}.stop_strings")
        self._stop.changed.connect(lambda value: self._take_one("stop", value))
        column.addWidget(self._stop)
        known = setting_of(SamplingSettings, "stages")
        column.addWidget(Term("stages", known.label, known.help))
        self._stages = StageOrder()
        self._stages.setObjectName(f"{self._prefix}.stages")
        self._stages.changed.connect(lambda value: self._take_one("stages", value))
        column.addWidget(self._stages)
        self._scroll = QScrollArea()
        self._scroll.setWidgetResizable(True)
        self._scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self._scroll.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self._scroll.setWidget(inside)
        self._scroll.setMinimumHeight(64)
        self._layout.addWidget(self._scroll, 1)
        self.show_column(self._column)

    def _caption(self, text: str) -> QLabel:
        label = QLabel(text)
        theme.mark(label, role="small")
        return label

    def _name(self, widget: QWidget, name: str, words: str, tip: str) -> None:
        widget.setObjectName(f"{self._prefix}.{name}")
        widget.setAccessibleName(words)
        widget.setToolTip(tip)

    # -- changes by hand

    def _take(self, names: tuple[str, ...], settings: SamplingSettings) -> None:
        self._put(dataclasses.replace(self._column.settings, **{name: getattr(settings, name) for name in names}))

    def _take_one(self, name: str, value: Any) -> None:
        self._put(dataclasses.replace(self._column.settings, **{name: value}))

    def _put(self, settings: SamplingSettings) -> None:
        if settings != self._column.settings:
            self.show_column(dataclasses.replace(self._column, settings=settings))
            self.changed.emit(settings)
