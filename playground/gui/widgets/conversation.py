"""What is known of the open chat: the tree of messages, kept up to date by the session's events. Pure: no widget, no session.

`apply` takes an event and says what is different now; whoever shows the chat asks for `entries` or one `entry` then.
"""

from __future__ import annotations

import dataclasses
import time
from dataclasses import dataclass
from typing import Any, Literal

from playground import events
from playground.gui.widgets import marks
from playground.gui.widgets.marks import Mark
from playground.history.records import Chat, GenerationRow, MessageRow, SessionRow
from playground.params import SamplingSettings

Change = Literal["nothing", "session", "path", "message", "gap"]
"""`path`: other messages are to be shown; `message`: one of them is different; `gap`: something was missed, read the chat again"""


@dataclass(frozen=True)
class Live:
    """A reply that is being written."""

    phase: Literal["waiting", "reading", "writing"] = "waiting"
    fraction: float = 0.0
    tokens: int = 0
    rate: float = 0.0
    """tokens a second"""
    prefill_s: float = 0.0
    cached: int = 0


@dataclass(frozen=True)
class Entry:
    """A message as it is shown."""

    message: MessageRow
    generation: GenerationRow | None = None
    marks: tuple[Mark, ...] = ()
    version: int = 1
    versions: int = 1
    live: Live | None = None
    last: bool = False

    @property
    def id(self) -> str:
        return self.message.id

    @property
    def role(self) -> str:
        return self.message.role

    @property
    def streaming(self) -> bool:
        return self.message.state == "streaming"


class Conversation:
    """See the module's docstring."""

    def __init__(self, chat: Chat) -> None:
        self.session: SessionRow = chat.session
        self._messages = {message.id: message for message in chat.messages}
        self._generations = dict(chat.generations)
        self._children: dict[tuple[str, str], list[str]] = {}
        for message in chat.messages:
            self._children.setdefault((message.parent_id, message.role), []).append(message.id)
        self._path: list[str] = []
        self._marks: dict[str, tuple[Mark, ...]] = {}
        self._live: dict[str, Live] = {}
        self._settings: dict[str, SamplingSettings] = {}
        self._began: dict[str, float] = {}
        self.running = next((each.message_id for each in chat.generations.values() if each.state == "streaming"), "")
        """the message that is being written"""
        self.used = 0
        self.cached = 0
        self._count()
        for generation in chat.generations.values():
            if generation.state == "streaming":
                self._settings[generation.message_id] = generation.settings
                self._live[generation.message_id] = Live("writing" if generation.completion_tokens else "waiting")

    # -- reading

    @property
    def id(self) -> str:
        return self.session.id

    def path(self) -> list[MessageRow]:
        """The visible branch."""
        if self._path[-1:] != [self.session.tip]:
            found: list[str] = []
            step = self._messages.get(self.session.tip)
            while step is not None and len(found) <= len(self._messages):
                found.append(step.id)
                step = self._messages.get(step.parent_id)
            self._path = found[::-1]
        return [self._messages[each] for each in self._path]

    def entries(self) -> list[Entry]:
        path = self.path()
        return [self._entry(message, message is path[-1]) for message in path]

    def entry(self, message_id: str) -> Entry | None:
        message = self._messages.get(message_id)
        return None if message is None else self._entry(message, message.id == self.session.tip)

    def siblings(self, message_id: str) -> list[str]:
        message = self._messages[message_id]
        return self._children[(message.parent_id, message.role)]

    def message(self, message_id: str) -> MessageRow | None:
        return self._messages.get(message_id)

    def generation(self, message_id: str) -> GenerationRow | None:
        return self._generations.get(message_id)

    def last_reply(self) -> MessageRow | None:
        """The assistant's message that the visible branch ends with."""
        last = self._messages.get(self.session.tip)
        return last if last is not None and last.role == "assistant" else None

    def marks_wanted(self, message_id: str) -> GenerationRow | None:
        """A continued reply's generation: where its changes are in the message can only be told from its tokens (see `place_marks`)."""
        generation = self._generations.get(message_id)
        if message_id in self._marks or generation is None or not (generation.continued and generation.timeline):
            return None
        return generation

    def place_marks(self, message_id: str, completion: str) -> None:
        """Marks of a continued reply, given the text of its last part."""
        generation, message = self._generations.get(message_id), self._messages.get(message_id)
        if generation is not None and message is not None:
            at = message.content.rfind(completion) if completion else -1
            base = at if at >= 0 else max(0, len(message.content) - len(completion))
            self._marks[message_id] = marks.of_generation(generation, base)

    def _entry(self, message: MessageRow, last: bool) -> Entry:
        versions = self._children.get((message.parent_id, message.role), [message.id])
        return Entry(
            message,
            self._generations.get(message.id),
            self._marks_of(message),
            versions.index(message.id) + 1,
            len(versions),
            self._live.get(message.id),
            last,
        )

    def _marks_of(self, message: MessageRow) -> tuple[Mark, ...]:
        generation = self._generations.get(message.id)
        if message.id not in self._marks and generation is not None and generation.timeline and not generation.continued:
            self._marks[message.id] = marks.of_generation(generation, len(message.reply_start))
        return self._marks.get(message.id, ())

    # -- events

    def apply(self, event: Any) -> tuple[Change, str]:
        """Takes an event of the session; says what is different now, and of which message."""
        handler = getattr(self, f"_on_{type(event).__name__}", None)
        return handler(event) if handler is not None else ("nothing", "")

    def _on_SessionChanged(self, event: events.SessionChanged) -> tuple[Change, str]:
        if event.session.id != self.id:
            return "nothing", ""
        before, self.session = self.session, event.session
        if before.tip == event.session.tip:
            return "session", ""
        if event.session.tip and event.session.tip not in self._messages:
            return "gap", ""
        self._count()
        return "path", ""

    def _on_MessageAdded(self, event: events.MessageAdded) -> tuple[Change, str]:
        message = event.message
        if message.session_id != self.id:
            return "nothing", ""
        if message.id not in self._messages:
            self._children.setdefault((message.parent_id, message.role), []).append(message.id)
            self._messages[message.id] = message
        self.session = dataclasses.replace(self.session, tip=message.id)
        if message.state == "streaming":
            self._live[message.id] = Live()
            self.running = message.id
        return "path", message.id

    def _on_MessageChanged(self, event: events.MessageChanged) -> tuple[Change, str]:
        message = event.message
        if message.id not in self._messages:
            return "nothing", ""
        known = self._messages[message.id]
        if message.state == "streaming" and len(known.content) > len(message.content):
            message = dataclasses.replace(message, content=known.content)
        self._messages[message.id] = message
        if message.state == "streaming":
            self._live.setdefault(message.id, Live())
            self.running = message.id
        else:
            self._live.pop(message.id, None)
            if self.running == message.id:
                self.running = ""
        return "message", message.id

    def _on_GenerationStarted(self, event: events.GenerationStarted) -> tuple[Change, str]:
        if event.session_id != self.id or event.message_id not in self._messages:
            return "nothing", ""
        self._live[event.message_id] = Live()
        self._settings[event.message_id] = event.settings
        message = self._messages[event.message_id]
        self._messages[event.message_id] = dataclasses.replace(message, state="streaming")
        self._generations[event.message_id] = GenerationRow(
            event.generation_id, event.session_id, event.message_id, "", "", "", "", "", "", settings=event.settings
        )
        if len(message.content) <= len(message.reply_start):
            self._marks[event.message_id] = ()
        else:  # continued: the marks of the earlier part stay
            self._marks.setdefault(event.message_id, ())
        self.running = event.message_id
        return "message", event.message_id

    def _on_PrefillProgress(self, event: events.PrefillProgress) -> tuple[Change, str]:
        message_id = self._message_of(event.generation_id)
        if not message_id:
            return "nothing", ""
        self._live[message_id] = Live("reading", event.fraction)
        return "message", message_id

    def _on_GenerationPrefilled(self, event: events.GenerationPrefilled) -> tuple[Change, str]:
        if event.message_id not in self._messages:
            return "nothing", ""
        self._live[event.message_id] = Live("writing", 1.0, prefill_s=event.prefill_s, cached=event.cached_tokens)
        self._began[event.message_id] = time.monotonic()
        self.used, self.cached = event.prompt_tokens, event.cached_tokens
        return "message", event.message_id

    def _on_GenerationTokens(self, event: events.GenerationTokens) -> tuple[Change, str]:
        message = self._messages.get(event.message_id)
        if message is None:
            return "nothing", ""
        if event.offset > len(message.content):
            return "gap", event.message_id
        text = "".join(token.text for token in event.tokens)
        if event.offset + len(text) >= len(message.content):  # else it is known already: the chat was read after it was written
            content = message.content[: event.offset] + text
            self._messages[message.id] = dataclasses.replace(message, content=content)
        live = self._live.get(message.id, Live("writing"))
        count = event.index + len(event.tokens)
        now = time.monotonic()
        seconds = now - self._began.setdefault(message.id, now)
        rate = count / seconds if seconds > 0.3 else live.rate
        self._live[message.id] = dataclasses.replace(live, phase="writing", tokens=count, rate=rate)
        self.used = event.used
        return "message", message.id

    def _on_SamplingApplied(self, event: events.SamplingApplied) -> tuple[Change, str]:
        if event.message_id not in self._messages:
            return "nothing", ""
        before = self._settings.get(event.message_id, event.settings)
        self._settings[event.message_id] = event.settings
        known = self._marks_of(self._messages[event.message_id])
        if known and known[-1].index >= event.index and known[-1].after == event.settings:
            return "nothing", ""
        self._marks[event.message_id] = marks.add(known, event.offset, event.index, before, event.settings)
        return "message", event.message_id

    def _on_GenerationFinished(self, event: events.GenerationFinished) -> tuple[Change, str]:
        message = event.message
        if message.id not in self._messages:
            return "nothing", ""
        self._messages[message.id] = message
        self._generations[message.id] = event.generation
        if not event.generation.continued:
            self._marks.pop(message.id, None)  # what the record says is what a reload will show
        self._live.pop(message.id, None)
        self._began.pop(message.id, None)
        if self.running == message.id:
            self.running = ""
        self._count()
        return "message", message.id

    def _message_of(self, generation_id: str) -> str:
        generation = self._generations.get(self.running)
        return self.running if generation is not None and generation.id == generation_id else ""

    def _count(self) -> None:
        """Tokens in the window after the last reply of the visible branch."""
        for message in reversed(self.path()):
            generation = self._generations.get(message.id)
            if generation is not None and generation.prompt_tokens:
                self.used = generation.prompt_tokens + generation.completion_tokens
                self.cached = generation.cached_tokens
                return
        self.used = self.cached = 0
