"""The button that floats over the end of a conversation and leads to it. Knows no conversation. Object name `chat.newest`."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QToolButton, QWidget

from playground.gui import theme

ABOVE = 12
"""the lower edge of what it floats over"""


class NewestButton(QToolButton):
    """See the module's docstring; hidden until `stand` shows it."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.setObjectName("chat.newest")
        self.setText("Jump to newest")
        self.setToolTip("Goes to the end of the conversation and follows it (End)")
        self.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        theme.bind_icon(self, "arrow-down", "accent")
        theme.mark(self, role="floating")
        self.hide()

    def stand(self, left: int, width: int, bottom: int, shown: bool) -> None:
        """In the middle of a column, over the height `bottom`."""
        if self.isHidden() == shown:
            self.setVisible(shown)
        size = self.sizeHint()
        self.setGeometry(left + (width - size.width()) // 2, bottom - size.height() - ABOVE, size.width(), size.height())
