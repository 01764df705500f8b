"""The button that says which model answers, and the card below it that changes that.

Knows the session only as something that loads; shows the five states of a model (none, loading, ready, failed, lost) from its events.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QEvent, QPoint, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QFont, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QFileDialog, QPushButton, QSizePolicy, QWidget

from playground import events
from playground.errors import PlaygroundError
from playground.gui import theme
from playground.gui.preferences import is_starter
from playground.gui.widgets.adapter_choice import adapter_name

if TYPE_CHECKING:
    from playground.gui.pages import Desk
    from playground.gui.preferences import Preferences
    from playground.gui.widgets.model_menu import ModelMenu

DOT = 8
STATE_COLORS = {"none": "faint", "loading": "accent", "ready": "good", "failed": "bad", "lost": "bad"}
STARTING = "Starting transformers…"
"""of a model folder: its libraries take some seconds to be imported"""
STARTED = 0.1
"""the fraction of a load from which weights are being read"""
EMPTY = {"none": "Choose a model", "loading": "Loading", "failed": "Could not be loaded", "lost": "Stopped"}


class ModelPicker(QPushButton):
    """Object name: `models.picker`. `handle` takes the session's events, `open` shows the card."""

    def __init__(self, desk: Desk, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("models.picker")
        self.setAccessibleName("Model")
        self.setSizePolicy(QSizePolicy.Policy.Maximum, QSizePolicy.Policy.Fixed)
        theme.mark(self, role="quiet")
        self._desk = desk
        self._state: events.ModelState = desk.session.model
        self._menu: ModelMenu | None = None
        self._opened = 0
        self.clicked.connect(self.open)
        theme.notifier().changed.connect(self.updateGeometry)
        self._show()

    # -- state

    def handle(self, event: Any) -> None:
        if isinstance(event, events.ModelState):
            self._state = event
            self._show()
            if self._menu is not None:
                self._menu.show_state(event)

    def state(self) -> events.ModelState:
        return self._state

    def texts(self) -> tuple[str, str]:
        """What the button says: the model's name, and what is known of it in this state."""
        state = self._state
        if state.state == "ready" and state.info is not None:
            info = state.info
            name = f"{state.name} + {adapter_name(info.adapter)}" if info.adapter else state.name
            precision = info.quantization if info.engine != "llama.cpp" else ""
            return name, "  ·  ".join(each for each in (info.engine, precision, info.device) if each)
        if state.state == "loading":
            if is_folder(state.path) and state.fraction < STARTED:
                return state.name, STARTING
            percent = f" {state.fraction:.0%}" if state.fraction >= 0 else "…"
            return state.name, f"Loading{percent}"
        if state.state == "none":
            return EMPTY["none"], ""
        return state.name, EMPTY[state.state]

    def _show(self) -> None:
        name, detail = self.texts()
        self.setText(name)
        said = f"{name}, {detail}" if detail else name
        self.setAccessibleDescription(said)
        tip = self._state.message or "Which model answers, and how it is loaded"
        self.setToolTip(tip)
        self.updateGeometry()
        self.update()

    # -- the card

    def open(self) -> None:
        """Opens the card below the button."""
        from playground.gui.widgets.model_menu import ModelMenu

        menu = ModelMenu(self._state, self._desk.preferences, self)
        menu.load_wanted.connect(self._load)
        menu.file_wanted.connect(lambda: ask_for_file(self, self._desk.preferences, self._load))
        menu.folder_wanted.connect(lambda: ask_for_folder(self, self._desk.preferences, self._load))
        menu.adapter_wanted.connect(self.put_on)
        menu.adapter_folder_wanted.connect(self._ask_for_adapter)
        self._list_adapters(menu)
        menu.unload_wanted.connect(self._desk.session.unload)
        menu.reload_wanted.connect(self._reload)
        self._opened += 1
        number = self._opened
        menu.destroyed.connect(lambda: self._forget_menu(number))
        self._menu = menu
        menu.adjustSize()
        menu.move(self.mapToGlobal(QPoint(0, self.height() + 4)))
        menu.show()
        menu.list.setFocus()

    def _forget_menu(self, number: int) -> None:
        if number == self._opened:  # an older card may be deleted after a newer one has opened
            self._menu = None

    def _load(self, model: str) -> None:
        self._try(lambda: self._desk.session.load(model, self._desk.preferences.context_for(model)))

    def put_on(self, adapter: str) -> None:
        """Loads the model anew with an adapter on, or without one if the path is empty."""
        path = self._state.path
        if not path:
            self._desk.notify("An adapter needs a model that it is put on.", "Load its model first.", "warning", key="model")
            return
        context = self._desk.preferences.context_for("starter" if is_starter(path) else path)
        if adapter:
            self._try(lambda: self._desk.session.load(path, context, adapter))
        else:
            self._try(lambda: self._desk.session.load(path, context))

    def _ask_for_adapter(self) -> None:
        dialog = QFileDialog(self.window(), "Open an adapter folder", str(self._desk.home.adapters))
        dialog.setObjectName("models.adapter_folder")
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.setFileMode(QFileDialog.FileMode.Directory)
        dialog.fileSelected.connect(self.put_on)
        dialog.open()

    def _list_adapters(self, menu: ModelMenu) -> None:
        """Looks for adapters off this thread; the card shows them when they are found."""
        home, found = self._desk.home, Future[list[str]]()

        def look() -> None:
            try:
                from playground.models import adapters  # reads folders

                found.set_result([str(path) for path in adapters.known(home)])
            except Exception as error:
                found.set_exception(error)

        threading.Thread(target=look, name="adapters", daemon=True).start()
        show = lambda paths: menu.adapter.show_adapters(paths, menu.adapter.on())  # noqa: E731
        self._desk.when_done(found, menu, show, lambda error: None)

    def _reload(self) -> None:
        self._try(self._desk.session.reload)

    def _try(self, job: Callable[[], Any]) -> None:
        try:
            job()
        except PlaygroundError as error:
            self._desk.notify(error.message, error.hint, "error", key="model")

    # -- paint

    def sizeHint(self) -> QSize:
        name, detail = self.texts()
        bold = QFont(self.font())
        bold.setWeight(QFont.Weight.DemiBold)
        from PySide6.QtGui import QFontMetrics

        wide = QFontMetrics(bold).horizontalAdvance(name) + QFontMetrics(theme.font("small")).horizontalAdvance(detail)
        return QSize(min(480, wide + 12 + DOT + 8 + (12 if detail else 0) + 40), 36)

    def minimumSizeHint(self) -> QSize:
        return QSize(96, 36)

    def event(self, event: QEvent) -> bool:
        if event.type() in (QEvent.Type.HoverEnter, QEvent.Type.HoverLeave):
            self.update()
        return super().event(event)

    def paintEvent(self, event: QPaintEvent) -> None:
        colors = theme.palette()
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        box = QRectF(self.rect()).adjusted(0.75, 0.75, -0.75, -0.75)
        fill = colors.pressed if self.isDown() else colors.hover if self.underMouse() else None
        painter.setPen(QPen(QColor(colors.accent), 1.5) if self.hasFocus() else Qt.PenStyle.NoPen)
        painter.setBrush(QColor(fill) if fill else Qt.BrushStyle.NoBrush)
        painter.drawRoundedRect(box, theme.RADIUS, theme.RADIUS)
        middle = self.height() / 2
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor(getattr(colors, STATE_COLORS[self._state.state])))
        painter.drawEllipse(QRectF(12, middle - DOT / 2, DOT, DOT))
        name, detail = self.texts()
        bold = QFont(self.font())
        bold.setWeight(QFont.Weight.DemiBold)
        painter.setFont(bold)
        painter.setPen(QColor(colors.text))
        left = 12 + DOT + 8
        room = self.width() - left - 32
        small = theme.font("small")
        from PySide6.QtGui import QFontMetrics

        wanted = painter.fontMetrics().horizontalAdvance(name) + 1
        for_detail = QFontMetrics(small).horizontalAdvance(detail) + 12 if detail else 0
        both = room - min(wanted, 72) > 52  # else the name has all of it
        for_name = min(wanted, max(room - for_detail, room // 2)) if both else min(wanted, room)
        flags = Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignLeft
        elided = painter.fontMetrics().elidedText(name, Qt.TextElideMode.ElideMiddle, for_name)
        painter.drawText(QRectF(left, 0, for_name, self.height()), flags, elided)
        if detail and room - for_name > 40:
            painter.setFont(small)
            painter.setPen(QColor(colors.bad if self._state.state in ("failed", "lost") else colors.muted))
            elided = painter.fontMetrics().elidedText(detail, Qt.TextElideMode.ElideRight, room - for_name - 11)
            painter.drawText(QRectF(left + for_name + 12, 0, room - for_name - 12, self.height()), flags, elided)
        arrow = theme.icon("chevrons-up-down", "muted", 14)
        arrow.paint(painter, self.width() - 26, round(middle) - 7, 14, 14)


def is_folder(path: str) -> bool:
    """Whether a path is that of a model folder, told without looking."""
    return bool(path) and path != "starter" and not path.lower().endswith(".gguf")


def ask_for_folder(parent: QWidget, preferences: Preferences, then: Callable[[str], None]) -> None:
    """Asks for a model folder in Hugging Face layout."""
    recent = preferences.get("recent_models")
    folder = str(Path(recent[0]).parent) if recent else str(Path.home())
    dialog = QFileDialog(parent.window(), "Open a model folder", folder)
    dialog.setObjectName("models.folder")
    dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
    dialog.setFileMode(QFileDialog.FileMode.Directory)
    dialog.fileSelected.connect(then)
    dialog.open()


def ask_for_file(parent: QWidget, preferences: Preferences, then: Callable[[str], None]) -> None:
    """Opens the system's file dialog; nothing waits for it."""
    recent = preferences.get("recent_models")
    folder = str(Path(recent[0]).parent) if recent else str(Path.home())
    dialog = QFileDialog(parent.window(), "Open a model", folder, "GGUF models (*.gguf);;All files (*)")
    dialog.setObjectName("models.file")
    dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
    dialog.setFileMode(QFileDialog.FileMode.ExistingFile)
    dialog.fileSelected.connect(then)
    dialog.open()
