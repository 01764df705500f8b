"""The settings of the Chat page: what the sliders and the pace say goes to the session, and is kept with the chat.

A chat brings the settings that it was left with. Knows the page; the store is written to when a slider has come to rest.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, QTimer

from playground.params import SamplingSettings

if TYPE_CHECKING:
    from playground.gui.pages.chat import ChatPage

SETTLE_MS = 400
"""after which the settings of a slider that came to rest are kept with the chat"""


class ChatSampling(QObject):
    """See the module's docstring."""

    def __init__(self, page: ChatPage) -> None:
        super().__init__(page)
        self._page, self._desk = page, page.desk
        self._settle = QTimer(self, singleShot=True, interval=SETTLE_MS)
        self._settle.timeout.connect(self._keep)
        panel = page.ui.panel
        panel.set_settings(self._desk.session.sampling)
        panel.set_pace(self._desk.session.pace)
        panel.changed.connect(self._changed)
        panel.pace_changed.connect(self._pace_changed)

    def take(self, settings: SamplingSettings) -> None:
        """Those of the chat that is opened."""
        self._page.ui.panel.set_settings(settings)
        self._use(settings)

    def commit(self) -> None:
        """Keeps at once what would be kept in a moment: another chat is opened."""
        if self._settle.isActive():
            self._keep()

    def _use(self, settings: SamplingSettings) -> None:
        self._desk.session.set_sampling(settings)
        self._page.lab_settings(settings)

    def _changed(self, settings: SamplingSettings) -> None:
        self._use(settings)
        self._settle.start()

    def _keep(self) -> None:
        self._settle.stop()
        settings, chat_id = self._desk.session.sampling, self._page.chat_id
        self._desk.preferences.sampling = settings
        if chat_id:
            self._page.attempt(lambda: self._desk.session.set_sampling(settings, chat_id))

    def _pace_changed(self, pace: float) -> None:
        self._desk.session.set_pace(pace)
        self._desk.preferences.set("pace", pace)
