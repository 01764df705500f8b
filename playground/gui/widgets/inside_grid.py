"""All layers and all heads at a glance: a thumbnail each, all of them one picture.

A press or the arrow keys choose the head that is looked at.
"""

from __future__ import annotations

import math

import numpy as np
from PySide6.QtCore import QEvent, QPoint, QPointF, QRect, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QFontMetricsF, QHelpEvent, QImage, QKeyEvent, QMouseEvent, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QAbstractScrollArea, QToolTip, QWidget

from playground.gui import theme
from playground.gui.palette import Palette
from playground.gui.widgets.heat_paint import step_of
from playground.gui.widgets.inside_shades import Shades
from playground.gui.widgets.inside_state import InsideState
from playground.inside import atlas, scales
from playground.inside.scales import Spread

LEFT, TOP, MARGIN = 28, 20, 4
LEAST, MOST = 8, 72
"""pixels of a thumbnail's side"""


class HeadGrid(QAbstractScrollArea):
    """Object name `inside.grid`."""

    def __init__(self, state: InsideState, shades: Shades, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("inside.grid")
        self.setAccessibleName("Heads")
        self.setToolTip("")
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setFrameShape(QAbstractScrollArea.Shape.NoFrame)
        self.setMinimumWidth(160)
        self.viewport().setMouseTracking(True)
        self.horizontalScrollBar().setSingleStep(24)
        self.verticalScrollBar().setSingleStep(24)
        self._state, self._shades = state, shades
        self._picture: QImage | None = None
        self._pointed: tuple[int, int] | None = None
        state.captures_changed.connect(self._renew)
        state.look_changed.connect(self._look_changed)
        state.scale_changed.connect(self._redraw)
        theme.notifier().changed.connect(self._redraw)
        self._view = state.view
        self._renew()

    # -- geometry: in thumbnails, not in the model's numbers

    @property
    def shape_of(self) -> tuple[int, int]:
        """Layers and heads that there are"""
        header = self._state.header
        return (len(header.layers), len(header.heads)) if header is not None else (0, 0)

    def _gap(self, side: int) -> int:
        return 1 if side < 14 else 2 if side < 32 else 3

    def _side(self) -> int:
        """Pixels of a thumbnail: as many as fit across; where everything then fits in both ways, all of it is seen."""
        layers, heads = self.shape_of
        if not layers:
            return LEAST
        wide = (self.viewport().width() - LEFT - MARGIN) // heads
        side = wide - self._gap(wide - 1)
        return min(MOST, max(LEAST, side))

    def width_for(self, height: int) -> int:
        """Pixels across in which the thumbnails are as large as they may be for all layers to be seen in `height`."""
        layers, heads = self.shape_of
        if not layers:
            return 0
        side = min(MOST, max(LEAST, (height - TOP - MARGIN) // layers - 3))
        return LEFT + heads * (side + self._gap(side)) + MARGIN

    def _pitch(self) -> int:
        side = self._side()
        return side + self._gap(side)

    def rect_of(self, layer_place: int, head_place: int) -> QRect:
        """Where a thumbnail is in the viewport."""
        pitch, side = self._pitch(), self._side()
        x = LEFT + head_place * pitch - self.horizontalScrollBar().value()
        y = TOP + layer_place * pitch - self.verticalScrollBar().value()
        return QRect(x, y, side, side)

    def head_at(self, position: QPointF | QPoint) -> tuple[int, int] | None:
        """The places of layer and head there."""
        pitch = self._pitch()
        if position.x() < LEFT or position.y() < TOP:
            return None
        head = int(position.x() - LEFT + self.horizontalScrollBar().value()) // pitch
        layer = int(position.y() - TOP + self.verticalScrollBar().value()) // pitch
        layers, heads = self.shape_of
        return (layer, head) if layer < layers and head < heads else None

    def _fit_bars(self) -> None:
        layers, heads = self.shape_of
        pitch, room = self._pitch(), self.viewport().size()
        for bar, count, start, size in (
            (self.horizontalScrollBar(), heads, LEFT, room.width()),
            (self.verticalScrollBar(), layers, TOP, room.height()),
        ):
            bar.setRange(0, max(0, start + count * pitch + MARGIN - size))
            bar.setPageStep(max(1, size))

    # -- what the state says

    def _renew(self) -> None:
        self._pointed = None
        self._redraw()
        self._look_changed()

    def _look_changed(self) -> None:
        if self._state.view != self._view:
            self._view = self._state.view
            self._redraw()
        header, look = self._state.header, self._state.look
        if header is not None:
            self.setAccessibleDescription(self.words(header.layers.index(look.layer), header.heads.index(look.head)))
            self._show_current()
        self.viewport().update()

    def _show_current(self) -> None:
        header, look = self._state.header, self._state.look
        assert header is not None
        rect = self.rect_of(header.layers.index(look.layer), header.heads.index(look.head))
        room = self.viewport().rect().adjusted(LEFT, TOP, 0, 0)
        if not room.contains(rect):
            across, down = self.horizontalScrollBar(), self.verticalScrollBar()
            across.setValue(across.value() + min(0, rect.left() - room.left()) + max(0, rect.right() - room.right()))
            down.setValue(down.value() + min(0, rect.top() - room.top()) + max(0, rect.bottom() - room.bottom()))

    def _redraw(self) -> None:
        self._picture = None
        self._fit_bars()
        self.viewport().update()

    def words(self, layer_place: int, head_place: int) -> str:
        """A head and its best pattern; of a difference the one of which B has most more or less than A."""
        state, capture = self._state, self._state.capture
        if capture is None:
            return ""
        header = capture.header
        said = f"Layer {header.layers[layer_place]}, head {header.heads[head_place]}"
        scores = capture.scores[layer_place, head_place]
        if state.signed:
            if state.b is None or state.partly:  # the scores are those of the whole texts
                return said
            scores = state.b.scores[layer_place, head_place] - scores
        if np.isnan(scores).all():
            return said
        best = int(np.nanargmax(np.abs(scores)))
        return f"{said}\n{header.score_names[best]} {scores[best]:{'+' if state.signed else ''}.2f}"

    # -- painting

    def _made(self) -> QImage:
        """All thumbnails as one picture, at the screen's resolution."""
        if self._picture is None:
            ratio = self.viewport().devicePixelRatioF()
            side = round(self._side() * ratio)
            self._picture = self.picture(side, round(self._pitch() * ratio) - side, theme.palette())
            self._picture.setDevicePixelRatio(ratio)
        return self._picture

    def picture(self, side: int, gap: int, colors: Palette) -> QImage:
        """All thumbnails, each of `side` pixels, without marks and labels."""
        state = self._state
        header = state.header
        assert header is not None
        small = self._shades.fitted(side)
        table = self._table(colors, side)
        mask = _color(colors.sunken) if header.causal else None
        pixels = atlas.compose(small, table, side, gap, _color(colors.window), mask)
        rows, columns = pixels.shape
        return QImage(pixels.data, columns, rows, columns * 4, QImage.Format.Format_RGB32).copy()

    def _table(self, colors: Palette, side: int) -> np.ndarray:
        """0xAARRGGBB of codes: [256], or [layers, heads, 256] where every head has its own scale."""
        kind, signed = self._state.scale.kind, self._state.signed
        base = _packed(self._shades.base(colors))
        if self._state.scale.shared:
            return base[scales.code_places(kind, self._shades.spread())]
        if kind == "percentile":
            return base[self._shades.graded(side)]
        # All depends on the greatest, and that is one of 256.
        ends, which = np.unique(self._shades.greatest(), return_inverse=True)
        none = np.zeros(256, np.int64)
        places = np.array([scales.code_places(kind, Spread(float(end), none, signed)) for end in ends])
        return base[places][which.reshape(self.shape_of)]

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self.viewport())
        colors = theme.palette()
        painter.fillRect(self.viewport().rect(), QColor(colors.window))
        header = self._state.header
        if header is None:
            return
        try:
            picture = self._made()
        except Exception as error:  # the file is gone; the page says so
            self._state.failed.emit(error)
            return
        room = self.viewport().rect()
        across, down = self.horizontalScrollBar().value(), self.verticalScrollBar().value()
        painter.save()
        painter.setClipRect(room.adjusted(LEFT, TOP, 0, 0))
        painter.drawImage(QPointF(LEFT - across, TOP - down), picture)
        self._paint_marks(painter)
        painter.restore()
        self._paint_labels(painter, room)

    def _paint_marks(self, painter: QPainter) -> None:
        colors, look, header = theme.palette(), self._state.look, self._state.header
        assert header is not None
        layer, head = header.layers.index(look.layer), header.heads.index(look.head)
        layers, heads = self.shape_of
        low, high = self.rect_of, self.rect_of
        marked = {
            "head": low(layer, head),
            "layer": low(layer, 0).united(high(layer, heads - 1)),
            "all": low(0, 0).united(high(layers - 1, heads - 1)),
            "rollout": low(0, 0).united(high(layer, heads - 1)),
        }[look.mode]
        painter.setBrush(Qt.BrushStyle.NoBrush)
        if self._pointed is not None:
            painter.setPen(QPen(QColor(colors.text), 1))
            painter.drawRect(self.rect_of(*self._pointed).adjusted(-1, -1, 0, 0))
        painter.setPen(QPen(QColor(colors.surface), 4))
        painter.drawRect(QRectF(marked).adjusted(-0.5, -0.5, 0.5, 0.5))
        painter.setPen(QPen(QColor(colors.accent), 3 if self.hasFocus() else 2))
        painter.drawRect(QRectF(marked).adjusted(-0.5, -0.5, 0.5, 0.5))

    def _paint_labels(self, painter: QPainter, room: QRect) -> None:
        header, look, colors = self._state.header, self._state.look, theme.palette()
        assert header is not None
        painter.setFont(theme.font("small"))
        metrics = QFontMetricsF(painter.font())
        pitch = self._pitch()
        for across, numbers in ((True, header.heads), (False, header.layers)):
            need = metrics.horizontalAdvance(str(numbers[-1])) + 6 if across else metrics.height()
            step = max(1, math.ceil(need / pitch))
            current = look.head if across else look.layer
            for place, number in enumerate(numbers):
                mine = number == current and (across is False or look.mode == "head") and look.mode != "all"
                if place % step and not mine:
                    continue
                rect = self.rect_of(0, place) if across else self.rect_of(place, 0)
                painter.setPen(QColor(colors.accent if mine else colors.muted))
                if across and LEFT <= rect.center().x() <= room.right():
                    box = QRectF(rect.center().x() - 20, 0, 40, TOP)
                    if mine:
                        painter.fillRect(QRectF(rect.center().x() - need / 2, 0, need, TOP), QColor(colors.window))
                    painter.drawText(box, int(Qt.AlignmentFlag.AlignCenter), str(number))
                elif not across and TOP <= rect.center().y() <= room.bottom():
                    box = QRectF(0, rect.center().y() - metrics.height() / 2, LEFT - 6, metrics.height())
                    if mine:
                        painter.fillRect(box, QColor(colors.window))
                    painter.drawText(box, int(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter), str(number))

    # -- mouse and keys

    def choose(self, layer_place: int, head_place: int) -> None:
        """Looks at a head, by its place in the grid."""
        header = self._state.header
        if header is not None:
            self._state.set_look("head", header.layers[layer_place], header.heads[head_place])

    def mousePressEvent(self, event: QMouseEvent) -> None:
        found = self.head_at(event.position())
        if found is not None and event.button() == Qt.MouseButton.LeftButton:
            self.choose(*found)

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        self._point(self.head_at(event.position()))

    def leaveEvent(self, event: QEvent) -> None:
        self._point(None)

    def _point(self, found: tuple[int, int] | None) -> None:
        if found != self._pointed:
            self._pointed = found
            self.viewport().update()

    def viewportEvent(self, event: QEvent) -> bool:
        if event.type() == QEvent.Type.ToolTip and isinstance(event, QHelpEvent):
            found = self.head_at(event.pos())
            if found is None:
                QToolTip.hideText()
            else:
                QToolTip.showText(event.globalPos(), self.words(*found), self.viewport(), self.rect_of(*found))
            return True
        if event.type() == QEvent.Type.Leave:
            self._point(None)
        return super().viewportEvent(event)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        header, look = self._state.header, self._state.look
        if header is None:
            return
        layer, head = header.layers.index(look.layer), header.heads.index(look.head)
        layers, heads = self.shape_of
        step = step_of(event.key(), 8, heads)
        if step is None:
            super().keyPressEvent(event)
            return
        down, across = step
        self.choose(min(max(0, layer + down), layers - 1), min(max(0, head + across), heads - 1))

    # -- Qt

    def resizeEvent(self, event: QEvent) -> None:
        self._redraw()

    def scrollContentsBy(self, dx: int, dy: int) -> None:
        self.viewport().update()

    def focusInEvent(self, event: QEvent) -> None:
        self.viewport().update()

    def focusOutEvent(self, event: QEvent) -> None:
        self.viewport().update()

    def sizeHint(self) -> QSize:
        return QSize(320, 400)


def _packed(colours: np.ndarray) -> np.ndarray:
    """[256, 3] bytes as 0xAARRGGBB."""
    wide = colours.astype(np.uint32)
    return np.uint32(0xFF000000) | wide[..., 0] << 16 | wide[..., 1] << 8 | wide[..., 2]


def _color(name: str) -> int:
    return QColor(name).rgb()
