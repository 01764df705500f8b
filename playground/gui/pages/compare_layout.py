"""Where the parts of the Compare page stand. Knows no comparison."""

from __future__ import annotations

from PySide6.QtCore import QObject, Qt
from PySide6.QtWidgets import (
    QComboBox,
    QFrame,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QStackedWidget,
    QVBoxLayout,
    QWidget,
)

from playground.gui import theme
from playground.gui.pages import Desk
from playground.gui.widgets import chat_style
from playground.gui.widgets.compare_board import Board
from playground.gui.widgets.compare_diff import DiffView
from playground.gui.widgets.compare_pane import ENTROPY, PLAIN, PROBABILITY
from playground.gui.widgets.compare_start import CompareStart
from playground.gui.widgets.compare_votes import VoteBar
from playground.gui.widgets.composer import MessageField
from playground.gui.widgets.elided_label import ElidedLabel
from playground.gui.widgets.icon_button import icon_button
from playground.gui.widgets.system_prompt import SystemPrompt

COLOURS = ((PLAIN, "Plain text"), (PROBABILITY, "By probability"), (ENTROPY, "By entropy"))


def sheet() -> str:
    """The looks that only this page has."""
    colors = theme.palette()
    small = theme.pixels("small")
    return (
        chat_style.sheet()
        + f"""
    QTextEdit[role="reply"] {{ background: transparent; border: none; padding: 0; }}
    QPushButton[role="card"] {{ background: {colors.raised}; border: 1px solid {colors.line}; border-radius: 10px; min-height: 62px; padding: 0; }}
    QPushButton[role="card"]:hover {{ background: {colors.hover}; }}
    QPushButton[role="card"]:focus {{ border-color: {colors.accent}; }}
    QPushButton[role="vote"] {{ min-height: 26px; padding: 0 10px; font-size: {small}px; }}
    QPushButton[role="vote"]:checked {{ background: {colors.accent}; border-color: {colors.accent}; color: {colors.accent_text}; }}
    QPushButton[role="tool"] {{ min-height: 26px; padding: 0 10px; font-size: {small}px; }}
    QFrame[role="column_head"] {{ background: transparent; border: 1px solid transparent; border-radius: 6px; }}
    QFrame[role="column_head"]:hover {{ background: {colors.hover}; }}
    QFrame[role="column_head"]:focus {{ border-color: {colors.accent}; }}
    QLabel[role="column_title"] {{ font-size: {small + 1}px; font-weight: 600; }}
    QLabel[badge="true"] {{ padding: 0; }}
    QLabel[role="key"][winner="true"] {{ background: {colors.accent}; color: {colors.accent_text}; }}
    QFrame[drop_line="true"] {{ background: {colors.accent}; border: none; }}
    """
    )


class CompareLayout(QObject):
    """Makes the widgets of a page and lays them out in it."""

    def __init__(self, page: QWidget, desk: Desk) -> None:
        super().__init__(page)
        self._page = page
        page.setStyleSheet(sheet())
        self.title = ElidedLabel()
        self.title.setObjectName("compare.title")
        theme.mark(self.title, role="muted")
        self.new = icon_button("compare.new", "plus", "A new comparison; this one is kept", "New comparison")
        self.earlier = icon_button("compare.earlier", "history", "The comparisons that were made before", "Earlier comparisons")
        self.menu = icon_button("compare.menu", "ellipsis", "Export, rename or delete this comparison", "Comparison menu")
        self.model = QPushButton()
        self.model.setObjectName("compare.model")
        self.model.setAccessibleName("Model")
        self.model.setToolTip("Which model answers; opens the list of models")
        theme.mark(self.model, role="quiet")
        self.system = SystemPrompt(page="compare")
        self.prompt = MessageField()
        self.prompt.setObjectName("compare.prompt")
        self.prompt.setAccessibleName("Prompt")
        self.prompt.setPlaceholderText("Write one prompt for all columns…")
        self.run = QPushButton("Run")
        self.run.setObjectName("compare.run")
        self.run.setAccessibleName("Run all columns")
        theme.mark(self.run, role="primary")
        self.stop = QPushButton("Stop all")
        self.stop.setObjectName("compare.stop")
        self.stop.setAccessibleName("Stop all columns")
        self.stop.setToolTip("Stops all columns at the next token (Esc); what is written stays")
        theme.mark(self.stop, role="stop")
        theme.bind_icon(self.stop, "square", "text", 12)
        self.add = self._button("add", "plus", "Column", "One more column, with the settings of the last one")
        self.sweep = self._button(
            "sweep", "list-plus", "From a rule…", "A sweep, a grid, several seeds or presets in one press"
        )
        self.many = self._button(
            "many", "table-2", "Many prompts…", "Runs these columns over a list of prompts, in the background"
        )
        self.colours = QComboBox()
        self.colours.setObjectName("compare.colours")
        self.colours.setAccessibleName("Colours of the text")
        self.colours.setToolTip(
            "Washes every token by its probability or by how undecided the model was: the bluer, the less sure"
        )
        theme.mark(self.colours, compact=True)
        for name, words in COLOURS:
            self.colours.addItem(words, name)
        self.diff_button = self._button(
            "diff", "git-compare-arrows", "Difference", "Two replies against each other, word by word"
        )
        self.diff_button.setCheckable(True)
        self.state = ElidedLabel()
        self.state.setObjectName("compare.state")
        theme.mark(self.state, role="muted")
        self.start = CompareStart()
        self.board = Board()
        self.diff = DiffView()
        self.votes = VoteBar()
        self._build()
        theme.notifier().changed.connect(self._restyle)

    def _button(self, name: str, icon: str, words: str, tip: str) -> QPushButton:
        button = QPushButton(words)
        button.setObjectName(f"compare.{name}")
        button.setAccessibleName(tip)
        button.setToolTip(tip)
        theme.mark(button, role="tool")
        theme.bind_icon(button, icon, "muted", 14)
        return button

    def _build(self) -> None:
        centre = QFrame()
        theme.mark(centre, surface="surface")
        column = QVBoxLayout(centre)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addWidget(self._bar())
        column.addLayout(self._ask())
        column.addLayout(self._tools())
        self.stack = QStackedWidget()
        for view in (self.start, self.board, self.diff):
            self.stack.addWidget(view)
        framed = QFrame()
        theme.mark(framed, line="top")
        inside = QVBoxLayout(framed)
        inside.setContentsMargins(0, 1, 0, 0)
        inside.addWidget(self.stack)
        column.addWidget(framed, 1)
        column.addWidget(self.votes)
        outer = QVBoxLayout(self._page)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.addWidget(centre)

    def _bar(self) -> QWidget:
        bar = QFrame()
        theme.mark(bar, surface="surface", line="bottom")
        bar.setFixedHeight(49)
        row = QHBoxLayout(bar)
        row.setContentsMargins(8, 8, 12, 8)
        row.setSpacing(8)
        row.addWidget(self.model)
        row.addWidget(self.title, 1)
        self.extra = QHBoxLayout()
        """a place for what others add to the page"""
        row.addLayout(self.extra)
        for button in (self.new, self.earlier, self.menu):
            row.addWidget(button)
        return bar

    def _ask(self) -> QVBoxLayout:
        frame = QFrame()
        theme.mark(frame, role="composer")
        self._buttons = QStackedWidget()
        for button in (self.run, self.stop):
            button.setFixedWidth(88)
            self._buttons.addWidget(button)
        self._buttons.setFixedSize(88, theme.CONTROL)
        inside = QHBoxLayout(frame)
        inside.setContentsMargins(14, 8, 8, 8)
        inside.setSpacing(8)
        inside.addWidget(self.prompt, 1)
        inside.addWidget(self._buttons, 0, Qt.AlignmentFlag.AlignBottom)
        ask = QVBoxLayout()
        ask.setContentsMargins(16, 6, 16, 0)
        ask.setSpacing(4)
        ask.addWidget(self.system)
        ask.addWidget(frame)
        return ask

    def _tools(self) -> QHBoxLayout:
        row = QHBoxLayout()
        row.setContentsMargins(16, 8, 16, 8)
        row.setSpacing(8)
        row.addWidget(self.add)
        row.addWidget(self.sweep)
        row.addWidget(self.many)
        row.addSpacing(4)
        row.addWidget(self.state, 1)
        caption = QLabel("Colours")
        theme.mark(caption, role="muted")
        row.addWidget(caption)
        row.addWidget(self.colours)
        row.addWidget(self.diff_button)
        return row

    # -- what is shown

    def _restyle(self) -> None:
        self._page.setStyleSheet(sheet())

    def show_view(self, view: QWidget) -> None:
        self.stack.setCurrentWidget(view)

    def show_running(self, running: bool) -> None:
        had = self.run.hasFocus() or self.stop.hasFocus()
        self._buttons.setCurrentWidget(self.stop if running else self.run)
        self.stop.setEnabled(running)
        if had:
            (self.stop if running else self.run).setFocus()
