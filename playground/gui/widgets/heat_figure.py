"""A map or the grid of heads as a figure for a paper: PNG or SVG, with axes and a legend, in light colours. Knows pictures, no capture.

Cells are drawn at their own resolution, at least a pixel each as far as `MOST` goes (beyond it by maximum), and go into an SVG as one picture.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from PySide6.QtCore import QBuffer, QByteArray, QIODevice, QRect, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QFont, QImage, QImageWriter, QPainter
from PySide6.QtSvg import QSvgGenerator

from playground.gui import theme
from playground.gui.palette import LIGHT
from playground.gui.widgets import heat_legend
from playground.gui.widgets import heat_paint as paint
from playground.gui.widgets.heat_paint import Frame

SIDE, MOST, LARGEST = 960, 4096, 48
"""pixels of a map's longer side: usually, at most; of a cell at most"""
NAMES = 140.0
MARGIN = 24
TITLE = 32
LEGEND = 56


@dataclass(frozen=True, eq=False)
class Figure:
    """What is on it. `rows` and `columns` are the parts of the axes that are shown, as (first, behind the last)."""

    title: str
    levels: Sequence[np.ndarray]
    colours: np.ndarray
    """[256, 3], of each code"""
    row_names: Sequence[str]
    column_names: Sequence[str]
    rows: tuple[int, int]
    columns: tuple[int, int]
    causal: bool
    hidden: bool
    base: np.ndarray
    """[256, 3], for the legend"""
    ticks: Sequence[tuple[float, str]]
    notes: Sequence[str]


def map_figure(figure: Figure, form: str) -> Callable[[], bytes]:
    """The figure as `png` or `svg`: what packs it, on whatever thread."""
    count = max(figure.rows[1] - figure.rows[0], figure.columns[1] - figure.columns[0], 1)
    cell = min(LARGEST, max(SIDE / count, min(1.0, MOST / count)))
    cell = float(int(cell)) if cell >= 1 else cell
    names = _font()
    room = paint.label_room([*figure.row_names, *figure.column_names], names, NAMES)
    left = top = MARGIN + room + paint.GAP
    top += TITLE
    wide = (figure.columns[1] - figure.columns[0]) * cell
    high = (figure.rows[1] - figure.rows[0]) * cell
    area = QRectF(left, top, wide, high)
    frame = Frame(
        area,
        len(figure.row_names),
        len(figure.column_names),
        cell,
        left - figure.columns[0] * cell,
        top - figure.rows[0] * cell,
    )
    size = QSize(round(max(left + wide, 640) + MARGIN), round(top + high + MARGIN / 2 + LEGEND + MARGIN / 2))

    def draw(painter: QPainter) -> None:
        _title(painter, figure.title)
        painter.drawImage(area.topLeft(), _cells(figure, frame))
        paint.paint_axes(painter, frame, figure.row_names, figure.column_names, names, QColor(LIGHT.text), room)
        factor = 1 << paint.level_of(frame, len(figure.levels))
        text = f"Maxima of {factor} × {factor} cells" if factor > 1 else ""
        heat_legend.draw(
            painter,
            MARGIN,
            top + high + MARGIN / 2,
            size.width() - 2 * MARGIN,
            figure.base,
            figure.ticks,
            figure.notes,
            text,
            LIGHT,
        )

    return _saved(draw, size, form)


def grid_figure(
    title: str,
    picture: QImage,
    side: int,
    pitch: int,
    layers: Sequence[int],
    heads: Sequence[int],
    base: np.ndarray,
    ticks: Sequence[tuple[float, str]],
    form: str,
) -> Callable[[], bytes]:
    """As `map_figure`, all heads as `png` or `svg`: `picture` has thumbnails of `side` pixels, `pitch` apart."""
    left, top = MARGIN + 56, MARGIN + TITLE + 24
    size = QSize(max(left + picture.width(), 720) + MARGIN, top + picture.height() + LEGEND + MARGIN)

    def draw(painter: QPainter) -> None:
        _title(painter, title)
        painter.drawImage(QRect(left, top, picture.width(), picture.height()), picture)
        painter.setFont(_font())
        painter.setPen(QColor(LIGHT.text))
        for place, number in enumerate(heads):
            box = QRectF(left + place * pitch, top - 24, side, 20)
            painter.drawText(box, int(Qt.AlignmentFlag.AlignCenter | Qt.TextFlag.TextDontClip), str(number))
        for place, number in enumerate(layers):
            box = QRectF(MARGIN, top + place * pitch, 48, side)
            painter.drawText(box, int(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter), str(number))
        below = top + picture.height() + 12
        notes = "Rows are layers, columns are heads"
        heat_legend.draw(painter, left, below, size.width() - left - MARGIN, base, ticks, (), notes, LIGHT)

    return _saved(draw, size, form)


def _cells(figure: Figure, frame: Frame) -> QImage:
    """Cells, mask and what is left out as a picture: in an SVG a pattern would come out plain."""
    own = Frame(
        QRectF(0, 0, frame.area.width(), frame.area.height()),
        frame.rows,
        frame.columns,
        frame.cell,
        frame.left - frame.area.left(),
        frame.top - frame.area.top(),
    )
    picture = QImage(
        max(1, round(own.area.width())), max(1, round(own.area.height())), QImage.Format.Format_ARGB32_Premultiplied
    )
    picture.fill(QColor(LIGHT.surface))
    pictures = paint.images(figure.levels)
    for each in pictures:
        each.setColorTable(paint.table_of(figure.colours))
    painter = QPainter(picture)
    paint.paint_cells(painter, own, pictures)
    brush = paint.hatch(LIGHT)
    if figure.hidden:
        paint.paint_hidden_column(painter, own, brush)
    if figure.causal:
        paint.paint_mask(painter, own, brush)
    painter.end()
    return picture


def _title(painter: QPainter, text: str) -> None:
    font = QFont(theme.UI_FAMILY)
    font.setPixelSize(16)
    font.setWeight(QFont.Weight.DemiBold)
    painter.setFont(font)
    painter.setPen(QColor(LIGHT.text))
    painter.drawText(QRectF(MARGIN, MARGIN / 2, 4096, TITLE), int(Qt.AlignmentFlag.AlignVCenter), text)


def _font() -> QFont:
    font = theme.font("mono")  # <|endoftext|> without ligatures
    font.setPixelSize(13)
    return font


def _saved(draw: Callable[[QPainter], None], size: QSize, form: str) -> Callable[[], bytes]:
    """Drawn here, on the window's thread: it shares the fonts. Packing a large PNG takes a second, and shares nothing."""
    if form == "svg":
        data = _svg(draw, size)
        return lambda: data
    picture = QImage(size, QImage.Format.Format_RGB32)
    picture.fill(QColor(LIGHT.surface))
    painter = QPainter(picture)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    draw(painter)
    painter.end()
    return lambda: _png(picture)


def _png(picture: QImage) -> bytes:
    data = QByteArray()
    buffer = QBuffer(data)
    buffer.open(QIODevice.OpenModeFlag.WriteOnly)
    QImageWriter(buffer, QByteArray(b"png")).write(picture)
    buffer.close()
    return bytes(data.data())


def _svg(draw: Callable[[QPainter], None], size: QSize) -> bytes:
    data = QByteArray()
    buffer = QBuffer(data)
    buffer.open(QIODevice.OpenModeFlag.WriteOnly)
    made = QSvgGenerator()
    made.setOutputDevice(buffer)
    made.setSize(size)
    made.setViewBox(QRect(0, 0, size.width(), size.height()))
    made.setTitle("Attention")
    painter = QPainter(made)
    painter.fillRect(QRect(0, 0, size.width(), size.height()), QColor(LIGHT.surface))
    draw(painter)
    painter.end()
    buffer.close()
    return bytes(data.data())
