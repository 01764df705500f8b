"""Words of a token table as pictures: how like each other they are, and where they lie in a plane. Know an answer, and no session."""

from __future__ import annotations

from PySide6.QtCore import QEvent, QPointF, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QColor, QFont, QFontMetricsF, QHelpEvent, QMouseEvent, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QToolTip, QWidget

from playground.gui import theme
from playground.gui.palette import CURVES
from playground.gui.widgets.lens_grid import readable_on
from playground.gui.widgets.next_token import readable
from playground.protocol import Embedded, EmbeddedPoint

LABEL, CELL_MOST = 96, 56
MARGIN = 24
REACH = 14.0
"""pixels within which the pointer is at a point"""


class SimilarityMatrix(QWidget):
    """The cosines of each word and each, as numbers on their shade. Object name `inside.embeddings_matrix`."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("inside.embeddings_matrix")
        self.setAccessibleName("Similarities of the words")
        self.setToolTip("")
        self.found: Embedded | None = None
        theme.notifier().changed.connect(self.update)

    def show_answer(self, found: Embedded | None) -> None:
        self.found = found
        words = found.words if found is not None else ()
        said = [f"{one.text.strip()} and {other.text.strip()} {found.matrix[i][j]:.2f}" for i, one in enumerate(words)
                for j, other in enumerate(words[:i])] if found is not None else []  # fmt: skip
        self.setAccessibleDescription(", ".join(said))
        self.setMinimumHeight(40 + 24 * len(words))
        self.update()

    def sizeHint(self) -> QSize:
        count = len(self.found.words) if self.found is not None else 2
        return QSize(LABEL + 48 * count, 32 + 32 * count)

    def rect_of(self, row: int, column: int) -> QRectF:
        count = max(1, len(self.found.words) if self.found is not None else 1)
        wide = min(CELL_MOST, max(16.0, (self.width() - LABEL - 8) / count))
        high = min(32.0, max(16.0, (self.height() - 32) / count))
        return QRectF(LABEL + column * wide, 28 + row * high, wide - 1, high - 1)

    def paintEvent(self, event: QPaintEvent) -> None:
        painter, colors = QPainter(self), theme.palette()
        painter.fillRect(self.rect(), QColor(colors.surface))
        if self.found is None:
            return
        painter.setFont(theme.font("small"))
        metrics = QFontMetricsF(painter.font())
        words = [each.text.strip() for each in self.found.words]
        painter.setPen(QColor(colors.text))
        for place, word in enumerate(words):
            cell = self.rect_of(place, place)
            shown = metrics.elidedText(word, Qt.TextElideMode.ElideRight, LABEL - 16)
            painter.drawText(QRectF(8, cell.top(), LABEL - 16, cell.height()), _RIGHT, shown)
            shown = metrics.elidedText(word, Qt.TextElideMode.ElideRight, cell.width() - 2)
            painter.drawText(QRectF(cell.left(), 4, cell.width(), 20), Qt.AlignmentFlag.AlignCenter, shown)
        for row, line in enumerate(self.found.matrix):
            for column, value in enumerate(line):
                cell = self.rect_of(row, column)
                color = theme.probability_color(max(0.0, value))
                painter.fillRect(cell, color)
                if cell.width() >= metrics.horizontalAdvance("-0.00"):
                    painter.setPen(readable_on(color))
                    painter.drawText(cell, Qt.AlignmentFlag.AlignCenter, _two_digits(value))

    def event(self, event: QEvent) -> bool:
        if event.type() == QEvent.Type.ToolTip and isinstance(event, QHelpEvent) and self.found is not None:
            words = self.found.words
            said = ""
            for row in range(len(words)):
                for column in range(len(words)):
                    if self.rect_of(row, column).contains(QPointF(event.pos())):
                        said = (
                            f"{words[row].text.strip()} and {words[column].text.strip()}: {self.found.matrix[row][column]:.3f}"
                        )
            QToolTip.showText(event.globalPos(), said, self)
            return True
        return super().event(event)


class ProjectionPlot(QWidget):
    """Words and their neighbours in the plane of their two main directions. Object name `inside.embeddings_plot`.

    Labels never overlap: the chosen words come first, then neighbours as there is room; the others are said where the pointer is.
    """

    picked = Signal(str)
    """a neighbour's text, by a click"""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("inside.embeddings_plot")
        self.setAccessibleName("Words in a plane")
        self.setToolTip("")
        self.setMinimumSize(240, 200)
        self.setMouseTracking(True)
        self.found: Embedded | None = None
        self._pointed: int | None = None
        theme.notifier().changed.connect(self.update)

    def show_answer(self, found: Embedded | None) -> None:
        self.found, self._pointed = found, None
        if found is not None:
            x, y = found.explained
            self.setAccessibleDescription(f"{x:.0%} of the variance across, {y:.0%} upwards")
        self.update()

    def places(self) -> list[QPointF]:
        """Where each point is: both directions on one scale, so that distances are comparable."""
        if self.found is None or not self.found.points:
            return []
        xs, ys = ([getattr(each, axis) for each in self.found.points] for axis in ("x", "y"))
        spread = max(max(xs) - min(xs), 1e-9), max(max(ys) - min(ys), 1e-9)
        across, upwards = max(1, self.width() - 2 * MARGIN - 48), max(1, self.height() - 2 * MARGIN - 16)
        scale = min(across / spread[0], upwards / spread[1])
        middle = QPointF((max(xs) + min(xs)) / 2, (max(ys) + min(ys)) / 2)
        at = QPointF(self.width() / 2, self.height() / 2 - 8)
        return [
            QPointF(at.x() + (x - middle.x()) * scale, at.y() - (y - middle.y()) * scale) for x, y in zip(xs, ys, strict=True)
        ]

    def labels(self) -> dict[int, QRectF]:
        """Where the label of each point stands; none for those without room."""
        if self.found is None:
            return {}
        places = self.places()
        dots = [QRectF(each.x() - 4, each.y() - 4, 8, 8) for each in places]
        words = [number for number, each in enumerate(self.found.points) if each.token_id < 0]
        found: dict[int, QRectF] = {}
        room = QRectF(self.rect()).adjusted(2, 2, -2, -20)
        for place, point in enumerate(self.found.points):
            metrics = QFontMetricsF(self._font(point))
            wide, high = metrics.horizontalAdvance(_text(point)) + 2, metrics.height()
            x, y = places[place].x(), places[place].y()
            for left, top in (
                (x + 7, y - high / 2), (x - 7 - wide, y - high / 2), (x - wide / 2, y - 7 - high), (x - wide / 2, y + 7),
                (x + 5, y - 5 - high), (x + 5, y + 5), (x - 5 - wide, y - 5 - high), (x - 5 - wide, y + 5),
            ):  # fmt: skip
                rect = QRectF(left, top, wide, high)
                # A chosen word may lie on neighbours' dots: it has a label, come what may.
                near = words if point.token_id < 0 else range(len(dots))
                others = (*found.values(), *(dots[number] for number in near if number != place))
                if room.contains(rect) and not any(rect.intersects(each) for each in others):
                    found[place] = rect
                    break
        return found

    def _font(self, point: EmbeddedPoint) -> QFont:
        font = theme.font("small")
        font.setBold(point.token_id < 0)
        return font

    def paintEvent(self, event: QPaintEvent) -> None:
        painter, colors = QPainter(self), theme.palette()
        painter.fillRect(self.rect(), QColor(colors.surface))
        if self.found is None:
            return
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        places, points = self.places(), self.found.points
        first = {point.word: place for place, point in enumerate(points) if point.token_id < 0}
        for place, point in enumerate(points):
            if point.token_id >= 0 and point.word in first:
                color = QColor(_color(point.word))
                color.setAlphaF(0.28)
                painter.setPen(QPen(color, 1))
                painter.drawLine(places[first[point.word]], places[place])
        painter.setPen(Qt.PenStyle.NoPen)
        for place, point in enumerate(points):
            painter.setBrush(QColor(_color(point.word)))
            size = 5.0 if point.token_id < 0 else 3.0
            painter.drawEllipse(places[place], size, size)
        labels = self.labels()
        if self._pointed is not None and self._pointed not in labels:
            metrics = QFontMetricsF(self._font(points[self._pointed]))
            at = places[self._pointed]
            labels[self._pointed] = QRectF(
                at.x() + 8,
                at.y() - metrics.height() / 2,
                metrics.horizontalAdvance(_text(points[self._pointed])) + 2,
                metrics.height(),
            )
            painter.fillRect(labels[self._pointed], QColor(colors.raised))
        for place, rect in labels.items():
            painter.setFont(self._font(points[place]))
            painter.setPen(QColor(colors.text if points[place].token_id < 0 or place == self._pointed else colors.muted))
            painter.drawText(rect, Qt.AlignmentFlag.AlignCenter, _text(points[place]))
        painter.setFont(theme.font("small"))
        painter.setPen(QColor(colors.muted))
        x, y = self.found.explained
        hidden = len(points) - len(labels)
        said = f"{x:.0%} of the variance across, {y:.0%} upwards"
        more = f", {hidden} without a label: point at them" if hidden else ""
        room = QRectF(8, self.height() - 20, self.width() - 16, 18)
        metrics = QFontMetricsF(painter.font())
        # As much of it as there is room for.
        whole = (f"{said}; the rest is not seen{more}", f"{said}{more}", said)
        fits = next((each for each in whole if metrics.horizontalAdvance(each) <= room.width()), "")
        shown = fits or metrics.elidedText(said, Qt.TextElideMode.ElideRight, round(room.width()))
        painter.drawText(room, Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter, shown)

    def point_at(self, position: QPointF) -> int | None:
        """The point nearest to a place, within reach."""
        best = min(enumerate(self.places()), key=lambda each: (each[1] - position).manhattanLength(), default=(None, QPointF()))
        number, place = best
        return number if number is not None and (place - position).manhattanLength() <= REACH else None

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        found = self.point_at(event.position())
        if found != self._pointed:
            self._pointed = found
            self.update()

    def leaveEvent(self, event: QEvent) -> None:
        self._pointed = None
        self.update()
        super().leaveEvent(event)

    def mousePressEvent(self, event: QMouseEvent) -> None:
        found = self.point_at(event.position())
        if self.found is not None and found is not None and self.found.points[found].token_id >= 0:
            self.picked.emit(self.found.points[found].text)


def _two_digits(value: float) -> str:
    return f"{value:.2f}".replace("-0.00", "0.00").replace("-", "−")


def _text(point: EmbeddedPoint) -> str:
    return point.text.strip() if point.token_id < 0 else readable(point.text)


def _color(word: int) -> str:
    return CURVES[word % len(CURVES)][theme.palette().dark]


_RIGHT = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
