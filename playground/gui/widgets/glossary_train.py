"""What a learner may ask about training: two sentences a term, and pictures for those that have one.

`glossary` looks its texts and pictures up here, as in `glossary_models`. Settings (rank, learning rate, ...) bring their first sentence
themselves, from `TrainSettings`; here is what follows it.
"""

from __future__ import annotations

import math

from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QPainter, QPen, QPolygonF

from playground.gui import theme
from playground.gui.palette import CURVES

TEXTS = {
    "method": (
        "LoRA and QLoRA",
        "LoRA leaves the model as it is and learns a small change beside it: two thin matrices for each large one (Hu et al. 2021, "
        "arXiv 2106.09685).",
        "QLoRA does the same with the model rounded to the four bits of NF4, so that larger ones fit (Dettmers et al. 2023, arXiv 2305.14314).",
    ),
    "rank": (
        "Rank",
        "Width of the two thin matrices of an adapter.",
        "8 to 32 is enough for a style or a task; much new knowledge wants more, and learns by heart sooner.",
    ),
    "learning_rate": (
        "Learning rate",
        "How far each step goes.",
        "The picture shows a valley: small steps creep, fitting ones arrive, large ones jump out of it.",
    ),
    "epochs": (
        "Epochs",
        "How often the whole dataset is gone through.",
        "Too many and the answers are learned by heart: the training loss falls on while the validation loss rises.",
    ),
    "validation_loss": (
        "Validation loss",
        "How surprised the model is by answers that were held out of training, in nats a token: lower is better.",
        "Where it turns up while the training loss goes on falling, the rows are being learned by heart; the best place is kept.",
    ),
    "grad_norm": (
        "Gradient norm",
        "How strongly a step's rows pull at the weights, all of it as one length.",
        "It falls as the model comes to agree with the data; spikes say that a batch was unlike the others, or the rate too high.",
    ),
    "checkpointing": (
        "Gradient checkpointing",
        "Computes what lies between the layers again on the way back, in place of keeping it.",
        "It costs about a third of the speed, and is what makes long rows fit.",
    ),
    "sequence_length": (
        "Sequence length",
        "Rows longer than this are cut.",
        "Memory grows with it; what is cut off is not learned, so look at the rows where many are longer.",
    ),
    "batch": (
        "Batch",
        "Rows computed at once.",
        "With accumulation, several batches make one step: the same step in less memory.",
    ),
    "precision": (
        "Precision",
        "The number format that is computed in.",
        "bf16 has the range of 32 bits in half the room; fp16 needs its losses scaled up to stay within range.",
    ),
}  # fmt: skip


def _valley(painter: QPainter) -> None:
    """Three ways down a parabola, each in steps of another size."""
    colors = theme.palette()
    left, wide = 8.0, 80.0
    for place, rate in enumerate((0.08, 0.35, 1.08)):
        middle = left + place * 92 + wide / 2
        across = lambda x, centre=middle: centre + x * wide / 2.4  # noqa: E731
        down = lambda x: 70 - min(1.3, x * x) * 50  # noqa: E731
        painter.setPen(QPen(QColor(colors.line), 2))
        painter.drawPolyline(QPolygonF([QPointF(across(x / 20), down(x / 20)) for x in range(-22, 23)]))
        painter.setPen(QPen(QColor(CURVES[place][colors.dark]), 1.5))
        x, way = -0.9, []
        for _ in range(5):
            way.append(QPointF(across(x), down(x)))
            x = max(-1.1, min(1.1, x - rate * 2 * x))
        painter.drawPolyline(QPolygonF(way))
        painter.setBrush(QColor(CURVES[place][colors.dark]))
        for each in way:
            painter.drawEllipse(each, 2.2, 2.2)
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.setPen(QColor(colors.muted))
        word = ("too small", "fitting", "too large")[place]
        painter.drawText(QRectF(middle - wide / 2, 72, wide, 16), Qt.AlignmentFlag.AlignCenter, word)


def _by_heart(painter: QPainter) -> None:
    """The training loss falls on, the validation loss turns."""
    colors = theme.palette()
    steps = [place / 30 for place in range(31)]
    losses = ([math.exp(-3 * x) for x in steps], [math.exp(-4 * x) * 0.8 + 0.2 + 0.35 * x * x for x in steps])
    for place, loss in enumerate(losses):
        style = Qt.PenStyle.DashLine if place else Qt.PenStyle.SolidLine
        painter.setPen(QPen(QColor(CURVES[place][colors.dark]), 1.8, style))
        painter.drawPolyline(QPolygonF([QPointF(4 + x * 180, 78 - y * 68) for x, y in zip(steps, loss, strict=True)]))
        painter.setPen(QColor(colors.muted))
        words = ("training", "validation")[place]
        painter.drawText(QRectF(192, 78 - loss[-1] * 68 - 8, 80, 16), Qt.AlignmentFlag.AlignLeft, words)


def _thin(painter: QPainter) -> None:
    """A large matrix, and the two thin ones whose product is added to it."""
    colors = theme.palette()
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(QColor(colors.line))
    painter.drawRoundedRect(QRectF(12, 8, 64, 64), 4, 4)
    painter.setBrush(QColor(colors.accent))
    painter.drawRoundedRect(QRectF(116, 8, 10, 64), 3, 3)
    painter.drawRoundedRect(QRectF(144, 8, 64, 10), 3, 3)
    painter.setPen(QColor(colors.muted))
    for x, text in ((88.0, "+"), (131.0, "×")):
        painter.drawText(QRectF(x, 30, 16, 20), Qt.AlignmentFlag.AlignCenter, text)
    painter.drawText(QRectF(12, 72, 64, 16), Qt.AlignmentFlag.AlignCenter, "frozen")
    painter.drawText(QRectF(108, 72, 60, 16), Qt.AlignmentFlag.AlignLeft, "rank wide")


PICTURES = {"learning_rate": _valley, "validation_loss": _by_heart, "epochs": _by_heart, "rank": _thin, "method": _thin}
