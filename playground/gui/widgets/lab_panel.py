"""The decoding lab: what the model weighs for the next token, through every stage of the sampler chain, redrawn as sliders move.

Two parts: the distribution at a place of the text, and a text token by token. Knows logits and settings, no session and no chat: whoever
owns it connects `wanted`, `chosen` and the token view's signals, and tells it `set_settings` at every tick.
"""

from __future__ import annotations

import math
from typing import Any

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import (
    QCheckBox,
    QFrame,
    QHBoxLayout,
    QLabel,
    QScrollArea,
    QStackedWidget,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from playground.gui import theme
from playground.gui.palette import LAB
from playground.gui.widgets.elided_label import ElidedLabel
from playground.gui.widgets.icon_button import icon_button
from playground.gui.widgets.lab_chart import LabChart
from playground.gui.widgets.next_token import readable
from playground.params import SamplingSettings


class LabPanel(QFrame):
    """See the module's docstring. Object names: `lab.chart`, `lab.place`, `lab.refresh`, `lab.typed`, `lab.tab.next`, `lab.tab.tokens`."""

    wanted = Signal()
    """the distribution at the end of the text is wanted (again)"""
    chosen = Signal(int)
    """a candidate is to be taken in place of the token that is looked at"""
    tab_changed = Signal(str)
    """`next` or `tokens`"""
    closed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("lab")
        self.setFixedWidth(LAB)
        theme.mark(self, surface="window")
        self._settings = SamplingSettings()
        self._found: Any = None
        self._drawn = -1
        self.chart = LabChart()
        self.chart.chosen.connect(self.chosen)
        self.place = ElidedLabel()
        self.place.setObjectName("lab.place")
        theme.mark(self.place, role="strong")
        self.before = ElidedLabel(keeps_end=True)  # what the next token follows
        self.before.setObjectName("lab.before")
        theme.mark(self.before, role="mono_small")
        self.note = QLabel()
        self.note.setObjectName("lab.note")
        self.note.setWordWrap(True)
        theme.mark(self.note, role="muted")
        self.typed = QCheckBox("With input")
        self.typed.setObjectName("lab.typed")
        self.typed.setToolTip("Looks behind the message that stands in the input field, as if it had been sent")
        self.typed.toggled.connect(lambda: self.wanted.emit())
        self.refresh = icon_button(
            "lab.refresh", "refresh-cw", "Looks at the end of the conversation", "Look at the end", drawn=16
        )
        self.refresh.clicked.connect(lambda: self.wanted.emit())
        self._build()
        self.show_nothing("")

    def _tab(self, name: str, words: str, tip: str) -> QToolButton:
        button = QToolButton()
        button.setObjectName(f"lab.tab.{name}")
        button.setText(words)
        button.setToolTip(tip)
        button.setCheckable(True)
        button.setAutoExclusive(True)
        theme.mark(button, role="segment")
        button.clicked.connect(lambda: self.show_tab(name))
        return button

    def _build(self) -> None:
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.setSpacing(0)
        head = QHBoxLayout()
        head.setContentsMargins(16, 8, 8, 8)
        head.setSpacing(4)
        self._tabs = {
            "next": self._tab("next", "Next token", "The distribution at a place of the text, stage by stage"),
            "tokens": self._tab("tokens", "Tokens", "Any text token by token, and what the model thinks of each"),
        }
        for tab in self._tabs.values():
            head.addWidget(tab)
        head.addStretch(1)
        close = icon_button("lab.close", "x", "Closes the lab (Ctrl+L)", "Close the lab", drawn=16)
        close.clicked.connect(lambda: self.closed.emit())
        head.addWidget(close)
        outer.addLayout(head)
        self.stack = QStackedWidget()
        self.stack.addWidget(self._next_part())
        outer.addWidget(self.stack, 1)
        self._tabs["next"].setChecked(True)

    def _next_part(self) -> QWidget:
        part = QWidget()
        column = QVBoxLayout(part)
        column.setContentsMargins(16, 0, 4, 8)
        column.setSpacing(4)
        where = QHBoxLayout()
        where.setSpacing(4)
        where.addWidget(self.place, 1)
        where.addWidget(self.typed)
        where.addWidget(self.refresh)
        column.addLayout(where)
        column.addWidget(self.before)
        body = QWidget()
        body.setProperty("scrolled", True)
        inner = QVBoxLayout(body)
        inner.setContentsMargins(0, 4, 8, 0)
        inner.addWidget(self.chart)
        inner.addWidget(self.note)
        inner.addStretch(1)
        scroll = QScrollArea()
        scroll.setWidgetResizable(True)
        scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        scroll.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        scroll.setWidget(body)
        column.addWidget(scroll, 1)
        return part

    def set_tokens_part(self, part: QWidget) -> None:
        """The second tab."""
        self.stack.addWidget(part)

    def show_tab(self, name: str) -> None:
        self._tabs[name].setChecked(True)
        if name == "tokens" and self.stack.count() < 2:
            self.tab_changed.emit(name)  # it is made when it is first wanted
        self.stack.setCurrentIndex(min(self.stack.count() - 1, list(self._tabs).index(name)))
        self.tab_changed.emit(name)

    @property
    def tab(self) -> str:
        return next(name for name, tab in self._tabs.items() if tab.isChecked())

    # -- what it shows

    def set_settings(self, settings: SamplingSettings) -> None:
        """A slider has moved: the same logits under other settings."""
        if settings != self._settings:
            self._settings = settings
            if self._found is not None:
                self._redraw()

    def show_logits(self, found: Any, place: str, drawn: int = -1, can_choose: bool = False) -> None:
        """Shows the distribution after a prompt (a `NextLogits` of the session). `drawn`: the token that was taken there."""
        self._found, self._drawn = found, drawn
        self.chart.can_choose = can_choose
        self.place.setText(place)
        self._show_before("".join(each.text for each in found.prompt[-48:]))
        self.note.setText("")
        self._redraw()

    def show_token(self, token: Any, place: str, before: str = "", can_choose: bool = False, note: str = "") -> None:
        """Shows what came with a token: the candidates and their odds when it was drawn (`TokenInfo` or `TokenRow`)."""
        rows = [
            each if isinstance(each, tuple) else (each.token_id, each.text, each.logprob, each.probability)
            for each in token.alternatives
        ]
        if all(number != token.token_id for number, *_ in rows):
            rows.append((token.token_id, token.text, token.logprob, token.probability))
        self._found, self._drawn = None, token.token_id
        self.chart.can_choose = can_choose
        self.place.setText(place)
        self._show_before(before)
        self.note.setText(note)
        own = [math.exp(min(0.0, logprob)) for _, _, logprob, _ in rows]
        self.chart.show_recorded(
            [row[0] for row in rows], [row[1] for row in rows], own, [row[3] for row in rows], token.token_id
        )

    def show_nothing(self, note: str, place: str = "Next token") -> None:
        """`note`: why there is nothing, or what to do."""
        self._found = None
        self.chart.can_choose = False
        self.chart.clear()
        self.place.setText(place)
        self._show_before("")
        self.note.setText(note)

    def _show_before(self, text: str) -> None:
        shown = readable(text[-44:]) if text else ""
        self.before.setText(f"…{shown}▏" if shown else "")
        self.before.setToolTip(text[-400:])

    def _redraw(self) -> None:
        found = self._found
        self.chart.show_steps(found.chain.steps(self._settings), found.text, self._drawn)
