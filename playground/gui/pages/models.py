"""Models: what is on this computer, what the hub has, what is on its way, and whether it fits.

The page joins two views and the downloads below them with the session's shelf. Opening it asks the network nothing.
"""

from __future__ import annotations

import importlib
import threading
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import shiboken6
from PySide6.QtCore import QEvent, QUrl
from PySide6.QtGui import QDragEnterEvent, QDropEvent, QHideEvent, QShowEvent
from PySide6.QtWidgets import (
    QFrame,
    QPushButton,
    QStackedWidget,
    QVBoxLayout,
    QWidget,
)

from playground import events
from playground.errors import PlaygroundError
from playground.gui import theme
from playground.gui.actions import Action
from playground.gui.bridge import on_window_thread
from playground.gui.drops import DropSign
from playground.gui.form import line
from playground.gui.pages import Desk
from playground.gui.pages.models_downloads import ModelsDownloads
from playground.gui.pages.models_making import ModelsMaking
from playground.gui.widgets.icon_button import icon_button
from playground.gui.widgets.page_head import PageHead
from playground.gui.widgets.segments import tabs

if TYPE_CHECKING:
    from playground.gui.pages.models_hub import HubView
    from playground.gui.pages.models_library import LibraryView

VIEWS = (
    ("library", "On this computer", "Models that are here, whoever put them there"),
    ("hub", "On the hub", "Search Hugging Face"),
)


class ModelsPage(QWidget):
    """Object names: `models.view.library`, `models.view.hub`, `models.filter`, `models.add`, `models.refresh`, `models.count`."""

    title = "Models"
    icon = "boxes"

    def __init__(self, desk: Desk, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._desk = desk
        self._shelf: Any = None
        self._hub: HubView | None = None
        self._held: dict[str, int] = {}
        self._sign: DropSign | None = None
        self._made_ahead = False
        self.setAcceptDrops(True)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addWidget(self._head())
        self._library: LibraryView | None = None
        self._stack = QStackedWidget()
        column.addWidget(self._stack, 1)
        self.downloads = ModelsDownloads(self, desk)
        column.addWidget(self.downloads.box)
        self.making = ModelsMaking(self, desk)
        self.filter.textChanged.connect(lambda text: self.library.set_words(text))
        self._take_model(desk.session.model)
        if hasattr(type(desk.session), "shelf") or hasattr(desk.session, "shelf"):
            threading.Thread(target=self._make_shelf, name="shelf", daemon=True).start()
        else:
            self.library.set_shelf(None)

    def _make_shelf(self) -> None:
        """On a thread of its own: the shelf brings the readers of headers and the arithmetic, half a second of imports."""
        importlib.import_module("playground.gui.pages.models_library")

        def make_library() -> None:
            if shiboken6.isValid(self):
                _ = self.library

        on_window_thread(make_library)
        shelf = self._desk.session.shelf
        for module in ("playground.memory.training_fit", "playground.models.library"):
            importlib.import_module(module)
        workshop = getattr(self._desk.session, "workshop", None)
        on_window_thread(lambda: self._take_shelf(shelf, workshop) if shiboken6.isValid(self) else None)
        for module in ("widgets.library_detail", "pages.models_hub"):  # they are there when the first model is chosen
            importlib.import_module(f"playground.gui.{module}")
        for module in (
            "gui.widgets.quantize_panel",
            "gui.widgets.report_panel",
            "session.workshop_plan",
            "models.adapter_base",
        ):
            importlib.import_module(f"playground.{module}")

    def _take_shelf(self, shelf: Any, workshop: Any) -> None:
        self._shelf = shelf
        self.making.set_workshop(workshop)
        self.library.set_shelf(shelf)
        if self._hub is not None:
            self._hub.set_shelf(shelf)
        self.downloads.set_shelf(shelf)
        shelf.refresh()
        shelf.watch(self.isVisible())

    @property
    def library(self) -> LibraryView:
        """The view of what is here, made a moment after the page: opening it is two short steps, not a long one."""
        if self._library is None:
            from playground.gui.pages.models_library import LibraryView

            made = self._library = LibraryView(self._desk)
            made.set_held(self._held)
            made.summary.connect(self.count.setText)
            made.hub_wanted.connect(lambda: self.show_view("hub"))
            made.chat_wanted.connect(self.chat)
            made.adapter_wanted.connect(self.making.chat_with_adapter)
            made.quantize_wanted.connect(self.making.quantize)
            made.report_wanted.connect(self.making.report)
            made.table.chosen.connect(lambda row: self.making.prepare() if row is not None else None)
            self._stack.insertWidget(0, made)
            if not self.views.checkedId():
                self._stack.setCurrentIndex(0)
                self.setFocusProxy(made)
                focused = self.window().focusWidget()
                if self.isVisible() and (focused is None or not self.isAncestorOf(focused)):
                    made.setFocus()
        return self._library

    @property
    def hub(self) -> HubView:
        """The view of the hub, made when it is first wanted."""
        if self._hub is None:
            from playground.gui.pages.models_hub import HubView

            self._hub = HubView(self._desk, self._shelf)
            self._hub.chat_wanted.connect(self.chat)
            self._hub.set_held(self._held)
            self._stack.addWidget(self._hub)
        return self._hub

    def _make_ahead(self) -> None:
        """Makes what a first click opens: the details of a model, and the hub."""
        from playground.gui.ahead import make_ahead, polish

        detail, hub, place = (lambda: self.library.detail), (lambda: self.hub), (lambda: self.hub.page)
        steps: list[Any] = []
        for part, pieces in ((detail, 4), (place, 4)):
            if part is place:
                steps += [hub, *polish(hub, 3)]
            steps += [part, lambda part=part: part().fit.prepare(), lambda part=part: part().fit.prepare_training()]
            steps += polish(part, pieces)
        make_ahead(self, steps)

    def _head(self) -> QWidget:
        head = PageHead("models", "Models", "Filter", "Keeps the models that have all these words, in any column", 200)
        self.count, self.filter = head.count, head.filter
        head.row.insertSpacing(1, 8)
        head.row.insertWidget(2, self._segments())
        self.refresh_button = icon_button("models.refresh", "refresh-cw", "Looks at all folders again", "Look again", drawn=16)
        self.refresh_button.clicked.connect(self._refresh)
        head.row.addWidget(self.refresh_button)
        self.add_button = QPushButton("Add folder…")
        self.add_button.setObjectName("models.add")
        self.add_button.setToolTip("Lists the models of a folder where they lie; files and folders can also be dropped here")
        theme.bind_icon(self.add_button, "folder-plus", "muted")
        self.add_button.clicked.connect(lambda: self.library.ask_for_folder())
        head.row.addWidget(self.add_button)
        order = [*self.views.buttons(), self.filter, self.refresh_button, self.add_button]
        for before, after in pairwise(order):
            QWidget.setTabOrder(before, after)
        return head

    def _segments(self) -> QWidget:
        holder = QFrame()
        holder.setObjectName("models.view")
        theme.mark(holder, surface="sunken")
        holder.setFixedHeight(36)
        self.views = tabs("models.view", VIEWS, holder, on_sunken=True)
        self.views.idClicked.connect(lambda place: self.show_view(VIEWS[place][0]))
        row = line(*self.views.buttons(), spacing=2)
        row.setContentsMargins(3, 3, 3, 3)
        holder.setLayout(row)
        return holder

    # -- what is shown

    def show_view(self, name: str) -> None:
        """`library` or `hub`."""
        place = [each[0] for each in VIEWS].index(name)
        self.views.button(place).setChecked(True)
        self._show(self.hub if place else self.library, place == 0)

    def show_part(self, part: QWidget) -> None:
        """A part that is opened over the library (quantizing, a report), until one goes back."""
        self.add_part(part)
        self.views.button(0).setChecked(True)
        self._show(part, False)

    def add_part(self, part: QWidget) -> None:
        """Takes a part in, without showing it yet."""
        if self._stack.indexOf(part) < 0:
            self._stack.addWidget(part)

    def _show(self, view: QWidget, listed: bool) -> None:
        self._stack.setCurrentWidget(view)
        for widget in (self.filter, self.refresh_button, self.add_button, self.count):
            widget.setVisible(listed)
        self.setFocusProxy(view)
        view.setFocus()

    def in_sight(self, part: QWidget) -> bool:
        """Whether a part is what one looks at."""
        return self.isVisible() and self._stack.currentWidget() is part

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
            if event.complete and not self._made_ahead:
                self._made_ahead = True
                self._make_ahead()
            if event.complete and self._hub is not None:
                self._hub.library_changed()
        elif kind == "VerdictsKnown":
            self.library.take_verdicts(event)
        elif kind == "DownloadChanged":
            self.downloads.take(event)
            if self._hub is not None:
                self._hub.take_download(event)
        elif kind == "JobChanged":
            self.making.take(event)
        elif kind == "FitMeasured":
            self.library.show_measured(event.fit)
        elif isinstance(event, events.ModelState):
            self._take_model(event)

    def _take_model(self, state: Any) -> None:
        if state.state != "loading":
            held: dict[str, int] = {}
            for term in state.info.memory if state.info is not None else ():
                held[term.device] = held.get(term.device, 0) + term.bytes
            self._held = held
            if self._library is not None:
                self._library.set_held(held)
            if self._hub is not None:
                self._hub.set_held(held)

    def actions(self) -> tuple[Action, ...]:  # type: ignore[override]  # QWidget has one of its own; the window knows
        return (
            Action(
                "models.find",
                "Find a model",
                "Ctrl+F",
                "models",
                "focus_words",
                "Model",
                "Filters the list, or searches the hub",
            ),
        )

    def focus_words(self) -> None:
        """To the field for words of the view that is shown."""
        if self._stack.currentWidget() not in (self.library, self._hub):
            self.show_view("library")
        field = self.hub.filters.words if self.views.checkedId() else self.filter
        field.setFocus()
        field.selectAll()

    # -- models

    def chat(self, path: str, adapter: str = "") -> None:
        """Loads a model, with an adapter on if one is named, and opens the chat."""
        try:
            if adapter:
                self._desk.session.load(path, self._desk.preferences.context_for(path), adapter)
            else:
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
            if self._sign is None:
                self._sign = DropSign(self)
            self._sign.appear("Drop to add to your models; they stay where they are")

    def dragLeaveEvent(self, event: QEvent) -> None:
        self._hide_sign()

    def dropEvent(self, event: QDropEvent) -> None:
        self._hide_sign()
        paths = _paths(event.mimeData().urls())
        if paths:
            event.acceptProposedAction()
            self.show_view("library")
            self.library.add(paths)

    def _hide_sign(self) -> None:
        if self._sign is not None:
            self._sign.hide()


def _paths(urls: list[QUrl]) -> list[str]:
    return [url.toLocalFile() for url in urls if url.isLocalFile()]
