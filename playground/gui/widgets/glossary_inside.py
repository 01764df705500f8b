"""What a learner may ask about attention: two sentences a term, whose source is named, and pictures of what a map then looks like.

`glossary` looks its texts and pictures up here, as in `glossary_models`.
"""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QPainter, QPen, QPolygonF

from playground.gui import theme

TEXTS = {
    "head_previous": (
        "Previous token",
        "The weight that each token gives the one just before it, averaged over the text.",
        "Such heads tell a token what it follows, which induction heads build on (Elhage et al. 2021, A Mathematical Framework for "
        "Transformer Circuits).",
    ),
    "head_sink": (
        "First-token sink",
        "The weight on the first token of the text, averaged over all later ones.",
        "Weights must sum to 1, so a head with nothing to say puts them there (Xiao et al. 2023, Attention Sinks, arXiv 2309.17453).",
    ),
    "head_induction": (
        "Induction",
        "Where a token has come before: the weight on what followed it then. … fox named … fox → named.",
        "The prefix-matching score of Olsson et al. 2022 (In-context Learning and Induction Heads, arXiv 2209.11895), on your own text: only "
        "one that repeats itself can show it.",
    ),
    "head_duplicate": (
        "Duplicate token",
        "Where a token has come before: the weight on its earlier occurrences themselves.",
        "They mark repeated names, among other things (Wang et al. 2022, Interpretability in the Wild, arXiv 2211.00593).",
    ),
    "head_local": (
        "Local",
        "The weight within the nearest eight tokens, the token itself among them.",
        "Diagonal patterns are common in early layers (Kovaleva et al. 2019, Revealing the Dark Secrets of BERT, arXiv 1908.08593; the width "
        "of eight is ours).",
    ),
    "head_uniform": (
        "Uniform",
        "How evenly the weight is spread: the entropy of a row, divided by the greatest it could have. 1: all tokens alike, 0: one token.",
        "Broad heads average over the text as a bag of words (Clark et al. 2019, What Does BERT Look At?, arXiv 1906.04341).",
    ),
    "attention": (
        "Attention",
        "How a token gathers from others: a weight for each of them, all weights together 1.",
        "softmax(Q·K / √d) V, in every layer and head anew (Vaswani et al. 2017, Attention Is All You Need, arXiv 1706.03762).",
    ),
    "rollout": (
        "Rollout",
        "The layers' mean maps multiplied, half of each replaced by the identity for what passes by: how much of each token got where.",
        "It takes attention for the only way that information flows, which it is not (Abnar & Zuidema 2020, arXiv 2005.00928).",
    ),
}
"""term -> title, first sentence, second sentence"""

CELLS, SIDE = 8, 10
_TEXT = ["the", "fox", "ran", "."] * 2


def grid(
    painter: QPainter,
    value: Callable[[int, int], float],
    cells: int = CELLS,
    left: float = 4,
    top: float = 2,
    side: float = SIDE,
) -> None:
    """A small causal map: `value(row, column)` from 0 to 1."""
    colors = theme.palette()
    painter.setPen(Qt.PenStyle.NoPen)
    for row in range(cells):
        for column in range(cells):
            cell = QRectF(left + column * side, top + row * side, side - 1, side - 1)
            if column > row:
                painter.setBrush(QColor(colors.line))
                painter.drawRect(cell.adjusted(side / 2 - 1.5, side / 2 - 1.5, -side / 2 + 1.5, -side / 2 + 1.5))
                continue
            painter.setBrush(QColor(colors.sunken))
            painter.drawRect(cell)
            ink = QColor(colors.accent)
            ink.setAlphaF(max(0.0, min(1.0, value(row, column))))
            painter.setBrush(ink)
            painter.drawRect(cell)


def note(painter: QPainter, lines: tuple[str, ...], left: float = 104) -> None:
    painter.setPen(QColor(theme.palette().muted))
    for place, line in enumerate(lines):
        painter.drawText(QRectF(left, 8 + place * 18, 272 - left, 16), int(Qt.AlignmentFlag.AlignLeft), line)


def _earlier(row: int, after: int) -> int:
    """The column `after` places behind the last earlier occurrence of the row's word; -1 for none."""
    found = [column for column in range(row) if _TEXT[column] == _TEXT[row] and column + after < row]
    return found[-1] + after if found else -1


def _previous(painter: QPainter) -> None:
    grid(painter, lambda row, column: 1.0 if column == max(0, row - 1) else 0.0)
    note(painter, ("a line just", "below the diagonal"))


def _sink(painter: QPainter) -> None:
    grid(painter, lambda row, column: 0.9 if column == 0 else 0.06)
    note(painter, ("a bright", "first column"))


def _induction(painter: QPainter) -> None:
    grid(
        painter, lambda row, column: 1.0 if column == _earlier(row, 1) else 0.5 if column == 0 and _earlier(row, 1) < 0 else 0.0
    )
    note(painter, ("the fox ran . the fox ran .", "“fox” looks at “ran”:", "what followed last time"))


def _duplicate(painter: QPainter) -> None:
    grid(
        painter, lambda row, column: 1.0 if column == _earlier(row, 0) else 0.5 if column == 0 and _earlier(row, 0) < 0 else 0.0
    )
    note(painter, ("the fox ran . the fox ran .", "“fox” looks at “fox”"))


def _local(painter: QPainter) -> None:
    grid(painter, lambda row, column: 0.75 ** (row - column) if row - column < 3 else 0.0)
    note(painter, ("a band along", "the diagonal"))


def _uniform(painter: QPainter) -> None:
    grid(painter, lambda row, column: 1 / (row + 1) + 0.05)
    note(painter, ("rows that fade", "as they grow longer"))


def _rollout(painter: QPainter) -> None:
    colors = theme.palette()
    for place, (x, y) in enumerate(((8, 70), (60, 70), (112, 70), (8, 40), (60, 40), (112, 40), (60, 10))):
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor(colors.accent if place in (0, 3, 4, 6) else colors.muted))
        painter.drawEllipse(QPointF(x, y), 4, 4)
    painter.setPen(QPen(QColor(colors.accent), 2))
    for line in (((8, 70), (8, 40)), ((8, 70), (60, 40)), ((8, 40), (60, 10)), ((60, 40), (60, 10))):
        painter.drawPolyline(QPolygonF([QPointF(*each) for each in line]))
    note(painter, ("all ways from a token up", "to a place, added up"), 136)


PICTURES = {
    "head_previous": _previous,
    "head_sink": _sink,
    "head_induction": _induction,
    "head_duplicate": _duplicate,
    "head_local": _local,
    "head_uniform": _uniform,
    "attention": _uniform,
    "rollout": _rollout,
}
