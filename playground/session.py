"""One door to everything: intents in, events out. Knows no widget and no engine.

The window and the command line are two faces of this class. Intents return at once (or a `Future`); what comes of them arrives
as `events` on the subscribers, in order, from a thread of the session's own.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from playground import events
from playground.history.records import Chat, GenerationRow, SearchHit, SessionRow, TokenRow
from playground.params import ContextSettings, SamplingSettings
from playground.paths import Home

Listener = Callable[[events.Event], None]


class Session:
    """The program without a face. Cheap to make; `start` does the work, `close` ends it."""

    def __init__(self, home: Home) -> None: ...

    # -- life
    def start(self) -> None:
        """Opens the database on its own thread; `StoreReady` follows."""

    def close(self) -> None:
        """Stops what runs, writes what is pending, ends the workers. Returns within a few seconds, whatever hangs."""

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        """Calls `listener` with every event from now on; the returned function ends that."""

    # -- model
    def load(self, model: str | Path, context: ContextSettings | None = None) -> Future[Any]:
        """Loads a model (`starter`, a path to a GGUF file), replacing the one that is loaded. `ModelState` events follow; the future
        gives `ModelInfo` or the error."""

    def reload(self) -> Future[Any]:
        """Loads again what was loaded last, after its worker died."""

    def unload(self) -> None: ...

    @property
    def model(self) -> events.ModelState: ...

    # -- chat (each returns the id of the chat, message or generation that it concerns)
    def send(self, chat_id: str, text: str, reply_start: str = "") -> str:
        """Adds a user message at the tip of a chat (an empty `chat_id` begins a new one) and asks for the reply. Returns the chat's id."""

    def regenerate(self, chat_id: str, message_id: str) -> None:
        """Another version of an assistant's message, beside the old one."""

    def edit(self, chat_id: str, message_id: str, text: str) -> None:
        """Another version of a user's message, beside the old one, and a reply to it. Of an assistant's message: the text as edited, no reply."""

    def continue_reply(self, chat_id: str, message_id: str) -> None:
        """Goes on with a reply that was stopped, cut off or interrupted, in the same message."""

    def select_version(self, chat_id: str, message_id: str) -> None:
        """Shows the branch through this message (its newest descendants below it)."""

    def stop(self) -> None:
        """Stops the running completion at the next token."""

    # -- steering
    @property
    def sampling(self) -> SamplingSettings: ...

    def set_sampling(self, settings: SamplingSettings, chat_id: str = "") -> None:
        """Settings for what comes; in force for the next token if a completion is running. Kept with the chat, if one is named."""

    @property
    def pace(self) -> float: ...

    def set_pace(self, tokens_per_s: float) -> None:
        """At most this many tokens a second, 0 for as fast as the engine goes; acts on a running completion too."""

    # -- chats
    def new_chat(self, system: str = "") -> str:
        """A chat without messages. Returns its id."""

    def rename(self, chat_id: str, title: str) -> None: ...

    def set_system(self, chat_id: str, text: str) -> None: ...

    def delete(self, chat_id: str) -> None:
        """Throws a chat away; `undelete` takes it back."""

    def undelete(self, chat_id: str) -> None: ...

    # -- reading (all off the caller's thread)
    def chats(self) -> Future[list[SessionRow]]:
        """All chats, the last used first."""

    def chat(self, chat_id: str) -> Future[Chat]: ...

    def search(self, words: str, limit: int = 50) -> Future[list[SearchHit]]: ...

    def generations(self, limit: int = 1000, offset: int = 0) -> Future[list[GenerationRow]]:
        """The newest first."""

    def generation(self, generation_id: str) -> Future[GenerationRow]: ...

    def tokens(self, generation_id: str) -> Future[list[TokenRow]]: ...

    def export(self, chat_id: str, form: str) -> Future[str]:
        """A chat as text in `md` or `json`."""

    def replay(self, generation_id: str, on_progress: Callable[[float], None] | None = None) -> Future[events.ReplayResult]:
        """Decodes a generation again from its record and compares, token for token."""
