"""Widgets made in short steps: ahead of time with pauses between, or in the turns of the event loop while they are already looked at.

Whoever cannot wait makes them at once; a step finds them made then and does nothing. Knows no page.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from PySide6.QtCore import QObject, QTimer
from PySide6.QtWidgets import QWidget

FIRST_MS, PAUSE_MS = 400, 60


class Pieces:
    """What a widget is made of, by steps. One that returns True is taken again."""

    def __init__(self, *steps: Callable[[], object]) -> None:
        self._rest = list(steps)

    def next(self) -> bool:
        """Makes a piece; whether one is missing still."""
        if self._rest:
            step = self._rest.pop(0)
            if step() is True:
                self._rest.insert(0, step)
        return bool(self._rest)

    def whole(self) -> bool:
        return not self._rest

    def finish(self) -> None:
        """Makes at once what is missing."""
        while self.next():
            pass


def make_ahead(owner: QObject, steps: Sequence[Callable[[], object]], first_ms: int = FIRST_MS) -> None:
    """Takes the steps one by one (see `Pieces`), the first after a moment; ends with the owner."""
    _make(owner, Pieces(*steps), first_ms, PAUSE_MS)


def make_soon(owner: QObject, pieces: Pieces) -> None:
    """Makes what is looked at already, a piece in each turn of the event loop: in between it is painted, and keys are heard."""
    _make(owner, pieces, 0, 0)


def _make(owner: QObject, pieces: Pieces, first_ms: int, pause_ms: int) -> None:
    def step() -> None:
        if pieces.next():
            QTimer.singleShot(pause_ms, owner, step)

    if not pieces.whole():
        QTimer.singleShot(first_ms, owner, step)


def polish(part: Callable[[], QWidget], steps: int) -> list[Callable[[], object]]:
    """Steps that give a hidden part and all in it their style, which otherwise its first showing does at once."""

    def piece(place: int) -> None:
        widget = part()
        every = [widget, *widget.findChildren(QWidget)]
        for each in every[place::steps]:
            each.ensurePolished()

    return [lambda place=place: piece(place) for place in range(steps)]  # type: ignore[misc]
