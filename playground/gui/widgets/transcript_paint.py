"""What lies under the rows of a transcript: names at the side, the user's bubbles, the stripe of the current message."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QRectF, Qt
from PySide6.QtGui import QColor, QFont, QPainter

from playground.gui import theme
from playground.gui.widgets.transcript_blocks import BUBBLE, FOOT, FOOT_GAP, LABEL, above

if TYPE_CHECKING:
    from playground.gui.widgets.transcript import Transcript

SIDE = 12
"""from the bubble's edge to its text"""


def paint(transcript: Transcript, event: Any) -> None:
    painter = QPainter(transcript.viewport())
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    colors = theme.palette()
    painter.fillRect(event.rect(), QColor(colors.surface))
    narrow = transcript._narrow
    name_font = theme.font("small")
    name_font.setWeight(QFont.Weight.DemiBold)
    for block, rect in transcript.visible_blocks():
        user = block.entry.role == "user"
        top = rect.top() + above(block.entry) + (LABEL if narrow else 0)
        if user and not block.editing:
            bubble = QRectF(rect.left() - SIDE, top, rect.width() + 2 * SIDE, rect.bottom() - FOOT - FOOT_GAP - top)
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(QColor(colors.user_bubble))
            painter.drawRoundedRect(bubble, 8, 8)
        if transcript.is_current(block):
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(QColor(colors.accent if transcript.hasFocus() else colors.line))
            painter.drawRoundedRect(QRectF(rect.left() - SIDE - 6, top, 3, max(16.0, rect.bottom() - FOOT - top)), 1.5, 1.5)
        painter.setFont(name_font)
        painter.setPen(QColor(colors.muted if user else colors.accent))
        name = "You" if user else "Model"
        if narrow:
            place = QRectF(rect.left(), rect.top() + above(block.entry) - 4, rect.width(), LABEL)
            painter.drawText(place, Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter, name)
        else:
            place = QRectF(rect.left() - 84, top + (BUBBLE if user else 0), 60, 19)
            painter.drawText(place, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter, name)
    painter.end()
