"""Makes keys and menus of the table in `actions`, and finds out who does what when one of them is used."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterable

from PySide6.QtCore import QPoint, Qt
from PySide6.QtGui import QAction, QKeySequence
from PySide6.QtWidgets import QMainWindow, QMenu, QMenuBar, QWidget

from playground.gui.actions import MENUS, Action

log = logging.getLogger(__name__)


class Menus:
    """`target("window" or a page's id)` gives the widget whose methods the records name."""

    def __init__(self, window: QMainWindow, target: Callable[[str], QWidget | None]) -> None:
        self._window = window
        self._target = target
        self._actions: dict[str, tuple[Action, QAction]] = {}
        self._bar: QMenuBar | None = None

    def add(self, records: Iterable[Action]) -> None:
        """Makes keys of records; those that are there already are left alone."""
        for record in records:
            if not record.slot or record.id in self._actions:
                continue
            action = QAction(record.text, self._window)
            action.setObjectName(f"action.{record.id}")
            if record.key:
                action.setShortcuts([QKeySequence(key) for key in (record.key, *record.more_keys)])
            action.setStatusTip(record.help)
            action.setToolTip(record.help)
            action.triggered.connect(lambda _checked=False, it=record: self._do(it))
            self._window.addAction(action)
            self._actions[record.id] = (record, action)
        if sys.platform == "darwin":  # where menus have a place of their own
            self._bar = QMenuBar()
            for menu in self.menus():
                self._bar.addMenu(menu)

    def enable(self, page: str, running: bool) -> None:
        """Wakes what the open page does, and what can be stopped; the rest sleeps."""
        for record, action in self._actions.values():
            action.setEnabled(record.where in ("window", page) and (record.id != "chat.stop" or running))

    def _do(self, record: Action) -> None:
        slot, _, argument = record.slot.partition(":")
        run = getattr(self._target(record.where), slot, None)
        if run is None:
            log.warning("nobody does %s", record.id)
        elif argument:
            run(argument)
        else:
            run()

    def menus(self) -> list[QMenu]:
        """The menus, in the order of the table."""
        used = {record.menu.lstrip("|") for record, _ in self._actions.values()}
        made = {name: QMenu(f"&{name}", self._window) for name in MENUS if name in used}
        for record, action in self._actions.values():
            name = record.menu.lstrip("|")
            if name in made:
                if record.menu.startswith("|"):
                    made[name].addSeparator()
                made[name].addAction(action)
        return list(made.values())

    def show(self, button: QWidget) -> None:
        """All menus as one, beside a button."""
        menu = QMenu(self._window)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        for each in self.menus():
            each.setParent(menu, each.windowFlags())
            menu.addMenu(each)
        menu.popup(button.mapToGlobal(QPoint(button.width() + 4, 0)))
