"""What nobody caught: logged whole to `logs/playground.log`, told to the user in one sentence, and the window stays."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import threading
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QtMsgType, qInstallMessageHandler

from playground.errors import PlaygroundError
from playground.paths import Home

if TYPE_CHECKING:
    from playground.gui.window import Window

log = logging.getLogger("playground.gui")

LOG_BYTES = 2_000_000
LOG_FILES = 4
BUG = "Something went wrong in the window. It goes on; the details are in the log file."


class Catcher:
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
        levels = {
            QtMsgType.QtDebugMsg: logging.DEBUG,
            QtMsgType.QtInfoMsg: logging.INFO,
            QtMsgType.QtWarningMsg: logging.WARNING,
        }
        logging.getLogger("qt").log(levels.get(kind, logging.ERROR), "%s", text)
