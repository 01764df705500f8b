"""The engine's own count of what it would allocate, beside our estimate: a button, then a sentence or two columns of figures.

Asks nobody: `wanted` says that somebody should, and whoever did shows the answer here.
"""

from __future__ import annotations

from collections.abc import Mapping

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QLabel, QPushButton, QVBoxLayout, QWidget

from playground.gui import theme
from playground.gui.form import line
from playground.gui.widgets.fit_terms import FitTerms


class FitEngine(QWidget):
    """`offer` shows the button and forgets what was counted; `say` and `show_counted` show what came of it."""

    wanted = Signal()

    def __init__(self, name: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName(name)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(4)
        self.button = QPushButton("Ask the engine")
        self.button.setObjectName(f"{name}.ask")
        self.button.setAccessibleName("Ask the engine")
        self.button.setToolTip("llama.cpp counts what it would allocate with these settings, and allocates nothing")
        theme.mark(self.button, role="link")
        self.button.clicked.connect(self.wanted)
        self.said = QLabel()
        self.said.setObjectName(f"{name}.said")
        self.said.setWordWrap(True)
        theme.mark(self.said, role="muted")
        self.terms = FitTerms(heads=("Estimate", "Engine"))
        self.terms.setObjectName(f"{name}.terms")
        column.addLayout(line(self.button, 1))
        column.addWidget(self.said)
        column.addWidget(self.terms)
        self.offer(False)

    def offer(self, possible: bool) -> None:
        """Whether the engine can be asked about what is shown now; what it said before was about something else."""
        self.setVisible(possible)
        self.button.setEnabled(True)
        self.said.hide()
        self.terms.hide()

    def say(self, text: str) -> None:
        """That it is counting, or why it cannot."""
        self.said.setText(text)
        self.said.show()
        self.terms.hide()

    def show_counted(self, ours: Mapping[str, int], counted: Mapping[str, int]) -> None:
        """Bytes by term, of the terms that the engine counts."""
        self.said.hide()
        self.terms.show_terms({name: ours.get(name, 0) for name in counted}, {}, counted)
        self.terms.show()
