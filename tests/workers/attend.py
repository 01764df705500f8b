"""Captures by a worker, for tests: the command sent, the file opened."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from playground import protocol
from playground.errors import Cancelled, from_kind
from playground.inside.capture import Capture
from tests.workers.talk import Talk


def capture(talk: Talk, target: Path, **what: Any) -> Capture:
    """The worker's error is raised as such."""
    talk.send(protocol.Capture(talk.number(), str(target), **what))
    return opened(talk)


def opened(talk: Talk) -> Capture:
    answer = talk.until((protocol.Captured, protocol.Failed, protocol.Finished))
    if isinstance(answer, protocol.Failed):
        raise AssertionError(answer.details) if answer.kind == "Bug" else from_kind(answer.kind, answer.message, answer.hint)
    if isinstance(answer, protocol.Finished):
        raise Cancelled("stopped")
    return Capture(Path(answer.path))


def stopped(talk: Talk, begin: Callable[[int], None]) -> None:
    """A capture, begun under the number that `begin` gets, that hears of its `Cancel` before it is over: else there is another one."""
    for _ in range(20):
        request = talk.number()
        begin(request)
        talk.send(protocol.Cancel(request))
        try:
            made = opened(talk)
        except Cancelled:
            return
        made.close()
        made.path.unlink()
    raise AssertionError("it is over every time")


def maps(found: Capture) -> np.ndarray[Any, np.dtype[np.float32]]:
    """[layers, heads, tokens, tokens]"""
    return np.array([[found.map(layer, head) for head in found.header.heads] for layer in found.header.layers])
