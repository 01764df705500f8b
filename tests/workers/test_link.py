"""The worker's end of the connection: no command goes unnoticed, whenever it comes."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from playground.protocol import Cancel, Message, SetPace, encode
from playground.workers.base import Link


class Over(Exception):
    """Nothing more comes."""


class Line:
    """A connection by which these commands come, and no others."""

    def __init__(self, *commands: Message) -> None:
        self._commands = [encode(each) for each in commands]

    def recv_bytes(self) -> bytes:
        if not self._commands:
            raise Over
        return self._commands.pop(0)


def test_a_command_that_came_just_before_the_wait_ends_it() -> None:
    """Between a look at what there is and the wait for more: the wait would not be told of it."""
    line: Any = Line(SetPace(7, 1.0), Cancel(1))
    link = Link(line)
    assert not link.pending
    with pytest.raises(Over):
        link.listen()
    waits = threading.Thread(target=link.wait, args=[600], daemon=True)
    waits.start()
    waits.join(60)
    assert not waits.is_alive()
    assert link.cancelled(1) and link.pending, "what is another's stays"
    link.wait(0.001)  # and is waited beside
    assert link.take(7, SetPace) == [SetPace(7, 1.0)]
