"""The tab "Embeddings": words in the model's table of tokens, their neighbours, how like each other they are, and a picture. A view of `InsideState`.

The model is that of the capture that is looked at; it is not loaded, its table is read where it lies.
"""

from __future__ import annotations

from concurrent.futures import Future
from typing import Any

from PySide6.QtCore import QSize, Qt
from PySide6.QtGui import QShowEvent
from PySide6.QtWidgets import (
    QHBoxLayout,
    QLineEdit,
    QPushButton,
    QSplitter,
    QStackedWidget,
    QTreeWidget,
    QTreeWidgetItem,
    QVBoxLayout,
    QWidget,
)

from playground.errors import Cancelled, PlaygroundError
from playground.gui import theme
from playground.gui.bridge import when_done
from playground.gui.widgets.elided_label import ElidedLabel
from playground.gui.widgets.embeddings_plots import ProjectionPlot, SimilarityMatrix
from playground.gui.widgets.inside_state import InsideState
from playground.gui.widgets.next_token import readable
from playground.gui.widgets.segments import Segments
from playground.gui.widgets.state_view import StateView
from playground.protocol import Embedded

NEAR = 8
"""neighbours of each word"""
WORD = Qt.ItemDataRole.UserRole


class EmbeddingsView(QWidget):
    """Object names: `inside.embeddings_words`, `inside.embeddings_table`, `inside.embeddings_look`, `inside.embeddings` (the neighbours),
    `inside.embeddings_matrix`, `inside.embeddings_plot`, `inside.embeddings_says`.
    """

    def __init__(self, state: InsideState, desk: Any, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("inside.embeddings_view")
        self.state, self._desk = state, desk
        self.found: Embedded | None = None
        self._of: str | None = None
        """the model that what is shown, or asked for, is of"""
        self._number = 0
        self._future: Future[Embedded] | None = None
        self.words = QLineEdit()
        self.words.setObjectName("inside.embeddings_words")
        self.words.setAccessibleName("Words")
        self.words.setPlaceholderText("Words, with commas between them")
        self.words.setToolTip("Words to look up, with commas between them; one of several tokens is the mean of their rows")
        self.table = Segments(
            "inside.embeddings_table",
            "Table",
            (
                ("input", "Input", "The table that turns tokens into numbers"),
                ("output", "Output", "The table that turns the last layer's numbers into tokens, where it is another one"),
            ),
        )
        self.look = QPushButton("Look up")
        self.look.setObjectName("inside.embeddings_look")
        self.look.setToolTip("Finds the nearest tokens of each word in the whole table (Enter)")
        theme.mark(self.look, role="primary")
        self.says = ElidedLabel()
        self.says.setObjectName("inside.embeddings_says")
        theme.mark(self.says, role="small")
        self.list = QTreeWidget()
        self.list.setObjectName("inside.embeddings")
        self.list.setAccessibleName("Nearest tokens")
        self.list.setToolTip(
            "The nearest tokens of each word, with the cosine of their rows; a double click or Enter looks one up"
        )
        self.list.setHeaderLabels(["Token", "Cosine"])
        self.list.setRootIsDecorated(False)
        self.list.setIndentation(16)
        self.matrix, self.plot = SimilarityMatrix(), ProjectionPlot()
        self.empty = StateView("inside.embeddings_state")
        self.stack = QStackedWidget()
        self._build()
        self.words.returnPressed.connect(self.ask)
        self.look.clicked.connect(self.ask)
        self.table.changed.connect(lambda value: self.ask())
        self.list.itemActivated.connect(lambda item, column: self.add(str(item.data(0, WORD) or "")))
        self.plot.picked.connect(self.add)
        state.captures_changed.connect(self.renew)
        state.look_changed.connect(self.renew)
        state.token_changed.connect(self._suggest)
        self.renew()

    def _build(self) -> None:
        bar = QHBoxLayout()
        bar.setContentsMargins(16, 8, 16, 4)
        bar.setSpacing(8)
        bar.addWidget(self.words, 1)
        bar.addWidget(self.table)
        bar.addWidget(self.look)
        right = QSplitter(Qt.Orientation.Vertical)
        right.setChildrenCollapsible(False)
        right.addWidget(self.plot)
        right.addWidget(self.matrix)
        right.setStretchFactor(0, 1)
        both = QSplitter(Qt.Orientation.Horizontal)
        both.setChildrenCollapsible(False)
        both.addWidget(self.list)
        both.addWidget(right)
        both.setStretchFactor(1, 1)
        both.setSizes([240, 640])
        self.stack.addWidget(self.empty)
        self.stack.addWidget(both)
        said = QHBoxLayout()
        said.setContentsMargins(16, 0, 16, 8)
        said.addWidget(self.says)
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.setSpacing(0)
        outer.addLayout(bar)
        outer.addLayout(said)
        outer.addWidget(self.stack, 1)

    # -- what is looked up

    @property
    def model(self) -> str:
        """The path of the model whose table is read: the capture's."""
        return self.state.header.model_path if self.state.header is not None else ""

    def renew(self) -> None:
        """Another model: what is shown of the old one goes."""
        if self._of != self.model:
            self._of = self.model
            self._number += 1
            self._show(None)
            if not self.model:
                self._state("No model", "Capture a text first: its model's table is read.")
            else:
                self._state("Words in the token table", "Write some words, or choose a token in the text, and look them up.")
        self.look.setEnabled(bool(self.model))
        self._suggest()

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        self._suggest()

    def _suggest(self) -> None:
        """The token that is looked at stands in an empty field."""
        state = self.state
        if self.words.text().strip() or state.token is None or state.header is None or not self.model:
            return
        there = state.header.tokens if state.direction == "from" else state.header.column_tokens
        token = there[state.token]
        if token.text.strip() and not token.special:
            self.words.setText(token.text.strip())

    def add(self, word: str) -> None:
        """Looks one more word up."""
        there = self._asked()
        if word.strip() and word.strip() not in there:
            self.words.setText(", ".join([*there, word.strip()]))
            self.ask()

    def _asked(self) -> list[str]:
        return [each.strip() for each in self.words.text().split(",") if each.strip()]

    def ask(self) -> None:
        """Looks up the words of the field. A later question makes the answer to this one worthless."""
        from playground.session.inside import EmbeddingsRequest

        words, model = self._asked(), self.model
        if not words or not model:
            return
        self._number += 1
        number = self._number
        if self._future is not None:
            self._future.cancel()
        self._state("Reading the table", "", busy=True)
        request = EmbeddingsRequest(tuple(words), model, NEAR, self.table.value())
        self._future = future = self._desk.session.inside.embeddings(request)
        when_done(
            future,
            self,
            lambda found: self._take(number, found),
            lambda error: self._failed(number, error),
        )

    def _take(self, number: int, found: Embedded) -> None:
        if number == self._number:
            self._show(found)
            self.stack.setCurrentIndex(1)

    def _failed(self, number: int, error: BaseException) -> None:
        if number != self._number:
            return
        if isinstance(error, PlaygroundError) and not isinstance(error, Cancelled):
            self._state("These words were not found", f"{error.message} {error.hint}".strip())
        else:
            self._state("Nothing was looked up")
            if not isinstance(error, Cancelled):
                self.state.failed.emit(error)

    # -- what is shown

    def _state(self, title: str, text: str = "", busy: bool = False) -> None:
        self.empty.say(title, text, busy=busy)
        self.stack.setCurrentIndex(0)

    def _show(self, found: Embedded | None) -> None:
        self.found = found
        self.matrix.show_answer(found)
        self.plot.show_answer(found)
        self.list.clear()
        if found is None:
            self.says.setText("The cosine of two rows says how alike a model begins to treat two tokens.")
            return
        for word, near in zip(found.words, found.neighbours, strict=True):
            several = f"  mean of {len(word.tokens)}: {' '.join(map(readable, word.tokens))}" if len(word.tokens) > 1 else ""
            top = QTreeWidgetItem([f"{word.text.strip()}{several}", ""])
            font = top.font(0)
            font.setBold(True)
            top.setFont(0, font)
            top.setToolTip(0, " + ".join(map(readable, word.tokens)))
            top.setSizeHint(0, QSize(0, 32))
            self.list.addTopLevelItem(top)
            for each in near:
                item = QTreeWidgetItem([readable(each.text), f"{each.similarity:.3f}"])
                item.setData(0, WORD, each.text)
                item.setSizeHint(0, QSize(0, 24))
                item.setTextAlignment(1, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
                top.addChild(item)
        self.list.expandAll()
        self.list.resizeColumnToContents(1)
        self.list.header().setStretchLastSection(False)
        self.list.header().setSectionResizeMode(0, self.list.header().ResizeMode.Stretch)
        both = ", one table for input and output" if found.tied else f", the {self.table.value()} table"
        self.says.setText(f"{found.rows:,} tokens of {found.width:,} numbers ({found.kind}){both}")
