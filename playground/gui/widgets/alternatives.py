"""What else could have stood in a token's place: a small list that floats by the token, with the odds when it was drawn.

Comes with the mouse over a token and goes with it; a click on the token or Enter makes it stay and take the keys. It says what was chosen;
the reply forks elsewhere.
"""

from __future__ import annotations

from typing import Any

from PySide6.QtCore import QModelIndex, QPersistentModelIndex, QRect, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QColor, QFocusEvent, QKeyEvent, QPainter
from PySide6.QtWidgets import (
    QApplication,
    QFrame,
    QHBoxLayout,
    QLabel,
    QListWidget,
    QListWidgetItem,
    QStyle,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from playground.gui import theme
from playground.gui.widgets.next_token import readable
from playground.gui.widgets.token_marks import TokenMark

WIDTH = 296
ROW = 24
_ROW = Qt.ItemDataRole.UserRole


class Alternatives(QFrame):
    """Object names `alternatives`, `alternatives.list`, `alternatives.inside`."""

    chosen = Signal(object, int)
    """the `TokenMark`, and the token that is to stand there"""
    look_wanted = Signal(object)
    """the `TokenMark` whose attention is to be seen"""
    left = Signal()
    """it was closed by a key"""
    hovered = Signal(bool)
    """the mouse has come over it, or left it"""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.setObjectName("alternatives")
        self.setAccessibleName("Alternatives")
        theme.mark(self, surface="raised")
        self.mark: TokenMark | None = None
        self.pinned = False
        self.can_fork = True
        column = QVBoxLayout(self)
        column.setContentsMargins(8, 8, 8, 8)
        column.setSpacing(4)
        self._head = QLabel()
        theme.mark(self._head, role="muted")
        column.addWidget(self._head)
        self.list = _List(self)
        self.list.setObjectName("alternatives.list")
        self.list.setAccessibleName("Candidates for this token")
        self.list.setItemDelegate(_Painter(self.list))
        self.list.setFrameShape(QFrame.Shape.NoFrame)
        self.list.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.list.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.list.setMouseTracking(True)
        self.list.itemClicked.connect(self._choose)
        self.list.itemActivated.connect(self._choose)
        self.list.gave_up.connect(self.close_by_key)
        column.addWidget(self.list)
        self._foot = QLabel()
        theme.mark(self._foot, role="muted")
        self.inside = _Look(self)
        self.inside.setObjectName("alternatives.inside")
        self.inside.setText("Look inside")
        self.inside.setAccessibleName("Look inside")
        self.inside.setToolTip("What this token looks at, in every layer and head (I)")
        self.inside.setCursor(Qt.CursorShape.PointingHandCursor)
        self.inside.setFocusPolicy(Qt.FocusPolicy.StrongFocus)  # else a click on it would give the keys to the conversation
        theme.mark(self.inside, role="link")
        self.inside.clicked.connect(self._look)
        self.list.look_wanted.connect(self._look)
        foot = QHBoxLayout()
        foot.addWidget(self._foot, 1)
        foot.addWidget(self.inside)
        column.addLayout(foot)
        self.hide()

    def show_mark(self, mark: TokenMark, near: QRect, number: int, can_fork: bool, *, pin: bool = False) -> None:
        """Shows a token's candidates by a rectangle of the parent; `number` counts the reply's tokens from 1."""
        if mark is self.mark and self.isVisible() and not pin:
            return
        self.mark, self.can_fork = mark, can_fork
        self._head.setText(f"Token {number:,} · {mark.surprisal:.1f} bits of surprise · entropy {mark.entropy:.1f} bits")
        self._foot.setText("Another one forks the reply" if can_fork else "It can fork once it is written")
        self.list.clear()
        candidates = mark.candidates
        for place, (token, text, own, chance) in enumerate(candidates):
            item = QListWidgetItem()
            item.setData(_ROW, (token, text, own, chance, token == mark.token.token_id))
            said = f"{chance:.1%}" if chance > 0 else "cut off"
            item.setData(Qt.ItemDataRole.AccessibleTextRole, f"{readable(text)}, {said}, by the model itself {own:.1%}")
            item.setToolTip(f"token {token:,}: {said} under the settings then, {own:.2%} by the model itself")
            self.list.addItem(item)
            if token == mark.token.token_id:
                self.list.setCurrentRow(place)
        self.list.setFixedHeight(ROW * max(1, len(candidates)) + 2)
        self.setFixedWidth(min(WIDTH, self._room().width() - 16))
        self.adjustSize()
        self._put(near)
        self.show()
        self.raise_()
        if pin:
            self.pinned = True
            self.list.setFocus()

    def _room(self) -> QRect:
        parent = self.parentWidget()
        return parent.rect() if parent is not None else QRect(0, 0, WIDTH + 16, 0)

    def _put(self, near: QRect) -> None:
        room = self._room()
        left = max(8, min(near.left(), room.right() - self.width() - 16))
        top = near.bottom() + 4
        if top + self.height() > room.bottom() - 4:
            top = max(4, near.top() - self.height() - 4)
        self.move(left, top)

    def put_away(self) -> None:
        self.pinned = False
        self.mark = None
        self.hide()

    def close_by_key(self) -> None:
        self.put_away()
        self.left.emit()

    def _look(self) -> None:
        mark = self.mark
        if mark is not None:
            self.put_away()
            self.look_wanted.emit(mark)

    def _choose(self, item: QListWidgetItem) -> None:
        token, *_, drawn = item.data(_ROW)
        mark = self.mark
        if mark is None or drawn or not self.can_fork:
            return
        self.put_away()
        self.chosen.emit(mark, token)

    def enterEvent(self, event: Any) -> None:
        self.hovered.emit(True)

    def leaveEvent(self, event: Any) -> None:
        self.hovered.emit(False)

    def paintEvent(self, event: Any) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        colors = theme.palette()
        painter.setPen(QColor(colors.line))
        painter.setBrush(QColor(colors.raised))
        painter.drawRoundedRect(QRectF(self.rect()).adjusted(0.5, 0.5, -0.5, -0.5), 10, 10)


class _List(QListWidget):
    gave_up = Signal()
    look_wanted = Signal()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() == Qt.Key.Key_Escape:
            self.gave_up.emit()
        elif event.key() == Qt.Key.Key_I and not event.modifiers():
            self.look_wanted.emit()
        elif event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter, Qt.Key.Key_Space) and self.currentItem() is not None:
            self.itemActivated.emit(self.currentItem())
        else:
            super().keyPressEvent(event)

    def focusOutEvent(self, event: QFocusEvent) -> None:
        super().focusOutEvent(event)
        _left(self, event)


class _Look(QToolButton):
    def focusOutEvent(self, event: QFocusEvent) -> None:
        super().focusOutEvent(event)
        _left(self, event)


def _left(part: QWidget, event: QFocusEvent) -> None:
    """The keys have gone elsewhere: the popup goes, unless it still has them."""
    popup = part.parentWidget()
    assert isinstance(popup, Alternatives)
    window = event.reason() in (Qt.FocusReason.ActiveWindowFocusReason, Qt.FocusReason.PopupFocusReason)
    now = QApplication.focusWidget()
    if not window and part.isVisible() and not (now is not None and popup.isAncestorOf(now)):
        popup.put_away()


class _Painter(QStyledItemDelegate):
    """The text, a bar for the odds under the settings, a line for the model's own, the number."""

    def sizeHint(self, option: QStyleOptionViewItem, index: QModelIndex | QPersistentModelIndex) -> QSize:
        return QSize(WIDTH - 16, ROW)

    def paint(self, painter: QPainter, option: Any, index: QModelIndex | QPersistentModelIndex) -> None:
        _token, text, own, chance, drawn = index.data(_ROW)
        colors, area = theme.palette(), QRectF(option.rect)
        state = option.state
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        if state & QStyle.StateFlag.State_MouseOver or (state & QStyle.StateFlag.State_Selected and option.widget.hasFocus()):
            painter.setBrush(QColor(colors.hover))
            painter.drawRoundedRect(area, 5, 5)
        painter.setFont(theme.font("mono_small"))
        painter.setPen(QColor(colors.accent if drawn else colors.text if chance > 0 else colors.muted))
        name = painter.fontMetrics().elidedText(readable(text), Qt.TextElideMode.ElideRight, 92)
        painter.drawText(area.adjusted(8, 0, 0, 0), Qt.AlignmentFlag.AlignVCenter, name)
        left, track = area.left() + 106, area.width() - 106 - 54
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor(colors.sunken))
        painter.drawRoundedRect(QRectF(left, area.top() + 8, track, 8), 2, 2)
        if chance > 0:
            painter.setBrush(QColor(colors.accent if drawn else colors.muted))
            painter.drawRoundedRect(QRectF(left, area.top() + 8, max(2.0, track * chance), 8), 2, 2)
        painter.setBrush(QColor(colors.text))
        painter.drawRect(QRectF(left, area.top() + 17.5, max(1.0, track * own), 1))
        painter.setFont(theme.font("small"))
        painter.setPen(QColor(colors.text if chance > 0 else colors.muted))
        said = "cut" if chance <= 0 else f"{chance:.1%}".replace("%", " %") if chance >= 0.001 else "<0.1 %"
        painter.drawText(area.adjusted(0, 0, -8, 0), Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignRight, said)
        painter.restore()
