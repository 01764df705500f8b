"""Number formats for learners: bits, bytes a parameter, range, and what becomes of pi in each. Opens from the fit panel.

Every figure is computed here from the format's definition; INT8 and NF4 are shown as they are used, in a block whose largest value is 4.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass

from PySide6.QtCore import Qt
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import QFrame, QGridLayout, QLabel, QVBoxLayout, QWidget

from playground.gui import theme

BLOCK_MAX = 4.0
NF4 = (
    -1.0, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453, -0.28444138169288635, -0.18477343022823334,
    -0.09105003625154495, 0.0, 0.07958029955625534, 0.16093020141124725, 0.24611230194568634, 0.33791524171829224,
    0.44070982933044434, 0.5626170039176941, 0.7229568362236023, 1.0,
)  # fmt: skip
"""The sixteen values of NF4 (Dettmers et al. 2023, QLoRA, appendix E)."""


@dataclass(frozen=True)
class Format:
    """One number format; `pi` is what is left of 3.14159265 in it."""

    name: str
    bits: str
    nbytes: str
    range: str
    pi: float
    note: str


def fp16(value: float) -> float:
    return float(struct.unpack("<e", struct.pack("<e", value))[0])


def fp32(value: float) -> float:
    return float(struct.unpack("<f", struct.pack("<f", value))[0])


def bf16(value: float) -> float:
    """The upper half of a float32, rounded to nearest even."""
    bits = struct.unpack("<I", struct.pack("<f", value))[0]
    bits = (bits + 0x7FFF + (bits >> 16 & 1)) & 0xFFFF0000
    return float(struct.unpack("<f", struct.pack("<I", bits))[0])


def int8(value: float, largest: float = BLOCK_MAX) -> float:
    return round(value / largest * 127) * largest / 127


def nf4(value: float, largest: float = BLOCK_MAX) -> float:
    return min(NF4, key=lambda code: abs(code - value / largest)) * largest


FORMATS = (
    Format("FP32", "32", "4", "±3.4 × 10³⁸", fp32(math.pi), "8 bits of exponent, 23 of fraction: what training started with."),
    Format("FP16", "16", "2", "±65,504", fp16(math.pi), "5 bits of exponent: exact, but large values overflow."),
    Format("BF16", "16", "2", "±3.4 × 10³⁸", bf16(math.pi), "FP32 cut in half: its range, with 7 bits of fraction."),
    Format("INT8", "8", "1", "255 steps", int8(math.pi), "A whole number times a scale that a block of weights shares."),
    Format(
        "NF4",
        "4",
        "0.5",
        "16 values",
        nf4(math.pi),
        "Sixteen values, dense where weights are: near zero. The scale adds 1/16 byte.",
    ),
)


class NumberFormats(QFrame):
    """The card; it goes with the next click or Esc. Object name: `models.formats`."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent, Qt.WindowType.Popup | Qt.WindowType.FramelessWindowHint)
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.setObjectName("models.formats")
        self.setAccessibleName("Number formats")
        theme.mark(self, surface="raised")
        column = QVBoxLayout(self)
        column.setContentsMargins(20, 16, 20, 20)
        column.setSpacing(12)
        column.addWidget(theme.mark(QLabel("Number formats"), role="strong"))
        grid = QGridLayout()
        grid.setHorizontalSpacing(20)
        grid.setVerticalSpacing(8)
        numeric = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
        plain = Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter
        for place, (head, side) in enumerate(
            (("Format", plain), ("Bits", numeric), ("Bytes a parameter", numeric), ("Range", numeric), ("π becomes", numeric))
        ):
            grid.addWidget(theme.mark(QLabel(head), role="heading"), 0, place, side)
        for row, each in enumerate(FORMATS, 1):
            cells = (each.name, each.bits, each.nbytes, each.range, f"{each.pi:.7f}")
            for place, text in enumerate(cells):
                label = theme.mark(QLabel(text), role="strong" if not place else "mono_small" if place == 4 else "small")
                label.setToolTip(each.note)
                grid.addWidget(label, row, place, numeric if place else plain)
        column.addLayout(grid)
        note = QLabel(
            "A model of 7 billion parameters takes 28 GB in FP32, 14 in FP16 or BF16, 7 in INT8 and about 4 in NF4. "
            "INT8 and NF4 are shown in a block of weights whose largest is 4."
        )
        note.setWordWrap(True)
        note.setFixedWidth(440)
        column.addWidget(theme.mark(note, role="muted"))

    def keyPressEvent(self, event: QKeyEvent) -> None:
        self.close()
