"""From a settings dataclass to rows: label, slider, number box or field, reset. Knows `params` and no page.

The control that carries a setting's value has the object name `<prefix>.<field>` and speaks the setting's own unit; the number box beside a
slider is `<prefix>.<field>.value`, the button back to the default `<prefix>.<field>.reset`.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from typing import Any

from PySide6.QtCore import QSize, Qt, Signal
from PySide6.QtWidgets import (
    QCheckBox,
    QComboBox,
    QGridLayout,
    QHBoxLayout,
    QLineEdit,
    QSizePolicy,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from playground.errors import SettingError
from playground.gui import theme
from playground.gui.widgets.glossary import Term
from playground.gui.widgets.number_box import NumberBox
from playground.gui.widgets.value_slider import Travel, ValueSlider
from playground.params import Setting, changed, setting_of, settings_of

WORDS: dict[str, dict[float, str]] = {
    "top_k": {0: "off"},
    "top_p": {1: "off"},
    "min_p": {0: "off"},
    "repetition_penalty": {1: "off"},
    "repeat_last_n": {0: "off"},
    "frequency_penalty": {0: "off"},
    "presence_penalty": {0: "off"},
    "adapter_scale": {0: "off"},
    "seed": {-1: "random"},
    "max_tokens": {0: "no limit"},
    "pace": {0: "full speed"},
    "context": {0: "auto"},
    "gpu_layers": {-1: "auto"},
    "threads": {0: "auto"},
}
"""what the number box shows for a value that is no amount"""
SLIDERS = {"max_tokens": Travel(1, 32768, 1, log=True, ends_in_zero=True)}
"""travels that are not simply from minimum to maximum"""
NUMBER_WIDTH, TEXT_WIDTH = 88, 184
MOST = 2**31 - 1
"""of a whole number without a maximum"""


class SettingRow(QWidget):
    """One setting. `changed(name, value)` tells of changes by hand or by `setValue` on a control, not of `set_value`."""

    changed = Signal(str, object)

    def __init__(self, setting: Setting, prefix: str, slider: bool = True, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setting = setting
        self._quiet = False
        self._with_slider = slider
        self._written = (setting.kind in (str, tuple) and not setting.choices) or (not slider and _is_written(setting))
        self._value: Any = setting.default
        self.slider: ValueSlider | None = None
        self.control: QWidget
        name = f"{prefix}.{setting.name}"
        self.label = Term(setting.name, setting.label, setting.help, self)
        self.reset = QToolButton(self)
        self.reset.setObjectName(f"{name}.reset")
        self.reset.setFixedSize(QSize(24, 24))
        theme.bind_icon(self.reset, "rotate-ccw", "muted", 14)
        self.reset.setToolTip(f"Back to {self.text_of(setting.default) or 'nothing'}")
        self.reset.setAccessibleName(f"Reset {setting.label}")
        self.reset.clicked.connect(self.set_default)
        kept = self.reset.sizePolicy()
        kept.setRetainSizeWhenHidden(True)
        self.reset.setSizePolicy(kept)
        self.reset.hide()
        grid = QGridLayout(self)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setHorizontalSpacing(0)
        grid.setVerticalSpacing(0)
        grid.addWidget(self.label, 0, 0, Qt.AlignmentFlag.AlignVCenter)
        grid.setColumnStretch(0, 1)
        grid.addWidget(self.reset, 0, 1)
        self._build(grid, name)
        self.label.setBuddy(self.control)

    def _build(self, grid: QGridLayout, name: str) -> None:
        setting = self.setting
        if setting.choices:
            combo = QComboBox(self)
            combo.addItems(setting.choices)
            combo.setCurrentText(setting.default)
            combo.currentTextChanged.connect(self._take)
            combo.setFixedWidth(NUMBER_WIDTH)
            theme.mark(combo, compact=True)
            self.control = combo
        elif setting.kind is bool:
            box = QCheckBox(self)
            theme.mark(box, bare=True)
            box.setChecked(setting.default)
            box.toggled.connect(self._take)
            self.control = box
        elif self._written:
            field = QLineEdit(self)
            field.editingFinished.connect(lambda: self._take(field.text()))
            if setting.kind is float:
                field.setAlignment(Qt.AlignmentFlag.AlignRight)
            field.setFixedWidth(NUMBER_WIDTH if setting.kind is float else TEXT_WIDTH)
            theme.mark(field, compact=True)
            self.control = field
        else:
            low, high, step = (
                setting.minimum or 0.0,
                setting.maximum or (MOST if setting.kind is int else 1.0),
                setting.step or 1.0,
            )
            number = NumberBox(low, high, step, WORDS.get(setting.name))
            number.setParent(self)
            number.setValue(setting.default)
            number.setFixedWidth(NUMBER_WIDTH)
            theme.mark(number, compact=True)
            number.valueChanged.connect(self._take)
            self.control = number
            if self._with_slider and (setting.name in SLIDERS or high <= 4096):
                travel = SLIDERS.get(setting.name) or Travel(low, high, step, setting.scale == "log")
                self.slider = ValueSlider(travel, setting.default, setting.off, self)
                self.slider.valueChanged.connect(self._take)
                self.slider.reset_wanted.connect(self.set_default)
                grid.addWidget(self.slider, 1, 0, 1, 3)
                self._name(number, f"{name}.value", f"{setting.label}, number")
                self._name(self.slider, name, setting.label)
        if self.slider is None:
            self._name(self.control, name, setting.label)
            theme.mark(self.control, filled=True)  # nothing else says that it can be changed
        grid.addWidget(self.control, 0, 2, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)

    def _name(self, widget: QWidget, name: str, accessible: str) -> None:
        widget.setObjectName(name)
        widget.setAccessibleName(accessible)
        widget.setAccessibleDescription(self.setting.help)
        unit = f" In {self.setting.unit}." if self.setting.unit else ""
        widget.setToolTip(f"{self.setting.help}{unit}")

    def text_of(self, value: Any) -> str:
        """A value as the row shows it."""
        if self._written:
            return ", ".join(value) if isinstance(value, tuple) else f"{value:g}" if isinstance(value, float) else str(value)
        word = WORDS.get(self.setting.name, {}).get(value) if isinstance(value, (int, float)) else None
        if word:
            return word
        return f"{value:.2f}" if isinstance(value, float) else f"{value:,}" if isinstance(value, int) else str(value)

    def value(self) -> Any:
        return self._value

    def set_value(self, value: Any) -> None:
        """Shows a value without telling of it."""
        self._show(value)

    def set_default(self) -> None:
        self._take(self.setting.default)

    def _take(self, value: Any) -> None:
        if self._quiet:
            return
        if self.setting.kind is tuple and isinstance(value, str):
            value = tuple(part for part in (each.strip() for each in value.split(",")) if part)
        elif self.setting.kind is int:
            value = round(value)
        elif self.setting.kind is float:
            with suppress(ValueError):  # what is no number is refused by the settings, which say why
                value = float(value)
        if value != self._value:
            self._show(value)
            self.changed.emit(self.setting.name, value)

    def _show(self, value: Any) -> None:
        self._value = value
        self._quiet = True
        try:
            if isinstance(self.control, QComboBox):
                self.control.setCurrentText(str(value))
            elif isinstance(self.control, QCheckBox):
                self.control.setChecked(bool(value))
            elif isinstance(self.control, QLineEdit):
                self.control.setText(self.text_of(value))
            elif isinstance(self.control, NumberBox):
                self.control.setValue(float(value))
            if self.slider is not None:
                self.slider.setValue(float(value))
        finally:
            self._quiet = False
        different = value != self.setting.default
        if self.reset.isHidden() == different:
            had = self.reset.hasFocus()
            self.reset.setVisible(different)
            if had:
                self.control.setFocus()


class Form(QWidget):
    """Rows for some fields of a settings dataclass. `changed(settings)` tells of changes by hand; `problem(text)` of a refused one."""

    changed = Signal(object)
    problem = Signal(str)

    def __init__(
        self,
        settings: Any,
        prefix: str,
        names: Iterable[str] | None = None,
        sliders: bool = True,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self._settings, self._prefix, self._sliders = settings, prefix, sliders
        self.rows: dict[str, SettingRow] = {}
        self._column = QVBoxLayout(self)
        self._column.setContentsMargins(0, 0, 0, 0)
        self._column.setSpacing(4)
        for name in [each.name for each in settings_of(type(settings)) if each.kind is not tuple] if names is None else names:
            self.add(name)
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Fixed)

    def add(self, name: str) -> None:
        """One row more: a long form is made over several turns of the event loop."""
        row = self.rows[name] = SettingRow(setting_of(type(self._settings), name), self._prefix, self._sliders, self)
        row.set_value(getattr(self._settings, name))
        row.changed.connect(self._take)
        self._column.addWidget(row)

    def value(self) -> Any:
        return self._settings

    def set_value(self, settings: Any) -> None:
        """Shows other settings without telling of it."""
        self._settings = settings
        for name, row in self.rows.items():
            if row.value() != getattr(settings, name):
                row.set_value(getattr(settings, name))

    def _take(self, name: str, value: Any) -> None:
        try:
            self._settings = changed(self._settings, **{name: value})
        except SettingError as error:
            self.rows[name].set_value(getattr(self._settings, name))
            self.problem.emit(str(error))
            return
        self.problem.emit("")
        self.changed.emit(self._settings)


def _is_written(setting: Setting) -> bool:
    """Whether a number is rather written than stepped through: its least step is no measure of how fine it may be."""
    return setting.kind is float and not (setting.step and setting.step <= (setting.minimum or setting.step))


def line(*widgets: QWidget | int, spacing: int = 8) -> QHBoxLayout:
    """Widgets side by side; a number is a stretch."""
    row = QHBoxLayout()
    row.setContentsMargins(0, 0, 0, 0)
    row.setSpacing(spacing)
    for each in widgets:
        if isinstance(each, int):
            row.addStretch(each)
        else:
            row.addWidget(each)
    return row
