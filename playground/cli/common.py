"""What the verbs share: options made from settings, a session with its events in a queue, output."""

from __future__ import annotations

import argparse
import codecs
import io
import json
import os
import queue
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, TypeVar

from playground.errors import PlaygroundError, SettingError, StorageError
from playground.params import from_pairs, settings_of
from playground.paths import home

if TYPE_CHECKING:
    from playground.events import Event
    from playground.session import Session

T = TypeVar("T")


class WrongUsage(PlaygroundError):
    """An option with a value that cannot be."""


def add_json(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("--json", action="store_true", help="print one JSON object on stdout, everything else on stderr")


def add_settings(verb: argparse.ArgumentParser, cls: type, title: str, leave_out: tuple[str, ...] = ()) -> None:
    """An option for every setting of the class, with its help and default."""
    group = verb.add_argument_group(title)
    for each in settings_of(cls):
        if each.name in leave_out:
            continue
        unit = f" [{each.unit}]" if each.unit else ""
        default = ",".join(each.default) if each.kind is tuple else each.default
        group.add_argument(
            f"--{each.name.replace('_', '-')}",
            dest=f"set_{each.name}",
            metavar="TEXT" if each.kind is tuple else each.name.upper(),
            action="append" if each.name == "stop" else "store",
            choices=each.choices or None,
            help=f"{each.help}{unit} (default: {default})".replace("%", "%%"),
        )


def settings_from(args: argparse.Namespace, cls: type[T]) -> T:
    """The settings that the options gave, the rest by default."""
    pairs = given_settings(args, cls)
    try:
        return from_pairs(cls, pairs)
    except SettingError as error:
        raise WrongUsage(error.message, error.hint) from None


def given_settings(args: argparse.Namespace, cls: type) -> dict[str, Any]:
    """Only the settings that the options gave, by name, as they were written. WrongUsage for a value that cannot be."""
    pairs: dict[str, Any] = {}
    for each in settings_of(cls):
        value = getattr(args, f"set_{each.name}", None)
        if value is not None:
            pairs[each.name] = tuple(value) if isinstance(value, list) else value
    return pairs


class Conversation:
    """A started session and its events, in order, for a verb that waits for them."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.events: queue.SimpleQueue[Event] = queue.SimpleQueue()
        session.subscribe(self.events.put)

    def next(self) -> Event:
        """The next event. Storage troubles are said on stderr on the way."""
        from playground import events

        while True:
            event = self.events.get()
            if isinstance(event, events.Notice) and event.key == "storage" and event.message:
                note(f"{event.message} {event.hint}".strip())
            else:
                return event


@contextmanager
def opened(to_write: bool = True) -> Iterator[Conversation]:
    """A session on the data folder, closed at the end whatever happens. `to_write`: what could not be saved by then is lost, and said so."""
    from playground.session import Session  # verbs without a conversation do without what it needs

    session = Session(home())
    conversation = Conversation(session)
    session.start()
    try:
        yield conversation
    finally:
        if not session.close() and to_write:
            note("What was said here could not be saved.")


@contextmanager
def looking_back() -> Iterator[Session]:
    """A session whose database is read. StorageError if it is there and cannot be: nothing found is then no answer."""
    from playground.history.recorder import KEPT

    with opened(to_write=False) as conversation:
        session = conversation.session
        session.generations(1).exception()  # by then the database is open, or is known not to open
        trouble = session.storage_trouble
        if trouble is not None and not trouble.readable:
            raise StorageError(trouble.message, trouble.hint.removesuffix(KEPT).strip())
        yield session


def note(text: str) -> None:
    """A line on stderr, if anybody can still read it."""
    with suppress(OSError, ValueError):
        print(text, file=sys.stderr, flush=True)


def emit(data: Any) -> None:
    """One JSON object on stdout, on a line of its own; with escapes where the stream could not carry every character."""
    text = json.dumps(data, ensure_ascii=False)
    try:
        text.encode("utf-8")
        plain = codecs.lookup(getattr(sys.stdout, "encoding", None) or "utf-8").name == "utf-8"
    except (UnicodeEncodeError, LookupError):
        plain = False
    text = text if plain else json.dumps(data)
    if _answers is None:
        print(text, flush=True)
    else:
        _answers.write(f"{text}\n".encode())
        _answers.flush()


@contextmanager
def json_alone() -> Iterator[None]:
    """While it holds, stdout belongs to `emit`: what anything else prints, here or in a worker that just starts, goes to stderr."""
    global _answers
    try:
        out, err = sys.stdout.fileno(), sys.stderr.fileno()
        sys.stdout.flush()
        kept = os.dup(out)
    except (AttributeError, OSError, ValueError):  # closed, or a test's
        yield
        return
    os.dup2(err, out)
    _answers = _Whole(kept, "w")
    try:
        yield
    finally:
        with suppress(OSError, ValueError):
            sys.stdout.flush()
        os.dup2(kept, out)
        _answers.close()
        _answers = None


class _Whole(io.FileIO):
    """Unbuffered, and nothing is written by halves."""

    def write(self, data: Any) -> int:
        rest = memoryview(data)
        while rest:
            rest = rest[super().write(rest) or 0 :]
        return len(data)


_answers: _Whole | None = None


def count(text: str) -> int:
    """For argparse: how many of something."""
    number = int(text)
    if not 0 < number <= 1_000_000_000:
        raise ValueError(text)
    return number


def words(text: str) -> str:
    """For argparse: text in which bytes that are no UTF-8 have become question marks."""
    return text.encode("utf-8", "replace").decode("utf-8")
