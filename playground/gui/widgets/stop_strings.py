"""Stop strings as a line of text each can be typed into and small chips that can be taken away."""

from __future__ import annotations

from PySide6.QtCore import QEvent, QObject, Qt, Signal
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import QHBoxLayout, QLineEdit, QPushButton, QVBoxLayout, QWidget

from playground.gui import theme


class StopStrings(QWidget):
    """`changed(tuple of texts)` by hand. A line break is typed as \\n. Object name of the field: `sampling.stop`."""

    changed = Signal(object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._value: tuple[str, ...] = ()
        self._column = QVBoxLayout(self)
        self._column.setContentsMargins(0, 0, 0, 0)
        self._column.setSpacing(4)
        self.field = QLineEdit()
        self.field.setObjectName("sampling.stop")
        self.field.setAccessibleName("Stop string")
        self.field.setPlaceholderText("Add a stop string, then Enter")
        self.field.setToolTip("The reply ends as soon as this text appears in it; \\n stands for a line break")
        theme.mark(self.field, compact=True)
        self.field.installEventFilter(self)
        self._column.addWidget(self.field)
        self._chips: list[QWidget] = []

    def value(self) -> tuple[str, ...]:
        return self._value

    def set_value(self, texts: tuple[str, ...]) -> None:
        """Shows other stop strings without telling of it."""
        if texts == self._value:
            return
        self._value = tuple(texts)
        for chip in self._chips:
            chip.deleteLater()
        self._chips = [self._chip(text) for text in self._value]
        for chip in self._chips:
            self._column.addWidget(chip)

    def _chip(self, text: str) -> QWidget:
        holder = QWidget()
        row = QHBoxLayout(holder)
        row.setContentsMargins(0, 0, 0, 0)
        shown = text.replace("\n", "\\n").replace("\t", "\\t")
        chip = QPushButton(shown if len(shown) <= 28 else shown[:27] + "…")
        theme.mark(chip, role="chip")
        theme.bind_icon(chip, "x", "muted", 12)
        chip.setLayoutDirection(Qt.LayoutDirection.RightToLeft)
        chip.setToolTip(f"Takes “{shown}” away")
        chip.setAccessibleName(f"Remove stop string {shown}")
        chip.clicked.connect(lambda: self._put(tuple(each for each in self._value if each != text)))
        row.addWidget(chip)
        row.addStretch(1)
        return holder

    def add(self, typed: str) -> None:
        """Adds a stop string as it was typed."""
        text = typed.replace("\\n", "\n").replace("\\t", "\t")
        if text and text not in self._value:
            self._put((*self._value, text))

    def _put(self, texts: tuple[str, ...]) -> None:
        self.set_value(texts)
        self.changed.emit(texts)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if isinstance(event, QKeyEvent) and event.type() == QEvent.Type.KeyPress:
            if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
                self.add(self.field.text())
                self.field.clear()
                return True
            if event.key() == Qt.Key.Key_Backspace and not self.field.text() and self._value:
                self._put(self._value[:-1])
                return True
        return super().eventFilter(watched, event)
