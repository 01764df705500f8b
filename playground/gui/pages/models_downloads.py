"""What the Models page shows of downloads: all of them at its foot, and each in the window's strip, on whatever page one is.

Knows page and shelf; how a download looks is the box's business. What is pressed there goes to the shelf.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QObject

from playground.errors import PlaygroundError
from playground.gui.pages import Desk
from playground.gui.widgets.amounts import duration, size
from playground.gui.widgets.downloads_box import DownloadsBox

if TYPE_CHECKING:
    from playground.gui.pages.models import ModelsPage


class ModelsDownloads(QObject):
    """`box` is the widget."""

    def __init__(self, page: ModelsPage, desk: Desk) -> None:
        super().__init__(page)
        self._page, self._desk = page, desk
        self._shelf: Any = None
        self.box = DownloadsBox()
        self.box.action.connect(self._act)
        self.box.open_wanted.connect(lambda download: page.chat(download.path))

    def set_shelf(self, shelf: Any) -> None:
        """Who downloads; shows what was left from last time."""
        self._shelf = shelf
        for each in reversed(shelf.downloads()):
            self.box.put(each)

    def take(self, event: Any) -> None:
        """A download is new, further, or gone (`DownloadChanged`)."""
        download = event.download
        if event.removed:
            self.box.remove(download.id)
        else:
            self.box.put(download)
        strip = getattr(self._page.window(), "jobs", None)
        if strip is not None:
            self._show_job(strip, download, event.removed)

    def _show_job(self, strip: Any, download: Any, removed: bool) -> None:
        from playground.gui.widgets.job_strip import Job

        name = f"download.{download.id}"
        paused = download.state == "paused"
        if removed or not (download.running or paused or download.state == "queued"):
            strip.remove(name)
            if download.state == "failed" and not removed:
                self._desk.notify(download.message, download.hint, "error", key=name)
            elif download.state == "done":
                self._desk.notify(f"{download.repo} {download.label} is here.", key=name)
            return
        rate = "paused" if paused else f"{size(download.rate)}/s" if download.rate > 0 else ""
        left = f"{duration(download.seconds_left)} left" if download.seconds_left > 0 else ""
        known = download.total and download.state in ("loading", "pausing", "paused", "retrying")
        detail = "  ".join(each for each in (rate, left) if each)
        repo = download.repo.rpartition("/")[2]
        title = repo if download.label.lower() in repo.lower() else f"{repo} {download.label}"
        cancel = lambda: self._act("cancel", download.id)  # noqa: E731
        hold = lambda: self._act("resume" if paused else "pause", download.id)  # noqa: E731
        holdable = paused or download.state in ("queued", "loading", "retrying")
        strip.put(Job(name, title, download.fraction if known else -1.0, detail, cancel, hold if holdable else None, paused))

    def _act(self, action: str, number: str) -> None:
        try:
            if action == "delete":
                self._shelf.cancel(number, delete=True)
            else:
                getattr(self._shelf, action)(number)
        except PlaygroundError as error:
            self._desk.notify(error.message, error.hint, "error", key="models.download")
