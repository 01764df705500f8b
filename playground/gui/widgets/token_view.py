"""A text token by token: number, piece, bytes, special or not, how many there are, and the probability that the model gave each.

Knows tokens as the protocol has them, no session: `edited` and `score_wanted` say what is wanted, `show_tokens` and `show_scored` bring it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from PySide6.QtCore import QAbstractTableModel, QModelIndex, QPersistentModelIndex, Qt, QTimer, Signal
from PySide6.QtGui import QColor, QPainter, QResizeEvent
from PySide6.QtWidgets import (
    QAbstractItemView,
    QCheckBox,
    QHBoxLayout,
    QHeaderView,
    QLabel,
    QPlainTextEdit,
    QPushButton,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QTableView,
    QVBoxLayout,
    QWidget,
)

from playground.gui import theme
from playground.gui.widgets.next_token import readable
from playground.protocol import ScoredToken

EDIT_MS = 250
HEADS = ("#", "Piece", "Token", "Bytes", "p", "Rank")
NOWHERE = QModelIndex()
_RIGHT = (0, 2, 4, 5)


class TokenModel(QAbstractTableModel):
    """Rows of `ScoredToken`s; those that were only cut have no probability yet."""

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        self.tokens: Sequence[ScoredToken] = ()

    def set_tokens(self, tokens: Sequence[ScoredToken]) -> None:
        self.beginResetModel()
        self.tokens = tokens
        self.endResetModel()

    def rowCount(self, parent: QModelIndex | QPersistentModelIndex = NOWHERE) -> int:
        return 0 if parent.isValid() else len(self.tokens)

    def columnCount(self, parent: QModelIndex | QPersistentModelIndex = NOWHERE) -> int:
        return len(HEADS)

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        if orientation == Qt.Orientation.Horizontal:
            if role == Qt.ItemDataRole.DisplayRole:
                return HEADS[section]
            if role == Qt.ItemDataRole.TextAlignmentRole and section in _RIGHT:
                return Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
        return None

    def data(self, index: QModelIndex | QPersistentModelIndex, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        token, column = self.tokens[index.row()], index.column()
        if role == Qt.ItemDataRole.DisplayRole:
            return _cell(token, index.row(), column)
        if role == Qt.ItemDataRole.TextAlignmentRole and column in _RIGHT:
            return Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
        if role == Qt.ItemDataRole.BackgroundRole and column in (1, 4) and token.rank:
            return theme.probability_tint(math.exp(token.logprob))
        if role == Qt.ItemDataRole.ForegroundRole:
            colors = theme.palette()
            return QColor(colors.accent if token.special and column == 1 else colors.text if column in (1, 4) else colors.muted)
        if role == Qt.ItemDataRole.FontRole:
            font = theme.font("mono_small" if column in (1, 3) else "small")
            font.setItalic(token.special and column == 1)
            return font
        if role == Qt.ItemDataRole.ToolTipRole:
            return _tip(token)
        return None


def _cell(token: ScoredToken, row: int, column: int) -> str:
    if column == 0:
        return f"{row + 1:,}"
    if column == 1:
        return readable(token.text) if token.text else "…"
    if column == 2:
        return f"{token.token_id}"
    if column == 3:
        return bytes.fromhex(token.bytes).hex(" ").upper()
    if not token.rank:
        return ""
    if column == 4:
        chance = math.exp(token.logprob)
        return f"{chance:.1%}".replace("%", " %") if chance >= 0.0005 else "<0.1 %"
    return f"{token.rank:,}"


def _tip(token: ScoredToken) -> str:
    lines = ["Special token" if token.special else f"{readable(token.text)}  ({len(token.bytes) // 2} bytes)"]
    if not token.text:
        lines = ["Part of a character: its text comes with the token that completes it"]
    if token.rank:
        lines.append(f"probability {math.exp(token.logprob):.3%}, {-token.logprob / math.log(2):.1f} bits, rank {token.rank:,}")
        lines.append("The model expected:")
        lines += [f"    {readable(each.text)}  {each.probability:.1%}" for each in token.alternatives]
    else:
        lines.append("Nothing stands before it that could predict it")
    return "\n".join(lines)


class _Tinted(QStyledItemDelegate):
    """Lays a cell's tint under its text: the style sheet paints over what the style would."""

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: QModelIndex | QPersistentModelIndex) -> None:
        tint = index.data(Qt.ItemDataRole.BackgroundRole)
        if tint is not None:
            painter.fillRect(option.rect.adjusted(2, 2, -2, -2), tint)  # type: ignore[attr-defined]
        super().paint(painter, option, index)


class TokenView(QWidget):
    """Object names `tokens.input`, `tokens.score`, `tokens.as_chat`, `tokens.count`, `tokens.table`."""

    edited = Signal(str, bool)
    """another text (and whether the chat template is to be put around it) came to rest"""
    score_wanted = Signal(str, bool)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("tokens")
        column = QVBoxLayout(self)
        column.setContentsMargins(16, 0, 16, 8)
        column.setSpacing(8)
        self.input = QPlainTextEdit()
        self.input.setObjectName("tokens.input")
        self.input.setAccessibleName("Text to look at")
        self.input.setPlaceholderText("Type or paste any text")
        self.input.setToolTip("Every text is cut into tokens before the model reads it: see how")
        self.input.setTabChangesFocus(True)
        self.input.setFixedHeight(96)
        column.addWidget(self.input)
        row = QHBoxLayout()
        row.setSpacing(8)
        self.as_chat = QCheckBox("As a message")
        self.as_chat.setObjectName("tokens.as_chat")
        self.as_chat.setToolTip("Puts the model's chat template around the text, with its special tokens")
        row.addWidget(self.as_chat)
        row.addStretch(1)
        self.score = QPushButton("Probabilities")
        self.score.setObjectName("tokens.score")
        self.score.setToolTip("Lets the model read the text and say how likely it found each token (Ctrl+Enter)")
        self.score.setShortcut("Ctrl+Return")
        theme.mark(self.score, role="primary")
        row.addWidget(self.score)
        column.addLayout(row)
        self.count = QLabel("0 tokens")
        self.count.setObjectName("tokens.count")
        theme.mark(self.count, role="muted")
        self.count.setWordWrap(True)
        column.addWidget(self.count)
        self.model = TokenModel(self)
        self.table = QTableView()
        self.table.setObjectName("tokens.table")
        self.table.setAccessibleName("Tokens")
        self.table.setModel(self.model)
        self.table.setItemDelegate(_Tinted(self.table))
        self.table.setShowGrid(False)
        self.table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.table.setWordWrap(False)
        self.table.verticalHeader().hide()
        self.table.verticalHeader().setDefaultSectionSize(24)
        self.table.verticalHeader().setSectionResizeMode(QHeaderView.ResizeMode.Fixed)
        head = self.table.horizontalHeader()
        for section, width in enumerate((38, 88, 54, 64, 70, 0)):
            head.resizeSection(section, width)
        head.setMinimumSectionSize(32)
        head.setStretchLastSection(True)
        head.setHighlightSections(False)
        column.addWidget(self.table, 1)
        self._window = 0
        self._later = QTimer(self, singleShot=True, interval=EDIT_MS)
        self._later.timeout.connect(lambda: self.edited.emit(self.input.toPlainText(), self.as_chat.isChecked()))
        self.input.textChanged.connect(self._later.start)
        self.as_chat.toggled.connect(lambda: self._later.start(0))
        self.score.clicked.connect(self._score)
        theme.notifier().changed.connect(self._repaint)  # a method: the connection ends with this widget

    def _repaint(self) -> None:
        self.table.viewport().update()

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        for column in (0, 3):
            self.table.setColumnHidden(column, self.width() < 380)

    def _score(self) -> None:
        self._later.stop()
        self.score_wanted.emit(self.input.toPlainText(), self.as_chat.isChecked())

    def set_text(self, text: str) -> None:
        """Puts a text in without asking anything of it."""
        self.input.blockSignals(True)
        self.input.setPlainText(text)
        self.input.blockSignals(False)
        self._later.stop()

    def set_window(self, tokens: int) -> None:
        """The context window, in tokens; 0 while there is no model."""
        self._window = tokens

    def set_busy(self, busy: bool) -> None:
        self.score.setEnabled(not busy)
        self.score.setText("Reading…" if busy else "Probabilities")

    def show_scored(self, tokens: Sequence[ScoredToken]) -> None:
        self.model.set_tokens(tokens)
        self._say(tokens)

    def show_note(self, note: str) -> None:
        """Why there is nothing to see."""
        self.count.setText(note)

    def _say(self, tokens: Sequence[ScoredToken]) -> None:
        count, special = len(tokens), sum(1 for each in tokens if each.special)
        said = f"{count:,} token{'' if count == 1 else 's'}"
        if self._window:
            said += f", {count / self._window:.1%} of the window of {self._window:,}".replace("%", " %")
        if special:
            said += f"; {special:,} special"
        known = [each.logprob for each in tokens if each.rank]
        if known:
            said += f"; perplexity {math.exp(-sum(known) / len(known)):,.2f}"
        self.count.setText(said)
