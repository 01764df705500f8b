"""Two replies against each other: what both say is plain, what only one says is coloured and underlined, each side in its own way.

The matching is done on a thread of its own: two long replies take longer than a frame. Object names: `compare.diff.*`.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future

from PySide6.QtCore import Signal
from PySide6.QtGui import QColor, QTextBlockFormat, QTextCharFormat, QTextCursor
from PySide6.QtWidgets import QComboBox, QFrame, QHBoxLayout, QLabel, QTextEdit, QVBoxLayout, QWidget

from playground.decoding import differences
from playground.gui import theme
from playground.gui.bridge import when_done
from playground.gui.widgets.compare_pane import LINE_HEIGHT

LEFT, RIGHT = ("#0072b2", "#6cb4ee"), ("#b35900", "#f0a45a")
"""blue and orange in light and in dark: colour-blind eyes tell them apart"""
Source = tuple[str, Sequence[str]]
"""a column's name, and its reply in tokens"""


def words_of(text: str) -> list[str]:
    """Words with what stands before them; joined, they are the text."""
    return re.findall(r"\s*\w+|\s*[^\w\s]|\s+", text)


class DiffView(QFrame):
    """`set_sources` gives it what can be compared; `closed` when it is done with."""

    closed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("compare.diff.view")
        theme.mark(self, surface="surface")
        self._sources: list[Source] = []
        self._asked = 0
        self.left, self.right = self._choice("left", "Left side"), self._choice("right", "Right side")
        self.unit = self._choice("unit", "Compare by")
        self.unit.addItems(["Words", "Tokens"])
        self.unit.currentIndexChanged.connect(lambda _place: self._compare())
        self.facts = QLabel()
        self.facts.setObjectName("compare.diff.facts")
        theme.mark(self.facts, role="muted")
        head = QHBoxLayout()
        head.setContentsMargins(16, 8, 16, 8)
        head.setSpacing(8)
        self._legends = [QLabel(), QLabel()]
        for widget in (self.left, QLabel("against"), self.right, QLabel("by"), self.unit):
            head.addWidget(widget)
        head.addSpacing(8)
        head.addWidget(self.facts)
        head.addStretch(1)
        for legend in self._legends:
            head.addWidget(legend)
        self.panes = (self._pane("left"), self._pane("right"))
        row = QHBoxLayout()
        row.setSpacing(0)
        for pane in self.panes:
            holder = QFrame()
            theme.mark(holder, line="top")
            inside = QVBoxLayout(holder)
            inside.setContentsMargins(16, 12, 8, 12)
            inside.addWidget(pane)
            row.addWidget(holder, 1)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addLayout(head)
        column.addLayout(row, 1)
        theme.notifier().changed.connect(self._compare)

    def _choice(self, role: str, words: str) -> QComboBox:
        box = QComboBox()
        box.setObjectName(f"compare.diff.{role}")
        box.setAccessibleName(words)
        box.setToolTip({"unit": "Whether whole words or the model's tokens are matched"}.get(role, "Which reply stands here"))
        theme.mark(box, compact=True)
        if role != "unit":
            box.setMinimumWidth(160)
            box.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
            box.activated.connect(lambda _place: self._compare())
        return box

    def _pane(self, role: str) -> QTextEdit:
        pane = QTextEdit()
        pane.setObjectName(f"compare.diff.{role}.text")
        pane.setAccessibleName(f"Reply on the {role}")
        pane.setReadOnly(True)
        pane.setFrameShape(QFrame.Shape.NoFrame)
        pane.setTabChangesFocus(True)
        pane.document().setDocumentMargin(0)
        theme.mark(pane, role="reply")
        return pane

    def set_sources(self, sources: Sequence[Source], by_text: bool = False) -> None:
        """The replies there are, in the order of the columns. Those that were chosen stay chosen."""
        chosen = [box.currentIndex() for box in (self.left, self.right)]
        self._sources = list(sources)
        for place, box in enumerate((self.left, self.right)):
            box.clear()
            for number, (name, _tokens) in enumerate(sources, 1):
                box.addItem(f"{number}   {name}")
            box.setCurrentIndex(chosen[place] if 0 <= chosen[place] < len(sources) else min(place, len(sources) - 1))
        self._compare()

    def _compare(self) -> None:
        if not self._sources:
            return
        left, right = (self._sources[max(0, box.currentIndex())][1] for box in (self.left, self.right))
        if self.unit.currentIndex() == 0:
            left, right = words_of("".join(left)), words_of("".join(right))
        self._asked += 1
        number = self._asked
        self.facts.setText("matching…")
        future = _in_thread(lambda: differences.diff(left, right))

        def show(pieces: list[differences.Piece]) -> None:
            if number == self._asked:
                self._show(left, right, pieces)

        when_done(future, self, show)

    def _show(self, left: Sequence[str], right: Sequence[str], pieces: Sequence[differences.Piece]) -> None:
        dark = theme.palette().dark
        same = sum(piece.left_end - piece.left_start for piece in pieces if piece.kind == "same")
        whole = len(left) + len(right)
        unit = "words" if self.unit.currentIndex() == 0 else "tokens"
        share = 2 * same / whole if whole else 1.0
        self.facts.setText(f"{share:.0%} in common · {len(left) - same} and {len(right) - same} {unit} of their own")
        for legend, words, color, style in zip(
            self._legends, ("only left", "only right"), (LEFT[dark], RIGHT[dark]), ("dashed", "solid"), strict=True
        ):
            line = "underline" if style == "solid" else "underline dashed"
            legend.setText(words)
            legend.setStyleSheet(f"color: {color}; font-size: {theme.pixels('small')}px; text-decoration: {line};")
        for place, (pane, units, color) in enumerate(zip(self.panes, (left, right), (LEFT[dark], RIGHT[dark]), strict=True)):
            spans = [
                (piece.left_start, piece.left_end, piece.kind)
                if place == 0
                else (piece.right_start, piece.right_end, piece.kind)
                for piece in pieces
            ]
            _fill(pane, units, spans, color, dashed=place == 0)


def _fill(pane: QTextEdit, units: Sequence[str], spans: Sequence[tuple[int, int, str]], color: str, dashed: bool) -> None:
    pane.clear()
    cursor = QTextCursor(pane.document())
    block = QTextBlockFormat()
    block.setLineHeight(LINE_HEIGHT, QTextBlockFormat.LineHeightTypes.ProportionalHeight.value)
    cursor.beginEditBlock()
    cursor.setBlockFormat(block)
    for start, end, kind in spans:
        form = QTextCharFormat()
        if kind != "same":
            wash = QColor(color)
            wash.setAlphaF(0.16)
            form.setBackground(wash)
            form.setForeground(QColor(color))
            style = QTextCharFormat.UnderlineStyle
            form.setUnderlineStyle(style.DashUnderline if dashed else style.SingleUnderline)
            form.setUnderlineColor(QColor(color))
        cursor.insertText("".join(units[start:end]).replace("\r", "\n"), form)
    cursor.endEditBlock()
    pane.verticalScrollBar().setValue(0)


def _in_thread(work: Callable[[], list[differences.Piece]]) -> Future[list[differences.Piece]]:
    future: Future[list[differences.Piece]] = Future()

    def run() -> None:
        try:
            future.set_result(work())
        except BaseException as error:
            future.set_exception(error)

    threading.Thread(target=run, name="diff", daemon=True).start()
    return future
