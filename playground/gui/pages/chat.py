"""The Chat page: list of chats, conversation, composer, sampling panel.

Puts the widgets together and carries what they ask for to the session, and the session's events to them. What a conversation is, is
`conversation`'s knowledge; how it looks, the widgets'.
"""

from __future__ import annotations

from typing import Any

from PySide6.QtCore import QTimer
from PySide6.QtGui import QGuiApplication, QResizeEvent, QShowEvent
from PySide6.QtWidgets import QWidget

from playground import events
from playground.errors import PlaygroundError
from playground.gui.pages import Desk
from playground.gui.pages.chat_lab import ChatLab
from playground.gui.pages.chat_layout import ChatLayout
from playground.gui.pages.chat_sampling import ChatSampling
from playground.gui.pages.chat_sessions import ChatSessions
from playground.gui.pages.chat_tokens import ChatTokens
from playground.gui.widgets import message_foot as foot
from playground.gui.widgets.conversation import Conversation
from playground.history.records import Chat, SessionRow

DOUBT_MS = 3000
"""after which a request that nothing came of is taken for lost"""


class ChatPage(ChatSessions, ChatTokens, ChatLab, QWidget):
    """See the module's docstring. An empty `chat_id` is a new chat that nothing was said in: it is made when something is sent."""

    title = "Chat"
    icon = "message-square"

    def __init__(self, desk: Desk, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.desk = desk
        self.chat_id = ""
        self.opening = ""
        """the chat that was asked for and is not shown yet"""
        self.conversation: Conversation | None = None
        self._model = desk.session.model
        self._starting = self._model.state == "none"
        self._busy = self._comparing = False
        self._unsent: tuple[str, str] | None = None
        self._opening: tuple[str, list[Any]] | None = None
        self.ui = ChatLayout(self, desk)
        self.transcript, self.composer, self.chats = self.ui.transcript, self.ui.composer, self.ui.chats
        self._doubt = QTimer(self, singleShot=True, interval=DOUBT_MS)
        self._doubt.timeout.connect(self._ask_whether_busy)
        self._connect()
        self.init_tokens()
        self.init_lab()
        self._show_model(self._model)
        self._show_conversation(fresh=True)
        self._read_chats()

    def _connect(self) -> None:
        self.composer.sent.connect(self.send)
        self.composer.stopped.connect(self.stop)
        self.transcript.pressed.connect(self._message_action)
        self.transcript.edited.connect(self._edited)
        self.connect_list()
        self.ui.system.changed.connect(self._system_changed)
        self.ui.welcome.example.connect(self._take_example)
        self.ui.welcome.action.connect(lambda action: self._reload() if action == "reload" else self.desk.ask_for_model())
        self.sampling = ChatSampling(self)

    # -- what the menus, the keys and the window ask for

    def new_chat(self) -> None:
        """An empty conversation; nothing is stored before something is said."""
        self._close_chat()
        self._opening, self.opening = None, ""
        self.chat_id, self.conversation = "", None
        self.composer.open_chat("")
        self.ui.system.set_text("")
        self._show_conversation(fresh=True)
        self.composer.input.setFocus()

    def focus_search(self) -> None:
        self.ui.show_list(True)
        self.chats.focus_search()

    def stop(self) -> None:
        if self._unsent is not None:
            self._unsent = None
            self._set_busy(False)
        else:
            self.desk.session.stop()

    def regenerate_last(self) -> None:
        reply = self.conversation.last_reply() if self.conversation else None
        if reply is not None and not self._busy:
            self._regenerate(reply.id)

    def toggle_panel(self) -> None:
        self.ui.show_panel(self.ui.panel.isHidden())

    def open(self, chat_id: str = "", message_id: str = "") -> None:
        """Shows a chat and, in it, a message."""
        if chat_id:
            self.open_chat(chat_id, message_id)

    # -- events

    def handle(self, event: Any) -> None:
        """An event of the session."""
        self.follow_tokens(event)
        if not isinstance(event, events.GenerationTokens) or self._is_here(event.message_id):
            self.ui.panel.handle(event)
        self.ui.picker.handle(event)
        if isinstance(event, events.ModelState):
            self._starting = False
            self._show_model(event)
        elif isinstance(event, events.StoreReady):
            self._read_chats()
        elif isinstance(event, events.SessionChanged):
            self._session_changed(event.session)
        elif isinstance(event, events.GenerationStarted):
            self.chats.model.set_running(event.session_id)
            self._set_busy(True)
        elif isinstance(event, events.GenerationFinished):
            self.chats.model.set_running("")
            self._set_busy(self._comparing)  # one column has ended, others may be written on
        elif isinstance(event, events.ComparisonStarted | events.ComparisonFinished):
            self._comparing = isinstance(event, events.ComparisonStarted) or not event.last
            self._set_busy(self._comparing)
        if self._opening is not None:
            self._opening[1].append(event)
        if self.conversation is not None:
            self._follow(*self.conversation.apply(event))
        self.follow_lab(event)

    def _is_here(self, message_id: str) -> bool:
        """Whether a message is one of the open chat's: a comparison's tokens are not what this panel is about."""
        return self.conversation is not None and self.conversation.message(message_id) is not None

    def _follow(self, change: str, message_id: str) -> None:
        """Shows what an event changed in the open conversation."""
        conversation = self.conversation
        assert conversation is not None
        if change == "message":
            entry = conversation.entry(message_id)
            if entry is not None:
                self.transcript.update_entry(entry)
            self._show_gauge()
        elif change == "path":
            self._show_conversation()
        elif change == "gap" and self.opening in ("", conversation.id):  # else it is being left for another one
            self.open_chat(conversation.id, again=True)

    def _session_changed(self, session: SessionRow) -> None:
        self.chats.model.put(session)
        if session.id != self.chat_id:
            return
        if session.deleted is not None:
            self.new_chat()
        elif not self.ui.system.editing and session.system != self.ui.system.text():
            self.ui.system.set_text(session.system)
        self._show_title(session.title)

    # -- the model

    def _show_model(self, state: events.ModelState) -> None:
        self._model = state
        self.ui.panel.set_pace(self.desk.session.pace)
        self.ui.panel.show_model(state)
        self.ui.welcome.show_state(state if not self._starting else events.ModelState("loading", name="the model"))
        self._show_gauge()
        self._show_state()
        if self._unsent is not None and state.state in ("loading", "ready"):
            text, start = self._unsent
            self._unsent = None
            self._set_busy(False)
            self.send(text, start)

    def _reload(self) -> None:
        self.attempt(self.desk.session.reload)

    def _show_state(self) -> None:
        state = self._model.state
        why_not = ""
        if not self._starting and state in ("none", "failed", "lost"):
            why_not = {"lost": "The engine has stopped: load the model again"}.get(state, "Choose a model first")
        loading = state == "loading" or self._starting
        waiting = "The model is being loaded; a message waits for it" if loading else ""
        self.composer.set_state(busy=self._busy, why_not=why_not, waiting=waiting)
        name = self._model.name or "the model"
        self.transcript.set_busy(self._busy, f"waiting for {name} to be loaded…" if loading else "")

    def _set_busy(self, busy: bool) -> None:
        self._doubt.stop()
        if busy != self._busy:
            self._busy = busy
            self._show_state()

    def _ask_whether_busy(self) -> None:
        """A request came to nothing without a word: the page must not wait for ever."""
        if getattr(self.desk.session, "busy", None) is False:
            self._set_busy(False)

    # -- sending

    def send(self, text: str, reply_start: str = "") -> None:
        """Sends a message in the open chat, or begins one with it."""
        if self._busy:
            return
        session = self.desk.session
        if self._starting and session.model.state == "none":  # the first model is about to be loaded
            self._unsent = (text, reply_start)
            self._set_busy(True)
            return
        if session.model.state in ("none", "failed", "lost"):
            self.desk.notify(
                "No model is loaded.", "Choose one, or load the last one again.", "warning", "choose_model", "model"
            )
            return
        self.ui.system.commit()
        if not self.chat_id:
            self._begin_chat(session.new_chat(self.ui.system.text()))
        if self._ask(lambda: session.send(self.chat_id, text, reply_start)):
            self.composer.clear()
            self.transcript.follow()

    def _begin_chat(self, chat_id: str) -> None:
        self.chat_id = chat_id
        self.conversation = Conversation(Chat(SessionRow(chat_id, system=self.ui.system.text())))
        self._opening, self.opening = None, ""
        self.composer.adopt(chat_id)
        self.chats.set_open(chat_id)

    def _ask(self, intent: Any) -> bool:
        """Asks for something that is answered with a reply. False if it was refused; the user was told why."""
        self.ui.system.commit()  # it is part of what is asked
        if self.attempt(intent):
            self._set_busy(True)
            self._doubt.start()
            return True
        return False

    def attempt(self, intent: Any) -> bool:
        """Asks the session for something. False if it was refused; the user was told why."""
        try:
            intent()
        except PlaygroundError as error:
            self.desk.notify(error.message, error.hint, "warning")
            return False
        return True

    def _take_example(self, text: str) -> None:
        self.composer.set_text(text)
        self.composer.input.setFocus()

    # -- messages

    def _message_action(self, action: str, message_id: str) -> None:
        conversation = self.conversation
        message = conversation.message(message_id) if conversation else None
        if conversation is None or message is None:
            return
        session = self.desk.session
        if action == foot.COPY:
            QGuiApplication.clipboard().setText(message.content)
            self.desk.notify("The message is in the clipboard.", key="copied")
        elif action == foot.TOKENS:
            self.show_tokens_of(message_id)
        elif action == foot.INSIDE:
            self.look_inside(message_id)
        elif action == foot.LOG:
            generation = conversation.generation(message_id)
            if generation is not None:
                self.desk.open_page("log", generation_id=generation.id)
        elif self._busy:
            return
        elif action == foot.EDIT:
            self.transcript.begin_edit(message_id)
        elif action == foot.REGENERATE and message.role == "assistant":
            self._regenerate(message_id)
        elif action == foot.CONTINUE and message.role == "assistant":
            self._ask(lambda: session.continue_reply(self.chat_id, message_id))
        elif action in (foot.PREVIOUS, foot.NEXT):
            versions = conversation.siblings(message_id)
            place = versions.index(message_id) + (1 if action == foot.NEXT else -1)
            if 0 <= place < len(versions):
                self.attempt(lambda: session.select_version(self.chat_id, versions[place]))

    def _regenerate(self, message_id: str) -> None:
        if self._ask(lambda: self.desk.session.regenerate(self.chat_id, message_id)):
            self.transcript.follow()

    def _edited(self, message_id: str, text: str) -> None:
        message = self.conversation.message(message_id) if self.conversation else None
        if message is None:
            return
        intent = lambda: self.desk.session.edit(self.chat_id, message_id, text)  # noqa: E731
        if message.role == "user":
            if self._ask(intent):
                self.transcript.follow()
        else:
            self.attempt(intent)

    # -- chats

    def open_chat(self, chat_id: str, message_id: str = "", *, again: bool = False) -> None:
        """Reads a chat and shows it from its end, or from a message on."""
        if chat_id == self.chat_id and self.conversation is not None and not again:
            if self.opening not in ("", chat_id):  # back, before the other one was there
                self._opening, self.opening = None, ""
                self.chats.set_open(chat_id)
            if message_id:
                self._reveal(message_id)
            return
        if not again:
            self._close_chat()
        self._opening = (chat_id, [])
        self.opening = chat_id
        self.chats.set_open(chat_id)
        self.desk.when_done(
            self.desk.session.chat(chat_id),
            self,
            lambda chat: self._opened(chat, message_id, again),
            lambda error: self._not_opened(chat_id, error),
        )

    def _opened(self, chat: Chat, message_id: str, again: bool) -> None:
        if self._opening is None or self._opening[0] != chat.session.id:
            return  # another one was asked for meanwhile
        missed = self._opening[1]
        self._opening = None
        self.chat_id = chat.session.id
        self.conversation = Conversation(chat)
        for event in missed:
            self.conversation.apply(event)
        self.composer.open_chat(self.chat_id)
        if not (again and self.ui.system.editing):
            self.ui.system.set_text(chat.session.system)
        if not self._busy:
            self.sampling.take(chat.session.sampling)
        QTimer.singleShot(
            0, self, lambda: self._show_opened(chat.session.id, message_id, again)
        )  # a turn of its own: it takes a while

    def _show_opened(self, chat_id: str, message_id: str, again: bool) -> None:
        if chat_id == self.chat_id:
            self.opening = ""
            self._show_conversation(fresh=not again)
            if message_id:
                self._reveal(message_id)

    def _not_opened(self, chat_id: str, error: BaseException) -> None:
        if self._opening is None or self._opening[0] != chat_id:
            return  # another one was asked for meanwhile
        self._opening, self.opening = None, ""
        self.chats.set_open(self.chat_id)
        self.desk.notify(
            getattr(error, "message", "This chat could not be opened."), getattr(error, "hint", str(error)), "error"
        )

    def _reveal(self, message_id: str) -> None:
        """Shows a message that may lie on another branch."""
        conversation = self.conversation
        if conversation is None or conversation.message(message_id) is None:
            return
        if any(message.id == message_id for message in conversation.path()):
            self.transcript.reveal(message_id)
        elif not self._busy:
            self.attempt(lambda: self.desk.session.select_version(self.chat_id, message_id))
            self.ui.reveal_later = message_id

    def _close_chat(self) -> None:
        """What is still in the air belongs to the chat that is left."""
        self.ui.system.commit()
        self.forget_tokens()
        self.sampling.commit()

    def _system_changed(self, text: str) -> None:
        if self.chat_id:
            self.attempt(lambda: self.desk.session.set_system(self.chat_id, text))

    # -- showing

    def _show_conversation(self, fresh: bool = False) -> None:
        conversation = self.conversation
        entries = conversation.entries() if conversation else []
        self.ui.show_welcome(not entries)  # first: it may give the transcript another width
        self.transcript.show_entries(entries, fresh=fresh)
        self.chats.set_open(self.chat_id)
        self._show_title(conversation.session.title if conversation else "")
        self._show_gauge()
        if self.ui.reveal_later and any(entry.id == self.ui.reveal_later for entry in entries):
            self.transcript.reveal(self.ui.reveal_later)
            self.ui.reveal_later = ""
        if fresh and conversation is not None:
            self._ask_for_marks(conversation)
        if fresh:
            self.lab_moved()

    def _ask_for_marks(self, conversation: Conversation) -> None:
        """Of continued replies: where a change is in the message has to be told from its tokens."""
        for message in conversation.path():
            generation = conversation.marks_wanted(message.id)
            if generation is None:
                continue

            def place(tokens: Any, message_id: str = message.id) -> None:
                if conversation is self.conversation:
                    conversation.place_marks(message_id, "".join(token.text for token in tokens))
                    self._follow("message", message_id)

            self.desk.when_done(self.desk.session.tokens(generation.id), self, place, lambda error: None)

    def _show_title(self, title: str) -> None:
        self.ui.set_title(title, bool(self.chat_id))

    def _show_gauge(self) -> None:
        conversation = self.conversation
        limit = self._model.info.context if self._model.info is not None else 0
        self.ui.gauge.set_values(conversation.used if conversation else 0, conversation.cached if conversation else 0, limit)

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        self.composer.input.setFocus()

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self.ui.fit(self.width())
