"""The window: rail, pages, job strip, notices, menus and keys. Knows the session's events only so far as they concern all pages.

A page is one line in `PAGES`; it is made when it is first opened. The first paint shows where things will be, and nothing is imported
for it that can wait (Qt's own enumerations alone take longer than the paint): then `furnish` builds what is always there, and `attach`
brings the session and the first page.
"""

from __future__ import annotations

import importlib
import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QByteArray, QEvent, QTimer, Signal
from PySide6.QtGui import QColor, QPainter
from PySide6.QtWidgets import QApplication, QMainWindow, QWidget

from playground.errors import PlaygroundError
from playground.gui import palette
from playground.gui.preferences import Preferences, is_starter

if TYPE_CHECKING:
    from PySide6.QtGui import QCloseEvent, QDragEnterEvent, QDropEvent, QPaintEvent

    from playground.gui.actions import Action
    from playground.gui.bridge import Bridge
    from playground.gui.pages import Desk
    from playground.gui.widgets.notice import Notices
    from playground.paths import Home
    from playground.session import Session

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Entry:
    """A page: where its class is, and how the rail shows it."""

    id: str
    title: str
    icon: str
    place: str
    foot: bool = False
    under: str = ""
    """the page that it is a part of: it is opened from there, and the rail shows that one"""


PAGES: tuple[Entry, ...] = (
    Entry("models", "Models", "boxes", "playground.gui.pages.models:ModelsPage"),
    Entry("chat", "Chat", "message-square", "playground.gui.pages.chat:ChatPage"),
    Entry("compare", "Compare", "columns-3", "playground.gui.pages.compare:ComparePage"),
    Entry("log", "Log", "scroll-text", "playground.gui.pages.log:LogPage"),
    Entry("settings", "Settings", "settings", "playground.gui.pages.settings:SettingsPage", foot=True),
)
"""in the order of the work: get, chat, compare, look inside, train, look back; the settings at the foot"""

PARTS: tuple[Entry, ...] = (
    Entry("sets", "Many prompts", "table-2", "playground.gui.pages.sets:SetsPage", under="compare"),
    Entry("beam", "Beam search", "flask-conical", "playground.gui.pages.beam:BeamPage", under="chat"),
    Entry("builder", "Prompt builder", "list-plus", "playground.gui.pages.builder:BuilderPage", under="chat"),
)
"""pages that are opened from another one"""

SMALLEST = (960, 600)
USUAL = (1280, 800)
STARTER_PACE = 40.0
"""Tokens a second: at the starter's own, a story is over before anybody can move a slider."""
OFFER_MS = 2500
NOTICE_ACTIONS = {"reload": "Load again", "choose_model": "Choose a model"}


class Window(QMainWindow):
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
        self._drop_sign: QWidget | None = None
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
        for number, entry in enumerate((each for each in self._entries.values() if not each.under), 1):
            key = "Ctrl+," if entry.foot else f"Ctrl+{number}"
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
        self._set_pace("")
        name, arguments = self._wanted
        self.open(name, **arguments)
        if self.preferences.damage:
            self.notify(self.preferences.damage, level="warning", key="preferences")

    def handle(self, event: Any) -> None:
        """Takes what concerns the whole window, then gives the event to the pages."""
        from playground import events

        if isinstance(event, events.ModelState):
            self._model_changed(event)
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

    def _model_changed(self, state: Any) -> None:
        from playground.gui.widgets.job_strip import Job
        from playground.gui.widgets.model_picker import STARTED, ModelPicker, is_folder

        for picker in self.findChildren(ModelPicker):
            picker.handle(state)

        if state.state == "loading":
            assert self.session is not None
            starting = "starting transformers" if is_folder(state.path) and state.fraction < STARTED else ""
            fraction = -1.0 if starting else state.fraction
            self.jobs.put(Job("model", f"Loading {state.name}", fraction, starting, cancel=self.session.unload))
        else:
            self.jobs.remove("model")
        if state.state == "ready":
            self._set_pace(state.path)
            self.preferences.remember_model("starter" if is_starter(state.path) else state.path)
            self.jobs.show_summary(_summary(state.info))
            self.notify("", key="model")
        elif state.state == "failed":
            self.jobs.show_summary("")
            self.notify(state.message, state.hint, "error", "choose_model", "model")
        elif state.state == "lost":  # the session has a notice for that
            self.jobs.show_summary("")
        elif state.state == "none":
            self.jobs.show_summary("No model is loaded")

    def _set_pace(self, path: str) -> None:
        """The pace that was chosen; as long as none was, the starter is slowed down to where a person can steer."""
        assert self.session is not None
        chosen = float(self.preferences.get("pace"))
        self.session.set_pace(chosen if chosen >= 0 else STARTER_PACE if is_starter(path) else 0.0)

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
        made: QWidget = getattr(importlib.import_module(module), name)(self._desk)
        made.setObjectName(f"page.{entry.id}")
        self.stack.addWidget(made)
        from playground.gui.actions import Action

        more = getattr(made, "actions", None)
        if callable(more):
            # QWidget has an `actions` of its own; ours are records.
            self.menus.add(each for each in more() if isinstance(each, Action))
        return made

    # -- models

    def load_model(self, model: str | Path) -> None:
        """Loads a model with the settings kept for it; what is wrong is told in a notice."""
        if self.session is None:
            return
        try:
            self.session.load(model, self.preferences.context_for(str(model)))
        except PlaygroundError as error:
            self.notify(error.message, error.hint, "error", "choose_model", "model")

    def open_model(self) -> None:
        """Asks for a GGUF file."""
        from playground.gui.widgets.model_picker import ask_for_file

        ask_for_file(self, self.preferences, self.load_model)

    def open_model_folder(self) -> None:
        """Asks for a folder in Hugging Face layout."""
        from playground.gui.widgets.model_picker import ask_for_folder

        ask_for_folder(self, self.preferences, self.load_model)

    def put_on_adapter(self, path: str) -> None:
        """Loads the model that is loaded anew, with this adapter on."""
        from playground.gui.widgets.model_picker import ModelPicker

        self.open("chat")
        for picker in self.pages["chat"].findChildren(ModelPicker):
            picker.put_on(path)

    def ask_for_model(self) -> None:
        self.open("chat")
        picker = self.findChild(QWidget, "models.picker")
        if picker is not None and hasattr(picker, "open"):
            picker.open()

    def reload_model(self) -> None:
        if self.session is not None:
            try:
                self.session.reload()
            except PlaygroundError as error:
                self.notify(error.message, error.hint, "error", "choose_model", "model")

    def unload_model(self) -> None:
        if self.session is not None:
            self.session.unload()

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

        return page_actions((entry.id, entry.title) for entry in self._entries.values() if not entry.foot and not entry.under)

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
        if _dropped(event) is not None:
            event.acceptProposedAction()
            self._show_drop_sign(True)

    def dragLeaveEvent(self, event: QEvent) -> None:
        self._show_drop_sign(False)

    def dropEvent(self, event: QDropEvent) -> None:
        self._show_drop_sign(False)
        file = _dropped(event)
        if file is None:
            return
        event.acceptProposedAction()
        if is_adapter(file):
            self.put_on_adapter(str(file))
        else:
            self.load_model(str(file))

    def _show_drop_sign(self, shown: bool) -> None:
        if self._drop_sign is None:
            if not shown:
                return
            from PySide6.QtCore import Qt
            from PySide6.QtWidgets import QFrame, QLabel, QVBoxLayout

            from playground.gui import theme

            sign = QFrame(self.stack)
            theme.mark(sign, drop=True)
            column = QVBoxLayout(sign)
            label = QLabel("Drop to load this model")
            theme.mark(label, role="title")
            column.addWidget(label, 0, Qt.AlignmentFlag.AlignCenter)
            self._drop_sign = sign
        self._drop_sign.setGeometry(self.stack.rect().adjusted(16, 16, -16, -16))
        self._drop_sign.setVisible(shown)
        self._drop_sign.raise_()

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


def _dropped(event: QDropEvent) -> Path | None:
    """The model or adapter among what is dropped: a GGUF file, or a folder that has what makes one (or a file of such a folder)."""
    for url in event.mimeData().urls():
        if not url.isLocalFile():
            continue
        path = Path(url.toLocalFile())
        if path.suffix.lower() == ".gguf":
            return path
        folder = path.parent if path.suffix.lower() in (".json", ".safetensors") else path
        if (folder / "config.json").is_file() or is_adapter(folder):
            return folder
    return None


def is_adapter(path: Path) -> bool:
    """Whether a folder holds an adapter in PEFT layout, and no model."""
    return (path / "adapter_config.json").is_file() and not (path / "config.json").is_file()


def _summary(info: Any) -> str:
    if info is None:
        return ""
    size = f"{info.size / 1e9:.1f} GB" if info.size >= 1e9 else f"{info.size / 1e6:.1f} MB"
    count = f"{info.parameters / 1e9:.1f} B" if info.parameters >= 1e9 else f"{info.parameters / 1e6:.1f} M"
    parts = (
        info.name,
        info.architecture,
        f"{count} parameters",
        info.quantization,
        size,
        f"{info.context:,} tokens of context",
    )
    return "  ·  ".join(each for each in parts if each)
