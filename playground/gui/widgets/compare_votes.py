"""Which reply is the better one: a button for each column, a tie, both bad; and whether names stay hidden until then.

Object names: `compare.vote.<n>`, `compare.vote.tie`, `compare.vote.both_bad`, `compare.blind`.
"""

from __future__ import annotations

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QCheckBox, QFrame, QHBoxLayout, QLabel, QPushButton, QWidget

from playground.decoding.sweeps import MOST
from playground.gui import theme
from playground.gui.widgets.compare_column import letter


class VoteBar(QFrame):
    """`voted(verdict, number)`: `better` with the number of a column, `tie`, `both_bad`; `blind_changed(bool)`."""

    voted = Signal(str, int)
    blind_changed = Signal(bool)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        theme.mark(self, surface="window", line="top")
        self.setFixedHeight(48)
        row = QHBoxLayout(self)
        row.setContentsMargins(16, 8, 16, 8)
        row.setSpacing(6)
        self._question = QLabel("Which is better?")
        theme.mark(self._question, role="small")
        row.addWidget(self._question)
        row.addSpacing(4)
        self.buttons: list[QPushButton] = []
        for number in range(1, MOST + 1):
            button = self._button(str(number), str(number), f"Column {number} is the better one (key {number})")
            button.clicked.connect(lambda _on=False, number=number: self.voted.emit("better", number))
            button.setFixedWidth(36)
            self.buttons.append(button)
            row.addWidget(button)
        self.tie = self._button("tie", "Tie", "They are equally good (key T)")
        self.bad = self._button("both_bad", "Both bad", "None of them is any good (key B)")
        self.tie.clicked.connect(lambda: self.voted.emit("tie", 0))
        self.bad.clicked.connect(lambda: self.voted.emit("both_bad", 0))
        row.addSpacing(4)
        row.addWidget(self.tie)
        row.addWidget(self.bad)
        row.addSpacing(8)
        self.said = QLabel()
        self.said.setObjectName("compare.vote.state")
        theme.mark(self.said, role="muted")
        row.addWidget(self.said)
        row.addStretch(1)
        self.blind = QCheckBox("Blind")
        self.blind.setObjectName("compare.blind")
        self.blind.setToolTip("Shuffles the columns of the next run and hides what they are, until you vote")
        self.blind.setAccessibleName("Blind: hide names and settings until voted")
        theme.mark(self.blind, compact=True)
        self.blind.toggled.connect(self.blind_changed)
        row.addWidget(self.blind)

    def _button(self, name: str, words: str, tip: str) -> QPushButton:
        button = QPushButton(words)
        button.setObjectName(f"compare.vote.{name}")
        button.setAccessibleName(tip)
        button.setToolTip(f"{tip}; pressed again, takes the vote back")
        button.setCheckable(True)
        theme.mark(button, role="vote")
        return button

    def show_votes(self, count: int, possible: bool, hidden: bool, verdict: str, winners: set[int]) -> None:
        """Buttons for so many columns. `hidden`: letters for numbers. `winners` are numbers."""
        for number, button in enumerate(self.buttons, 1):
            button.setVisible(number <= count)
            button.setText(letter(number) if hidden else str(number))
            button.setEnabled(possible)
            button.setChecked(verdict == "better" and number in winners)
        for button, name in ((self.tie, "tie"), (self.bad, "both_bad")):
            button.setEnabled(possible)
            button.setChecked(verdict == name)
        self.bad.setText("Both bad" if count <= 2 else "All bad")
        self._question.setEnabled(possible)
        words = "Vote to see what they are" if hidden and possible else ""
        self.said.setText({"better": "Voted", "tie": "Voted: a tie", "both_bad": "Voted: none is any good"}.get(verdict, words))
