"""Where a message is written: the field, what the reply shall begin with, send and stop.

Keeps a draft for each chat. It says what shall be sent and does not know whether that is possible: `set_state` tells it.
"""

from __future__ import annotations

from PySide6.QtCore import QEvent, QMimeData, QObject, Qt, Signal
from PySide6.QtGui import QFocusEvent, QKeyEvent, QResizeEvent, QTextOption
from PySide6.QtWidgets import (
    QFrame,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QPlainTextEdit,
    QPushButton,
    QStackedWidget,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from playground.gui import theme
from playground.gui.widgets.elided_label import ElidedLabel

LINES = 8


class MessageField(QPlainTextEdit):
    """Grows with its text to some lines. Enter sends, Shift+Enter breaks the line, Up in the empty field brings back the last one."""

    sent = Signal()
    recall = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setTabChangesFocus(True)
        self.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setWordWrapMode(QTextOption.WrapMode.WrapAtWordBoundaryOrAnywhere)
        self.document().setDocumentMargin(0)
        theme.mark(self, role="bare")
        self.document().documentLayout().documentSizeChanged.connect(self._fit)
        self._fit()

    def _fit(self) -> None:
        """In a text edit of plain text the document's height is counted in lines."""
        lines = max(1, min(LINES, int(self.document().size().height())))
        over = self.document().size().height() > LINES
        policy = Qt.ScrollBarPolicy.ScrollBarAsNeeded if over else Qt.ScrollBarPolicy.ScrollBarAlwaysOff
        if self.verticalScrollBarPolicy() != policy:
            self.setVerticalScrollBarPolicy(policy)
        high = lines * self.fontMetrics().lineSpacing() + 8
        if self.height() != high:
            self.setFixedHeight(high)

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._fit()

    def changeEvent(self, event: QEvent) -> None:
        super().changeEvent(event)
        if event.type() in (QEvent.Type.FontChange, QEvent.Type.StyleChange):
            self._fit()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        enter = event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter)
        shift = bool(event.modifiers() & (Qt.KeyboardModifier.ShiftModifier | Qt.KeyboardModifier.AltModifier))
        if enter and not shift:
            self.sent.emit()
        elif event.key() == Qt.Key.Key_Up and not self.toPlainText():
            self.recall.emit()
        else:
            super().keyPressEvent(event)

    def canInsertFromMimeData(self, source: QMimeData) -> bool:
        """Files are the window's to take: a model that is dropped here is loaded, not written down."""
        return source.hasText() and not any(url.isLocalFile() for url in source.urls())

    def insertFromMimeData(self, source: object) -> None:
        """Pasted text comes as text, whatever else there is of it."""
        text = source.text()  # type: ignore[attr-defined]
        if text:
            self.insertPlainText(text)


class Composer(QWidget):
    """See the module's docstring."""

    sent = Signal(str, str)
    """the message, and what the reply begins with"""
    stopped = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._drafts: dict[str, tuple[str, str]] = {}
        self._chat = ""
        self._busy = False
        self.last_sent = ""
        self.input = MessageField()
        self.input.setObjectName("chat.input")
        self.input.setAccessibleName("Message")
        self.input.setToolTip("")
        self.input.setPlaceholderText("Write a message…")
        self.reply_start = QLineEdit()
        self.reply_start.setObjectName("chat.reply_start")
        self.reply_start.setAccessibleName("Start the reply with")
        self.reply_start.setPlaceholderText("the first words of the reply; the model goes on from there")
        self.reply_start.setToolTip(
            "The reply begins with these words, and the model continues them.\nSteers its form: try “{”, “1.” or “No,”."
        )
        theme.mark(self.reply_start, role="bare")
        self._start_label = QLabel("Reply starts with")
        theme.mark(self._start_label, role="muted")
        self.start_button = QToolButton()
        self.start_button.setObjectName("chat.reply_start_toggle")
        self.start_button.setText("Start the reply")
        self.start_button.setToolTip("Gives the first words of the reply")
        self.start_button.setCheckable(True)
        self.start_button.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        theme.mark(self.start_button, role="small")
        theme.bind_icon(self.start_button, "corner-down-left", "muted", 14)
        self.hint = ElidedLabel()
        theme.mark(self.hint, role="muted")
        self.hint.setAlignment(Qt.AlignmentFlag.AlignRight)
        self.send = QPushButton("Send")
        self.send.setObjectName("chat.send")
        self.send.setAccessibleName("Send")
        theme.mark(self.send, role="primary")
        self.stop = QPushButton("Stop")
        self.stop.setObjectName("chat.stop")
        self.stop.setAccessibleName("Stop the reply")
        self.stop.setToolTip("Stops the reply at the next token (Esc); what is written stays")
        theme.mark(self.stop, role="stop")
        theme.bind_icon(self.stop, "square", "text", 12)
        self._buttons = QStackedWidget()
        for button in (self.send, self.stop):
            button.setFixedWidth(88)
            self._buttons.addWidget(button)
        self._buttons.setFixedSize(88, theme.CONTROL)
        self._build()
        self.input.sent.connect(self._send)
        self.input.recall.connect(self._recall)
        self.input.textChanged.connect(self._changed)
        self.reply_start.textChanged.connect(self._changed)
        self.reply_start.returnPressed.connect(self._send)
        self.send.clicked.connect(self._send)
        self.stop.clicked.connect(self.stopped)
        self.start_button.toggled.connect(self._show_start)
        for field in (self.input, self.reply_start):
            field.installEventFilter(self)
        self.set_state(busy=False)

    def _build(self) -> None:
        self.frame = QFrame()
        theme.mark(self.frame, role="composer")
        self._start_row = QWidget()
        start = QHBoxLayout(self._start_row)
        start.setContentsMargins(0, 0, 0, 0)
        start.setSpacing(theme.GRID)
        start.addWidget(self._start_label)
        start.addWidget(self.reply_start, 1)
        self._start_row.hide()
        foot = QHBoxLayout()
        foot.setContentsMargins(0, 0, 0, 0)
        foot.setSpacing(theme.GRID)
        foot.addWidget(self.start_button)
        foot.addWidget(self.hint, 1)
        foot.addWidget(self._buttons)
        inside = QVBoxLayout(self.frame)
        inside.setContentsMargins(14, 10, 8, 8)
        inside.setSpacing(6)
        inside.addWidget(self.input)
        inside.addWidget(self._start_row)
        inside.addLayout(foot)
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.addWidget(self.frame)

    # -- state

    def set_state(self, *, busy: bool, why_not: str = "", waiting: str = "") -> None:
        """`busy`: a reply is being written; `why_not`: a message cannot be sent for another reason; `waiting`: it can, and will wait."""
        self._busy, self._why_not, self._waiting = busy, why_not, waiting
        had_focus = self.send.hasFocus() or self.stop.hasFocus()
        self._buttons.setCurrentWidget(self.stop if busy else self.send)
        self.stop.setEnabled(busy)
        if had_focus:
            self.input.setFocus()
        self._changed()

    def _changed(self) -> None:
        empty = not self.input.toPlainText().strip() and not self.reply_start.text()
        self.send.setEnabled(not self._busy and not self._why_not and not empty)
        if self._busy:
            tip = hint = "A reply is being written. Esc stops it."
        elif self._why_not:
            tip = hint = self._why_not
        else:
            tip = "Write a message first" if empty else "Sends the message (Enter)"
            hint = self._waiting or ("Enter sends, Shift+Enter breaks the line" if not empty else "")
        self.send.setToolTip(tip)
        self.hint.setText(hint)
        self.start_button.setText(
            "Start the reply" if not self.reply_start.text() or self._start_row.isVisible() else "Reply starts with …"
        )

    def _show_start(self, shown: bool) -> None:
        self._start_row.setVisible(shown)
        (self.reply_start if shown else self.input).setFocus()
        self._changed()

    # -- drafts

    def open_chat(self, chat_id: str) -> None:
        """Shows the draft of another chat and keeps that of the one before."""
        if chat_id == self._chat:
            return
        self._drafts[self._chat] = (self.input.toPlainText(), self.reply_start.text())
        self._chat = chat_id
        text, start = self._drafts.get(chat_id, ("", ""))
        self.set_text(text)
        self.reply_start.setText(start)
        self.start_button.setChecked(bool(start))

    def adopt(self, chat_id: str) -> None:
        """The chat that is being written in has got an id."""
        self._drafts.pop(self._chat, None)
        self._chat = chat_id

    def set_text(self, text: str) -> None:
        self.input.setPlainText(text)
        self.input.moveCursor(self.input.textCursor().MoveOperation.End)

    def clear(self) -> None:
        """After a message went off."""
        self.last_sent = self.input.toPlainText()
        self.input.clear()
        self.reply_start.clear()
        self.start_button.setChecked(False)
        self.input.setFocus()

    # -- doing

    def _send(self) -> None:
        if self.send.isEnabled():
            self.sent.emit(self.input.toPlainText(), self.reply_start.text())

    def _recall(self) -> None:
        if self.last_sent:
            self.set_text(self.last_sent)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if isinstance(event, QFocusEvent):
            theme.mark(self.frame, focused=event.gotFocus())
        return super().eventFilter(watched, event)
