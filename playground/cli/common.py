"""What the verbs share: options made from settings, a session with its events in a queue, output."""

from __future__ import annotations

import argparse
import json
import queue
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from playground import events
from playground.params import from_pairs, settings_of
from playground.paths import home
from playground.session import Session

T = TypeVar("T")


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
    pairs: dict[str, Any] = {}
    for each in settings_of(cls):
        value = getattr(args, f"set_{each.name}", None)
        if value is not None:
            pairs[each.name] = tuple(value) if isinstance(value, list) else value
    return from_pairs(cls, pairs)


class Conversation:
    """A started session and its events, in order, for a verb that waits for them."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.events: queue.SimpleQueue[events.Event] = queue.SimpleQueue()
        session.subscribe(self.events.put)

    def next(self) -> events.Event:
        """The next event. Storage troubles are said on stderr on the way."""
        while True:
            event = self.events.get()
            if isinstance(event, events.Notice) and event.key == "storage" and event.message:
                note(f"{event.message} {event.hint}".strip())
            else:
                return event


@contextmanager
def opened() -> Iterator[Conversation]:
    """A session on the data folder, closed at the end whatever happens."""
    session = Session(home())
    conversation = Conversation(session)
    session.start()
    try:
        yield conversation
    finally:
        session.close()


def note(text: str) -> None:
    """A line on stderr."""
    print(text, file=sys.stderr, flush=True)


def emit(data: Any) -> None:
    """One JSON object on stdout, on a line of its own."""
    print(json.dumps(data, ensure_ascii=False), flush=True)
