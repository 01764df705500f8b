"""Rows exactly as they are trained: every token of the chat template's own text, those that carry loss tinted and underlined.

Knows tokens and no tokenizer. Rows are laid out one after another between events, so that long ones hold nobody up. Object name
`train.rows.tokens`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from PySide6.QtCore import QTimer
from PySide6.QtGui import QColor, QTextCharFormat, QTextCursor
from PySide6.QtWidgets import QTextEdit, QWidget

from playground.gui import theme
from playground.protocol import RowTokens

IGNORED = -100
SLICE = 250
"""tokens that are laid out between two events"""


class TokenRows(QTextEdit):
    """`show_rows` sets them. A token that carries loss is tinted and underlined, its neighbour in another shade; the rest is pale."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("train.rows.tokens")
        self.setAccessibleName("Rows as they are trained")
        self.setToolTip("What the model is given; it learns to say what is tinted and underlined")
        self.setReadOnly(True)
        self.setUndoRedoEnabled(False)
        self.setTabChangesFocus(True)
        self._rows: tuple[RowTokens, ...] = ()
        self._held: frozenset[int] = frozenset()
        self._work: Iterator[None] = iter(())
        self._timer = QTimer(self)
        self._timer.setInterval(0)
        self._timer.timeout.connect(self._go_on)
        theme.notifier().changed.connect(self._recolour)

    def show_rows(self, rows: Iterable[RowTokens], held_out: Iterable[int] = ()) -> None:
        """`held_out`: numbers of the rows that only measure what was learned."""
        self._rows, self._held = tuple(rows), frozenset(held_out)
        self.clear()
        self._work = self._lay_out()
        self._timer.start()

    def learned(self) -> list[str]:
        """The texts of each row's tokens that carry loss, joined."""
        return [
            "".join(piece for piece, label in zip(row.pieces, row.labels, strict=True) if label != IGNORED)
            for row in self._rows
        ]

    def _recolour(self) -> None:
        self.show_rows(self._rows, self._held)

    def _go_on(self) -> None:
        if next(self._work, self) is self:
            self._timer.stop()

    def _lay_out(self) -> Iterator[None]:
        colors = theme.palette()
        head, plain, note = QTextCharFormat(), QTextCharFormat(), QTextCharFormat()
        head.setFont(theme.font("small"))
        head.setForeground(QColor(colors.muted))
        plain.setForeground(QColor(colors.muted))
        note.setForeground(QColor(colors.warn))
        note.setFont(theme.font("small"))
        taught = [QTextCharFormat(), QTextCharFormat()]
        for shade, ground in zip(taught, (colors.accent_soft, colors.selection), strict=True):
            shade.setForeground(QColor(colors.text))
            shade.setBackground(QColor(ground))
            shade.setFontUnderline(True)
        for row in self._rows:
            cursor = self._end()
            cursor.insertText(("\n\n" if cursor.position() else "") + self._title(row) + "\n", head)
            if row.problem:
                cursor.insertText(row.problem, note)
            for start in range(0, len(row.ids), SLICE):
                cursor = self._end()
                cursor.beginEditBlock()
                for place in range(start, min(start + SLICE, len(row.ids))):
                    piece = row.pieces[place].replace("\n", "↵\n").replace("\t", "⇥\t")
                    cursor.insertText(piece, plain if row.labels[place] == IGNORED else taught[place % 2])
                cursor.endEditBlock()
                yield
            if row.cut:
                self._end().insertText(f"\n{row.cut:,} tokens are cut off here.", note)
            yield

    def _end(self) -> QTextCursor:
        cursor = QTextCursor(self.document())
        cursor.movePosition(QTextCursor.MoveOperation.End)
        return cursor

    def _title(self, row: RowTokens) -> str:
        learned = sum(1 for label in row.labels if label != IGNORED)
        held = ", held out for validation" if row.row in self._held else ""
        return f"Row {row.row:,}" + (f": {len(row.ids):,} tokens, {learned:,} learned{held}" if row.ids else "")
