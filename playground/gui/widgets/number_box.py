"""A number field for a setting: its unit, its step, right-aligned tabular digits, and a word where the number means "off"."""

from __future__ import annotations

from PySide6.QtCore import QEvent, QLocale, Qt, Signal
from PySide6.QtGui import QFocusEvent, QResizeEvent, QShowEvent, QValidator, QWheelEvent
from PySide6.QtWidgets import QAbstractSpinBox, QDoubleSpinBox, QWidget


class NumberBox(QDoubleSpinBox):
    """`valueChanged(float)` tells of every change, `edited(float)` only of those by hand. `words` maps a value to what is shown for it."""

    edited = Signal(float)

    def __init__(
        self,
        minimum: float,
        maximum: float,
        step: float = 1.0,
        words: dict[float, str] | None = None,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self._words = words or {}
        self._editing = False
        self._by_hand = False
        self.setDecimals(_decimals(step))
        self.setRange(minimum, maximum)
        self.setSingleStep(step)
        self.setLocale(QLocale.c())
        self.setButtonSymbols(QAbstractSpinBox.ButtonSymbols.NoButtons)
        self.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        self.setKeyboardTracking(False)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.lineEdit().textEdited.connect(lambda _text: setattr(self, "_by_hand", True))
        self.valueChanged.connect(self._tell)
        self.editingFinished.connect(lambda: setattr(self, "_by_hand", False))

    def _tell(self, value: float) -> None:
        if self._by_hand:
            self.edited.emit(value)

    def stepBy(self, steps: int) -> None:
        self._by_hand = True
        super().stepBy(steps)
        self._by_hand = False

    def textFromValue(self, value: float) -> str:
        if not self._editing and value in self._words:
            return self._words[value]
        text = f"{value:.{self.decimals()}f}"
        if self.decimals() == 0 and not self._editing and value >= 10000 and self.maximum() < 2**31:
            text = f"{value:,.0f}"
        return text

    def valueFromText(self, text: str) -> float:
        for value, word in self._words.items():
            if text.strip().lower() == word.lower():
                return value
        try:
            return float(text.strip().replace(",", "").removesuffix(self.suffix().strip()))
        except ValueError:
            return self.value()

    def validate(self, text: str, place: int) -> tuple[QValidator.State, str, int]:  # type: ignore[override]
        plain = text.strip().replace(",", "")
        if any(word.lower().startswith(plain.lower()) for word in self._words.values()):
            return QValidator.State.Acceptable, text, place
        try:
            number = float(plain)
        except ValueError:
            partial = plain in ("", "-", ".", "-.") or plain.rstrip(".") != plain
            return (QValidator.State.Intermediate if partial else QValidator.State.Invalid), text, place
        if self.minimum() <= number <= self.maximum():
            return QValidator.State.Acceptable, text, place
        return QValidator.State.Intermediate, text, place

    def fixup(self, text: str) -> str:
        """What was typed out of range goes to the end of the range."""
        try:
            number = float(text.strip().replace(",", ""))
        except ValueError:
            return self.textFromValue(self.value())
        return self.textFromValue(min(self.maximum(), max(self.minimum(), number)))

    def _place_edit(self) -> None:
        """Without buttons the style sheet's style gives the edit no room at all; it gets it here."""
        self.lineEdit().setGeometry(self.rect().adjusted(4, 1, -1, -1))

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._place_edit()

    def changeEvent(self, event: QEvent) -> None:
        super().changeEvent(event)
        self._place_edit()

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        self._place_edit()

    def focusInEvent(self, event: QFocusEvent) -> None:
        self._show_number(True)
        super().focusInEvent(event)
        self.selectAll()

    def focusOutEvent(self, event: QFocusEvent) -> None:
        super().focusOutEvent(event)
        self._show_number(False)

    def _show_number(self, editing: bool) -> None:
        if self._editing != editing:
            self._editing = editing
            self.lineEdit().setText(self.prefix() + self.textFromValue(self.value()) + self.suffix())

    def wheelEvent(self, event: QWheelEvent) -> None:
        if self.hasFocus():
            super().wheelEvent(event)
        else:
            event.ignore()


def _decimals(step: float) -> int:
    text = f"{step:.6f}".rstrip("0")
    return len(text.partition(".")[2])
