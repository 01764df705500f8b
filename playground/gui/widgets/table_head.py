"""The head of a table, painted by hand: the sign of the sorted column stands beside its title and never on it.

Through the style sheet, the sign covers the end of a right-aligned title. Knows only what its model's `headerData` says.
"""

from __future__ import annotations

from PySide6.QtCore import QRect, Qt
from PySide6.QtGui import QColor, QPainter
from PySide6.QtWidgets import QAbstractItemView, QHeaderView, QTableView, QWidget

from playground.gui import theme

HIGH = 36
_SIGN = 10


class TableHead(QHeaderView):
    """A horizontal head whose sections can be clicked."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(Qt.Orientation.Horizontal, parent)
        self.setSectionsClickable(True)
        self.setHighlightSections(False)
        self.setFixedHeight(HIGH)

    def paintSection(self, painter: QPainter, rect: QRect, section: int) -> None:
        colors = theme.palette()
        painter.save()
        painter.fillRect(rect, QColor(colors.surface))
        painter.setPen(QColor(colors.line))
        painter.drawLine(rect.bottomLeft(), rect.bottomRight())
        model = self.model()
        title = str(model.headerData(section, Qt.Orientation.Horizontal) or "")
        side = model.headerData(section, Qt.Orientation.Horizontal, Qt.ItemDataRole.TextAlignmentRole)
        right = bool(Qt.AlignmentFlag(side or 0) & Qt.AlignmentFlag.AlignRight)
        font = theme.font("small")
        font.setWeight(font.Weight.DemiBold)
        painter.setFont(font)
        painter.setPen(QColor(colors.muted))
        sorted_by = self.isSortIndicatorShown() and self.sortIndicatorSection() == section
        box = rect.adjusted(11, 0, -10, 0)
        taken = _SIGN + 4 if sorted_by else 0
        text = painter.fontMetrics().elidedText(title, Qt.TextElideMode.ElideRight, box.width() - taken)
        wide = painter.fontMetrics().horizontalAdvance(text)
        if right:
            painter.drawText(box, int(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter), text)
            x = box.right() - wide - _SIGN - 3
        else:
            painter.drawText(box, int(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter), text)
            x = box.left() + wide + 5
        if sorted_by:
            falling = self.sortIndicatorOrder() == Qt.SortOrder.DescendingOrder
            icon = theme.icon("chevron-down" if falling else "chevron-up", "muted", _SIGN)
            icon.paint(painter, QRect(x, rect.center().y() - _SIGN // 2 + 1, _SIGN, _SIGN))
        painter.restore()


def plain_rows(table: QTableView, row: int) -> None:
    """Makes a table's rows the house's kind: of one height, selected whole, nothing edited, no grid."""
    table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
    table.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
    table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
    table.setShowGrid(False)
    table.setWordWrap(False)
    table.setTabKeyNavigation(False)
    table.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
    table.verticalHeader().hide()
    table.verticalHeader().setDefaultSectionSize(row)
    table.verticalHeader().setSectionResizeMode(QHeaderView.ResizeMode.Fixed)


def plain_table(table: QTableView, row: int = HIGH) -> TableHead:
    """Makes a whole table the house's kind: its rows, and this head, which it gives."""
    plain_rows(table, row)
    head = TableHead(table)
    table.setHorizontalHeader(head)
    return head
