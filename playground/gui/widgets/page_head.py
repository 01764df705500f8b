"""The head of a page that is a list: its title, how much there is, and a field that filters. Knows no list."""

from __future__ import annotations

from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QLineEdit, QWidget

from playground.gui import theme

HIGH, SIGN = 56, "list-filter"
NARROWEST = 120


class PageHead(QFrame):
    """Object names `<name>.count`, `<name>.filter`. What else belongs there is put into `row`: title, count, stretch, filter."""

    def __init__(self, name: str, title: str, hint: str, tip: str, wide: int, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        theme.mark(self, surface="surface")
        self.setFixedHeight(HIGH)
        self.row = QHBoxLayout(self)
        self.row.setContentsMargins(24, 0, 24, 0)
        self.row.setSpacing(12)
        self.row.addWidget(theme.mark(QLabel(title), role="title"))
        self.count = QLabel()
        self.count.setObjectName(f"{name}.count")
        theme.mark(self.count, role="muted")
        self.row.addWidget(self.count)
        self.row.addStretch(1)
        self.filter = QLineEdit()
        self.filter.setObjectName(f"{name}.filter")
        self.filter.setAccessibleName("Filter")
        self.filter.setToolTip(tip)
        self.filter.setPlaceholderText(hint)
        self.filter.setClearButtonEnabled(True)
        self.filter.setMinimumWidth(min(NARROWEST, wide))  # it gives way in a narrow window, before words are cut
        self.filter.setMaximumWidth(wide)
        self._sign = self.filter.addAction(theme.icon(SIGN, "muted", 16), QLineEdit.ActionPosition.LeadingPosition)
        theme.notifier().changed.connect(self._tint)
        self.row.addWidget(self.filter, 1000)  # as wide as it may, before the empty space gets any

    def _tint(self) -> None:
        self._sign.setIcon(theme.icon(SIGN, "muted", 16))
