"""The foot of a part that starts long work: what will happen and the button for it, then how far it is, then what came of it.

One height for all of these, so that nothing above it moves. Knows texts and buttons and no workshop.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QFrame, QHBoxLayout, QProgressBar, QPushButton, QVBoxLayout, QWidget

from playground.gui import theme
from playground.gui.widgets.elided_label import ElidedLabel

HIGH = 80


@dataclass(frozen=True)
class Press:
    """A button: `<name of the foot>.<role>`, what it says, what it does."""

    role: str
    text: str
    tip: str
    press: Callable[[], None]
    primary: bool = False
    enabled: bool = True
    icon: str = ""


class JobFoot(QFrame):
    """`show_ready`, `show_working`, `show_done`, `show_failed`. Labels: `<name>.what` and `<name>.detail`, the bar `<name>.progress`."""

    def __init__(self, name: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._name = name
        self.state = "ready"
        theme.mark(self, surface="window", line="top")
        self.setFixedHeight(HIGH)
        row = QHBoxLayout(self)
        row.setContentsMargins(24, 0, 24, 0)
        row.setSpacing(8)
        words = QVBoxLayout()
        words.setSpacing(4)
        words.addStretch(1)
        self.what = ElidedLabel()
        self.what.setObjectName(f"{name}.what")
        self.detail = ElidedLabel()
        self.detail.setObjectName(f"{name}.detail")
        self.bar = QProgressBar()
        self.bar.setObjectName(f"{name}.progress")
        self.bar.setTextVisible(False)
        self.bar.setAccessibleName("Progress")
        self.bar.setToolTip("How far this is")
        kept = self.bar.sizePolicy()
        kept.setRetainSizeWhenHidden(False)
        self.bar.setSizePolicy(kept)
        for each in (self.what, self.bar, self.detail):
            words.addWidget(each)
        words.addStretch(1)
        row.addLayout(words, 1)
        row.addSpacing(8)
        self._buttons = QHBoxLayout()
        self._buttons.setSpacing(8)
        row.addLayout(self._buttons)
        self._presses: dict[str, Press] = {}
        self._made: dict[str, QPushButton] = {}

    def show_ready(self, what: str, detail: str, *presses: Press, warn: bool = False) -> None:
        """What would happen; `warn` where that is not what one would want."""
        self._show("ready", what, detail, presses, "warn" if warn else "muted")

    def show_working(self, what: str, fraction: float, detail: str, *presses: Press) -> None:
        """`fraction` from 0 to 1, -1 where nobody knows."""
        self._show("working", what, detail, presses, "muted")
        if fraction < 0:
            self.bar.setRange(0, 0)
        else:
            self.bar.setRange(0, 1000)
            self.bar.setValue(round(fraction * 1000))

    def show_done(self, what: str, detail: str, *presses: Press) -> None:
        self._show("done", what, detail, presses, "muted")

    def show_failed(self, what: str, detail: str, *presses: Press) -> None:
        self._show("failed", what, detail, presses, "muted")

    def _show(self, state: str, what: str, detail: str, presses: Sequence[Press], role: str) -> None:
        self.state = state
        self.what.setText(what)
        theme.mark(self.what, role={"failed": "bad", "done": "strong"}.get(state, "small"))
        self.detail.setText(detail)
        self.detail.setVisible(bool(detail))
        theme.mark(self.detail, role=role)
        self.bar.setVisible(state == "working")
        self._show_buttons(presses)

    def _show_buttons(self, presses: Sequence[Press]) -> None:
        wanted = [each.role for each in presses]
        if wanted != list(self._presses):
            focused = any(button.hasFocus() for button in self._made.values())
            for button in self._made.values():
                button.hide()
            for place, each in enumerate(presses):
                button = self._made.get(each.role) or self._make(each.role)
                self._buttons.removeWidget(button)
                self._buttons.insertWidget(place, button)
                button.show()
            self._presses = {each.role: each for each in presses}
            if focused and presses:  # who pressed Start by keyboard stays where the way on is
                self._made[presses[-1].role].setFocus(Qt.FocusReason.OtherFocusReason)
        self._presses = {each.role: each for each in presses}
        for each in presses:
            button = self._made[each.role]
            button.setText(each.text)
            button.setAccessibleName(each.text)
            button.setToolTip(each.tip)
            button.setEnabled(each.enabled)
            theme.mark(button, role="primary" if each.primary else "plain")

    def _make(self, role: str) -> QPushButton:
        button = QPushButton(self)
        button.setObjectName(f"{self._name}.{role}")
        button.clicked.connect(lambda: self._presses[role].press() if role in self._presses else None)
        self._made[role] = button
        return button
