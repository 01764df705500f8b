"""Starts the window: on screen first, everything else after. Nothing here imports an engine, ever.

What goes wrong and was not foreseen is logged whole to `logs/playground.log`, the user gets one sentence, and the window stays.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import threading
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QObject, QtMsgType, qInstallMessageHandler
from PySide6.QtWidgets import QApplication

from playground.errors import InUseError, PlaygroundError
from playground.gui.preferences import Preferences
from playground.gui.window import Window
from playground.paths import Home, resources
from playground.paths import home as home_in_force

log = logging.getLogger("playground.gui")

if TYPE_CHECKING:
    from PySide6.QtGui import QIcon

LOG_BYTES = 2_000_000
LOG_FILES = 4
BUG = "Something went wrong in the window. It goes on; the details are in the log file."


def main(argv: list[str] | None = None) -> int:
    """Opens the window and returns its exit code; 1 at once if another window holds the data folder."""
    home = home_in_force()
    app = _application(argv)
    from playground.history.lock import WindowLock

    try:
        lock = WindowLock(home.lock)
    except InUseError as error:
        print(f"{error.message} {error.hint}".strip(), file=sys.stderr)
        _call_first_window(home)
        return 1
    window = _window(home)
    catcher = _Catcher(window, home)
    catcher.install()

    def begin() -> None:
        window.furnish()
        catcher.start_log()
        _quit_on_interrupt(window)
        app.setWindowIcon(app_icon())
        threading.Thread(target=_make_session, args=(home, window), name="start", daemon=True).start()
        window.front_door = _FrontDoor(home, window)  # type: ignore[attr-defined]

    window.painted.connect(begin)
    window.show()
    try:
        return app.exec()
    finally:
        catcher.remove()
        lock.release()


def make_window(session: Any = None, home: Home | None = None) -> Window:
    """A window with its session attached, not shown yet; the session starts after the first paint. For tests and for `packaging/bench`."""
    home = home or home_in_force()
    _application(None)
    window = _window(home)
    if session is None:
        from playground.session import Session

        session = Session(home)
    window.attach(session)
    window.painted.connect(session.start)
    return window


def _application(argv: list[str] | None) -> QApplication:
    app = QApplication.instance()
    if not isinstance(app, QApplication):
        app = QApplication(["playground", *(argv or [])])
    app.setApplicationName("Playground")
    app.setApplicationDisplayName("Playground")
    app.setDesktopFileName("playground")
    return app


def _window(home: Home) -> Window:
    preferences = Preferences(home.settings)
    window = Window(home, preferences)

    def cannot_save(error: OSError) -> None:
        from playground.gui import bridge

        text = f"The settings could not be saved: {error.strerror or error}."
        bridge.on_window_thread(lambda: window.notify(text, f"The file is {preferences.file}.", "warning", key="preferences"))

    preferences.on_error = cannot_save
    return window


def _make_session(home: Home, window: Window) -> None:
    """On a thread of its own: importing the session takes longer than painting the window."""
    from playground.gui.bridge import on_window_thread

    try:
        from playground.session import Session

        session = Session(home)
    except Exception:
        log.exception("the session could not be made")
        on_window_thread(lambda: window.notify(BUG, level="error", key="bug"))
        return

    def attach() -> None:
        if window.isVisible():
            window.attach(session)
            session.start()

    on_window_thread(attach)


def app_icon() -> QIcon:
    """The program's icon, in the sizes that task bars ask for."""
    from PySide6.QtGui import QIcon

    return QIcon(str(resources() / "icons" / "app.svg"))


# -- what goes wrong


class _Catcher:
    """Logs what nobody caught, and tells it to the user in one sentence."""

    def __init__(self, window: Window, home: Home) -> None:
        self._window = window
        self._home = home
        self._started = False
        self._before: tuple[Any, ...] = ()

    def install(self) -> None:
        self._before = (sys.excepthook, threading.excepthook, sys.unraisablehook, qInstallMessageHandler(self._qt))
        sys.excepthook = self._uncaught
        threading.excepthook = lambda args: self._uncaught(args.exc_type, args.exc_value, args.exc_traceback)
        sys.unraisablehook = lambda args: log.warning("ignored: %s %r", args.err_msg, args.object, exc_info=args.exc_value)

    def remove(self) -> None:
        if self._before:
            sys.excepthook, threading.excepthook, sys.unraisablehook, handler = self._before
            qInstallMessageHandler(handler)

    def start_log(self) -> None:
        """Opens the log file; where none can be written, errors go to stderr."""
        if self._started:
            return
        self._started = True
        from logging.handlers import RotatingFileHandler

        handler: logging.Handler
        try:
            self._home.logs.mkdir(parents=True, exist_ok=True)
            file = self._home.logs / "playground.log"
            handler = RotatingFileHandler(file, maxBytes=LOG_BYTES, backupCount=LOG_FILES, encoding="utf-8", delay=True)
            handler.stream = handler._open()
        except OSError:
            handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)-7s %(name)s [%(threadName)s] %(message)s"))
        root = logging.getLogger()
        root.addHandler(handler)
        root.setLevel(logging.INFO)
        log.info("window started, process %s, data folder %s", os.getpid(), self._home.root)

    def _uncaught(self, kind: type[BaseException], error: BaseException | None, trace: Any) -> None:
        if error is None or issubclass(kind, KeyboardInterrupt):
            return
        from playground.gui.bridge import on_window_thread

        self.start_log()
        if isinstance(error, PlaygroundError):
            log.warning("told the user: %s", error, exc_info=(kind, error, trace))
            message, hint = error.message, error.hint
        else:
            log.critical("not caught", exc_info=(kind, error, trace))
            message, hint = BUG, f"{kind.__name__} — see {self._home.logs / 'playground.log'}"
        with contextlib.suppress(RuntimeError):  # the window may be gone
            on_window_thread(lambda: self._window.notify(message, hint, "error", key="bug"))

    def _qt(self, kind: QtMsgType, context: Any, text: str) -> None:
        levels = {QtMsgType.QtDebugMsg: logging.DEBUG, QtMsgType.QtInfoMsg: logging.INFO, QtMsgType.QtWarningMsg: logging.WARNING}
        logging.getLogger("qt").log(levels.get(kind, logging.ERROR), "%s", text)


# -- one window a data folder


def _door_name(home: Home) -> str:
    import hashlib

    digest = hashlib.sha256(str(home.root).encode("utf-8", "surrogatepass")).hexdigest()[:16]
    return f"playground-{os.getuid() if hasattr(os, 'getuid') else 0}-{digest}"


class _FrontDoor(QObject):
    """Listens for a second start on the same data folder, and brings the window to the front."""

    def __init__(self, home: Home, window: Window) -> None:
        super().__init__(window)
        from PySide6.QtNetwork import QLocalServer

        self._window = window
        self._server = QLocalServer(self)
        self._server.setSocketOptions(QLocalServer.SocketOption.UserAccessOption)
        QLocalServer.removeServer(_door_name(home))  # left by a window that was killed; we hold the lock
        self._server.newConnection.connect(self._answer)
        if not self._server.listen(_door_name(home)):
            log.info("no front door: %s", self._server.errorString())

    def _answer(self) -> None:
        connection = self._server.nextPendingConnection()
        if connection is not None:
            connection.disconnected.connect(connection.deleteLater)
            connection.close()
        self._window.come_to_front()


def _call_first_window(home: Home) -> None:
    from PySide6.QtNetwork import QLocalSocket

    connection = QLocalSocket()
    connection.connectToServer(_door_name(home))
    if connection.waitForConnected(500):
        connection.waitForDisconnected(500)


def _quit_on_interrupt(window: Window) -> None:
    """Ctrl+C in the terminal closes the window properly. Python's handler only runs between bytecodes: a socket wakes Qt for it."""
    if threading.current_thread() is not threading.main_thread():
        return
    import signal
    import socket

    from PySide6.QtCore import QSocketNotifier

    reads, writes = socket.socketpair()
    reads.setblocking(False)
    writes.setblocking(False)
    signal.set_wakeup_fd(writes.fileno(), warn_on_full_buffer=False)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda _number, _frame: window.close())
    notifier = QSocketNotifier(reads.fileno(), QSocketNotifier.Type.Read, window)

    def drain() -> None:
        with contextlib.suppress(BlockingIOError):
            reads.recv(64)

    notifier.activated.connect(drain)
    window.wakeup = (reads, writes)  # type: ignore[attr-defined]  # open as long as the window is
