"""Where a set of prompts begins: pasted lines or a file, what was recognised in it, and the columns it will go through.

Also lists the sets that were begun before. Knows no database and no model: who reads is told by signals. Object names `compare.sets.*`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from PySide6.QtCore import QSize, Qt, QTimer, Signal
from PySide6.QtGui import QDragEnterEvent, QDropEvent
from PySide6.QtWidgets import (
    QFileDialog,
    QHBoxLayout,
    QLabel,
    QListWidget,
    QListWidgetItem,
    QPlainTextEdit,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from playground.gui import theme
from playground.gui.widgets.log_model import when_text
from playground.history.records import Column, SessionRow

SETTLE_MS = 250
SHOWN = 6
"""prompts of the preview"""
FORMS = {"lines": "one prompt a line", "jsonl": "JSON Lines", "csv": "CSV", "tsv": "tab-separated values"}


class DropField(QPlainTextEdit):
    """A field for text that takes a dropped file as well."""

    dropped = Signal(object)

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        if any(url.isLocalFile() for url in event.mimeData().urls()):
            event.acceptProposedAction()
        else:
            super().dragEnterEvent(event)

    def dropEvent(self, event: QDropEvent) -> None:
        files = [Path(url.toLocalFile()) for url in event.mimeData().urls() if url.isLocalFile()]
        if files:
            event.acceptProposedAction()
            self.dropped.emit(files[0])
        else:
            super().dropEvent(event)


class SetsSetup(QWidget):
    """`source_given(str | Path)` asks for a reading; `wanted` begins the set; `chosen(id)` opens an earlier one, `unwanted(id)` throws it away."""

    source_given = Signal(object)
    wanted = Signal()
    chosen = Signal(str)
    unwanted = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.found: Any = None
        """`Recognised`, None while nothing usable is given"""
        self.title = ""
        self._count = 0
        self._can_run = ""
        self.text = DropField()
        self.text.setObjectName("compare.sets.text")
        self.text.setAccessibleName("Prompts")
        self.text.setPlaceholderText(
            "Paste prompts, one a line, or rows of JSON Lines or CSV with a column “prompt” (or question, instruction, input, text).\n\n"
            "A file can be dropped here."
        )
        self.text.setTabChangesFocus(True)
        self.text.dropped.connect(self.take_file)
        self._settle = QTimer(self, singleShot=True, interval=SETTLE_MS)
        self._settle.timeout.connect(self._typed)
        self.text.textChanged.connect(self._settle.start)
        self.file = QPushButton("Choose a file…")
        self.file.setObjectName("compare.sets.file")
        self.file.setAccessibleName("Choose a file with prompts")
        self.file.setToolTip("A .jsonl, .csv, .tsv or text file with prompts")
        theme.bind_icon(self.file, "folder-open", "text")
        self.file.clicked.connect(self._choose_file)
        self.words = self._label("compare.sets.recognised", "muted")
        self.preview = self._label("compare.sets.preview", "small")
        self.columns = self._label("compare.sets.columns", "small")
        self.start = QPushButton("Run")
        self.start.setObjectName("compare.sets.start")
        self.start.setAccessibleName("Run all prompts through all columns")
        theme.mark(self.start, role="primary")
        self.start.clicked.connect(self.wanted)
        self.earlier = QListWidget()
        self.earlier.setObjectName("compare.sets.earlier")
        self.earlier.setAccessibleName("Earlier sets of prompts")
        self.earlier.setToolTip("Return opens a set, Delete throws it away")
        theme.mark(self.earlier, floating=True)
        self.earlier.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.earlier.itemActivated.connect(lambda item: self.chosen.emit(item.data(Qt.ItemDataRole.UserRole)))
        self.earlier.itemClicked.connect(lambda item: self.chosen.emit(item.data(Qt.ItemDataRole.UserRole)))
        self.none_yet = self._label("compare.sets.none", "muted")
        self.none_yet.setText("Sets that are run stay here, done or not: an unfinished one goes on where it was.")
        self._build()
        self._show()

    def _label(self, name: str, role: str) -> QLabel:
        label = QLabel()
        label.setObjectName(name)
        label.setTextFormat(Qt.TextFormat.PlainText)
        label.setWordWrap(True)
        label.setAlignment(Qt.AlignmentFlag.AlignTop)
        theme.mark(label, role=role)
        return label

    def _build(self) -> None:
        left = QVBoxLayout()
        left.setSpacing(8)
        left.addWidget(theme.mark(QLabel("Prompts"), role="heading"))
        left.addWidget(self.text, 3)
        row = QHBoxLayout()
        row.addWidget(self.file)
        row.addSpacing(8)
        row.addWidget(self.words, 1, Qt.AlignmentFlag.AlignVCenter)
        left.addLayout(row)
        self.preview.setMinimumHeight(7 * 20)
        left.addWidget(self.preview, 1)
        right = QVBoxLayout()
        right.setSpacing(8)
        right.addWidget(theme.mark(QLabel("Columns"), role="heading"))
        right.addWidget(self.columns)
        said = self._label("compare.sets.columns_said", "muted")
        said.setText("As they stand in the comparison, with their seeds and limits.")
        right.addWidget(said)
        right.addSpacing(8)
        right.addWidget(self.start)
        right.addSpacing(16)
        right.addWidget(theme.mark(QLabel("Earlier sets"), role="heading"))
        right.addWidget(self.none_yet)
        right.addWidget(self.earlier, 1)
        right.addStretch()  # with no earlier sets yet, the parts stay together at the top
        holder = QWidget()
        holder.setFixedWidth(320)
        right.setContentsMargins(0, 0, 0, 0)
        holder.setLayout(right)
        across = QHBoxLayout(self)
        across.setContentsMargins(24, 16, 24, 16)
        across.setSpacing(32)
        across.addLayout(left, 1)
        across.addWidget(holder)

    # -- what is given

    def take_file(self, path: Path) -> None:
        self.text.blockSignals(True)
        self.text.clear()
        self.text.blockSignals(False)
        self.title = path.name
        self.words.setText(f"Reading {path.name}…")
        self.source_given.emit(path)

    def _typed(self) -> None:
        text = self.text.toPlainText()
        self.title = ""
        if text.strip():
            self.source_given.emit(text)
        else:
            self.show_found(None)

    def _choose_file(self) -> None:
        name, _ = QFileDialog.getOpenFileName(
            self, "A file with prompts", "", "Prompts (*.jsonl *.ndjson *.json *.csv *.tsv *.txt);;All files (*)"
        )
        if name:
            self.take_file(Path(name))

    # -- what is shown

    def show_found(self, found: Any, problem: str = "") -> None:
        """What was recognised (`Recognised`); None with what is wrong, or with nothing given."""
        self.found = found
        theme.mark(self.words, role="bad" if problem else "muted")
        if found is None:
            self.words.setText(problem)
            self.preview.setText("")
        else:
            field = f", prompt in “{found.field}”" if found.field else ""
            more = f"; carried on: {', '.join(found.others[:6])}" if found.others else ""
            source = f"{self.title}: " if self.title else ""
            self.words.setText(f"{source}{len(found.prompts):,} prompts, {FORMS[found.form]}{field}{more}")
            lines = [
                f"{place}   {' '.join(each.prompt[:300].split())[:110]}" for place, each in enumerate(found.prompts[:SHOWN], 1)
            ]
            rest = len(found.prompts) - SHOWN
            self.preview.setText("\n".join([*lines, f"… and {rest:,} more"] if rest > 0 else lines))
        self._show()

    def show_columns(self, columns: Sequence[Column], why_not: str) -> None:
        """The columns of the comparison; why nothing can be run, if so."""
        self._count = len(columns)
        self._can_run = why_not
        names = [each.label or f"Column {place}" for place, each in enumerate(columns, 1)]
        self.columns.setText("\n".join(names) or "None yet: go back and make some.")
        self._show()

    def show_earlier(self, rows: Sequence[tuple[SessionRow, int, int]]) -> None:
        """Sets with their cells done and all; those that are not done come first."""
        self.earlier.clear()
        for row, done, total in sorted(rows, key=lambda each: each[1] >= each[2]):
            state = "done" if done >= total else f"{done:,} of {total:,} done, press to go on"
            item = QListWidgetItem(f"{row.title}\n{state} · {when_text(row.updated)}")
            item.setData(Qt.ItemDataRole.UserRole, row.id)
            item.setSizeHint(QSize(0, 46))
            self.earlier.addItem(item)
        self.earlier.setVisible(bool(rows))
        self.none_yet.setVisible(not rows)

    def _show(self) -> None:
        count = len(self.found.prompts) if self.found is not None else 0
        self.start.setText(f"Run {count:,} × {self._count}" if count else "Run")
        self.start.setEnabled(bool(count and self._count) and not self._can_run)
        self.start.setToolTip(
            self._can_run or ("Begins in the background; chats come in between" if count else "Give prompts first")
        )

    def keyPressEvent(self, event: Any) -> None:
        item = self.earlier.currentItem()
        if event.key() == Qt.Key.Key_Delete and self.earlier.hasFocus() and item is not None:
            self.unwanted.emit(item.data(Qt.ItemDataRole.UserRole))
        else:
            super().keyPressEvent(event)
