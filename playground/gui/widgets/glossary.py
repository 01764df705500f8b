"""Terms a learner may not know: a dotted underline that opens two sentences and a picture.

The pictures are painted from a small distribution: what is cut off is pale, what stays is in colour. Texts come from `params` (a setting's
help) with a second sentence from here.
"""

from __future__ import annotations

from PySide6.QtCore import QPoint, QPointF, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QFocusEvent, QKeyEvent, QMouseEvent, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QFrame, QLabel, QVBoxLayout, QWidget

from playground.gui import theme
from playground.gui.widgets import glossary_inside, glossary_models, glossary_train

MORE = {
    "temperature": "Low for facts and code, high for stories and ideas; the bars show the same odds at 0.3 and at 1.5.",
    "top_k": "It cuts at a fixed count, however sure or unsure the model is.",
    "top_p": "It keeps few candidates where the model is sure, and many where it is not.",
    "min_p": "The bar to reach moves with the best candidate, so it holds up well at high temperatures.",
    "repetition_penalty": "A little (1.05 to 1.15) ends loops; too much makes the model avoid words it needs.",
    "repeat_last_n": "A short window only ends stutter, a long one also keeps topics from coming back.",
    "frequency_penalty": "The more often a token was used, the more it loses; negative values make it gain.",
    "presence_penalty": "Once is enough to lose: it pushes towards new words and topics.",
    "adapter_scale": "An adapter is a small change to the weights, and this is how much of it is added; move it while the model speaks.",
    "seed": "The draw is made with a row of random numbers, and the seed says which row.",
    "stages": "Each stage sees what the one before it left, so another order can leave other candidates.",
    "pace": "Watch each choice as it is made, and move a slider in time for the next one.",
    "next_token": "The thick bar is the chance under your settings, the thin line what the model itself gave it.",
    "context": "Everything the model can take into account, your words and its own, counted in tokens.",
}
TEXTS = glossary_models.TEXTS | glossary_inside.TEXTS | glossary_train.TEXTS
MORE |= {name: text[2] for name, text in TEXTS.items()}
_ODDS = (0.42, 0.22, 0.13, 0.09, 0.06, 0.04, 0.03, 0.01)


class Picture(QWidget):
    """A small diagram for a term; nothing (zero height) for a term without one."""

    def __init__(self, term: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._term = term
        self.setFixedSize(QSize(272, 88 if term in _PICTURES else 0))

    def paintEvent(self, event: QPaintEvent) -> None:
        if self._term in _PICTURES:
            painter = QPainter(self)
            painter.setRenderHint(QPainter.RenderHint.Antialiasing)
            painter.setFont(theme.font("small"))
            _PICTURES[self._term](painter)


def _bars(painter: QPainter, odds: tuple[float, ...], kept: int, left: float = 0, width: float = 272, top: float = 76) -> None:
    colors = theme.palette()
    step = width / len(odds)
    for place, odd in enumerate(odds):
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor(colors.accent if place < kept else colors.line))
        height = max(2.0, top * odd / 0.5)
        painter.drawRoundedRect(QRectF(left + place * step + 2, 84 - min(top, height), step - 4, min(top, height)), 2, 2)


def _note(painter: QPainter, x: float, y: float, text: str) -> None:
    painter.setPen(QColor(theme.palette().muted))
    painter.drawText(QRectF(x, y, 272 - x, 16), Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter, text)


def _line(painter: QPainter, y: float) -> None:
    painter.setPen(QPen(QColor(theme.palette().muted), 1, Qt.PenStyle.DashLine))
    painter.drawLine(QPoint(0, round(y)), QPoint(272, round(y)))


def _sharpened(temperature: float) -> tuple[float, ...]:
    raw = [odd ** (1 / temperature) for odd in _ODDS]
    total = sum(raw)
    return tuple(min(0.5, each / total) for each in raw)


def _temperature(painter: QPainter) -> None:
    _bars(painter, _sharpened(0.3), 8, 0, 124)
    _bars(painter, _sharpened(1.5), 8, 148, 124)
    _note(painter, 60, 8, "0.3")
    _note(painter, 232, 8, "1.5")


def _top_k(painter: QPainter) -> None:
    _bars(painter, _ODDS, 3)
    _note(painter, 128, 8, "k = 3: three stay")


def _top_p(painter: QPainter) -> None:
    _bars(painter, _ODDS, 4)
    _note(painter, 128, 8, "p = 0.8: 42+22+13+9 %")


def _min_p(painter: QPainter) -> None:
    _bars(painter, _ODDS, 4)
    _line(painter, 84 - 76 * 0.42 * 0.2 / 0.5)
    _note(painter, 104, 8, "0.2 of the best one's height")


def _penalty(painter: QPainter) -> None:
    _bars(painter, (0.18, 0.3, 0.17, 0.12, 0.08, 0.05, 0.04, 0.02), 8)
    painter.setPen(QPen(QColor(theme.palette().muted), 1, Qt.PenStyle.DashLine))
    painter.setBrush(Qt.BrushStyle.NoBrush)
    painter.drawRoundedRect(QRectF(2, 84 - 76 * 0.84, 30, 76 * 0.84 - 27), 2, 2)
    _note(painter, 48, 8, "used before: it loses its lead")


def _next_token(painter: QPainter) -> None:
    colors = theme.palette()
    for row, (own, now) in enumerate(((0.42, 0.61), (0.22, 0.27), (0.13, 0.12), (0.09, 0.0))):
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor(colors.accent))
        painter.drawRoundedRect(QRectF(0, 6 + row * 21, 380 * now, 9), 2, 2)
        painter.setBrush(QColor(colors.muted))
        painter.drawRect(QRectF(0, 17 + row * 21, 380 * own, 1.5))


_PICTURES = {
    "temperature": _temperature,
    "top_k": _top_k,
    "top_p": _top_p,
    "min_p": _min_p,
    "repetition_penalty": _penalty,
    "frequency_penalty": _penalty,
    "presence_penalty": _penalty,
    "next_token": _next_token,
    **glossary_models.PICTURES,
    **glossary_inside.PICTURES,
    **glossary_train.PICTURES,
}


class Popup(QFrame):
    """The card that a term opens; it goes with the next click or key."""

    def __init__(self, term: str, title: str, help: str, parent: QWidget) -> None:
        super().__init__(parent, Qt.WindowType.Popup | Qt.WindowType.FramelessWindowHint)
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.setObjectName("glossary")
        theme.mark(self, surface="raised")
        column = QVBoxLayout(self)
        column.setContentsMargins(16, 12, 16, 16)
        column.setSpacing(8)
        column.addWidget(theme.mark(QLabel(title), role="strong"))
        text = QLabel(f"{help} {MORE.get(term, '')}".strip())
        text.setWordWrap(True)
        text.setFixedWidth(272)
        theme.mark(text, role="small")
        column.addWidget(text)
        column.addWidget(Picture(term))

    def keyPressEvent(self, event: QKeyEvent) -> None:
        self.close()


class Term(QLabel):
    """A label that opens an explanation: by click, or by Return or Space when it has the focus."""

    def __init__(self, term: str, title: str, help: str, parent: QWidget | None = None) -> None:
        super().__init__(title, parent)
        self._term, self._title, self._help = term, title, help
        self.setCursor(Qt.CursorShape.WhatsThisCursor)
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.setToolTip(help)
        self.setAccessibleName(f"{title}, explanation")
        self.setAccessibleDescription(help)
        self.setMinimumHeight(20)
        theme.mark(self, role="small")
        self.setAttribute(Qt.WidgetAttribute.WA_Hover)

    def mousePressEvent(self, event: QMouseEvent) -> None:
        self.explain()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter, Qt.Key.Key_Space):
            self.explain()
        else:
            super().keyPressEvent(event)

    def focusInEvent(self, event: QFocusEvent) -> None:
        super().focusInEvent(event)
        self.update()

    def explain(self) -> Popup:
        """Opens the card below the term, or above where there is no room."""
        popup = Popup(self._term, self._title, self._help, self)
        popup.adjustSize()
        place = self.mapToGlobal(QPoint(0, self.height() + 4))
        screen = self.screen().availableGeometry()
        if place.y() + popup.height() > screen.bottom():
            place = self.mapToGlobal(QPoint(0, -popup.height() - 4))
        place.setX(max(screen.left() + 8, min(place.x(), screen.right() - popup.width() - 8)))
        popup.move(place)
        popup.show()
        return popup

    def paintEvent(self, event: QPaintEvent) -> None:
        super().paintEvent(event)
        colors = theme.palette()
        painter = QPainter(self)
        hot = self.hasFocus() or self.underMouse()
        pen = QPen(QColor(colors.accent if hot else colors.faint), 1)
        pen.setDashPattern([1, 2])
        pen.setCapStyle(Qt.PenCapStyle.FlatCap)
        painter.setPen(pen)
        metrics = self.fontMetrics()
        y = (self.height() + metrics.ascent() - metrics.descent()) / 2 + 2.5
        painter.drawLine(QPointF(0, y), QPointF(min(self.width(), metrics.horizontalAdvance(self.text())), y))


def known(name: str, title: str = "", parent: QWidget | None = None) -> Term:
    """The label of a term whose texts are in `glossary_models`, `glossary_inside` or `glossary_train`; `title` where it is called otherwise."""
    usual, text, _ = TEXTS[name]
    return Term(name, title or usual, text, parent)
