"""The rows of a file before they are trained on: how it was read, what is wrong with it, exactly what would be trained.

Knows looks and previews, and tells what it wants: who reads files is another's matter. Object names begin with `train.rows`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from PySide6.QtCore import Qt, QTimer, Signal
from PySide6.QtWidgets import (
    QComboBox,
    QFrame,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QStackedWidget,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from playground.gui import theme
from playground.gui.ahead import Pieces
from playground.gui.widgets.job_foot import JobFoot, Press
from playground.gui.widgets.part_head import PartHead, scroll_column
from playground.gui.widgets.state_view import StateView
from playground.gui.widgets.train_lengths import RowLengths
from playground.gui.widgets.train_problems import RowProblems
from playground.gui.widgets.train_reading import FORMS, RowsReading
from playground.gui.widgets.train_row_edit import RowEdit
from playground.gui.widgets.train_tokens import TokenRows
from playground.protocol import DataPreviewed, RowRead
from playground.session.datasets import Look
from playground.training.encode import EncodeSettings
from playground.training.problems import Problem
from playground.training.scan import Guess

SETTLE_MS = 300
SHOWN = 10
"""rows that are shown as tokens at once"""
LEFT = 400


class TrainRows(QFrame):
    """`look_wanted(guess, fixes, edits)`, `preview_wanted(start)`, `row_wanted(problem)`; answered by the `show_` methods. `used` at the end."""

    look_wanted = Signal(object, object, object)
    preview_wanted = Signal(int)
    row_wanted = Signal(object)
    used = Signal()
    closed = Signal()
    cancelled = Signal()
    at_once = SHOWN

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("train.rows")
        self.look: Look | None = None
        self._asked: Problem | None = None
        self._start = 0
        self._fixes: dict[str, str] = {}
        self._edits: dict[int, Mapping[str, Any]] = {}
        self._guess: Guess | None = None
        self.head = PartHead("train.rows", "Back to the settings")
        self.head.closed.connect(self._back)
        self._stack = QStackedWidget(self)
        self.state = StateView("train.rows", self._stack)
        self._stack.addWidget(self.state)
        both = QWidget(self._stack)
        self._across = QHBoxLayout(both)
        self._across.setContentsMargins(0, 0, 0, 0)
        self._across.setSpacing(0)
        self._stack.addWidget(both)
        self.pieces = Pieces(self._make_left, self._make_columns, self._make_problems, self._make_edit, self._make_right)
        """without all of them nothing here can be used"""
        self.foot = JobFoot("train.rows", self)
        self._settle = QTimer(self, singleShot=True, interval=SETTLE_MS)
        self._settle.timeout.connect(self._ask)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addWidget(self.head)
        column.addWidget(self._stack, 1)
        column.addWidget(self.foot)

    # -- parts

    def _make_left(self) -> None:
        left = QFrame(self._across.parentWidget())
        theme.mark(left, surface="surface", line="right")
        left.setFixedWidth(LEFT)
        area, inner = scroll_column(left, 16)
        self._sides = QStackedWidget(area.widget())
        first = QWidget(self._sides)
        self._first = QVBoxLayout(first)
        self._first.setContentsMargins(0, 0, 0, 0)
        self._first.setSpacing(8)
        self.reading = RowsReading(first)
        self._part("Read as", self.reading)
        self._sides.addWidget(first)
        inner.addWidget(self._sides)
        area.setFrameShape(QFrame.Shape.NoFrame)
        outer = QVBoxLayout(left)
        outer.setContentsMargins(24, 16, 8, 8)
        outer.addWidget(area)
        self._across.insertWidget(0, left)
        self.reading.corrected.connect(self._correct)

    def _part(self, title: str, widget: QWidget, stretch: int = 0) -> None:
        label = QLabel(title, widget.parentWidget())
        theme.mark(label, role="heading")
        self._first.addWidget(label)
        self._first.addWidget(widget, stretch)
        self._first.addSpacing(8)

    def _make_columns(self) -> None:
        self.reading.make_columns()

    def _make_problems(self) -> None:
        self.problems = RowProblems(self._first.parentWidget())
        self._part("What is wrong", self.problems, 1)
        self.problems.fixes_changed.connect(self._fix)
        self.problems.edit_wanted.connect(self._open_row)

    def _make_edit(self) -> None:
        self.edit = RowEdit(self._sides)
        self._sides.addWidget(self.edit)
        self.edit.saved.connect(self._edited)
        self.edit.closed.connect(lambda: self._sides.setCurrentIndex(0))

    def _make_right(self) -> None:
        right = QFrame(self._across.parentWidget())
        theme.mark(right, surface="surface")
        self.tokens, self.lengths = TokenRows(right), RowLengths(right)
        other = QVBoxLayout(right)
        other.setContentsMargins(24, 16, 24, 8)
        other.setSpacing(8)
        other.addLayout(self._choices())
        other.addWidget(self.lengths)
        other.addLayout(self._pager())
        other.addWidget(self.tokens, 1)
        self._across.addWidget(right, 1)

    def _choices(self) -> QVBoxLayout:
        """What is learned from and how long rows are cut: fields of `EncodeSettings`, declared there."""
        fields = EncodeSettings.__dataclass_fields__
        self.loss = self._combo("train.rows.loss", fields["loss"].metadata, ("answers", "last answer", "everything"))
        self.truncation = self._combo("train.rows.truncation", fields["truncation"].metadata, ("end", "start", "skip"))
        self.template = QLineEdit()
        self.template.setObjectName("train.rows.template")
        self.template.setAccessibleName("Template")
        self.template.setToolTip(fields["prompt_template"].metadata["help"])
        self.template.setPlaceholderText("the model's own chat template")
        theme.mark(self.template, compact=True)
        self.template.editingFinished.connect(lambda: self._preview(0))
        row = QHBoxLayout()
        row.setSpacing(8)
        for widget in (self.loss, self.truncation):
            label = QLabel(widget.accessibleName())
            theme.mark(label, role="small")
            row.addWidget(label)
            row.addWidget(widget)
            row.addSpacing(8)
        row.addStretch(1)
        second = QHBoxLayout()
        second.setSpacing(8)
        label = QLabel("Template")
        theme.mark(label, role="small")
        second.addWidget(label)
        second.addWidget(self.template, 1)
        both = QVBoxLayout()
        both.setSpacing(8)
        both.addLayout(row)
        both.addLayout(second)
        return both

    def _combo(self, name: str, about: Mapping[str, Any], values: tuple[str, ...]) -> QComboBox:
        box = QComboBox()
        box.setObjectName(name)
        box.setAccessibleName(about["label"])
        box.setToolTip(about["help"])
        theme.mark(box, compact=True)
        box.addItems(values)
        box.activated.connect(lambda _place: self._preview(0))
        return box

    def _pager(self) -> QHBoxLayout:
        self.facts = QLabel()
        self.facts.setObjectName("train.rows.preview")
        self.facts.setWordWrap(True)
        theme.mark(self.facts, role="muted")
        row = QHBoxLayout()
        row.setSpacing(4)
        row.addWidget(self.facts, 1)
        self.earlier = self._arrow("earlier", "chevron-left", "Earlier rows", -SHOWN)
        self.later = self._arrow("later", "chevron-right", "Later rows", SHOWN)
        row.addWidget(self.earlier, 0, Qt.AlignmentFlag.AlignTop)
        row.addWidget(self.later, 0, Qt.AlignmentFlag.AlignTop)
        return row

    def _arrow(self, role: str, icon: str, said: str, by: int) -> QToolButton:
        button = QToolButton()
        button.setObjectName(f"train.rows.{role}")
        button.setAccessibleName(said)
        button.setToolTip(said)
        button.setFixedSize(28, 28)
        theme.bind_icon(button, icon, "muted")
        button.clicked.connect(lambda: self._preview(max(0, self._start + by)))
        return button

    # -- what is chosen

    def encode(self) -> dict[str, Any]:
        """Fields of `EncodeSettings` that were changed by hand."""
        chosen = {
            "loss": self.loss.currentText(),
            "truncation": self.truncation.currentText(),
            "prompt_template": self.template.text().replace("\\n", "\n"),
        }
        return {name: value for name, value in chosen.items() if value != EncodeSettings.__dataclass_fields__[name].default}

    def corrected(self) -> bool:
        """Whether anything is otherwise than it would be without this part."""
        return bool(self._fixes or self._edits or self._guess is not None)

    # -- what is shown

    def begin(self, title: str, look: Look | None = None) -> None:
        """Another file: looked at before, with corrections, or to be looked at now."""
        self.look, self._start, self._guess = look, 0, look.guess if look is not None else None
        self._fixes, self._edits = (dict(look.fixes), dict(look.edits)) if look is not None else ({}, {})
        self._sides.setCurrentIndex(0)
        self.head.show_title(title)
        self._show_none()
        self.state.say("Reading the rows", "", busy=True, icon="file-text")
        self._stack.setCurrentIndex(0)
        self._ask()

    def _show_none(self) -> None:
        """Nothing of another file, or of one that is read otherwise now."""
        self.tokens.show_rows(())
        self.lengths.show_lengths((), 0)
        for arrow in (self.earlier, self.later):
            arrow.setEnabled(False)

    def show_progress(self, what: str) -> None:
        self.foot.show_working("Reading the rows", -1.0, what, self._stop())

    def show_look(self, look: Look) -> None:
        self.look = look
        self._stack.setCurrentIndex(1)
        guess = look.guess
        reading = FORMS.get(guess.reading.form, guess.reading.form)
        files = f", {guess.files:,} files" if guess.files > 1 else ""
        self.head.show_title(self.head.title.text(), f"{guess.title}  ·  {reading}{files}  ·  {look.read:,} rows")
        self.reading.show_guess(guess)
        self.problems.show_problems(look.counts, look.problems, self._fixes)
        self._show_foot()
        self._show_none()
        if look.kept:
            self._preview(0)
        else:
            self.facts.setText("No row is left: choose what the rows are, or mend one.")

    def show_preview(self, found: DataPreviewed, most: int) -> None:
        """`most`: the sequence length."""
        self.tokens.show_rows(found.rows, found.held_out)
        self.lengths.show_lengths(found.whole or found.lengths, most)
        rows = len(found.lengths)
        said = [f"{sum(found.learned):,} of {sum(found.lengths):,} tokens are learned, by {found.template}."]
        if found.cut:
            said.append(f"{found.cut:,} of {rows:,} rows are longer than {most:,} tokens, and cut.")
        if found.held >= 0:
            said.append(f"{found.held:,} rows are held out for validation.")
        if found.packed and found.packed < rows:
            said.append(f"Packing would make {found.packed:,} sequences of {rows:,}.")
        self.facts.setText(" ".join(said))
        self.earlier.setEnabled(self._start > 0)
        self.later.setEnabled(len({each.row for each in found.rows}) >= SHOWN)
        if self.look is not None:
            more = [Problem(**{key: each[key] for key in ("kind", "row", "field", "what", "file")}) for each in found.problems]
            self.problems.show_problems(self.look.counts, self.look.problems, self._fixes, more)

    def show_problem(self, message: str, hint: str) -> None:
        """Why the file, or what was chosen for it, cannot be read; a file that could be read stays open to be corrected."""
        if self.look is None:
            self.state.say(message, hint, icon="file-text")
        self.foot.show_failed(message, hint, self._use(False))

    def show_no_preview(self, message: str, hint: str) -> None:
        self._show_none()
        self.facts.setText(f"{message} {hint}".strip())

    def show_row(self, read: RowRead) -> None:
        """The row that was asked for, to be mended."""
        if self._asked is not None and self.look is not None:
            row = self._edits.get(self._asked.row) or read.row
            self.edit.show_row(self._asked, read.raw, row, self.look.guess.names)
            self._sides.setCurrentIndex(1)
            self.edit.setFocus()

    def _show_foot(self) -> None:
        look = self.look
        if look is None:
            return
        said = f"{look.kept:,} of {look.read:,} rows will be trained on"
        self.foot.show_ready(said, "  ".join(look.summary), self._use(look.kept > 0))

    def _use(self, enabled: bool) -> Press:
        return Press(
            "use", "Use these rows", "Keeps them as a dataset, as they are here, and trains on it", self._take, True, enabled
        )

    def _stop(self) -> Press:
        return Press("stop", "Stop", "Stops reading", self.cancelled.emit)

    # -- corrections

    def _correct(self, guess: Guess) -> None:
        self._guess = guess
        self._settle.start()

    def _fix(self, fixes: dict[str, str]) -> None:
        self._fixes = fixes
        self._guess = self._guess or (self.look.guess if self.look is not None else None)
        self._settle.start()

    def _edited(self, number: int, row: dict[str, Any]) -> None:
        self._edits[number] = row
        self._guess = self._guess or (self.look.guess if self.look is not None else None)
        self._sides.setCurrentIndex(0)
        self._ask()

    def _open_row(self, problem: Problem) -> None:
        if self.look is not None and self.look.guess.files == 1:
            self._asked = problem
            self.row_wanted.emit(problem)

    def _ask(self) -> None:
        self.show_progress("")
        guess = replace(self._guess) if self._guess is not None else None
        self.look_wanted.emit(guess, dict(self._fixes), dict(self._edits))

    def _preview(self, start: int) -> None:
        self._start = start
        self.facts.setText("Making tokens of the rows…")
        self.preview_wanted.emit(start)

    def _take(self) -> None:
        self.foot.show_working("Keeping the rows", -1.0, "", self._stop())
        self.used.emit()

    def _back(self) -> None:
        if self._sides.currentIndex() == 1:
            self._sides.setCurrentIndex(0)
        else:
            self.closed.emit()
