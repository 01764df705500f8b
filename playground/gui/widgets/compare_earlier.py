"""The comparisons that were made before: a list that opens below its button. Object names: `compare.earlier.list`, `.filter`."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QPoint, QSize, Qt, Signal
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import QFrame, QLabel, QLineEdit, QListWidget, QListWidgetItem, QVBoxLayout, QWidget

from playground.gui import theme
from playground.gui.widgets.log_model import when_text
from playground.history.records import SessionRow

ROW = 44


class EarlierPopup(QFrame):
    """`chosen(id)` to open one, `unwanted(id)` to throw one away (Delete)."""

    chosen = Signal(str)
    unwanted = Signal(str)

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent, Qt.WindowType.Popup)
        self.setObjectName("compare.earlier.popup")
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        theme.mark(self, surface="raised")
        self.setFixedSize(360, 400)
        self._taken = False
        column = QVBoxLayout(self)
        column.setContentsMargins(12, 12, 12, 12)
        column.setSpacing(8)
        self.filter = QLineEdit()
        self.filter.setObjectName("compare.earlier.filter")
        self.filter.setAccessibleName("Filter comparisons")
        self.filter.setPlaceholderText("Earlier comparisons…")
        self.filter.setToolTip("Keeps those with these words in their title or prompt")
        self.filter.textChanged.connect(self._filter)
        column.addWidget(self.filter)
        self.list = QListWidget()
        self.list.setObjectName("compare.earlier.list")
        self.list.setAccessibleName("Earlier comparisons")
        self.list.setToolTip("Return opens one, Delete throws it away")
        self.list.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        theme.mark(self.list, floating=True)
        self.list.itemClicked.connect(self._take)
        self.list.itemActivated.connect(self._take)
        column.addWidget(self.list, 1)
        self.words = QLabel("Reading…")
        self.words.setAlignment(Qt.AlignmentFlag.AlignCenter)
        theme.mark(self.words, role="muted")
        column.addWidget(self.words)

    def show_rows(self, rows: Sequence[SessionRow], open_id: str) -> None:
        self.words.setText("" if rows else "There is none yet: a comparison is kept as soon as it is run.")
        self.words.setWordWrap(True)
        self.words.setVisible(not rows)
        for row in rows:
            count = len(row.columns)
            title = row.title or " ".join(row.prompt.split())[:60] or "Untitled"
            item = QListWidgetItem(f"{title}\n{count} columns · {when_text(row.updated)}")
            item.setData(Qt.ItemDataRole.UserRole, row.id)
            item.setData(Qt.ItemDataRole.UserRole + 1, f"{row.title} {row.prompt}".lower())
            item.setToolTip(row.prompt[:400])
            item.setSizeHint(QSize(0, ROW))
            self.list.addItem(item)
            if row.id == open_id:
                self.list.setCurrentItem(item)
        self._filter(self.filter.text())  # somebody may have typed before they were read

    def _filter(self, text: str) -> None:
        words = text.lower().split()
        for place in range(self.list.count()):
            item = self.list.item(place)
            known = item.data(Qt.ItemDataRole.UserRole + 1)
            item.setHidden(not all(word in known for word in words))

    def _take(self, item: QListWidgetItem) -> None:
        if self._taken:  # a press and an activation of the same row
            return
        self._taken = True
        number = item.data(Qt.ItemDataRole.UserRole)
        self.close()
        self.chosen.emit(number)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        item = self.list.currentItem()
        if event.key() == Qt.Key.Key_Escape:
            self.close()
        elif event.key() == Qt.Key.Key_Delete and item is not None and self.list.hasFocus():
            self.unwanted.emit(item.data(Qt.ItemDataRole.UserRole))
            self.list.takeItem(self.list.row(item))
        elif event.key() == Qt.Key.Key_Down and self.filter.hasFocus():
            self.list.setFocus()
        else:
            super().keyPressEvent(event)

    def show_below(self, button: QWidget) -> None:
        corner = button.mapToGlobal(QPoint(button.width() - self.width(), button.height() + 4))
        self.move(corner)
        self.show()
        self.filter.setFocus()
