"""One generation in full: what was asked, what came, with which settings, and the way to have it decoded again."""

from __future__ import annotations

import dataclasses
import json
from pathlib import PurePath
from typing import Any

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QTextCharFormat, QTextCursor
from PySide6.QtWidgets import (
    QFrame,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QPlainTextEdit,
    QProgressBar,
    QPushButton,
    QStackedWidget,
    QTextEdit,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from playground.events import ReplayResult
from playground.gui import theme
from playground.gui.form import line
from playground.gui.widgets.log_model import STATES, TROUBLE, differences, rate, when_text
from playground.gui.widgets.segments import tabs
from playground.history.records import GenerationRow, TokenRow
from playground.params import to_dict

SHOWN_TOKENS = 20_000
"""more of a reply than this is not coloured token by token"""
TABS = (
    ("reply", "Reply", "What the model wrote"),
    ("prompt", "Prompt", "What it read, as rendered by the chat template"),
    ("settings", "Settings", "The sampling settings, and what was moved while it wrote"),
)


class LogDetail(QFrame):
    """`open_wanted(row)`, `replay_wanted(row)`, `inside_wanted(row)`, `export_wanted(row)`, `closed`; `show_row` and `show_tokens` fill it."""

    open_wanted = Signal(object)
    replay_wanted = Signal(object)
    inside_wanted = Signal(object)
    export_wanted = Signal(object)
    copy_wanted = Signal(str)
    closed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("log.detail")
        theme.mark(self, surface="window")
        self.row: GenerationRow | None = None
        self._tokens: list[TokenRow] = []
        column = QVBoxLayout(self)
        column.setContentsMargins(24, 16, 24, 24)
        column.setSpacing(16)
        column.addLayout(self._head())
        column.addLayout(self._facts())
        column.addLayout(self._buttons())
        self.outcome = QLabel()
        self.outcome.setObjectName("log.replay.outcome")
        self.outcome.setWordWrap(True)
        theme.mark(self.outcome, role="muted")
        self._progress = QProgressBar()
        self._progress.setTextVisible(False)
        self._progress.setAccessibleName("Replay")
        self._progress.setToolTip("How far the replay is")
        kept = self._progress.sizePolicy()
        kept.setRetainSizeWhenHidden(True)
        self._progress.setSizePolicy(kept)
        self._progress.hide()
        self.outcome.setMinimumHeight(20)
        below = QVBoxLayout()
        below.setSpacing(4)
        below.addWidget(self.outcome)
        below.addWidget(self._progress)
        column.addLayout(below)
        column.addLayout(self._tabs())
        self._stack = QStackedWidget()
        self._reply = QTextEdit()
        self._prompt = QPlainTextEdit()
        self._settings = QPlainTextEdit()
        for view, name, title in (
            (self._reply, "log.reply", "Reply"),
            (self._prompt, "log.prompt", "Prompt as rendered"),
            (self._settings, "log.settings", "Settings and their timeline"),
        ):
            view.setObjectName(name)
            view.setAccessibleName(title)
            view.setToolTip({"log.reply": "", "log.prompt": "Word for word what the model read"}.get(name, ""))
            view.setReadOnly(True)
            view.setTabChangesFocus(True)
            self._stack.addWidget(view)
        for view in (self._prompt, self._settings):
            theme.mark(view, mono=True)
        column.addWidget(self._stack, 1)
        theme.notifier().changed.connect(self._colour)

    # -- parts

    def _head(self) -> QHBoxLayout:
        self._title = QLabel()
        theme.mark(self._title, role="title")
        self._state = QLabel()
        theme.mark(self._state, role="muted")
        close = QToolButton()
        close.setObjectName("log.detail.close")
        close.setAccessibleName("Close details")
        close.setToolTip("Gives the table the whole page")
        theme.bind_icon(close, "x", "muted")
        close.clicked.connect(self.closed)
        return line(self._title, self._state, 1, close, spacing=12)

    def _facts(self) -> QGridLayout:
        grid = QGridLayout()
        grid.setHorizontalSpacing(16)
        grid.setVerticalSpacing(4)
        self._fact: dict[str, QLabel] = {}
        names = ("When", "Tokens", "Engine", "Speed", "Device", "Prompt", "Seed", "Prefill", "Model file")
        for place, name in enumerate(names):
            title, value = QLabel(name), QLabel("–")
            theme.mark(title, role="muted")
            theme.mark(value, role="small")
            value.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
            row, side = divmod(place, 2)
            grid.addWidget(title, row, side * 2)
            grid.addWidget(value, row, side * 2 + 1)
            self._fact[name] = value
        grid.setColumnStretch(1, 3)
        grid.setColumnStretch(3, 2)
        return grid

    def _buttons(self) -> QHBoxLayout:
        self.open_button = self._button("Open in chat", "log.open", "message-square", "Goes to the chat at this reply")
        self.replay_button = self._button(
            "Replay", "log.replay", "rotate-ccw", "Decodes it again from its record, and compares"
        )
        self.inside_button = self._button(
            "Look inside", "log.inside", "scan-eye", "What the model looked at, in every layer and head, token by token"
        )
        self.copy_button = self._button("", "log.copy", "copy", "Copies the reply")
        self.export_button = self._button("", "log.export", "download", "Writes the whole record into a JSON file")
        self.copy_button.setAccessibleName("Copy reply")
        self.export_button.setAccessibleName("Export")
        self.open_button.clicked.connect(lambda: self.open_wanted.emit(self.row))
        self.replay_button.clicked.connect(lambda: self.replay_wanted.emit(self.row))
        self.copy_button.clicked.connect(lambda: self.copy_wanted.emit(self.reply_text()))
        self.inside_button.clicked.connect(lambda: self.inside_wanted.emit(self.row))
        self.export_button.clicked.connect(lambda: self.export_wanted.emit(self.row))
        return line(self.open_button, self.replay_button, self.inside_button, 1, self.copy_button, self.export_button)

    def _button(self, text: str, name: str, icon: str, tip: str) -> QPushButton:
        button = QPushButton(text)
        button.setObjectName(name)
        button.setAccessibleName(text)
        button.setToolTip(tip)
        if not text:
            theme.mark(button, role="quiet")
        theme.bind_icon(button, icon, "muted")
        return button

    def _tabs(self) -> QHBoxLayout:
        self.tab_group = tabs("log.tab", TABS, self)
        self.tab_group.idClicked.connect(lambda place: self._stack.setCurrentIndex(place))
        row = line(*self.tab_group.buttons(), 1, spacing=4)
        self.colours = QToolButton()
        self.colours.setObjectName("log.colours")
        self.colours.setText("Surprise")
        self.colours.setAccessibleName("Surprise")
        self.colours.setToolTip("Lays blue behind the tokens that were unlikely: the bluer, the more of a surprise")
        self.colours.setCheckable(True)
        theme.mark(self.colours, role="segment")
        self.colours.toggled.connect(self._colour)
        row.addWidget(self.colours)
        return row

    # -- content

    def show_row(self, row: GenerationRow) -> None:
        """A generation; its tokens follow with `show_tokens`."""
        same = self.row is not None and self.row.id == row.id
        self.row = row
        on = f" + {PurePath(row.adapter).name}" if row.adapter else ""
        self._title.setText((row.model_name or "No model") + on)
        self.open_button.setText("Comparison" if row.column_id else "Open in chat")  # no longer: the row fills a small window
        self.open_button.setAccessibleName("Open comparison" if row.column_id else "Open in chat")
        self.open_button.setToolTip(f"Goes to the {'comparison' if row.column_id else 'chat'} at this reply")
        self._state.setText(STATES.get(row.state, row.state))
        theme.mark(self._state, role="bad" if row.state in TROUBLE else "muted")
        self._state.setToolTip(row.error)
        facts = {
            "When": when_text(row.started),
            "Tokens": f"{row.completion_tokens:,}",
            "Engine": row.engine or "–",
            "Speed": f"{rate(row):.1f} tokens/s" if rate(row) else "–",
            "Device": row.device or "–",
            "Prompt": f"{row.prompt_tokens:,}, {row.cached_tokens:,} cached",
            "Prefill": f"{row.prefill_s:.2f} s",
            "Model file": row.model_sha256[:12] or "–",
            "Seed": str(row.seed),
        }
        for name, text in facts.items():
            self._fact[name].setText(text)
        self._fact["Engine"].setToolTip(row.engine_build)
        self._fact["Model file"].setToolTip(f"{row.model_path}\nSHA-256 {row.model_sha256}")
        self._prompt.setPlainText(row.prompt)
        self._settings.setPlainText(settings_text(row))
        self.replay_button.setEnabled(row.state != "streaming")
        self.inside_button.setEnabled(row.state != "streaming" and row.prompt_tokens > 0)
        if not same:
            self._tokens = []
            self._reply.setPlainText("")
            self.show_outcome("")

    def show_tokens(self, tokens: list[TokenRow]) -> None:
        self._tokens = tokens
        self._reply.setPlainText(self.reply_text())
        self._colour()

    def reply_text(self) -> str:
        return "".join(token.text for token in self._tokens)

    def show_outcome(self, text: str, role: str = "muted", fraction: float | None = None) -> None:
        """What the replay says; `fraction` while it runs (-1: nobody knows)."""
        self.outcome.setText(text)
        theme.mark(self.outcome, role=role)
        self._progress.setVisible(fraction is not None)
        self.replay_button.setEnabled(fraction is None and self.row is not None and self.row.state != "streaming")
        if fraction is not None:
            self._progress.setRange(0, 0 if fraction < 0 else 1000)
            self._progress.setValue(round(max(0.0, fraction) * 1000))

    def show_replay(self, result: ReplayResult) -> None:
        if result.identical:
            self.show_outcome(f"Identical: {result.tokens:,} tokens, the same one after another.", "good")
        else:
            why = f" {result.why}" if result.why else ""
            self.show_outcome(f"The first difference is at token {result.first_difference:,}.{why}", "warn")

    def _colour(self) -> None:
        cursor = QTextCursor(self._reply.document())
        cursor.beginEditBlock()
        cursor.select(QTextCursor.SelectionType.Document)
        cursor.setCharFormat(QTextCharFormat())
        if self.colours.isChecked():
            place = 0
            for token in self._tokens[:SHOWN_TOKENS]:
                long = len(token.text.encode("utf-16-le")) // 2  # Qt counts in UTF-16
                if long and token.probability < 0.95:
                    look = QTextCharFormat()
                    look.setBackground(theme.probability_tint(token.probability))
                    cursor.setPosition(place)
                    cursor.setPosition(place + long, QTextCursor.MoveMode.KeepAnchor)
                    cursor.setCharFormat(look)
                place += long
        cursor.endEditBlock()


def settings_text(row: GenerationRow) -> str:
    """The settings, one a line, and after them each change with the token it came into force at."""
    lines = [f"{name:<20} {_plain(value)}" for name, value in to_dict(row.settings).items() if name != "seed"]
    lines.append(f"{'seed':<20} {row.seed}")
    if row.timeline:
        lines += ["", "Moved while it was being written:"]
        before = row.settings
        for entry in row.timeline:
            lines.append(f"from token {entry.index:<8,} {differences(entry.settings, before)}")
            before = entry.settings
    return "\n".join(lines)


def _plain(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False) if isinstance(value, list) else str(value)


def record_json(row: GenerationRow, tokens: list[TokenRow]) -> str:
    """A generation and its tokens as JSON, for the file that `Export` writes."""
    return json.dumps(
        {"generation": dataclasses.asdict(row), "tokens": [dataclasses.asdict(token) for token in tokens]},
        ensure_ascii=False,
        indent=1,
    )
