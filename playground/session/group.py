"""Replies that are decoded together: one request to the engine, one `Running` for each of its sequences.

Hands every event to the sequence that it concerns, and ends each as soon as it has ended. Knows neither columns nor chats.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from playground import protocol
from playground.session.running import Running


class Group:
    """Takes the events of one request on the worker's thread; `done` is called with it when the last one came."""

    def __init__(self, group_id: str, session_id: str, members: Sequence[Running], done: Callable[[Group], None]) -> None:
        self.id = group_id
        self.session_id = session_id
        self.members = tuple(members)
        self.request = 0
        self.guest = False
        """whether it is decoded by another engine than that of the loaded model"""
        self._done = done
        self._over = False

    @property
    def running(self) -> bool:
        """Whether any of them is still being written."""
        return not self._over

    def member(self, column_id: str) -> Running | None:
        """The one of this column, if it is still being written."""
        return next((each for each in self.members if each.generation.column_id == column_id and not each.ended), None)

    def take(self, event: protocol.Message) -> None:
        """One event of this request, in order."""
        number = getattr(event, "sequence", None)
        if number is not None:
            member = self.members[number]
            member.take(event)
            if isinstance(event, protocol.SequenceFinished):
                member.take(protocol.Finished(event.request))
            return
        for member in self.members:
            member.take(event)
        if isinstance(event, protocol.Finished | protocol.Failed) and not self._over:
            self._over = True
            self._done(self)

    def interrupt(self) -> None:
        """Ends all without the worker's word: the program is closing."""
        self._over = True
        for member in self.members:
            member.interrupt()

    @property
    def prefills(self) -> int:
        """How often the prompt was read."""
        return max((each.prefills for each in self.members), default=0)

    @property
    def tokens(self) -> int:
        return sum(each.generation.completion_tokens for each in self.members)

    @property
    def decode_s(self) -> float:
        return max((each.generation.decode_s for each in self.members), default=0.0)
