"""The tree of a beam search, painted by hand: a column a step, the likeliest on top, what lives joined by lines, what fell out faint.

Knows nodes and no session. What a beam is made of is told by the weight of its line and a fill, ends by a sign, what was pruned by a dashed rim:
never by colour alone. Dragging and the wheel pan, Ctrl+wheel, + and - zoom; pointing tells a token's numbers.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from PySide6.QtCore import QEvent, QPointF, QRectF, Qt, Signal
from PySide6.QtGui import (
    QColor,
    QFont,
    QHelpEvent,
    QKeyEvent,
    QMouseEvent,
    QPainter,
    QPainterPath,
    QPaintEvent,
    QPen,
    QWheelEvent,
)
from PySide6.QtWidgets import QAbstractScrollArea, QToolTip, QWidget

from playground.gui import theme
from playground.protocol import BeamNode

WIDE, HIGH = 132, 34
"""of a cell, in pixels at zoom 1"""
BOX = 98
MARGIN = 20
HEAD = 24
LEAST, MOST = 0.35, 2.0
SIGNS = {"ended": "■", "cut": "□"}
WORDS = {
    "kept": "lives on",
    "pruned": "pruned: others are likelier",
    "ended": "ends here, by the model's own token",
    "cut": "ends here, by the limit",
}


class BeamTree(QAbstractScrollArea):
    """`add` steps as they come; `choose` marks the beam that ends at a node; `picked(node)` tells of a click. Object name `beam.tree`."""

    picked = Signal(int)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("beam.tree")
        self.setAccessibleName("Tree of the search")
        self.setMouseTracking(True)
        self.viewport().setMouseTracking(True)
        self.setFrameShape(QAbstractScrollArea.Shape.NoFrame)
        self.zoom = 1.0
        self._steps: list[tuple[BeamNode, ...]] = []
        self._places: dict[int, tuple[int, int]] = {}
        """step and row of a node, by number"""
        self._nodes: dict[int, BeamNode] = {}
        self._found: set[int] = set()
        """nodes of the beams that were given back"""
        self._chosen: list[int] = []
        self._hover = -1
        self._drag: QPointF | None = None
        self._moved = False
        theme.notifier().changed.connect(self.viewport().update)

    # -- what is shown

    def show_steps(self, steps: Sequence[Sequence[BeamNode]]) -> None:
        """A whole tree in place of what there was."""
        self._steps, self._places, self._nodes, self._found, self._chosen = [], {}, {}, set(), []
        self._hover = -1
        for step in steps:
            self._put(step)
        self._ranges()
        self.horizontalScrollBar().setValue(0)
        self.viewport().update()

    def add(self, steps: Iterable[Sequence[BeamNode]]) -> None:
        """More steps; the view follows if it stood at the end."""
        bar = self.horizontalScrollBar()
        at_end = bar.value() >= bar.maximum() - 4
        for step in steps:
            self._put(step)
        self._ranges()
        if at_end:
            bar.setValue(bar.maximum())
        self.viewport().update()

    def show_found(self, ends: Iterable[int]) -> None:
        """The last nodes of what was given back."""
        self._found = {node for end in ends for node in self.path(end)}
        self.viewport().update()

    def choose(self, end: int) -> None:
        """Marks the beam through a node, and brings its end into sight."""
        self._chosen = self.path(end)
        if end in self._places:
            box = self._box(end)
            self._reveal(box)
        self.viewport().update()

    def path(self, end: int) -> list[int]:
        """The nodes from the first token to this one."""
        found = []
        while end in self._nodes:
            found.append(end)
            end = self._nodes[end].parent
        return found[::-1]

    def text(self, end: int) -> str:
        return "".join(self._nodes[each].text for each in self.path(end))

    def node(self, number: int) -> BeamNode | None:
        return self._nodes.get(number)

    def _put(self, step: Sequence[BeamNode]) -> None:
        lives = [each for each in step if each.state != "pruned"]
        for place, each in enumerate([*lives, *(each for each in step if each.state == "pruned")]):
            self._places[each.id] = (len(self._steps), place)
            self._nodes[each.id] = each
        self._steps.append(tuple(step))

    # -- geometry

    def _ranges(self) -> None:
        rows = max((len(step) for step in self._steps), default=0)
        wide = 2 * MARGIN + (len(self._steps) * WIDE + 40) * self.zoom
        high = 2 * MARGIN + HEAD + rows * HIGH * self.zoom
        room = self.viewport().size()
        self.horizontalScrollBar().setRange(0, max(0, math.ceil(wide - room.width())))
        self.horizontalScrollBar().setPageStep(room.width())
        self.horizontalScrollBar().setSingleStep(24)
        self.verticalScrollBar().setRange(0, max(0, math.ceil(high - room.height())))
        self.verticalScrollBar().setPageStep(room.height())
        self.verticalScrollBar().setSingleStep(24)

    def _origin(self) -> QPointF:
        return QPointF(
            MARGIN + 40 * self.zoom - self.horizontalScrollBar().value(), MARGIN + HEAD - self.verticalScrollBar().value()
        )

    def _box(self, number: int) -> QRectF:
        """Where a node stands in the viewport."""
        step, row = self._places[number]
        origin, zoom = self._origin(), self.zoom
        return QRectF(origin.x() + step * WIDE * zoom, origin.y() + row * HIGH * zoom + 4 * zoom, BOX * zoom, (HIGH - 8) * zoom)

    def _reveal(self, box: QRectF) -> None:
        room = QRectF(self.viewport().rect()).adjusted(24, 24, -24, -24)
        bar = self.horizontalScrollBar()
        if box.right() > room.right() or box.left() < room.left():
            bar.setValue(round(bar.value() + box.center().x() - room.center().x()))

    def _at(self, point: QPointF) -> int:
        return next((number for number in self._visible() if self._box(number).contains(point)), -1)

    def _visible(self) -> list[int]:
        origin, wide = self._origin().x(), WIDE * self.zoom
        first = max(0, int(-origin // wide) - 1)
        last = int((self.viewport().width() - origin) // wide) + 1
        return [each.id for step in self._steps[first : last + 1] for each in step]

    # -- painting

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self.viewport())
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        colors = theme.palette()
        painter.fillRect(self.viewport().rect(), QColor(colors.surface))
        if not self._steps:
            return
        shown = self._visible()
        chosen = set(self._chosen)
        for number in sorted(shown, key=lambda each: (each in chosen, each in self._found)):
            self._line(painter, number, number in chosen)
        font = theme.font("mono_small")
        font.setPixelSize(max(7, round(font.pixelSize() * min(1.25, self.zoom))))
        for number in shown:
            self._cell(painter, number, font, number in chosen)
        self._head(painter)

    def _line(self, painter: QPainter, number: int, chosen: bool) -> None:
        node, box, colors = self._nodes[number], self._box(number), theme.palette()
        end = QPointF(box.left(), box.center().y())
        if node.parent in self._places:
            before = self._box(node.parent)
            start = QPointF(before.right(), before.center().y())
        else:
            start = QPointF(self._origin().x() - 40 * self.zoom, self._origin().y() + HIGH * self.zoom / 2)
        ink = colors.accent if chosen or number in self._found else colors.muted if node.state != "pruned" else colors.line
        wide = 2.6 if chosen else 1.6 if number in self._found else 1.0
        style = Qt.PenStyle.DashLine if node.state == "pruned" else Qt.PenStyle.SolidLine
        painter.setPen(QPen(QColor(ink), wide, style))
        painter.setBrush(Qt.BrushStyle.NoBrush)
        bend = (end.x() - start.x()) / 2
        path = QPainterPath(start)
        path.cubicTo(QPointF(start.x() + bend, start.y()), QPointF(end.x() - bend, end.y()), end)
        painter.drawPath(path)

    def _cell(self, painter: QPainter, number: int, font: QFont, chosen: bool) -> None:
        node, box, colors = self._nodes[number], self._box(number), theme.palette()
        found = number in self._found
        pruned = node.state == "pruned"
        fill = colors.accent if chosen else colors.accent_soft if found else colors.surface if pruned else colors.raised
        rim = colors.accent if chosen or found or number == self._hover else colors.line
        painter.setPen(QPen(QColor(rim), 1.0, Qt.PenStyle.DashLine if pruned else Qt.PenStyle.SolidLine))
        painter.setBrush(QColor(fill))
        radius = theme.RADIUS * self.zoom
        painter.drawRoundedRect(box, radius, radius)
        ink = colors.accent_text if chosen else colors.muted if pruned else colors.text
        painter.setFont(font)
        painter.setPen(QColor(ink))
        chance = _percent(node.logprob)
        metrics = painter.fontMetrics()
        right = metrics.horizontalAdvance(chance)
        inner = box.adjusted(7 * self.zoom, 0, -6 * self.zoom, 0)
        if self.zoom < 0.55:
            right = 0
        else:
            painter.drawText(inner, int(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter), chance)
        sign = SIGNS.get(node.state, "")
        room = inner.width() - right - 6 - (metrics.horizontalAdvance(sign) + 3 if sign else 0)
        text = metrics.elidedText(shown_text(node.text), Qt.TextElideMode.ElideRight, round(room))
        painter.drawText(
            inner, int(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter), f"{text} {sign}" if sign else text
        )

    def _head(self, painter: QPainter) -> None:
        colors = theme.palette()
        room = QRectF(0, 0, self.viewport().width(), HEAD + 4)
        painter.fillRect(room, QColor(colors.surface))
        painter.setFont(theme.font("small"))
        painter.setPen(QColor(colors.muted))
        origin = self._origin().x()
        every = 1 if self.zoom >= 0.5 else 5
        for step in range(0, len(self._steps), every):
            x = origin + step * WIDE * self.zoom
            if -WIDE < x < self.viewport().width():
                painter.drawText(
                    QRectF(x, 4, BOX * max(self.zoom, 0.6), HEAD),
                    int(Qt.AlignmentFlag.AlignHCenter | Qt.AlignmentFlag.AlignVCenter),
                    str(step + 1),
                )

    # -- hands

    def viewportEvent(self, event: QEvent) -> bool:
        if isinstance(event, QHelpEvent) and event.type() == QEvent.Type.ToolTip:
            node = self._nodes.get(self._at(QPointF(event.pos())))
            if node is None:
                QToolTip.hideText()
            else:
                QToolTip.showText(event.globalPos(), self.tip(node), self.viewport())
            return True
        return super().viewportEvent(event)

    def tip(self, node: BeamNode) -> str:
        """What pointing at a token tells."""
        return (
            f"{shown_text(node.text)}   token {node.token_id}\n"
            f"probability {_percent(node.logprob)}, logprob {node.logprob:.4f}\n"
            f"sum from the prompt {node.total:.4f}, a token {node.total / node.length:.4f}\n"
            f"{WORDS[node.state]}"
        )

    def mousePressEvent(self, event: QMouseEvent) -> None:
        if event.button() == Qt.MouseButton.LeftButton:
            self._drag, self._moved = event.position(), False

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        if self._drag is not None and event.buttons() & Qt.MouseButton.LeftButton:
            moved = event.position() - self._drag
            if self._moved or moved.manhattanLength() > 5:
                self._moved = True
                self.viewport().setCursor(Qt.CursorShape.ClosedHandCursor)
                self.horizontalScrollBar().setValue(round(self.horizontalScrollBar().value() - moved.x()))
                self.verticalScrollBar().setValue(round(self.verticalScrollBar().value() - moved.y()))
                self._drag = event.position()
            return
        found = self._at(event.position())
        if found != self._hover:
            self._hover = found
            self.viewport().setCursor(Qt.CursorShape.PointingHandCursor if found >= 0 else Qt.CursorShape.ArrowCursor)
            self.viewport().update()

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        found = self._at(event.position())
        if self._drag is not None and not self._moved and found >= 0:
            self.picked.emit(found)
        self._drag = None
        self.viewport().setCursor(Qt.CursorShape.ArrowCursor)

    def wheelEvent(self, event: QWheelEvent) -> None:
        if event.modifiers() & Qt.KeyboardModifier.ControlModifier:
            self.zoom_by(1.0015 ** event.angleDelta().y(), event.position())
            event.accept()
        else:
            super().wheelEvent(event)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.text() in ("+", "="):
            self.zoom_by(1.2)
        elif event.text() == "-":
            self.zoom_by(1 / 1.2)
        elif event.text() == "0":
            self.zoom_by(1 / self.zoom)
        else:
            super().keyPressEvent(event)

    def zoom_by(self, factor: float, about: QPointF | None = None) -> None:
        """Nearer or farther; what lies under `about` stays there."""
        about = about or QPointF(self.viewport().rect().center())
        before = self.zoom
        self.zoom = min(MOST, max(LEAST, before * factor))
        ratio = self.zoom / before
        across, down = self.horizontalScrollBar(), self.verticalScrollBar()
        # The margins stay as they are, whatever the zoom.
        x = (across.value() + about.x() - MARGIN) * ratio + MARGIN - about.x()
        y = (down.value() + about.y() - MARGIN - HEAD) * ratio + MARGIN + HEAD - about.y()
        self._ranges()
        across.setValue(round(x))
        down.setValue(round(y))
        self.viewport().update()

    def resizeEvent(self, event: object) -> None:
        self._ranges()

    def scrollContentsBy(self, dx: int, dy: int) -> None:
        self.viewport().update()


def shown_text(text: str) -> str:
    """A token's text with its white space made visible."""
    return text.replace("\n", "⏎").replace("\t", "⇥").replace(" ", "·") or "∅"


def _percent(logprob: float) -> str:
    chance = math.exp(logprob) * 100
    return f"{chance:.0f}%" if chance >= 9.95 else f"{chance:.1f}%" if chance >= 0.05 else "<.1%"
