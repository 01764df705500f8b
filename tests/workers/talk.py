"""A worker to talk to: commands in, its answers collected until the request is done."""

from __future__ import annotations

import queue
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from playground import protocol
from playground.errors import from_kind
from playground.params import ContextSettings, SamplingSettings
from playground.process import Exit, WorkerProcess

PATIENCE = 120.0
"""seconds after which a test gives up waiting"""

HELD = 0.01
"""tokens a second: what is written stands still after its first tokens, until a `SetPace` lets it go on by one (with `HELD` again) or all"""

CLOSING = (protocol.Finished, protocol.Failed, protocol.Loaded, protocol.Tokenized, protocol.Logits, protocol.Scored)


@dataclass
class Answer:
    """What came of a `Generate`, sorted out."""

    prefilled: protocol.Prefilled | None = None
    tokens: dict[int, list[protocol.TokenInfo]] = field(default_factory=dict)
    used: dict[int, int] = field(default_factory=dict)
    ends: dict[int, protocol.SequenceFinished] = field(default_factory=dict)
    changes: list[protocol.SamplingChanged] = field(default_factory=list)
    outcome: str = ""

    def ids(self, sequence: int = 0) -> list[int]:
        return [each.token_id for each in self.tokens.get(sequence, [])]

    def text(self, sequence: int = 0) -> str:
        return "".join(each.text for each in self.tokens.get(sequence, []))


class Talk:
    """Starts the worker. `exit` is set once it has ended."""

    def __init__(self, role: str = "playground.workers.llama", what: str = "model") -> None:
        self.events: queue.Queue[Any] = queue.Queue()
        self.exit: Exit | None = None
        self.logged: list[protocol.LogLine] = []
        self._request = 0
        self.worker = WorkerProcess(role, self.events.put, self.events.put, what)
        self.worker.start()

    def close(self) -> None:
        self.worker.stop()

    def number(self) -> int:
        self._request += 1
        return self._request

    def send(self, command: protocol.Message) -> None:
        self.worker.send(command)

    def next(self) -> Any:
        """The next event that is no log line; an `Exit` is also noted."""
        while True:
            event = self.events.get(timeout=PATIENCE)
            if isinstance(event, protocol.LogLine):
                self.logged.append(event)
                continue
            if isinstance(event, Exit):
                self.exit = event
            return event

    def until(self, wanted: type | tuple[type, ...]) -> Any:
        while not isinstance(event := self.next(), wanted):
            if isinstance(event, Exit):
                raise AssertionError(f"the worker ended: {event}")
        return event

    def wait_exit(self) -> Exit:
        while not isinstance(event := self.next(), Exit):
            pass
        return event

    def load(self, path: Path, check_tensors: bool = False, **context: Any) -> protocol.ModelInfo:
        """Loads a model; the worker's error is raised as such."""
        self.send(protocol.Load(self.number(), str(path), ContextSettings(**context), check_tensors))
        answer = self.until((protocol.Loaded, protocol.Failed))
        if isinstance(answer, protocol.Failed):
            raise from_kind(answer.kind, answer.message, answer.hint)
        return answer.model

    def generate(
        self,
        *samplings: SamplingSettings,
        watch: Callable[[Any, int], None] = lambda event, request: None,
        **more: Any,
    ) -> Answer:
        """Runs a `Generate` to its end; `watch` sees every event with the request's number."""
        request = self.number()
        command = protocol.Generate(request, samplings or (SamplingSettings(temperature=0, max_tokens=16),), **more)
        self.send(command)
        return self.collect(request, watch)

    def collect(self, request: int, watch: Callable[[Any, int], None] = lambda event, request: None) -> Answer:
        answer = Answer()
        while True:
            event = self.next()
            if isinstance(event, Exit):
                raise AssertionError(f"the worker ended: {event}")
            if getattr(event, "request", request) != request:
                continue
            match event:
                case protocol.Prefilled():
                    answer.prefilled = event
                case protocol.Tokens():
                    mine = answer.tokens.setdefault(event.sequence, [])
                    assert event.index == len(mine), "tokens arrive without gaps"
                    mine.extend(event.tokens)
                    answer.used[event.sequence] = event.used
                case protocol.SequenceFinished():
                    answer.ends[event.sequence] = event
                case protocol.SamplingChanged():
                    answer.changes.append(event)
            watch(event, request)
            if isinstance(event, protocol.Failed):
                raise from_kind(event.kind, event.message, event.hint)
            if isinstance(event, protocol.Finished):
                answer.outcome = event.outcome
                return answer


def greedy(max_tokens: int = 24, **more: Any) -> SamplingSettings:
    return SamplingSettings(temperature=0, max_tokens=max_tokens, **more)


def user(*texts: str) -> Sequence[protocol.ChatMessage]:
    """A conversation of user and assistant in turn."""
    return tuple(protocol.ChatMessage("assistant" if place % 2 else "user", text) for place, text in enumerate(texts))
