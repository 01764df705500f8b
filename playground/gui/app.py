"""Starts the window: on screen first, everything else after. Nothing here imports an engine, ever.

One window a data folder: a second start brings the first one to the front.
"""

from __future__ import annotations

import contextlib
import gc
import logging
import os
import sys
import threading
from typing import TYPE_CHECKING, Any

import shiboken6
from PySide6.QtCore import QObject, QTimer
from PySide6.QtWidgets import QApplication

from playground.errors import InUseError
from playground.gui.collector import collected_here
from playground.gui.notify import BUG, Catcher
from playground.gui.preferences import Preferences
from playground.gui.window import Window
from playground.paths import Home, resources
from playground.paths import home as home_in_force

log = logging.getLogger("playground.gui")

SETTLED_MS = 4000
"""after which what a start imports and makes is there"""

if TYPE_CHECKING:
    from PySide6.QtGui import QIcon


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
    catcher = Catcher(window, home)
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
        with collected_here():
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

        def tell() -> None:
            if shiboken6.isValid(window):  # they are saved once more when it closes
                text = f"The settings could not be saved: {error.strerror or error}."
                window.notify(text, f"The file is {preferences.file}.", "warning", key="preferences")

        bridge.on_window_thread(tell)

    preferences.on_error = cannot_save
    return window


def spare_the_collector() -> None:
    """What is there by now stays: the garbage collector need not go through all modules again and again, which took 45 ms a time."""
    gc.freeze()


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
            try:
                window.attach(session)
            finally:  # a page that cannot be made is no reason to have no session: it is opened at every start
                session.start()
            QTimer.singleShot(SETTLED_MS, window, spare_the_collector)

    on_window_thread(attach)


def app_icon() -> QIcon:
    """The program's icon, in the sizes that task bars ask for."""
    from PySide6.QtGui import QIcon

    return QIcon(str(resources() / "icons" / "app.svg"))


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
