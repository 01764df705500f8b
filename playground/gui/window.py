"""The window: rail, pages, job strip, notices, menus and keys. Knows the session's events only so far as they concern all pages.

The pages are in `page_table`; each is made when it is first opened. The first paint shows where things will be, and nothing is imported
for it that can wait (Qt's own enumerations alone take longer than the paint): then `furnish` builds what is always there, and `attach`
brings the session and the first page.
"""

from __future__ import annotations

import importlib
import logging
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QByteArray, QEvent, QTimer, Signal
from PySide6.QtGui import QColor, QPainter
from PySide6.QtWidgets import QApplication, QMainWindow, QWidget

from playground.gui import palette
from playground.gui.page_table import PAGES, PARTS, Entry, in_rail
from playground.gui.preferences import Preferences
from playground.gui.window_models import WindowModels

if TYPE_CHECKING:
    from PySide6.QtGui import QCloseEvent, QDragEnterEvent, QDropEvent, QPaintEvent

    from playground.gui.actions import Action
    from playground.gui.bridge import Bridge
    from playground.gui.drops import DropSign
    from playground.gui.pages import Desk
    from playground.gui.widgets.notice import Notices
    from playground.paths import Home
    from playground.session import Session

log = logging.getLogger(__name__)


SMALLEST = (960, 600)
USUAL = (1280, 800)
OFFER_MS = 2500
NOTICE_ACTIONS = {"reload": "Load again", "choose_model": "Choose a model"}


class Window(WindowModels, QMainWindow):
    """`painted` is sent once, after the first paint."""

    painted = Signal()

    def __init__(self, home: Home, preferences: Preferences, pages: tuple[Entry, ...] = PAGES) -> None:
        super().__init__()
        self.setObjectName("window")
        self.setWindowTitle("Playground")
        self.setMinimumSize(*SMALLEST)
        self.setAcceptDrops(True)
        self.home = home
        self.preferences = preferences
        self.session: Session | None = None
        self.bridge: Bridge | None = None
        self.page = ""
        self.pages: dict[str, QWidget] = {}
        self._entries = {entry.id: entry for entry in (*pages, *PARTS)}
        self._desk: Desk | None = None
        self._wanted: tuple[str, dict[str, Any]] = ("", {})
        self._unsubscribe: Callable[[], None] | None = None
        self._running = False
        self._first_paint = True
        self._closed = False
        self._board: Notices | None = None
        self._drop_sign: DropSign | None = None
        self._furnished = False
        self._restore_geometry()
        self._save_timer = QTimer(self)
        self._save_timer.setSingleShot(True)
        self._save_timer.setInterval(800)
        self._save_timer.timeout.connect(self.preferences.save)
        self.page = self.preferences.get("page") if self.preferences.get("page") in self._entries else pages[0].id
        self._wanted = (self.page, {})

    def furnish(self) -> None:
        """Puts on the theme and builds rail, page stack, job strip and keys."""
        from PySide6.QtWidgets import QHBoxLayout, QVBoxLayout

        from playground.gui import bridge, theme
        from playground.gui.actions import TABLE
        from playground.gui.menus import Menus
        from playground.gui.widgets.job_strip import JobStrip
        from playground.gui.widgets.rail import Rail
        from playground.gui.widgets.skeleton import Skeleton, Stack

        self._furnished = True
        bridge.on_window_thread(lambda: None)  # this thread is the window's
        theme.apply(_application(), self.preferences.get("theme"), self.preferences.get("text_size"))
        root = QWidget()
        outer = QVBoxLayout(root)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.setSpacing(0)
        upper = QHBoxLayout()
        upper.setSpacing(0)
        self.rail = Rail()
        for entry, key in in_rail(self._entries.values()):
            self.rail.add(entry.id, entry.title, entry.icon, key, entry.foot)
        self.rail.chosen.connect(self.open)
        self.rail.menu_wanted.connect(self.show_menu)
        upper.addWidget(self.rail)
        self.stack = Stack()
        self.stack.addWidget(Skeleton(plain=self.page != "chat"))
        upper.addWidget(self.stack, 1)
        outer.addLayout(upper, 1)
        self.jobs = JobStrip()
        outer.addWidget(self.jobs)
        self.setCentralWidget(root)
        self.menus = Menus(self, self.target)
        self.menus.add((*TABLE, *self._page_actions()))
        self.preferences.subscribe(self._preference_changed)
        self.open(self.page)

    # -- the session

    def attach(self, session: Session) -> None:
        """Gives the window its session (not started yet) and opens the page that was waited for."""
        if not self._furnished:
            self.furnish()
        from playground.gui.bridge import Bridge
        from playground.gui.pages import Desk

        self.session = session
        self._desk = Desk(session, self.preferences, self.home, self.notify, self.open, self.ask_for_model)
        self.bridge = Bridge(self)
        self.bridge.received.connect(self.handle)
        self._unsubscribe = session.subscribe(self.bridge.push)
        session.set_sampling(self.preferences.sampling)
        self.set_pace("")
        name, arguments = self._wanted
        self.open(name, **arguments)
        if self.preferences.damage:
            self.notify(self.preferences.damage, level="warning", key="preferences")

    def handle(self, event: Any) -> None:
        """Takes what concerns the whole window, then gives the event to the pages."""
        from playground import events

        if isinstance(event, events.ModelState):
            self.model_changed(event)
        elif isinstance(event, events.Notice):
            self._session_notice(event)
        elif isinstance(event, events.StoreReady):
            self._store_ready(event)
        elif isinstance(event, events.GenerationStarted):
            self._set_running(True)
        elif isinstance(event, events.GenerationFinished):
            self._set_running(False)
        for page in tuple(self.pages.values()):
            take = getattr(page, "handle", None)
            if take is not None:
                try:
                    take(event)
                except Exception:  # one page's fault is no reason to keep the event from the others
                    log.exception("page %s on %s", page.objectName(), type(event).__name__)
                    self.notify(
                        "Something went wrong in the window; the details are in the log file.", level="error", key="bug"
                    )

    def _store_ready(self, event: Any) -> None:
        if not event.writable:
            self.jobs.show_warning("Nothing is being saved", "The data folder cannot be written to; see the notice")
        assert self.session is not None
        if self.session.model.state == "none":
            last = self.preferences.get("last_model")
            self.load_model(last if last and Path(last).exists() else "starter")
        QTimer.singleShot(OFFER_MS, self, self._offer_unfinished)

    def _offer_unfinished(self) -> None:
        """What was left in the middle can go on, once nobody waits for the window any more."""

        def offer(rows: list[Any]) -> None:
            if rows and self._desk is not None:
                from playground.gui.pages.sets import offer_to_go_on

                offer_to_go_on(self._desk, rows)

        if self._desk is not None and self.session is not None:
            self._desk.when_done(self.session.left_prompt_sets(), self, offer, lambda error: None)
            threading.Thread(target=self._import_pages, name="pages", daemon=True).start()

    def _import_pages(self) -> None:
        """Off the window's thread, so that a page that is opened for the first time does not wait for its imports."""
        for entry in self._entries.values():
            try:
                importlib.import_module(entry.place.partition(":")[0])
            except Exception:  # whoever opens it is told
                log.exception("the page %s cannot be imported", entry.id)

    def _session_notice(self, notice: Any) -> None:
        self.notify(notice.message, notice.hint, notice.level, notice.action, notice.key)

    def _set_running(self, running: bool) -> None:
        self._running = running
        self.menus.enable(self.page, self._running)

    # -- what the window offers to the pages

    def notify(
        self,
        message: str,
        hint: str = "",
        level: str = "info",
        action: str = "",
        key: str = "",
        run: Callable[[], None] | None = None,
    ) -> None:
        """One sentence over the page. An action is the text of a button (with `run` what it does), or `reload` or `choose_model`."""
        if self._board is None:
            if not message:
                return
            from playground.gui.widgets.notice import Notices

            self._board = Notices(self.stack, self._reading_room)
        if run is None:
            run = {"reload": self.reload_model, "choose_model": self.ask_for_model}.get(action)
        self._board.show(message, hint, level, NOTICE_ACTIONS.get(action, action), key, run)

    def _reading_room(self) -> tuple[int, int]:
        """Where the open page is read, as (x, width) in the page stack: notices do not cover the sliders."""
        from PySide6.QtCore import QPoint

        page = self.stack.currentWidget()
        text = page.findChild(QWidget, "chat.transcript") if page is not None else None
        if text is None or text.width() < 360:
            return 0, self.stack.width()
        return text.mapTo(self.stack, QPoint(0, 0)).x(), text.width()

    def notices(self) -> tuple[str, ...]:
        """The sentences that are shown now, the oldest first."""
        return self._board.messages() if self._board else ()

    def open(self, page: str, **arguments: Any) -> None:
        """Shows a page, making it if it is the first time; `arguments` go to its `open`."""
        self._wanted = (page, arguments)
        self.page = page
        self.rail.show_page(self._entries[page].under or page)
        if self._desk is not None:
            if page not in self.pages:
                self.pages[page] = self._make(self._entries[page])
            self.stack.setCurrentWidget(self.pages[page])
            if self._board is not None:
                self._board.place()
            if self.pages[page].focusProxy() is not None:
                self.pages[page].setFocus()
            if arguments:
                self.pages[page].open(**arguments)  # type: ignore[attr-defined]
            if not self._entries[page].foot and not self._entries[page].under:
                self.preferences.set("page", page)
        self.menus.enable(self.page, self._running)

    def _make(self, entry: Entry) -> QWidget:
        module, _, name = entry.place.partition(":")
        made: QWidget = getattr(importlib.import_module(module), name)(self._desk, self.stack)
        made.setObjectName(f"page.{entry.id}")
        self.stack.addWidget(made)
        from playground.gui.actions import Action

        more = getattr(made, "actions", None)
        if callable(more):
            # QWidget has an `actions` of its own; ours are records.
            self.menus.add(each for each in more() if isinstance(each, Action))
        return made

    # -- menus and keys

    def target(self, where: str) -> QWidget | None:
        """Who does an action: the window or a page."""
        return self if where == "window" else self.pages.get(where)

    def open_builder(self) -> None:
        """The part of Chat that makes prompts of examples."""
        self.open("builder")

    def open_beam(self) -> None:
        """The part of Chat for beam search."""
        self.open("beam")

    def show_menu(self) -> None:
        """The menus, below the button at the top of the rail."""
        self.menus.show(self.rail.menu_button)

    def show_keys(self) -> None:
        from playground.gui.actions import TABLE
        from playground.gui.widgets.keys_overlay import KeysOverlay

        root = self.centralWidget()
        assert root is not None
        overlay = KeysOverlay((*TABLE, *self._page_actions()), root)
        overlay.show()
        overlay.raise_()
        overlay.setFocus()

    def _page_actions(self) -> tuple[Action, ...]:
        from playground.gui.actions import page_actions

        return page_actions((entry.id, entry.title, key) for entry, key in in_rail(self._entries.values()) if not entry.foot)

    def open_settings(self) -> None:
        self.open("settings")

    def open_about(self) -> None:
        self.open("settings", section="about")

    def toggle_theme(self) -> None:
        from playground.gui import theme

        self.preferences.set("theme", "light" if theme.palette().dark else "dark")

    def toggle_full_screen(self) -> None:
        from PySide6.QtCore import Qt

        self.setWindowState(self.windowState() ^ Qt.WindowState.WindowFullScreen)

    def come_to_front(self) -> None:
        """Another start on the same data folder asks for it."""
        from PySide6.QtCore import Qt

        self.setWindowState(self.windowState() & ~Qt.WindowState.WindowMinimized)
        self.show()
        self.raise_()
        self.activateWindow()

    # -- preferences

    def _preference_changed(self, key: str, value: Any) -> None:
        self._save_timer.start()
        if key in ("theme", "text_size"):
            from playground.gui import theme

            theme.apply(_application(), self.preferences.get("theme"), self.preferences.get("text_size"))

    def _restore_geometry(self) -> None:
        kept = self.preferences.get("geometry")
        if not kept or not self.restoreGeometry(QByteArray.fromBase64(kept.encode("ascii", "replace"))):
            room = self.screen().availableGeometry()
            self.resize(min(USUAL[0], room.width()), min(USUAL[1], room.height()))

    # -- Qt

    def paintEvent(self, event: QPaintEvent) -> None:
        if not self._furnished:
            self._paint_curtain()
        if self._first_paint:
            self._first_paint = False
            QTimer.singleShot(0, self, self.painted.emit)

    def _paint_curtain(self) -> None:
        """The surfaces of the window before there is anything on them."""
        wanted = self.preferences.get("theme")
        dark = self.palette().window().color().lightness() < 128 if wanted == "system" else wanted == "dark"
        colors = palette.DARK if dark else palette.LIGHT
        painter = QPainter(self)
        wide, high = self.width(), self.height() - palette.STRIP
        painter.fillRect(self.rect(), QColor(colors.window))
        right = wide - palette.RAIL - (palette.PANEL + palette.LIST if self.page == "chat" else 0)
        left = palette.RAIL + (palette.LIST if self.page == "chat" else 0)
        painter.fillRect(left, 0, right, high, QColor(colors.surface))
        painter.end()

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        from playground.gui.drops import DropSign, words

        if said := words(event):
            event.acceptProposedAction()
            if self._drop_sign is None:
                self._drop_sign = DropSign(self.stack)
            self._drop_sign.appear(said)

    def dragLeaveEvent(self, event: QEvent) -> None:
        if self._drop_sign is not None:
            self._drop_sign.hide()

    def dropEvent(self, event: QDropEvent) -> None:
        from playground.gui.drops import dropped, dropped_data, is_adapter

        if self._drop_sign is not None:
            self._drop_sign.hide()
        file, data = dropped(event), dropped_data(event)
        if file is None and data is None:
            return
        event.acceptProposedAction()
        if file is None:
            self.open("train", data=str(data))
            return
        if is_adapter(file):
            self.put_on_adapter(str(file))
        else:
            self.load_model(str(file))

    def closeEvent(self, event: QCloseEvent) -> None:
        if not self._closed:
            self._closed = True
            if not self.isFullScreen():
                self.preferences.set("geometry", bytes(self.saveGeometry().toBase64().data()).decode("ascii"))
            self.hide()  # what is left to write must not look like a window that hangs
            self._save_timer.stop()
            self.preferences.save(wait=True)
            if self._unsubscribe is not None:
                self._unsubscribe()
            if self.session is not None:
                self.session.close()
        event.accept()


def _application() -> QApplication:
    app = QApplication.instance()
    assert isinstance(app, QApplication)
    return app
