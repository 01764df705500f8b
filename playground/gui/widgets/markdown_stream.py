"""Markdown into a text document while it is still being written, and dressed the way this window looks.

What has become whole (paragraphs, lists, tables behind a blank line) is rendered once and stays. The block that is still open is
rendered anew on each repaint while it is small, so that bold is bold from its first letter; when it has grown large it is finished
line by line. At the end the document is rendered once from the whole source, so that what stays is what Markdown says.

Nothing here is fetched and no HTML is interpreted: tags are shown as the text they are, images become a link with their description.
Fenced code is not a matter of this module (see `reply_parts`), only the rare fence inside a quotation.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from PySide6.QtCore import Qt
from PySide6.QtGui import (
    QBrush,
    QColor,
    QFont,
    QTextBlock,
    QTextBlockFormat,
    QTextCharFormat,
    QTextCursor,
    QTextDocument,
    QTextFormat,
    QTextFrameFormat,
    QTextLength,
    QTextTable,
)

from playground.gui import theme
from playground.gui.widgets import reply_parts
from playground.gui.widgets.reading_view import CHIP

Mark = tuple[int, str, str]
"""a mark to put in: offset in the source, label, tooltip"""

FEATURES = QTextDocument.MarkdownFeature.MarkdownDialectGitHub | QTextDocument.MarkdownFeature.MarkdownNoHTML
OPEN_LIMIT = 1200
"""characters of an open block that are still rendered anew on each repaint"""
LINE_HEIGHT = 142
OBJECT = "\N{OBJECT REPLACEMENT CHARACTER}"

_HEADINGS = {1: 1.42, 2: 1.24, 3: 1.1}
_LIST_ITEM = re.compile(r" {0,3}(?:[-*+]|\d{1,9}[.)])(?:[ \t]|$)")
_BLANK = re.compile(r"\n[ \t]*\n+(?=\S)")
_HALF_LINE = re.compile(r"(?:^|(?<=\n))[ \t]*(?:[-=*_+#>|:.~` \t]+|\d{1,9}[.)]?|\[[ xX]?\]?)$")
_HALF_MARK = re.compile(r"(?:[*_~`]+|!?\[)$")
_CODE_SPAN = re.compile(r"`[^`\n]*`")


class MarkdownStream:
    """Keeps a document equal to the Markdown that has arrived so far."""

    def __init__(self, document: QTextDocument) -> None:
        self.document = document
        self._source = ""
        self._done = 0
        """characters of the source that are rendered for good"""
        self._tail = 0
        """where in the document the open block begins"""

    def show(self, source: str, *, final: bool, marks: Sequence[Mark] = ()) -> None:
        """Shows `source`, which goes on where the last one ended; anything else starts over. `final`: nothing follows.

        `marks` are put in at their offsets in `source`.
        """
        if final or not source.startswith(self._source) or not self._source:
            self._source, self._done, self._tail = "", 0, 0
            if final:
                self._source = source
                render(self.document, source, marks)
                return
            self.document.clear()
        self._source = source
        self._cut_tail()
        whole = self._done + whole_blocks(source[self._done :])
        if whole > self._done:
            self._insert(source[self._done : whole], _between(marks, self._done, whole))
            self._done = whole
            self._tail = self._end()
        self._insert(speculate(source[self._done :]), _between(marks, self._done, len(source) + 1))

    def _end(self) -> int:
        return self.document.characterCount() - 1

    def _cut_tail(self) -> None:
        cursor = QTextCursor(self.document)
        cursor.setPosition(min(self._tail, self._end()))
        cursor.movePosition(QTextCursor.MoveOperation.End, QTextCursor.MoveMode.KeepAnchor)
        cursor.removeSelectedText()

    def _insert(self, markdown: str, marks: Sequence[Mark]) -> None:
        if not markdown.strip() and not marks:
            return
        cursor = QTextCursor(self.document)
        cursor.movePosition(QTextCursor.MoveOperation.End)
        start = cursor.position()
        cursor.beginEditBlock()
        if start > 0:
            last = cursor.block()
            if last.length() > 1 or last.blockFormat().hasProperty(QTextFormat.Property.BlockTrailingHorizontalRulerWidth):
                cursor.insertBlock()
            cursor.setBlockFormat(QTextBlockFormat())
            cursor.setBlockCharFormat(QTextCharFormat())
            cursor.setCharFormat(QTextCharFormat())
        place = cursor.position()
        # What is inserted first loses its block's format to the block it is put into: let that be a word that is taken out again.
        cursor.insertMarkdown(f"x\n\n{markdown}" if start else markdown, FEATURES)
        if start:
            cursor.setPosition(place)
            cursor.deleteChar()
            start = place
        cursor.endEditBlock()  # a table is known as one only then
        dress(self.document, start)
        put_in(self.document, start, markdown, marks)


def render(document: QTextDocument, source: str, marks: Sequence[Mark] = ()) -> None:
    """The whole of a source, once."""
    document.setMarkdown(source, FEATURES)
    dress(document, 0)
    put_in(document, 0, source, marks)


def put_in(document: QTextDocument, start: int, source: str, marks: Sequence[Mark]) -> None:
    """Puts marks, at offsets in `source`, into the text that stands from `start` on."""
    if not marks:
        return
    shown = document.toPlainText().encode("utf-16-le", "surrogatepass")[2 * start :].decode("utf-16-le", "surrogatepass")
    for offset, label, tip in reversed(marks):
        index = reply_parts.place(source, offset, shown)
        cursor = QTextCursor(document)
        cursor.setPosition(
            min(start + len(shown[:index].encode("utf-16-le", "surrogatepass")) // 2, document.characterCount() - 1)
        )
        around = QTextCharFormat(cursor.charFormat())
        cursor.insertText(f"\xa0{label}\xa0".replace(" ", "\xa0"), chip_format(tip))
        cursor.insertText("\xa0", _spacer(around))


def chip_format(tip: str) -> QTextCharFormat:
    """How the characters of a mark look; what lies under them is painted by the view."""
    form = QTextCharFormat()
    form.setFont(theme.font("mono_small"))
    form.setProperty(QTextFormat.Property.FontPixelSize, theme.pixels("small") - 1)
    form.setForeground(QColor(theme.palette().accent))
    form.setProperty(CHIP, True)
    form.setToolTip(tip)
    return form


def _spacer(around: QTextCharFormat) -> QTextCharFormat:
    form = QTextCharFormat(around)
    form.setProperty(CHIP, True)
    form.setProperty(QTextFormat.Property.FontPixelSize, 14)
    return form


def _between(marks: Sequence[Mark], start: int, end: int) -> list[Mark]:
    return [(offset - start, label, tip) for offset, label, tip in marks if start <= offset < end]


def whole_blocks(text: str) -> int:
    """How many characters at the beginning of an open stretch of Markdown no further text can change (but for a list that goes on)."""
    end = 0
    for blank in _BLANK.finditer(text):
        after = text[blank.end() : blank.end() + 12]
        listed = _LIST_ITEM.match(text, end)
        if listed and (_LIST_ITEM.match(after) or after.isdigit() or after in "-*+"):
            continue
        end = blank.end()
    if len(text) - end > OPEN_LIMIT:
        line = text.rfind("\n", end, len(text) - OPEN_LIMIT // 3)
        if line >= 0 and "|" not in text[line + 1 : line + 3]:
            return line + 1
    return end


def speculate(text: str) -> str:
    """An open block as it probably goes on: half a mark is held back, an emphasis or a code span that was begun is closed."""
    half = _HALF_LINE.search(text)
    if half:
        text = text[: half.start()]
    text = _HALF_MARK.sub("", text)
    line = text[text.rfind("\n\n") + 1 :]
    if line.count("`") % 2:
        return text.rstrip() + "`"
    plain = _CODE_SPAN.sub("", line)
    if plain.count("**") % 2:
        text = text.rstrip() + "**"
    return text


# -- dress


def dress(document: QTextDocument, start: int) -> None:
    """Gives blocks from a position on this window's fonts, colours and distances, and takes out pictures."""
    colors = theme.palette()
    cursor = QTextCursor(document)
    cursor.beginEditBlock()
    _drop_images(document, start)
    _drop_empty(document, start)
    block = document.findBlock(start)
    if start and block.position() < start:
        block = block.next()
    tables: set[int] = set()
    while block.isValid():
        _dress_block(cursor, block, colors)
        cursor.setPosition(block.position())
        table = cursor.currentTable()
        if table is not None and table.objectIndex() not in tables:
            tables.add(table.objectIndex())
            _dress_table(table, colors)
        block = block.next()
    cursor.endEditBlock()


def _dress_block(cursor: QTextCursor, block: QTextBlock, colors: theme.Palette) -> None:
    form = QTextBlockFormat(block.blockFormat())
    heading = form.headingLevel()
    code = form.nonBreakableLines() or form.hasProperty(QTextFormat.Property.BlockCodeFence)
    listed = block.textList() is not None
    first = block.position() == 0
    cursor.setPosition(block.position())
    in_table = cursor.currentTable() is not None
    form.setNonBreakableLines(False)
    form.setLineHeight(LINE_HEIGHT if not heading else 124, QTextBlockFormat.LineHeightTypes.ProportionalHeight.value)
    if in_table:
        form.setLineHeight(118, QTextBlockFormat.LineHeightTypes.ProportionalHeight.value)
        form.setTopMargin(0)
        form.setBottomMargin(0)
    elif heading:
        form.setTopMargin(0 if first else 14)
        form.setBottomMargin(6)
    elif code:
        form.setTopMargin(0)
        form.setBottomMargin(0)
        form.setBackground(QColor(colors.code_bg))
    elif listed:
        form.setTopMargin(0)
        form.setBottomMargin(3)
    else:
        form.setTopMargin(0)
        form.setBottomMargin(8)
    if form.hasProperty(QTextFormat.Property.BlockQuoteLevel):
        form.setLeftMargin(16 * form.intProperty(QTextFormat.Property.BlockQuoteLevel))
        form.setRightMargin(0)
    if form.hasProperty(QTextFormat.Property.BlockTrailingHorizontalRulerWidth):
        form.setBackground(QColor(colors.line))
    elif block.length() == 1 and _is_filler(cursor, block):  # stands before or behind a table and cannot go
        form.setLineHeight(1, QTextBlockFormat.LineHeightTypes.FixedHeight.value)
        form.setBottomMargin(0)
    cursor.setBlockFormat(form)
    _dress_text(cursor, block, heading, code, colors)


def _dress_text(cursor: QTextCursor, block: QTextBlock, heading: int, code: bool, colors: theme.Palette) -> None:
    spans = []
    step = block.begin()
    while not step.atEnd():
        fragment = step.fragment()
        form = fragment.charFormat()
        if form.isAnchor() or form.fontFixedPitch() or code or heading:
            spans.append((fragment.position(), fragment.length(), QTextCharFormat(form)))
        step += 1
    for position, length, form in spans:
        if heading:
            form.clearProperty(QTextFormat.Property.FontSizeAdjustment)  # would win over the size in pixels
            form.setProperty(QTextFormat.Property.FontPixelSize, round(theme.pixels("body") * _HEADINGS.get(heading, 1.0)))
            form.setFontWeight(QFont.Weight.DemiBold)
        if form.isAnchor():
            form.setForeground(QColor(colors.accent))
            form.setFontUnderline(True)
        if form.fontFixedPitch() or code:
            form.setFontFamilies([theme.MONO_FAMILY])
            form.setProperty(QTextFormat.Property.FontPixelSize, theme.pixels("mono"))
            if not code:
                form.setBackground(QColor(colors.code_bg if theme.palette().dark else colors.sunken))
        cursor.setPosition(position)
        cursor.setPosition(position + length, QTextCursor.MoveMode.KeepAnchor)
        cursor.setCharFormat(form)


def _drop_empty(document: QTextDocument, start: int) -> None:
    """Takes out the empty lines that the importer leaves around tables and lists; distances are the margins' business."""
    cursor = QTextCursor(document)
    block = document.findBlock(start)
    while block.isValid():
        following = block.next()
        if block.length() == 1 and following.isValid() and _is_filler(cursor, block):
            form, characters = QTextBlockFormat(following.blockFormat()), QTextCharFormat(following.charFormat())
            cursor.setPosition(following.position())
            if cursor.currentTable() is None:
                position = block.position()
                cursor.setPosition(position)
                cursor.deleteChar()
                cursor.setBlockFormat(form)
                cursor.setBlockCharFormat(characters)
                block = document.findBlock(position)
                continue
        block = following


def _is_filler(cursor: QTextCursor, block: QTextBlock) -> bool:
    form = block.blockFormat()
    known = QTextFormat.Property
    if block.textList() is not None or form.nonBreakableLines():
        return False
    if form.hasProperty(known.BlockTrailingHorizontalRulerWidth) or form.hasProperty(known.BlockCodeFence):
        return False
    cursor.setPosition(block.position())
    return cursor.currentTable() is None


def _dress_table(table: QTextTable, colors: theme.Palette) -> None:
    form = table.format()
    form.setBorderCollapse(True)
    form.setBorder(1)
    form.setBorderStyle(QTextFrameFormat.BorderStyle.BorderStyle_Solid)
    form.setBorderBrush(QBrush(QColor(colors.line)))
    form.setCellPadding(6)
    form.setCellSpacing(0)
    form.setTopMargin(4)
    form.setBottomMargin(10)
    form.setAlignment(Qt.AlignmentFlag.AlignLeft)
    form.setColumnWidthConstraints([QTextLength(QTextLength.Type.VariableLength, 0)] * table.columns())
    table.setFormat(form)
    for column in range(table.columns()):
        head = table.cellAt(0, column)
        look = head.format()
        look.setBackground(QColor(colors.code_bg))
        head.setFormat(look)
        if table.rows() > 1:  # Qt leaves the heading to the left, whatever the column says
            below = table.cellAt(1, column).firstCursorPosition().blockFormat().alignment()
            cursor = head.firstCursorPosition()
            block = cursor.blockFormat()
            block.setAlignment(below)
            cursor.setBlockFormat(block)


def _drop_images(document: QTextDocument, start: int) -> None:
    found = document.find(OBJECT, start)
    while not found.isNull():
        form = found.charFormat()
        if form.isImageFormat():
            image = form.toImageFormat()
            words = str(image.property(QTextFormat.Property.ImageAltText) or "").strip()
            text = f"[picture: {words}]" if words else "[picture]"
            link = QTextCharFormat()
            link.setAnchor(True)
            link.setAnchorHref(image.name())
            found.insertText(text, link)
        found = document.find(OBJECT, found.position())
