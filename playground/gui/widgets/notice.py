"""One sentence for the user, what to do about it, and a button that does it: cards that float over the top of the page.

They cover, they do not push: nothing below moves. A later one with the same key replaces an earlier one; the newest is on top.
"""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QEvent, QObject, Qt, QTimer
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QPushButton, QSizePolicy, QToolButton, QVBoxLayout, QWidget

from playground.gui import theme

ICONS = {"info": ("info", "accent"), "warning": ("triangle-alert", "warn"), "error": ("circle-alert", "bad")}
INFO_MS = 8000
"""an information goes by itself; a warning or an error stays until it is dismissed"""
AT_MOST = 3
WIDTH = 560
TOP = 64
"""below the bar at the top of a page"""


class Notice(QFrame):
    """A card. `notice`, `notice.action` and `notice.close` are its object names."""

    def __init__(
        self, level: str, message: str, hint: str, action: str, run: Callable[[], None] | None, board: Notices
    ) -> None:
        super().__init__(board.holder)
        self.setObjectName("notice")
        self.message = message
        self.said: tuple[str, ...] = ()
        theme.mark(self, notice=level)
        row = QHBoxLayout(self)
        row.setContentsMargins(16, 12, 8, 12)
        row.setSpacing(12)
        picture = QToolButton()
        picture.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        picture.setEnabled(True)
        picture.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        picture.setAccessibleName(level)
        picture.setToolTip(level.capitalize())
        theme.bind_icon(picture, *ICONS.get(level, ICONS["info"]), 20)
        row.addWidget(picture, 0, Qt.AlignmentFlag.AlignTop)
        texts = QVBoxLayout()
        texts.setSpacing(4)
        texts.setContentsMargins(0, 4, 0, 0)
        for text, role in ((message, "body"), (hint, "muted")):
            if text:
                label = QLabel(text)
                label.setWordWrap(True)
                label.setTextFormat(Qt.TextFormat.PlainText)
                label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
                label.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Minimum)
                theme.mark(label, role=role)
                texts.addWidget(label)
        row.addLayout(texts, 1)
        if action and run:
            button = QPushButton(action)
            button.setObjectName("notice.action")
            button.setToolTip(hint or action)
            button.setAccessibleName(action)
            button.clicked.connect(run)
            button.clicked.connect(lambda: board.dismiss(self))
            row.addWidget(button, 0, Qt.AlignmentFlag.AlignVCenter)
        close = QToolButton()
        close.setObjectName("notice.close")
        close.setAccessibleName("Dismiss")
        close.setToolTip("Takes this notice away")
        theme.bind_icon(close, "x", "muted")
        close.clicked.connect(lambda: board.dismiss(self))
        row.addWidget(close, 0, Qt.AlignmentFlag.AlignTop)
        self.setAccessibleName(f"{message} {hint}".strip())

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() == Qt.Key.Key_Escape:
            close = self.findChild(QToolButton, "notice.close")
            if close is not None:
                close.click()
        else:
            super().keyPressEvent(event)


class Notices(QObject):
    """Places the cards over `area`, in the middle of the part of it that `within` names (x and width), if it does."""

    def __init__(self, area: QWidget, within: Callable[[], tuple[int, int]] | None = None) -> None:
        super().__init__(area)
        self._area = area
        self._within = within or (lambda: (0, area.width()))
        self._cards: dict[str, Notice] = {}
        self._count = 0
        self.holder = QWidget(area)
        self.holder.hide()
        self._column = QVBoxLayout(self.holder)
        self._column.setContentsMargins(0, 0, 0, 0)
        self._column.setSpacing(8)
        area.installEventFilter(self)

    def show(
        self,
        message: str,
        hint: str = "",
        level: str = "info",
        action: str = "",
        key: str = "",
        run: Callable[[], None] | None = None,
    ) -> None:
        """Shows a notice; one with an empty message takes away the one with its key."""
        key = key or f"#{self._count}"
        self._count += 1
        said = (level, message, hint, action)
        old = self._cards.get(key)
        if old is not None and old.said == said:
            return
        self._cards.pop(key, None)
        if old is not None:
            self._drop(old)
        if not message:
            self._place()
            return
        if any(card.message == message for card in self._cards.values()):
            return  # the same thing twice says no more
        card = Notice(level, message, hint, action, run, self)
        card.said = said
        self._cards[key] = card
        self._column.insertWidget(0, card)
        while len(self._cards) > AT_MOST:
            self._drop(self._cards.pop(next(iter(self._cards))))
        if level == "info":
            QTimer.singleShot(INFO_MS, card, lambda: self.dismiss(card))
        self._place()

    def dismiss(self, card: Notice) -> None:
        for key, each in list(self._cards.items()):
            if each is card:
                del self._cards[key]
                self._drop(card)
        self._place()

    def place(self) -> None:
        """To be called when another page is shown."""
        self._place()

    def messages(self) -> tuple[str, ...]:
        """What is shown, the oldest first."""
        return tuple(card.message for card in self._cards.values())

    def _drop(self, card: Notice) -> None:
        self._column.removeWidget(card)
        card.setParent(None)
        card.deleteLater()

    def _place(self) -> None:
        self.holder.setVisible(bool(self._cards))
        if self._cards:
            left, room = self._within()
            width = min(WIDTH, room - 32)
            high = sum(max(56, card.heightForWidth(width)) + 8 for card in self._cards.values()) - 8
            self.holder.setGeometry(left + (room - width) // 2, TOP, width, high)
            self.holder.raise_()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if event.type() == QEvent.Type.Resize:
            self._place()
        return False
