"""One column of a comparison: its head, its settings, its reply, and what the reply comes to in numbers.

Knows a column and a reply, no session. Object names: `compare.column.<n>` and below it, n counted from 1.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from PySide6.QtCore import QPoint, Qt, Signal
from PySide6.QtGui import QFontMetrics, QKeyEvent, QMouseEvent
from PySide6.QtWidgets import (
    QApplication,
    QFrame,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QMenu,
    QStackedWidget,
    QVBoxLayout,
    QWidget,
)

from playground.decoding.differences import Summary
from playground.gui import theme
from playground.gui.widgets.compare_pane import LN2, ReplyPane, percent
from playground.gui.widgets.compare_settings import ColumnSettings
from playground.gui.widgets.compare_state import Branch, Reply, changed_words
from playground.gui.widgets.elided_label import ElidedLabel
from playground.gui.widgets.icon_button import icon_button
from playground.history.records import Column

NARROWEST = 256
STATES = {
    "waiting": "waiting for the model…",
    "reading": "reading the prompt…",
    "writing": "",
    "cancelled": "stopped",
    "length": "cut at its longest",
    "context": "the context is full",
    "interrupted": "interrupted",
    "failed": "failed",
}
NUMBERS = (
    ("tokens", "Tokens", "How long the reply is"),
    ("rate", "Tokens/s", "How fast this column was written; all columns share the machine"),
    ("distinct", "Distinct-2", "Different pairs of tokens over all pairs: low means that the reply goes in circles"),
    ("repetition", "Repeats", "The share of four-token stretches that stood in the reply before"),
    ("logprob", "Logprob", "Mean log-probability of the tokens under the model itself: nearer to 0 is more expected"),
    ("entropy", "Entropy", "How undecided the model was on average, in bits a token: 0 is sure, 1 is a coin"),
)


class Head(QFrame):
    """The handle of a column: dragged sideways, or moved with Alt and the arrows. `moved(steps)`, `dragged(x)`, `dropped(x)`."""

    moved = Signal(int)
    dragged = Signal(QPoint)
    dropped = Signal(QPoint)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._pressed: QPoint | None = None
        self._dragging = False
        self.setFixedHeight(40)
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.setCursor(Qt.CursorShape.OpenHandCursor)
        self.setToolTip("Drag to another place, or move it with Alt and the left and right arrows")
        theme.mark(self, role="column_head")

    def mousePressEvent(self, event: QMouseEvent) -> None:
        if event.button() == Qt.MouseButton.LeftButton:
            self._pressed = event.position().toPoint()

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        if self._pressed is None:
            return
        way = (event.position().toPoint() - self._pressed).manhattanLength()
        if self._dragging or way >= QApplication.startDragDistance():
            self._dragging = True
            self.setCursor(Qt.CursorShape.ClosedHandCursor)
            self.dragged.emit(event.globalPosition().toPoint())

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        dragging, self._dragging, self._pressed = self._dragging, False, None
        self.setCursor(Qt.CursorShape.OpenHandCursor)
        if dragging:
            self.dropped.emit(event.globalPosition().toPoint())

    def keyPressEvent(self, event: QKeyEvent) -> None:
        step = {Qt.Key.Key_Left: -1, Qt.Key.Key_Right: 1}.get(Qt.Key(event.key()), 0)
        if step and event.modifiers() & Qt.KeyboardModifier.AltModifier:
            self.moved.emit(step)
        else:
            super().keyPressEvent(event)


class ColumnView(QFrame):
    """See the module's docstring."""

    sampling_changed = Signal(str, object)
    field_changed = Signal(str, object)
    asked = Signal(str, str)
    """what is to be done (`stop`, `duplicate`, `remove`, `copy`, `run`, `chat`), and the column's id"""
    token_pressed = Signal(str, int)
    moved = Signal(str, int)
    dragged = Signal(str, QPoint)
    dropped = Signal(str, QPoint)

    def __init__(self, column: Column, number: int, models: Sequence[tuple[str, str]], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.column = column
        self.number = number
        self._blind = False
        self._prefix = f"compare.column.{number}"
        self.setObjectName(self._prefix)
        self.setMinimumWidth(NARROWEST)
        theme.mark(self, surface="surface", line="right")
        self.settings = ColumnSettings(column, self._prefix, models)
        self.pane = ReplyPane()
        self.pane.setObjectName(f"{self._prefix}.text")
        self._build()
        self.settings.changed.connect(lambda settings: self.sampling_changed.emit(self.column.id, settings))
        self.settings.other.connect(lambda fields: self.field_changed.emit(self.column.id, fields))
        self.settings.unfolded.connect(self._unfolded)
        self.pane.token_pressed.connect(lambda index: self.token_pressed.emit(self.column.id, index))
        self.show_reply(None)

    # -- parts

    def _build(self) -> None:
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addWidget(self._make_head())
        self._above = QStackedWidget()
        self._above.setSizePolicy(self._above.sizePolicy().horizontalPolicy(), self.settings.sizePolicy().verticalPolicy())
        self._above.addWidget(self.settings)
        hidden = QLabel("Settings are hidden until you vote")
        hidden.setAlignment(Qt.AlignmentFlag.AlignCenter)
        theme.mark(hidden, role="muted")
        self._above.addWidget(hidden)
        self._settings_row = QHBoxLayout()
        self._settings_row.setContentsMargins(12, 0, 12, 4)
        self._settings_row.addWidget(self._above)
        column.addLayout(self._settings_row)
        body = QFrame()
        theme.mark(body, line="top")
        inside = QVBoxLayout(body)
        inside.setContentsMargins(12, 10, 8, 4)
        self.pane.setAccessibleName(f"Reply of column {self.number}")
        self.pane.setMinimumHeight(40)
        inside.addWidget(self.pane)
        self._body = body
        column.addWidget(body, 1)
        column.addWidget(self._make_foot())
        self._outer = column

    def _make_head(self) -> QWidget:
        self.head = Head()
        self.head.moved.connect(lambda steps: self.moved.emit(self.column.id, steps))
        self.head.dragged.connect(lambda point: self.dragged.emit(self.column.id, point))
        self.head.dropped.connect(lambda point: self.dropped.emit(self.column.id, point))
        row = QHBoxLayout(self.head)
        row.setContentsMargins(12, 0, 6, 0)
        row.setSpacing(8)
        self.badge = QLabel(str(self.number))
        self.badge.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.badge.setFixedSize(24, 24)
        theme.mark(self.badge, role="key", badge=True)
        row.addWidget(self.badge)
        self.title = ElidedLabel()
        theme.mark(self.title, role="column_title")
        row.addWidget(self.title, 1)
        tip = "Stops this column at the next token; the others go on"
        self.stop = icon_button(f"{self._prefix}.stop", "square", tip, "Stop this column", 28, 12)
        tip = "Run again, duplicate, move, copy or remove this column"
        self.menu = icon_button(f"{self._prefix}.menu", "ellipsis", tip, "Column menu", 28, 16)
        self.menu.clicked.connect(self._open_menu)
        self.stop.clicked.connect(lambda: self.asked.emit("stop", self.column.id))
        kept = self.stop.sizePolicy()
        kept.setRetainSizeWhenHidden(True)
        self.stop.setSizePolicy(kept)
        row.addWidget(self.stop)
        row.addWidget(self.menu)
        return self.head

    def _make_foot(self) -> QWidget:
        foot = QFrame()
        theme.mark(foot, line="top")
        column = QVBoxLayout(foot)
        column.setContentsMargins(12, 6, 12, 8)
        column.setSpacing(4)
        self.parting = self._line("parting")
        self.timeline = self._line("timeline")
        column.addWidget(self.parting)
        column.addWidget(self.timeline)
        grid = QGridLayout()
        grid.setHorizontalSpacing(4)
        grid.setVerticalSpacing(2)
        self._numbers: dict[str, QLabel] = {}
        for place, (name, words, tip) in enumerate(NUMBERS):
            caption, value = QLabel(words), QLabel("–")
            theme.mark(caption, role="muted")
            theme.mark(value, role="small")
            value.setObjectName(f"{self._prefix}.{name}")
            value.setAlignment(Qt.AlignmentFlag.AlignRight)
            value.setFixedSize(
                *_value_size(place % 2)
            )  # a label of a fixed size does not lay out the page anew with every number
            caption.setToolTip(tip)
            value.setToolTip(tip)
            left = 0 if place % 2 == 0 else 3
            grid.addWidget(caption, place // 2, left)
            grid.addWidget(value, place // 2, left + 1, Qt.AlignmentFlag.AlignRight)
            self._numbers[name] = value
        grid.setColumnMinimumWidth(2, 4)
        grid.setColumnStretch(1, 1)
        grid.setColumnStretch(4, 1)
        column.addLayout(grid)
        return foot

    def _line(self, name: str) -> ElidedLabel:
        label = ElidedLabel()
        label.setObjectName(f"{self._prefix}.{name}")
        label.setFixedHeight(18)
        theme.mark(label, role="muted")
        return label

    # -- what it shows

    def set_number(self, number: int) -> None:
        """Another place in the row, and the names that go with it."""
        if number != self.number:
            old, self._prefix, self.number = self._prefix, f"compare.column.{number}", number
            for widget in (self, *self.findChildren(QWidget)):
                name = widget.objectName()
                if name == old or name.startswith(f"{old}."):
                    widget.setObjectName(self._prefix + name[len(old) :])
            self.settings.rename(self._prefix)
        self.badge.setText(letter(number) if self._blind else str(number))
        self.pane.setAccessibleName(f"Reply of column {number}")

    def set_title(self, words: str, blind: bool) -> None:
        """What is this column's alone; nothing of it while names are hidden."""
        self._blind = blind
        several = "," in words  # there is little room for what they need most of it for
        self.title.setText(
            f"Reply {letter(self.number)}" if blind else words.replace("Temperature", "Temp") if several else words
        )
        self.head.setAccessibleName(f"Column {self.number}: {'reply ' + letter(self.number) if blind else words}")
        self._above.setCurrentIndex(1 if blind else 0)
        self.menu.setEnabled(not blind)
        self.set_number(self.number)

    def show_column(self, column: Column) -> None:
        self.column = column
        self.settings.show_column(column)

    def show_reply(self, reply: Reply | None) -> None:
        """State and numbers; the text comes by the pane's own way."""
        writing = reply is not None and not reply.ended
        self.stop.setVisible(reply is not None and reply.state in ("reading", "writing"))
        self.pane.set_writing(reply is not None and reply.state == "writing")
        if reply is None:
            self.pane.setPlaceholderText("Nothing yet")
        elif reply.state in ("waiting", "reading"):
            self.pane.setPlaceholderText(STATES[reply.state].capitalize())
        else:
            self.pane.setPlaceholderText(reply.error or ("" if writing else "An empty reply"))
        self.show_timeline(reply)

    def show_timeline(self, reply: Reply | None) -> None:
        words = [] if reply is None else [STATES.get(reply.state, "")] if reply.ended else []
        changes = []
        if reply is not None:
            before = reply.settings
            for index, settings in reply.changes:
                moved = changed_words(before, settings)
                changes.append((index, f"From token {index + 1} on: {moved}"))
                words.append(f"from {index + 1}: {moved}")
                before = settings
        self.pane.set_changes([] if self._blind else changes)
        text = " · ".join(each for each in words if each)
        self.timeline.setText((words[0] if words else "") if self._blind else text)

    def show_numbers(self, reply: Reply | None) -> None:
        values = dict.fromkeys(self._numbers, "–")
        if reply is not None and reply.tokens:
            found = reply.summary()
            values["tokens"] = f"{found.tokens:,}"
            values["rate"] = _number(reply.tokens_per_s, 1)
            values["distinct"] = _number(found.distinct_2, 2)
            values["repetition"] = "–" if math.isnan(found.repetition) else percent(found.repetition)
            if not self._blind:  # they would tell the temperature
                values["entropy"] = f"{_number(found.entropy / LN2, 2)} bits"
                values["logprob"] = _number(found.mean_logprob, 2)
            self._say_more(found)
        for name, label in self._numbers.items():
            label.setText(values[name])

    def _say_more(self, found: Summary) -> None:
        """What there is no room for, in the tooltips."""
        tips = {name: tip for name, _words, tip in NUMBERS}
        if not self._blind:
            tips["logprob"] += (
                f".\nPerplexity {_number(found.perplexity, 2)}: of so many equally likely tokens it seemed to choose"
            )
        tips["distinct"] += f".\nDistinct-1 {_number(found.distinct_1, 2)}: different tokens over all tokens"
        for name in ("logprob", "distinct"):
            self._numbers[name].setToolTip(tips[name])

    def show_branches(self, branches: Sequence[Branch], names: dict[str, int]) -> list[tuple[int, str]]:
        """The line below the text on where it parts from others; returns the marks for the pane."""
        if self._blind or not branches:
            self.parting.setText("")
            self.parting.setToolTip("")
            return []
        marks = [(branch.index, _branch_tip(branch, names)) for branch in branches]
        first = branches[0]
        other_id, parting = first.others[0]
        self.parting.setText(
            f"parts at {first.index + 1}: {_candidate(first.own)}  |  {names.get(other_id, 0)}: {_candidate(parting.right)}"
        )
        self.parting.setToolTip("\n".join(tip for _index, tip in marks))
        return marks

    def set_winner(self, won: bool) -> None:
        """Whether somebody found this one the better."""
        theme.mark(self.badge, winner=won)
        self.badge.setToolTip("You found this one the better" if won else "")

    def _unfolded(self, shown: bool) -> None:
        self._outer.setStretchFactor(self._settings_row, 2 if shown else 0)

    def _open_menu(self) -> None:
        menu = QMenu(self)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        for words, what, icon in (
            ("Run this column again", "run", "play"),
            ("Duplicate", "duplicate", "copy"),
            ("Copy the reply", "copy", "file-text"),
        ):
            menu.addAction(theme.icon(icon, "muted"), words, lambda what=what: self.asked.emit(what, self.column.id))
        menu.addSeparator()
        menu.addAction("Move left\tAlt+←", lambda: self.moved.emit(self.column.id, -1))
        menu.addAction("Move right\tAlt+→", lambda: self.moved.emit(self.column.id, 1))
        menu.addSeparator()
        menu.addAction(theme.icon("trash-2", "muted"), "Remove", lambda: self.asked.emit("remove", self.column.id))
        menu.popup(self.menu.mapToGlobal(QPoint(0, self.menu.height())))


def _value_size(right: int) -> tuple[int, int]:
    metrics = QFontMetrics(theme.font("small"))
    return metrics.horizontalAdvance("00.00 bits" if right else "00,000") + 2, metrics.height()


def letter(number: int) -> str:
    return chr(ord("A") + number - 1)


def _number(value: float, places: int) -> str:
    return "–" if math.isnan(value) else "∞" if math.isinf(value) else f"{value:,.{places}f}"


def _candidate(candidate: Any) -> str:
    if candidate is None:
        return "the end"
    shown = candidate.text.replace("\n", "⏎")
    return f"“{shown}” {percent(candidate.probability)}"


def _branch_tip(branch: Branch, names: dict[str, int]) -> str:
    lines = [f"At token {branch.index + 1} this reply goes on with {_candidate(branch.own)}"]
    for other_id, parting in branch.others:
        words = f"column {names.get(other_id, 0)} with {_candidate(parting.right)}"
        if parting.right_of_left is not None and parting.left is not None:
            words += f" (which gave this one's token {percent(parting.right_of_left)})"
        lines.append(words)
    return "\n".join(lines)
