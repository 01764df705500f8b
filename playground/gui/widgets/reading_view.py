"""Text that is read: selectable, as tall as it is long, without scroll bars of its own.

Loads nothing: pictures, style sheets and whatever else a document may ask for stay unasked. A link is shown first and opened only then,
and only if it leads to the web or to a mail. It knows nothing of messages; what stands in it is put there by others.
"""

from __future__ import annotations

from typing import Any

from PySide6.QtCore import QMimeData, QPoint, QRectF, Qt, QUrl, Signal
from PySide6.QtGui import (
    QColor,
    QDesktopServices,
    QGuiApplication,
    QHelpEvent,
    QKeySequence,
    QMouseEvent,
    QPainter,
    QPaintEvent,
    QTextBlock,
    QTextCursor,
    QTextFormat,
    QWheelEvent,
)
from PySide6.QtWidgets import QFrame, QMenu, QSizePolicy, QTextBrowser, QToolTip, QWidget

from playground.gui import theme

SCHEMES = ("http", "https", "mailto")
CHIP = QTextFormat.Property.UserProperty + 1
"""property of characters that belong to a mark and not to the text"""


class ReadingView(QTextBrowser):
    """See the module's docstring. `resized` asks for the height anew."""

    menu_wanted = Signal(QPoint)
    """a context menu for nothing in particular (no link) is wanted, at a global point"""
    dragged_out = Signal(QPoint)
    """the mouse draws a selection beyond this view, to a global point"""
    pressed = Signal()
    entered = Signal()
    moved = Signal(QPoint)
    """the mouse moves over it without a button, to a point of the viewport"""
    clicked = Signal(QPoint)
    """a click that selected nothing and was on no link"""
    left = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.setOpenLinks(False)
        self.setOpenExternalLinks(False)
        self.setUndoRedoEnabled(False)
        self.setFocusPolicy(Qt.FocusPolicy.ClickFocus)
        self.setTextInteractionFlags(
            Qt.TextInteractionFlag.TextBrowserInteraction | Qt.TextInteractionFlag.TextSelectableByKeyboard
        )
        self.document().setDocumentMargin(0)
        self.document().setIndentWidth(26)
        self.viewport().setAutoFillBackground(False)
        self.anchorClicked.connect(self._show_link)
        self.caret = False
        """a small block behind the last character: more is to come"""
        self.chipped = True
        """whether there may be marks in the text: who puts them in says so, since looking for them means going through all of it"""
        self.tokens: Any = None
        """a `TokenLayer`, once tokens are to be seen"""

    def enterEvent(self, event: Any) -> None:
        super().enterEvent(event)
        self.entered.emit()

    # -- nothing is loaded

    def loadResource(self, kind: int, name: QUrl) -> Any:
        return None

    def doSetSource(self, name: QUrl, kind: Any = None) -> None:
        """No address is ever opened in here."""

    # -- links

    def _show_link(self, url: QUrl) -> None:
        corner = self.viewport().mapToGlobal(self.cursorRect().bottomLeft())
        link_menu(url, self).popup(corner)

    def viewportEvent(self, event: Any) -> bool:
        if event.type() == QHelpEvent.Type.ToolTip:
            text = self.tip_at(event.pos())
            if text:
                QToolTip.showText(event.globalPos(), text, self.viewport())
            else:
                QToolTip.hideText()
            return True
        return super().viewportEvent(event)

    def tip_at(self, point: QPoint) -> str:
        """What is to be said about the place under the mouse: a mark's words, a link's address."""
        cursor = self.cursorForPosition(point)
        cursor.movePosition(QTextCursor.MoveOperation.Right)
        form = cursor.charFormat()
        if form.hasProperty(CHIP):
            return form.toolTip()
        return self.anchorAt(point)

    def contextMenuEvent(self, event: Any) -> None:
        address = self.anchorAt(event.pos())
        if address:
            link_menu(QUrl(address), self).popup(event.globalPos())
        else:
            self.menu_wanted.emit(event.globalPos())

    # -- the page scrolls, not this

    def wheelEvent(self, event: QWheelEvent) -> None:
        bar = self.horizontalScrollBar()
        sideways = event.angleDelta().x() or event.pixelDelta().x()
        if event.modifiers() & Qt.KeyboardModifier.ShiftModifier:
            sideways = sideways or event.angleDelta().y()
        if sideways and abs(sideways) > abs(event.angleDelta().y() if not event.modifiers() else 0) and bar.maximum():
            bar.setValue(bar.value() - sideways // 2)
            event.accept()
        else:
            event.ignore()

    def mousePressEvent(self, event: QMouseEvent) -> None:
        self.pressed.emit()
        super().mousePressEvent(event)

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        super().mouseMoveEvent(event)
        if event.buttons() & Qt.MouseButton.LeftButton:
            self.dragged_out.emit(event.globalPosition().toPoint())
        elif not event.buttons():
            self.moved.emit(event.position().toPoint())

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        super().mouseReleaseEvent(event)
        point = event.position().toPoint()
        if event.button() == Qt.MouseButton.LeftButton and not self.textCursor().hasSelection() and not self.anchorAt(point):
            self.clicked.emit(point)

    def leaveEvent(self, event: Any) -> None:
        super().leaveEvent(event)
        self.left.emit()

    def scrollContentsBy(self, dx: int, dy: int) -> None:
        if dx:
            super().scrollContentsBy(dx, 0)

    def keyPressEvent(self, event: Any) -> None:
        if event.matches(QKeySequence.StandardKey.Copy) or event.matches(QKeySequence.StandardKey.SelectAll):
            event.ignore() if not self.textCursor().hasSelection() else super().keyPressEvent(event)
        elif event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter, Qt.Key.Key_Tab, Qt.Key.Key_Backtab) or (
            event.modifiers() & Qt.KeyboardModifier.ShiftModifier and not event.text().strip()
        ):
            super().keyPressEvent(event)
        else:
            event.ignore()  # the transcript scrolls

    # -- copying: what was written, without the marks

    def createMimeDataFromSelection(self) -> QMimeData:
        data = QMimeData()
        data.setText(plain_text(self.textCursor()))
        return data

    # -- looks

    def text_height(self) -> int:
        """The height that its content needs at the width it has."""
        return int(self.document().size().height() + 0.999)

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self.viewport())
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        if self.tokens is not None:
            self.tokens.paint(painter, QRectF(event.rect()))
        self.paint_below(painter, event)
        painter.end()
        super().paintEvent(event)
        if self.caret:
            painter = QPainter(self.viewport())
            self._paint_caret(painter)

    def paint_below(self, painter: QPainter, event: QPaintEvent) -> None:
        """What lies under the text."""

    def _paint_caret(self, painter: QPainter) -> None:
        cursor = QTextCursor(self.document())
        cursor.movePosition(QTextCursor.MoveOperation.End)
        where = self.cursorRect(cursor)
        high = theme.pixels("body")
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor(theme.palette().accent))
        painter.drawRoundedRect(QRectF(where.right() + 3, where.bottom() - high - 2, 7, high), 2, 2)

    def chip_rects(self) -> list[QRectF]:
        """Where the marks in the text are: around the letters, whatever the height of the line."""
        found = []
        layout = self.document().documentLayout()
        high = theme.pixels("small")
        for start, end in chips(self.document()):
            block = self.document().findBlock(start)
            line = block.layout().lineForTextPosition(start - block.position())
            if not line.isValid():
                continue
            corner = layout.blockBoundingRect(block).topLeft()
            left: float = line.cursorToX(start - block.position())[0]  # type: ignore[index]
            right: float = line.cursorToX(end - 1 - block.position())[0]  # type: ignore[index]
            base = corner.y() + line.y() + line.ascent()
            found.append(QRectF(corner.x() + left, base - high - 1, right - left, high + 5))  # but for the space behind it
        return found


def chips(document: Any) -> list[tuple[int, int]]:
    """Start and end of each mark in a document."""
    found = []
    block: QTextBlock = document.begin()
    while block.isValid():
        step = block.begin()
        start = -1
        while not step.atEnd():  # a mark is two fragments: its words, and a little space
            fragment = step.fragment()
            marked = fragment.charFormat().hasProperty(CHIP)
            if marked and start < 0:
                start = fragment.position()
            if not marked and start >= 0:
                found.append((start, fragment.position()))
                start = -1
            step += 1
        if start >= 0:
            found.append((start, block.position() + block.length() - 1))
        block = block.next()
    return found


def plain_text(cursor: QTextCursor) -> str:
    """A selection as it was written: without marks, with plain line ends."""
    start = cursor.selectionStart()
    units = cursor.selectedText().encode("utf-16-le", "surrogatepass")  # places in a document are UTF-16 units
    for first, last in reversed(chips(cursor.document())):
        low, high = 2 * max(first - start, 0), 2 * max(last - start, 0)
        units = units[:low] + units[high:]
    text = units.decode("utf-16-le", "surrogatepass")
    for strange, plain in (("\u2029", "\n"), ("\u2028", "\n"), ("\xa0", " "), ("\ufdd0", ""), ("\ufdd1", "\n")):
        text = text.replace(strange, plain)
    return text


def link_menu(url: QUrl, parent: QWidget) -> QMenu:
    """The whole address, and what can be done with it."""
    menu = QMenu(parent)
    menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
    address = url.toString()
    menu.setAccessibleName(address)
    head = menu.addAction(address if len(address) <= 100 else address[:70] + " … " + address[-26:])
    head.setEnabled(False)
    menu.addSeparator()
    allowed = url.scheme().lower() in SCHEMES
    opening = menu.addAction("Open in the browser" if allowed else "Only web and mail addresses can be opened")
    opening.setEnabled(allowed)
    opening.triggered.connect(lambda: QDesktopServices.openUrl(url))
    menu.addAction("Copy the address").triggered.connect(lambda: QGuiApplication.clipboard().setText(address))
    return menu
