"""The panel at the right of a chat: everything that decides how the next token is chosen, and the odds of the latest one.

Knows settings and events, no session: whoever owns it connects `changed` and `pace_changed`, and shows it what came from elsewhere with
`set_settings`.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from PySide6.QtCore import Qt, QTimer, Signal
from PySide6.QtGui import QShowEvent
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QScrollArea, QToolButton, QVBoxLayout, QWidget

from playground import events
from playground.gui import theme
from playground.gui.form import Form, SettingRow
from playground.gui.preferences import Preferences
from playground.gui.widgets.glossary import Term
from playground.gui.widgets.next_token import NextToken
from playground.gui.widgets.preset_picker import PresetPicker
from playground.gui.widgets.value_slider import Travel
from playground.params import SamplingSettings, Setting, setting_of

MAIN = ("adapter_scale", "temperature", "top_k", "top_p", "min_p", "repetition_penalty", "seed")
REST = ("max_tokens", "repeat_last_n", "frequency_penalty", "presence_penalty")
PACE = Setting(
    "pace",
    0.0,
    float,
    "Pace, tok/s",
    "At most this many tokens a second. At the right end the model writes as fast as it can.",
    minimum=0.0,
    maximum=200.0,
    step=1.0,
    unit="tokens/s",
)


class SamplingPanel(QFrame):
    """`changed(SamplingSettings)` and `pace_changed(float)` tell of changes by hand."""

    changed = Signal(object)
    pace_changed = Signal(float)

    def __init__(self, preferences: Preferences, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("sampling")
        self.setFixedWidth(theme.PANEL)
        theme.mark(self, surface="window")
        self._settings = SamplingSettings()
        self._more: Form | None = None
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.setSpacing(0)
        outer.addLayout(self._head(preferences))
        scroll = QScrollArea()
        scroll.setWidgetResizable(True)
        scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        scroll.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self._body = QWidget()
        self._body.setProperty("scrolled", True)
        scroll.setWidget(self._body)
        outer.addWidget(scroll, 1)
        self._column = QVBoxLayout(self._body)
        self._column.setContentsMargins(16, 0, 16, 8)
        self._column.setSpacing(8)
        self._main = Form(self._settings, "sampling", MAIN)
        self._main.changed.connect(lambda settings: self._take(MAIN, settings))
        self._main.rows["adapter_scale"].setVisible(False)
        self._column.addWidget(self._main)
        self._pace = SettingRow(PACE, "sampling")
        _as_pace(self._pace)
        self._pace.changed.connect(lambda _name, value: self.pace_changed.emit(value))
        self._column.addWidget(self._pace)
        self._more_button = self._section_button()
        self._column.addWidget(self._more_button)
        self._more_holder = QWidget()
        self._more_holder.setVisible(False)
        self._column.addWidget(self._more_holder)
        self._column.addStretch(1)
        outer.addWidget(self._foot())  # outside what scrolls: it is looked at while a slider is moved
        bar = scroll.verticalScrollBar()
        bar.rangeChanged.connect(lambda low, high: self._column.setContentsMargins(16, 0, 4 if high > low else 16, 8))

    # -- parts

    def _head(self, preferences: Preferences) -> QHBoxLayout:
        row = QHBoxLayout()
        row.setContentsMargins(16, 8, 8, 8)
        row.setSpacing(4)
        title = QLabel("Sampling")
        theme.mark(title, role="strong")
        row.addWidget(title)
        row.addStretch(1)
        self.presets = PresetPicker(preferences)
        self.presets.chosen.connect(self._take_all)
        row.addWidget(self.presets)
        self.reset = QToolButton()
        self.reset.setObjectName("sampling.reset")
        self.reset.setToolTip("All settings back to their defaults (Balanced)")
        self.reset.setAccessibleName("Reset all sampling settings")
        theme.bind_icon(self.reset, "rotate-ccw", "muted")
        self.reset.setFixedSize(32, 32)
        self.reset.setEnabled(False)
        self.reset.clicked.connect(lambda: self._take_all(SamplingSettings()))
        row.addWidget(self.reset)
        return row

    def _section_button(self) -> QToolButton:
        button = QToolButton()
        button.setObjectName("sampling.more")
        button.setText("More settings")
        button.setCheckable(True)
        button.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        button.setToolTip("Length, penalties, stop strings and the order of stages")
        button.setAccessibleName("More settings")
        theme.mark(button, role="section")
        theme.bind_icon(button, "chevron-right", "muted")
        button.toggled.connect(self.show_more)
        return button

    def _foot(self) -> QWidget:
        foot = QFrame()
        theme.mark(foot, line="top")
        column = QVBoxLayout(foot)
        column.setContentsMargins(16, 8, 16, 12)
        column.setSpacing(4)
        column.addWidget(self._token_head())
        self.next_token = NextToken()
        column.addWidget(self.next_token)
        return foot

    def _token_head(self) -> QWidget:
        head = QWidget()
        row = QHBoxLayout(head)
        row.setContentsMargins(0, 0, 0, 0)
        text = "What the model weighed for the latest token, likeliest first."
        term = Term("next_token", "Next token", text)
        theme.mark(term, role="strong")
        row.addWidget(term)
        row.addStretch(1)
        self._entropy = QLabel("")
        self._entropy.setToolTip(
            "How undecided the model was, in bits: 0 is sure, 1 is a coin, 10 is a thousand equal candidates"
        )
        theme.mark(self._entropy, role="muted")
        row.addWidget(self._entropy)
        return head

    def _build_more(self) -> None:
        """The rest of the rows, made when there is time: the first paint does not wait for what is folded away."""
        if self._more is not None:
            return
        from playground.gui.widgets.stage_order import StageOrder
        from playground.gui.widgets.stop_strings import StopStrings

        column = QVBoxLayout(self._more_holder)
        column.setContentsMargins(0, 0, 0, 8)
        column.setSpacing(8)
        self._more = Form(self._settings, "sampling", REST)
        self._more.changed.connect(lambda settings: self._take(REST, settings))
        column.addWidget(self._more)
        known = setting_of(SamplingSettings, "stop")
        column.addWidget(Term("stop", known.label, known.help))
        self._stop = StopStrings()
        self._stop.changed.connect(lambda value: self._take_one("stop", value))
        column.addWidget(self._stop)
        known = setting_of(SamplingSettings, "stages")
        column.addWidget(Term("stages", known.label, known.help))
        self._stages = StageOrder()
        self._stages.changed.connect(lambda value: self._take_one("stages", value))
        column.addWidget(self._stages)
        self._show(self._settings)

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        QTimer.singleShot(50, self, self._build_more)

    def show_more(self, shown: bool) -> None:
        """Unfolds or folds the section."""
        self._build_more()
        self._more_button.setChecked(shown)
        theme.bind_icon(self._more_button, "chevron-down" if shown else "chevron-right", "muted")
        self._more_holder.setVisible(shown)

    def show_model(self, state: events.ModelState) -> None:
        """The adapter's slider is there while the loaded model has one on."""
        if state.state != "loading":  # the rows stay where they are until it is known
            self._main.rows["adapter_scale"].setVisible(state.info is not None and bool(state.info.adapter))

    # -- settings

    def settings(self) -> SamplingSettings:
        return self._settings

    def set_settings(self, settings: SamplingSettings) -> None:
        """Shows settings that came from elsewhere; tells nobody."""
        if settings != self._settings:
            self._show(settings)

    def pace(self) -> float:
        return float(self._pace.value())

    def set_pace(self, pace: float) -> None:
        self._pace.set_value(pace)

    def _show(self, settings: SamplingSettings) -> None:
        self._settings = settings
        self._main.set_value(settings)
        self.presets.show_settings(settings)
        self.reset.setEnabled(settings != SamplingSettings())
        if self._more is not None:
            self._more.set_value(settings)
            self._stop.set_value(settings.stop)
            self._stages.set_value(settings.stages)

    def _take(self, names: tuple[str, ...], settings: SamplingSettings) -> None:
        changes = {name: getattr(settings, name) for name in names}
        self._take_all(dataclasses.replace(self._settings, **changes))

    def _take_one(self, name: str, value: Any) -> None:
        self._take_all(dataclasses.replace(self._settings, **{name: value}))

    def _take_all(self, settings: SamplingSettings) -> None:
        if settings == self._settings:
            return
        self._show(settings)
        self.changed.emit(settings)

    # -- the latest token

    def show_token(self, token: Any) -> None:
        """The odds of a token (`TokenInfo` or `TokenRow`); None: there is none."""
        self.next_token.show_token(token)
        self._entropy.setText("" if token is None else f"{token.entropy / 0.6931471805599453:.1f} bits")

    def handle(self, event: Any) -> None:
        """Takes what concerns the panel from the session's events."""
        if isinstance(event, events.GenerationTokens) and event.tokens:
            self.show_token(event.tokens[-1])


def _as_pace(row: SettingRow) -> None:
    """Slow is left and "no limit" is right, though no limit is written 0."""
    assert row.slider is not None
    row.slider.travel = Travel(1.0, 200.0, 1.0, log=True, ends_in_zero=True)
    row.setting = PACE
    row.set_value(0.0)
