"""What stands in the place of content that is not there: a title, a sentence, a way out, and a bar while something is on its way."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QProgressBar, QPushButton, QVBoxLayout, QWidget

from playground.gui import theme


class StateView(QFrame):
    """`say(title, text, button, way_out)`. The button's object name is `<name>.way_out`."""

    def __init__(self, name: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName(f"{name}.state")
        theme.mark(self, surface="surface")
        column = QVBoxLayout(self)
        column.setContentsMargins(32, 24, 32, 24)
        column.setSpacing(8)
        column.addStretch(2)
        self._icon = QLabel()
        self._icon_name = ""
        self.title = QLabel()
        self.title.setWordWrap(True)
        self.title.setAlignment(Qt.AlignmentFlag.AlignCenter)
        theme.mark(self.title, role="title")
        self.text = QLabel()
        self.text.setWordWrap(True)
        self.text.setAlignment(Qt.AlignmentFlag.AlignHCenter | Qt.AlignmentFlag.AlignTop)
        self.text.setMaximumWidth(440)
        theme.mark(self.text, role="muted")
        self.bar = QProgressBar()
        self.bar.setTextVisible(False)
        self.bar.setRange(0, 0)
        self.bar.setFixedWidth(200)
        self.bar.setAccessibleName("Under way")
        self.bar.setToolTip("Under way")
        self.button = QPushButton()
        self.button.setObjectName(f"{name}.way_out")
        theme.mark(self.button, role="primary")
        self._way_out: Callable[[], None] = lambda: None
        self.button.clicked.connect(lambda: self._way_out())
        column.addWidget(self._icon, 0, Qt.AlignmentFlag.AlignHCenter)
        column.addSpacing(4)
        column.addWidget(self.title)
        across = QHBoxLayout()
        across.addStretch(1)
        across.addWidget(self.text, 1000)  # as wide as it may be, and no wider than one reads well
        across.addStretch(1)
        column.addLayout(across)
        column.addSpacing(8)
        column.addWidget(self.bar, 0, Qt.AlignmentFlag.AlignHCenter)
        column.addWidget(self.button, 0, Qt.AlignmentFlag.AlignHCenter)
        column.addStretch(3)
        theme.notifier().changed.connect(self._draw_icon)

    def say(
        self,
        title: str,
        text: str = "",
        button: str = "",
        way_out: Callable[[], None] | None = None,
        icon: str = "",
        busy: bool = False,
    ) -> None:
        """Shows a state; without a button there is none, `busy` moves a bar."""
        self.title.setText(title)
        self.text.setText(text)
        self.text.setVisible(bool(text))
        self.button.setText(button)
        self.button.setAccessibleName(button)
        self.button.setToolTip(button)
        self.button.setVisible(bool(button))
        self.bar.setVisible(busy)
        self._way_out = way_out or (lambda: None)
        self._icon_name = icon
        self._draw_icon()

    def _draw_icon(self) -> None:
        self._icon.setVisible(bool(self._icon_name))
        if self._icon_name:
            self._icon.setPixmap(theme.pixmap(self._icon_name, theme.palette().faint, 32, self.devicePixelRatioF()))
