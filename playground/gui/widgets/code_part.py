"""A block of code in a message: its language, a copy button, and the code, scrolled sideways where it is wide.

A long block comes as several of these, one below the other: only the first has the head, only the last the rounded foot.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from PySide6.QtCore import QRectF, Qt, QTimer, Signal
from PySide6.QtGui import (
    QColor,
    QGuiApplication,
    QPainter,
    QPainterPath,
    QPaintEvent,
    QResizeEvent,
    QTextBlockFormat,
    QTextCharFormat,
    QTextCursor,
)
from PySide6.QtWidgets import QLabel, QTextEdit, QToolButton, QWidget

from playground.gui import theme
from playground.gui.widgets.code_highlight import CodeHighlighter, Lexing, Span
from playground.gui.widgets.markdown_stream import Mark
from playground.gui.widgets.reading_view import ReadingView
from playground.gui.widgets.reply_parts import Part

HEAD = 32
PAD = 12
BAR = 12
"""room for the sideways scroll bar"""
NAMES = {
    "py": "Python", "python": "Python", "js": "JavaScript", "javascript": "JavaScript", "ts": "TypeScript", "typescript": "TypeScript",
    "sh": "Shell", "bash": "Shell", "shell": "Shell", "zsh": "Shell", "console": "Shell", "c": "C", "cpp": "C++", "c++": "C++",
    "rs": "Rust", "rust": "Rust", "go": "Go", "java": "Java", "json": "JSON", "yaml": "YAML", "yml": "YAML", "toml": "TOML",
    "html": "HTML", "css": "CSS", "sql": "SQL", "md": "Markdown", "markdown": "Markdown", "diff": "Diff", "xml": "XML",
    "rb": "Ruby", "ruby": "Ruby", "php": "PHP", "swift": "Swift", "kt": "Kotlin", "kotlin": "Kotlin", "r": "R", "text": "Text",
}  # fmt: skip


class CodeView(ReadingView):
    """The code itself: not wrapped, with marks behind the lines they belong to."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setLineWrapMode(QTextEdit.LineWrapMode.NoWrap)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAsNeeded)
        self.marks: list[tuple[int, str, str]] = []
        """line, label, tooltip"""

    def paintEvent(self, event: QPaintEvent) -> None:
        super().paintEvent(event)
        if self.marks:
            painter = QPainter(self.viewport())
            painter.setRenderHint(QPainter.RenderHint.Antialiasing)
            painter.setFont(theme.font("mono_small"))
            for rect, label, _tip in self.mark_rects():
                painter.setPen(Qt.PenStyle.NoPen)
                painter.setBrush(QColor(theme.palette().accent_soft))
                painter.drawRoundedRect(rect, 4, 4)
                painter.setPen(QColor(theme.palette().accent))
                painter.drawText(rect, Qt.AlignmentFlag.AlignCenter, label)

    def mark_rects(self) -> list[tuple[QRectF, str, str]]:
        found = []
        for line, label, tip in self.marks:
            block = self.document().findBlockByNumber(line)
            if block.isValid():
                cursor = QTextCursor(block)
                cursor.movePosition(QTextCursor.MoveOperation.EndOfBlock)
                where = self.cursorRect(cursor)
                width = self.fontMetrics().horizontalAdvance(label) + 10
                found.append((QRectF(where.right() + 10, where.top() + 1, width, where.height() - 2), label, tip))
        return found

    def tip_at(self, point: Any) -> str:
        return next((tip for rect, _label, tip in self.mark_rects() if rect.contains(point.toPointF())), "")


class CodePart(QWidget):
    """Head and code."""

    copied = Signal()
    entered = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.view = CodeView(self)
        self.view.document().setDocumentMargin(0)
        self._colours = CodeHighlighter(self.view.document())
        self._label = QLabel(self)
        theme.mark(self._label, role="muted")
        self._copy = QToolButton(self)
        self._copy.setObjectName("chat.copy_code")
        self._copy.setToolTip("Copies this code")
        self._copy.setAccessibleName("Copy the code")
        self._copy.setText("Copy")
        self._copy.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        theme.mark(self._copy, role="small")
        self._copy.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        theme.bind_icon(self._copy, "copy", "muted", 14)
        self._copy.clicked.connect(self._copy_code)
        self._part: Part | None = None
        self._first = self._last = True
        self._code = ""
        self._shown: tuple[Part, tuple[Mark, ...], bool] | None = None

    def show_part(
        self,
        part: Part,
        marks: Sequence[Mark] = (),
        *,
        streaming: bool = False,
        first: bool = True,
        last: bool = True,
        code: str = "",
    ) -> None:
        """Shows a part of a block of code; `code` is the whole block, for the copy button."""
        self._first, self._last, self._code = first, last, code or part.text
        shown = (part, tuple(marks), streaming)
        if shown == self._shown:
            return
        self._shown = shown
        before, self._part = self._part, part
        self._label.setText(NAMES.get(part.language, part.language or "Code"))
        self._label.setVisible(first)
        self._copy.setVisible(first)
        self.view.caret = streaming
        document = self.view.document()
        old = before.text if before is not None and before.start == part.start else None
        if old is not None and part.text.startswith(old) and old:
            cursor = QTextCursor(document)
            cursor.movePosition(QTextCursor.MoveOperation.End)
            cursor.insertText(part.text[len(old) :])
        elif part.text != old:
            self._set_text(part.text)
        self.view.marks = [(part.text.count("\n", 0, max(0, offset)), label, tip) for offset, label, tip in marks]
        self.view.setAccessibleName(f"{self._label.text()} code: {part.text[:2000]}")
        self._place()

    def _set_text(self, text: str) -> None:
        """The font goes with the characters: a style sheet would win over the document's."""
        form, lines = QTextCharFormat(), QTextBlockFormat()
        form.setFont(theme.font("mono"))
        lines.setLineHeight(126, QTextBlockFormat.LineHeightTypes.ProportionalHeight.value)
        self.view.clear()
        cursor = QTextCursor(self.view.document())
        cursor.setBlockFormat(lines)
        cursor.setBlockCharFormat(form)
        cursor.insertText(text, form)
        self.view.moveCursor(QTextCursor.MoveOperation.Start)  # an insertion took it along, and the view would follow it

    def ask_for_colours(self, lexing: Lexing, key: Any) -> None:
        if self._part is not None:
            lexing.ask(key, self._part.text, self._part.language)

    def set_colours(self, lines: list[list[Span]]) -> None:
        self._colours.set_lines(lines)

    def restyle(self) -> None:
        self._shown = self._part = None
        self._colours.rehighlight()
        self.update()

    def height_for(self, width: int) -> int:
        """How high the block is at a width."""
        high = self.view.text_height()
        wide = self.view.document().idealWidth() > width - 2 * PAD
        bottom = (PAD if self._last else 0) + (BAR if wide else 0)
        return (HEAD + PAD - 4 if self._first else 0) + high + bottom

    def enterEvent(self, event: Any) -> None:
        super().enterEvent(event)
        self.entered.emit()

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._place()

    def _place(self) -> None:
        top = HEAD + PAD - 4 if self._first else 0
        bottom = PAD if self._last else 0
        self.view.setGeometry(PAD, top, max(0, self.width() - 2 * PAD), max(0, self.height() - top - bottom))
        size = self._copy.sizeHint()
        self._copy.setGeometry(self.width() - size.width() - 4, 2, size.width(), HEAD - 4)
        self._label.setGeometry(PAD, 0, max(0, self.width() - size.width() - 2 * PAD), HEAD)

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        colors = theme.palette()
        path = QPainterPath()
        rect = QRectF(self.rect())
        path.addRoundedRect(rect.adjusted(0, 0 if self._first else -20, 0, 0 if self._last else 20), 8, 8)
        painter.setClipRect(rect)
        painter.fillPath(path, QColor(colors.code_bg))
        if self._first:
            painter.fillRect(QRectF(0, HEAD - 1, self.width(), 1), QColor(colors.line))

    def _copy_code(self) -> None:
        QGuiApplication.clipboard().setText(self._code)
        self._copy.setText("Copied")
        self._place()
        self.copied.emit()
        QTimer.singleShot(1500, self, self._copy_again)

    def _copy_again(self) -> None:
        self._copy.setText("Copy")
        self._place()
