"""What a learner may ask about making models smaller and measuring them: two sentences a term, and pictures for those that have one.

`glossary` looks its texts and pictures up here; `glossary.known(name)` gives the label with its dotted underline.
"""

from __future__ import annotations

import itertools
import math

from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QPainter, QPen, QPolygonF

from playground.gui import theme

TEXTS = {
    "quantization": (
        "Quantization",
        "The weights are written with fewer bits, each rounded to the nearest of a few steps.",
        "The file and the memory it takes shrink, and it often runs quicker; what the rounding costs depends on the type and on the model.",
    ),
    "k_quants": (
        "K-quants",
        "Types like Q4_K_M round in blocks of 256 weights whose scales are rounded as well, and give the tensors that matter most more bits.",
        "The digit is about the bits a weight takes; S, M and L say how many tensors get the better treatment.",
    ),
    "imatrix": (
        "Importance matrix",
        "While the model reads a text, it is noted how strongly each column of its weights is used; rounding then spares those columns.",
        "Below five bits that buys quality at no size, most of all with a text like what the model will be used for.",
    ),
    "nf4": (
        "NF4",
        "Four bits whose sixteen steps lie where normally distributed weights lie, made by bitsandbytes for transformers.",
        "It is what QLoRA trains on; llama.cpp does not read it.",
    ),
    "perplexity": (
        "Perplexity",
        "How many tokens the model hesitates between, on average, at each place of a text: lower is better, 1 would be certainty.",
        "It compares a model with its own quantizations; between models with other vocabularies it says little.",
    ),
    "kl_divergence": (
        "KL divergence",
        "How far the next-token distribution has moved from the original's, averaged over all places of a text, in nats.",
        "It notices every shift, also one that perplexity averages away; 0 is no difference, 0.01 hard to notice, 0.5 another model.",
    ),
    "top1": (
        "Same top-1",
        "How often the original and the quantized model find the same token likeliest.",
        "At temperature 0 every difference is another word, and the text goes its own way from there.",
    ),
    "pareto": (
        "Pareto front",
        "The models that no other one beats on both counts, smaller and nearer to the original.",
        "Anything off the line can be left: for its size there is a better one, or for its loss a smaller one.",
    ),
    "lora_adapter": (
        "LoRA adapter",
        "A small change to a model's weights, learned apart from them: two thin matrices whose product is added to each large one.",
        "A few megabytes make another voice of the same model, and a slider says how much of it is added.",
    ),
    "merge": (
        "Merge",
        "The adapter's change is added into the weights once and for all, and a whole model is written.",
        "It runs as quickly as the bare model and can be quantized; the scale is fixed from then on.",
    ),
    "precision": (
        "Precision",
        "The number format that the weights are computed in: bf16 is what most models were trained in, NF4 and int8 take less memory.",
        "On a processor without bf16 units f32 may be quicker.",
    ),
}
"""term -> title, first sentence, second sentence"""


def _quantization(painter: QPainter) -> None:
    """A curve and its staircase."""
    colors = theme.palette()
    wave = [(x, math.sin(x / 272 * 2 * math.pi * 1.15 + 0.4)) for x in range(0, 273, 4)]
    step = 2 / 7
    stairs = [QPointF(x, 44 - 34 * round(y / step) * step) for x, y in wave]
    painter.setPen(QPen(QColor(colors.line), 1))
    for place in range(-3, 5):
        painter.drawLine(QPointF(0, 44 - 34 * (place - 0.5) * step), QPointF(272, 44 - 34 * (place - 0.5) * step))
    painter.setPen(QPen(QColor(colors.muted), 1.5))
    painter.drawPolyline(QPolygonF([QPointF(x, 44 - 34 * y) for x, y in wave]))
    painter.setPen(QPen(QColor(colors.accent), 2))
    for before, after in itertools.pairwise(stairs):
        painter.drawPolyline([before, QPointF(after.x(), before.y()), after])


def _kl_divergence(painter: QPainter) -> None:
    """Two distributions, and what lies between them."""
    colors = theme.palette()
    pairs = ((0.42, 0.34), (0.22, 0.25), (0.13, 0.16), (0.09, 0.07), (0.06, 0.09), (0.04, 0.05), (0.03, 0.03), (0.01, 0.01))
    for place, (own, other) in enumerate(pairs):
        left = place * 34 + 2.0
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor(colors.accent))
        painter.drawRoundedRect(QRectF(left, 84 - own * 160, 14, own * 160), 2, 2)
        painter.setBrush(QColor(colors.muted))
        painter.drawRoundedRect(QRectF(left + 15, 84 - other * 160, 14, other * 160), 2, 2)
    painter.setPen(QColor(colors.muted))
    painter.drawText(QRectF(120, 4, 152, 16), int(Qt.AlignmentFlag.AlignRight), "original, quantized")


def _lora(painter: QPainter) -> None:
    """A large matrix, and two thin ones."""
    colors = theme.palette()
    painter.setPen(Qt.PenStyle.NoPen)
    whole = QColor(colors.muted)
    whole.setAlphaF(0.35)
    painter.setBrush(whole)
    painter.drawRoundedRect(QRectF(8, 8, 72, 72), 3, 3)
    painter.setBrush(QColor(colors.accent))
    painter.drawRoundedRect(QRectF(124, 8, 12, 72), 2, 2)
    painter.drawRoundedRect(QRectF(164, 38, 72, 12), 2, 2)
    painter.setPen(QColor(colors.text))
    painter.drawText(QRectF(92, 34, 20, 20), int(Qt.AlignmentFlag.AlignCenter), "+")
    painter.drawText(QRectF(140, 34, 20, 20), int(Qt.AlignmentFlag.AlignCenter), "×")


def _pareto(painter: QPainter) -> None:
    colors = theme.palette()
    front = [QPointF(40, 12), QPointF(80, 38), QPointF(136, 58), QPointF(220, 74)]
    painter.setPen(QPen(QColor(colors.accent), 1.8))
    for before, after in itertools.pairwise(front):
        painter.drawPolyline([before, QPointF(after.x(), before.y()), after])
    painter.setBrush(QColor(colors.accent))
    for at in front:
        painter.drawEllipse(at, 4, 4)
    painter.setBrush(Qt.BrushStyle.NoBrush)
    painter.setPen(QPen(QColor(colors.muted), 1.6))
    for at in (QPointF(108, 30), QPointF(170, 40), QPointF(240, 60)):
        painter.drawEllipse(at, 3.4, 3.4)


PICTURES = {
    "quantization": _quantization,
    "kl_divergence": _kl_divergence,
    "lora_adapter": _lora,
    "merge": _lora,
    "pareto": _pareto,
}
