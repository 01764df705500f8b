"""The workshop's jobs as every page tells of them: in the window's strip while they go on, in a notice at their end. Knows no page."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from PySide6.QtWidgets import QWidget

from playground.gui.pages import Desk
from playground.gui.widgets.amounts import duration, size
from playground.gui.widgets.job_strip import Job


def show_making(window: QWidget, making: Any, removed: bool, cancel: Callable[[str], None]) -> None:
    """A job in the strip, or no more. Two pages that show the same one show it once."""
    strip = getattr(window, "jobs", None)
    if strip is None:
        return
    name = f"making.{making.id}"
    if removed or making.ended:
        strip.remove(name)
        return
    left = f"{duration(making.seconds_left)} left" if making.seconds_left > 0 else ""
    detail = "cancelling" if making.state == "cancelling" else "waits" if making.state == "queued" else left
    strip.put(Job(name, making.title, making.fraction, detail, lambda: cancel(making.id)))


def tell_made(desk: Desk, making: Any, show: Callable[[], None]) -> None:
    """What came of a job that makes a model; `show` is the way to it."""
    key = f"making.{making.id}"
    if making.state == "failed":
        desk.notify(making.message or f"{making.title} did not work.", making.hint, "error", key=key)
    elif making.state == "done":
        name = making.path.rpartition("/")[2]
        desk.notify(f"{name} is here, {size(making.bytes)}.", "  ".join(making.notes), "info", "Show", key, show)
