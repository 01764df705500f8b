"""Where the parts of the Chat page stand, and what becomes of them in a small window. Knows no conversation."""

from __future__ import annotations

from PySide6.QtCore import QEvent, QObject, QPoint, QTimer, Signal
from PySide6.QtWidgets import QFrame, QHBoxLayout, QStackedWidget, QVBoxLayout, QWidget

from playground.gui import theme
from playground.gui.pages import Desk
from playground.gui.palette import LAB, LAB_LEAST
from playground.gui.widgets import chat_style
from playground.gui.widgets.chat_list import WIDTH as LIST_WIDTH
from playground.gui.widgets.chat_list import ChatList
from playground.gui.widgets.chat_welcome import ChatWelcome
from playground.gui.widgets.composer import Composer
from playground.gui.widgets.context_gauge import ContextGauge
from playground.gui.widgets.elided_label import ElidedLabel
from playground.gui.widgets.icon_button import icon_button
from playground.gui.widgets.model_picker import ModelPicker
from playground.gui.widgets.sampling_panel import SamplingPanel
from playground.gui.widgets.system_prompt import SystemPrompt
from playground.gui.widgets.token_legend import TokenLegend
from playground.gui.widgets.transcript import Transcript

CENTRE = 560
"""the least width of the conversation; the list of chats gives way to it"""
BESIDE = 400
"""what the lab leaves the conversation, as far as it can"""
TIGHT = 480
"""width of the conversation below which the button of the colours is left to its key"""
SIDE = 12


class ChatLayout(QObject):
    """Makes the widgets of a page and lays them out in it."""

    menu_wanted = Signal(QPoint)

    def __init__(self, page: QWidget, desk: Desk) -> None:
        super().__init__(page)
        self._page = page
        page.setStyleSheet(chat_style.sheet())  # before there are widgets: each is styled once
        self._preferences = desk.preferences
        self.reveal_later = ""
        self._list_wanted = bool(desk.preferences.get("chat.list_open", True))
        self._list_forced: bool | None = None
        self._last_width = 0
        self._beside = 0
        """width of what stands to the right of the conversation"""
        self.chats = ChatList()
        self.transcript = Transcript()
        self.composer = Composer()
        self.system = SystemPrompt()
        self.gauge = ContextGauge()
        self.welcome = ChatWelcome()
        self.panel = SamplingPanel(desk.preferences)
        self.picker = ModelPicker(desk)
        self.title = ElidedLabel()
        theme.mark(self.title, role="muted")
        self.list_button = icon_button("chat.list.show", "panel-left", "Shows the list of chats", "Show the list of chats")
        self.menu_button = icon_button("chat.menu", "ellipsis", "Rename, export or delete this chat", "Chat menu")
        self.panel_button = icon_button(
            "chat.panel", "sliders-horizontal", "Shows or hides the sampling panel (Ctrl+B)", "Sampling panel"
        )
        self.panel_button.setCheckable(True)
        self.colours_button = icon_button(
            "chat.colours", "highlighter", "Colours tokens by probability or entropy (Ctrl+T)", "Colour tokens"
        )
        self.colours_button.setCheckable(True)
        self.lab_button = icon_button("chat.lab", "flask-conical", "Shows or hides the decoding lab (Ctrl+L)", "Decoding lab")
        self.lab_button.setCheckable(True)
        self.legend = TokenLegend()
        self.lab: QWidget | None = None
        self._build()
        self.list_button.clicked.connect(lambda: self.show_list(True))
        self.chats.hidden.connect(lambda: self.show_list(False))
        self.panel_button.clicked.connect(lambda checked: self.show_panel(checked))
        self.menu_button.clicked.connect(
            lambda: self.menu_wanted.emit(self.menu_button.mapToGlobal(QPoint(0, self.menu_button.height())))
        )
        self.transcript.viewport().installEventFilter(self)
        theme.notifier().changed.connect(self._restyle)
        self.show_panel(bool(desk.preferences.get("panel_open")), keep=False)
        self._show_list_now(self._list_wanted)

    def _build(self) -> None:
        bar = QFrame()
        theme.mark(bar, surface="surface", line="bottom")
        bar.setFixedHeight(49)
        top = QHBoxLayout(bar)
        top.setContentsMargins(8, 8, 8, 8)
        top.setSpacing(6)
        top.addWidget(self.list_button)
        top.addWidget(self.picker)
        top.addWidget(self.title, 1)
        top.addWidget(self.gauge)
        top.addSpacing(4)
        buttons = QHBoxLayout()
        buttons.setSpacing(0)
        for button in (self.menu_button, self.colours_button, self.lab_button, self.panel_button):
            buttons.addWidget(button)
        top.addLayout(buttons)
        self._upper = QVBoxLayout()
        self._upper.setContentsMargins(0, 8, 0, 4)
        self._upper.addWidget(self.system)
        self.stack = QStackedWidget()
        self.stack.addWidget(self.welcome)
        self.stack.addWidget(self.transcript)
        self._lower = QVBoxLayout()
        self._lower.addWidget(self.composer)
        centre = QFrame()
        theme.mark(centre, surface="surface")
        column = QVBoxLayout(centre)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addWidget(bar)
        column.addWidget(self.legend)
        column.addLayout(self._upper)
        column.addWidget(self.stack, 1)
        column.addLayout(self._lower)
        across = QHBoxLayout(self._page)
        across.setContentsMargins(0, 0, 0, 0)
        across.setSpacing(0)
        across.addWidget(self.chats)
        across.addWidget(centre, 1)
        theme.mark(self.panel, line="left")
        across.addWidget(self.panel)
        self._across = across
        order = [
            self.composer.input,
            self.composer.reply_start,
            self.composer.start_button,
            self.composer.send,
            self.composer.stop,
        ]
        for before, after in zip([self.transcript, *order], order, strict=False):
            QWidget.setTabOrder(before, after)

    def set_lab(self, lab: QWidget) -> None:
        """Puts the decoding lab between the conversation and the sliders."""
        self.lab = lab
        theme.mark(lab, line="left")
        self._across.insertWidget(self._across.indexOf(self.panel), lab)

    # -- what is shown

    def show_welcome(self, shown: bool) -> None:
        self.stack.setCurrentWidget(self.welcome if shown else self.transcript)
        self._align()

    def set_title(self, title: str, stored: bool) -> None:
        self.title.setText(title)
        self.menu_button.setEnabled(stored)

    def show_panel(self, shown: bool, keep: bool = True) -> None:
        self.panel.setVisible(shown)
        self.panel_button.setChecked(shown)
        if keep:
            self._preferences.set("panel_open", shown)
        self.fit(self._page.width())

    def show_list(self, shown: bool) -> None:
        """By the user's wish, which holds in a narrow window too until its width changes."""
        self._list_wanted = self._list_forced = shown
        self._preferences.set("chat.list_open", shown)
        self._show_list_now(shown)

    def fit(self, width: int) -> None:
        """Hides the list of chats where the conversation would become too narrow."""
        if width != self._last_width:
            self._last_width = width
            self._list_forced = None
        panel = theme.PANEL if not self.panel.isHidden() else 0
        lab = 0
        if self.lab is not None and not self.lab.isHidden():
            lab = max(LAB_LEAST, min(LAB, width - panel - BESIDE))
            self.lab.setFixedWidth(lab)
        room = width - panel - lab - LIST_WIDTH
        wanted = self._list_forced if self._list_forced is not None else self._list_wanted and room >= CENTRE
        self._beside = panel + lab
        self._show_list_now(wanted)
        QTimer.singleShot(0, self, self._align)

    def _show_list_now(self, shown: bool) -> None:
        tight = self._last_width - self._beside - (LIST_WIDTH if shown else 0) < TIGHT
        changes = ((self.colours_button, not tight), (self.list_button, not shown), (self.chats, shown))
        for widget, visible in sorted(
            changes, key=lambda each: each[1]
        ):  # what goes first: the page is never wider than it has to be
            widget.setVisible(visible)

    def _align(self) -> None:
        """Composer and system prompt stand under and over the column of the conversation."""
        left, width = self.transcript.column_in(self.stack.width())
        right = max(0, self.stack.width() - left - width - SIDE)
        self._lower.setContentsMargins(max(0, left - SIDE), 4, right, 16)
        self._upper.setContentsMargins(max(0, left - SIDE + 6), 8, right, 8)

    def _restyle(self) -> None:
        self._page.setStyleSheet(chat_style.sheet())
        self._align()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if event.type() == QEvent.Type.Resize:
            self._align()
        return super().eventFilter(watched, event)
