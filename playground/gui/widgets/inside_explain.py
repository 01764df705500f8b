"""Beside the view, what it shows: short texts with the numbers of the capture at hand, and small pictures. A view of `InsideState`.

The texts are `inside.explaining`'s. They follow the layer, the head and the token.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from PySide6.QtCore import QPointF, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QPainter, QPaintEvent, QPen, QPolygonF
from PySide6.QtWidgets import QFrame, QLabel, QScrollArea, QVBoxLayout, QWidget

from playground.gui import theme
from playground.gui.widgets import glossary_inside
from playground.gui.widgets.glossary_inside import grid, note
from playground.gui.widgets.inside_state import InsideState
from playground.inside.explaining import ModelFacts, Section, sections
from playground.inside.layout import Header

WIDE = 288
PICTURE = QSize(256, 88)


class InsideExplain(QScrollArea):
    """Object name: `inside.explain`; the texts are labels `inside.explain.<section>`."""

    def __init__(self, state: InsideState, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("inside.explain")
        self.setAccessibleName("What you see")
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setWidgetResizable(True)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setMinimumWidth(WIDE)
        self.state = state
        self._facts: dict[str, ModelFacts | None] = {}
        self._parts: dict[str, tuple[QLabel, _Picture, QLabel]] = {}
        inner = QFrame()
        theme.mark(inner, surface="window")
        self._column = QVBoxLayout(inner)
        self._column.setContentsMargins(16, 16, 16, 16)
        self._column.setSpacing(8)
        self._column.addWidget(theme.mark(QLabel("What you see"), role="heading"))
        self._column.addStretch(1)
        self.setWidget(inner)
        state.captures_changed.connect(self.show_all)
        state.look_changed.connect(self.show_all)
        state.token_changed.connect(self.show_all)
        self.show_all()

    def show_all(self) -> None:
        """Says what is to be said of what is looked at now. While nobody sees it there is nothing to do."""
        header = self.state.header
        if header is None or self.isHidden():
            for name in list(self._parts):
                self._show_part(name, None)
            return
        path = header.model_path
        if path not in self._facts:
            self._facts[path] = None
            self._ask(path)
        token = self.state.token if self.state.direction == "from" else None
        said = {each.name: each for each in sections(header, self.state.look, token, self._facts[path])}
        for name in [*said, *(each for each in self._parts if each not in said)]:
            self._show_part(name, said.get(name), header)

    def _ask(self, path: str) -> None:
        def work() -> ModelFacts | None:
            from playground.session.inside_facts import facts_of

            return facts_of(Path(path)) if path else None

        def take(found: ModelFacts | None) -> None:
            self._facts[path] = found
            self.show_all()

        self.state.ask(f"facts {path}", work, self, take, kind="rows")

    def _show_part(self, name: str, section: Section | None, header: Header | None = None) -> None:
        if name not in self._parts:
            if section is None:
                return
            title, picture, text = QLabel(), _Picture(), QLabel()
            theme.mark(title, role="strong")
            title.setWordWrap(True)
            title.setContentsMargins(0, 8, 0, 0)
            text.setObjectName(f"inside.explain.{name}")
            text.setWordWrap(True)
            text.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
            theme.mark(text, role="small")
            self._parts[name] = title, picture, text
            place = list(ORDER).index(name) if name in ORDER else len(ORDER)
            before = sum(1 for each in self._parts if each != name and each in ORDER and list(ORDER).index(each) < place)
            for number, widget in enumerate((title, picture, text)):
                self._column.insertWidget(1 + 3 * before + number, widget)
        title, picture, text = self._parts[name]
        for widget in (title, picture, text):
            widget.setVisible(section is not None)
        if section is not None:
            title.setText(section.title)
            text.setText(section.text)
            picture.show_picture(section.picture, header, self.state)

    def showEvent(self, event: Any) -> None:
        super().showEvent(event)
        self.show_all()


ORDER = ("product", "softmax", "mask", "heads", "window", "cap", "absent", "rollout", "kept")


class _Picture(QWidget):
    def __init__(self) -> None:
        super().__init__()
        self._draw: Callable[[QPainter, Header, int], None] | None = None
        self._header: Header | None = None
        self._head = 0
        self.setFixedSize(QSize(PICTURE.width(), 0))

    def show_picture(self, name: str, header: Header | None, state: InsideState) -> None:
        self._draw, self._header = _PICTURES.get(name), header
        self._head = state.look.head
        self.setFixedSize(QSize(PICTURE.width(), PICTURE.height() if self._draw is not None else 0))
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        if self._draw is not None and self._header is not None:
            painter = QPainter(self)
            painter.setRenderHint(QPainter.RenderHint.Antialiasing)
            painter.setFont(theme.font("small"))
            self._draw(painter, self._header, self._head)


def _block(painter: QPainter, rect: QRectF, color: str, text: str = "") -> None:
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(QColor(color))
    painter.drawRoundedRect(rect, 2, 2)
    if text:
        painter.setPen(QColor(theme.palette().muted))
        painter.drawText(rect.translated(0, rect.height() / 2 + 10), int(Qt.AlignmentFlag.AlignCenter), text)


def _product(painter: QPainter, header: Header, head: int) -> None:
    """Queries lying, keys standing, their product a square."""
    colors = theme.palette()
    for row in range(5):
        _block(painter, QRectF(4, 30 + row * 11, 48, 9), colors.accent if row == 3 else colors.line)
        _block(painter, QRectF(136 + row * 11, 4, 9, 22), colors.accent if row == 1 else colors.line)
        for column in range(5):
            hit = (row, column) == (3, 1)
            masked = header.kind == "causal" and column > row
            _block(
                painter,
                QRectF(136 + column * 11, 30 + row * 11, 9, 9),
                colors.accent if hit else colors.window if masked else colors.line,
            )
    painter.setPen(QColor(colors.muted))
    painter.drawText(QRectF(4, 6, 110, 18), f"Q: {header.length:,} × {header.head_width}")
    painter.drawText(QRectF(200, 6, 56, 18), "Kᵀ")
    painter.drawText(QRectF(66, 46, 64, 18), int(Qt.AlignmentFlag.AlignCenter), "Q·Kᵀ →")
    painter.drawText(QRectF(196, 46, 60, 34), f"{header.length:,}\n× {header.width:,}")


def _softmax(painter: QPainter, header: Header, head: int) -> None:
    colors = theme.palette()
    for place, (before, after) in enumerate(((0.5, 0.08), (-0.4, 0.03), (1.9, 0.33), (-1.0, 0.02), (2.4, 0.54))):
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor(colors.muted))
        painter.drawRect(QRectF(8 + place * 18, 44 - max(0, before) * 15, 12, abs(before) * 15))
        painter.setBrush(QColor(colors.accent))
        painter.drawRect(QRectF(150 + place * 18, 66 - after * 100, 12, max(1, after * 100)))
    painter.setPen(QPen(QColor(colors.line), 1))
    painter.drawLine(QPointF(4, 44), QPointF(100, 44))
    painter.drawLine(QPointF(146, 66), QPointF(244, 66))
    painter.setPen(QColor(colors.muted))
    painter.drawText(QRectF(4, 70, 100, 16), int(Qt.AlignmentFlag.AlignCenter), "products")
    painter.drawText(QRectF(146, 70, 100, 16), int(Qt.AlignmentFlag.AlignCenter), "weights, sum 1")
    painter.drawText(QRectF(104, 34, 40, 18), int(Qt.AlignmentFlag.AlignCenter), "→")


def _mask(painter: QPainter, header: Header, head: int) -> None:
    grid(painter, lambda row, column: 0.55)
    note(painter, ("row: who looks", "column: at whom", "dots: later, masked"))


def _heads(painter: QPainter, header: Header, head: int) -> None:
    """Query heads above, the keys that they share below."""
    colors = theme.palette()
    count, groups = min(header.model_heads, 16), max(1, min(header.kv_heads, 16))
    share = max(1, header.model_heads // max(1, header.kv_heads))
    step = 248 / count
    for each in range(count):
        x = 4 + each * step + step / 2
        group = min(each // share, groups - 1)
        members = [other for other in range(count) if min(other // share, groups - 1) == group]
        below = 4 + (members[0] + members[-1] + 1) / 2 * step
        mine = each == head
        painter.setPen(QPen(QColor(colors.accent if mine else colors.line), 1.5))
        painter.drawLine(QPointF(x, 22), QPointF(below, 52))
        _block(painter, QRectF(x - step / 2 + 2, 8, step - 4, 14), colors.accent if mine else colors.line)
        holds = header.group(head) == group and head < count
        _block(
            painter,
            QRectF(below - min(14, step / 2 * len(members) - 1), 52, 2 * min(14, step / 2 * len(members) - 1), 12),
            colors.accent if holds else colors.line,
        )
    painter.setPen(QColor(colors.muted))
    more = f" (the first {count} shown)" if count < header.model_heads else ""
    painter.drawText(QRectF(4, 68, 252, 16), f"{header.model_heads} queries, {header.kv_heads} keys{more}")


def _window(painter: QPainter, header: Header, head: int) -> None:
    grid(painter, lambda row, column: 0.55 if row - column < 3 else 0.0)
    note(painter, ("only the last few", "are in sight"))


def _cap(painter: QPainter, header: Header, head: int) -> None:
    import math

    colors = theme.palette()
    painter.setPen(QPen(QColor(colors.line), 1))
    painter.drawLine(QPointF(4, 44), QPointF(180, 44))
    painter.drawLine(QPointF(92, 4), QPointF(92, 84))
    painter.setPen(QPen(QColor(colors.muted), 1, Qt.PenStyle.DashLine))
    painter.drawLine(QPointF(52, 84), QPointF(132, 4))
    painter.setPen(QPen(QColor(colors.accent), 2))
    painter.drawPolyline(QPolygonF([QPointF(92 + x, 44 - 32 * math.tanh(x / 32)) for x in range(-88, 89, 4)]))
    painter.setPen(QColor(colors.muted))
    painter.drawText(QRectF(188, 8, 68, 16), "c·tanh(x/c)")


def _rollout(painter: QPainter, header: Header, head: int) -> None:
    glossary_inside.PICTURES["rollout"](painter)


_PICTURES: dict[str, Callable[[QPainter, Header, int], None]] = {
    "product": _product,
    "softmax": _softmax,
    "mask": _mask,
    "heads": _heads,
    "window": _window,
    "cap": _cap,
    "rollout": _rollout,
}
