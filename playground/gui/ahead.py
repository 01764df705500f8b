"""Widgets made ahead of time, in short steps with pauses between: what is opened first then opens without a stall.

Whoever cannot wait makes them at once; a step finds them made then and does nothing. Knows no page.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from PySide6.QtCore import QObject, QTimer
from PySide6.QtWidgets import QWidget

FIRST_MS, PAUSE_MS = 400, 60


def make_ahead(owner: QObject, steps: Sequence[Callable[[], object]], first_ms: int = FIRST_MS) -> None:
    """Takes the steps one by one, the first after a moment, and one that returns True again; ends with the owner."""
    rest = list(steps)

    def step() -> None:
        if rest[0]() is not True:
            del rest[0]
        if rest:
            QTimer.singleShot(PAUSE_MS, owner, step)

    if rest:
        QTimer.singleShot(first_ms, owner, step)


def polish(part: Callable[[], QWidget], steps: int) -> list[Callable[[], object]]:
    """Steps that give a hidden part and all in it their style, which otherwise its first showing does at once."""

    def piece(place: int) -> None:
        widget = part()
        every = [widget, *widget.findChildren(QWidget)]
        for each in every[place::steps]:
            each.ensurePolished()

    return [lambda place=place: piece(place) for place in range(steps)]  # type: ignore[misc]
