"""Colours for code, from Pygments, found on a thread of its own so that neither the import nor a long lexer is felt.

Pygments is imported when the first block of code has been shown. A block's colours are put over its lines as they come; the text is
never touched. What Pygments does not know stays plain.
"""

from __future__ import annotations

import queue
import threading
from typing import Any

from PySide6.QtCore import QObject, Qt, Signal
from PySide6.QtGui import QColor, QFont, QSyntaxHighlighter, QTextCharFormat, QTextDocument

from playground.gui import theme

Span = tuple[int, int, str]
"""start in the line and length, both in UTF-16 units, and the colour's name in the palette"""
LONGEST = 40_000
"""characters above which code stays plain"""

_ROLES = (
    ("Token.Comment", "syn_comment"),
    ("Token.Keyword", "syn_keyword"),
    ("Token.Operator.Word", "syn_keyword"),
    ("Token.Literal.String", "syn_string"),
    ("Token.Literal.Number", "syn_number"),
    ("Token.Name.Function", "syn_name"),
    ("Token.Name.Class", "syn_name"),
    ("Token.Name.Decorator", "syn_name"),
    ("Token.Name.Builtin", "syn_name"),
    ("Token.Name.Tag", "syn_keyword"),
    ("Token.Name.Attribute", "syn_name"),
    ("Token.Name.Exception", "syn_name"),
    ("Token.Generic.Deleted", "bad"),
    ("Token.Generic.Inserted", "good"),
    ("Token.Generic.Heading", "syn_name"),
    ("Token.Generic.Prompt", "syn_comment"),
)


class CodeHighlighter(QSyntaxHighlighter):
    """Colours one document's lines with what was found for them."""

    def __init__(self, document: QTextDocument) -> None:
        super().__init__(document)
        self._lines: list[list[Span]] = []

    def set_lines(self, lines: list[list[Span]]) -> None:
        if lines != self._lines:
            self._lines = lines
            self.rehighlight()

    def highlightBlock(self, text: str) -> None:
        number = self.currentBlock().blockNumber()
        if number >= len(self._lines):
            return
        colors = theme.palette()
        for start, length, role in self._lines[number]:
            form = QTextCharFormat()
            form.setForeground(QColor(getattr(colors, role)))
            if role == "syn_comment":
                form.setFontItalic(False)
            elif role == "syn_keyword":
                form.setFontWeight(QFont.Weight.Medium)
            self.setFormat(start, length, form)


class Lexing(QObject):
    """Finds the colours of code on a thread that lives only while there is something to do."""

    done = Signal(object, object)
    """the key that was asked with, and a list of spans for each line"""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._jobs: queue.SimpleQueue[tuple[Any, str, str]] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._arrived.connect(self.done, Qt.ConnectionType.QueuedConnection)

    _arrived = Signal(object, object)

    def ask(self, key: Any, code: str, language: str) -> None:
        """`done` brings the answer, on the asker's thread."""
        if not language or len(code) > LONGEST:
            return
        self._jobs.put((key, code, language))
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="code-colours", daemon=True)
                self._thread.start()

    def _work(self) -> None:
        while True:
            try:
                key, code, language = self._jobs.get(timeout=0.2)
            except queue.Empty:
                with self._lock:
                    if self._jobs.empty():
                        self._thread = None
                        return
                continue
            lines = spans(code, language)
            try:
                self._arrived.emit(key, lines)
            except RuntimeError:  # the window has gone meanwhile
                return


def spans(code: str, language: str) -> list[list[Span]]:
    """The coloured stretches of each line; nothing for a language that is not known."""
    from pygments.lexers import get_lexer_by_name
    from pygments.util import ClassNotFound

    try:
        lexer = get_lexer_by_name(language, stripnl=False, ensurenl=False)
    except ClassNotFound:
        return []
    lines: list[list[Span]] = [[]]
    column = 0
    for kind, text in lexer.get_tokens(code):
        role = _role(str(kind))
        for number, piece in enumerate(text.split("\n")):
            if number:
                lines.append([])
                column = 0
            length = len(piece) if piece.isascii() else len(piece.encode("utf-16-le", "surrogatepass")) // 2
            if role and length:
                lines[-1].append((column, length, role))
            column += length
    return lines


def _role(kind: str) -> str:
    return next((role for prefix, role in _ROLES if kind.startswith(prefix)), "")
