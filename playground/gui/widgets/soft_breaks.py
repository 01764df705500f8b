"""Blocks of a text document that look like one paragraph: a long one is broken where its lines end while it is written.

A document lays a block out from its beginning whenever a letter comes to it; in a paragraph of 2,000 tokens that takes longer than all else
that a token needs. So its full lines become blocks of their own, which stay as they are. The places of the text are those of the text
without these breaks; where a place is in the document, and back, is asked here. Knows the document, not what its text means.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right

from PySide6.QtGui import (
    QTextBlock,
    QTextBlockFormat,
    QTextCharFormat,
    QTextCursor,
    QTextDocument,
    QTextDocumentFragment,
    QTextFormat,
)

LINES = 16
"""of one block, at least"""
OPEN = 2
"""lines at the end that no break is put behind: words still move between them"""
GOES_ON = QTextFormat.Property.UserProperty + 2
"""property of a block whose paragraph goes on in the next one; never of the last one, which new blocks are made after the likeness of"""
DIRECTION = QTextFormat.Property.LayoutDirection


class SoftBreaks:
    """The breaks of one document, in which nobody else puts such ones. `forget` them when its text is another one."""

    def __init__(self, document: QTextDocument) -> None:
        self._document = document
        self._before: list[int] = []
        """for each break, the place in the text of the letter behind it"""
        self._at: list[int] = []
        """for each break, its place in the document"""
        self._bare: list[tuple[int, QTextCharFormat]] = []
        """places in the text of what stands before breaks and has lost its look"""

    def forget(self) -> None:
        self._before, self._at, self._bare = [], [], []

    def to_document(self, place: int) -> int:
        return place + bisect_right(self._before, place)

    def to_text(self, position: int) -> int:
        return position - bisect_left(self._at, position)

    def written(self) -> None:
        """To be called when text has come: a paragraph that was begun by it has a direction of its own again."""
        block = self._document.lastBlock()
        while block.blockFormat().hasProperty(DIRECTION) and not goes_on(block.previous()):
            QTextCursor(block).setBlockFormat(_without(block, DIRECTION))
            block = block.previous()

    def split(self) -> None:
        """Breaks the last paragraph where its lines end, if it is a long one. It must have been laid out at the width it is shown in."""
        block = self._document.lastBlock()
        layout = block.layout()
        starts = [
            block.position() + layout.lineAt(number).textStart()
            for number in range(LINES, layout.lineCount() - OPEN + 1, LINES)
        ]
        if not starts:
            return
        following = QTextBlockFormat(block.blockFormat())
        following.setLayoutDirection(block.textDirection())  # its own first letters may be of another script
        mark = QTextBlockFormat()
        mark.setProperty(GOES_ON, True)
        cursor = QTextCursor(self._document)
        cursor.beginEditBlock()
        for count, start in enumerate(starts):
            cursor.setPosition(start + count)
            cursor.insertBlock(following)
            cursor.movePosition(QTextCursor.MoveOperation.PreviousBlock)
            cursor.mergeBlockFormat(mark)
            self._before.append(start - len(self._at))
            self._at.append(start + count)
            self._strip(cursor, start + count)
        cursor.endEditBlock()

    def join(self) -> None:
        """Takes all breaks out: at another width the lines end elsewhere."""
        if not self._at:
            return
        cursor = QTextCursor(self._document)
        cursor.beginEditBlock()
        _join(self._document)
        for place, look in self._bare:
            _look(cursor, place, look)
        cursor.endEditBlock()
        self.forget()

    def _strip(self, cursor: QTextCursor, end: int) -> None:
        """White space that a line ends with is not painted on; at the end of a block it would be."""
        while self._document.characterAt(end - 1) == " ":
            end -= 1
            cursor.setPosition(end + 1)
            look = QTextCharFormat(cursor.charFormat())
            bare = QTextCharFormat(look)
            bare.clearBackground()
            bare.setUnderlineStyle(QTextCharFormat.UnderlineStyle.NoUnderline)
            self._bare.append((self.to_text(end), look))
            _look(cursor, end, bare)


def goes_on(block: QTextBlock) -> bool:
    return block.isValid() and block.blockFormat().hasProperty(GOES_ON)


def _without(block: QTextBlock, *properties: int) -> QTextBlockFormat:
    form = QTextBlockFormat(block.blockFormat())
    for each in properties:
        form.clearProperty(each)
    return form


def _look(cursor: QTextCursor, position: int, look: QTextCharFormat) -> None:
    cursor.setPosition(position)
    cursor.setPosition(position + 1, QTextCursor.MoveMode.KeepAnchor)
    cursor.setCharFormat(look)


def _join(document: QTextDocument) -> None:
    cursor = QTextCursor(document)
    cursor.beginEditBlock()
    block = document.lastBlock().previous()
    while block.isValid():
        if goes_on(block):
            form = _without(block, GOES_ON)
            cursor.setPosition(block.position() + block.length() - 1)
            cursor.deleteChar()
            cursor.setBlockFormat(form)
            block = cursor.block()
        block = block.previous()
    cursor.endEditBlock()


def select_paragraph(cursor: QTextCursor) -> bool:
    """Where a block of a broken paragraph is selected from its beginning to its end, selects all of the paragraph."""
    first = cursor.document().findBlock(cursor.selectionStart())
    end = first.position() + first.length()
    whole = cursor.selectionStart() == first.position() and cursor.selectionEnd() in (end - 1, end) and first.length() > 1
    if not whole or not (goes_on(first) or goes_on(first.previous())):
        return False
    last = first
    while goes_on(first.previous()):
        first = first.previous()
    while goes_on(last):
        last = last.next()
    cursor.setPosition(first.position())
    cursor.setPosition(last.position() + last.length() - 1, QTextCursor.MoveMode.KeepAnchor)
    cursor.movePosition(QTextCursor.MoveOperation.NextCharacter, QTextCursor.MoveMode.KeepAnchor)
    return True


def without_breaks(fragment: QTextDocumentFragment) -> QTextDocument:
    """A part of a document as it was before it was broken."""
    made = QTextDocument()
    QTextCursor(made).insertFragment(fragment)
    _join(made)
    return made
