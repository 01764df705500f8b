"""One row mended by hand: who says what, or a text, beside what the file has. Knows rows as `training.rows.to_json` writes them.

Object names begin with `train.rows.edit`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QComboBox, QHBoxLayout, QLabel, QPlainTextEdit, QPushButton, QToolButton, QVBoxLayout, QWidget

from playground.gui import theme
from playground.training.problems import Problem

ROLES = {"system": "System", "user": "User", "assistant": "Assistant", "tool": "Tool"}


class RowEdit(QWidget):
    """`show_row` opens one; `saved(number, row)` when it is to stand so, `closed` when it is not."""

    saved = Signal(int, dict)
    closed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("train.rows.edit")
        self._number = 0
        self._row: dict[str, Any] = {}
        self._turns: list[_Turn] = []
        self.title = QLabel(self)
        theme.mark(self.title, role="strong")
        self.why = QLabel(self)
        self.why.setWordWrap(True)
        theme.mark(self.why, role="muted")
        self.raw = QPlainTextEdit(self)
        self.raw.setObjectName("train.rows.edit.raw")
        self.raw.setAccessibleName("The row in the file")
        self.raw.setToolTip("The row as the file has it")
        self.raw.setReadOnly(True)
        self.raw.setTabChangesFocus(True)
        self.raw.setFixedHeight(120)
        self._list = QVBoxLayout()
        self._list.setSpacing(8)
        self.add = QToolButton(self)
        self.add.setObjectName("train.rows.edit.add")
        self.add.setText("Add a message")
        self.add.setToolTip("A further message at the end")
        self.add.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        theme.bind_icon(self.add, "plus", "muted")
        self.add.clicked.connect(lambda: self._add("user" if len(self._turns) % 2 == 0 else "assistant", ""))
        self.save = QPushButton("Take this row", self)
        self.save.setObjectName("train.rows.edit.save")
        self.save.setToolTip("Trains on what stands here; your file stays as it is")
        theme.mark(self.save, role="primary")
        self.save.clicked.connect(self._save)
        away = QPushButton("Leave it", self)
        away.setObjectName("train.rows.edit.close")
        away.setToolTip("Changes nothing")
        away.clicked.connect(self.closed)
        buttons = QHBoxLayout()
        buttons.addStretch(1)
        buttons.addWidget(away)
        buttons.addWidget(self.save)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(8)
        column.addWidget(self.title)
        column.addWidget(self.why)
        column.addWidget(self.raw)
        column.addLayout(self._list)
        column.addWidget(self.add, 0, Qt.AlignmentFlag.AlignLeft)
        column.addLayout(buttons)
        column.addStretch(1)

    def show_row(self, problem: Problem, raw: str, row: Mapping[str, Any], columns: Mapping[str, str]) -> None:
        """`row`: what becomes of it as it stands, if anything does; `columns`: which column holds which part."""
        self._number, self._row = problem.row, dict(row)
        self.title.setText(f"{problem.place[0].upper()}{problem.place[1:]}")
        self.why.setText(f"{problem.what[0].upper()}{problem.what[1:]} {problem.hint}")
        self.raw.setPlainText(raw)
        for turn in self._turns:
            turn.hide()
            turn.deleteLater()
        self._turns.clear()
        if row.get("messages"):
            for each in row["messages"]:
                self._add(each["role"], each["content"])
        elif row.get("text") is not None or columns.get("text"):
            self._add("", str(row.get("text") or ""))
        else:
            fields = _fields(raw)
            self._add("user", str(fields.get(columns.get("question", ""), "") or ""))
            self._add("assistant", str(fields.get(columns.get("answer", ""), "") or ""))
        self.add.setVisible(bool(self._turns[0].role.currentData()))
        self._check()

    def row(self) -> dict[str, Any]:
        """What stands here."""
        if not self._turns[0].role.currentData():
            return {"text": self._turns[0].text.toPlainText()}
        kept = {name: value for name, value in self._row.items() if name in ("rejected",)}
        return {
            "messages": [{"role": str(each.role.currentData()), "content": each.text.toPlainText()} for each in self._turns],
            **kept,
        }

    def _add(self, role: str, text: str) -> None:
        turn = _Turn(len(self._turns), role, text)
        turn.text.textChanged.connect(self._check)
        turn.role.activated.connect(lambda _place: self._check())
        turn.gone.connect(self._remove)
        self._turns.append(turn)
        self._list.addWidget(turn)
        self._check()

    def _remove(self, turn: QWidget) -> None:
        if len(self._turns) > 1:
            self._turns = [each for each in self._turns if each is not turn]
            turn.hide()
            turn.deleteLater()
            self._check()

    def _check(self) -> None:
        """A row can be learned from when somebody answers somebody, or when it is a text."""
        said = [(str(each.role.currentData() or ""), bool(each.text.toPlainText().strip())) for each in self._turns]
        whole = bool(said) and all(there for _, there in said)
        roles = [role for role, _ in said]
        good = whole and (roles == [""] or (roles[-1] == "assistant" and "user" in roles))
        self.save.setEnabled(good)
        self.save.setToolTip(
            "Trains on what stands here; your file stays as it is" if good else "Needs a question, and an answer at the end"
        )

    def _save(self) -> None:
        self.saved.emit(self._number, self.row())


class _Turn(QWidget):
    gone = Signal(QWidget)

    def __init__(self, number: int, role: str, text: str) -> None:
        super().__init__()
        self.role = QComboBox()
        self.role.setObjectName(f"train.rows.edit.role.{number}")
        self.role.setAccessibleName("Who says this")
        self.role.setToolTip("Who says this")
        theme.mark(self.role, compact=True)
        for each, title in ROLES.items() if role else (("", "Text"),):
            self.role.addItem(title, each)
        self.role.setCurrentIndex(max(0, self.role.findData(role)))
        self.text = QPlainTextEdit(text)
        self.text.setObjectName(f"train.rows.edit.text.{number}")
        self.text.setAccessibleName("What is said")
        self.text.setToolTip("What is said")
        self.text.setTabChangesFocus(True)
        self.text.setFixedHeight(72)
        away = QToolButton()
        away.setObjectName(f"train.rows.edit.remove.{number}")
        away.setAccessibleName("Remove this message")
        away.setToolTip("Removes this message")
        theme.bind_icon(away, "x", "muted")
        away.clicked.connect(lambda: self.gone.emit(self))
        away.setVisible(bool(role))
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(8)
        row.addWidget(self.role, 0, Qt.AlignmentFlag.AlignTop)
        row.addWidget(self.text, 1)
        row.addWidget(away, 0, Qt.AlignmentFlag.AlignTop)


def _fields(raw: str) -> dict[str, Any]:
    try:
        found = json.loads(raw)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
