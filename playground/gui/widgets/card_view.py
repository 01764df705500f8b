"""A model's card to read: Markdown from somebody unknown. Nothing is loaded for it, tags stay text, a link is shown before it is opened."""

from __future__ import annotations

from PySide6.QtCore import Qt, QTimer
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QFrame, QPushButton, QScrollArea, QTextEdit, QVBoxLayout, QWidget

from playground.gui import theme
from playground.gui.widgets.markdown_stream import render
from playground.gui.widgets.reading_view import ReadingView

FIRST = 12_000
"""characters shown at once; the rest is a button away, since a card of a megabyte takes a second to lay out"""


class CardView(QScrollArea):
    """Object name: `models.card`. `show_card(text)`."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("models.card")
        self.setAccessibleName("Model card")
        self.setWidgetResizable(True)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self._text = ""
        self._shown_for: tuple[str, int] = ("", 0)
        holder = QFrame()
        theme.mark(holder, surface="surface")
        column = QVBoxLayout(holder)
        column.setContentsMargins(0, 0, 16, 24)
        self._view = ReadingView()
        self._view.setObjectName("models.card.text")
        self._view.setLineWrapMode(QTextEdit.LineWrapMode.WidgetWidth)
        self._view.setAccessibleName("Model card")
        self._view.document().setDefaultFont(theme.font("body"))
        column.addWidget(self._view)
        self.rest = QPushButton("Show the whole card")
        self.rest.setObjectName("models.card.rest")
        self.rest.setToolTip("Shows what was left out at the end")
        theme.mark(self.rest, role="link")
        self.rest.clicked.connect(lambda: self._render(len(self._text)))
        column.addWidget(self.rest, 0, Qt.AlignmentFlag.AlignLeft)
        column.addStretch(1)
        self.setWidget(holder)
        theme.notifier().changed.connect(self._restyle)

    def show_card(self, text: str) -> None:
        self._text = text
        self._render(FIRST)
        self.verticalScrollBar().setValue(0)

    def text(self) -> str:
        """What is shown, as plain text."""
        return self._view.toPlainText()

    def _render(self, length: int, force: bool = False) -> None:
        if (self._text, length) == self._shown_for and not force:
            return
        self._shown_for = self._text, length
        shown = self._text
        if len(shown) > length:
            cut = shown.rfind("\n\n", length // 2, length)
            shown = shown[: cut if cut > 0 else length]
        render(self._view.document(), shown)
        self.rest.setVisible(len(shown) < len(self._text))
        self._fit()

    def _restyle(self) -> None:
        self._view.document().setDefaultFont(theme.font("body"))
        self._render(self._shown_for[1] or FIRST, force=True)

    def _fit(self) -> None:
        width = self.viewport().width() - 16
        self._view.document().setTextWidth(width)
        self._view.setFixedHeight(self._view.text_height() + 2)

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        QTimer.singleShot(0, self, self._fit)
