"""Models: what is on this computer, what the hub has, what is on its way, and whether it fits.

The page joins two views and the downloads below them with the session's shelf. Opening it asks the network nothing.
"""

from __future__ import annotations

from typing import Any

from PySide6.QtCore import QEvent, Qt, QUrl
from PySide6.QtGui import QDragEnterEvent, QDropEvent, QHideEvent, QShowEvent
from PySide6.QtWidgets import (
    QButtonGroup,
    QFrame,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QPushButton,
    QStackedWidget,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from playground import events
from playground.errors import PlaygroundError
from playground.gui import theme
from playground.gui.pages import Desk
from playground.gui.pages.models_hub import HubView
from playground.gui.pages.models_library import LibraryView
from playground.gui.widgets.amounts import duration, size
from playground.gui.widgets.downloads_box import DownloadsBox

VIEWS = (
    ("library", "On this computer", "Models that are here, whoever put them there"),
    ("hub", "On the hub", "Search Hugging Face"),
)


class ModelsPage(QWidget):
    """Object names: `models.view.library`, `models.view.hub`, `models.filter`, `models.add`, `models.refresh`, `models.count`."""

    title = "Models"
    icon = "boxes"

    def __init__(self, desk: Desk) -> None:
        super().__init__()
        self._desk = desk
        self._shelf: Any = getattr(desk.session, "shelf", None)
        self._sign: QFrame | None = None
        self.setAcceptDrops(True)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addWidget(self._bar())
        self.library = LibraryView(desk, self._shelf)
        self.hub = HubView(desk, self._shelf)
        self._stack = QStackedWidget()
        self._stack.addWidget(self.library)
        self._stack.addWidget(self.hub)
        column.addWidget(self._stack, 1)
        self.downloads = DownloadsBox()
        column.addWidget(self.downloads)
        self.library.summary.connect(self.count.setText)
        self.library.hub_wanted.connect(lambda: self.show_view("hub"))
        self.library.chat_wanted.connect(self._chat)
        self.hub.chat_wanted.connect(self._chat)
        self.filter.textChanged.connect(self.library.set_words)
        self.downloads.action.connect(self._act)
        self.downloads.open_wanted.connect(lambda download: self._chat(download.path))
        self.setFocusProxy(self.library)
        self._take_model(desk.session.model)
        if self._shelf is not None:
            for each in reversed(self._shelf.downloads()):
                self.downloads.put(each)
            self._shelf.refresh()
        else:
            self.library.complete = True
            self.library._show_state()

    def _bar(self) -> QWidget:
        bar = QFrame()
        theme.mark(bar, surface="surface")
        bar.setFixedHeight(56)
        row = QHBoxLayout(bar)
        row.setContentsMargins(24, 0, 24, 0)
        row.setSpacing(12)
        title = QLabel("Models")
        theme.mark(title, role="title")
        row.addWidget(title)
        row.addSpacing(8)
        row.addWidget(self._segments())
        self.count = QLabel("")
        self.count.setObjectName("models.count")
        theme.mark(self.count, role="muted")
        row.addWidget(self.count)
        row.addStretch(1)
        self.filter = QLineEdit()
        self.filter.setObjectName("models.filter")
        self.filter.setAccessibleName("Filter")
        self.filter.setToolTip("Keeps the models that have all these words, in any column")
        self.filter.setPlaceholderText("Filter")
        self.filter.setClearButtonEnabled(True)
        self.filter.setFixedWidth(200)
        self._filter_icon = self.filter.addAction(
            theme.icon("list-filter", "muted", 16), QLineEdit.ActionPosition.LeadingPosition
        )
        theme.notifier().changed.connect(self._tint)
        row.addWidget(self.filter)
        self.refresh_button = QToolButton()
        self.refresh_button.setObjectName("models.refresh")
        self.refresh_button.setAccessibleName("Look again")
        self.refresh_button.setToolTip("Looks at all folders again")
        self.refresh_button.setFixedSize(32, 32)
        theme.bind_icon(self.refresh_button, "refresh-cw", "muted")
        self.refresh_button.clicked.connect(self._refresh)
        row.addWidget(self.refresh_button)
        self.add_button = QPushButton("Add folder…")
        self.add_button.setObjectName("models.add")
        self.add_button.setToolTip("Lists the models of a folder where they lie; files and folders can also be dropped here")
        theme.bind_icon(self.add_button, "folder-plus", "muted")
        self.add_button.clicked.connect(lambda: self.library.ask_for_folder())
        row.addWidget(self.add_button)
        return bar

    def _tint(self) -> None:
        self._filter_icon.setIcon(theme.icon("list-filter", "muted", 16))

    def _segments(self) -> QWidget:
        holder = QFrame()
        holder.setObjectName("models.view")
        theme.mark(holder, surface="sunken")
        holder.setFixedHeight(36)
        row = QHBoxLayout(holder)
        row.setContentsMargins(3, 3, 3, 3)
        row.setSpacing(2)
        self.views = QButtonGroup(self)
        for place, (name, text, tip) in enumerate(VIEWS):
            button = QToolButton()
            button.setObjectName(f"models.view.{name}")
            button.setText(text)
            button.setAccessibleName(text)
            button.setToolTip(tip)
            button.setCheckable(True)
            theme.mark(button, role="segment", on_sunken=True)
            self.views.addButton(button, place)
            row.addWidget(button)
        self.views.button(0).setChecked(True)
        self.views.idClicked.connect(lambda place: self.show_view(VIEWS[place][0]))
        return holder

    # -- what is shown

    def show_view(self, name: str) -> None:
        """`library` or `hub`."""
        place = [each[0] for each in VIEWS].index(name)
        self.views.button(place).setChecked(True)
        self._stack.setCurrentIndex(place)
        for widget in (self.filter, self.refresh_button, self.add_button, self.count):
            widget.setVisible(place == 0)
        view: QWidget = self.hub if place else self.library
        self.setFocusProxy(view)
        view.setFocus()

    def open(self, view: str = "", path: str = "", search: str = "") -> None:
        """Shows a view; selects a model of the library, or searches the hub."""
        if view or search:
            self.show_view("hub" if search else view)
        if search:
            self.hub.filters.words.setText(search)
        if path:
            self.show_view("library")
            self.library.select(path)

    def handle(self, event: Any) -> None:
        """Events of the shelf, of the loaded model and of its memory."""
        kind = type(event).__name__
        if kind == "LibraryChanged":
            self.library.take(event)
            if event.complete:
                self.hub.library_changed()
        elif kind == "VerdictsKnown":
            self.library.take_verdicts(event)
        elif kind == "DownloadChanged":
            self._take_download(event)
        elif kind == "FitMeasured":
            self.library.show_measured(event.fit)
        elif isinstance(event, events.ModelState):
            self._take_model(event)

    def _take_model(self, state: Any) -> None:
        if state.state != "loading":
            held: dict[str, int] = {}
            for term in state.info.memory if state.info is not None else ():
                held[term.device] = held.get(term.device, 0) + term.bytes
            self.library.set_held(held)
            self.hub.set_held(held)

    # -- downloads

    def _take_download(self, event: Any) -> None:
        download = event.download
        if event.removed:
            self.downloads.remove(download.id)
        else:
            self.downloads.put(download)
        self.hub.take_download(event)
        self._show_job(download, event.removed)

    def _show_job(self, download: Any, removed: bool) -> None:
        """The window's strip shows what runs, on whatever page one is."""
        strip = getattr(self.window(), "jobs", None)
        if strip is None:
            return
        from playground.gui.widgets.job_strip import Job

        name = f"download.{download.id}"
        if removed or not (download.running or download.state == "queued"):
            strip.remove(name)
            if download.state == "failed" and not removed:
                self._desk.notify(download.message, download.hint, "error", key=name)
            elif download.state == "done":
                self._desk.notify(f"{download.repo} {download.label} is here.", key=name)
            return
        rate = f"{size(download.rate)}/s" if download.rate > 0 else ""
        left = f"{duration(download.seconds_left)} left" if download.seconds_left > 0 else ""
        known = download.total and download.state in ("loading", "pausing", "retrying")
        detail = "  ".join(each for each in (rate, left) if each)
        repo = download.repo.rpartition("/")[2]
        title = repo if download.label.lower() in repo.lower() else f"{repo} {download.label}"
        cancel = lambda: self._act("cancel", download.id)  # noqa: E731
        strip.put(Job(name, title, download.fraction if known else -1.0, detail, cancel))

    def _act(self, action: str, number: str) -> None:
        try:
            if action == "delete":
                self._shelf.cancel(number, delete=True)
            else:
                getattr(self._shelf, action)(number)
        except PlaygroundError as error:
            self._desk.notify(error.message, error.hint, "error", key="models.download")

    # -- models

    def _chat(self, path: str) -> None:
        try:
            self._desk.session.load(path, self._desk.preferences.context_for(path))
        except PlaygroundError as error:
            self._desk.notify(error.message, error.hint, "error", key="model")
            return
        self._desk.open_page("chat")

    def _refresh(self) -> None:
        if self._shelf is not None:
            self._shelf.refresh()

    # -- Qt

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        if self._shelf is not None:
            self._shelf.watch(True)

    def hideEvent(self, event: QHideEvent) -> None:
        super().hideEvent(event)
        if self._shelf is not None:
            self._shelf.watch(False)

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        if _paths(event.mimeData().urls()):
            event.acceptProposedAction()
            self._show_sign(True)

    def dragLeaveEvent(self, event: QEvent) -> None:
        self._show_sign(False)

    def dropEvent(self, event: QDropEvent) -> None:
        self._show_sign(False)
        paths = _paths(event.mimeData().urls())
        if paths:
            event.acceptProposedAction()
            self.show_view("library")
            self.library.add(paths)

    def _show_sign(self, shown: bool) -> None:
        if self._sign is None:
            if not shown:
                return
            self._sign = QFrame(self)
            theme.mark(self._sign, drop=True)
            column = QVBoxLayout(self._sign)
            label = QLabel("Drop to add to your models; they stay where they are")
            theme.mark(label, role="title")
            column.addWidget(label, 0, Qt.AlignmentFlag.AlignCenter)
        self._sign.setGeometry(self.rect().adjusted(16, 16, -16, -16))
        self._sign.setVisible(shown)
        self._sign.raise_()


def _paths(urls: list[QUrl]) -> list[str]:
    return [url.toLocalFile() for url in urls if url.isLocalFile()]
