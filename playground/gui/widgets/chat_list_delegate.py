"""How a row of the chat list is painted and renamed."""

from __future__ import annotations

from typing import Any

from PySide6.QtCore import QModelIndex, QPersistentModelIndex, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QColor, QFont, QFontMetrics, QPainter
from PySide6.QtWidgets import QLineEdit, QStyle, QStyledItemDelegate, QStyleOptionViewItem, QWidget

from playground.gui import theme
from playground.gui.widgets.chat_list_model import ROW, ChatListModel, ListRow

SIDE = 12
Index = QModelIndex | QPersistentModelIndex


class ChatListDelegate(QStyledItemDelegate):
    """`renamed` tells a chat's id and its new title."""

    renamed = Signal(str, str)

    def __init__(self, model: ChatListModel, parent: QWidget) -> None:
        super().__init__(parent)
        self._model = model
        self.open_chat = ""

    def sizeHint(self, option: QStyleOptionViewItem, index: Index) -> QSize:
        row: ListRow = index.data(ROW)
        line = QFontMetrics(theme.font("body")).height()
        if row.kind == "hit":
            return QSize(80, line + QFontMetrics(theme.font("small")).height() * 2 + 18)
        return QSize(80, 34)

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: Index) -> None:
        row: ListRow = index.data(ROW)
        colors = theme.palette()
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        rect = QRectF(option.rect)
        if row.kind == "day":
            font = theme.font("small")
            font.setWeight(QFont.Weight.DemiBold)
            painter.setFont(font)
            painter.setPen(QColor(colors.muted))
            painter.drawText(
                rect.adjusted(SIDE + 4, 8, -8, 0), Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignLeft, row.text
            )
            painter.restore()
            return
        state = option.state
        body = rect.adjusted(6, 1, -6, -1)
        opened = row.kind == "chat" and row.chat_id == self.open_chat
        painter.setPen(Qt.PenStyle.NoPen)
        if opened:
            painter.setBrush(QColor(colors.accent_soft))
            painter.drawRoundedRect(body, theme.RADIUS, theme.RADIUS)
        elif state & QStyle.StateFlag.State_MouseOver:
            painter.setBrush(QColor(colors.hover))
            painter.drawRoundedRect(body, theme.RADIUS, theme.RADIUS)
        if state & QStyle.StateFlag.State_Selected and state & QStyle.StateFlag.State_HasFocus:
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.setPen(QColor(colors.accent))
            painter.drawRoundedRect(body.adjusted(0.5, 0.5, -0.5, -0.5), theme.RADIUS, theme.RADIUS)
        self._paint_row(painter, body.adjusted(SIDE - 2, 0, -8, 0), row, colors)
        painter.restore()

    def _paint_row(self, painter: QPainter, rect: QRectF, row: ListRow, colors: theme.Palette) -> None:
        painter.setPen(QColor(colors.text))
        font = theme.font("body")
        if row.kind == "hit":
            font.setWeight(QFont.Weight.Medium)
        painter.setFont(font)
        metrics = QFontMetrics(font)
        running = row.chat_id == self._model.running and row.kind == "chat"
        room = int(rect.width()) - (16 if running else 0)
        title = metrics.elidedText(row.text.replace("\n", " "), Qt.TextElideMode.ElideRight, room)
        if row.kind == "chat":
            painter.drawText(rect, Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignLeft, title)
            if running:
                painter.setPen(Qt.PenStyle.NoPen)
                painter.setBrush(QColor(colors.accent))
                painter.drawEllipse(QRectF(rect.right() - 9, rect.center().y() - 3, 6, 6))
            return
        painter.drawText(QRectF(rect.left(), rect.top() + 6, rect.width(), metrics.height()), Qt.AlignmentFlag.AlignLeft, title)
        self._paint_snippet(painter, rect.adjusted(0, 9 + metrics.height(), 0, -4), row.snippet, colors)

    def _paint_snippet(self, painter: QPainter, rect: QRectF, snippet: str, colors: theme.Palette) -> None:
        """Two lines at most; what was looked for is in the accent's colour."""
        plain, strong = theme.font("small"), theme.font("small")
        strong.setWeight(QFont.Weight.DemiBold)
        metrics = QFontMetrics(plain)
        x, y, line = rect.left(), rect.top(), 0
        found = False
        for piece in _pieces(snippet):
            if piece in "\x02\x03":
                found = piece == "\x02"
                continue
            painter.setFont(strong if found else plain)
            width = painter.fontMetrics().horizontalAdvance(piece)
            if x + width > rect.right() and piece.strip():
                line += 1
                x, y = rect.left(), y + metrics.height()
                if line > 1:
                    return
            painter.setPen(QColor(colors.accent if found else colors.muted))
            painter.drawText(QRectF(x, y, rect.right() - x, metrics.height()), Qt.AlignmentFlag.AlignLeft, piece)
            x += width

    # -- renaming in place

    def createEditor(self, parent: QWidget, option: QStyleOptionViewItem, index: Index) -> QWidget:
        editor = QLineEdit(parent)
        editor.setObjectName("chat.rename")
        editor.setAccessibleName("Title of the chat")
        editor.setMaxLength(200)
        return editor

    def setEditorData(self, editor: QWidget, index: Index) -> None:
        editor.setText(index.data())  # type: ignore[attr-defined]
        editor.selectAll()  # type: ignore[attr-defined]

    def setModelData(self, editor: QWidget, model: Any, index: Index) -> None:
        title = editor.text().strip()  # type: ignore[attr-defined]
        row: ListRow = index.data(ROW)
        if title and title != row.text:
            self.renamed.emit(row.chat_id, title)

    def updateEditorGeometry(self, editor: QWidget, option: QStyleOptionViewItem, index: Index) -> None:
        editor.setGeometry(option.rect.adjusted(6, 2, -6, -2))


def _pieces(snippet: str) -> list[str]:
    found: list[str] = []
    word = ""
    for character in snippet:
        if character in "\x02\x03":
            found += [word, character]
            word = ""
        elif character == " ":
            found.append(word + " ")
            word = ""
        else:
            word += character
    return [each for each in [*found, word] if each]
