"""Garbage is collected on the window's thread alone. Knows no widget.

Python collects cycles of references on whichever thread allocates next. A Qt object in such a cycle would be destroyed there, and Qt has
its objects destroyed on their own thread only: timers go on, events go to what is gone, and the window crashes later in a place that has
nothing to do with it. So collecting by itself is off while a window is open, and its event loop does it in between.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

from PySide6.QtCore import QTimer

PAUSE_MS = 1000


@contextmanager
def collected_here() -> Iterator[None]:
    """Until the end of the block no thread collects but this one, in its event loop."""
    timer = QTimer()
    timer.setInterval(PAUSE_MS)
    timer.timeout.connect(collect)
    enabled = gc.isenabled()
    gc.disable()
    timer.start()
    try:
        yield
    finally:
        timer.stop()
        if enabled:
            gc.enable()


def collect() -> None:
    """Collects the oldest generation that is due, and those below it, as Python would."""
    counts, due = gc.get_count(), gc.get_threshold()
    for generation in (2, 1, 0):
        if due[generation] and counts[generation] > due[generation]:
            gc.collect(generation)
            return
