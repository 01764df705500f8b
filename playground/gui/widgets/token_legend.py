"""The strip that says what the colours of tokens mean, and by what they are coloured."""

from __future__ import annotations

from PySide6.QtCore import QRectF, QSize, Qt, Signal
from PySide6.QtGui import QColor, QPainter, QPaintEvent, QResizeEvent
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QSizePolicy, QToolButton, QWidget

from playground.gui import theme
from playground.gui.widgets.token_marks import MODES, SHARES, WEIGHTS, legend

_TIPS = {
    "off": "Text without colours",
    "probability": "By how likely each token was when it was drawn, under the settings then",
    "entropy": "By how undecided the model was at each token, whatever was drawn then",
}


class TokenLegend(QFrame):
    """Object names `colours.off`, `colours.probability`, `colours.entropy`, `colours.legend`."""

    mode_changed = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("colours")
        self.setAccessibleName("Colours of tokens")
        theme.mark(self, line="bottom")
        self.setFixedHeight(40)
        row = QHBoxLayout(self)
        row.setContentsMargins(16, 4, 16, 4)
        row.setSpacing(4)
        self._label = QLabel("Colour by")
        theme.mark(self._label, role="muted")
        row.addWidget(self._label)
        self._buttons: dict[str, QToolButton] = {}
        for mode in MODES[1:] + MODES[:1]:
            button = QToolButton()
            button.setObjectName(f"colours.{mode}")
            button.setText(mode.capitalize())
            button.setCheckable(True)
            button.setAutoExclusive(True)
            button.setToolTip(_TIPS[mode])
            theme.mark(button, role="segment")
            button.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)
            button.clicked.connect(lambda _checked=False, name=mode: self.mode_changed.emit(name))
            self._buttons[mode] = button
            row.addWidget(button)
        row.addSpacing(8)
        self._scale = _Scale()
        row.addWidget(self._scale, 1)

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._label.setVisible(self.width() > 560)
        words = sum(button.sizeHint().width() + 4 for button in self._buttons.values())
        self._scale.setVisible(self.width() >= words + 40 + self._scale.minimumSizeHint().width())

    def minimumSizeHint(self) -> QSize:
        return QSize(200, 40)

    def show_mode(self, mode: str) -> None:
        self._buttons[mode].setChecked(True)
        if mode != "off":
            self._scale.show_mode(mode)


class _Scale(QWidget):
    def __init__(self) -> None:
        super().__init__()
        self.setObjectName("colours.legend")
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self._words = legend("probability")
        theme.notifier().changed.connect(self.update)

    def show_mode(self, mode: str) -> None:
        self._words = legend(mode)
        self.setAccessibleName("From sure to surprising: " + ", ".join(self._words))
        unit = "bits of entropy" if mode == "entropy" else "probability"
        self.setToolTip(
            f"{unit}, from sure (no colour, no line) to surprising (strong colour, thick line): {', '.join(self._words)}"
        )
        self.update()

    def sizeHint(self) -> QSize:
        return QSize(330, 24)

    def minimumSizeHint(self) -> QSize:
        return QSize(60, 24)

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        colors = theme.palette()
        painter.setFont(theme.font("small"))
        width = min(72.0, self.width() / len(self._words))
        line = QColor(colors.text)
        line.setAlphaF(0.55)
        for place, words in enumerate(self._words):
            area = QRectF(place * width, 2, width - 4, 20)
            if place:
                painter.fillRect(area.adjusted(0, 0, 0, -3), theme.probability_tint(SHARES[place]))
            else:
                painter.setPen(QColor(colors.line))
                painter.drawRect(area.adjusted(0, 0, 0, -3))
            if WEIGHTS[place]:
                painter.fillRect(QRectF(area.left(), area.bottom() - 4, area.width(), WEIGHTS[place]), line)
            painter.setPen(QColor(colors.text))
            if width < 34:
                continue
            painter.drawText(area.adjusted(0, 0, 0, -4), Qt.AlignmentFlag.AlignCenter, words)
