"""A button that is an icon and nothing else: what it does is said by its tooltip, and its name to whoever cannot see it."""

from __future__ import annotations

from PySide6.QtWidgets import QToolButton, QWidget

from playground.gui import theme


def icon_button(
    name: str, icon: str, tip: str, words: str = "", size: int = 32, drawn: int = 18, parent: QWidget | None = None
) -> QToolButton:
    """`name`: the object's; `words`: what it is called, the tip where they are none; `size` and `drawn`: of button and icon, in pixels."""
    button = QToolButton(parent)
    button.setObjectName(name)
    button.setAccessibleName(words or tip)
    button.setToolTip(tip)
    button.setFixedSize(size, size)
    theme.bind_icon(button, icon, "muted", drawn)
    return button
